//! What a search goes through: chunks in memory and pieces of blocks on disk, in one shape.

use std::sync::Arc;

use crate::block::{Block, BlockError, Columns, Storable};

/// Some thousand rows, in memory or on disk.
#[derive(Debug)]
pub(crate) enum Part<C> {
    /// In memory.
    Chunk(Arc<C>),
    /// On disk.
    Piece {
        /// Of which block.
        block: Arc<Block<C>>,
        /// Its number there.
        piece: usize,
    },
}

impl<C> Clone for Part<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Chunk(chunk) => Self::Chunk(Arc::clone(chunk)),
            Self::Piece { block, piece } => Self::Piece {
                block: Arc::clone(block),
                piece: *piece,
            },
        }
    }
}

impl<C: Storable> Part<C> {
    /// About how many bytes on disk the rows take; none in memory.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        match self {
            Self::Chunk(_) => 0,
            Self::Piece { block, piece } => {
                let rows = block
                    .pieces()
                    .get(*piece)
                    .map_or(0, |piece| piece.rows.len());
                block.info().bytes / block.info().rows.max(1) * rows as u64
            }
        }
    }

    /// The rows, with at least the columns that are asked for.
    pub(crate) fn read(&self, columns: &Columns) -> Result<Arc<C>, BlockError> {
        match self {
            Self::Chunk(chunk) => Ok(Arc::clone(chunk)),
            Self::Piece { block, piece } => block.read(*piece, columns),
        }
    }
}
