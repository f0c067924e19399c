//! Rates, errors and durations over time.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;
use log_tracer_record::otlp::trace::span::SpanKind;
use log_tracer_sketch::{BitReader, Sketch};

use super::{
    OTHER_NAME, Settings,
    cells::MINUTE_NANO,
    section::{Head, Part, Places},
    source::{Minutes, Source, for_each_source},
};
use crate::{
    Coverage, STEPS_MAX, Stop, TimeRange,
    block::{BlockError, Malformed},
    chunk::SpanChunk,
    stop::Progress,
    table::Snapshot,
};

/// Asks how many spans there are, how many failed, and how long they took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RatesSpec {
    /// Where a span starts. Widened to whole minutes.
    pub range: TimeRange,
    /// The width of a step in nanoseconds, a multiple of a minute; 0 for one step of the whole range. Steps are aligned to
    /// multiples of it, so that the answers of several stores can be added; at most [`STEPS_MAX`] of them.
    pub step_nano: u64,
    /// What is counted together.
    pub group: RateGroup,
    /// Spans of this service only.
    pub service: Option<String>,
    /// Spans of this name only.
    pub operation: Option<String>,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RateGroup {
    /// The spans of a service.
    #[default]
    Service,
    /// The spans of a service with the same name.
    Operation,
    /// The spans of a service with the same name and kind.
    OperationAndKind,
}

/// Why rates cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RatesError {
    /// The step is no multiple of a minute.
    #[error(
        "the step is {0} ns: expected a multiple of {MINUTE_NANO} ns, a minute, or 0 for one step"
    )]
    Step(u64),
    /// The end does not lie after the start, or there are steps and no end.
    #[error("expected a range that ends after its start, with an end when there are steps")]
    Range,
    /// The range has too many steps.
    #[error("the range has {0} steps: expected at most {STEPS_MAX}")]
    Steps(u64),
}

/// Rates, errors and durations.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// By service, then the most spans first.
    pub series: Vec<RateSeries>,
    /// What was asked for, in whole minutes.
    pub range: TimeRange,
    /// The width of a step in nanoseconds; 0 for one step of all.
    pub step_nano: u64,
    /// What was covered. Rows that were looked at are only those that no rollup had summed up.
    pub coverage: Coverage,
}

/// Spans that are counted together.
#[derive(Clone, Debug, PartialEq)]
pub struct RateSeries {
    /// Their service.
    pub service: String,
    /// Their name; none when all of the service are counted together. `(other)` stands for those of which there
    /// were too many in a block.
    pub operation: Option<String>,
    /// Their kind; none when all are counted together.
    pub kind: Option<SpanKind>,
    /// All of the range.
    pub total: Rate,
    /// Those of each step that has any, in order; empty when there is one step only.
    pub steps: Vec<RateStep>,
}

/// The spans of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct RateStep {
    /// When the step starts, a multiple of its width. The first step counts only what is in the range, and so does the
    /// last.
    pub start_unix_nano: u64,
    /// What is counted.
    pub rate: Rate,
}

/// How many there are, how many of them failed, and how long they took. Several can be added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rate {
    /// Those with an error status.
    pub errors: u64,
    /// How long they took; its count is theirs.
    pub durations: Sketch,
}

impl Rate {
    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.errors = self.errors.saturating_add(other.errors);
        self.durations.merge(&other.durations);
    }
}

impl RatesSpec {
    pub(super) fn check(&self) -> Result<Minutes, RatesError> {
        let Self {
            range, step_nano, ..
        } = self;
        if !step_nano.is_multiple_of(MINUTE_NANO) {
            return Err(RatesError::Step(*step_nano));
        }
        let end = range.end_unix_nano;
        if end.is_some_and(|end| end <= range.start_unix_nano) || *step_nano > 0 && end.is_none() {
            return Err(RatesError::Range);
        }
        if let (Some(end), 1..) = (end, *step_nano) {
            let steps = (end - 1) / step_nano - range.start_unix_nano / step_nano + 1;
            if steps > STEPS_MAX {
                return Err(RatesError::Steps(steps));
            }
        }
        Ok(Minutes::of(*range))
    }
}

pub(crate) fn rates(
    snapshot: &Snapshot<SpanChunk>,
    spec: &RatesSpec,
    settings: Settings,
    answer_bytes_max: u64,
    stop: &Stop,
) -> Result<Rates, RatesError> {
    let minutes = spec.check()?;
    let mut progress = Progress::start(stop);
    snapshot.cover(minutes.range(), &mut progress.coverage);
    let mut groups = Groups::new(spec, answer_bytes_max);
    let settings = Settings {
        with_edges: false,
        ..settings
    };
    for_each_source(
        snapshot,
        minutes,
        settings,
        &mut progress,
        |source, progress| groups.add_source(source, minutes, progress),
    );
    let series = groups.into_series(spec);
    progress.coverage.matched = series.iter().map(|one| one.total.durations.count()).sum();
    Ok(Rates {
        series,
        range: minutes.range(),
        step_nano: spec.step_nano,
        coverage: progress.finish(),
    })
}

/// What a group is known by: service, name, kind.
type GroupKey = (Arc<str>, Option<Arc<str>>, Option<u8>);

/// The groups so far.
struct Groups<'q> {
    spec: &'q RatesSpec,
    step_minutes: u32,
    numbers: HashMap<GroupKey, usize>,
    /// By group and step.
    rates: Vec<BTreeMap<u32, Rate>>,
    scratch: Sketch,
    bytes: usize,
    bytes_max: usize,
}

/// What a rate takes in its tree beside its sketch.
const RATE_BYTES: usize = 2 * size_of::<(u32, Rate)>();
/// What a group takes beside its rates and texts.
const GROUP_BYTES: usize = 256;

impl<'q> Groups<'q> {
    fn new(spec: &'q RatesSpec, bytes_max: u64) -> Self {
        Self {
            spec,
            step_minutes: u32::try_from(spec.step_nano / MINUTE_NANO).unwrap_or(u32::MAX),
            numbers: HashMap::new(),
            rates: Vec::new(),
            scratch: Sketch::default(),
            bytes: 0,
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
        }
    }

    /// Adds the spans of a block. False when there is no more room, or no more time.
    fn add_source(
        &mut self,
        source: &Source<'_, SpanChunk>,
        minutes: Minutes,
        progress: &mut Progress<'_>,
    ) -> Result<bool, BlockError> {
        let groups = self.groups_of(source.head());
        if groups.iter().all(|(group, _)| group.is_none()) {
            return Ok(true);
        }
        for part in source.parts(minutes) {
            if !progress.look() {
                return Ok(false);
            }
            let (bytes, series) = source.read(part)?;
            let bytes = bytes.get(..series).unwrap_or_default();
            self.add_part(part, bytes, &groups)
                .map_err(|reason| source.corrupt(reason))?;
            if self.bytes > self.bytes_max {
                let max = self.bytes_max;
                progress.coverage.miss(format!(
                    "the groups and steps take more than the {max} bytes that an answer may: ask for fewer"
                ));
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add_part(
        &mut self,
        part: &Part,
        bytes: &[u8],
        groups: &[(Option<usize>, bool)],
    ) -> Result<(), Malformed> {
        if bytes.is_empty() {
            return Ok(());
        }
        let step = part.minute.checked_div(self.step_minutes).unwrap_or(0);
        let (mut bits, mut places) = (BitReader::new(bytes), Places::default());
        while let Some(series) = places.next(bits.take_gamma()?)? {
            let (group, is_error) = groups.get(series as usize).copied().unwrap_or_default();
            let rates = group.and_then(|group| self.rates.get_mut(group));
            let Some(rates) = rates else {
                self.scratch.clear();
                self.scratch.merge_encoded(&mut bits)?;
                continue;
            };
            let rate = rates.entry(step).or_insert_with(|| {
                self.bytes += RATE_BYTES;
                Rate::default()
            });
            let before = rate.durations.heap_bytes();
            let added = rate.durations.merge_encoded(&mut bits)?;
            self.bytes += rate.durations.heap_bytes() - before;
            if is_error {
                rate.errors = rate.errors.saturating_add(added.count);
            }
        }
        Ok(())
    }

    /// By series of a block: its group, if it is asked for, and whether it is of errors.
    fn groups_of(&mut self, head: &Head) -> Vec<(Option<usize>, bool)> {
        let other: Arc<str> = OTHER_NAME.into();
        let text = |texts: &[Arc<str>], number: u32| {
            let found = texts.get(number as usize);
            Arc::clone(found.unwrap_or(&other))
        };
        let is_wanted = |wanted: &Option<String>, text: &Arc<str>| {
            wanted.as_ref().is_none_or(|wanted| **wanted == **text)
        };
        let mut groups = Vec::with_capacity(head.series.len());
        for series in &head.series {
            let service = text(&head.services, series.service);
            let name = text(&head.names, series.name);
            let is_error = series.level == ERROR_LEVEL;
            let wanted =
                is_wanted(&self.spec.service, &service) && is_wanted(&self.spec.operation, &name);
            let key = match self.spec.group {
                RateGroup::Service => (service, None, None),
                RateGroup::Operation => (service, Some(name), None),
                RateGroup::OperationAndKind => (service, Some(name), Some(series.kind)),
            };
            groups.push((wanted.then(|| self.group(key)), is_error));
        }
        groups
    }

    fn group(&mut self, key: GroupKey) -> usize {
        let next = self.rates.len();
        let texts = key.0.len() + key.1.as_ref().map_or(0, |name| name.len());
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.bytes += GROUP_BYTES + texts;
            self.rates.push(BTreeMap::new());
        }
        number
    }

    fn into_series(mut self, spec: &RatesSpec) -> Vec<RateSeries> {
        let mut series = Vec::with_capacity(self.rates.len());
        for ((service, operation, kind), number) in std::mem::take(&mut self.numbers) {
            let rates = self.rates.get_mut(number).map(std::mem::take);
            let rates = rates.unwrap_or_default();
            if rates.is_empty() {
                continue;
            }
            let mut total = Rate::default();
            rates.values().for_each(|rate| total.merge(rate));
            let steps = rates.into_iter().filter(|_| self.step_minutes > 0);
            let steps = steps.map(|(step, rate)| RateStep {
                start_unix_nano: u64::from(step) * spec.step_nano,
                rate,
            });
            series.push(RateSeries {
                service: service.to_string(),
                operation: operation.map(|name| name.to_string()),
                kind: kind.map(|kind| {
                    SpanKind::try_from(i32::from(kind)).unwrap_or(SpanKind::Unspecified)
                }),
                total,
                steps: steps.collect(),
            });
        }
        series.sort_by(|a, b| order(a).cmp(&order(b)));
        series
    }
}

/// The status of an error among [`crate::chunk::Chunk::LEVELS`] of spans.
pub(super) const ERROR_LEVEL: u8 = 2;

type Place<'s> = (&'s str, Reverse<u64>, Option<&'s str>, Option<SpanKind>);

fn order(series: &RateSeries) -> Place<'_> {
    (
        &series.service,
        Reverse(series.total.durations.count()),
        series.operation.as_deref(),
        series.kind,
    )
}
