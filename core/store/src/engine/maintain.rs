//! The loops of the two threads: one writes what waits and lets old blocks go, the other merges.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Engine, EngineError, Tables, queue::Job, recover::DirectoryLock};
use crate::Stop;

/// How often retention looks at the clock and at the disk while nothing is written.
const RETAIN_EVERY: Duration = Duration::from_secs(30);

/// The wait after a merge that failed for want of room or the like.
const COMPACT_RETRY: Duration = Duration::from_secs(60);

impl Engine {
    /// Runs until `stop` is cancelled and what was sealed is written, or cannot be. A merge that is under way then is
    /// given up.
    pub(crate) fn maintain(
        &self,
        tables: Tables<'_>,
        stop: &Stop,
        on_durable: &mut dyn FnMut(&BTreeMap<u16, u64>),
    ) {
        // Whoever closes the store meanwhile does not let the directory go: these threads may still write there.
        let _directory = self.directory_lock();
        let (bell, ending) = (Bell::default(), stop.child());
        thread::scope(|scope| {
            // Also when this thread panics.
            let _end = OnDrop(|| {
                ending.cancel();
                bell.ring();
            });
            if !stop.is_cancelled() {
                let merging = || self.merge_all(tables, &ending, &bell);
                let named = thread::Builder::new().name("store-merge".to_owned());
                if let Err(source) = named.spawn_scoped(scope, merging) {
                    let path = self.directory.clone();
                    self.note(Err(EngineError::Io { path, source }));
                }
            }
            self.write_all(tables, stop, &bell, on_durable);
        });
    }

    /// The loop that makes rows durable.
    fn write_all(
        &self,
        tables: Tables<'_>,
        stop: &Stop,
        bell: &Bell,
        on_durable: &mut dyn FnMut(&BTreeMap<u16, u64>),
    ) {
        self.queue.begin();
        // Once at the start: what grew old while the store was closed leaves.
        let mut retain_at = Instant::now();
        loop {
            match self.queue.next(stop, retain_at, self.now()) {
                Job::End => break,
                Job::Flush(generation) => {
                    match self.flush(tables, &generation, stop) {
                        Ok(()) => {
                            let now = self.now();
                            self.counts().flushed(now);
                            self.count_marks();
                            on_durable(&self.queue.written());
                            bell.ring();
                        }
                        Err(error) => self.flush_failed(error),
                    }
                    // Its rows count against the bound of bytes; and when it failed, room may be what it lacks.
                    if !stop.is_cancelled() {
                        self.retain_noted(tables, stop);
                    }
                }
                Job::Idle => {
                    if !stop.is_cancelled() {
                        self.retain_noted(tables, stop);
                    }
                    retain_at = Instant::now() + RETAIN_EVERY;
                }
            }
        }
        self.queue.end();
    }

    /// The loop that merges, each time that the bell rings: once at the start, for what was due when the store was closed,
    /// and after each flush.
    fn merge_all(&self, tables: Tables<'_>, ending: &Stop, bell: &Bell) {
        let _panic = OnDrop(|| {
            if thread::panicking() {
                self.queue
                    .die("merging blocks panicked: this is a bug".to_owned());
            }
        });
        while !ending.is_cancelled() {
            match self.compact(tables, ending) {
                Ok(true) => {}
                Ok(false) => bell.wait(),
                Err(error) => {
                    let failed = Err(error);
                    self.die_unsettled(&failed);
                    self.note(failed);
                    bell.wait_at_least(COMPACT_RETRY, ending);
                }
            }
        }
    }

    fn directory_lock(&self) -> Option<Arc<DirectoryLock>> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.clone()
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

    fn die_unsettled(&self, result: &Result<(), EngineError>) {
        if let Err(error @ EngineError::Unsettled(_)) = result {
            self.queue.die(error.to_string());
        }
    }
}

/// Wakes the thread that merges.
#[derive(Debug, Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.lock() = true;
        self.rings.notify_all();
    }

    /// Waits until it rings; not at all when it has since the wait before.
    fn wait(&self) {
        let mut has_rung = self.lock();
        while !*has_rung {
            let waited = self.rings.wait(has_rung);
            has_rung = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *has_rung = false;
    }

    /// Waits however often it rings, until so much time has passed or `ending` is cancelled.
    fn wait_at_least(&self, time: Duration, ending: &Stop) {
        let until = Instant::now() + time;
        let mut has_rung = self.lock();
        while let Some(left) = until.checked_duration_since(Instant::now())
            && !ending.is_cancelled()
        {
            let waited = self.rings.wait_timeout(has_rung, left);
            (has_rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *has_rung = false;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.has_rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does something in any case.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
