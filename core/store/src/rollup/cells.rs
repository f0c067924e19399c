//! Durations while they are counted: by cell, which is a minute of a series or of an edge.

use hashbrown::HashMap;

use log_tracer_sketch::{BitWriter, Summary, bucket_of, encode};

/// Nanoseconds of a minute.
pub(crate) const MINUTE_NANO: u64 = 60_000_000_000;

/// The minute of a time since 1970-01-01T00:00:00Z. There are fewer than 2^29 of them.
#[inline]
pub(crate) fn minute_of(unix_nano: u64) -> u32 {
    (unix_nano / MINUTE_NANO) as u32
}

/// Counts durations. What a duration takes is 8 bytes, and what a cell takes about 80.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    by_key: HashMap<(u32, u32), u32>,
    cells: Vec<Cell>,
    /// The cell and the bucket of each duration.
    samples: Vec<(u32, u16)>,
}

/// The durations of a series, or of an edge, in a minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) minute: u32,
    pub(crate) series: u32,
    pub(crate) errors: u64,
    pub(crate) summary: Summary,
}

impl Cells {
    /// The number of a cell.
    #[inline]
    pub(crate) fn number(&mut self, series: u32, minute: u32) -> u32 {
        let next = self.cells.len() as u32;
        let number = *self.by_key.entry((series, minute)).or_insert(next);
        if number == next {
            self.cells.push(Cell {
                minute,
                series,
                errors: 0,
                summary: Summary::default(),
            });
        }
        number
    }

    /// Adds a duration to a cell.
    #[inline]
    pub(crate) fn add(&mut self, number: u32, nanos: u64, is_error: bool) {
        if let Some(cell) = self.cells.get_mut(number as usize) {
            cell.summary.add(nanos);
            cell.errors += u64::from(is_error);
            self.samples.push((number, bucket_of(nanos)));
        }
    }

    /// The cells in the order of `order`, each with its durations by bucket.
    pub(crate) fn for_each<K: Ord>(
        self,
        order: impl Fn(&Cell) -> K,
        mut visit: impl FnMut(&Cell, &[(u16, u64)]),
    ) {
        let mut starts = Vec::with_capacity(self.cells.len());
        let mut start = 0;
        for cell in &self.cells {
            starts.push(start);
            start += cell.summary.count as usize;
        }
        // Sorted by cell in one step, as the number of durations of each is known.
        let mut buckets = vec![0_u16; start];
        for (cell, bucket) in &self.samples {
            if let Some(place) = starts.get_mut(*cell as usize) {
                if let Some(slot) = buckets.get_mut(*place) {
                    *slot = *bucket;
                }
                *place += 1;
            }
        }
        let mut numbers: Vec<u32> = (0..self.cells.len() as u32).collect();
        numbers.sort_by_cached_key(|number| self.cells.get(*number as usize).map(&order));
        let mut counts = Vec::new();
        for number in numbers {
            let cell = self.cells.get(number as usize);
            let (Some(cell), Some(end)) = (cell, starts.get(number as usize)) else {
                continue;
            };
            let start = end - cell.summary.count as usize;
            let of_cell = buckets.get_mut(start..*end).unwrap_or_default();
            of_cell.sort_unstable();
            counts.clear();
            for alike in of_cell.chunk_by(|a, b| a == b) {
                counts.extend(alike.first().map(|bucket| (*bucket, alike.len() as u64)));
            }
            visit(cell, &counts);
        }
    }
}

/// The cells of one minute, as they are written: gamma-coded the distance of the series from the one before, and the
/// durations as in [`log_tracer_sketch::Sketch`]; of edges the errors between the two.
#[derive(Debug, Default)]
pub(crate) struct CellWriter {
    bits: BitWriter,
    next: u32,
}

impl CellWriter {
    pub(crate) fn put(
        &mut self,
        place: u32,
        errors: Option<u64>,
        cell: &Cell,
        counts: &[(u16, u64)],
    ) {
        self.bits.put_gamma(u64::from(place - self.next) + 1);
        self.next = place + 1;
        if let Some(errors) = errors {
            self.bits.put_gamma(errors + 1);
        }
        encode(&mut self.bits, cell.summary, counts);
    }

    /// The bytes; none when there was no cell. A gamma code of 2^32 ends them.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.next > 0 {
            self.bits.put_gamma(END);
        }
        self.bits.finish()
    }
}

/// Stands for a distance where no cell follows.
pub(crate) const END: u64 = 1 << 32;
