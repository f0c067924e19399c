//! How many spans or traces match, by when they start and how long they took.
//!
//! Of spans only the columns are read that the query looks at, and start, duration and status of those that match
//! ([`super::sight`]); no row is put together. Of traces, all those with a span that matches are found as for a search that
//! compares them ([`super::candidates`]), and their starts and ends are looked up in the tables of traces. Each thread has
//! cells of its own, which are added up at the end.
//!
//! Where the tables know enough, traces are counted by them alone ([`known`]).
//!
//! Without a query, the spans of whole minutes are counted by the rollups, of which each bucket lies in one of the heat map;
//! only those of the minutes at the ends that the range cuts are looked at.
//!
//! Durations lie in the buckets of a [`Scale`], which are the same for every store, so that answers can be added.

mod cells;
mod known;
mod traces;

use log_tracer_query::Query;
use log_tracer_sketch::Scale;

use super::{
    HistogramError,
    filter::Filter,
    histogram::steps,
    sight::Sight,
    source::readable,
    units::{Asking, parts, units},
};
use crate::{
    Coverage, TimeRange,
    block::BlockError,
    chunk::SpanChunk,
    rollup::{MINUTE_NANO, Settings, durations},
    stop::Progress,
    table::Snapshot,
};
use cells::Cells;

/// Cells that a heat map may have: its steps times the buckets between the bounds of the duration.
pub const HEATMAP_CELLS_MAX: u64 = 1 << 18;

/// Asks for counts by start and duration.
#[derive(Clone, Debug)]
pub struct HeatmapSpec {
    /// What is counted.
    pub of: HeatmapOf,
    /// What a span has to match.
    pub query: Query,
    /// The first start that counts, nanoseconds since 1970-01-01T00:00:00Z.
    pub start_unix_nano: u64,
    /// The first start that counts no more; after the other.
    pub end_unix_nano: u64,
    /// The width of a step in nanoseconds. Steps are aligned to multiples of it, so that the answers of several stores
    /// can be added.
    pub step_nano: u64,
    /// The buckets of the durations.
    pub scale: Scale,
    /// The least duration that counts, in nanoseconds.
    pub duration_min_nano: u64,
    /// The greatest one that counts; none is no bound.
    pub duration_max_nano: Option<u64>,
}

/// What a heat map counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeatmapOf {
    /// Spans that match, each by its own start and duration.
    #[default]
    Spans,
    /// Traces with a span that matches, by the start and duration of the whole trace.
    Traces,
}

/// Why a heat map cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeatmapError {
    /// The steps cannot be made.
    #[error(transparent)]
    Steps(#[from] HistogramError),
    /// No duration lies between the bounds.
    #[error("no duration is {min_nano} ns or more and {max_nano} ns or less")]
    Durations {
        /// The least one.
        min_nano: u64,
        /// The greatest one.
        max_nano: u64,
    },
    /// There are too many cells.
    #[error(
        "there are {cells} cells: expected at most {HEATMAP_CELLS_MAX}, so fewer steps or coarser buckets"
    )]
    Cells {
        /// Steps times buckets.
        cells: u64,
    },
}

/// Counts by start and duration.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// The steps that have anything, in order.
    pub steps: Vec<HeatmapStep>,
    /// The width of a step in nanoseconds.
    pub step_nano: u64,
    /// The buckets of the durations.
    pub scale: Scale,
    /// What was covered; what matched is the sum of the counts.
    pub coverage: Coverage,
}

/// What starts in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatmapStep {
    /// The start of the step, a multiple of its width.
    pub start_unix_nano: u64,
    /// The bucket of the first count, which is not zero, as the last is not.
    pub first_bucket: u16,
    /// How many there are, by bucket.
    pub counts: Vec<u64>,
    /// How many of them failed: spans with an error status, or traces with such a span.
    pub errors: Vec<u64>,
}

impl HeatmapSpec {
    /// How many cells it has, filled or not.
    ///
    /// # Errors
    /// The cells cannot be made as they were asked for.
    pub fn cell_count(&self) -> Result<u64, HeatmapError> {
        let grid = self.grid()?;
        Ok(grid.step_count as u64 * grid.buckets as u64)
    }

    /// Where its cells are.
    fn grid(&self) -> Result<Grid, HeatmapError> {
        let range = (self.start_unix_nano, self.end_unix_nano);
        let (start_unix_nano, step_count) = steps(range, self.step_nano)?;
        let (min_nano, max_nano) = (
            self.duration_min_nano,
            self.duration_max_nano.unwrap_or(u64::MAX),
        );
        if min_nano > max_nano {
            return Err(HeatmapError::Durations { min_nano, max_nano });
        }
        let first_bucket = self.scale.bucket_of(min_nano);
        let buckets = usize::from(self.scale.bucket_of(max_nano) - first_bucket) + 1;
        let cells = step_count as u64 * buckets as u64;
        if cells > HEATMAP_CELLS_MAX {
            return Err(HeatmapError::Cells { cells });
        }
        Ok(Grid {
            start_unix_nano,
            step_nano: self.step_nano,
            step_count,
            scale: self.scale,
            durations: min_nano..=max_nano,
            first_bucket,
            buckets,
        })
    }

    fn range(&self) -> TimeRange {
        between(self.start_unix_nano, self.end_unix_nano)
    }

    /// What the rollups can answer, and what is left at its ends; none when they do not know enough.
    fn whole_minutes(&self) -> Option<(TimeRange, Vec<TimeRange>)> {
        let has_bounds = self.duration_min_nano > 0 || self.duration_max_nano.is_some();
        let fits = self.step_nano.is_multiple_of(MINUTE_NANO) && self.query.is_empty();
        let start = self.start_unix_nano.checked_next_multiple_of(MINUTE_NANO)?;
        let end = self.end_unix_nano / MINUTE_NANO * MINUTE_NANO;
        if has_bounds || !fits || start >= end {
            return None;
        }
        let ends = [(self.start_unix_nano, start), (end, self.end_unix_nano)];
        let ends = ends.into_iter().filter(|(start, end)| start < end);
        let ends = ends.map(|(start, end)| between(start, end)).collect();
        Some((between(start, end), ends))
    }
}

fn between(start_unix_nano: u64, end_unix_nano: u64) -> TimeRange {
    TimeRange {
        start_unix_nano,
        end_unix_nano: Some(end_unix_nano),
    }
}

/// Where the cells of a heat map are.
#[derive(Clone, Debug)]
struct Grid {
    start_unix_nano: u64,
    step_nano: u64,
    step_count: usize,
    scale: Scale,
    durations: std::ops::RangeInclusive<u64>,
    first_bucket: u16,
    buckets: usize,
}

pub(crate) fn count_durations(
    spans: &Snapshot<SpanChunk>,
    spec: &HeatmapSpec,
    settings: Settings,
    asking: Asking<'_>,
) -> Result<Heatmap, HeatmapError> {
    let grid = spec.grid()?;
    let mut progress = Progress::start(asking.stop);
    let cells = match spec.of {
        HeatmapOf::Spans => {
            spans.cover(spec.range(), &mut progress.coverage);
            let mut cells = Cells::new(grid);
            let mut rest = vec![spec.range()];
            if let Some((minutes, ends)) = spec.whole_minutes() {
                count_minutes(spans, minutes, settings, &mut cells, &mut progress);
                rest = ends;
            }
            for range in rest {
                count_spans(spans, &spec.query, range, &mut cells, asking, &mut progress);
            }
            cells
        }
        HeatmapOf::Traces => {
            // A trace that starts in the range may have spans at any later time.
            let from_start = TimeRange {
                end_unix_nano: None,
                ..spec.range()
            };
            spans.cover(from_start, &mut progress.coverage);
            // The range is that of traces, so that a span is asked for the query alone.
            let filter = Filter::new(&spec.query, TimeRange::ALL);
            known::count(spans, spec, &filter, &grid, asking, &mut progress).unwrap_or_else(|| {
                traces::count(spans, spec, &filter, &grid, asking, &mut progress)
            })
        }
    };
    progress.coverage.matched = cells.total();
    Ok(Heatmap {
        steps: cells.into_steps(),
        step_nano: spec.step_nano,
        scale: spec.scale,
        coverage: progress.finish(),
    })
}

/// Counts the spans of whole minutes by the rollups.
fn count_minutes(
    snapshot: &Snapshot<SpanChunk>,
    minutes: TimeRange,
    settings: Settings,
    cells: &mut Cells,
    progress: &mut Progress<'_>,
) {
    let scale = cells.scale();
    durations(snapshot, minutes, settings, progress, |own| {
        let errors = if own.is_error { own.count } else { 0 };
        let bucket = scale.bucket_around(own.bucket);
        cells.add_all(own.minute_unix_nano, bucket, own.count, errors);
    });
}

/// Looks at the spans of a range.
fn count_spans(
    snapshot: &Snapshot<SpanChunk>,
    query: &Query,
    range: TimeRange,
    cells: &mut Cells,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
) {
    let filter = Filter::new(query, range);
    let units = units(parts(snapshot, &filter, progress));
    let grid = cells.grid();
    let worker = || (Cells::new(grid.clone()), Progress::start(asking.stop));
    let counted = asking.pool.run(units, worker, |(cells, progress), unit| {
        if !progress.look() {
            return false;
        }
        if let Some(mut sight) = unit.open(snapshot, progress) {
            let counted = count_rows(&mut sight, &filter, cells, progress);
            progress.read(sight.bytes_read());
            readable(snapshot, counted, progress);
        }
        progress.look()
    });
    for (others, of_worker) in counted {
        cells.absorb(&others);
        progress.absorb(of_worker);
    }
}

/// Counts the spans that match.
fn count_rows(
    sight: &mut Sight<'_, SpanChunk>,
    filter: &Filter<'_>,
    cells: &mut Cells,
    progress: &mut Progress<'_>,
) -> Result<(), BlockError> {
    progress.scan(sight.rows() as u64);
    let selected = sight.select(filter)?;
    if selected.is_empty() {
        return Ok(());
    }
    let durations = sight.durations(&selected)?;
    let (times, grades) = (sight.times()?, sight.grades()?);
    for (row, duration) in selected.iter().zip(durations) {
        let time = times.get(row).copied().unwrap_or_default();
        cells.add(time, duration, grades.get(row) == Some(&ERROR_GRADE));
    }
    Ok(())
}

/// The grade of a span with an error status.
const ERROR_GRADE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(steps: u64, per_octave: u32, max: Option<u64>) -> HeatmapSpec {
        HeatmapSpec {
            of: HeatmapOf::Spans,
            query: Query::default(),
            start_unix_nano: 0,
            end_unix_nano: steps,
            step_nano: 1,
            scale: Scale::new(per_octave).unwrap(),
            duration_min_nano: 0,
            duration_max_nano: max,
        }
    }

    #[test]
    fn too_many_cells_are_refused_and_fewer_durations_help() {
        assert_eq!(
            spec(200, 36, None).grid().err(),
            Some(HeatmapError::Cells { cells: 461_000 })
        );
        assert!(spec(200, 36, Some(1_000_000_000)).grid().is_ok());
        assert!(spec(200, 18, None).grid().is_ok());
    }

    #[test]
    fn rollups_are_asked_for_whole_minutes_only() {
        let spec = |start, end, step_nano| HeatmapSpec {
            start_unix_nano: start,
            end_unix_nano: end,
            step_nano,
            ..spec(1, 3, None)
        };
        let minute = MINUTE_NANO;
        let (minutes, ends) = spec(1, 3 * minute + 5, 2 * minute).whole_minutes().unwrap();
        assert_eq!(minutes, between(minute, 3 * minute));
        assert_eq!(
            ends,
            [between(1, minute), between(3 * minute, 3 * minute + 5)]
        );
        let (_, ends) = spec(0, minute, minute).whole_minutes().unwrap();
        assert_eq!(ends, []);
        assert!(spec(1, 2 * minute - 1, minute).whole_minutes().is_none());
        assert!(spec(0, 5 * minute, minute / 2).whole_minutes().is_none());
        let bounded = HeatmapSpec {
            duration_max_nano: Some(9),
            ..spec(0, 5 * minute, minute)
        };
        assert!(bounded.whole_minutes().is_none());
    }

    #[test]
    fn bounds_without_a_duration_between_them_are_refused() {
        let inverted = HeatmapSpec {
            duration_min_nano: 6,
            ..spec(10, 3, Some(5))
        };
        assert!(matches!(
            inverted.grid(),
            Err(HeatmapError::Durations { .. })
        ));
        let steps = spec(0, 3, None).grid();
        assert!(matches!(steps, Err(HeatmapError::Steps(_))));
    }
}
