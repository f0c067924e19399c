//! The contract between log-tracer and the log that carries its envelopes.
//!
//! MUST and MAY are obligations of an implementation; `log-tracer-conformance` checks them, one named test for each.

mod capabilities;
pub mod check;
mod envelope;
mod error;
mod position;
mod routing;

use std::{fmt::Debug, num::NonZeroU16, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

pub use capabilities::{Atomicity, Capabilities, Dedupe, FullPolicy, Health};
pub use envelope::{BatchId, Envelope, EnvelopeError, Kind, Part};
pub use error::{CloseError, CommitError, OpenError, PublishError, ReadError, Source};
pub use position::{Cursor, Group, LogId, Offset, Partition, Start, Watermark};
pub use routing::{partition_of_service, partition_of_trace};

/// A log of envelopes in partitions.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Facts about this instance as it is configured. What is not known MUST be given as the weakest value.
    fn capabilities(&self) -> &Capabilities;

    /// The incarnation of the log. MUST differ after the log was deleted and made anew.
    fn log_id(&self) -> LogId;

    /// How many partitions the log has: fixed for its life.
    fn partitions(&self) -> NonZeroU16;

    /// Stores envelopes.
    ///
    /// `Ok` MUST mean that every envelope has the durability declared in [`Capabilities`]; the acks are in the order
    /// of the input. Envelopes of one partition MUST be stored in the order of the input. It MUST wait for room until
    /// `deadline` and then answer [`PublishError::Busy`]: nothing is buffered without bound and nothing is dropped.
    /// A future that is dropped after its first poll leaves the outcome unknown.
    async fn publish(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError>;

    /// Reads each named partition from its start on: what is there, then what comes.
    ///
    /// The reader owns its position. Offsets MUST ascend within a partition; only durable envelopes, with their
    /// checksums verified, are handed out. A position that is no longer kept MUST be [`ReadError::Evicted`], one
    /// beyond the end [`ReadError::Ahead`]; where offsets are contiguous, a gap MUST never be passed on.
    /// Partitions that are not named are not read.
    async fn subscribe(
        &self,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError>;

    /// Records how far a group is: a floor for retention and a number to show, never the truth about what was
    /// applied, which the consumer keeps with its own data. MUST be idempotent, and MUST NOT move a cursor back.
    async fn commit(&self, group: &Group, upto: &[Cursor]) -> Result<(), CommitError>;

    /// The cursors that a group has committed, one for each partition that it has committed.
    async fn committed(&self, group: &Group) -> Result<Vec<Cursor>, CommitError>;

    /// The bounds of each partition.
    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError>;

    /// Whether it works now.
    fn health(&self) -> Health;

    /// Refuses new publishes ([`PublishError::Draining`]), finishes those that were accepted, ends every subscription
    /// with `None`, flushes, and releases what it locks, all before `deadline`. MUST be idempotent. Dropping a
    /// transport without closing it MUST be safe, and MAY warn.
    async fn close(&self, deadline: Instant) -> Result<(), CloseError>;
}

/// A reader of one or more partitions.
#[async_trait]
pub trait Subscription: Debug + Send {
    /// The next envelopes of one partition, or `None` once the transport was closed.
    ///
    /// MUST be cancel-safe: a dropped future loses nothing. MUST NOT commit anything.
    async fn next(&mut self) -> Result<Option<Delivery>, ReadError>;
}

/// Where an envelope was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The partition that the envelope named.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
    /// Whether it had been stored before; always false where [`Dedupe::None`] is declared.
    pub duplicate: bool,
}

/// Envelopes of one partition, in ascending order of offset.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The partition of all of them.
    pub partition: Partition,
    /// At least one envelope.
    pub items: Vec<(Offset, Envelope)>,
    /// Where to read on after them.
    pub next: Offset,
}

/// How much a subscription hands out at a time.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Encoded bytes in one delivery at most; a single envelope larger than this is delivered alone.
    pub delivery_bytes_max: usize,
    /// Envelopes in one delivery at most; at least 1.
    pub delivery_envelopes_max: usize,
    /// How long a reader of several partitions MAY gather before it delivers; zero delivers what is there.
    pub linger: Duration,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            delivery_bytes_max: 8 << 20,
            delivery_envelopes_max: 1024,
            linger: Duration::ZERO,
        }
    }
}
