//! What can go wrong in a channel, and which decision of the caller it is.

use log_tracer_transport::{
    CommitError, EnvelopeError, Offset, Partition, PublishError, ReadError,
};

/// Everything that goes wrong after the arguments were found to be sound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the channel is closed")]
    Closed,
    #[error("no room before the deadline")]
    NoRoom,
    #[error("a publish of {bytes} bytes never fits the {max} of retained_bytes_max")]
    NeverFits { bytes: usize, max: usize },
    #[error("partition {} does not exist", .0.0)]
    UnknownPartition(Partition),
    #[error("partition {}: offset {} was evicted, the first is {}", partition.0, wanted.0, first.0)]
    Evicted {
        partition: Partition,
        wanted: Offset,
        first: Offset,
    },
    #[error("partition {}: {} lies beyond the end at {}", partition.0, wanted.0, end.0)]
    Ahead {
        partition: Partition,
        wanted: Offset,
        end: Offset,
    },
    #[error("partition {}: the envelope at offset {}: {source}", partition.0, at.0)]
    Corrupt {
        partition: Partition,
        at: Offset,
        source: EnvelopeError,
    },
    #[error("there are {max} groups already")]
    TooManyGroups { max: usize },
}

impl From<Error> for PublishError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Draining,
            Error::NoRoom => Self::Busy,
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Closed,
            Error::Evicted {
                partition,
                wanted,
                first,
            } => Self::Evicted {
                partition,
                wanted,
                first,
            },
            Error::Ahead {
                partition,
                wanted,
                end,
            } => Self::Ahead {
                partition,
                wanted,
                end,
            },
            Error::Corrupt {
                partition,
                at,
                source,
            } => Self::Corrupt {
                partition,
                at,
                reason: source.to_string(),
            },
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Closed,
            other => Self::Invalid(other.to_string()),
        }
    }
}
