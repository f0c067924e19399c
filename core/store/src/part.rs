//! What a search goes through: chunks in memory and pieces of blocks on disk, in one shape.

use std::sync::Arc;

use crate::{
    block::{Block, BlockError, Columns, Storable},
    chunk::TimeBounds,
};

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
    pub(crate) fn bounds(&self) -> TimeBounds {
        match self {
            Self::Chunk(chunk) => chunk.bounds(),
            Self::Piece { block, piece } => block
                .pieces()
                .get(*piece)
                .map_or_else(TimeBounds::default, |piece| piece.bounds),
        }
    }

    pub(crate) fn row_count(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.rows() as u64,
            Self::Piece { block, piece } => block
                .pieces()
                .get(*piece)
                .map_or(0, |piece| piece.rows.len() as u64),
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
