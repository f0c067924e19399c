//! The same counts as a table, in fewer steps of time.

use serde::Serialize;

use super::{Grid, Leads};
use crate::{clock::Moment, units::count};

/// Steps of time at most.
const COLUMNS_MAX: usize = 6;

/// The table: the longest durations first.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Column {
    from: Moment,
    pub(super) href: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) durations: String,
    pub(super) href: String,
    counts: Vec<Count>,
    total: String,
    errors: String,
}

/// Empty where there is nothing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Count {
    count: String,
    errors: String,
}

impl Table {
    pub(super) fn new(grid: &Grid, leads: &impl Leads) -> Self {
        let columns = grid.stretches(COLUMNS_MAX).map(|stretch| {
            let (from, to) = (grid.time(stretch.start), grid.time(stretch.end));
            Column {
                from: Moment::new(from),
                href: leads.between(from, to),
            }
        });
        let rows = (0..grid.rows()).rev();
        Self {
            columns: columns.collect(),
            rows: rows.filter_map(|row| of_row(grid, row, leads)).collect(),
        }
    }
}

fn of_row(grid: &Grid, row: usize, leads: &impl Leads) -> Option<Row> {
    let own = || grid.cells.iter().filter(|cell| cell.row == row);
    let sum = |(counts, errors): (u64, u64), (count, error): (u64, u64)| {
        (counts.saturating_add(count), errors.saturating_add(error))
    };
    let (total, errors) = own()
        .map(|cell| (cell.count, cell.errors))
        .fold((0, 0), sum);
    let counts = grid.stretches(COLUMNS_MAX).map(|stretch| {
        let within = own().filter(|cell| stretch.contains(&cell.column));
        let (counts, errors) = within
            .map(|cell| (cell.count, cell.errors))
            .fold((0, 0), sum);
        Count {
            count: written(counts),
            errors: written(errors),
        }
    });
    let (min, max) = grid.durations(row);
    (total > 0).then(|| Row {
        durations: grid.words(row),
        href: leads.durations(min, max),
        counts: counts.collect(),
        total: count(total),
        errors: written(errors),
    })
}

fn written(number: u64) -> String {
    match number {
        0 => String::new(),
        number => count(number),
    }
}
