//! The loop that writes what waits, and looks after the blocks while nothing does.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Engine, EngineError, Tables, queue::Job};
use crate::Stop;

/// How often retention looks at the clock and at the disk while nothing is written.
const RETAIN_EVERY: Duration = Duration::from_secs(30);

/// The wait after a merge that failed for want of room or the like.
const COMPACT_RETRY: Duration = Duration::from_secs(60);

/// Blocks that may pile up, waiting to be merged, before a merge goes before what waits to be written.
const UNMERGED_MAX: usize = 64;

impl Engine {
    /// Runs until `stop` is cancelled and what was sealed is written, or cannot be.
    pub(crate) fn maintain(
        &self,
        tables: Tables<'_>,
        stop: &Stop,
        on_durable: &mut dyn FnMut(&BTreeMap<u16, u64>),
    ) {
        self.queue.begin();
        // Once at the start: what grew old while the store was closed leaves, and merges that were due are made.
        let mut retain_at = Instant::now();
        let mut compact_at = Some(Instant::now());
        loop {
            let idle_at = compact_at.map_or(retain_at, |at| at.min(retain_at));
            match self.queue.next(stop, idle_at, self.now()) {
                Job::End => break,
                Job::Flush(generation) => {
                    match self.flush(tables, &generation, stop) {
                        Ok(()) => {
                            let now = self.now();
                            self.counts().flushed(now);
                            self.count_marks();
                            on_durable(&self.queue.written());
                            compact_at = compact_at.or_else(|| Some(Instant::now()));
                        }
                        Err(error) => self.flush_failed(error),
                    }
                    // Its rows count against the bound of bytes; and when it failed, room may be what it lacks.
                    if !stop.is_cancelled() {
                        self.retain_noted(tables, stop);
                    }
                    let is_urgent = self.small_blocks(tables) >= UNMERGED_MAX
                        && compact_at.is_some_and(|at| at <= Instant::now());
                    if is_urgent && !stop.is_cancelled() {
                        compact_at = self.compact_noted(tables, stop);
                    }
                }
                Job::Idle if stop.is_cancelled() => {
                    (retain_at, compact_at) = (Instant::now() + RETAIN_EVERY, None);
                }
                Job::Idle => {
                    let now = Instant::now();
                    if retain_at <= now {
                        self.retain_noted(tables, stop);
                        retain_at = Instant::now() + RETAIN_EVERY;
                    }
                    if compact_at.is_some_and(|at| at <= now) {
                        compact_at = self.compact_noted(tables, stop);
                    }
                }
            }
        }
        self.queue.end();
    }

    fn flush_failed(&self, error: EngineError) {
        let reason = error.to_string();
        match error {
            EngineError::Unsettled(_) => self.queue.die(reason),
            _ => self.queue.failed(reason),
        }
        self.counts().flush_failed();
    }

    fn count_marks(&self) {
        match self.catalog.mark_counts() {
            Ok(marks) => self.counts().marks = marks,
            Err(error) => self.note(Err(error.into())),
        }
    }

    fn retain_noted(&self, tables: Tables<'_>, stop: &Stop) {
        let retained = self.retain(tables, stop);
        self.die_unsettled(&retained);
        self.note(retained);
    }

    /// Makes one merge. Answers when the next may be due; none when there is nothing to merge.
    fn compact_noted(&self, tables: Tables<'_>, stop: &Stop) -> Option<Instant> {
        match self.compact(tables, stop) {
            Ok(true) => Some(Instant::now()),
            Ok(false) => None,
            Err(error) => {
                let failed = Err(error);
                self.die_unsettled(&failed);
                self.note(failed);
                Some(Instant::now() + COMPACT_RETRY)
            }
        }
    }

    fn die_unsettled(&self, result: &Result<(), EngineError>) {
        if let Err(error @ EngineError::Unsettled(_)) = result {
            self.queue.die(error.to_string());
        }
    }
}
