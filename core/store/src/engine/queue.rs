//! Generations that wait to be written, and who waits for them.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Tables;
use crate::{Config, Mark, Restored, Stop};

/// A mark without rows is written on its own once it has so many batches, or so many bytes that were set aside: until
/// then it waits for rows, or for its age.
const HEAVY_BATCHES: usize = 4096;
const HEAVY_BYTES: usize = 1 << 20;

/// How often the loop looks whether it was told to stop while there is nothing to do.
const LOOK: Duration = Duration::from_millis(100);

/// The waits after flushes that failed, one after the other.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How often a flush is tried once more when the loop was told to stop.
pub(super) const LAST_ATTEMPTS: u32 = 3;

/// Why rows cannot be handed over to be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// As many generations wait as may, and nobody writes them any more.
    #[error("nothing is written to disk any more{}", reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}")))]
    Ended {
        /// Why flushing failed last; none when the maintenance of the store simply ended.
        reason: Option<String>,
    },
}

/// Rows that become durable together, and the mark that they become so with. The rows are in the tables, under the
/// number of the generation.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) mark: Mark,
    /// When it was sealed, nanoseconds since 1970.
    pub(super) sealed_unix_nano: u64,
}

/// What the loop does next.
#[derive(Debug)]
pub(super) enum Job {
    /// Write the oldest generation.
    Flush(Arc<Generation>),
    /// Nothing waits: time for the blocks.
    Idle,
    /// It was told to stop, and has written all it could.
    End,
}

#[derive(Debug)]
pub(crate) struct Queue {
    generations_max: usize,
    mark_age_max: Duration,
    state: Mutex<State>,
    /// Something waits, or the store was closed.
    work: Condvar,
    /// A generation was written, or nobody writes any more.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next_number: u64,
    /// The oldest first. The first is the one that is being written, if one is.
    waiting: VecDeque<Arc<Generation>>,
    /// Marks that came without rows since the last generation.
    pending: Option<(Mark, Instant)>,
    failing: Option<Failing>,
    /// The log id and the cursors of the last generation that was written.
    durable: (Option<u128>, BTreeMap<u16, u64>),
    is_closed: bool,
    /// The loop has returned.
    has_ended: bool,
    /// Nothing may be written any more, and why.
    dead: Option<String>,
}

#[derive(Clone, Debug)]
struct Failing {
    reason: String,
    attempts: u32,
    next_attempt: Instant,
}

impl Queue {
    pub(super) fn new(config: &Config, restored: &Restored) -> Self {
        Self {
            generations_max: config.generations_max as usize,
            mark_age_max: Duration::from_millis(config.flush_age_max_ms),
            state: Mutex::new(State {
                durable: (restored.log_id, restored.cursors.clone()),
                ..State::default()
            }),
            work: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// Makes one generation of the rows in the tables, or keeps a mark without rows for later. Waits for room.
    pub(super) fn seal(
        &self,
        tables: Tables<'_>,
        mark: Mark,
        sealed_unix_nano: u64,
    ) -> Result<(), SealError> {
        let mut state = self.lock();
        let may_wait = |state: &State| {
            tables.open_size().rows == 0
                && state
                    .pending
                    .as_ref()
                    .is_none_or(|(mark, _)| !is_heavy(mark))
        };
        while state.waiting.len() >= self.generations_max && !may_wait(&state) {
            if state.has_ended && !state.is_closed {
                let reason = state.failing.as_ref().map(|failing| failing.reason.clone());
                return Err(SealError::Ended { reason });
            }
            state.refuse()?;
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.refuse()?;
        let number = state.next_number;
        let has_rows = tables.freeze(number);
        let (mut whole, since) = state.take_pending();
        whole.absorb(mark);
        if has_rows || is_heavy(&whole) && state.waiting.len() < self.generations_max {
            state.push(whole, sealed_unix_nano);
        } else {
            state.pending = Some((whole, since));
        }
        drop(state);
        self.work.notify_all();
        Ok(())
    }

    /// What to do next; waits for it, until `idle_until` at the latest.
    pub(super) fn next(&self, stop: &Stop, idle_until: Instant, now_unix_nano: u64) -> Job {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.is_closed || state.dead.is_some() || state.has_given_up(stop) {
                return Job::End;
            }
            let is_time = |since: Instant| now.duration_since(since) >= self.mark_age_max;
            if state.waiting.is_empty()
                && let Some((mark, since)) = &state.pending
                && (is_time(*since) || is_heavy(mark) || stop.is_cancelled())
            {
                let (mark, _) = state.take_pending();
                state.push(mark, now_unix_nano);
            }
            let next_attempt = state.failing.as_ref().map_or(now, |it| it.next_attempt);
            if let Some(generation) = state.waiting.front()
                && next_attempt <= now
            {
                return Job::Flush(Arc::clone(generation));
            }
            if stop.is_cancelled() && state.waiting.is_empty() {
                return Job::End;
            }
            // While flushes fail, the blocks are looked after all the same: retention may make room.
            if idle_until <= now {
                return Job::Idle;
            }
            let mut wait = LOOK.min(idle_until - now);
            if next_attempt > now {
                wait = wait.min(next_attempt - now);
            }
            let waited = self.work.wait_timeout(state, wait);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The oldest generation is written. Answers the cursors that are durable now.
    pub(super) fn written(&self) -> BTreeMap<u16, u64> {
        let mut state = self.lock();
        state.failing = None;
        if let Some(generation) = state.waiting.pop_front() {
            let mark = &generation.mark;
            let (log_id, cursors) = &mut state.durable;
            if log_id.replace(mark.log_id) != Some(mark.log_id) {
                cursors.clear();
            }
            cursors.extend(&mark.cursors);
        }
        self.room.notify_all();
        state.durable.1.clone()
    }

    /// The oldest generation could not be written.
    pub(super) fn failed(&self, reason: String) {
        let mut state = self.lock();
        let attempts = state.failing.as_ref().map_or(0, |failing| failing.attempts) + 1;
        let wait = RETRY_MIN
            .saturating_mul(1 << attempts.min(16))
            .min(RETRY_MAX);
        state.failing = Some(Failing {
            reason,
            attempts,
            next_attempt: Instant::now() + wait,
        });
    }

    /// Nothing may be written from now on.
    pub(super) fn die(&self, reason: String) {
        self.lock().dead = Some(reason);
        self.room.notify_all();
    }

    pub(super) fn begin(&self) {
        let mut state = self.lock();
        state.has_ended = false;
        if let Some(failing) = &mut state.failing {
            failing.attempts = 0;
        }
    }

    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.room.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.room.notify_all();
        self.work.notify_all();
    }

    pub(super) fn durable_cursors(&self) -> BTreeMap<u16, u64> {
        self.lock().durable.1.clone()
    }

    /// How many generations wait, and why they cannot be written.
    pub(super) fn status(&self) -> (u64, Option<String>) {
        let state = self.lock();
        let failing = state.failing.as_ref().map(|failing| failing.reason.clone());
        (state.waiting.len() as u64, state.dead.clone().or(failing))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn refuse(&self) -> Result<(), SealError> {
        if self.is_closed {
            return Err(SealError::Closed);
        }
        match &self.dead {
            Some(reason) => Err(SealError::Ended {
                reason: Some(reason.clone()),
            }),
            None => Ok(()),
        }
    }

    fn take_pending(&mut self) -> (Mark, Instant) {
        let pending = mem::take(&mut self.pending);
        pending.unwrap_or_else(|| (Mark::default(), Instant::now()))
    }

    fn push(&mut self, mark: Mark, sealed_unix_nano: u64) {
        self.waiting.push_back(Arc::new(Generation {
            number: self.next_number,
            mark,
            sealed_unix_nano,
        }));
        self.next_number += 1;
    }

    fn has_given_up(&self, stop: &Stop) -> bool {
        let attempts = self.failing.as_ref().map_or(0, |failing| failing.attempts);
        stop.is_cancelled() && attempts >= LAST_ATTEMPTS
    }
}

fn is_heavy(mark: &Mark) -> bool {
    let bytes: usize = mark.set_aside.iter().map(Vec::len).sum();
    mark.seen.len() >= HEAVY_BATCHES || bytes >= HEAVY_BYTES
}
