//! Errors as decisions for whoever runs a consumer.

use log_tracer_transport::ReadError;

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
