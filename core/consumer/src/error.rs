//! Errors as decisions for whoever runs a consumer.

use std::{path::PathBuf, sync::Arc};

use log_tracer_transport::{LogId, Offset, Partition, ReadError};

/// Why a consumer did not start.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong; the text names the key.
    #[error("invalid consumer configuration: {0}")]
    Config(String),
    /// The configuration names a partition that the log does not have.
    #[error("partitions: the log has partitions 0 to {last}, not {partition}")]
    UnknownPartition {
        /// The partition that was named.
        partition: u16,
        /// The last one that exists.
        last: u16,
    },
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Store(Arc<log_tracer_store::OpenError>),
    /// The store holds records of another log, whose positions mean nothing here.
    #[error(
        "the store in {} is of the log {store}, but the transport is the log {transport}: point both at directories that belong together, or move the store away to begin a new one, which takes in all that this log still holds", directory.display()
    )]
    OtherLog {
        /// Where the store is.
        directory: PathBuf,
        /// The log that it is of.
        store: LogId,
        /// The log that the transport is.
        transport: LogId,
    },
    /// The store has taken in more than the log holds: the log has lost data, or an older copy of it was put back.
    #[error(
        "the store in {} has taken in partition {} up to offset {}, but the log ends at {}: the log has lost envelopes. What the store holds is whole; to go on with this log, move the store away, or put back the log that belongs to it", directory.display(), partition.0, wanted.0, end.0
    )]
    LogIsBehind {
        /// Where the store is.
        directory: PathBuf,
        /// The partition.
        partition: Partition,
        /// The offset at which the store would go on.
        wanted: Offset,
        /// Where the log ends.
        end: Offset,
    },
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(String),
    /// The transport refuses to be read, and waiting would not help.
    #[error("the log cannot be read: {0}")]
    Read(#[from] ReadError),
}

/// Why serving ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The descriptors that reflection serves cannot be read: a fault of the build.
    #[error("reflection cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The gRPC server failed.
    #[error("the query server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Why a consumer did not stop cleanly. Nothing is running after it all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// So much was still under way at the deadline and was cut off.
    #[error("cut off at the deadline: {0}")]
    Deadline(String),
}
