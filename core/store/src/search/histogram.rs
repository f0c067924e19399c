//! How many records match, in equal steps of time.

use std::{collections::HashMap, ops::Range};

use log_tracer_query::Query;

use super::{
    Signal,
    filter::Filter,
    walk::{Loaded, Order, Walk},
};
use crate::{
    Coverage, Stop, TimeRange,
    block::{Columns, Storable},
    chunk::Chunk,
    part::Part,
    stop::Progress,
    table::Snapshot,
};

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
    /// What was covered.
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
        let Self {
            start_unix_nano,
            end_unix_nano,
            step_nano,
            ..
        } = *self;
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
}

pub(crate) fn count_over_time<C: Storable>(
    snapshot: &Snapshot<C>,
    spec: &HistogramSpec,
    answer_bytes_max: u64,
    stop: &Stop,
) -> Result<Histogram, HistogramError> {
    let (start_unix_nano, step_count) = spec.steps()?;
    let range = TimeRange {
        start_unix_nano: spec.start_unix_nano,
        end_unix_nano: Some(spec.end_unix_nano),
    };
    let mut progress = Progress::start(stop);
    snapshot.cover(range, &mut progress.coverage);
    let filter = Filter::new(&spec.query, range);
    let mut cells = Cells::new(spec, start_unix_nano, step_count, answer_bytes_max);
    let columns = Columns {
        levels: spec.group == HistogramGroup::Level,
        resources: spec.group == HistogramGroup::Service,
        ..filter.columns()
    };
    for step in Walk::new(snapshot, &filter, Order::NEWEST_FIRST, &mut progress) {
        if !progress.look() {
            break;
        }
        if cells.count_unread(&step.part, &filter, &mut progress) {
            continue;
        }
        if let Some(rows) = step.read(&filter, &columns, &mut progress)
            && !cells.count(&rows, &filter, &mut progress)
        {
            break;
        }
    }
    let series = cells.into_series::<C>(spec.group);
    Ok(Histogram {
        series,
        start_unix_nano,
        step_nano: spec.step_nano,
        coverage: progress.finish(),
    })
}

/// The counts of all groups.
struct Cells {
    group: HistogramGroup,
    start_unix_nano: u64,
    step_nano: u64,
    step_count: usize,
    groups_max: usize,
    /// The step of the row before, and the times that lie in it: neighbours mostly share one, and a division for each
    /// row costs more than all else.
    step: usize,
    times: Range<u64>,
    /// By the number of the group: one count a step.
    counts: Vec<Vec<u64>>,
    services: HashMap<String, usize>,
}

impl Cells {
    fn new(spec: &HistogramSpec, start_unix_nano: u64, step_count: usize, bytes_max: u64) -> Self {
        let cells_max = usize::try_from(bytes_max).unwrap_or(usize::MAX) / size_of::<u64>();
        Self {
            group: spec.group,
            start_unix_nano,
            step_nano: spec.step_nano,
            step_count,
            // The levels always fit: see `Config::validate`.
            groups_max: (cells_max / step_count.max(1)).max(8),
            step: 0,
            times: 0..0,
            counts: Vec::new(),
            services: HashMap::new(),
        }
    }

    /// Counts all rows of a part without reading them, when each of them counts, and in the same step. False when they
    /// have to be looked at.
    fn count_unread<C: Storable>(
        &mut self,
        part: &Part<C>,
        filter: &Filter<'_>,
        progress: &mut Progress<'_>,
    ) -> bool {
        let bounds = part.bounds();
        let step = |time: u64| time / self.step_nano;
        let is_countable = filter.is_empty()
            && self.group == HistogramGroup::None
            && filter.range().contains(bounds.first)
            && filter.range().contains(bounds.last)
            && step(bounds.first) == step(bounds.last);
        if is_countable {
            progress.coverage.matched += part.row_count();
            self.add(0, bounds.first, part.row_count());
        }
        is_countable
    }

    /// Counts the rows of a part. False when the search has to end.
    fn count<C: Storable>(
        &mut self,
        rows: &Loaded<C>,
        filter: &Filter<'_>,
        progress: &mut Progress<'_>,
    ) -> bool {
        let chunk = rows.chunk.as_ref();
        // The group of each resource, once it is known.
        let mut of_resource: Vec<Option<usize>> = vec![None; chunk.resources().all().len()];
        let filter = filter.on_part(rows);
        for row in filter.rows() {
            if !progress.scan(1) {
                return false;
            }
            if !filter.matches(row) {
                continue;
            }
            progress.coverage.matched += 1;
            let group = match self.group {
                HistogramGroup::None => Some(0),
                HistogramGroup::Level => Some(chunk.level(row)),
                HistogramGroup::Service => self.group_of_service(chunk, row, &mut of_resource),
            };
            match group {
                Some(group) => self.add(group, chunk.time(row), 1),
                None => progress.coverage.miss(format!(
                    "there are more services than the {} that a histogram of {} steps may have",
                    self.groups_max, self.step_count
                )),
            }
        }
        true
    }

    fn group_of_service<C: Chunk>(
        &mut self,
        chunk: &C,
        row: usize,
        known: &mut [Option<usize>],
    ) -> Option<usize> {
        let slot = known.get_mut(chunk.resources().number(row))?;
        if slot.is_none() {
            let service = chunk.service(row);
            *slot = self.services.get(service).copied();
            if slot.is_none() && self.services.len() < self.groups_max {
                *slot = Some(self.services.len());
                self.services
                    .insert(service.to_owned(), self.services.len());
            }
        }
        *slot
    }

    fn add(&mut self, group: usize, time: u64, records: u64) {
        while self.counts.len() <= group {
            self.counts.push(vec![0; self.step_count]);
        }
        if !self.times.contains(&time) {
            let step = (time - self.start_unix_nano) / self.step_nano;
            let start = self.start_unix_nano + step * self.step_nano;
            self.step = step as usize;
            self.times = start..start.saturating_add(self.step_nano);
        }
        let counts = self.counts.get_mut(group);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(self.step)) {
            *count += records;
        }
    }

    fn into_series<C: Chunk>(mut self, group: HistogramGroup) -> Vec<HistogramSeries> {
        match group {
            HistogramGroup::None => {
                let counts = self
                    .counts
                    .pop()
                    .unwrap_or_else(|| vec![0; self.step_count]);
                vec![HistogramSeries {
                    group: String::new(),
                    counts,
                }]
            }
            HistogramGroup::Level => {
                let of_level = |(name, counts): (&&str, Vec<u64>)| HistogramSeries {
                    group: (*name).to_owned(),
                    counts,
                };
                let series = C::LEVELS.iter().zip(self.counts).map(of_level);
                series.filter(|series| series.total() > 0).collect()
            }
            HistogramGroup::Service => {
                let of_service = |(group, number): (String, usize)| {
                    let counts = self
                        .counts
                        .get_mut(number)
                        .map(std::mem::take)
                        .unwrap_or_default();
                    HistogramSeries { group, counts }
                };
                let mut series: Vec<HistogramSeries> =
                    self.services.into_iter().map(of_service).collect();
                series.sort_by(|a, b| {
                    b.total()
                        .cmp(&a.total())
                        .then_with(|| a.group.cmp(&b.group))
                });
                series
            }
        }
    }
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
