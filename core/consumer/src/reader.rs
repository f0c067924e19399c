//! Reads the log and decides what an error means: try again, go on without a partition, or end.

use std::{sync::Arc, time::Duration};

use log_tracer_store::Restored;
use log_tracer_transport::{Offset, Partition, ReadError, Start, Subscription};
use rand::RngExt;
use slog::{error, info, warn};
use tokio::time::{Interval, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    apply::{Applier, ApplyError},
    progress::Reading,
    shared::Shared,
};

/// Reads the owned partitions and applies what comes, until the log is closed, nothing is left to read, or it is told
/// to stop.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    owned: Vec<Partition>,
    applier: Applier,
    /// When to look whether what was applied has to be written although nothing more comes.
    seal_due: Interval,
    stop: CancellationToken,
    /// Errors since the last delivery.
    failures: u32,
    /// Whether the applier still knows what belongs to the rows that it applied. Rows without their cursors must not be
    /// written: they are read again, and would then be there twice.
    may_seal: bool,
}

/// Between two looks at the age of what was applied.
const SEAL_LOOK: Duration = Duration::from_secs(1);

/// How long the log may take to say where it ends before it is read; `Status` asks again.
const ENDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a subscription is not read any further.
#[derive(Debug)]
enum Pause {
    Stopped,
    Closed,
    Error(ReadError),
    NotApplied(Partition, ApplyError),
    /// The store takes no more.
    NotSealed(ApplyError),
    /// The thread that applied a delivery panicked: a fault of ours.
    Panicked,
}

/// What to do then.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Subscribe { delay: Duration },
    End,
}

impl Reader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        owned: Vec<Partition>,
        restored: &Restored,
        stop: CancellationToken,
    ) -> Self {
        let mut applier = Applier::new(Arc::clone(&shared), &owned);
        applier.restore(restored);
        Self {
            applier,
            seal_due: interval(SEAL_LOOK),
            shared,
            owned,
            stop,
            failures: 0,
            may_seal: true,
        }
    }

    /// Subscribes for the first time.
    ///
    /// # Errors
    /// One that does not pass by itself; any other is left to [`run`](Self::run).
    pub(crate) async fn begin(&mut self) -> Result<Option<Box<dyn Subscription>>, ReadError> {
        match self.subscribe().await {
            Ok(subscription) => Ok(Some(subscription)),
            Err(error @ (ReadError::Invalid(_) | ReadError::Closed | ReadError::Failed(_))) => {
                Err(error)
            }
            Err(error) => {
                self.decide(Pause::Error(error));
                Ok(None)
            }
        }
    }

    pub(crate) async fn run(mut self, first: Option<Box<dyn Subscription>>) {
        self.read_all(first).await;
        self.seal_last().await;
    }

    /// Hands what was applied last over to be written.
    async fn seal_last(&mut self) {
        if self.may_seal
            && let Some(Err(error)) = self.with_applier(Applier::seal).await
        {
            error!(self.shared.log, "what was applied last is not written; it is read again after the next start"; "error" => %error);
        }
    }

    async fn read_all(&mut self, mut first: Option<Box<dyn Subscription>>) {
        loop {
            let subscription = match first.take() {
                Some(subscription) => Ok(subscription),
                None if !self.is_same_log() => return,
                None => self.subscribe().await,
            };
            let pause = match subscription {
                Ok(subscription) => self.read(subscription).await,
                Err(error) => Pause::Error(error),
            };
            match self.decide(pause) {
                Next::End => return,
                Next::Subscribe { delay } => {
                    let stopped = tokio::time::timeout(delay, self.stop.cancelled()).await;
                    if stopped.is_ok() {
                        return;
                    }
                }
            }
        }
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, ReadError> {
        let from = self.readable().into_iter().map(|partition| {
            let start = self
                .applier
                .next(partition)
                .map_or(Start::Earliest, Start::At);
            (partition, start)
        });
        let options = self.shared.config.apply.read_options();
        let subscription = self
            .shared
            .transport
            .subscribe(from.collect(), options)
            .await?;
        self.learn_replay().await;
        self.shared
            .progress
            .send_modify(|progress| progress.set_reading(&Reading::Ready));
        Ok(subscription)
    }

    /// Asks the log where it ends when it did not say so at the start.
    async fn learn_replay(&self) {
        if self.shared.lacks_replay()
            && let Ok(Ok(ends)) =
                tokio::time::timeout(ENDS_TIMEOUT, self.shared.transport.watermarks()).await
        {
            self.shared.learn_replay(&ends);
        }
    }

    async fn read(&mut self, mut subscription: Box<dyn Subscription>) -> Pause {
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Pause::Stopped,
                _ = self.seal_due.tick(), if self.shared.is_durable() => {
                    match self.with_applier(Applier::seal_if_due).await {
                        Some(Ok(())) => continue,
                        Some(Err(error)) => return Pause::NotSealed(error),
                        None => return Pause::Panicked,
                    }
                }
                next = subscription.next() => next,
            };
            let delivery = match next {
                Ok(Some(delivery)) => delivery,
                Ok(None) => return Pause::Closed,
                Err(error) => return Pause::Error(error),
            };
            if self.failures > 0 {
                info!(self.shared.log, "reading goes on"; "failures" => self.failures);
                self.failures = 0;
            }
            let partition = delivery.partition;
            match self.with_applier(|applier| applier.apply(delivery)).await {
                Some(Ok(())) => {}
                Some(Err(error @ ApplyError::Store(_))) => return Pause::NotSealed(error),
                Some(Err(error)) => return Pause::NotApplied(partition, error),
                None => return Pause::Panicked,
            }
        }
    }

    /// Does something with the applier on a blocking thread; `None` when that panicked.
    ///
    /// Always there, however small a delivery is: one of the largest size takes tens of milliseconds of a thread, even a
    /// small one may wait for the store, and a hand-over costs a few microseconds (see the bench).
    async fn with_applier(
        &mut self,
        act: impl FnOnce(&mut Applier) -> Result<(), ApplyError> + Send + 'static,
    ) -> Option<Result<(), ApplyError>> {
        let nothing = Applier::new(Arc::clone(&self.shared), &[]);
        let mut applier = std::mem::replace(&mut self.applier, nothing);
        let acted = tokio::task::spawn_blocking(move || {
            let result = act(&mut applier);
            (applier, result)
        });
        let (applier, result) = acted.await.ok()?;
        self.applier = applier;
        Some(result)
    }

    /// Notes what happened where it can be seen, and says how to go on.
    fn decide(&mut self, pause: Pause) -> Next {
        let log = self.shared.log.clone();
        self.failures = self.failures.saturating_add(1);
        match pause {
            Pause::Stopped => return Next::End,
            Pause::Closed | Pause::Error(ReadError::Closed) => {
                info!(log, "the log was closed: nothing more is read");
                self.set_all(&Reading::Closed);
                return Next::End;
            }
            Pause::Panicked => {
                self.may_seal = false;
                return self.fail_all("applying a delivery panicked: this is a bug");
            }
            Pause::Error(ReadError::Transient(cause)) => {
                if self.failures == 1 {
                    warn!(log, "reading failed and will be tried again"; "error" => %cause);
                }
                self.set_all(&Reading::Interrupted(cause.to_string()));
                let delay = self.backoff();
                return Next::Subscribe { delay };
            }
            Pause::Error(
                error @ ReadError::Evicted {
                    partition,
                    wanted,
                    first,
                },
            ) => {
                self.lose(partition, wanted, first, &error);
            }
            Pause::Error(
                error @ (ReadError::Ahead { partition, .. } | ReadError::Corrupt { partition, .. }),
            ) => {
                self.fail(partition, &error.to_string());
            }
            Pause::Error(error @ (ReadError::Invalid(_) | ReadError::Failed(_))) => {
                return self.fail_all(&error.to_string());
            }
            Pause::NotSealed(error) => {
                self.may_seal = false;
                return self.fail_all(&error.to_string());
            }
            Pause::NotApplied(partition, error) => self.fail(partition, &error.to_string()),
        }
        if self.readable().is_empty() {
            return Next::End;
        }
        // The first error is no reason to wait; the same again without a delivery between is.
        let delay = match self.failures {
            0 | 1 => Duration::ZERO,
            _ => self.backoff(),
        };
        Next::Subscribe { delay }
    }

    /// Between half of and the whole of a wait that doubles with each failure in a row, so that many consumers of a
    /// log that comes back do not all ask at once.
    fn backoff(&self) -> Duration {
        let apply = &self.shared.config.apply;
        let doubled = 2_u64.saturating_pow(self.failures.saturating_sub(1));
        let whole = apply
            .retry_delay_min_ms
            .saturating_mul(doubled)
            .min(apply.retry_delay_max_ms);
        Duration::from_millis(rand::rng().random_range(whole / 2..=whole))
    }

    /// The partitions that have not failed.
    fn readable(&self) -> Vec<Partition> {
        let progress = self.shared.progress.borrow();
        let has_failed = |partition| {
            let reading = progress.get(partition).map(|one| &one.reading);
            matches!(reading, Some(Reading::Failed(_)))
        };
        let readable = self.owned.iter().copied();
        readable.filter(|one| !has_failed(*one)).collect()
    }

    /// Offsets mean nothing in another log: what was applied is of the old one, and the cursors are as well.
    fn is_same_log(&self) -> bool {
        let (was, is) = (self.shared.log_id, self.shared.transport.log_id());
        if was != is {
            self.fail_all(&format!(
                "the log was replaced: it is {is} now and was {was}; start again to read the new one"
            ));
        }
        was == is
    }

    fn lose(&mut self, partition: Partition, wanted: Offset, first: Offset, error: &ReadError) {
        let next = self.applier.next(partition).unwrap_or(wanted);
        if first <= next {
            // A claim that makes no sense moves nothing; the wait before the next attempt grows.
            warn!(self.shared.log, "an eviction before the cursor is ignored"; "error" => %error);
            return;
        }
        error!(self.shared.log, "envelopes left the log before they were applied";
            "partition" => partition.0, "offsets" => first.0 - next.0, "error" => %error);
        self.applier.skip_to(partition, first);
        self.shared.progress.send_modify(|progress| {
            if let Some(one) = progress.get_mut(partition) {
                one.lose(next.0..first.0);
            }
        });
    }

    fn fail(&self, partition: Partition, why: &str) {
        error!(self.shared.log, "a partition has stopped"; "partition" => partition.0, "reason" => why);
        self.shared.progress.send_modify(|progress| {
            if let Some(one) = progress.get_mut(partition) {
                one.reading = Reading::Failed(why.to_owned());
            }
        });
    }

    fn fail_all(&self, why: &str) -> Next {
        error!(self.shared.log, "reading has stopped"; "reason" => why);
        self.set_all(&Reading::Failed(why.to_owned()));
        Next::End
    }

    fn set_all(&self, reading: &Reading) {
        self.shared
            .progress
            .send_modify(|progress| progress.set_reading(reading));
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_record::{LogRow, otlp::logs::LogRecord};
    use log_tracer_store::{Origin, Stop};
    use log_tracer_transport_channel::{ChannelTransport, Config as ChannelConfig};
    use slog::{Discard, Logger, o};

    use super::*;
    use crate::Config;

    /// How many rows are written when the applier ends so after a row was applied.
    async fn written_rows(pause: Pause) -> u64 {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            store_directory: Some(directory.path().to_owned()),
            ..Config::default()
        };
        let transport = Arc::new(ChannelTransport::open(&ChannelConfig::default()).unwrap());
        let owned = [Partition(0)];
        let log = Logger::root(Discard, o!());
        let (shared, restored) = crate::open::open(config, transport, &owned, log)
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let mut reader = Reader::new(Arc::clone(&shared), owned.to_vec(), &restored, stop);
        let row = LogRow {
            resource: Arc::default(),
            scope: Arc::default(),
            record: LogRecord::default(),
        };
        let origin = Origin {
            partition: 0,
            offset: 0,
        };
        shared.store.apply_logs(origin, &[row]);
        reader.decide(pause);
        reader.seal_last().await;
        let stop = Stop::never();
        stop.cancel();
        shared.store.maintain(&stop, &mut |_| {});
        shared.store.stats().logs.block_rows
    }

    #[tokio::test]
    async fn rows_whose_cursors_are_lost_are_not_written() {
        assert_eq!(written_rows(Pause::Stopped).await, 1);
        assert_eq!(written_rows(Pause::Panicked).await, 0);
        let refused = ApplyError::Store("full".to_owned());
        assert_eq!(written_rows(Pause::NotSealed(refused)).await, 0);
    }
}
