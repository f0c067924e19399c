//! What can go wrong with a cluster, and which decision of the caller it is.

use std::{sync::Arc, time::Duration};

use fluvio_protocol::link::ErrorCode;
use log_tracer_transport::{
    CommitError, LogId, Offset, OpenError, Partition, PublishError, ReadError,
};

/// Everything that goes wrong after the arguments were found to be sound.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the transport is closed")]
    Closed,
    #[error("no answer from {what} within {after:?}")]
    Timeout { what: String, after: Duration },
    #[error("no connection to {what}: {reason}")]
    Connect { what: String, reason: String },
    #[error("{what}: {reason}")]
    Io { what: String, reason: String },
    #[error("{what} answered: {code}")]
    Answer { what: String, code: ErrorCode },
    #[error(
        "{what} speaks another version of the protocol: it knows no {request}, which this client needs"
    )]
    Version { what: String, request: &'static str },
    #[error("{0}")]
    Topic(String),
    #[error("topic {topic} does not exist; create it with: {command}")]
    MissingTopic { topic: String, command: String },
    #[error("partition {partition} of topic {topic} has no leader")]
    NoLeader { topic: String, partition: u16 },
    #[error("partition {}: offset {} is no longer kept, the first is {}", partition.0, wanted.0, first.0)]
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
    #[error("partition {}: offset {}: {reason}", partition.0, at.0)]
    Corrupt {
        partition: Partition,
        at: Offset,
        reason: String,
    },
    #[error("{0}")]
    Invalid(String),
    #[error(
        "topic {topic} was deleted and made anew: it was the log {was}, and now it is {}; open it again",
        is.map_or_else(|| "another one".to_owned(), |id| id.to_string())
    )]
    Recreated {
        topic: String,
        was: LogId,
        is: Option<LogId>,
    },
    #[error("the ledger of topic {topic} cannot be read at offset {at}: {reason}")]
    Ledger {
        topic: String,
        at: u64,
        reason: String,
    },
}

impl Error {
    /// Whether only the next incarnation of the transport can do better.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Recreated { .. })
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Topic(text) | Error::Invalid(text) => Self::Invalid(text),
            missing @ Error::MissingTopic { .. } => Self::Invalid(missing.to_string()),
            version @ Error::Version { .. } => Self::Failed(Arc::new(version)),
            ledger @ Error::Ledger { .. } => Self::Failed(Arc::new(ledger)),
            other => Self::Transient(Arc::new(other)),
        }
    }
}

impl From<Error> for PublishError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Draining,
            Error::Invalid(text) => Self::Invalid(text),
            lost @ Error::Recreated { .. } => Self::Failed(Arc::new(lost)),
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
            Error::Invalid(text) => Self::Invalid(text),
            lost @ (Error::Recreated { .. } | Error::Ledger { .. }) => Self::Failed(Arc::new(lost)),
            other => Self::Transient(Arc::new(other)),
        }
    }
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Closed,
            Error::Invalid(text) => Self::Invalid(text),
            lost @ (Error::Recreated { .. } | Error::Ledger { .. }) => Self::Failed(Arc::new(lost)),
            other => Self::Transient(Arc::new(other)),
        }
    }
}
