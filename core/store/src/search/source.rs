//! Where rows are: a chunk in memory or a block on disk, whole, with what is known of it without reading a row.

use std::{borrow::Cow, sync::Arc};

use crate::{
    block::{Block, BlockError, Columns, OperationCount, ServiceCount, Storable, TraceEntry},
    chunk::{Chunk, SpanChunk, TimeBounds},
    stop::Progress,
    table::Snapshot,
};

/// A chunk or a block.
#[derive(Debug)]
pub(super) enum Source<'s, C> {
    Chunk(&'s Arc<C>),
    Block(&'s Arc<Block<C>>),
}

impl<C> Clone for Source<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Source<'_, C> {}

/// Rows that were taken: in a chunk, their places there in the order in which they were asked for.
#[derive(Debug)]
pub(super) struct Taken<C> {
    pub(super) chunk: Arc<C>,
    pub(super) rows: Vec<u32>,
}

/// All chunks and blocks of a snapshot.
pub(super) fn sources<C>(snapshot: &Snapshot<C>) -> impl Iterator<Item = Source<'_, C>> {
    let chunks = snapshot.chunks.iter().map(Source::Chunk);
    chunks.chain(snapshot.blocks.iter().map(Source::Block))
}

/// What was read from a block; none when it cannot be read, and then the answer is partial and says of which file.
pub(super) fn readable<C, T>(
    snapshot: &Snapshot<C>,
    read: Result<T, BlockError>,
    progress: &mut Progress<'_>,
) -> Option<T> {
    read.inspect_err(|error| progress.coverage.miss(snapshot.faults.note(error)))
        .ok()
}

impl<'s, C: Storable> Source<'s, C> {
    pub(super) fn bounds(self) -> TimeBounds {
        match self {
            Self::Chunk(chunk) => chunk.bounds(),
            Self::Block(block) => block.bounds(),
        }
    }

    pub(super) fn services(self) -> Result<Vec<ServiceCount>, BlockError> {
        match self {
            Self::Chunk(chunk) => Ok(chunk.service_counts()),
            Self::Block(block) => block.services(),
        }
    }

    pub(super) fn operations(self) -> Result<Vec<OperationCount>, BlockError> {
        match self {
            Self::Chunk(chunk) => Ok(chunk.operation_counts()),
            Self::Block(block) => block.operations(),
        }
    }

    /// Some rows, named by their numbers here, with at least these columns.
    pub(super) fn take(self, rows: &[u32], columns: &Columns) -> Result<Taken<C>, BlockError> {
        match self {
            Self::Chunk(chunk) => Ok(Taken {
                chunk: Arc::clone(chunk),
                rows: rows.to_vec(),
            }),
            Self::Block(block) => Ok(Taken {
                chunk: Arc::new(block.take(rows, columns)?),
                rows: (0..rows.len() as u32).collect(),
            }),
        }
    }

    /// The rows of a trace, ascending.
    pub(super) fn rows_of_trace(self, id: u128) -> Result<Cow<'s, [u32]>, BlockError> {
        match self {
            Self::Chunk(chunk) => Ok(Cow::Borrowed(chunk.traces().rows_of(id))),
            Self::Block(block) => block.rows_of_trace(id).map(Cow::Owned),
        }
    }
}

impl Source<'_, SpanChunk> {
    /// What is known of the spans of a trace here; none when there are none.
    pub(super) fn trace(self, id: u128) -> Result<Option<TraceEntry>, BlockError> {
        match self {
            Self::Chunk(chunk) => {
                let place = chunk.traces().place_of(id);
                Ok(place.and_then(|place| chunk.trace_entry(place)))
            }
            Self::Block(block) => block.trace(id),
        }
    }

    /// Every trace that has a span here, ascending.
    pub(super) fn traces(self) -> Result<Vec<TraceEntry>, BlockError> {
        self.traces_with(|_| true)
    }

    /// Those whose ids are wanted, ascending.
    pub(super) fn traces_with(
        self,
        is_wanted: impl Fn(u128) -> bool,
    ) -> Result<Vec<TraceEntry>, BlockError> {
        match self {
            Self::Chunk(chunk) => {
                let ids = chunk.traces().ids().iter().enumerate();
                let wanted = ids.filter(|(_, id)| is_wanted(**id));
                Ok(wanted
                    .filter_map(|(place, _)| chunk.trace_entry(place))
                    .collect())
            }
            Self::Block(block) => block.traces_with(is_wanted),
        }
    }
}
