//! Finds the best records of what is to be looked at.

use std::{cmp::Ordering, collections::BinaryHeap, ops::Range, sync::Arc};

use log_tracer_query::RowSet;

use super::Place;
use crate::{
    RecordKey, Stop,
    block::{Block, BlockError, Columns, PAGE_ROWS, Scan, Storable},
    search::{
        filter::Filter,
        sight::Sight,
        source::readable,
        walk::{Order, Stretch, WaveSize},
    },
    stop::Progress,
    table::Snapshot,
};

/// The best records so far, as many as there is room for.
#[derive(Debug)]
pub(super) struct Best {
    order: Order,
    after: Option<RecordKey>,
    room: usize,
    /// The worst of them on top.
    places: BinaryHeap<Place>,
    /// What is worse than this time along the order is not among the best of all, whatever is found here.
    bound: Option<u64>,
}

impl Best {
    pub(super) fn new(order: Order, after: Option<RecordKey>, room: usize) -> Self {
        Self {
            order,
            after,
            room,
            places: BinaryHeap::new(),
            bound: None,
        }
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    pub(super) fn len(&self) -> u64 {
        self.places.len() as u64
    }

    /// How many more there is room for.
    pub(super) fn wanted(&self) -> u64 {
        self.room.saturating_sub(self.places.len()) as u64
    }

    /// None yet, for another thread.
    pub(super) fn fork(&self) -> Self {
        let worst = self.places.peek().filter(|_| self.wanted() == 0);
        Self {
            bound: worst.map(|worst| worst.key.0),
            ..Self::new(self.order, self.after, self.room)
        }
    }

    pub(super) fn absorb(&mut self, others: Self) {
        others
            .places
            .into_iter()
            .for_each(|place| self.offer(place));
    }

    /// In the order of the answer.
    pub(super) fn into_places(self) -> Vec<Place> {
        self.places.into_sorted_vec()
    }

    /// Whether no record of this time, as a number that grows along the answer, can be among the best.
    #[inline]
    pub(super) fn refuses_time(&self, time: u64) -> bool {
        let is_full = self.places.len() >= self.room;
        self.bound.is_some_and(|bound| time > bound)
            || is_full && self.places.peek().is_none_or(|worst| time > worst.key.0)
    }

    fn offer(&mut self, place: Place) {
        self.places.push(place);
        if self.places.len() > self.room {
            self.places.pop();
        }
    }

    /// How a time is to the record that the answer comes after.
    #[inline]
    fn to_after(&self, time: u64) -> Ordering {
        let order = self.order;
        self.after.map_or(Ordering::Greater, |after| {
            order.time(time).cmp(&order.time(after.time_unix_nano))
        })
    }

    fn is_after(&self, key: RecordKey) -> bool {
        let order = self.order;
        self.after
            .is_none_or(|after| order.key(key) > order.key(after))
    }
}

/// What one thread finds of a wave.
#[derive(Debug)]
pub(super) struct Finder<'s, 'q, C> {
    snapshot: &'s Snapshot<C>,
    filter: &'s Filter<'q>,
    best: Best,
    /// Rows of a stretch that are hoped to be enough: the others are asked only when they are not.
    hoped: usize,
    progress: Progress<'s>,
}

/// Rows that are asked at once at least.
const WINDOW_ROWS: usize = 256;

/// How many times as many rows are asked next when those before were not enough.
const WINDOW_GROWTH: usize = 4;

impl<'s, 'q, C: Storable> Finder<'s, 'q, C> {
    pub(super) fn new(
        snapshot: &'s Snapshot<C>,
        filter: &'s Filter<'q>,
        best: Best,
        size: WaveSize,
        stop: &'s Stop,
    ) -> Self {
        let hoped = usize::try_from(size.rows).unwrap_or(usize::MAX);
        Self {
            hoped: hoped.max(best.room).saturating_mul(2).max(WINDOW_ROWS),
            snapshot,
            filter,
            best,
            progress: Progress::start(stop),
        }
    }

    pub(super) fn end(self) -> (Best, Progress<'s>) {
        (self.best, self.progress)
    }

    /// Looks at a stretch. False when the search has to end.
    pub(super) fn look_at(&mut self, stretch: Stretch) -> bool {
        if self.best.refuses_time(stretch.edge) {
            return true;
        }
        let snapshot = self.snapshot;
        let number = stretch.source as u32;
        match snapshot.chunks.get(stretch.source) {
            Some(chunk) => self.look_at_chunk(chunk, number),
            None => {
                let block = stretch.source - snapshot.chunks.len();
                let Some(block) = snapshot.blocks.get(block) else {
                    return true;
                };
                self.progress.coverage.pieces_read += stretch.pieces;
                for rows in self.portions(stretch.rows) {
                    let looked = self.look_at_block(block, number, rows);
                    match readable(snapshot, looked, &mut self.progress) {
                        Some(true) | None => {}
                        Some(false) => break,
                    }
                }
                self.progress.look()
            }
        }
    }

    /// Rows in memory, one after the other.
    fn look_at_chunk(&mut self, chunk: &Arc<C>, source: u32) -> bool {
        let filter = self.filter.on_whole(chunk.as_ref());
        let mut rows = filter.rows();
        // Rows stand more or less in the order of time: from that end, the best come first and rule out the others.
        let oldest_first = self.best.order.oldest_first;
        let mut next = || {
            if oldest_first {
                rows.next()
            } else {
                rows.next_back()
            }
        };
        while let Some(row) = next() {
            if !self.progress.scan(1) {
                return false;
            }
            let time = chunk.time(row);
            if self.best.refuses_time(self.best.order.time(time))
                || !match self.best.to_after(time) {
                    Ordering::Less => false,
                    Ordering::Greater => true,
                    Ordering::Equal => self.best.is_after(chunk.key(row)),
                }
            {
                continue;
            }
            if filter.matches(row) {
                self.progress.coverage.matched += 1;
                self.best.offer(Place {
                    key: self.best.order.key(chunk.key(row)),
                    source,
                    row: row as u32,
                });
            }
        }
        true
    }

    /// Rows of a block in portions that are looked at one after the other: page by page while few are hoped to be enough.
    fn portions(&self, rows: Vec<Range<usize>>) -> Vec<Vec<Range<usize>>> {
        let count: usize = rows.iter().map(Range::len).sum();
        if self.hoped >= count {
            return vec![rows];
        }
        let mut pages: Vec<Vec<Range<usize>>> = Vec::new();
        for range in rows {
            let mut start = range.start;
            while start < range.end {
                let end = ((start / PAGE_ROWS + 1) * PAGE_ROWS).min(range.end);
                pages.push(std::iter::once(start..end).collect());
                start = end;
            }
        }
        if !self.best.order.oldest_first {
            pages.reverse();
        }
        pages
    }

    /// Rows of a block, as columns. False when no later one of them can be among the best.
    fn look_at_block(
        &mut self,
        block: &'s Block<C>,
        source: u32,
        rows: Vec<Range<usize>>,
    ) -> Result<bool, BlockError> {
        let mut sight: Sight<'s, C> = Sight::of_rows(block, rows)?;
        let found = self.select(&mut sight);
        self.progress.read(sight.bytes_read());
        let Found { rows, is_open } = found?;
        if let Sight::Block(scan) = &sight {
            self.offer(block, source, scan, &rows)?;
        }
        Ok(is_open)
    }

    /// Those rows that match, as long as they can be among the best.
    fn select(&mut self, sight: &mut Sight<'s, C>) -> Result<Found, BlockError> {
        let filter = self.filter;
        let count = sight.rows();
        let mut found = Found {
            rows: Vec::new(),
            is_open: true,
        };
        let (mut sure, mut looked, mut window) = (0, 0, self.hoped);
        let mut last = None;
        while looked < count {
            if !self.progress.look() {
                return Ok(found);
            }
            let next = (looked + window).min(count);
            let rows = match self.best.order.oldest_first {
                true => looked..next,
                false => count - next..count - looked,
            };
            (looked, window) = (next, window.saturating_mul(WINDOW_GROWTH));
            self.progress.scan(rows.len() as u64);
            let selected = sight.select_within(filter, rows)?;
            if selected.is_empty() {
                continue;
            }
            let times = sight.times()?;
            let mut offer = |row: usize| {
                let time = times.get(row).copied().unwrap_or_default();
                let is_full = sure >= self.best.room && last != Some(time);
                if is_full || self.best.refuses_time(self.best.order.time(time)) {
                    // The rows of a block stand in the order of time.
                    return false;
                }
                last = Some(time);
                match self.best.to_after(time) {
                    Ordering::Less => return true,
                    Ordering::Equal => {}
                    Ordering::Greater => sure += 1,
                }
                found.rows.push(row);
                true
            };
            found.is_open = match self.best.order.oldest_first {
                true => selected.iter().all(&mut offer),
                false => selected.iter().rev().all(&mut offer),
            };
            if !found.is_open {
                break;
            }
        }
        Ok(found)
    }

    /// Offers rows that match, with their keys.
    fn offer(
        &mut self,
        block: &Block<C>,
        source: u32,
        scan: &Scan<'_, C>,
        rows: &[usize],
    ) -> Result<(), BlockError> {
        let mut ascending = RowSet::none(scan.rows());
        rows.iter().for_each(|row| ascending.insert(*row));
        let numbers = scan.numbers_of(&ascending);
        if numbers.is_empty() {
            return Ok(());
        }
        let columns = Columns {
            keys: true,
            ..Columns::default()
        };
        let keys = block.take(&numbers, &columns)?;
        for (place, row) in numbers.into_iter().enumerate() {
            let key = keys.key(place);
            if self.best.is_after(key) {
                self.progress.coverage.matched += 1;
                self.best.offer(Place {
                    key: self.best.order.key(key),
                    source,
                    row,
                });
            }
        }
        Ok(())
    }
}

/// Rows that match.
struct Found {
    /// In the order of the answer.
    rows: Vec<usize>,
    /// Whether a later one could be among the best, too.
    is_open: bool,
}
