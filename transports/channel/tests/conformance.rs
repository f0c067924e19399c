//! The suite that every transport passes.

use std::sync::Arc;

use async_trait::async_trait;
use log_tracer_conformance::{Clock, Gap, Harness, OptOut, Setup};
use log_tracer_transport::{FullPolicy, OpenError, Transport};
use log_tracer_transport_channel::{ChannelTransport, Config, WhenFull};

#[derive(Debug)]
struct ChannelHarness;

#[async_trait]
impl Harness for ChannelHarness {
    async fn create(&self, setup: &Setup) -> Result<Arc<dyn Transport>, OpenError> {
        Ok(Arc::new(ChannelTransport::open(&Config {
            partitions: setup.partitions,
            retained_bytes_max: setup.retained_bytes_max,
            envelope_bytes_max: setup.envelope_bytes_max,
            when_full: match setup.when_full {
                FullPolicy::Reject => WhenFull::Reject,
                FullPolicy::DropOldest => WhenFull::DropOldest,
            },
            ..Config::default()
        })?))
    }

    async fn reopen(&self, _: &Setup) -> Result<Option<Arc<dyn Transport>>, OpenError> {
        Ok(None)
    }

    fn gaps(&self) -> Vec<OptOut> {
        vec![OptOut {
            gap: Gap::Reopening,
            reason: "it is the memory of one process, for tests and for trying things out",
        }]
    }

    fn clock(&self) -> Clock {
        Clock::Paused
    }
}

log_tracer_conformance::suite!(ChannelHarness);
