//! The rows of one trace, from memory and from blocks, in the order of their keys and a little at a time: a trace of
//! millions of rows takes no more memory than what is kept of it.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut},
    sync::Arc,
};

use super::source::{Source, readable, sources};
use crate::{
    RecordKey,
    block::{Block, BlockError, Columns, Storable},
    stop::Progress,
    table::Snapshot,
};

/// Rows of a block that are read at once: of whole rows, and of a few columns, of which a row takes little. A page that
/// two batches share is read twice.
const BATCH_ROWS: usize = 1024;
pub(super) const NARROW_BATCH_ROWS: usize = 32 << 10;

/// Goes through the rows of a trace.
#[derive(Debug)]
pub(super) struct RowsOfTrace<'s, C> {
    snapshot: &'s Snapshot<C>,
    columns: Columns,
    batch_rows: usize,
    /// Those of memory first.
    streams: Vec<Stream<'s, C>>,
    /// Each stream by the least key that its next row can have.
    ahead: BinaryHeap<Reverse<(RecordKey, usize)>>,
    row_count: u64,
}

/// The rows of a trace in one place, by their keys.
#[derive(Debug)]
enum Stream<'s, C> {
    Memory(std::vec::IntoIter<(RecordKey, &'s Arc<C>, u32)>),
    Block {
        block: &'s Arc<Block<C>>,
        /// Their numbers in the block that are not read yet.
        rows: std::vec::IntoIter<u32>,
        /// Those that were read last, and how many of them went by.
        batch: Option<Arc<C>>,
        next: usize,
    },
}

impl<'s, C: Storable> RowsOfTrace<'s, C> {
    /// Finds the rows in each place, ascending. Reads them, with at least these columns, as they are asked for: hardly more
    /// than `wanted`.
    pub(super) fn found(
        snapshot: &'s Snapshot<C>,
        find: impl Fn(Source<'s, C>, &mut Progress<'_>) -> Result<Cow<'s, [u32]>, BlockError>,
        columns: Columns,
        wanted: usize,
        progress: &mut Progress<'_>,
    ) -> Self {
        let mut in_memory = Vec::new();
        let mut streams = Vec::new();
        let mut ahead = BinaryHeap::new();
        let mut row_count = 0;
        for source in sources(snapshot) {
            let found = find(source, progress);
            let rows = readable(snapshot, found, progress);
            let rows = rows.unwrap_or_default();
            row_count += rows.len() as u64;
            match source {
                Source::Chunk(chunk) => {
                    let rows = rows.iter().copied();
                    in_memory.extend(rows.map(|row| (chunk.key(row as usize), chunk, row)));
                }
                Source::Block(block) if !rows.is_empty() => {
                    ahead.push(Reverse((least_key(block), streams.len())));
                    streams.push(Stream::Block {
                        block,
                        rows: rows.into_owned().into_iter(),
                        batch: None,
                        next: 0,
                    });
                }
                Source::Block(_) => {}
            }
        }
        in_memory.sort_unstable_by_key(|(key, ..)| *key);
        ahead.extend(
            in_memory
                .first()
                .map(|(key, ..)| Reverse((*key, streams.len()))),
        );
        streams.push(Stream::Memory(in_memory.into_iter()));
        Self {
            snapshot,
            batch_rows: wanted.clamp(
                1,
                match columns.all {
                    true => BATCH_ROWS,
                    false => NARROW_BATCH_ROWS,
                },
            ),
            columns: Columns {
                keys: true,
                ..columns
            },
            streams,
            ahead,
            row_count,
        }
    }

    /// How many rows there are, read or not.
    pub(super) fn row_count(&self) -> u64 {
        self.row_count
    }

    /// The next row; none at the end, or when the search has to end.
    pub(super) fn next(&mut self, progress: &mut Progress<'_>) -> Option<(Arc<C>, usize)> {
        loop {
            // Mostly the same stream goes on, and then nothing has to be moved.
            let mut first = self.ahead.peek_mut()?;
            let Reverse((key, number)) = *first;
            let (found, next_key) = match self.streams.get_mut(number)? {
                Stream::Memory(rows) => {
                    let (_, chunk, row) = rows.next()?;
                    let next = rows.as_slice().first().map(|(key, ..)| *key);
                    (Some((Arc::clone(chunk), row as usize)), next)
                }
                Stream::Block {
                    block,
                    rows,
                    batch,
                    next,
                } => {
                    if let Some(chunk) = batch.take_if(|chunk| *next < chunk.rows()) {
                        let row = *next;
                        *next += 1;
                        let key = match *next < chunk.rows() {
                            true => Some(chunk.key(*next)),
                            false => (!rows.as_slice().is_empty()).then_some(key),
                        };
                        *batch = Some(Arc::clone(&chunk));
                        (Some((chunk, row)), key)
                    } else {
                        if !progress.look() {
                            return None;
                        }
                        let numbers: Vec<u32> = rows.take(self.batch_rows).collect();
                        let taken = block.take(&numbers, &self.columns);
                        *batch = readable(self.snapshot, taken, progress).map(Arc::new);
                        *next = 0;
                        let first = batch.as_ref().map(|chunk| chunk.key(0));
                        (None, first.or((!rows.as_slice().is_empty()).then_some(key)))
                    }
                }
            };
            match next_key {
                Some(key) => *first = Reverse((key, number)),
                None => drop(PeekMut::pop(first)),
            }
            if found.is_some() {
                return progress.scan(1).then_some(found).flatten();
            }
        }
    }
}

fn least_key<C: Storable>(block: &Block<C>) -> RecordKey {
    RecordKey {
        time_unix_nano: block.bounds().first,
        partition: 0,
        offset: 0,
        index: 0,
    }
}

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowRef {
    pub(super) chunk_number: u32,
    pub(super) row: u32,
}

/// Rows where they are stored, and the chunks that they are in, and no others: an answer must not keep alive what the
/// store evicts meanwhile.
#[derive(Debug)]
pub(super) struct Gathered<C> {
    pub(super) chunks: Vec<Arc<C>>,
    pub(super) rows: Vec<RowRef>,
}

/// Gathers rows.
#[derive(Debug)]
pub(super) struct Gatherer<C> {
    gathered: Gathered<C>,
    /// The number of each chunk, by where it is in memory; and the last of them, since rows of a chunk often stand together.
    numbers: HashMap<usize, u32>,
    last: Option<(usize, u32)>,
}

impl<C> Clone for Gathered<C> {
    fn clone(&self) -> Self {
        Self {
            chunks: self.chunks.clone(),
            rows: self.rows.clone(),
        }
    }
}

impl<C> Default for Gathered<C> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            rows: Vec::new(),
        }
    }
}

impl<C> Default for Gatherer<C> {
    fn default() -> Self {
        Self {
            gathered: Gathered::default(),
            numbers: HashMap::new(),
            last: None,
        }
    }
}

impl<C> Gatherer<C> {
    pub(super) fn add(&mut self, chunk: Arc<C>, row: usize) -> RowRef {
        let Gathered { chunks, rows } = &mut self.gathered;
        let address = Arc::as_ptr(&chunk).addr();
        let chunk_number = match self.last {
            Some((last, number)) if last == address => number,
            _ => *self.numbers.entry(address).or_insert_with(|| {
                chunks.push(chunk);
                (chunks.len() - 1) as u32
            }),
        };
        self.last = Some((address, chunk_number));
        let place = RowRef {
            chunk_number,
            row: row as u32,
        };
        rows.push(place);
        place
    }

    pub(super) fn rows(&self) -> usize {
        self.gathered.rows.len()
    }

    pub(super) fn get(&self, place: RowRef) -> Option<(&C, usize)> {
        self.gathered.get(place)
    }

    pub(super) fn end(self) -> Gathered<C> {
        self.gathered
    }
}

impl<C> Gathered<C> {
    pub(super) fn get(&self, place: RowRef) -> Option<(&C, usize)> {
        let chunk = self.chunks.get(place.chunk_number as usize)?;
        Some((chunk, place.row as usize))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&C, usize)> + '_ {
        self.rows.iter().filter_map(|place| self.get(*place))
    }
}
