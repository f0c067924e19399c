//! Errors as decisions for the caller. A backend keeps an error type of its own and converts it into these in one place.

use std::{error::Error, sync::Arc};

use crate::{Offset, Partition};

/// What a backend reported; shown to people, never matched on.
pub type Source = Arc<dyn Error + Send + Sync>;

/// Why a transport could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot work; the text names the key and what was expected.
    #[error("invalid transport configuration: {0}")]
    Invalid(String),
    /// It may work when tried again: a broker that does not answer, a directory that another process holds.
    #[error("the transport cannot be opened for the moment: {0}")]
    Transient(Source),
    /// The log is there and unusable; trying again does not help.
    #[error("the transport cannot be opened: {0}")]
    Failed(Source),
}

/// Why a publish was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// Nothing was stored: there was no room before the deadline. Retry later.
    #[error("the transport is busy: no room before the deadline")]
    Busy,
    /// Nothing was stored: the log has reached its limit. Retry once retention has made room.
    #[error("the log is full: {0}")]
    Full(String),
    /// Nothing was stored: an envelope is larger than [`crate::Capabilities::envelope_bytes_max`]. Split it.
    #[error(
        "an envelope of {bytes} bytes is larger than the {max} bytes that the transport carries"
    )]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// The largest that is carried.
        max: usize,
    },
    /// Nothing was stored: the batch is empty or names a partition that does not exist. A fault of the caller.
    #[error("invalid publish: {0}")]
    Invalid(String),
    /// Nothing was stored: the transport is being closed. Retry elsewhere.
    #[error("the transport is shutting down")]
    Draining,
    /// Some or all of it may be stored. Retry with the same batch ids, and the reader applies it once.
    #[error("it is unknown whether the batch was stored: {0}")]
    OutcomeUnknown(Source),
    /// The transport is broken for good; nothing later will be stored. Open it again.
    #[error("the transport has failed: {0}")]
    Failed(Source),
}

/// Why reading stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The wanted offset is no longer kept.
    #[error("partition {}: offset {} is no longer kept, the first is {}", partition.0, wanted.0, first.0)]
    Evicted {
        /// Where.
        partition: Partition,
        /// What the reader stood at.
        wanted: Offset,
        /// What is there.
        first: Offset,
    },
    /// The wanted offset lies beyond the end: the log lost data, or it is another log.
    #[error("partition {}: offset {} lies beyond the end of the log at {}", partition.0, wanted.0, end.0)]
    Ahead {
        /// Where.
        partition: Partition,
        /// What the reader stood at.
        wanted: Offset,
        /// The offset that the next envelope gets.
        end: Offset,
    },
    /// An envelope is not what was written.
    #[error("partition {}: the envelope at offset {} is corrupt: {reason}", partition.0, at.0)]
    Corrupt {
        /// Where.
        partition: Partition,
        /// Which.
        at: Offset,
        /// What does not fit.
        reason: String,
    },
    /// The request itself cannot be served: an unknown partition, or one named twice. A fault of the caller.
    #[error("invalid subscription: {0}")]
    Invalid(String),
    /// It may work when tried again from the same position.
    #[error("reading failed for the moment: {0}")]
    Transient(Source),
    /// The transport was closed.
    #[error("the transport is closed")]
    Closed,
    /// The transport is broken for good. Open it again.
    #[error("the transport has failed: {0}")]
    Failed(Source),
}

/// Why a commit, or the reading of one, failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// This transport keeps no cursors of groups; the reader's own are enough.
    #[error("this transport keeps no cursors of groups")]
    Unsupported,
    /// A partition that does not exist, or a cursor beyond the end. A fault of the caller.
    #[error("invalid commit: {0}")]
    Invalid(String),
    /// It may work when tried again.
    #[error("committing failed for the moment: {0}")]
    Transient(Source),
    /// The transport was closed.
    #[error("the transport is closed")]
    Closed,
    /// The transport is broken for good. Open it again.
    #[error("the transport has failed: {0}")]
    Failed(Source),
}

/// Why closing did not finish.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CloseError {
    /// Work was still under way at the deadline.
    #[error("work was still under way at the deadline: {0}")]
    Deadline(String),
    /// What was accepted could not be flushed.
    #[error("flushing failed: {0}")]
    Failed(Source),
}
