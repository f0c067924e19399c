//! What a transport tells the suite: how its logs are opened, and what it cannot do.

use std::{fmt::Debug, num::NonZeroU16, sync::Arc};

use async_trait::async_trait;
use log_tracer_transport::{FullPolicy, OpenError, Transport};

/// Opens the logs of one kind of transport. Every test makes a harness of its own.
#[async_trait]
pub trait Harness: Debug + Send + Sync {
    /// Makes a new, empty log. MUST NOT give one that was given before, also within one test.
    ///
    /// # Errors
    ///
    /// [`OpenError::Invalid`] when the setup asks for what is declared as a gap.
    async fn create(&self, setup: &Setup) -> Result<Arc<dyn Transport>, OpenError>;

    /// Opens the log that was created last once more, after it was closed; `None` where [`Gap::Reopening`] is declared.
    ///
    /// # Errors
    ///
    /// When the log that is there cannot be opened.
    async fn reopen(&self, setup: &Setup) -> Result<Option<Arc<dyn Transport>>, OpenError>;

    /// What this transport cannot do. Empty is the aim.
    fn gaps(&self) -> Vec<OptOut>;

    /// Which clock its tests may run on.
    fn clock(&self) -> Clock;
}

/// The log that a case needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Exactly so many partitions.
    pub partitions: NonZeroU16,
    /// The largest encoded envelope in bytes: exactly this.
    pub envelope_bytes_max: usize,
    /// Bytes that the log keeps at most, at least half of them encoded envelopes of 1 KiB and more.
    pub retained_bytes_max: usize,
    /// What happens when there is no more room.
    pub when_full: FullPolicy,
}

impl Setup {
    /// Room enough for a case that is not about room.
    pub const ROOMY: Self = Self {
        partitions: NonZeroU16::new(3).unwrap(),
        envelope_bytes_max: 64 << 10,
        retained_bytes_max: 16 << 20,
        when_full: FullPolicy::Reject,
    };

    /// A log that is soon full.
    pub const SMALL: Self = Self {
        partitions: NonZeroU16::MIN,
        envelope_bytes_max: 8 << 10,
        retained_bytes_max: 64 << 10,
        when_full: FullPolicy::Reject,
    };

    /// A log that is soon full and then lets the oldest go.
    pub const SMALL_DROPPING: Self = Self {
        when_full: FullPolicy::DropOldest,
        ..Self::SMALL
    };
}

/// Which clock the single-threaded cases run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// One that jumps to the next timer when every task waits: only for a transport that does everything in tasks of
    /// the runtime, with no thread and no socket.
    Paused,
    /// The real one.
    Real,
}

/// A gap and why it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptOut {
    /// What is missing.
    pub gap: Gap,
    /// Why, for those who choose a transport.
    pub reason: &'static str,
}

/// Something that a transport may be unable to do. What it must do instead is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// Keeps no cursors of groups: `commit` and `committed` MUST answer `Unsupported`.
    GroupCursors,
    /// Recognises no batch that is published again: it MUST be stored again and never be called a duplicate.
    Dedupe,
    /// Offsets may jump: they MUST ascend all the same.
    ContiguousOffsets,
    /// Cannot tell where a partition starts: the start in a watermark MUST be `None`.
    LogStart,
    /// Watermarks come late: they MUST say that they are not exact.
    ExactWatermarks,
    /// A call that fails half-way stores a part of it: it MUST say so in its capabilities.
    AtomicCalls,
    /// Retention does not wait for groups: it MUST say so in its capabilities.
    RetentionWaitsForGroups,
    /// Cannot refuse when it is full: creating such a log MUST be refused as `Invalid`.
    RejectWhenFull,
    /// Cannot drop the oldest when it is full: creating such a log MUST be refused as `Invalid`.
    DropOldestWhenFull,
    /// The log ends with its transport: it MUST NOT claim to survive a crash of the process.
    Reopening,
}
