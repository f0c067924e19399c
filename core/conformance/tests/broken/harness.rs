//! Opens channels and breaks them.

use std::{future::pending, num::NonZeroU16, sync::Arc};

use async_trait::async_trait;
use log_tracer_conformance::{Clock, Gap, Harness, OptOut, Setup};
use log_tracer_transport::{Dedupe, FullPolicy, OpenError, Transport};
use log_tracer_transport_channel::{ChannelTransport, Config, WhenFull};

use crate::{fault::Fault, transport::Broken};

/// Opens channels with this fault.
#[derive(Debug)]
pub(crate) struct BrokenHarness(pub(crate) Fault);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Harness for BrokenHarness {
    async fn create(&self, setup: &Setup) -> Result<Arc<dyn Transport>, OpenError> {
        let fault = self.0;
        let mut config = Config {
            partitions: setup.partitions,
            retained_bytes_max: setup.retained_bytes_max,
            envelope_bytes_max: setup.envelope_bytes_max,
            when_full: match setup.when_full {
                FullPolicy::Reject => WhenFull::Reject,
                FullPolicy::DropOldest => WhenFull::DropOldest,
            },
            ..Config::default()
        };
        match fault {
            Fault::GrowsWithoutBound => config.retained_bytes_max *= 1000,
            Fault::DropsTheOldestInstead => config.when_full = WhenFull::DropOldest,
            Fault::RemembersNothing | Fault::RetriesBehindTheScenes => {
                config.dedupe_batches_max = 0
            }
            Fault::HasOnePartition => config.partitions = NonZeroU16::MIN,
            Fault::LeavesATask => drop(tokio::spawn(pending::<()>())),
            _ => {}
        }
        let inner = ChannelTransport::open(&config)?;

        let mut capabilities = inner.capabilities().clone();
        match fault {
            Fault::DropsTheOldestInstead => {
                capabilities.when_full = setup.when_full;
                capabilities.retention_waits_for_groups = setup.when_full == FullPolicy::Reject;
            }
            Fault::RemembersNothing | Fault::RetriesBehindTheScenes => {
                capabilities.dedupe = Dedupe::Persistent {
                    batches_per_partition: 1000,
                };
            }
            Fault::ClaimsADisk => capabilities.survives_process_crash = true,
            _ => {}
        }
        Ok(Arc::new(Broken::new(fault, Arc::new(inner), capabilities)))
    }

    async fn reopen(&self, _: &Setup) -> Result<Option<Arc<dyn Transport>>, OpenError> {
        Ok(None)
    }

    fn gaps(&self) -> Vec<OptOut> {
        vec![OptOut {
            gap: Gap::Reopening,
            reason: "a channel in memory is what gets broken",
        }]
    }

    fn clock(&self) -> Clock {
        Clock::Paused
    }
}
