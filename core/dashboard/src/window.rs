//! What an answer with rates covers, and its steps as values over time.

use log_tracer_proto::v1::{HistogramResponse, HistogramSeries, RateSeries, RatesResponse};

use crate::{red::Red, units::SECOND};

/// Steps that are read from an answer at most.
const STEPS_MAX: u64 = 400;

/// A stretch of time that was counted, in equal steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// What of the range can hold records: not before the oldest that is kept, and not after now.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The start of the first step, and how many there are; `step` is never 0.
    first: u64,
    step: u64,
    steps: u64,
}

impl Window {
    /// Of an answer that has steps. `bounds` is what was asked for, `oldest` the start of the oldest span that is kept.
    pub(crate) fn new(
        answer: &RatesResponse,
        bounds: (u64, u64),
        oldest: Option<u64>,
        now: u64,
    ) -> Self {
        // The consumer counts whole minutes.
        let range = answer.range.unwrap_or_default();
        let start = range.start_unix_nano.max(oldest.unwrap_or(0));
        let end = match range.end_unix_nano {
            0 => bounds.1,
            end => end,
        };
        let step = answer.step_nano.max(1);
        let first = range.start_unix_nano / step * step;
        Self {
            start: start.min(end),
            // A range that lies ahead of our clock is taken as it is.
            end: if range.start_unix_nano < now {
                end.min(now)
            } else {
                end
            },
            first,
            step,
            steps: end.saturating_sub(first).div_ceil(step).min(STEPS_MAX),
        }
    }

    /// Its length in nanoseconds, at least one.
    pub(crate) fn nanos(&self) -> u64 {
        self.end.saturating_sub(self.start).max(1)
    }

    /// Where the steps begin and end.
    pub(crate) fn axis(&self) -> (u64, u64) {
        let length = self.steps.saturating_mul(self.step).max(1);
        (self.first, self.first.saturating_add(length))
    }

    /// A value for each step: of its numbers and of the seconds of it that lie in the window. A step that lies outside,
    /// or has less than a tenth within, has none: a rate over a few seconds says nothing.
    pub(crate) fn values(
        &self,
        series: &RateSeries,
        value: impl Fn(&Red, f64) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let mut steps = series.steps.iter().peekable();
        (0..self.steps)
            .map(|at| {
                let from = self.first.saturating_add(at.saturating_mul(self.step));
                while steps.next_if(|step| step.start_unix_nano < from).is_some() {}
                let own = steps.next_if(|step| step.start_unix_nano == from);
                let within = self.within(from)?;
                let red = own.map_or_else(Red::default, |step| Red::new(step.rate.as_ref()));
                value(&red, within as f64 / SECOND as f64)
            })
            .collect()
    }

    /// Nanoseconds of a step that lie in the window, when they are enough.
    fn within(&self, from: u64) -> Option<u64> {
        let to = from.saturating_add(self.step);
        let within = to.min(self.end).saturating_sub(from.max(self.start));
        (within > 0 && within >= self.step / 10).then_some(within)
    }

    /// Spans over time as a histogram: those that failed and the others, of all series.
    pub(crate) fn histogram(&self, answer: &RatesResponse) -> HistogramResponse {
        let mut good = vec![0_u64; self.steps as usize];
        let mut bad = good.clone();
        for step in answer.series.iter().flat_map(|series| &series.steps) {
            let at = step.start_unix_nano.saturating_sub(self.first) / self.step;
            let red = Red::new(step.rate.as_ref());
            if let (Some(good), Some(bad)) = (good.get_mut(at as usize), bad.get_mut(at as usize)) {
                *good = good.saturating_add(red.count - red.errors);
                *bad = bad.saturating_add(red.errors);
            }
        }
        let series = |group: &str, counts| HistogramSeries {
            group: group.to_owned(),
            counts,
        };
        HistogramResponse {
            series: vec![series("ok", good), series("error", bad)],
            start_unix_nano: self.first,
            step_nano: self.step,
            coverage: None,
            count_error: 0,
        }
    }
}

/// Calls a second.
pub(crate) fn per_second(red: &Red, seconds: f64) -> Option<f64> {
    Some(red.count as f64 / seconds)
}

/// Failed calls a second.
pub(crate) fn errors_per_second(red: &Red, seconds: f64) -> Option<f64> {
    Some(red.errors as f64 / seconds)
}

/// A quantile, where there was a call.
pub(crate) fn quantile(of: fn(&Red) -> u64) -> impl Fn(&Red, f64) -> Option<f64> {
    move |red, _| (red.count > 0).then(|| of(red) as f64)
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::{Rate, RateStep, TimeRange};
    use proptest::prelude::*;

    use super::*;
    use crate::units::MINUTE;

    fn step(minute: u64, count: u64, errors: u64) -> RateStep {
        RateStep {
            start_unix_nano: minute * MINUTE,
            rate: Some(Rate {
                count,
                errors,
                quantiles_nano: vec![1, 2, 3],
                ..Rate::default()
            }),
        }
    }

    fn answer(steps: Vec<RateStep>, from: u64, to: u64) -> RatesResponse {
        RatesResponse {
            series: vec![RateSeries {
                steps,
                ..RateSeries::default()
            }],
            range: Some(TimeRange {
                start_unix_nano: from * MINUTE,
                end_unix_nano: to * MINUTE,
            }),
            step_nano: MINUTE,
            coverage: None,
        }
    }

    #[test]
    fn a_step_without_calls_has_a_rate_of_zero_and_no_duration() {
        let answer = answer(vec![step(11, 120, 6)], 10, 13);
        let window = Window::new(&answer, (0, 0), None, 100 * MINUTE);
        let series = &answer.series[0];
        assert_eq!(
            window.values(series, per_second),
            [Some(0.0), Some(2.0), Some(0.0)]
        );
        assert_eq!(
            window.values(series, quantile(|red| red.p95)),
            [None, Some(2.0), None]
        );
    }

    #[test]
    fn what_is_before_the_oldest_record_or_after_now_is_not_zero_but_unknown() {
        let answer = answer(vec![step(11, 60, 0), step(13, 1, 0)], 10, 14);
        let now = 13 * MINUTE + 2 * SECOND;
        let window = Window::new(&answer, (0, 0), Some(11 * MINUTE + 30 * SECOND), now);
        assert_eq!(
            window.values(&answer.series[0], per_second),
            [None, Some(2.0), Some(0.0), None]
        );
        assert_eq!(window.nanos(), 92 * SECOND);
    }

    #[test]
    fn all_spans_are_in_the_histogram() {
        let mut answer = answer(vec![step(10, 5, 2)], 10, 12);
        answer.series.push(answer.series[0].clone());
        let window = Window::new(&answer, (0, 0), None, 12 * MINUTE);
        let chart = window.histogram(&answer);
        assert_eq!(chart.series[0].counts, [6, 0]);
        assert_eq!(chart.series[1].counts, [4, 0]);
    }

    proptest! {
        #[test]
        fn any_answer_has_a_bounded_number_of_steps(start: u64, end: u64, step_nano: u64, now: u64, at: u64) {
            let answer = RatesResponse {
                range: Some(TimeRange { start_unix_nano: start, end_unix_nano: end }),
                step_nano,
                series: vec![RateSeries { steps: vec![RateStep { start_unix_nano: at, rate: None }], ..RateSeries::default() }],
                coverage: None,
            };
            let window = Window::new(&answer, (start, end), Some(at), now);
            prop_assert!(window.values(&answer.series[0], per_second).len() <= STEPS_MAX as usize);
            window.histogram(&answer);
            prop_assert!(window.nanos() > 0);
        }
    }
}
