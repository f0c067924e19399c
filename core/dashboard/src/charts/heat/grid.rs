//! The cells of a heat map: steps of time across, rows of buckets upwards.

use std::{collections::BTreeMap, ops::Range};

use log_tracer_proto::v1::DurationHeatmapResponse;

use crate::units;

/// Rows at most, unless one for several octaves is still too many.
const ROWS_MAX: usize = 24;

/// Rows at least: fewer would look as if the durations were more alike than they are.
const ROWS_MIN: usize = 8;

/// Columns at most, whatever was asked for.
const COLUMNS_MAX: u64 = 200;

/// Octaves below this one are one row: a microsecond is short enough to stand at the bottom.
const LOWEST_OCTAVE: u32 = 10;

/// Where everything is.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// The number of the first step since 1970.
    first: u64,
    pub(super) step: u64,
    pub(super) columns: usize,
    /// Buckets of an octave, and those of a row.
    per_octave: u32,
    factor: u32,
    /// The number of the lowest row.
    low: u32,
    /// The edges of the rows in nanoseconds, from the bottom up; one more than there are rows.
    pub(super) edges: Vec<u64>,
    /// Those that have any, by column and then by row.
    pub(super) cells: Vec<Cell>,
}

/// A cell that has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) column: usize,
    /// From the bottom up.
    pub(super) row: usize,
    pub(super) count: u64,
    pub(super) errors: u64,
}

impl Grid {
    /// None when there is nothing in the range, or when the answer makes no sense.
    pub(super) fn new(
        answer: &DurationHeatmapResponse,
        (start, end): (u64, u64),
        step: u64,
    ) -> Option<Self> {
        let per_octave = answer.buckets_per_octave;
        // More than there can be buckets of any use, and less than what overflows.
        if step == 0 || end <= start || !(1..=64).contains(&per_octave) {
            return None;
        }
        let first = start / step;
        let columns = ((end - 1) / step - first + 1).min(COLUMNS_MAX);
        let fine = fine_cells(answer, first, step, columns);
        let lowest = fine.keys().map(|(_, bucket)| *bucket).min()?;
        let highest = fine.keys().map(|(_, bucket)| *bucket).max()?;
        let row_of = |bucket: u32, factor: u32| bucket.saturating_sub(1) / factor;
        let factors = factors(per_octave);
        let factor = *factors.iter().find(|factor| {
            let rows = row_of(highest, **factor) - row_of(lowest, **factor) + 1;
            rows as usize <= ROWS_MAX
        })?;
        let floor = row_of(LOWEST_OCTAVE * per_octave, factor);
        let (low, rows) = padded(floor, row_of(lowest, factor), row_of(highest, factor));
        let mut cells: BTreeMap<(u64, u32), (u64, u64)> = BTreeMap::new();
        for ((column, bucket), (count, errors)) in fine {
            let sum = cells.entry((column, row_of(bucket, factor))).or_default();
            *sum = (sum.0.saturating_add(count), sum.1.saturating_add(errors));
        }
        let mut grid = Self {
            first,
            step,
            columns: columns as usize,
            per_octave,
            factor,
            low,
            edges: Vec::new(),
            cells: cells
                .into_iter()
                .map(|((column, row), (count, errors))| Cell {
                    column: column as usize,
                    row: (row - low) as usize,
                    count,
                    errors,
                })
                .collect(),
        };
        grid.edges = (low..=low + rows)
            .map(|row| grid.edge(row, answer))
            .collect::<Option<_>>()?;
        Some(grid)
    }

    pub(super) fn rows(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// When a column starts; that of the column after the last is the end.
    pub(super) fn time(&self, column: usize) -> u64 {
        self.first
            .saturating_add(column as u64)
            .saturating_mul(self.step)
    }

    /// How high a duration stands, from 0 to 1; beyond that when it is not in the chart.
    pub(super) fn height(&self, nanos: u64) -> f64 {
        let bucket = (nanos.max(1) as f64).log2() * f64::from(self.per_octave);
        (bucket / f64::from(self.factor) - f64::from(self.low)) / self.rows().max(1) as f64
    }

    /// All counts together, and all errors.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.cells.iter().fold((0, 0), |(counts, errors), cell| {
            let counts: u64 = counts;
            let errors: u64 = errors;
            (
                counts.saturating_add(cell.count),
                errors.saturating_add(cell.errors),
            )
        })
    }

    /// The columns in at most so many stretches of one length; the last may be shorter.
    pub(super) fn stretches(&self, stretches_max: usize) -> impl Iterator<Item = Range<usize>> {
        let length = self.columns.div_ceil(stretches_max.max(1)).max(1);
        let columns = self.columns;
        (0..columns)
            .step_by(length)
            .map(move |start| start..(start + length).min(columns))
    }

    /// The edges of a row, and the greatest duration in it when it ends.
    pub(super) fn durations(&self, row: usize) -> (u64, Option<u64>) {
        let edge = |row: usize| self.edges.get(row).copied();
        let max = edge(row + 1).filter(|edge| *edge < u64::MAX);
        (
            edge(row).unwrap_or(0),
            max.map(|edge| edge.saturating_sub(1)),
        )
    }

    /// The durations of a row in words.
    pub(super) fn words(&self, row: usize) -> String {
        let edge = |row: usize| self.edges.get(row).copied().unwrap_or(u64::MAX);
        match (edge(row), edge(row + 1)) {
            (from, u64::MAX) => format!("{} and longer", units::duration(from)),
            (0, to) => format!("less than {}", units::duration(to)),
            (from, to) => format!("{} to {}", units::duration(from), units::duration(to)),
        }
    }

    /// The lower edge of a row: between two octaves a power of two, else the consumer says it.
    fn edge(&self, row: u32, answer: &DurationHeatmapResponse) -> Option<u64> {
        let floor = (LOWEST_OCTAVE * self.per_octave - 1) / self.factor;
        if row == floor && row == self.low {
            return Some(0);
        }
        let bucket = row.checked_mul(self.factor)?;
        if bucket.is_multiple_of(self.per_octave) {
            let octave = bucket / self.per_octave;
            return Some(1_u64.checked_shl(octave).unwrap_or(u64::MAX));
        }
        let place = (bucket + 1).checked_sub(answer.first_bucket);
        let known = place.and_then(|place| answer.edges_nano.get(place as usize));
        // A row that was added around the others may be of an octave of which nothing was said.
        known.copied().or_else(|| {
            let octaves = f64::from(bucket) / f64::from(self.per_octave);
            Some(octaves.exp2().ceil() as u64)
        })
    }
}

/// What the answer has within the range, by column and bucket. Those of the shortest durations are put together.
fn fine_cells(
    answer: &DurationHeatmapResponse,
    first: u64,
    step: u64,
    columns: u64,
) -> BTreeMap<(u64, u32), (u64, u64)> {
    let per_octave = answer.buckets_per_octave;
    let (lowest, last) = (LOWEST_OCTAVE * per_octave, 64 * per_octave);
    let mut cells: BTreeMap<(u64, u32), (u64, u64)> = BTreeMap::new();
    for of_step in &answer.steps {
        let column = (of_step.start_unix_nano / step).wrapping_sub(first);
        if column >= columns {
            continue;
        }
        let errors = of_step.errors.iter().copied().chain(std::iter::repeat(0));
        let counts = of_step.counts.iter().copied().zip(errors);
        for (bucket, (count, errors)) in (of_step.first_bucket..=last).zip(counts) {
            if count > 0 {
                let sum = cells.entry((column, bucket.max(lowest))).or_default();
                *sum = (
                    sum.0.saturating_add(count),
                    sum.1.saturating_add(errors.min(count)),
                );
            }
        }
    }
    cells
}

/// How many buckets a row may have: parts of an octave that fit into it, or whole octaves.
fn factors(per_octave: u32) -> Vec<u32> {
    let parts = (1..=per_octave).filter(|factor| per_octave.is_multiple_of(*factor));
    parts
        .chain([2, 4, 8].map(|octaves| octaves * per_octave))
        .collect()
}

/// The lowest row and how many there are, with some more around few, but none below the floor.
fn padded(floor: u32, low: u32, high: u32) -> (u32, u32) {
    let rows = high - low + 1;
    let more = (ROWS_MIN as u32).saturating_sub(rows);
    let low = low.saturating_sub(more / 2).max(floor);
    (low, (high - low + 1).max(ROWS_MIN as u32))
}
