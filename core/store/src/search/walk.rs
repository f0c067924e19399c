//! The way of a search through a table: the parts in memory and on disk in the order of time, and what cannot match left
//! out: by the times of a block, by the times of its pieces, by what their filters say.
//!
//! A search takes what comes next as a **wave** of **stretches**, each some neighbouring rows of a chunk or a block, which
//! can be looked at at the same time. The first wave is a piece, and each may be twice as large as the one before: what is
//! looked at in vain is no more than what had to be looked at, and a search that goes far keeps all threads busy.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    ops::Range,
    sync::Arc,
};

use super::{filter::Filter, source::readable, units::rows_together};
use crate::{
    RecordKey, TimeRange,
    block::{Block, PieceInfo, PieceSet, Storable},
    chunk::TimeBounds,
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
pub(super) struct Walk<'s, 'q, C> {
    snapshot: &'s Snapshot<C>,
    filter: &'s Filter<'q>,
    range: TimeRange,
    order: Order,
    /// By block: the rows of the traces that the query names, when it does.
    named: HashMap<usize, Vec<u32>>,
    /// The next part of each chunk and block, the first in order on top: what is to come of a block has no entries yet.
    ahead: BinaryHeap<Reverse<Ahead>>,
    /// By block: the pieces that the query leaves, found out when the walk comes to the block.
    admitted: HashMap<usize, PieceSet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ahead {
    edge: u64,
    /// Chunks are numbered before blocks.
    source: usize,
    /// 0 of a chunk.
    piece: usize,
}

/// How much a wave has at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaveSize {
    /// Rows, unless one part alone has more.
    pub(super) rows: u64,
    /// Rows of a stretch, likewise.
    pub(super) stretch_rows: u64,
}

/// Rows of a chunk or a block to look at together.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The first time along the order that one of them can have.
    pub(super) edge: u64,
    /// Chunks are numbered before blocks.
    pub(super) source: usize,
    /// Of a block: ascending, and they do not meet. None of a chunk, which is looked at whole.
    pub(super) rows: Vec<Range<usize>>,
    /// How many they are.
    pub(super) row_count: u64,
    pub(super) pieces: u64,
}

impl<'s, 'q, C: Storable> Walk<'s, 'q, C> {
    /// A walk over the parts where a record can match.
    pub(super) fn new(
        snapshot: &'s Snapshot<C>,
        filter: &'s Filter<'q>,
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
        Self::start(snapshot, filter, filter.range(), order, named, |_| true)
    }

    /// A walk over those chunks and blocks only whose bounds are admitted.
    pub(super) fn of_sources(
        snapshot: &'s Snapshot<C>,
        filter: &'s Filter<'q>,
        range: TimeRange,
        order: Order,
        is_admitted: impl Fn(TimeBounds) -> bool,
    ) -> Self {
        let named = HashMap::new();
        Self::start(snapshot, filter, range, order, named, is_admitted)
    }

    fn start(
        snapshot: &'s Snapshot<C>,
        filter: &'s Filter<'q>,
        range: TimeRange,
        order: Order,
        named: HashMap<usize, Vec<u32>>,
        is_admitted: impl Fn(TimeBounds) -> bool,
    ) -> Self {
        let mut walk = Self {
            snapshot,
            filter,
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

    /// What comes next, in the order of time, up to a part whose edge is refused or for which there is no room. Empty when
    /// nothing is left, or when the search has to end.
    pub(super) fn wave(
        &mut self,
        size: WaveSize,
        is_refused: impl Fn(u64) -> bool,
        progress: &mut Progress<'_>,
    ) -> Vec<Stretch> {
        let mut wave: Vec<Stretch> = Vec::new();
        // By source, the last stretch of it.
        let mut last: HashMap<usize, usize> = HashMap::new();
        let mut rows = 0;
        while let Some(Reverse(next)) = self.ahead.peek().copied() {
            if is_refused(next.edge) || (rows > 0 && rows >= size.rows) {
                break;
            }
            if !progress.look() {
                return Vec::new();
            }
            self.ahead.pop();
            let Some(part) = self.part(next, progress) else {
                continue;
            };
            rows += part.row_count;
            let room = self
                .block(part.source)
                .map_or(0, |block| rows_together(block));
            let room = room.min(size.stretch_rows);
            let before = last.get(&part.source);
            match before.and_then(|number| wave.get_mut(*number)) {
                Some(before) if before.row_count + part.row_count <= room => {
                    before.row_count += part.row_count;
                    before.pieces += part.pieces;
                    before.rows.extend(part.rows);
                }
                _ => {
                    last.insert(part.source, wave.len());
                    wave.push(part);
                }
            }
        }
        for stretch in &mut wave {
            stretch.rows.sort_unstable_by_key(|rows| rows.start);
            stretch.rows = joined(std::mem::take(&mut stretch.rows));
        }
        wave
    }

    /// A part that the walk came to; none when nothing in it can match. What follows it is ahead then.
    fn part(&mut self, next: Ahead, progress: &mut Progress<'_>) -> Option<Stretch> {
        let Ahead {
            edge,
            source,
            piece,
        } = next;
        if let Some(chunk) = self.snapshot.chunks.get(source) {
            return Some(Stretch {
                edge,
                source,
                rows: Vec::new(),
                row_count: chunk.rows() as u64,
                pieces: 0,
            });
        }
        let block = self.block(source)?;
        if !self.admitted.contains_key(&source) {
            let admitted = readable(self.snapshot, block.admitted(self.filter.needs()), progress);
            // Rows can be read although the index cannot: then all of them are.
            let admitted = admitted.unwrap_or_else(|| PieceSet::all(block.pieces().len()));
            self.admitted.insert(source, admitted);
        }
        let is_admitted = |piece| {
            self.admitted
                .get(&source)
                .is_none_or(|set| set.contains(piece))
        };
        let mut following = Some(piece);
        let part = is_admitted(piece).then(|| self.stretch_of(block, edge, source, piece));
        let mut skipped = u64::from(part.is_none());
        loop {
            let next = match self.order.oldest_first {
                true => following.and_then(|piece| piece.checked_add(1)),
                false => following.and_then(|piece| piece.checked_sub(1)),
            };
            let ahead = self.ahead_in(block, source, next);
            match ahead {
                Some(ahead) if !is_admitted(ahead.piece) => {
                    skipped += 1;
                    following = Some(ahead.piece);
                }
                _ => {
                    self.ahead.extend(ahead.map(Reverse));
                    break;
                }
            }
        }
        progress.coverage.pieces_skipped += skipped;
        part
    }

    fn stretch_of(&self, block: &Block<C>, edge: u64, source: usize, piece: usize) -> Stretch {
        let rows = block.pieces().get(piece).map(|piece| piece.rows.clone());
        let rows = rows.unwrap_or_default();
        let rows = match self.named.get(&source) {
            None => std::iter::once(rows.start as usize..rows.end as usize).collect(),
            Some(named) => {
                let first = named.partition_point(|row| *row < rows.start);
                let end = named.partition_point(|row| *row < rows.end);
                let named = named.get(first..end).unwrap_or_default().iter();
                joined(named.map(|row| *row as usize..*row as usize + 1))
            }
        };
        Stretch {
            edge,
            source,
            row_count: rows.iter().map(|rows| rows.len() as u64).sum(),
            rows,
            pieces: 1,
        }
    }

    fn block(&self, source: usize) -> Option<&'s Arc<Block<C>>> {
        let number = source.checked_sub(self.snapshot.chunks.len())?;
        self.snapshot.blocks.get(number)
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

/// Ascending ranges, those that meet put together.
fn joined(ranges: impl IntoIterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
