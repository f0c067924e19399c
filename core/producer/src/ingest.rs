//! One request from its bytes to its acknowledgement, the same for every protocol.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use log_tracer_record::Rejected;
use log_tracer_transport::{Acked, LogId, Offset, Partition, PublishError};
use slog::{Logger, warn};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{
    Config, Metrics, Outlet, Reason, Refusal,
    budget::{Budget, Memory, Reservation},
    outlet::Open,
    pipeline::{self, Content, Prepared, Request, Rules},
    recent::Recent,
};

/// Requests that take more memory than this are decoded on a thread of their own, so that they do not hold up others.
const INLINE_BYTES_MAX: usize = 512 << 10;
/// How often a kind of refusal is logged at most.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// The first wait before envelopes are published again whose outcome is unknown; it doubles each time.
const AGAIN_AFTER_MIN: Duration = Duration::from_millis(50);
/// The longest.
const AGAIN_AFTER_MAX: Duration = Duration::from_millis(1_000);

/// Stores requests, one call for each.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) config: Config,
    pub(crate) budget: Arc<Budget>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) outlet: Outlet,
    /// As many as large requests may be decoded at a time. Who holds one waits for nothing.
    decoders: Arc<Semaphore>,
    log: RefusalLog,
    /// The newest refusals, for those who ask how this producer is.
    pub(crate) recent: Recent,
    pub(crate) started_unix_nano: u64,
}

/// A request that is stored: it has the durability that the transport declares.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The last position of each partition that was written.
    pub(crate) positions: Vec<Position>,
    /// Records that were left out.
    pub(crate) rejected: Rejected,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) log_id: LogId,
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
}

impl Ingest {
    pub(crate) fn new(config: Config, log: Logger) -> Self {
        let budget = Budget::new(config.inflight_bytes_max, config.request_bytes_max);
        let budget = Arc::new(budget);
        let outlet = Outlet::away("it was not opened yet", config.request_bytes_max);
        Self {
            metrics: Arc::new(Metrics::new(Arc::clone(&budget))),
            recent: Recent::new(config.refusals_kept_max),
            started_unix_nano: now_unix_nano(),
            budget,
            config,
            outlet,
            decoders: Arc::new(Semaphore::new(
                available_parallelism().map_or(1, NonZeroUsize::get),
            )),
            log: RefusalLog::new(log),
        }
    }

    pub(crate) fn retry_delay(&self) -> Duration {
        Duration::from_millis(self.config.retry_delay_ms)
    }

    /// When to give up waiting for memory or for the transport: the client's own deadline, or earlier.
    pub(crate) fn deadline(&self, of_client: Option<Instant>) -> Instant {
        let own = Instant::now() + Duration::from_millis(self.config.publish_deadline_ms);
        of_client.map_or(own, |of_client| own.min(of_client))
    }

    /// Counts and logs a refusal. Every request that is not stored passes here once.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.metrics.refused(refusal.reason);
        self.recent.add(refusal, now_unix_nano());
        self.log.log(refusal);
    }

    /// Prepares a request and publishes it. `wire` pays for its bytes.
    pub(crate) async fn store(
        &self,
        request: Request,
        wire: Reservation,
        deadline_of_client: Option<Instant>,
    ) -> Result<Stored, Refusal> {
        let deadline = self.deadline(deadline_of_client);
        self.metrics.received(request.bytes.len());
        let open = self.outlet.get()?;
        let content = request.content;
        let expected = pipeline::expected_memory_bytes(&request, &open.rules);
        // A guess above all that there is may still be wrong.
        let expected = expected.min(self.budget.work.bytes());
        let work = self.budget.work.take(expected, deadline).await?;

        // Both are held until the transport has answered.
        let (prepared, _memory) = self.prepare(request, open.rules, wire, work).await?;
        self.metrics.decompressed(prepared.decompressed_bytes);
        let positions = self.publish(&open, &prepared, deadline).await?;
        self.count(content, &prepared);
        Ok(Stored {
            positions,
            rejected: prepared.rejected,
        })
    }

    /// Prepares a request here or, if it is large, on another thread, which then holds the memory even when the client
    /// has gone.
    async fn prepare(
        &self,
        request: Request,
        rules: Rules,
        wire: Reservation,
        mut work: Reservation,
    ) -> Result<(Prepared, (Reservation, Reservation)), Refusal> {
        let is_small = work.bytes() <= INLINE_BYTES_MAX;
        let decode = move || {
            let prepared = pipeline::prepare(&request, &rules, &mut work);
            prepared.map(|prepared| (prepared, (wire, work)))
        };
        if is_small {
            return decode();
        }
        let decoder = Arc::clone(&self.decoders).acquire_owned().await;
        let decode_and_free = move || {
            let prepared = decode();
            drop(decoder);
            prepared
        };
        spawn_blocking(decode_and_free)
            .await
            .unwrap_or_else(|error| {
                let message = format!("decoding the request failed: {error}");
                Err(Refusal::new(Reason::Internal, message))
            })
    }

    /// Publishes, and again with the same batch ids while the outcome is unknown and there is time: a reader applies them
    /// once. A transport that is overloaded leaves no time, so that overload is not made worse by what is sent twice.
    async fn publish(
        &self,
        open: &Open,
        prepared: &Prepared,
        deadline: Instant,
    ) -> Result<Vec<Position>, Refusal> {
        let envelopes = &prepared.envelopes;
        if envelopes.is_empty() {
            return Ok(Vec::new());
        }
        let mut wait = AGAIN_AFTER_MIN;
        let acked = loop {
            let published = open.transport.publish(envelopes.clone(), deadline).await;
            match published {
                Err(PublishError::OutcomeUnknown(_)) if Instant::now() + wait < deadline => {
                    self.metrics.published_again();
                    sleep(wait).await;
                    wait = wait.saturating_mul(2).min(AGAIN_AFTER_MAX);
                }
                published => break published?,
            }
        };
        let bytes = envelopes.iter().map(|envelope| envelope.encoded_len());
        self.metrics.published(envelopes.len(), bytes.sum());
        Ok(last_positions(open.transport.log_id(), &acked))
    }

    fn count(&self, content: Content, prepared: &Prepared) {
        let (accepted, rejected) = (prepared.accepted, prepared.rejected.count);
        self.metrics.too_large(prepared.too_large);
        if content.is_trace() {
            self.metrics.stored_spans(accepted, rejected);
        } else {
            self.metrics.stored_logs(accepted, rejected);
        }
    }
}

/// Now, in nanoseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_unix_nano() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// A reader that has reached the last position of a partition has seen those before it.
fn last_positions(log_id: LogId, acked: &[Acked]) -> Vec<Position> {
    let mut last: BTreeMap<Partition, Offset> = BTreeMap::new();
    for ack in acked {
        let offset = last.entry(ack.partition).or_insert(ack.offset);
        *offset = (*offset).max(ack.offset);
    }
    let position = |(partition, offset)| Position {
        log_id,
        partition,
        offset,
    };
    last.into_iter().map(position).collect()
}

/// Logs each kind of refusal now and then, with the number of those in between. Never logs data of a request.
#[derive(Debug)]
struct RefusalLog {
    log: Logger,
    started: Instant,
    /// For each reason, when it is logged next, in milliseconds since the start.
    next_ms: [AtomicU64; Reason::ALL.len()],
    /// For each reason, how many were not logged since.
    silent: [AtomicU64; Reason::ALL.len()],
}

impl RefusalLog {
    fn new(log: Logger) -> Self {
        Self {
            log,
            started: Instant::now(),
            next_ms: Default::default(),
            silent: Default::default(),
        }
    }

    fn log(&self, refusal: &Refusal) {
        let index = refusal.reason as usize;
        let (Some(next_ms), Some(silent)) = (self.next_ms.get(index), self.silent.get(index))
        else {
            return;
        };
        let now = millis(self.started.elapsed());
        let next = next_ms.load(Ordering::Relaxed);
        let then = now.saturating_add(millis(LOG_INTERVAL));
        let is_due = now >= next
            && next_ms
                .compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !is_due {
            silent.fetch_add(1, Ordering::Relaxed);
            return;
        }
        warn!(self.log, "request refused";
            "reason" => refusal.reason.label(),
            "message" => &refusal.message,
            "not_logged_before" => silent.swap(0, Ordering::Relaxed));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    #[test]
    fn the_last_offset_of_each_partition_is_its_position() {
        let ack = |partition, offset| Acked {
            partition: Partition(partition),
            offset: Offset(offset),
            duplicate: false,
        };
        let positions = last_positions(LogId(7), &[ack(2, 5), ack(0, 9), ack(2, 6), ack(2, 4)]);
        let found: Vec<_> = positions
            .iter()
            .map(|position| (position.partition.0, position.offset.0))
            .collect();
        assert_eq!(found, vec![(0, 9), (2, 6)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refusals_is_logged_once_in_an_interval_for_each_reason() {
        let log = RefusalLog::new(Logger::root(Discard, o!()));
        let silent = |reason: Reason| log.silent[reason as usize].load(Ordering::Relaxed);
        for _ in 0..5 {
            log.log(&Refusal::new(Reason::Busy, "busy"));
        }
        log.log(&Refusal::new(Reason::Full, "full"));
        assert_eq!((silent(Reason::Busy), silent(Reason::Full)), (4, 0));
        tokio::time::advance(LOG_INTERVAL).await;
        log.log(&Refusal::new(Reason::Busy, "busy"));
        assert_eq!(silent(Reason::Busy), 0);
    }
}
