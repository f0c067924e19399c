//! The cells of a heat map.

use std::ops::Range;

use log_tracer_sketch::Scale;

use super::{Grid, HeatmapStep};

/// Counts by step and bucket.
#[derive(Debug)]
pub(super) struct Cells {
    grid: Grid,
    /// Step by step. Empty until something is counted.
    counts: Vec<Cell>,
    /// The step of what was counted before, and the times that lie in it: neighbours mostly share one.
    step: usize,
    times: Range<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    count: u64,
    errors: u64,
}

impl Cells {
    pub(super) fn new(grid: Grid) -> Self {
        Self {
            grid,
            counts: Vec::new(),
            step: 0,
            times: 0..0,
        }
    }

    pub(super) fn grid(&self) -> Grid {
        self.grid.clone()
    }

    pub(super) fn scale(&self) -> Scale {
        self.grid.scale
    }

    /// Counts one, if its duration is within the bounds. Its start is in the range.
    #[inline]
    pub(super) fn add(&mut self, start: u64, duration: u64, is_error: bool) {
        if !self.grid.durations.contains(&duration) {
            return;
        }
        let bucket = self.grid.scale.bucket_of(duration);
        self.add_all(start, bucket, 1, u64::from(is_error));
    }

    /// Counts several that start in one step and are in one bucket, which is one of the grid.
    #[inline]
    pub(super) fn add_all(&mut self, start: u64, bucket: u16, count: u64, errors: u64) {
        let Grid {
            start_unix_nano,
            step_nano,
            buckets,
            first_bucket,
            ..
        } = self.grid;
        if self.counts.is_empty() {
            self.counts = vec![Cell::default(); self.grid.step_count * buckets];
        }
        if !self.times.contains(&start) {
            let step = start.saturating_sub(start_unix_nano) / step_nano;
            let from = start_unix_nano + step * step_nano;
            self.step = step as usize;
            self.times = from..from.saturating_add(step_nano);
        }
        let place = self.step * buckets + usize::from(bucket.saturating_sub(first_bucket));
        if let Some(cell) = self.counts.get_mut(place) {
            cell.count = cell.count.saturating_add(count);
            cell.errors = cell.errors.saturating_add(errors);
        }
    }

    /// Adds the counts of another thread.
    pub(super) fn absorb(&mut self, others: &Self) {
        if self.counts.is_empty() {
            self.counts.clone_from(&others.counts);
            return;
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&others.counts) {
            mine.count += theirs.count;
            mine.errors += theirs.errors;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.iter().map(|cell| cell.count).sum()
    }

    /// The steps that have anything.
    pub(super) fn into_steps(self) -> Vec<HeatmapStep> {
        let grid = &self.grid;
        let starts = (0..).map(|step| grid.start_unix_nano + step * grid.step_nano);
        let of_step = |(start_unix_nano, cells): (u64, &[Cell])| {
            let is_filled = |cell: &Cell| cell.count > 0;
            let first = cells.iter().position(is_filled)?;
            let last = cells.iter().rposition(is_filled)?;
            let cells = cells.get(first..=last)?;
            Some(HeatmapStep {
                start_unix_nano,
                // As a bucket it fits.
                first_bucket: grid.first_bucket + first as u16,
                counts: cells.iter().map(|cell| cell.count).collect(),
                errors: cells.iter().map(|cell| cell.errors).collect(),
            })
        };
        let steps = self.counts.chunks(grid.buckets);
        starts.zip(steps).filter_map(of_step).collect()
    }
}
