//! What can go wrong in a journal, and which decision of the caller it is.

use std::{fmt, io, path::PathBuf, sync::Arc};

use log_tracer_transport::{
    CloseError, CommitError, Offset, OpenError, Partition, PublishError, ReadError,
};

/// Everything that goes wrong after the arguments were found to be sound.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the journal is closed")]
    Closed,
    #[error("no room before the deadline")]
    NoRoom,
    #[error("{0}")]
    Full(String),
    #[error("a publish of {bytes} bytes never fits: half of retained_bytes_max is {max}")]
    NeverFits { bytes: u64, max: u64 },
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
    #[error("partition {}: the envelope at offset {}: {damage}", partition.0, at.0)]
    Corrupt {
        partition: Partition,
        at: Offset,
        damage: Damage,
    },
    #[error("partition {}: no segment has offset {}", partition.0, at.0)]
    Missing { partition: Partition, at: Offset },
    #[error("there are {max} groups already")]
    TooManyGroups { max: usize },
    #[error("{doing}: {source}")]
    Io {
        doing: String,
        source: Arc<io::Error>,
    },
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    #[error("{0}")]
    Unusable(String),
    #[error(
        "the directory {} is in use by another process{}",
        directory.display(),
        holder.as_ref().map(|holder| format!(" ({holder})")).unwrap_or_default()
    )]
    Locked {
        directory: PathBuf,
        holder: Option<String>,
    },
    #[error("{0}")]
    OutcomeUnknown(Arc<Error>),
    #[error("writing failed earlier, and what is on the disk since is unknown: {0}")]
    Failed(Arc<Error>),
    #[error("a part of the journal stopped: {0}")]
    Stopped(&'static str),
}

impl Error {
    pub(crate) fn io(doing: impl fmt::Display, source: io::Error) -> Self {
        Self::Io {
            doing: doing.to_string(),
            source: Arc::new(source),
        }
    }
}

/// A place in a file that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The name of the file in the directory of the journal.
    pub file: String,
    /// Where in the file, in bytes.
    pub at: u64,
    /// What does not fit.
    pub what: String,
}

impl Damage {
    pub(crate) fn new(file: &str, at: u64, what: impl fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            at,
            what: what.to_string(),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.file, self.at, self.what)
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Locked { .. } => Self::Transient(Arc::new(error)),
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
            Error::OutcomeUnknown(error) => Self::OutcomeUnknown(error),
            Error::Failed(_) | Error::Stopped(_) => Self::Failed(Arc::new(error)),
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
                damage,
            } => Self::Corrupt {
                partition,
                at,
                reason: damage.to_string(),
            },
            Error::Missing { partition, at } => Self::Corrupt {
                partition,
                at,
                reason: error.to_string(),
            },
            Error::Io { .. } => Self::Transient(Arc::new(error)),
            Error::Failed(_) | Error::Stopped(_) => Self::Failed(Arc::new(error)),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Closed,
            Error::Failed(_) | Error::Stopped(_) => Self::Failed(Arc::new(error)),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<Error> for CloseError {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}
