//! A heat map: how many start when and take how long, as colours. Durations stand on a logarithmic scale.
//!
//! The consumer's buckets are put together to rows, so many that each can be seen; their edges are edges of buckets, so the
//! counts are exact. Cells of one colour are one path, in units of cells, and neighbours one rectangle of it, so that a thousand
//! of them take a few kilobytes; each cell's numbers stand beside it for the script that tells them and with which a part can be chosen. Without a
//! script, stretches of time, levels of duration and the table of the same counts lead to what lies in them.

mod grid;
mod table;

use log_tracer_proto::v1::DurationHeatmapResponse;
use serde::Serialize;

use self::{
    grid::{Cell, Grid},
    table::Table,
};
use super::{percent, ticks};
use crate::{
    clock::Moment,
    units::{self, count, plural},
};

/// Steps of time at most.
const STEPS_MAX: u64 = 48;

/// What the consumer is asked for: more than are drawn, since how far the durations reach is not known before.
pub(crate) const BUCKETS_PER_OCTAVE: u32 = 12;

/// Colours, from few to many.
const SHADES: u32 = 6;

/// Parts of the time that lead to what lies in them.
const BANDS_MAX: usize = 12;

/// Durations that are marked.
const LEVELS_MAX: usize = 7;

/// The step of a heat map between two times.
pub(crate) fn step(start: u64, end: u64) -> u64 {
    // One less, since aligned steps stick out on both sides.
    ticks::step(end.saturating_sub(start), STEPS_MAX - 1)
}

/// Where parts of a heat map lead.
pub(crate) trait Leads {
    /// To what starts between two times.
    fn between(&self, from: u64, to: u64) -> String;
    /// To what takes at least so long, and at most so long when there is such a bound.
    fn durations(&self, min: u64, max: Option<u64>) -> String;
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noun {
    pub(crate) one: &'static str,
    pub(crate) many: &'static str,
}

/// A heat map, ready to be written.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Heat {
    /// Cells across and up.
    columns: usize,
    rows: usize,
    shades: Vec<Shade>,
    /// The cells with a failure, as a mark at their bottom.
    failed: String,
    /// What parts the columns, over the cells: neighbours of a row are one rectangle.
    gaps: String,
    ticks: Vec<ticks::TimeTick>,
    levels: Vec<Level>,
    bands: Vec<Band>,
    table: Table,
    /// Read out in place of the picture.
    summary: String,
    total: String,
    errors: String,
    noun: &'static str,
    script: Script,
}

/// The cells of one colour.
#[derive(Clone, Debug, Serialize)]
struct Shade {
    number: u32,
    /// How many are in each of its cells: `1`, `2 to 4`.
    label: String,
    path: String,
}

/// A line at a round duration.
#[derive(Clone, Debug, Serialize)]
struct Level {
    y: String,
    label: String,
    href: String,
}

/// A stretch of time, which leads to what lies in it.
#[derive(Clone, Debug, Serialize)]
struct Band {
    x: String,
    width: String,
    from: Moment,
    to: Moment,
    href: String,
}

/// What the script needs to know.
#[derive(Clone, Debug, Serialize)]
struct Script {
    /// The start of the first step and the width of one, in milliseconds: steps are whole ones.
    start_ms: u64,
    step_ms: u64,
    /// The edges of the rows in nanoseconds, from the bottom up, with commas between them. An edge of 0 is no bound, and the
    /// last one is none when it is the greatest number.
    edges: String,
    /// The cells, column by column with semicolons between them; of each the row of the first one that has any, and then the
    /// counts from there upwards, with commas between them: `count`, `count/errors` where there are any, or nothing.
    cells: String,
}

impl Heat {
    /// Between two times, with steps of this width; none when there is nothing to show.
    pub(crate) fn new(
        answer: &DurationHeatmapResponse,
        (start, end): (u64, u64),
        step_nano: u64,
        noun: Noun,
        leads: &impl Leads,
    ) -> Option<Self> {
        let grid = Grid::new(answer, (start, end), step_nano)?;
        let (total, errors) = grid.totals();
        let most = grid.cells.iter().max_by_key(|cell| cell.count)?;
        let (first, last) = (grid.time(0), grid.time(grid.columns));
        Some(Self {
            columns: grid.columns,
            rows: grid.rows(),
            shades: shades(&grid, most.count),
            failed: failed(&grid),
            gaps: (1..grid.columns)
                .map(|x| format!("M{x} 0v{}", grid.rows()))
                .collect(),
            ticks: ticks::times(first, last),
            levels: levels(&grid, leads),
            bands: bands(&grid, leads),
            table: Table::new(&grid, leads),
            summary: summary(&grid, most, noun),
            total: plural(total, noun.one, noun.many),
            errors: count(errors),
            noun: noun.many,
            script: Script {
                start_ms: first / 1_000_000,
                step_ms: grid.step / 1_000_000,
                edges: joined(grid.edges.iter().map(u64::to_string), ","),
                cells: written(&grid),
            },
        })
    }
}

fn joined(texts: impl Iterator<Item = String>, by: &str) -> String {
    texts.collect::<Vec<_>>().join(by)
}

/// All cells, as the script reads them.
fn written(grid: &Grid) -> String {
    let columns = (0..grid.columns).map(|column| {
        let of_column = grid.cells.iter().filter(|cell| cell.column == column);
        let mut next = None;
        let cells = of_column.map(|cell| {
            // A first one has its row before it, any other what separates it from the one before.
            let before = match next.replace(cell.row + 1) {
                None => format!("{},", cell.row),
                Some(next) => ",".repeat(cell.row + 1 - next),
            };
            match cell.errors {
                0 => format!("{before}{}", cell.count),
                errors => format!("{before}{}/{errors}", cell.count),
            }
        });
        cells.collect()
    });
    joined(columns, ";")
}

/// Neighbouring cells of a row that are alike, as the column of the first, how many they are, and their row from the top.
fn runs(grid: &Grid, is_alike: impl Fn(&Cell) -> bool) -> Vec<(usize, usize, usize)> {
    let mut own: Vec<&Cell> = grid.cells.iter().filter(|cell| is_alike(cell)).collect();
    own.sort_unstable_by_key(|cell| (cell.row, cell.column));
    let runs = own.chunk_by(|a, b| a.row == b.row && a.column + 1 == b.column);
    runs.filter_map(|run| {
        let first = run.first()?;
        Some((first.column, run.len(), grid.rows() - 1 - first.row))
    })
    .collect()
}

/// The greatest count of each colour: equal factors apart, so that few and many can both be told apart.
fn thresholds(most: u64) -> Vec<u64> {
    let shades = SHADES.min(u32::try_from(most).unwrap_or(SHADES)).max(1);
    let mut thresholds: Vec<u64> = (1..shades)
        .map(|shade| {
            let share = f64::from(shade) / f64::from(shades);
            (most as f64).powf(share).round().max(f64::from(shade)) as u64
        })
        .collect();
    thresholds.push(most);
    thresholds.dedup();
    thresholds
}

fn shades(grid: &Grid, most: u64) -> Vec<Shade> {
    let thresholds = thresholds(most);
    let missing = SHADES - thresholds.len() as u32;
    let mut least = 1;
    let mut shades = Vec::with_capacity(thresholds.len());
    for (number, greatest) in (1..).zip(thresholds) {
        let path = runs(grid, |cell| (least..=greatest).contains(&cell.count)).into_iter();
        let path = path.map(|(x, width, y)| format!("M{x} {y}h{width}v1h-{width}"));
        shades.push(Shade {
            // Of few colours, the strongest.
            number: number + missing,
            label: match least == greatest {
                true => count(least),
                false => format!("{} to {}", count(least), count(greatest)),
            },
            path: path.collect(),
        });
        least = greatest.saturating_add(1);
    }
    shades
}

fn failed(grid: &Grid) -> String {
    let failed = runs(grid, |cell| cell.errors > 0).into_iter();
    failed
        .map(|(x, width, y)| format!("M{x} {y}.7h{width}v.3h-{width}"))
        .collect()
}

/// Powers of ten within the chart, or every second or third of them.
fn levels(grid: &Grid, leads: &impl Leads) -> Vec<Level> {
    let within: Vec<(f64, u64)> = (3..20)
        .map(|exponent| 10_u64.pow(exponent))
        .map(|nanos| (grid.height(nanos), nanos))
        .filter(|(height, _)| (0.0..0.97).contains(height))
        .collect();
    let every = within.len().div_ceil(LEVELS_MAX).max(1);
    let within = within.into_iter().step_by(every);
    within
        .map(|(height, nanos)| Level {
            y: percent(1.0 - height, 1.0),
            label: units::duration(nanos),
            href: leads.durations(nanos, None),
        })
        .collect()
}

fn bands(grid: &Grid, leads: &impl Leads) -> Vec<Band> {
    let columns = grid.columns as f64;
    grid.stretches(BANDS_MAX)
        .map(|stretch| {
            let (from, to) = (grid.time(stretch.start), grid.time(stretch.end));
            Band {
                x: percent(stretch.start as f64, columns),
                width: percent(stretch.len() as f64, columns),
                from: Moment::new(from),
                to: Moment::new(to),
                href: leads.between(from, to),
            }
        })
        .collect()
}

fn summary(grid: &Grid, most: &Cell, noun: Noun) -> String {
    let (total, errors) = grid.totals();
    let failed = match errors {
        0 => "none failed".to_owned(),
        errors => format!("{} failed", count(errors)),
    };
    let start = grid.time(most.column);
    format!(
        "{}, {failed}. The most in one cell are {}: from {} UTC on, {}.",
        plural(total, noun.one, noun.many),
        count(most.count),
        Moment::new(start).clock,
        grid.words(most.row)
    )
}

#[cfg(test)]
mod tests;
