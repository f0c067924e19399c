//! What the parts of an open log share.

use std::sync::{
    Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use log_tracer_transport::{Offset, Partition};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    error::Error,
    groups::Groups,
    link::Link,
    names::Names,
    queue::Queue,
    streams::{self, Opened, State},
};

/// How far the end of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// No new publishes; those that have sent something go on.
    Closing,
    /// Nobody waits for anything any more.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) names: Names,
    pub(crate) link: Link,
    pub(crate) groups: Groups,
    pub(crate) queue: Queue,
    /// Whether the streams take several messages as one, or refuse them as one.
    pub(crate) atomic_batches: bool,
    pub(crate) phase: watch::Sender<Phase>,
    /// Cancelled with [`Phase::Closed`], also by a drop.
    pub(crate) closed: CancellationToken,
    /// Goes up when there may be room again.
    pub(crate) room: watch::Sender<u64>,
    /// Why it is broken for good.
    pub(crate) failed: OnceLock<String>,
    /// What the last look at the streams found wrong.
    pub(crate) trouble: Mutex<Option<String>>,
    partitions: Vec<PartitionState>,
}

/// What is known of a partition.
#[derive(Debug)]
struct PartitionState {
    created: String,
    known: Mutex<Known>,
    /// Bytes that were acknowledged to this process since it was opened.
    acked_bytes: AtomicU64,
    /// One at a time makes room, and not again and again.
    purging: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    state: State,
    /// What `acked_bytes` was when that state was asked for.
    acked_bytes_then: u64,
    /// The highest end that an ack, a delivery or a look has shown.
    end: Offset,
    full: Option<String>,
}

impl Shared {
    pub(crate) fn new(config: Config, names: Names, link: Link, opened: Opened) -> Self {
        // A single server that has no room for the whole of a batch stores a part of it and answers nothing; a cluster
        // looks before.
        let atomic_batches = opened.atomic_batches && config.replicas > 1;
        let partitions = opened.created.into_iter().zip(opened.states);
        let partitions = partitions.map(|(created, state)| PartitionState {
            created,
            known: Mutex::new(Known {
                state,
                end: state.end(),
                ..Known::default()
            }),
            acked_bytes: AtomicU64::new(0),
            purging: tokio::sync::Mutex::new(None),
        });
        Self {
            partitions: partitions.collect(),
            groups: Groups::new(names.clone()),
            queue: Queue::new(&config),
            atomic_batches,
            config,
            names,
            link,
            phase: watch::Sender::new(Phase::Open),
            closed: CancellationToken::new(),
            room: watch::Sender::new(0),
            failed: OnceLock::new(),
            trouble: Mutex::new(None),
        }
    }

    /// Whether anything can be asked of it.
    pub(crate) fn usable(&self) -> Result<(), Error> {
        if *self.phase.borrow() != Phase::Open {
            return Err(Error::Closed);
        }
        match self.failed.get() {
            Some(why) => Err(Error::Failed(why.clone())),
            None => Ok(()),
        }
    }

    /// When a request that has no deadline of its own is given up.
    pub(crate) fn request_deadline(&self) -> Instant {
        Instant::now() + self.config.request_timeout() * 2
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = Partition> {
        (0..self.config.partitions.get()).map(Partition)
    }

    /// Notes an acknowledged envelope.
    pub(crate) fn acked(&self, partition: Partition, offset: Offset, bytes: u64) {
        let Some(state) = self.partition(partition) else {
            return;
        };
        state.acked_bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut known = lock(&state.known);
        known.end = known.end.max(Offset(offset.0 + 1));
        known.full = None;
    }

    /// Notes that the end of a partition lies at least here.
    pub(crate) fn seen_end(&self, partition: Partition, end: Offset) {
        if let Some(state) = self.partition(partition) {
            let mut known = lock(&state.known);
            known.end = known.end.max(end);
        }
    }

    pub(crate) fn known_end(&self, partition: Partition) -> Offset {
        self.known(partition)
            .map(|known| known.end)
            .unwrap_or_default()
    }

    /// The first offset that was there at the last look.
    pub(crate) fn known_start(&self, partition: Partition) -> Offset {
        self.known(partition)
            .map(|known| known.state.start())
            .unwrap_or_default()
    }

    pub(crate) fn mark_full(&self, partition: Partition, why: String) {
        if let Some(state) = self.partition(partition) {
            lock(&state.known).full = Some(why);
        }
    }

    /// Whether any partition refused the last envelope for want of room.
    pub(crate) fn is_full(&self) -> bool {
        let mut partitions = self.partitions.iter();
        partitions.any(|state| lock(&state.known).full.is_some())
    }

    /// Bytes that a partition takes: at the last look, with what was acknowledged to this process since. What others
    /// have published since is not in it.
    pub(crate) fn bytes(&self, partition: Partition) -> u64 {
        let Some(state) = self.partition(partition) else {
            return 0;
        };
        let known = lock(&state.known).clone();
        let acked = state.acked_bytes.load(Ordering::Relaxed);
        let since = acked.saturating_sub(known.acked_bytes_then);
        (known.state.bytes + since).min(self.config.partition_bytes_max())
    }

    /// Looks at the stream of a partition.
    pub(crate) async fn look(
        &self,
        life: &crate::link::Life,
        partition: Partition,
    ) -> Result<State, Error> {
        let state = self.partition(partition).ok_or(Error::Closed)?;
        let acked_bytes_then = state.acked_bytes.load(Ordering::Relaxed);
        let info = streams::info(life, &self.names, partition).await?;
        if info.created != state.created {
            let why = format!(
                "the stream {} was deleted and made anew: open the log again, it is another one",
                self.names.stream(partition)
            );
            return Err(self.fail(why));
        }
        let mut known = lock(&state.known);
        known.state = info.state;
        known.acked_bytes_then = acked_bytes_then;
        known.end = known.end.max(info.state.end());
        Ok(info.state)
    }

    /// Notes that the log is not what was opened, for good.
    pub(crate) fn fail(&self, why: String) -> Error {
        let why = self.failed.get_or_init(|| {
            log::error!("log {}: {why}", self.config.name);
            why
        });
        self.room.send_modify(|room| *room += 1);
        Error::Failed(why.clone())
    }

    /// Forgets what every group has committed of a partition, and says whether that made room. At most once in
    /// [`PURGE_INTERVAL`], so that those who wait for room do not all ask.
    pub(crate) async fn make_room(
        &self,
        life: &crate::link::Life,
        partition: Partition,
    ) -> Result<bool, Error> {
        let state = self.partition(partition).ok_or(Error::Closed)?;
        let Ok(mut last) = state.purging.try_lock() else {
            return Ok(false);
        };
        if last.is_some_and(|last| last.elapsed() < PURGE_INTERVAL) {
            return Ok(false);
        }
        *last = Some(Instant::now());
        let document = self.groups.document(life).await?;
        self.purge(life, partition, document.floor(partition)).await
    }

    /// Forgets what lies before the floor, and says whether anything did.
    pub(crate) async fn purge(
        &self,
        life: &crate::link::Life,
        partition: Partition,
        floor: Option<Offset>,
    ) -> Result<bool, Error> {
        let before = self.look(life, partition).await?;
        let Some(floor) = floor.filter(|floor| *floor > before.start()) else {
            return Ok(false);
        };
        streams::purge(life, &self.names, partition, floor).await?;
        self.look(life, partition).await?;
        self.room.send_modify(|room| *room += 1);
        Ok(true)
    }

    fn known(&self, partition: Partition) -> Option<Known> {
        let state = self.partition(partition)?;
        Some(lock(&state.known).clone())
    }

    fn partition(&self, partition: Partition) -> Option<&PartitionState> {
        self.partitions.get(usize::from(partition.0))
    }
}

/// Between two attempts to make room for those who wait for it.
const PURGE_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
