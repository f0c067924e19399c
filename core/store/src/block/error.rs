//! What can be wrong with a block.

use std::{io, path::PathBuf};

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
}

impl BlockError {
    /// The file.
    pub(crate) fn path(&self) -> &std::path::Path {
        match self {
            Self::Io { path, .. } | Self::Corrupt { path, .. } => path,
        }
    }
}
