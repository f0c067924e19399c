//! What a question that counts has to read, cut into units: chunks in memory, and stretches of neighbouring pieces, which
//! share what reading a column costs once. The newest come first, so that what is missing of a partial answer is old.

use std::sync::Arc;

use super::{filter::Filter, sight::Sight, source::readable};
use crate::{
    Stop,
    block::{Block, BlockError, Storable},
    pool::ScanPool,
    stop::Progress,
    table::Snapshot,
};

/// Rows of a stretch at most, unless one piece has more.
pub(super) const STRETCH_ROWS: u64 = 1 << 16;

/// Bytes on disk of the rows of a stretch at most, likewise: what is read of them takes several times as much memory.
const STRETCH_BYTES: u64 = 4 << 20;

/// Rows of a block that are looked at together at most, unless one piece has more.
pub(super) fn rows_together<C: Storable>(block: &Block<C>) -> u64 {
    let row_bytes = block.info().bytes / block.info().rows.max(1);
    STRETCH_ROWS.min(STRETCH_BYTES / row_bytes.max(1))
}

/// What a question is asked with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) pool: &'a ScanPool,
    /// Bytes that the answer may take while it is worked out.
    pub(crate) answer_bytes_max: u64,
    pub(crate) stop: &'a Stop,
}

/// Rows to look at together.
#[derive(Debug)]
pub(super) enum Unit<'s, C> {
    Chunk(&'s Arc<C>),
    /// Pieces of a block, ascending.
    Pieces(&'s Arc<Block<C>>, Vec<usize>),
}

/// The units of all that has rows in the range, those pieces left out that `is_done` says need not be read. Empty when
/// the search has to end.
pub(super) fn units<'s, C: Storable>(
    snapshot: &'s Snapshot<C>,
    filter: &Filter<'_>,
    progress: &mut Progress<'_>,
    mut is_done: impl FnMut(&Block<C>, usize, &mut Progress<'_>) -> Result<bool, BlockError>,
) -> Vec<Unit<'s, C>> {
    let range = filter.range();
    let mut units = Vec::new();
    for chunk in snapshot.chunks.iter().rev() {
        let bounds = chunk.bounds();
        if !bounds.is_empty() && range.overlaps(bounds.first, bounds.last) {
            units.push(Unit::Chunk(chunk));
        }
    }
    let mut blocks: Vec<&Arc<Block<C>>> = snapshot.blocks.iter().collect();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.bounds().last));
    for block in blocks {
        let bounds = block.bounds();
        if !range.overlaps(bounds.first, bounds.last) {
            continue;
        }
        let named = named_rows(snapshot, block, filter, progress);
        let mut stretch = Stretch::new(block);
        for (number, piece) in block.pieces().iter().enumerate().rev() {
            let bounds = piece.bounds;
            let has_named = named.as_ref().is_none_or(|rows| {
                let first = rows.partition_point(|row| *row < piece.rows.start);
                rows.get(first).is_some_and(|row| *row < piece.rows.end)
            });
            if !has_named || !range.overlaps(bounds.first, bounds.last) {
                continue;
            }
            if !progress.look() {
                return Vec::new();
            }
            let is_done = is_done(block, number, progress);
            if readable(snapshot, is_done, progress) == Some(false) {
                units.extend(stretch.add(number, piece.rows.len() as u64));
            }
        }
        units.extend(stretch.end());
    }
    units
}

/// The rows of the traces that a query names, when it does.
fn named_rows<C: Storable>(
    snapshot: &Snapshot<C>,
    block: &Block<C>,
    filter: &Filter<'_>,
    progress: &mut Progress<'_>,
) -> Option<Vec<u32>> {
    let mut rows = Vec::new();
    for id in filter.traces()? {
        let of_trace = readable(snapshot, block.rows_of_trace(*id), progress);
        rows.extend(of_trace.into_iter().flatten());
    }
    rows.sort_unstable();
    Some(rows)
}

/// Pieces that are put together, from the last one on.
struct Stretch<'s, C> {
    block: &'s Arc<Block<C>>,
    rows_max: u64,
    rows: u64,
    pieces: Vec<usize>,
}

impl<'s, C: Storable> Stretch<'s, C> {
    fn new(block: &'s Arc<Block<C>>) -> Self {
        Self {
            block,
            rows_max: rows_together(block),
            rows: 0,
            pieces: Vec::new(),
        }
    }

    /// Adds a piece. Answers those before when there is no more room for it.
    fn add(&mut self, piece: usize, rows: u64) -> Option<Unit<'s, C>> {
        let full = (self.rows + rows > self.rows_max)
            .then(|| self.end())
            .flatten();
        self.rows += rows;
        self.pieces.push(piece);
        full
    }

    fn end(&mut self) -> Option<Unit<'s, C>> {
        self.rows = 0;
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.reverse();
        (!pieces.is_empty()).then_some(Unit::Pieces(self.block, pieces))
    }
}

impl<'s, C: Storable> Unit<'s, C> {
    /// Opens the rows where something can match; none when nothing can, or when they cannot be read.
    pub(super) fn open(
        &self,
        snapshot: &Snapshot<C>,
        filter: &Filter<'_>,
        progress: &mut Progress<'_>,
    ) -> Option<Sight<'s, C>> {
        let (block, pieces) = match self {
            Self::Chunk(chunk) => {
                let chunk: &'s Arc<C> = chunk;
                return Some(Sight::Chunk(chunk));
            }
            Self::Pieces(block, pieces) => (*block, pieces),
        };
        let possible = readable(snapshot, block.admitted(filter.needs()), progress)?;
        let mut admitted = pieces.clone();
        admitted.retain(|piece| possible.contains(*piece));
        progress.coverage.pieces_skipped += (pieces.len() - admitted.len()) as u64;
        if admitted.is_empty() {
            return None;
        }
        progress.coverage.pieces_read += admitted.len() as u64;
        readable(snapshot, Sight::of_pieces(block, &admitted), progress)
    }
}
