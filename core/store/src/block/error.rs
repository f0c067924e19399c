//! What can be wrong with a block.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a block cannot be written or read. Names the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// What stands in the file is not what was written there.
    #[error("{} is corrupt: {reason}", path.display())]
    Corrupt { path: PathBuf, reason: String },
    /// The rows cannot be written in this form; nothing was changed.
    #[error("{} cannot be written: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String },
}

impl BlockError {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Corrupt { path, .. } | Self::Unwritable { path, .. } => {
                path
            }
        }
    }

    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn corrupt(path: &Path, reason: impl fmt::Display) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn unwritable(path: &Path, reason: impl fmt::Display) -> Self {
        Self::Unwritable {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// What is wrong with bytes, by those who do not know of which file they are.
#[derive(Debug)]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<log_tracer_sketch::Malformed> for Malformed {
    fn from(error: log_tracer_sketch::Malformed) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<arrow_schema::ArrowError> for Malformed {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self(error.to_string())
    }
}

impl From<parquet::errors::ParquetError> for Malformed {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self(error.to_string())
    }
}
