//! How a search is told to end early, and how an answer says what it covers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
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
    deadline: Option<Deadline>,
    budget: Option<Arc<Budget>>,
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
        let given = deadline.saturating_duration_since(Instant::now());
        Self {
            deadline: Some(Deadline { deadline, given }),
            ..Self::default()
        }
    }

    /// Stops, beside what it does already, when so many bytes were read of blocks, about: columns as they are in memory,
    /// and rows that were put together as they are on disk. What is under way is still read.
    #[must_use]
    pub fn with_read_bytes_max(mut self, bytes_max: u64) -> Self {
        self.budget = Some(Arc::new(Budget {
            bytes: AtomicU64::new(0),
            bytes_max,
        }));
        self
    }

    /// Counts bytes that were read of blocks.
    pub(crate) fn read(&self, bytes: u64) {
        if let Some(budget) = &self.budget {
            budget.bytes.fetch_add(bytes, Ordering::Relaxed);
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
    pub(crate) fn reason(&self) -> Option<String> {
        #[cfg(test)]
        if let Some(looks) = &self.looks
            && looks.fetch_sub(1, Ordering::Relaxed) <= 0
        {
            self.cancel();
        }
        if self.is_cancelled() {
            return Some("the search was cancelled".to_owned());
        }
        let hint = "narrow the range or the query";
        if let Some(Deadline { deadline, given }) = self.deadline
            && Instant::now() >= deadline
        {
            let seconds = given.as_secs_f64();
            return Some(format!("the search stopped after {seconds:.1} s: {hint}"));
        }
        let budget = self.budget.as_ref()?;
        let is_spent = budget.bytes.load(Ordering::Relaxed) >= budget.bytes_max;
        is_spent.then(|| {
            let bytes = readable_bytes(budget.bytes_max);
            format!("the search stopped after it had read {bytes}: {hint}")
        })
    }
}

/// When a search has to end, and how long that was when it was said.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    deadline: Instant,
    given: Duration,
}

/// Bytes that may be read of blocks.
#[derive(Debug)]
struct Budget {
    bytes: AtomicU64,
    bytes_max: u64,
}

/// Bytes as a person reads them.
fn readable_bytes(bytes: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match UNITS.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => {
            let count = bytes as f64 / (1_u64 << shift) as f64;
            let text = format!("{count:.1}");
            format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
        }
        None => format!("{bytes} bytes"),
    }
}

/// How much of the question an answer covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Whether records may be missing that the question asked for.
    pub partial: bool,
    /// Why it is partial, in words for a person; empty when it is not, or when only a bound of the question is why, which
    /// `left_out` or the answer itself says.
    pub reasons: Vec<String>,
    /// Rows that can match and were not looked at because of a bound that the question has itself. Then the answer is
    /// partial.
    pub left_out: u64,
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
    /// Says that so many rows are not looked at because the question has a bound.
    pub(crate) fn leave_out(&mut self, rows: u64) {
        self.left_out += rows;
        self.partial |= rows > 0;
    }

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

    /// Counts bytes that were read of blocks, as they are in memory.
    pub(crate) fn read(&mut self, bytes: u64) {
        self.stop.read(bytes);
    }

    /// Takes over what another thread did for the same question.
    pub(crate) fn absorb(&mut self, other: Progress<'_>) {
        self.stopped |= other.stopped;
        let coverage = other.coverage;
        self.coverage.partial |= coverage.partial;
        for reason in coverage.reasons {
            self.coverage.miss(reason);
        }
        self.coverage.scanned += coverage.scanned;
        self.coverage.matched += coverage.matched;
        self.coverage.left_out += coverage.left_out;
        self.coverage.pieces_read += coverage.pieces_read;
        self.coverage.pieces_skipped += coverage.pieces_skipped;
        // The next row is to be looked at.
        self.next_look = 0;
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
    fn a_search_that_read_its_bytes_ends_at_the_next_look() {
        for (bytes_max, said) in [(3 << 30, "3 GiB"), (1536 << 10, "1.5 MiB"), (7, "7 bytes")] {
            let stop = Stop::never().with_read_bytes_max(bytes_max);
            let mut progress = Progress::start(&stop);
            progress.read(bytes_max - 1);
            assert!(progress.look());
            // Clones are the same stop, of another thread, too.
            stop.clone().read(1);
            assert!(!progress.look());
            let reason = format!(
                "the search stopped after it had read {said}: narrow the range or the query"
            );
            assert_eq!(progress.finish().reasons, [reason]);
        }
    }

    #[test]
    fn a_deadline_in_the_past_ends_a_search_at_once() {
        let stop = Stop::at(Instant::now());
        let mut progress = Progress::start(&stop);
        assert!(!progress.scan(1));
        let reason = "the search stopped after 0.0 s: narrow the range or the query";
        assert_eq!(progress.finish().reasons, [reason]);
    }
}
