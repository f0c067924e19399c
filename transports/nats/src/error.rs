//! What can go wrong with NATS, and which decision of the caller it is.

use std::{path::PathBuf, sync::Arc};

use async_nats::jetstream;
use log_tracer_transport::{
    CloseError, CommitError, Offset, OpenError, Partition, PublishError, ReadError, Source,
};

/// Everything that goes wrong after the arguments were found to be sound.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the transport is closed")]
    Closed,
    #[error("no server is connected: {0}")]
    NotConnected(String),
    #[error("connecting to {server}: {source}")]
    Connect { server: String, source: Source },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: Source },
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Unusable(String),
    #[error("{doing}: {source}")]
    Unanswered { doing: String, source: Source },
    #[error("{doing}: the connection was lost")]
    Lost { doing: String },
    #[error("{doing}: JetStream refuses: {source}")]
    Refused {
        doing: String,
        source: Arc<jetstream::Error>,
    },
    #[error("{doing}: the answer makes no sense: {source}")]
    Nonsense { doing: String, source: Source },
    #[error("no room before the deadline")]
    NoRoom,
    #[error("{0}")]
    Full(String),
    #[error(
        "an envelope of {bytes} bytes is more than the server takes, which is {max} with its headers"
    )]
    TooLarge { bytes: usize, max: usize },
    #[error("{0}")]
    OutcomeUnknown(String),
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
    #[error("partition {}: the envelope at offset {}: {reason}", partition.0, at.0)]
    Corrupt {
        partition: Partition,
        at: Offset,
        reason: String,
    },
    #[error("{0}")]
    BadCommit(String),
    /// The log is not what was opened any more.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    pub(crate) fn unanswered(
        doing: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unanswered {
            doing: doing.into(),
            source: Arc::new(source),
        }
    }

    /// Whether the same may work a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NotConnected(_)
            | Self::Connect { .. }
            | Self::Unanswered { .. }
            | Self::Lost { .. } => true,
            // 503: no leader at the moment, and the like.
            Self::Refused { source, .. } => source.code() >= 500,
            _ => false,
        }
    }

    pub(crate) fn code(&self) -> Option<jetstream::ErrorCode> {
        match self {
            Self::Refused { source, .. } => Some(source.error_code()),
            _ => None,
        }
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Config(fault) => Self::Invalid(fault),
            other if other.is_transient() => Self::Transient(Arc::new(other)),
            other => Self::Failed(Arc::new(other)),
        }
    }
}

impl From<Error> for PublishError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Draining,
            Error::NoRoom => Self::Busy,
            Error::Full(why) => Self::Full(why),
            Error::TooLarge { bytes, max } => Self::TooLarge { bytes, max },
            Error::Failed(_) => Self::Failed(Arc::new(error)),
            other => Self::OutcomeUnknown(Arc::new(other)),
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
                reason,
            } => Self::Corrupt {
                partition,
                at,
                reason,
            },
            Error::Failed(_) => Self::Failed(Arc::new(error)),
            other => Self::Transient(Arc::new(other)),
        }
    }
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Closed,
            Error::BadCommit(why) => Self::Invalid(why),
            Error::Failed(_) => Self::Failed(Arc::new(error)),
            other => Self::Transient(Arc::new(other)),
        }
    }
}

impl From<Error> for CloseError {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}
