//! The suite that every transport passes, on a real cluster of one controller and one storage unit.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use log_tracer_conformance::{Clock, Gap, Harness, OptOut, Setup};
use log_tracer_transport::{FullPolicy, OpenError, Transport};
use log_tracer_transport_fluvio::{Config, FluvioTransport};

/// Bytes that an envelope with 1 KiB of payload takes in a segment: 61 of its batch, 26 of its record, 56 of its header.
const STORED_BYTES: usize = 61 + 26 + 56 + 1024;

#[derive(Debug, Default)]
struct FluvioHarness {
    /// The topic that was made last.
    topic: Mutex<String>,
}

impl FluvioHarness {
    fn config(&self, setup: &Setup) -> Result<Config, OpenError> {
        if setup.when_full == FullPolicy::Reject {
            return Err(OpenError::Invalid(
                "when it is full, a topic of Fluvio drops the oldest".into(),
            ));
        }
        // An SPU counts the segments that are to leave as if they were full. So the segments of a small log are filled to
        // the byte by the envelopes of 1 KiB of the cases, and no second look of the SPU takes more, while a case reads.
        let segment = match setup.retained_bytes_max {
            retained if retained == Setup::SMALL.retained_bytes_max => 8 * STORED_BYTES,
            retained => retained / 8,
        };
        let partition = setup.retained_bytes_max / 4 * 3;
        Ok(Config {
            address: support::shared_cluster(),
            topic: self.topic.lock().unwrap().clone(),
            partitions: setup.partitions,
            partition_bytes_max: partition as u64,
            segment_bytes: NonZeroU32::new(u32::try_from(segment).unwrap()).unwrap(),
            envelope_bytes_max: setup.envelope_bytes_max,
            // So small that every test goes through several requests and pieces.
            request_bytes_max: setup.envelope_bytes_max / 2,
            read_bytes_max: setup.envelope_bytes_max * 4,
            ..Config::default()
        })
    }
}

#[async_trait]
impl Harness for FluvioHarness {
    async fn create(&self, setup: &Setup) -> Result<Arc<dyn Transport>, OpenError> {
        *self.topic.lock().unwrap() = support::new_topic();
        Ok(Arc::new(FluvioTransport::open(&self.config(setup)?).await?))
    }

    async fn reopen(&self, setup: &Setup) -> Result<Option<Arc<dyn Transport>>, OpenError> {
        let reopened = FluvioTransport::open(&self.config(setup)?).await?;
        Ok(Some(Arc::new(reopened)))
    }

    fn gaps(&self) -> Vec<OptOut> {
        let because = |gap, reason| OptOut { gap, reason };
        vec![
            because(Gap::Dedupe, "an SPU knows nothing of batch ids"),
            because(
                Gap::AtomicCalls,
                "a call for several partitions, or larger than a request, is several requests",
            ),
            because(
                Gap::RetentionWaitsForGroups,
                "Fluvio's retention goes by bytes and age alone",
            ),
            because(
                Gap::RejectWhenFull,
                "a partition that is full lets its oldest segments go",
            ),
        ]
    }

    fn clock(&self) -> Clock {
        Clock::Real
    }
}

log_tracer_conformance::suite!(
    FluvioHarness::default(),
    ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"
);
