//! What the transport, its subscriptions and its two threads share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::{
    Config,
    error::Error,
    log::Log,
    queue::Queue,
    segment::{Place, Segment},
};

/// One mutex and who is told of what. A standard mutex, since nobody does anything slow while holding it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) config: Config,
    state: Mutex<State>,
    /// The writer waits here: for publishes, room, a segment, the end.
    work: Condvar,
    /// The keeper waits here: for what is to be prepared, written beside, removed.
    chores: Condvar,
    /// Told of every group, and of the end.
    pub(crate) arrivals: watch::Sender<()>,
    /// How it ended, once it has.
    pub(crate) ended: watch::Sender<Option<Result<(), Error>>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: Log,
    pub(crate) queue: Queue,
    pub(crate) phase: Phase,
    /// Why nothing can be written any more.
    pub(crate) failed: Option<Arc<Error>>,
    /// The segment that will be written to next.
    pub(crate) prepared: Option<Arc<Segment>>,
    /// How large the next segment has to be.
    pub(crate) prepare_bytes: u64,
    /// The number of the next segment.
    pub(crate) next_sequence: u64,
    pub(crate) disk: Disk,
    /// Why the last publish found no room.
    pub(crate) why_full: String,
    /// When the fsync began that is under way.
    pub(crate) syncing_since: Option<Duration>,
    /// What the keeper could not do.
    pub(crate) trouble: Option<Error>,
    /// The keeper has to do the last chores and end.
    pub(crate) keeper_ends: bool,
}

/// What is known of the room on the disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) free_bytes: Option<u64>,
    pub(crate) reserve_bytes: u64,
    /// Why nothing may be stored.
    pub(crate) full: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// What was accepted is finished, nothing more is accepted.
    Closing,
    /// Nobody is there any more to whom anything could matter.
    Abandoned,
    Closed,
}

impl Shared {
    pub(crate) fn new(place: Place, config: Config, log: Log) -> Self {
        let next_sequence = log.active().map_or(1, |log| log.segment.sequence + 1);
        let prepare_bytes = config.segment_bytes;
        Self {
            place,
            config,
            state: Mutex::new(State {
                log,
                queue: Queue::default(),
                phase: Phase::Open,
                failed: None,
                prepared: None,
                prepare_bytes,
                next_sequence,
                disk: Disk::default(),
                why_full: String::new(),
                syncing_since: None,
                trouble: None,
                keeper_ends: false,
            }),
            work: Condvar::new(),
            chores: Condvar::new(),
            arrivals: watch::Sender::new(()),
            ended: watch::Sender::new(None),
        }
    }

    /// A panic of another thread leaves nothing half-done in here: every change is made after all checks.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a journal that can be read.
    pub(crate) fn lock_open(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock();
        match state.phase {
            Phase::Open => Ok(state),
            Phase::Closing | Phase::Abandoned | Phase::Closed => Err(Error::Closed),
        }
    }

    /// Waits until something may have changed for the writer.
    pub(crate) fn wait_for_work<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.work
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may have changed for the writer, or so long.
    pub(crate) fn linger<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.work.wait_timeout(state, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until there may be something to do for the keeper, or so long.
    pub(crate) fn wait_for_chores<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.chores.wait_timeout(state, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn tell_writer(&self) {
        self.work.notify_all();
    }

    pub(crate) fn tell_keeper(&self) {
        self.chores.notify_all();
    }

    /// The time by the clock that does not jump.
    pub(crate) fn now(&self) -> Duration {
        self.place.files.monotonic()
    }
}
