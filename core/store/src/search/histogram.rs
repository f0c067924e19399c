//! How many records match, in equal steps of time.
//!
//! A piece of which all rows lie in one step is counted without reading them, when the question is about services and
//! levels only: the index knows how many of each a piece has ([`unread`]). Of the others only the columns are read that
//! the query looks at, and those that are counted by ([`super::sight`]).
//!
//! A question may have a bound on the rows that it looks at. When more can match, pieces that lie evenly among all of them
//! are looked at, and the counts of the others are estimated from their neighbours ([`sample`]).

mod cells;
mod sample;
mod unread;

use arrow_buffer::ScalarBuffer;
use log_tracer_query::Query;

use super::{
    Signal,
    filter::Filter,
    sight::Sight,
    source::readable,
    units::{Asking, Place, Unit, parts, units},
};
use crate::{
    Coverage, TimeRange,
    block::{BlockError, Named, Storable},
    stop::Progress,
    table::Snapshot,
};
use cells::Cells;
use sample::{Estimates, Sample};
use unread::Unread;

/// Steps that a histogram may have.
pub const STEPS_MAX: u64 = 10_000;

/// Asks for counts over time.
#[derive(Clone, Debug)]
pub struct HistogramSpec {
    /// Of which records.
    pub signal: Signal,
    /// What a record has to match.
    pub query: Query,
    /// The first time that counts, nanoseconds since 1970-01-01T00:00:00Z.
    pub start_unix_nano: u64,
    /// The first time that counts no more; after the start.
    pub end_unix_nano: u64,
    /// The width of a step in nanoseconds. Steps are aligned to multiples of it, so that the answers of several stores
    /// can be added; at most [`STEPS_MAX`] of them.
    pub step_nano: u64,
    /// By what the counts are split.
    pub group: HistogramGroup,
    /// Rows on disk to look at, about, when more can match: the counts are then estimates. None is no bound.
    pub rows_max: Option<u64>,
}

/// By what a histogram splits its counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HistogramGroup {
    /// One series, whose group is empty.
    #[default]
    None,
    /// Logs by the range of their severity: "trace", "debug", "info", "warn", "error", "fatal", "unspecified". Spans by
    /// their status: "unset", "ok", "error".
    Level,
    /// By service.
    Service,
}

/// Why a histogram cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// The step has no width.
    #[error("the step is 0: expected a width in nanoseconds")]
    Step,
    /// The end does not lie after the start.
    #[error(
        "the range ends at {end_unix_nano}: expected a time after its start, {start_unix_nano}"
    )]
    Range {
        /// Where the range starts.
        start_unix_nano: u64,
        /// Where it ends.
        end_unix_nano: u64,
    },
    /// The range has too many steps.
    #[error(
        "the range has {steps} steps: expected at most {STEPS_MAX}, so a step of {step_nano_min} ns or more"
    )]
    Steps {
        /// How many there are.
        steps: u64,
        /// A step that would do.
        step_nano_min: u64,
    },
}

/// Counts over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// One for each group that has a record, all of the same length; one in any case when the counts are not split. Levels
    /// stand from the least to the most severe,
    /// services from the most records to the fewest.
    pub series: Vec<HistogramSeries>,
    /// The start of the first step, a multiple of the step.
    pub start_unix_nano: u64,
    /// The width of a step in nanoseconds.
    pub step_nano: u64,
    /// Of an estimate: how far the sum of all counts is off at most, in 19 of 20 cases. 0 only when each record was
    /// counted.
    pub count_error: u64,
    /// What was covered; what matched is what was found among the rows that were looked at.
    pub coverage: Coverage,
}

/// The counts of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSeries {
    /// The level or the service; empty when the counts are not split.
    pub group: String,
    /// One count a step.
    pub counts: Vec<u64>,
}

impl HistogramSpec {
    /// The start of the first step, and how many there are.
    fn steps(&self) -> Result<(u64, usize), HistogramError> {
        let range = (self.start_unix_nano, self.end_unix_nano);
        steps(range, self.step_nano)
    }
}

/// The start of the first step between two times, and how many there are.
pub(super) fn steps(
    (start_unix_nano, end_unix_nano): (u64, u64),
    step_nano: u64,
) -> Result<(u64, usize), HistogramError> {
    if step_nano == 0 {
        return Err(HistogramError::Step);
    }
    if end_unix_nano <= start_unix_nano {
        return Err(HistogramError::Range {
            start_unix_nano,
            end_unix_nano,
        });
    }
    let first = start_unix_nano / step_nano;
    let steps = (end_unix_nano - 1) / step_nano - first + 1;
    if steps > STEPS_MAX {
        // One step less, because the first and the last may both be cut by the range.
        let step_nano_min = (end_unix_nano - start_unix_nano).div_ceil(STEPS_MAX - 1);
        return Err(HistogramError::Steps {
            steps,
            step_nano_min,
        });
    }
    Ok((first * step_nano, steps as usize))
}

pub(crate) fn count_over_time<C: Storable>(
    snapshot: &Snapshot<C>,
    spec: &HistogramSpec,
    asking: Asking<'_>,
) -> Result<Histogram, HistogramError> {
    let (start_unix_nano, step_count) = spec.steps()?;
    let range = TimeRange {
        start_unix_nano: spec.start_unix_nano,
        end_unix_nano: Some(spec.end_unix_nano),
    };
    let mut progress = Progress::start(asking.stop);
    snapshot.cover(range, &mut progress.coverage);
    let filter = Filter::new(&spec.query, range);
    let new_cells = || Cells::new(spec, start_unix_nano, step_count, asking.answer_bytes_max);
    let mut cells = new_cells();
    let mut unread = Unread::new(&filter, spec.group);
    let mut parts = parts(snapshot, &filter, &mut progress);
    parts.retain(|part| {
        let Place::Piece { block, piece, .. } = &part.place else {
            return true;
        };
        let counted = unread.count(block, *piece, &mut cells, &mut progress);
        readable(snapshot, counted, &mut progress) == Some(false)
    });
    let sample = spec.rows_max.and_then(|max| Sample::take(&mut parts, max));
    if let Some(sample) = &sample {
        progress.coverage.leave_out(sample.left_out());
    }
    let worker = || Worker {
        cells: match sample {
            Some(_) => new_cells().with_fractions(),
            None => new_cells(),
        },
        estimates: sample.as_ref().map(Estimates::new),
        progress: Progress::start(asking.stop),
    };
    let counted = asking.pool.run(units(parts), worker, |worker, unit| {
        worker.count_unit(snapshot, &filter, &unit)
    });
    let mut found = Vec::new();
    for worker in counted {
        cells.absorb(worker.cells);
        progress.absorb(worker.progress);
        found.extend(worker.estimates.into_iter().flat_map(Estimates::into_found));
    }
    if cells.has_uncounted() {
        progress.coverage.miss(cells.too_many());
    }
    Ok(Histogram {
        series: cells.into_series::<C>(),
        start_unix_nano,
        step_nano: spec.step_nano,
        count_error: sample.map_or(0, |sample| sample.count_error(found)),
        coverage: progress.finish(),
    })
}

/// What one thread counted.
struct Worker<'a> {
    cells: Cells,
    /// None when each record is counted.
    estimates: Option<Estimates<'a>>,
    progress: Progress<'a>,
}

impl Worker<'_> {
    /// False when the search has to end.
    fn count_unit<C: Storable>(
        &mut self,
        snapshot: &Snapshot<C>,
        filter: &Filter<'_>,
        unit: &Unit<'_, C>,
    ) -> bool {
        let Self {
            cells,
            estimates,
            progress,
        } = self;
        if !progress.look() {
            return false;
        }
        if let Unit::Chunk(chunk) = unit
            && cells.count_whole(chunk.bounds(), chunk.rows() as u64, filter, progress)
        {
            return true;
        }
        if let Some(mut sight) = unit.open(snapshot, progress) {
            let counted = match (unit, estimates) {
                (Unit::Pieces(block, pieces), Some(estimates)) => {
                    estimates.begin(block, pieces);
                    let counted = count(&mut sight, filter, cells, progress, |row, group| {
                        estimates.count(row, group);
                    });
                    // Nothing is concluded from what cannot be read.
                    let times = counted.and_then(|()| match estimates.has_any() {
                        true => sight.times(),
                        false => Ok(ScalarBuffer::default()),
                    });
                    times.map(|times| estimates.end(cells, filter.range(), &times))
                }
                _ => count(&mut sight, filter, cells, progress, |_, _| {}),
            };
            progress.read(sight.bytes_read());
            readable(snapshot, counted, progress);
        }
        progress.look()
    }
}

/// Counts the rows that match, and hands the number of each to `visit`, ascending, with its group.
fn count<C: Storable>(
    sight: &mut Sight<'_, C>,
    filter: &Filter<'_>,
    cells: &mut Cells,
    progress: &mut Progress<'_>,
    mut visit: impl FnMut(usize, Option<usize>),
) -> Result<(), BlockError> {
    progress.scan(sight.rows() as u64);
    let selected = sight.select(filter)?;
    if selected.is_empty() {
        return Ok(());
    }
    let times = sight.times()?;
    let mut add = |cells: &mut Cells, row: usize, group| {
        cells.add(group, times.get(row).copied().unwrap_or_default(), 1);
        visit(row, group);
    };
    match cells.group() {
        HistogramGroup::None => selected.iter().for_each(|row| add(cells, row, Some(0))),
        HistogramGroup::Level => {
            let grades = sight.grades()?;
            for row in selected.iter() {
                let level = C::level_of(grades.get(row).copied().unwrap_or(0));
                add(cells, row, Some(level));
            }
        }
        HistogramGroup::Service => {
            let Named { numbers, names } = sight.services()?;
            let mut groups: Vec<Option<Option<usize>>> = vec![None; names.len()];
            for row in selected.iter() {
                let number = numbers.get(row).map_or(0, |number| *number as usize);
                if let Some((known, name)) = groups.get_mut(number).zip(names.get(number)) {
                    let group = *known.get_or_insert_with(|| cells.group_of(name));
                    add(cells, row, group);
                }
            }
        }
    }
    progress.coverage.matched += selected.count() as u64;
    Ok(())
}

impl HistogramSeries {
    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(start_unix_nano: u64, end_unix_nano: u64, step_nano: u64) -> HistogramSpec {
        HistogramSpec {
            signal: Signal::Logs,
            query: Query::default(),
            start_unix_nano,
            end_unix_nano,
            step_nano,
            group: HistogramGroup::None,
            rows_max: None,
        }
    }

    #[test]
    fn steps_are_aligned_to_multiples_of_their_width() {
        assert_eq!(spec(95, 205, 10).steps(), Ok((90, 12)));
        assert_eq!(spec(100, 200, 10).steps(), Ok((100, 10)));
        assert_eq!(spec(0, u64::MAX, u64::MAX).steps(), Ok((0, 1)));
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        assert_eq!(spec(0, 10, 0).steps(), Err(HistogramError::Step));
        assert!(matches!(
            spec(10, 10, 1).steps(),
            Err(HistogramError::Range { .. })
        ));
    }

    #[test]
    fn too_many_steps_are_refused_with_a_width_that_would_do() {
        for (start, end) in [(0, u64::MAX), (5, 1_000_000), (999, 10_001_000)] {
            let Err(HistogramError::Steps { step_nano_min, .. }) = spec(start, end, 1).steps()
            else {
                panic!("expected too many steps");
            };
            assert!(spec(start, end, step_nano_min).steps().is_ok());
        }
    }
}
