//! What a question that counts has to read: **parts**, which are chunks in memory and pieces of blocks, the newest first,
//! so that what is missing of a partial answer is old. They are read as **units**: chunks, and stretches of neighbouring
//! pieces, which share what reading a column costs once.
//!
//! A question may have a bound of its own on the rows that it looks at. What is then left out is counted, and the answer
//! is partial ([`crate::Coverage::left_out`]).

use std::{collections::BTreeMap, sync::Arc};

use super::{filter::Filter, sight::Sight, source::readable};
use crate::{
    Stop,
    block::{Block, Storable},
    chunk::TimeBounds,
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

/// The least that can be read by itself: some thousand rows.
#[derive(Debug)]
pub(super) struct Part<'s, C> {
    pub(super) place: Place<'s, C>,
    pub(super) bounds: TimeBounds,
    pub(super) rows: u64,
}

/// Where its rows are.
#[derive(Debug)]
pub(super) enum Place<'s, C> {
    Chunk(&'s Arc<C>),
    Piece {
        block: &'s Arc<Block<C>>,
        /// The number of the block among those of the snapshot.
        number: usize,
        piece: usize,
    },
}

impl<C> Place<'_, C> {
    /// Orders parts that end at the same time: what came last is the first.
    fn rank(&self) -> (usize, usize) {
        match self {
            Self::Chunk(_) => (usize::MAX, 0),
            Self::Piece { number, piece, .. } => (*number, *piece),
        }
    }
}

/// The parts that have rows in the range of which one can match, the newest first. None when the search has to end.
pub(super) fn parts<'s, C: Storable>(
    snapshot: &'s Snapshot<C>,
    filter: &Filter<'_>,
    progress: &mut Progress<'_>,
) -> Vec<Part<'s, C>> {
    let range = filter.range();
    let overlaps =
        |bounds: TimeBounds| !bounds.is_empty() && range.overlaps(bounds.first, bounds.last);
    let chunks = snapshot.chunks.iter().rev().map(|chunk| Part {
        place: Place::Chunk(chunk),
        bounds: chunk.bounds(),
        rows: chunk.rows() as u64,
    });
    let mut parts: Vec<Part<'s, C>> = chunks.filter(|part| overlaps(part.bounds)).collect();
    for (number, block) in snapshot.blocks.iter().enumerate() {
        if !overlaps(block.bounds()) {
            continue;
        }
        if !progress.look() {
            return Vec::new();
        }
        let Some(admitted) = readable(snapshot, block.admitted(filter.needs()), progress) else {
            continue;
        };
        for (piece, known) in block.pieces().iter().enumerate() {
            if !overlaps(known.bounds) {
                continue;
            }
            if !admitted.contains(piece) {
                progress.coverage.pieces_skipped += 1;
                continue;
            }
            parts.push(Part {
                place: Place::Piece {
                    block,
                    number,
                    piece,
                },
                bounds: known.bounds,
                rows: known.rows.len() as u64,
            });
        }
    }
    // Stable: of chunks that end at the same time the last one stays the first.
    parts.sort_by_key(|part| std::cmp::Reverse((part.bounds.last, part.place.rank())));
    parts
}

/// Keeps the newest parts that have so many rows together, at least one of them, and says what is left out.
pub(super) fn keep_newest<C>(
    parts: &mut Vec<Part<'_, C>>,
    rows_max: u64,
    progress: &mut Progress<'_>,
) {
    let mut rows = 0;
    let mut fits = |part: &Part<'_, C>| {
        rows += part.rows;
        rows <= rows_max
    };
    let kept = parts.iter().take_while(|part| fits(part)).count().max(1);
    let left_out: u64 = parts.iter().skip(kept).map(|part| part.rows).sum();
    parts.truncate(kept);
    progress.coverage.leave_out(left_out);
}

/// Parts as they are read.
pub(super) fn units<C: Storable>(parts: Vec<Part<'_, C>>) -> Vec<Unit<'_, C>> {
    let mut units = Vec::new();
    // Of each block: what is put together now.
    let mut stretches: BTreeMap<usize, Stretch<'_, C>> = BTreeMap::new();
    for part in parts {
        match part.place {
            Place::Chunk(chunk) => units.push(Unit::Chunk(chunk)),
            Place::Piece {
                block,
                number,
                piece,
            } => {
                let stretch = stretches.entry(number);
                let stretch = stretch.or_insert_with(|| Stretch::new(block));
                units.extend(stretch.add(piece, part.rows));
            }
        }
    }
    units.extend(
        stretches
            .into_values()
            .filter_map(|mut stretch| stretch.end()),
    );
    units
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
    /// Opens the rows; none when they cannot be read.
    pub(super) fn open(
        &self,
        snapshot: &Snapshot<C>,
        progress: &mut Progress<'_>,
    ) -> Option<Sight<'s, C>> {
        let (block, pieces) = match self {
            Self::Chunk(chunk) => {
                let chunk: &'s Arc<C> = chunk;
                return Some(Sight::Chunk(chunk));
            }
            Self::Pieces(block, pieces) => (*block, pieces),
        };
        progress.coverage.pieces_read += pieces.len() as u64;
        readable(snapshot, Sight::of_pieces(block, pieces), progress)
    }
}
