//! The way of a search through a table: the parts in memory and on disk in the order of time, one at a time, and what
//! cannot match left out: by the times of a block, by the times of its pieces, by what their filters say.

use std::{
    cell::OnceCell,
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    rc::Rc,
    sync::Arc,
};

use super::{filter::Filter, source::readable};
use crate::{
    RecordKey, TimeRange,
    block::{Block, Columns, PieceInfo, PieceSet, Storable},
    chunk::TimeBounds,
    part::Part,
    stop::Progress,
    table::Snapshot,
};

/// The order of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) oldest_first: bool,
}

/// A key as a tuple that grows along an answer.
pub(super) type KeyInOrder = (u64, u16, u64, u32);

impl Order {
    pub(super) const NEWEST_FIRST: Self = Self {
        oldest_first: false,
    };

    /// A time as a number that grows along the answer.
    pub(super) fn time(self, time: u64) -> u64 {
        if self.oldest_first { time } else { !time }
    }

    /// A key as a tuple that grows along the answer.
    pub(super) fn key(self, key: RecordKey) -> KeyInOrder {
        let RecordKey {
            time_unix_nano: time,
            partition,
            offset,
            index,
        } = key;
        if self.oldest_first {
            (time, partition, offset, index)
        } else {
            (!time, !partition, !offset, !index)
        }
    }

    /// The key of a tuple.
    pub(super) fn key_of(self, (time, partition, offset, index): KeyInOrder) -> RecordKey {
        let key = RecordKey {
            time_unix_nano: time,
            partition,
            offset,
            index,
        };
        let (time_unix_nano, partition, offset, index) = self.key(key);
        RecordKey {
            time_unix_nano,
            partition,
            offset,
            index,
        }
    }

    /// The first time along the answer that bounds leave possible.
    fn edge(self, bounds: TimeBounds) -> u64 {
        self.time(if self.oldest_first {
            bounds.first
        } else {
            bounds.last
        })
    }
}

/// A walk over the parts of a table that have rows in a range.
#[derive(Debug)]
pub(super) struct Walk<'s, C> {
    snapshot: &'s Snapshot<C>,
    range: TimeRange,
    order: Order,
    /// By block: the rows of the traces that the query names, when it does.
    named: HashMap<usize, Vec<u32>>,
    /// The next part of each chunk and block, the first in order on top: what is to come of a block has no entries yet.
    ahead: BinaryHeap<Reverse<Ahead>>,
    /// By block: the pieces that the query leaves, found out at the first of them that is to be read.
    admitted: HashMap<usize, Rc<OnceCell<PieceSet>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ahead {
    edge: u64,
    /// Chunks are numbered before blocks.
    source: usize,
    /// 0 of a chunk.
    piece: usize,
}

/// A part that a walk came to.
#[derive(Debug)]
pub(super) struct Step<'s, C> {
    snapshot: &'s Snapshot<C>,
    /// The first time along the order that it can have.
    pub(super) edge: u64,
    pub(super) part: Part<C>,
    /// Shared by the steps of a block.
    admitted: Rc<OnceCell<PieceSet>>,
}

/// The rows of a part.
#[derive(Debug)]
pub(super) struct Loaded<C> {
    pub(super) chunk: Arc<C>,
    /// Whether it is all columns, and a table of traces with them.
    pub(super) in_memory: bool,
}

impl<'s, C: Storable> Walk<'s, C> {
    /// A walk over the parts where a record can match.
    pub(super) fn new(
        snapshot: &'s Snapshot<C>,
        filter: &Filter<'_>,
        order: Order,
        progress: &mut Progress<'_>,
    ) -> Self {
        let mut named = HashMap::new();
        for (number, block) in snapshot.blocks.iter().enumerate() {
            let Some(traces) = filter.traces() else {
                break;
            };
            let mut rows = Vec::new();
            for id in traces {
                let of_trace = readable(snapshot, block.rows_of_trace(*id), progress);
                rows.extend(of_trace.into_iter().flatten());
            }
            rows.sort_unstable();
            named.insert(snapshot.chunks.len() + number, rows);
        }
        Self::start(snapshot, filter.range(), order, named, |_| true)
    }

    /// A walk over those chunks and blocks only whose bounds are admitted.
    pub(super) fn of_sources(
        snapshot: &'s Snapshot<C>,
        range: TimeRange,
        order: Order,
        is_admitted: impl Fn(TimeBounds) -> bool,
    ) -> Self {
        Self::start(snapshot, range, order, HashMap::new(), is_admitted)
    }

    fn start(
        snapshot: &'s Snapshot<C>,
        range: TimeRange,
        order: Order,
        named: HashMap<usize, Vec<u32>>,
        is_admitted: impl Fn(TimeBounds) -> bool,
    ) -> Self {
        let mut walk = Self {
            snapshot,
            range,
            order,
            named,
            ahead: BinaryHeap::new(),
            admitted: HashMap::new(),
        };
        let is_admitted = |bounds| walk.overlaps(bounds) && is_admitted(bounds);
        let of_chunk = |(source, chunk): (usize, &Arc<C>)| {
            let bounds = chunk.bounds();
            is_admitted(bounds).then(|| Ahead {
                edge: order.edge(bounds),
                source,
                piece: 0,
            })
        };
        let of_block = |(number, block): (usize, &Arc<Block<C>>)| {
            let first = if order.oldest_first {
                Some(0)
            } else {
                block.pieces().len().checked_sub(1)
            };
            let source = snapshot.chunks.len() + number;
            is_admitted(block.bounds())
                .then(|| walk.ahead_in(block, source, first))
                .flatten()
        };
        let chunks = snapshot.chunks.iter().enumerate().filter_map(of_chunk);
        let blocks = snapshot.blocks.iter().enumerate().filter_map(of_block);
        let ahead: Vec<Reverse<Ahead>> = chunks.chain(blocks).map(Reverse).collect();
        walk.ahead = ahead.into();
        walk
    }

    /// The first time in the order that a part to come can have.
    pub(super) fn time_ahead(&self) -> Option<u64> {
        // Turning a time into a number that grows along the order is its own inverse.
        let time = |Reverse(ahead): &Reverse<Ahead>| self.order.time(ahead.edge);
        self.ahead.peek().map(time)
    }

    fn overlaps(&self, bounds: TimeBounds) -> bool {
        !bounds.is_empty() && self.range.overlaps(bounds.first, bounds.last)
    }

    /// Whether a piece has a row in the range, and one of the traces that are named.
    fn admits(&self, source: usize, piece: &PieceInfo) -> bool {
        let has_named = |rows: &Vec<u32>| {
            let first = rows.partition_point(|row| *row < piece.rows.start);
            rows.get(first).is_some_and(|row| *row < piece.rows.end)
        };
        self.overlaps(piece.bounds) && self.named.get(&source).is_none_or(has_named)
    }

    /// The first piece of a block, from this one along the order, that is admitted.
    fn ahead_in(&self, block: &Block<C>, source: usize, from: Option<usize>) -> Option<Ahead> {
        let pieces = block.pieces();
        let is_admitted = |piece: &usize| {
            let piece = pieces.get(*piece);
            piece.is_some_and(|piece| self.admits(source, piece))
        };
        let piece = if self.order.oldest_first {
            (from?..pieces.len()).find(is_admitted)
        } else {
            (0..=from?).rev().find(is_admitted)
        };
        let bounds = pieces.get(piece?)?.bounds;
        Some(Ahead {
            edge: self.order.edge(bounds),
            source,
            piece: piece?,
        })
    }
}

impl<'s, C: Storable> Iterator for Walk<'s, C> {
    type Item = Step<'s, C>;

    fn next(&mut self) -> Option<Step<'s, C>> {
        let Reverse(Ahead {
            edge,
            source,
            piece,
        }) = self.ahead.pop()?;
        let snapshot = self.snapshot;
        let part = match snapshot.chunks.get(source) {
            Some(chunk) => Part::Chunk(Arc::clone(chunk)),
            None => {
                let block = snapshot.blocks.get(source - snapshot.chunks.len())?;
                let following = match self.order.oldest_first {
                    true => piece.checked_add(1),
                    false => piece.checked_sub(1),
                };
                let following = self.ahead_in(block, source, following);
                self.ahead.extend(following.map(Reverse));
                Part::Piece {
                    block: Arc::clone(block),
                    piece,
                }
            }
        };
        Some(Step {
            snapshot,
            edge,
            part,
            admitted: Rc::clone(self.admitted.entry(source).or_default()),
        })
    }
}

impl<C: Storable> Step<'_, C> {
    /// Reads the rows, with at least these columns; none when none can match, or when they cannot be read.
    pub(super) fn read(
        &self,
        filter: &Filter<'_>,
        columns: &Columns,
        progress: &mut Progress<'_>,
    ) -> Option<Loaded<C>> {
        let (block, piece) = match &self.part {
            Part::Piece { block, piece } => (block, *piece),
            Part::Chunk(chunk) => {
                return Some(Loaded {
                    chunk: Arc::clone(chunk),
                    in_memory: true,
                });
            }
        };
        let admitted = self.admitted.get_or_init(|| {
            let admitted = readable(self.snapshot, block.admitted(filter.needs()), progress);
            // Rows can be read although the index cannot: then all of them are.
            admitted.unwrap_or_else(|| PieceSet::all(block.pieces().len()))
        });
        if !admitted.contains(piece) {
            progress.coverage.pieces_skipped += 1;
            return None;
        }
        progress.coverage.pieces_read += 1;
        progress.read(self.part.bytes_on_disk());
        let chunk = readable(self.snapshot, self.part.read(columns), progress)?;
        Some(Loaded {
            chunk,
            in_memory: false,
        })
    }
}
