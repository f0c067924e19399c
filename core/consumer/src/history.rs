//! How the pipeline went lately: a ring of samples, bounded in number.
//!
//! The consumer keeps them, and not each dashboard, so that everyone sees the same and nothing depends on who looked
//! when. Samples are taken at multiples of the step since 1970, so that those of several consumers add up. A sample that
//! is late (the process was stopped, the clock was set) belongs to the last multiple that has passed; one of an earlier
//! or the same time as the sample before is not taken, and what was applied counts with the next.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use log_tracer_proto::v1::{Coverage, PartitionLag, StatusHistoryResponse, StatusSample};
use log_tracer_transport::Watermark;
use tokio_util::sync::CancellationToken;

use crate::{Config, process, service::watermarks, shared::Shared};

const NANOS_PER_MS: u64 = 1_000_000;

/// The samples of one consumer.
#[derive(Debug)]
pub(crate) struct History {
    step_ms: u64,
    samples_max: usize,
    samples: Mutex<VecDeque<StatusSample>>,
}

impl History {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            step_ms: config.history_step_ms,
            samples_max: config.history_samples_max,
            samples: Mutex::new(VecDeque::new()),
        }
    }

    /// All of them.
    pub(crate) fn answer(&self) -> StatusHistoryResponse {
        StatusHistoryResponse {
            step_ms: self.step_ms,
            samples: self.lock().iter().cloned().collect(),
            coverage: Some(Coverage::default()),
        }
    }

    /// Takes a sample in. False when there is one of its time or a later one.
    fn push(&self, sample: StatusSample) -> bool {
        let mut samples = self.lock();
        let last = samples.back().map(|last| last.time_unix_nano);
        if last.is_some_and(|last| last >= sample.time_unix_nano) {
            return false;
        }
        if samples.len() >= self.samples_max {
            samples.pop_front();
        }
        samples.push_back(sample);
        true
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<StatusSample>> {
        // It is whole after every method, so a panic elsewhere does not matter.
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was applied up to a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Applied {
    spans: u64,
    logs: u64,
    bytes: u64,
}

/// Takes samples until it is told to stop.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let step_ms = shared.history.step_ms;
    let mut before = Applied::default();
    loop {
        let wait = Duration::from_millis(step_ms - now_ms() % step_ms);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let time_ms = now_ms() / step_ms * step_ms;
        let ends = watermarks(&shared).await.unwrap_or_default();
        let (sample, applied) = sample(&shared, time_ms, &ends, before);
        if shared.history.push(sample) {
            before = applied;
        }
    }
}

fn sample(
    shared: &Shared,
    time_ms: u64,
    ends: &[Watermark],
    before: Applied,
) -> (StatusSample, Applied) {
    let stats = shared.store.stats();
    let applied = Applied {
        spans: stats.spans.applied_rows,
        logs: stats.logs.applied_rows,
        bytes: shared.applied_bytes.load(Ordering::Relaxed),
    };
    let sample = StatusSample {
        time_unix_nano: time_ms.saturating_mul(NANOS_PER_MS),
        lags: lags(shared, ends),
        applied_spans: applied.spans.saturating_sub(before.spans),
        applied_logs: applied.logs.saturating_sub(before.logs),
        applied_bytes: applied.bytes.saturating_sub(before.bytes),
        log_bytes: shared.transport.usage().bytes,
        disk_bytes: stats.durable.map(|durable| durable.disk_bytes),
        process_bytes: process::memory().bytes,
    };
    (sample, applied)
}

/// Of the partitions that are owned.
fn lags(shared: &Shared, ends: &[Watermark]) -> Vec<PartitionLag> {
    let progress = shared.progress.borrow();
    let lag = |end: &Watermark| {
        let one = progress.get(end.partition)?;
        let next = one.next.or(end.start).unwrap_or_default();
        Some(PartitionLag {
            partition: end.partition.0.into(),
            envelopes: end.end.0.saturating_sub(next.0),
        })
    };
    ends.iter().filter_map(lag).collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_unix_nano: u64) -> StatusSample {
        StatusSample {
            time_unix_nano,
            ..StatusSample::default()
        }
    }

    #[test]
    fn the_ring_keeps_the_newest_and_no_time_twice() {
        let history = History::new(&Config {
            history_samples_max: 2,
            ..Config::default()
        });
        assert!(history.push(sample(10)) && history.push(sample(20)));
        assert!(!history.push(sample(20)), "the same time again");
        assert!(!history.push(sample(15)), "the clock was set back");
        assert!(history.push(sample(30)));
        let answer = history.answer();
        let times: Vec<u64> = answer
            .samples
            .iter()
            .map(|one| one.time_unix_nano)
            .collect();
        assert_eq!((times, answer.step_ms), (vec![20, 30], 10_000));
    }
}
