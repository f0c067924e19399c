//! The suite that every transport passes, on the real disk.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use log_tracer_conformance::{Clock, Harness, OptOut, Setup};
use log_tracer_transport::{FullPolicy, OpenError, Transport};
use log_tracer_transport_disk::{Config, DiskTransport, WhenFull};
use tempfile::TempDir;

#[derive(Debug, Default)]
struct DiskHarness {
    /// The directories of this test; the last one is opened again.
    directories: Mutex<Vec<TempDir>>,
}

impl DiskHarness {
    fn config(&self, setup: &Setup) -> Config {
        Config {
            directory: self
                .directories
                .lock()
                .unwrap()
                .last()
                .unwrap()
                .path()
                .join("journal"),
            partitions: setup.partitions,
            // So small that every test goes through several.
            segment_bytes: (setup.retained_bytes_max as u64 / 16).min(128 << 10),
            retained_bytes_max: setup.retained_bytes_max as u64,
            envelope_bytes_max: setup.envelope_bytes_max,
            reserve_bytes: 0,
            // Less than the log, so that reading comes from the disk as well.
            recent_bytes_max: 16 << 10,
            when_full: match setup.when_full {
                FullPolicy::Reject => WhenFull::Reject,
                FullPolicy::DropOldest => WhenFull::DropOldest,
            },
            ..Config::default()
        }
    }
}

#[async_trait]
impl Harness for DiskHarness {
    async fn create(&self, setup: &Setup) -> Result<Arc<dyn Transport>, OpenError> {
        let directory = tempfile::tempdir().unwrap();
        self.directories.lock().unwrap().push(directory);
        Ok(Arc::new(DiskTransport::open(&self.config(setup)).await?))
    }

    async fn reopen(&self, setup: &Setup) -> Result<Option<Arc<dyn Transport>>, OpenError> {
        let reopened = DiskTransport::open(&self.config(setup)).await?;
        Ok(Some(Arc::new(reopened)))
    }

    fn gaps(&self) -> Vec<OptOut> {
        Vec::new()
    }

    fn clock(&self) -> Clock {
        Clock::Real
    }
}

log_tracer_conformance::suite!(DiskHarness::default());
