//! What the overview asks the consumer.

use std::collections::BTreeMap;

use log_tracer_proto::v1::{
    HistogramGroup, HistogramRequest, HistogramResponse, RateGroup, RatesRequest, RatesResponse,
    SearchTracesRequest, SearchTracesResponse, Signal, StatusResponse, TimeRange,
};

use super::changes::Side;
use crate::{
    ask::Ask,
    fault::Fault,
    pages::logs::kept,
    range::Range,
    red::{self, QUANTILES, Red},
    units::MINUTE,
    window::Window,
};

/// Steps of the small lines of a table: as many as can be seen, so that a page of many services stays small.
const STEPS_MAX: u64 = 40;

/// Failed traces that are listed.
const FAILED_MAX: u32 = 5;

/// The range of the page, the range before, and what can be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) start: u64,
    pub(super) end: u64,
    now: u64,
    /// The start of the oldest span and the time of the oldest log record that are kept.
    oldest_span: Option<u64>,
    oldest_log: Option<u64>,
    /// All time has no range before it.
    has_before: bool,
    range: Range,
}

impl Bounds {
    pub(super) fn new(range: Range, now: u64, status: &StatusResponse) -> Self {
        let spans = kept(status, Signal::Spans);
        let logs = kept(status, Signal::Logs);
        let both = [spans, logs].into_iter().flatten();
        let kept = both.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let (start, end) = range.closed(now, kept);
        Self {
            start,
            end,
            now,
            oldest_span: spans.map(|(oldest, _)| oldest),
            oldest_log: logs.map(|(oldest, _)| oldest),
            has_before: range != Range::All,
            range,
        }
    }

    fn range(&self) -> TimeRange {
        TimeRange {
            start_unix_nano: self.start,
            end_unix_nano: self.end,
        }
    }

    /// As long as the range, and just before it. Rates are counted by the minute, so it ends with a whole minute.
    fn before(&self) -> TimeRange {
        let end = self.start / MINUTE * MINUTE;
        TimeRange {
            start_unix_nano: end.saturating_sub((self.end - self.start).max(MINUTE)),
            end_unix_nano: end,
        }
    }

    /// Nanoseconds of the range before that can hold a span.
    fn before_nanos(&self) -> u64 {
        let before = self.before();
        match (self.has_before, self.oldest_span.or(self.oldest_log)) {
            (true, Some(oldest)) => before
                .end_unix_nano
                .saturating_sub(before.start_unix_nano.max(oldest)),
            _ => 0,
        }
    }

    /// Nanoseconds of the range that can hold a log record.
    pub(super) fn log_nanos(&self) -> u64 {
        let start = self.start.max(self.oldest_log.unwrap_or(0));
        self.end.saturating_sub(start).max(1)
    }

    pub(super) fn window(&self, answers: &Answers) -> Window {
        let bounds = (self.start, self.end);
        Window::new(&answers.rates, bounds, self.oldest_span, self.now)
    }

    fn rates(&self) -> RatesRequest {
        RatesRequest {
            range: Some(self.range()),
            step_nano: red::step(self.start, self.end, STEPS_MAX),
            group: RateGroup::Service.into(),
            quantiles: QUANTILES.to_vec(),
            ..RatesRequest::default()
        }
    }

    fn logs(
        &self,
        range: TimeRange,
        query: &str,
        group: HistogramGroup,
        step_nano: u64,
    ) -> HistogramRequest {
        HistogramRequest {
            signal: Signal::Logs.into(),
            query: query.to_owned(),
            range: Some(range),
            step_nano: step_nano.max(1),
            group: group.into(),
            // By service and severity: no record is looked at but those at the ends of the range.
            records_max: 0,
        }
    }
}

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// By service, over the range in steps.
    pub(super) rates: RatesResponse,
    /// By service, over the range before.
    before: RatesResponse,
    /// By severity, over the range.
    pub(super) logs: HistogramResponse,
    /// By service: all log records of the range, those of ERROR and above, and those of the range before.
    pub(super) service_logs: BTreeMap<String, u64>,
    pub(super) error_logs: BTreeMap<String, u64>,
    error_logs_before: BTreeMap<String, u64>,
    pub(super) failed: SearchTracesResponse,
}

const ERROR_LOGS: &str = "severity>=error";

/// Asks everything at once.
pub(super) async fn ask(ask: &Ask, bounds: &Bounds) -> Result<Answers, Fault> {
    let (range, before) = (bounds.range(), bounds.before());
    let length = bounds.end - bounds.start;
    let by_service = HistogramGroup::Service;
    // The same steps as those of the rates, so that both charts can be read side by side.
    let step = red::step(bounds.start, bounds.end, STEPS_MAX);
    let rates_before = RatesRequest {
        range: Some(before),
        step_nano: 0,
        ..bounds.rates()
    };
    let failed = SearchTracesRequest {
        query: "status:error".to_owned(),
        range: Some(bounds.range.bounds(bounds.now)),
        limit: FAILED_MAX,
        ..SearchTracesRequest::default()
    };
    let compares = bounds.before_nanos() > 0;
    let rates_before = async {
        match compares {
            true => ask.rates(rates_before).await,
            false => Ok(RatesResponse::default()),
        }
    };
    let logs_before = async {
        match compares {
            true => {
                ask.histogram(bounds.logs(before, ERROR_LOGS, by_service, length))
                    .await
            }
            false => Ok(HistogramResponse::default()),
        }
    };
    let (rates, before, logs, service_logs, error_logs, error_logs_before, failed) = tokio::try_join!(
        ask.rates(bounds.rates()),
        rates_before,
        ask.histogram(bounds.logs(range, "", HistogramGroup::Level, step)),
        ask.histogram(bounds.logs(range, "", by_service, length)),
        ask.histogram(bounds.logs(range, ERROR_LOGS, by_service, length)),
        logs_before,
        ask.search_traces(failed),
    )?;
    Ok(Answers {
        rates,
        before,
        logs,
        service_logs: sums(&service_logs),
        error_logs: sums(&error_logs),
        error_logs_before: sums(&error_logs_before),
        failed,
    })
}

/// The counts of each group, all steps together.
fn sums(answer: &HistogramResponse) -> BTreeMap<String, u64> {
    answer
        .series
        .iter()
        .map(|series| {
            let sum = series.counts.iter().copied().fold(0, u64::saturating_add);
            (series.group.clone(), sum)
        })
        .filter(|(_, sum)| *sum > 0)
        .collect()
}

impl Answers {
    /// All log records of the range.
    pub(super) fn log_count(&self) -> u64 {
        self.service_logs
            .values()
            .copied()
            .fold(0, u64::saturating_add)
    }

    /// The range before and the range, to be compared.
    pub(super) fn sides(&self, bounds: &Bounds, window: &Window) -> (Side<'_>, Side<'_>) {
        (
            Side {
                nanos: bounds.before_nanos(),
                spans: reds(&self.before),
                error_logs: borrowed(&self.error_logs_before),
            },
            Side {
                nanos: window.nanos(),
                spans: reds(&self.rates),
                error_logs: borrowed(&self.error_logs),
            },
        )
    }
}

fn reds(answer: &RatesResponse) -> BTreeMap<&str, Red> {
    answer
        .series
        .iter()
        .map(|series| (series.service.as_str(), Red::new(series.total.as_ref())))
        .collect()
}

fn borrowed(counts: &BTreeMap<String, u64>) -> BTreeMap<&str, u64> {
    counts
        .iter()
        .map(|(service, count)| (service.as_str(), *count))
        .collect()
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::StoreStatus;
    use proptest::prelude::*;

    use super::*;
    use crate::units::HOUR;

    fn status(oldest: u64) -> StatusResponse {
        StatusResponse {
            stores: vec![StoreStatus {
                signal: Signal::Spans.into(),
                rows: 1,
                oldest_unix_nano: oldest,
                newest_unix_nano: oldest,
                ..StoreStatus::default()
            }],
            ..StatusResponse::default()
        }
    }

    #[test]
    fn the_range_before_counts_as_far_as_it_can_hold_spans() {
        let now = 100 * HOUR;
        let nanos = |oldest| Bounds::new(Range::DEFAULT, now, &status(oldest)).before_nanos();
        assert_eq!(nanos(HOUR), HOUR);
        assert_eq!(nanos(98 * HOUR + 30 * MINUTE), HOUR / 2);
        assert_eq!(nanos(99 * HOUR + 30 * MINUTE), 0);
        assert_eq!(Bounds::new(Range::All, now, &status(1)).before_nanos(), 0);
    }

    proptest! {
        #[test]
        fn the_range_before_never_overlaps_the_range(from in 0_u64..1 << 62, length in 1_u64..1 << 60, now: u64) {
            let bounds = Bounds::new(Range::Between(from, from + length), now, &StatusResponse::default());
            let before = bounds.before();
            prop_assert!(before.start_unix_nano <= before.end_unix_nano);
            prop_assert!(before.end_unix_nano <= bounds.start);
        }
    }
}
