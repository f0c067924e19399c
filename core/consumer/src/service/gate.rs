//! A query's turn: a bound on how many run, a deadline for each, and an end when its client goes away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use log_tracer_store::Stop;
use slog::{Logger, error};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};

use crate::QueryConfig;

/// What a refused caller should wait before it asks again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Lets so many queries run, and so many more wait.
#[derive(Debug)]
pub(crate) struct Gate {
    turns: Arc<Semaphore>,
    turns_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
    deadline: Duration,
    read_bytes_max: u64,
    log: Logger,
}

/// The right to run one query until its deadline. The next one may begin when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    pub(crate) deadline: Instant,
    read_bytes_max: u64,
    log: Logger,
}

impl Gate {
    pub(crate) fn new(config: &QueryConfig, log: Logger) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(config.queries_max)),
            turns_max: config.queries_max,
            waiting: AtomicUsize::new(0),
            waiting_max: config.queries_waiting_max,
            deadline: Duration::from_millis(config.deadline_ms),
            read_bytes_max: config.read_bytes_max,
            log,
        }
    }

    /// How many queries run now.
    pub(crate) fn running(&self) -> usize {
        self.turns_max
            .saturating_sub(self.turns.available_permits())
    }

    /// When an answer has to be ready: the caller's own limit or ours, whichever is sooner.
    pub(crate) fn deadline(&self, metadata: &MetadataMap) -> Instant {
        let asked = asked_timeout(metadata).unwrap_or(self.deadline);
        Instant::now() + asked.min(self.deadline)
    }

    /// When waiting for a position ends: it occupies nothing, so the caller may allow more than we do.
    pub(crate) fn wait_deadline(&self, metadata: &MetadataMap) -> Instant {
        let asked = asked_timeout(metadata).unwrap_or(self.deadline);
        Instant::now() + asked
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with RetryInfo when too many wait already, or the deadline passed.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<Turn, Status> {
        let permit = match Arc::clone(&self.turns).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait(deadline).await?,
        };
        Ok(Turn {
            _permit: permit,
            deadline,
            read_bytes_max: self.read_bytes_max,
            log: self.log.clone(),
        })
    }

    async fn wait(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Status> {
        let _waiting = Waiting::begin(self)?;
        match timeout_at(deadline, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(Status::unavailable("the consumer is shutting down")),
            Err(_elapsed) => Err(busy(format!(
                "all {} queries that may run at the same time were busy until the deadline",
                self.turns_max
            ))),
        }
    }
}

/// Counts one that waits, for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(gate: &'a Gate) -> Result<Self, Status> {
        let before = gate.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(&gate.waiting);
        if before >= gate.waiting_max {
            return Err(busy(format!(
                "{} queries run and {before} wait: no more are taken",
                gate.turns_max
            )));
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// Runs a scan on a blocking thread. When this future is dropped the scan is told to stop; the turn ends when it
    /// has.
    ///
    /// # Errors
    /// INTERNAL when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        scan: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<(Self, T), Status> {
        let stop = Stop::at(self.deadline.into_std()).with_read_bytes_max(self.read_bytes_max);
        let _stop_when_dropped = StopOnDrop(stop.clone());
        let log = self.log.clone();
        let scanned = tokio::task::spawn_blocking(move || {
            let answer = scan(&stop);
            (self, answer)
        });
        scanned.await.map_err(|cause| {
            error!(log, "a query failed: this is a bug"; "error" => %cause);
            Status::internal("the query failed unexpectedly; the consumer's log says more")
        })
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A refusal that passes by itself.
pub(crate) fn busy(message: impl Into<String>) -> Status {
    Status::with_error_details(
        Code::ResourceExhausted,
        message,
        ErrorDetails::with_retry_info(Some(RETRY_DELAY)),
    )
}

/// The time that a caller allows, less what an answer needs to reach it: a partial answer in time is worth more than a
/// whole one that nobody waits for any more.
fn asked_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let value = metadata.get("grpc-timeout")?;
    let timeout = parse_grpc_timeout(value.as_bytes())?;
    Some(timeout - (timeout / 10).min(Duration::from_millis(200)))
}

/// The value of a `grpc-timeout` header: 1 to 8 digits and a unit (gRPC over HTTP/2, "Timeout"). `None` when it is
/// something else; it is then as if it was not given.
fn parse_grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use slog::{Discard, o};

    use super::*;

    fn gate(queries_max: usize, queries_waiting_max: usize) -> Gate {
        let config = QueryConfig {
            queries_max,
            queries_waiting_max,
            ..QueryConfig::default()
        };
        Gate::new(&config, Logger::root(Discard, o!()))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn a_timeout_is_read_in_every_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("5m", Some(Duration::from_millis(5))),
            ("6u", Some(Duration::from_micros(6))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("5", None),
            ("5s", None),
            ("+5S", None),
            ("123456789S", None),
        ] {
            assert_eq!(parse_grpc_timeout(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_timeout_or_none(value in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = parse_grpc_timeout(&value);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_sooner_deadline_counts() {
        let gate = gate(1, 1);
        let now = Instant::now();
        let mut metadata = MetadataMap::new();
        assert_eq!(gate.deadline(&metadata) - now, Duration::from_secs(30));
        assert_eq!(gate.wait_deadline(&metadata) - now, Duration::from_secs(30));
        metadata.insert("grpc-timeout", "90S".parse().unwrap());
        assert_eq!(gate.deadline(&metadata) - now, Duration::from_secs(30));
        assert_eq!(
            gate.wait_deadline(&metadata) - now,
            Duration::from_millis(89_800)
        );
        metadata.insert("grpc-timeout", "1S".parse().unwrap());
        assert_eq!(gate.deadline(&metadata) - now, Duration::from_millis(900));
        metadata.insert("grpc-timeout", "20S".parse().unwrap());
        assert_eq!(
            gate.deadline(&metadata) - now,
            Duration::from_millis(19_800)
        );
    }

    #[tokio::test]
    async fn only_so_many_run_and_only_so_many_wait() {
        let gate = gate(1, 1);
        let running = gate.enter(soon()).await.unwrap();
        assert_eq!(gate.running(), 1);

        let waits = gate.enter(Instant::now() + Duration::from_secs(60));
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        let refused = gate.enter(soon()).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let retry = refused.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(RETRY_DELAY));

        drop(running);
        let second = waits.await.unwrap();
        let too_late = gate.enter(soon()).await.unwrap_err();
        assert_eq!(too_late.code(), Code::ResourceExhausted);
        drop(second);
        assert_eq!(gate.running(), 0);
    }

    #[tokio::test]
    async fn a_dropped_query_is_stopped_and_its_turn_ends_with_it() {
        let gate = gate(1, 8);
        let (began, wait_began) = tokio::sync::oneshot::channel();
        let (ended, wait_ended) = tokio::sync::oneshot::channel();
        let turn = gate.enter(soon()).await.unwrap();
        let query = tokio::spawn(turn.run(move |stop| {
            began.send(()).unwrap();
            let looks = (0..5_000).take_while(|_| {
                std::thread::sleep(Duration::from_millis(1));
                !stop.is_cancelled()
            });
            ended.send(looks.count() < 5_000).unwrap();
        }));
        wait_began.await.unwrap();
        query.abort();
        assert!(wait_ended.await.unwrap(), "it was not told to stop");
        let _next = gate
            .enter(Instant::now() + Duration::from_secs(60))
            .await
            .unwrap();
    }
}
