//! The contract between log-tracer and the log that carries its envelopes.
//!
//! A *transport* is a log in partitions. Producers [publish](Transport::publish) envelopes, each to the partition that
//! it names; readers [subscribe](Transport::subscribe) at a position of their own and get what is there and then what
//! comes. The log knows nothing of spans and records: an [`Envelope`] is a few numbers and opaque bytes.
//!
//! | file | what |
//! |---|---|
//! | `lib.rs` | the two traits and what goes in and out of them |
//! | `envelope.rs` | the unit, and its bytes as every log stores them |
//! | `position.rs` | partition, offset, cursor, group, log id |
//! | `capabilities.rs` | what one transport promises and another does not, as facts |
//! | `error.rs` | errors, each of them a decision for the caller |
//! | `routing.rs` | which partition a record goes to |
//! | `check.rs` | what every transport refuses before it does anything |
//!
//! MUST and MAY are obligations of an implementation; `log-tracer-conformance` checks them, one named test for each.
//! Where backends cannot promise the same, [`Capabilities`] says so, and a weakness that is not said is a fault.
//!
//! # What a whole pipeline gets from it
//!
//! A record is applied exactly once if the reader keeps, in one transaction with its data, the next offset of each
//! partition, the [`LogId`], and the batch ids and parts that it has seen lately: it then skips what lies before its
//! offset and what it has seen, and never trusts a position of another log. The log's own cursors
//! ([`Transport::commit`]) tell it only what it may forget.

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
///
/// Every method MAY be called from many tasks at once. No method MUST be called before another.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Facts about this instance as it is configured. What is not known MUST be given as the weakest value.
    fn capabilities(&self) -> &Capabilities;

    /// The incarnation of the log. MUST differ after the log was deleted and made anew, and MUST be the same when the
    /// same log is opened again.
    fn log_id(&self) -> LogId;

    /// How many partitions the log has: fixed for its life.
    fn partitions(&self) -> NonZeroU16;

    /// Stores envelopes.
    ///
    /// - **Checks first.** What [`check::publish`] refuses MUST be refused with that error, and nothing of the call
    ///   stored.
    /// - **Ok** MUST mean that every envelope has the durability declared in [`Capabilities`] and can be read. The acks
    ///   are in the order of the input.
    /// - **Order.** Envelopes of one partition MUST be stored in the order of the input, and after those of every call
    ///   that had returned `Ok` before this one was made. Calls at the same time go in any order.
    /// - **Repeats.** An envelope of the same batch, part and partition as one that is remembered
    ///   ([`Capabilities::dedupe`]) MUST be acked with the offset of the first and [`Acked::duplicate`], and not stored
    ///   again. One that is not remembered is stored like any other.
    /// - **Room.** It MUST wait for room until `deadline` and then answer [`PublishError::Busy`] or
    ///   [`PublishError::Full`]: nothing is buffered without bound and nothing is dropped. It MAY answer `Busy` sooner
    ///   when as many publishes wait as its configuration allows, and `Full` sooner when waiting cannot help.
    /// - **Errors** other than [`PublishError::OutcomeUnknown`] and [`PublishError::Failed`] MUST mean that nothing of
    ///   the call was stored.
    /// - **Dropping** the future after its first poll leaves the outcome unknown: any of the envelopes MAY be stored,
    ///   all or none of them where [`Atomicity::PerCall`] is declared. Other calls MUST go on as if it had ended.
    async fn publish(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError>;

    /// Reads each named partition from its start on: what is there, then what comes. Partitions that are not named are
    /// not read.
    ///
    /// - **The reader owns its position.** Subscriptions MUST NOT know of each other, nor of what a group has
    ///   committed.
    /// - **Order.** Offsets MUST ascend within a partition. Every named partition MUST get its turn, however busy the
    ///   others are.
    /// - **Only what is durable** MUST be handed out, and only after its checksums were verified.
    /// - **No silent jump.** A position that is no longer kept MUST be [`ReadError::Evicted`], one beyond the end
    ///   [`ReadError::Ahead`], either here or from the first [`Subscription::next`]; a reader that is overtaken by
    ///   retention later sees `Evicted` as well. Where offsets are contiguous, a gap MUST never be passed on.
    /// - What [`check::subscribe`] refuses MUST be refused with that error.
    async fn subscribe(
        &self,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError>;

    /// Records how far a group is: a floor for retention and a number to show, never the truth about what was
    /// applied, which the consumer keeps with its own data. To be called only after the data itself is committed.
    ///
    /// - MUST be idempotent, and MUST NOT move a cursor back: the higher of the two stays.
    /// - MUST take all cursors or none, and MUST refuse a cursor beyond the end, and what [`check::commit`] refuses,
    ///   as [`CommitError::Invalid`].
    /// - Where [`Capabilities::retention_waits_for_groups`] is declared, a partition MUST keep everything until a group
    ///   has committed there, and from then on what any group that has has not committed yet. A reader that must miss
    ///   nothing therefore commits the position that it starts at before it reads.
    async fn commit(&self, group: &Group, upto: &[Cursor]) -> Result<(), CommitError>;

    /// The cursors that a group has committed, one for each partition that it has committed; none for a group that
    /// never did.
    async fn committed(&self, group: &Group) -> Result<Vec<Cursor>, CommitError>;

    /// The bounds of each partition, in the order of their numbers.
    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError>;

    /// Whether it works now. [`Health::Failed`] once it was closed.
    fn health(&self) -> Health;

    /// What it takes and what it may take, for people to look at. MUST answer at once, also when it was closed or has
    /// failed, and what is not known MUST be `None`.
    fn usage(&self) -> Usage;

    /// Ends the transport before `deadline`.
    ///
    /// - New publishes MUST be refused as [`PublishError::Draining`], those that were accepted finished, and those that
    ///   wait for room refused.
    /// - Every subscription MUST end with `None`, also one that waits; it MAY first hand out what was stored before.
    ///   Everything else MUST answer `Closed`.
    /// - What is buffered MUST be flushed, what is locked released, and no task or thread left behind.
    /// - MUST be idempotent.
    ///
    /// Dropping a transport without closing it MUST be safe, and MAY warn: what was acked stays as durable as it was
    /// declared, and subscriptions that are left over end, with `None` or [`ReadError::Closed`].
    async fn close(&self, deadline: Instant) -> Result<(), CloseError>;
}

/// A reader of one or more partitions.
#[async_trait]
pub trait Subscription: Debug + Send {
    /// The next envelopes of one partition, waiting for some to come, or `None` once the transport was closed.
    ///
    /// - A delivery MUST hold at least one envelope, and no more than [`ReadOptions`] allow.
    /// - MUST be cancel-safe: a dropped future loses nothing and repeats nothing.
    /// - MUST NOT commit anything, and neither does dropping the subscription.
    /// - An error leaves the position where it was. [`ReadError::Transient`] MAY be followed by another call; after any
    ///   other error the reader subscribes anew, where it decides to go on.
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

/// What a log takes of the memory or the disk that it may take. `None` is what a backend does not know or does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Pieces that it is kept in, where it is kept in pieces that leave as a whole.
    pub segments: Option<u64>,
    /// Bytes that it takes, with everything that envelopes cost beside their own.
    pub bytes: Option<u64>,
    /// Bytes that it may take.
    pub bytes_max: Option<u64>,
    /// Encoded bytes of the publishes that wait.
    pub queued_bytes: Option<u64>,
    /// Encoded bytes of publishes that may wait; more are refused.
    pub queued_bytes_max: Option<u64>,
    /// Envelopes that left although a group had not committed them, since it was opened.
    pub dropped_envelopes: Option<u64>,
    /// Bytes that are free on the disk.
    pub disk_free_bytes: Option<u64>,
    /// Bytes that must stay free there.
    pub disk_reserve_bytes: Option<u64>,
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
