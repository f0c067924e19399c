//! A sound transport that has nearly every gap and declares them: the suite passes it, and fails it for what it does not
//! declare.

#![allow(clippy::unwrap_used)]

use std::{num::NonZeroU16, sync::Arc};

use async_trait::async_trait;
use log_tracer_conformance::{Clock, Gap, Harness, OptOut, Setup, run};
use log_tracer_transport::{
    Acked, Atomicity, Capabilities, CloseError, CommitError, Cursor, Dedupe, Delivery, Envelope,
    FullPolicy, Group, Health, LogId, Offset, OpenError, Partition, PublishError, ReadError,
    ReadOptions, Start, Subscription, Transport, Usage, Watermark, check,
};
use log_tracer_transport_channel::{ChannelTransport, Config, WhenFull};
use tokio::time::Instant;

log_tracer_conformance::suite!(ModestHarness::default());

const GAPS: [Gap; 9] = [
    Gap::GroupCursors,
    Gap::Dedupe,
    Gap::ContiguousOffsets,
    Gap::LogStart,
    Gap::ExactWatermarks,
    Gap::AtomicCalls,
    Gap::RetentionWaitsForGroups,
    Gap::RejectWhenFull,
    Gap::Reopening,
];

#[test]
fn a_gap_that_is_not_declared_fails() {
    for hidden in GAPS {
        let harness = ModestHarness {
            hidden: Some(hidden),
        };
        let caught = [
            "gaps_are_what_the_capabilities_say",
            "a_log_is_what_was_asked_for",
        ]
        .map(|case| run(case, &harness));
        assert!(caught.iter().any(Result::is_err), "{hidden:?} was hidden");
    }
}

#[derive(Debug, Default)]
struct ModestHarness {
    /// A gap that it has and does not declare.
    hidden: Option<Gap>,
}

#[async_trait]
impl Harness for ModestHarness {
    async fn create(&self, setup: &Setup) -> Result<Arc<dyn Transport>, OpenError> {
        if setup.when_full == FullPolicy::Reject {
            return Err(OpenError::Invalid("it can only drop the oldest".into()));
        }
        let inner = ChannelTransport::open(&Config {
            partitions: setup.partitions,
            retained_bytes_max: setup.retained_bytes_max,
            envelope_bytes_max: setup.envelope_bytes_max,
            when_full: WhenFull::DropOldest,
            dedupe_batches_max: 0,
            ..Config::default()
        })?;
        let capabilities = Capabilities {
            publish_atomicity: Atomicity::PerEnvelope,
            dedupe: Dedupe::None,
            contiguous_offsets: false,
            ..inner.capabilities().clone()
        };
        Ok(Arc::new(Modest {
            inner,
            capabilities,
        }))
    }

    async fn reopen(&self, _: &Setup) -> Result<Option<Arc<dyn Transport>>, OpenError> {
        Ok(None)
    }

    fn gaps(&self) -> Vec<OptOut> {
        let declared = GAPS.into_iter().filter(|gap| Some(*gap) != self.hidden);
        let reason = "to see that the suite allows it";
        declared.map(|gap| OptOut { gap, reason }).collect()
    }

    fn clock(&self) -> Clock {
        Clock::Paused
    }
}

/// A channel of which every second offset is missing.
#[derive(Debug)]
struct Modest {
    inner: ChannelTransport,
    capabilities: Capabilities,
}

fn outer(offset: Offset) -> Offset {
    Offset(offset.0 * 2)
}

/// The first that is at least this.
fn inner(offset: Offset) -> Offset {
    Offset(offset.0.div_ceil(2))
}

fn outer_error(error: ReadError) -> ReadError {
    match error {
        ReadError::Evicted {
            partition,
            wanted,
            first,
        } => ReadError::Evicted {
            partition,
            wanted: outer(wanted),
            first: outer(first),
        },
        ReadError::Ahead {
            partition,
            wanted,
            end,
        } => ReadError::Ahead {
            partition,
            wanted: outer(wanted),
            end: outer(end),
        },
        other => other,
    }
}

/// With the offset that the reader asked for, which may be one that there never was.
fn as_asked(mut error: ReadError, from: &[(Partition, Start)]) -> ReadError {
    if let ReadError::Evicted {
        partition, wanted, ..
    }
    | ReadError::Ahead {
        partition, wanted, ..
    } = &mut error
        && let Some((_, Start::At(asked))) = from.iter().find(|(p, _)| p == partition)
    {
        *wanted = *asked;
    }
    error
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Transport for Modest {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn log_id(&self) -> LogId {
        self.inner.log_id()
    }

    fn partitions(&self) -> NonZeroU16 {
        self.inner.partitions()
    }

    async fn publish(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError> {
        let max = self.capabilities.envelope_bytes_max;
        check::publish(&batch, self.partitions(), max)?;
        let mut acks = Vec::new();
        for envelope in batch {
            acks.extend(self.inner.publish(vec![envelope], deadline).await?);
            tokio::task::yield_now().await;
        }
        for acked in &mut acks {
            acked.offset = outer(acked.offset);
        }
        Ok(acks)
    }

    async fn subscribe(
        &self,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        let halved = from.iter().map(|(partition, start)| match start {
            Start::Earliest => (*partition, Start::Earliest),
            Start::At(offset) => (*partition, Start::At(inner(*offset))),
        });
        match self.inner.subscribe(halved.collect(), options).await {
            Ok(subscription) => Ok(Box::new(ModestSubscription(subscription))),
            Err(error) => Err(as_asked(outer_error(error), &from)),
        }
    }

    async fn commit(&self, _: &Group, _: &[Cursor]) -> Result<(), CommitError> {
        match self.health() {
            Health::Failed(_) => Err(CommitError::Closed),
            _ => Err(CommitError::Unsupported),
        }
    }

    async fn committed(&self, _: &Group) -> Result<Vec<Cursor>, CommitError> {
        match self.health() {
            Health::Failed(_) => Err(CommitError::Closed),
            _ => Err(CommitError::Unsupported),
        }
    }

    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError> {
        let mut watermarks = self.inner.watermarks().await?;
        for watermark in &mut watermarks {
            watermark.start = None;
            watermark.bytes = None;
            watermark.end = outer(watermark.end);
            watermark.exact = false;
        }
        Ok(watermarks)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    async fn close(&self, deadline: Instant) -> Result<(), CloseError> {
        self.inner.close(deadline).await
    }
}

#[derive(Debug)]
struct ModestSubscription(Box<dyn Subscription>);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Subscription for ModestSubscription {
    async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        let mut next = self.0.next().await.map_err(outer_error)?;
        if let Some(delivery) = &mut next {
            delivery.next = outer(delivery.next);
            for (offset, _) in &mut delivery.items {
                *offset = outer(*offset);
            }
        }
        Ok(next)
    }
}
