//! How a search is told to end early, and how an answer says what it covers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Ends a search early: when its caller has gone, or when its time is up. A search looks at it every few hundred rows
/// and then answers what it has, as partial. Clones are the same stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    cancelled: Arc<AtomicBool>,
    /// Cancels this one, too.
    parent: Option<Arc<AtomicBool>>,
    deadline: Option<Instant>,
    /// Cancels at the look with this number.
    #[cfg(test)]
    looks: Option<Arc<std::sync::atomic::AtomicI64>>,
}

impl Stop {
    /// Never stops unless it is cancelled.
    pub fn never() -> Self {
        Self::default()
    }

    /// Stops at a time, or when it is cancelled before.
    pub fn at(deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..Self::default()
        }
    }

    /// Is cancelled when a search has looked at it so many times.
    #[cfg(test)]
    pub(crate) fn after_looks(looks: i64) -> Self {
        Self {
            looks: Some(Arc::new(looks.into())),
            ..Self::default()
        }
    }

    /// A stop that is cancelled with this one, or alone. This one must have no parent itself.
    pub(crate) fn child(&self) -> Self {
        debug_assert!(self.parent.is_none(), "two generations are enough");
        Self {
            parent: Some(Arc::clone(&self.cancelled)),
            ..Self::default()
        }
    }

    /// Ends all searches that were given this stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled; its deadline does not count.
    pub fn is_cancelled(&self) -> bool {
        let of_parent = self.parent.as_ref();
        self.cancelled.load(Ordering::Relaxed)
            || of_parent.is_some_and(|parent| parent.load(Ordering::Relaxed))
    }

    /// Why a search has to end now, if it does.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        #[cfg(test)]
        if let Some(looks) = &self.looks
            && looks.fetch_sub(1, Ordering::Relaxed) <= 0
        {
            self.cancel();
        }
        if self.is_cancelled() {
            return Some("the search was cancelled");
        }
        let is_late = self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        is_late.then_some("the search ran out of time")
    }
}

/// How much of the question an answer covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Whether records may be missing that the question asked for.
    pub partial: bool,
    /// Why it is partial, in words for a person; empty when it is not.
    pub reasons: Vec<String>,
    /// Rows that were looked at.
    pub scanned: u64,
    /// Rows among them that matched; traces for a search of traces. A search that was certain of its answer before it
    /// had looked at every row counted no further.
    pub matched: u64,
    /// Pieces of blocks, some thousand neighbouring rows each, that were read from disk.
    pub pieces_read: u64,
    /// Pieces of blocks that were left unread because of what is known of them.
    pub pieces_skipped: u64,
    /// How long it took.
    pub took: Duration,
}

/// Reasons that an answer lists.
const REASONS_MAX: usize = 16;

impl Coverage {
    /// Says that records may be missing.
    pub(crate) fn miss(&mut self, reason: impl Into<String>) {
        let mut reason = reason.into();
        self.partial = true;
        if self.reasons.len() >= REASONS_MAX {
            "there are more reasons than these".clone_into(&mut reason);
        }
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

/// Rows between two looks at the clock: some tens of microseconds of work, and few enough when rows are large.
const ROWS_PER_LOOK: u64 = 256;

/// The running account of one search: counts rows, and looks at the [`Stop`] now and then.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    stop: &'a Stop,
    started: Instant,
    next_look: u64,
    stopped: bool,
    pub(crate) coverage: Coverage,
}

impl<'a> Progress<'a> {
    pub(crate) fn start(stop: &'a Stop) -> Self {
        Self {
            stop,
            started: Instant::now(),
            next_look: 0,
            stopped: false,
            coverage: Coverage::default(),
        }
    }

    /// Counts rows that are about to be looked at. False when the search has to end now.
    #[inline]
    pub(crate) fn scan(&mut self, rows: u64) -> bool {
        self.coverage.scanned += rows;
        self.coverage.scanned < self.next_look || self.look()
    }

    /// Looks at the clock now. False when the search has to end.
    #[cold]
    pub(crate) fn look(&mut self) -> bool {
        self.next_look = self.coverage.scanned + ROWS_PER_LOOK;
        if !self.stopped
            && let Some(reason) = self.stop.reason()
        {
            self.stopped = true;
            self.coverage.miss(reason);
        }
        if self.stopped {
            // No row is free of charge any more: every later call has to come here and be refused.
            self.next_look = 0;
        }
        !self.stopped
    }

    /// Whether the search had to end early.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn finish(mut self) -> Coverage {
        self.coverage.took = self.started.elapsed();
        self.coverage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_search_ends_at_the_next_look_and_stays_ended() {
        let stop = Stop::never();
        let mut progress = Progress::start(&stop);
        assert!(progress.scan(1));
        stop.clone().cancel();
        let rows = (0..10 * ROWS_PER_LOOK)
            .take_while(|_| progress.scan(1))
            .count() as u64;
        assert!(rows <= ROWS_PER_LOOK);
        assert!(!progress.scan(0));
        let coverage = progress.finish();
        assert!(coverage.partial);
        assert_eq!(coverage.reasons, ["the search was cancelled"]);
    }

    #[test]
    fn a_deadline_in_the_past_ends_a_search_at_once() {
        let stop = Stop::at(Instant::now());
        let mut progress = Progress::start(&stop);
        assert!(!progress.scan(1));
        assert_eq!(progress.finish().reasons, ["the search ran out of time"]);
    }
}
