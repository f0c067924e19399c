//! The counts of a histogram: of each group, one a step.

use std::{collections::HashMap, ops::Range};

use super::{HistogramGroup, HistogramSeries, HistogramSpec};
use crate::{
    TimeRange,
    chunk::{Chunk, TimeBounds},
    search::filter::Filter,
    stop::Progress,
};

/// Of counts with estimates among them: how many bits stand for a part of one.
const FRACTION_BITS: u32 = 16;

/// The counts of all groups.
#[derive(Debug)]
pub(super) struct Cells {
    group: HistogramGroup,
    start_unix_nano: u64,
    step_nano: u64,
    step_count: usize,
    groups_max: usize,
    /// The step of the row before, and the times that lie in it: neighbours mostly share one, and a division for each
    /// row costs more than all else.
    step: usize,
    times: Range<u64>,
    /// By the number of the group: one count a step, in units of 2^-`fraction_bits`.
    counts: Vec<Vec<u64>>,
    /// 0 unless estimates are added.
    fraction_bits: u32,
    services: HashMap<String, usize>,
    /// Records of services that have no cells.
    uncounted: u64,
}

impl Cells {
    pub(super) fn new(
        spec: &HistogramSpec,
        start_unix_nano: u64,
        step_count: usize,
        bytes_max: u64,
    ) -> Self {
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
            fraction_bits: 0,
            services: HashMap::new(),
            uncounted: 0,
        }
    }

    /// The same with room for estimates, which are no whole numbers: so their sum does not depend on who adds them up.
    pub(super) fn with_fractions(self) -> Self {
        Self {
            fraction_bits: FRACTION_BITS,
            ..self
        }
    }

    /// Whether rows with these bounds lie in the range, and in one step.
    pub(super) fn are_in_one_step(&self, bounds: TimeBounds, range: TimeRange) -> bool {
        let TimeBounds { first, last } = bounds;
        range.contains(first)
            && range.contains(last)
            && first / self.step_nano == last / self.step_nano
    }

    /// Counts so many rows when each of them counts, in the same cell. False when they have to be looked at.
    pub(super) fn count_whole(
        &mut self,
        bounds: TimeBounds,
        rows: u64,
        filter: &Filter<'_>,
        progress: &mut Progress<'_>,
    ) -> bool {
        let is_countable = filter.is_empty()
            && self.group == HistogramGroup::None
            && self.are_in_one_step(bounds, filter.range());
        if is_countable {
            progress.coverage.matched += rows;
            self.add(Some(0), bounds.first, rows);
        }
        is_countable
    }

    /// The group of a service; none when there is no more room for one.
    pub(super) fn group_of(&mut self, service: &str) -> Option<usize> {
        if let Some(group) = self.services.get(service) {
            return Some(*group);
        }
        let group = self.services.len();
        (group < self.groups_max).then(|| {
            self.services.insert(service.to_owned(), group);
            group
        })
    }

    /// Counts records of one time.
    #[inline]
    pub(super) fn add(&mut self, group: Option<usize>, time: u64, records: u64) {
        match group {
            Some(group) => self.add_units(group, time, records << self.fraction_bits),
            None => self.uncounted += records,
        }
    }

    /// Adds an estimate.
    pub(super) fn add_estimate(&mut self, group: usize, time: u64, records: f64) {
        let unit = f64::from(1_u32 << self.fraction_bits);
        self.add_units(group, time, (records * unit).round() as u64);
    }

    #[inline]
    fn add_units(&mut self, group: usize, time: u64, units: u64) {
        while self.counts.len() <= group {
            self.counts.push(vec![0; self.step_count]);
        }
        if !self.times.contains(&time) {
            let step = time.saturating_sub(self.start_unix_nano) / self.step_nano;
            let start = self.start_unix_nano + step * self.step_nano;
            self.step = step as usize;
            self.times = start..start.saturating_add(self.step_nano);
        }
        let counts = self.counts.get_mut(group);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(self.step)) {
            *count += units;
        }
    }

    /// By what the counts are split.
    pub(super) fn group(&self) -> HistogramGroup {
        self.group
    }

    /// The steps that lie between two times and in the range, by a time in each, with the part of the whole time between
    /// the two that does.
    pub(super) fn steps_within(
        &self,
        bounds: TimeBounds,
        range: TimeRange,
    ) -> impl Iterator<Item = (u64, f64)> + use<> {
        let step_nano = self.step_nano;
        let width = bounds.last.saturating_sub(bounds.first) as f64 + 1.0;
        let first = bounds.first.max(range.start_unix_nano);
        let range_last = range
            .end_unix_nano
            .map_or(u64::MAX, |end| end.saturating_sub(1));
        let last = bounds.last.min(range_last);
        let steps = (first <= last).then(|| first / step_nano..=last / step_nano);
        steps.into_iter().flatten().map(move |step| {
            let start = (step * step_nano).max(first);
            let end = (step * step_nano).saturating_add(step_nano - 1).min(last);
            (start, ((end - start) as f64 + 1.0) / width)
        })
    }

    /// Adds the counts of another thread.
    pub(super) fn absorb(&mut self, others: Self) {
        // Those that were counted before it was known whether there are estimates are whole numbers.
        let more_bits = others.fraction_bits.saturating_sub(self.fraction_bits);
        self.fraction_bits += more_bits;
        for count in self.counts.iter_mut().flatten() {
            *count <<= more_bits;
        }
        let mut services = vec![""; others.services.len()];
        for (service, number) in &others.services {
            if let Some(place) = services.get_mut(*number) {
                *place = service;
            }
        }
        for (number, counts) in others.counts.iter().enumerate() {
            let group = match self.group {
                HistogramGroup::Service => {
                    self.group_of(services.get(number).copied().unwrap_or_default())
                }
                _ => Some(number),
            };
            let Some(group) = group else {
                self.uncounted += counts.iter().sum::<u64>() >> others.fraction_bits;
                continue;
            };
            while self.counts.len() <= group {
                self.counts.push(vec![0; self.step_count]);
            }
            for (mine, theirs) in self.counts.get_mut(group).into_iter().flatten().zip(counts) {
                *mine += theirs;
            }
        }
        self.uncounted += others.uncounted;
    }

    pub(super) fn has_uncounted(&self) -> bool {
        self.uncounted > 0
    }

    pub(super) fn too_many(&self) -> String {
        format!(
            "there are more services than the {} that a histogram of {} steps may have",
            self.groups_max, self.step_count
        )
    }

    pub(super) fn into_series<C: Chunk>(mut self) -> Vec<HistogramSeries> {
        let half = (1 << self.fraction_bits) >> 1;
        for count in self.counts.iter_mut().flatten() {
            *count = (*count + half) >> self.fraction_bits;
        }
        match self.group {
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
