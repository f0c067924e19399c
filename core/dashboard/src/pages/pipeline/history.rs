//! How the pipeline went lately, as charts, and when its disk will be full if it goes on like that.

use std::collections::BTreeMap;

use log_tracer_proto::v1::{StatusHistoryResponse, StatusResponse, StatusSample};
use serde::Serialize;

use crate::{
    charts::trend::{Scale, Trend, Values},
    search::CoverageView,
    units::{SECOND, bytes, compact, duration, plural},
};

/// Partitions that have a line of their own: those that were behind the most.
const PARTITIONS_MAX: usize = 5;

/// Steps of a chart at most; of a longer history the newest are shown.
const STEPS_MAX: u64 = 1_000;

/// A forecast needs samples over so many nanoseconds, and ends after so many.
const FORECAST_FROM: u64 = 600 * SECOND;
const FORECAST_TO: u64 = 90 * 24 * 3_600 * SECOND;

/// The charts.
#[derive(Debug, Default, Serialize)]
pub(super) struct HistoryView {
    /// "360 samples, one every 10 s".
    words: String,
    coverage: Option<CoverageView>,
    lag: Option<Trend>,
    records: Option<Trend>,
    bytes: Option<Trend>,
    disk: Option<Trend>,
    memory: Option<Trend>,
    /// When the blocks reach their limit; empty when that cannot be told.
    forecast: String,
}

/// Samples at equal steps.
struct Grid<'a> {
    samples: Vec<Option<&'a StatusSample>>,
    step: u64,
    bounds: (u64, u64),
}

impl<'a> Grid<'a> {
    fn new(history: &'a StatusHistoryResponse) -> Option<Self> {
        let step = history.step_ms.saturating_mul(1_000_000);
        let last = history.samples.last()?.time_unix_nano;
        let oldest = history.samples.first()?.time_unix_nano;
        let number = |time: u64| time.checked_div(step);
        let first = number(oldest)?.max(number(last)?.saturating_sub(STEPS_MAX - 1));
        let by_number: BTreeMap<u64, &StatusSample> = history
            .samples
            .iter()
            .filter_map(|sample| Some((number(sample.time_unix_nano)?, sample)))
            .collect();
        let numbers = first..=number(last)?;
        Some(Self {
            samples: numbers.map(|at| by_number.get(&at).copied()).collect(),
            step,
            bounds: (first.saturating_mul(step), last),
        })
    }

    fn line(
        &self,
        name: &str,
        class: &str,
        value: impl Fn(&StatusSample) -> Option<f64>,
    ) -> Values {
        Values {
            name: name.to_owned(),
            class: class.to_owned(),
            values: self
                .samples
                .iter()
                .map(|sample| sample.and_then(&value))
                .collect(),
        }
    }

    fn trend(
        &self,
        what: &str,
        lines: &[Values],
        scale: (Scale, impl Fn(f64) -> String),
    ) -> Option<Trend> {
        Trend::new(what, lines, self.bounds, scale)
    }

    /// So many in a step, in a second.
    fn per_second(&self, number: u64) -> Option<f64> {
        Some(number as f64 * SECOND as f64 / self.step.max(1) as f64)
    }

    fn lag(&self) -> Option<Trend> {
        let mut worst: BTreeMap<u32, u64> = BTreeMap::new();
        for lag in self.samples.iter().flatten().flat_map(|one| &one.lags) {
            let most = worst.entry(lag.partition).or_default();
            *most = (*most).max(lag.envelopes);
        }
        let mut lines = vec![self.line("all partitions", "c0", |sample| {
            let sum = sample.lags.iter().map(|lag| lag.envelopes);
            (!sample.lags.is_empty()).then(|| sum.fold(0, u64::saturating_add) as f64)
        })];
        let mut partitions: Vec<(u32, u64)> = worst.into_iter().collect();
        if partitions.len() > 1 {
            partitions.sort_by_key(|(partition, most)| (std::cmp::Reverse(*most), *partition));
            partitions.truncate(PARTITIONS_MAX);
            partitions.sort_unstable();
            for (place, (partition, _)) in partitions.into_iter().enumerate() {
                let name = format!("partition {partition}");
                let class = format!("c{}", place + 1);
                lines.push(self.line(&name, &class, |sample| {
                    let of = sample.lags.iter().find(|lag| lag.partition == partition);
                    of.map(|lag| lag.envelopes as f64)
                }));
            }
        }
        self.trend("envelopes behind", &lines, (Scale::Decimal, whole))
    }
}

fn whole(value: f64) -> String {
    match value {
        // Half of the least scale.
        value if value > 0.0 && value < 1.0 => format!("{value:.1}"),
        value => compact(value as u64),
    }
}

fn per_second(value: f64) -> String {
    format!("{}/s", whole(value))
}

fn bytes_of(value: f64) -> String {
    bytes(value as u64)
}

fn bytes_per_second(value: f64) -> String {
    format!("{}/s", bytes(value as u64))
}

pub(super) fn view(
    history: &StatusHistoryResponse,
    status: &StatusResponse,
    now: u64,
) -> HistoryView {
    let Some(grid) = Grid::new(history) else {
        return HistoryView::default();
    };
    let records = [
        grid.line("spans", "c0", |one| grid.per_second(one.applied_spans)),
        grid.line("log records", "c1", |one| grid.per_second(one.applied_logs)),
    ];
    let taken = [grid.line("envelopes", "c0", |one| grid.per_second(one.applied_bytes))];
    let as_f64 = |number: Option<u64>| number.map(|number| number as f64);
    let disk = [
        grid.line("blocks", "c0", |one| as_f64(one.disk_bytes)),
        grid.line("log", "c1", |one| as_f64(one.log_bytes)),
    ];
    let disk: Vec<Values> = disk
        .into_iter()
        .filter(|line| line.values.iter().any(Option::is_some))
        .collect();
    let memory = [grid.line("resident", "c0", |one| as_f64(one.process_bytes))];
    HistoryView {
        words: format!(
            "{}, one every {}, kept in memory by the {}",
            plural(history.samples.len() as u64, "sample", "samples"),
            duration(grid.step),
            match status.consumers.len() {
                0 | 1 => "consumer",
                _ => "consumers and added up",
            }
        ),
        coverage: Some(CoverageView::new(history.coverage.as_ref())),
        lag: grid.lag(),
        records: grid.trend("records applied", &records, (Scale::Decimal, per_second)),
        bytes: grid.trend("bytes applied", &taken, (Scale::Binary, bytes_per_second)),
        disk: grid.trend("bytes on disk", &disk, (Scale::Binary, bytes_of)),
        memory: grid.trend("memory", &memory, (Scale::Binary, bytes_of)),
        forecast: forecast(history, status, now).unwrap_or_default(),
    }
}

/// Only from a growth that was seen over some time; and only where age does not let records go first.
fn forecast(history: &StatusHistoryResponse, status: &StatusResponse, now: u64) -> Option<String> {
    let storage = status.storage.as_ref()?;
    let sized = |sample: &StatusSample| Some((sample.time_unix_nano, sample.disk_bytes?));
    let mut sizes = history.samples.iter().filter_map(sized);
    let (from, least) = sizes.next()?;
    let (to, most) = sizes.next_back()?;
    let length = to.saturating_sub(from);
    if length < FORECAST_FROM {
        return None;
    }
    let growth = most.checked_sub(least).filter(|growth| *growth > 0)?;
    let seen = format!("As in the last {}", about(length));
    let left = storage.disk_bytes_max.saturating_sub(storage.disk_bytes);
    let until = left as f64 / growth as f64 * length as f64;
    if until > FORECAST_TO as f64 {
        return None;
    }
    let oldest = status
        .stores
        .iter()
        .filter(|store| store.rows > 0)
        .map(|store| store.oldest_unix_nano)
        .min()?;
    let age_max = storage.age_max_ms.saturating_mul(1_000_000);
    let until_too_old = age_max.saturating_sub(now.saturating_sub(oldest));
    Some(match until > until_too_old as f64 {
        true => format!(
            "{seen}, the oldest records grow too old before the blocks reach their limit: in about {}",
            about(until_too_old)
        ),
        false => format!(
            "{seen}, the blocks reach their limit in about {}; the oldest leave then",
            about(until as u64)
        ),
    })
}

/// A length of time that is not known better than that.
fn about(nanos: u64) -> String {
    match nanos / SECOND {
        seconds if seconds < 2 * 3_600 => format!("{} min", seconds / 60),
        seconds if seconds < 2 * 86_400 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::{PartitionLag, StorageStatus, StoreStatus};

    use super::*;

    const HOUR: u64 = 3_600 * SECOND;

    fn sample(number: u64, lags: &[(u32, u64)], disk_bytes: u64) -> StatusSample {
        StatusSample {
            time_unix_nano: number * 10 * SECOND,
            lags: lags
                .iter()
                .map(|(partition, envelopes)| PartitionLag {
                    partition: *partition,
                    envelopes: *envelopes,
                })
                .collect(),
            applied_spans: 50,
            disk_bytes: Some(disk_bytes),
            ..StatusSample::default()
        }
    }

    fn history(samples: Vec<StatusSample>) -> StatusHistoryResponse {
        StatusHistoryResponse {
            step_ms: 10_000,
            samples,
            coverage: None,
        }
    }

    fn status(age_max_ms: u64) -> StatusResponse {
        StatusResponse {
            storage: Some(StorageStatus {
                disk_bytes: 2_000,
                disk_bytes_max: 10_000,
                age_max_ms,
                ..StorageStatus::default()
            }),
            stores: vec![StoreStatus {
                rows: 1,
                oldest_unix_nano: 0,
                ..StoreStatus::default()
            }],
            ..StatusResponse::default()
        }
    }

    #[test]
    fn a_sample_that_is_missing_is_a_gap() {
        let history = history(vec![sample(1, &[(0, 4)], 0), sample(3, &[(0, 2)], 0)]);
        let grid = Grid::new(&history).unwrap();
        assert_eq!(grid.samples.len(), 3);
        assert!(grid.samples[1].is_none());
        assert_eq!(grid.bounds, (10 * SECOND, 30 * SECOND));
        assert_eq!(grid.per_second(50), Some(5.0));
    }

    #[test]
    fn the_partitions_that_were_behind_the_most_have_lines() {
        let lags: Vec<(u32, u64)> = (0..20)
            .map(|partition| (partition, partition.into()))
            .collect();
        let history = history(vec![sample(1, &lags, 0), sample(2, &lags, 0)]);
        let view = view(&history, &StatusResponse::default(), 0);
        let lag = serde_json::to_value(view.lag).unwrap();
        let names: Vec<&str> = lag["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["name"].as_str().unwrap())
            .collect();
        assert_eq!(names[0], "all partitions");
        assert_eq!(names[1..].len(), PARTITIONS_MAX);
        assert!(names.contains(&"partition 19") && !names.contains(&"partition 3"));
    }

    #[test]
    fn a_forecast_is_made_only_from_what_was_seen_long_enough() {
        let grown = |steps: u64| history(vec![sample(0, &[], 1_000), sample(steps, &[], 2_000)]);
        let long = 100 * 24 * 3_600_000;
        assert_eq!(
            forecast(&grown(30), &status(long), HOUR),
            None,
            "five minutes"
        );
        let said = forecast(&grown(360), &status(long), HOUR).unwrap();
        assert_eq!(
            said,
            "As in the last 60 min, the blocks reach their limit in about 8 h; the oldest leave then"
        );
        let old = forecast(&grown(360), &status(2 * 3_600_000), HOUR).unwrap();
        assert!(old.contains("grow too old before"), "{old}");
        let shrunk = history(vec![sample(0, &[], 2_000), sample(360, &[], 1_000)]);
        assert_eq!(forecast(&shrunk, &status(long), HOUR), None);
    }

    #[test]
    fn nothing_of_a_consumer_breaks_the_view() {
        for step_ms in [0, 1, u64::MAX] {
            let mut odd = history(vec![sample(0, &[], 0), sample(1, &[], 0)]);
            odd.step_ms = step_ms;
            odd.samples[1].time_unix_nano = u64::MAX;
            odd.samples[1].applied_spans = u64::MAX;
            view(&odd, &status(0), 0);
        }
    }
}
