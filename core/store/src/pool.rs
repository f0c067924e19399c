//! Who reads at the same time: the questions of a store share so many **turns**, and each stretch of work takes one.
//!
//! A question that is large enough gets helpers, threads of its own for as long as it lasts; one that is not pays nothing.
//! Turns are given in the order in which they were asked for, and a stretch of work is some milliseconds. So however
//! many heavy questions run, no more threads are busy than there are turns, and a light one waits for a turn no longer
//! than the others need for a stretch each.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// The turns of a store.
#[derive(Debug)]
pub(crate) struct ScanPool {
    threads: usize,
    turns: Mutex<Turns>,
    given_back: Condvar,
}

#[derive(Debug)]
struct Turns {
    free: usize,
    /// The number of the next one that asks, and of the next one that is given a turn.
    asks_next: u64,
    is_next: u64,
}

/// Stretches of work that are worth another thread, which costs some ten microseconds.
const UNITS_PER_HELPER: usize = 2;

impl ScanPool {
    /// For so many threads at once; 0 is one for each core.
    pub(crate) fn new(threads: usize) -> Self {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores() } else { threads };
        Self {
            threads,
            turns: Mutex::new(Turns {
                free: threads,
                asks_next: 0,
                is_next: 0,
            }),
            given_back: Condvar::new(),
        }
    }

    /// How many may be busy at once.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Does all units of a question, begun in their order, on this thread and on helpers, until `work` answers false.
    /// Each thread has a worker of its own, which is answered. A panic of a helper is one of the caller.
    pub(crate) fn run<U: Send, W: Send>(
        &self,
        units: Vec<U>,
        worker: impl Fn() -> W + Sync,
        work: impl Fn(&mut W, U) -> bool + Sync,
    ) -> Vec<W> {
        let helpers = (units.len() / UNITS_PER_HELPER).min(self.threads - 1);
        let units = Mutex::new(units.into_iter());
        // A function of its own, so that the lock is not held while the unit is done.
        let next = || lock(&units).next();
        let is_ended = AtomicBool::new(false);
        let drive = || {
            let mut worker = worker();
            while !is_ended.load(Ordering::Relaxed)
                && let Some(unit) = next()
            {
                let _turn = self.turn();
                if !work(&mut worker, unit) {
                    is_ended.store(true, Ordering::Relaxed);
                }
            }
            worker
        };
        if helpers == 0 {
            return vec![drive()];
        }
        thread::scope(|scope| {
            // One that the system refuses is not missed: the others do its work.
            let spawn = |_| {
                let named = thread::Builder::new().name("scan".to_owned());
                named.spawn_scoped(scope, drive).ok()
            };
            let helpers: Vec<_> = (0..helpers).filter_map(spawn).collect();
            let mut workers = vec![drive()];
            for helper in helpers {
                match helper.join() {
                    Ok(worker) => workers.push(worker),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            workers
        })
    }

    /// Waits for a turn.
    fn turn(&self) -> Turn<'_> {
        let mut turns = lock(&self.turns);
        let number = turns.asks_next;
        turns.asks_next += 1;
        while turns.is_next != number || turns.free == 0 {
            turns = self
                .given_back
                .wait(turns)
                .unwrap_or_else(PoisonError::into_inner);
        }
        turns.is_next += 1;
        turns.free -= 1;
        if turns.free > 0 {
            self.given_back.notify_all();
        }
        Turn(self)
    }
}

/// A turn, given back when it is dropped: also when its work panics.
struct Turn<'p>(&'p ScanPool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.0.turns).free += 1;
        self.0.given_back.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        time::{Duration, Instant},
    };

    use super::*;

    /// Runs `questions` at the same time, each of so many units of a millisecond. Answers how many units were under way
    /// at once, at most.
    fn busiest(pool: &ScanPool, questions: usize, units: usize) -> usize {
        let (busy, busiest) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |done: &mut usize, _: usize| {
            busiest.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
            busy.fetch_sub(1, Ordering::SeqCst);
            *done += 1;
            true
        };
        thread::scope(|scope| {
            for _ in 0..questions {
                scope.spawn(|| {
                    let done = pool.run((0..units).collect(), || 0, work);
                    assert_eq!(done.into_iter().sum::<usize>(), units);
                });
            }
        });
        busiest.into_inner()
    }

    #[test]
    fn no_more_threads_are_busy_than_there_are_turns() {
        assert!(busiest(&ScanPool::new(3), 1, 60) <= 3);
        assert!(busiest(&ScanPool::new(3), 5, 40) <= 3);
        assert_eq!(busiest(&ScanPool::new(1), 4, 10), 1);
    }

    #[test]
    fn a_question_with_much_to_read_gets_a_helper() {
        let both = std::sync::Barrier::new(2);
        let done = ScanPool::new(2).run(
            (0..4).collect(),
            || (),
            |(), _| {
                both.wait();
                true
            },
        );
        assert_eq!(done.len(), 2);
    }

    #[test]
    fn the_units_of_a_single_thread_are_done_in_their_order_until_one_ends_it() {
        let pool = ScanPool::new(1);
        let done = pool.run((0..10).collect(), Vec::new, |done, unit| {
            done.push(unit);
            unit < 6
        });
        assert_eq!(done, [vec![0, 1, 2, 3, 4, 5, 6]]);
    }

    #[test]
    fn a_light_question_does_not_wait_for_a_heavy_one() {
        const UNIT: Duration = Duration::from_millis(5);
        const UNITS: usize = 400;
        let pool = ScanPool::new(2);
        let work = |_: &mut (), _: usize| {
            thread::sleep(UNIT);
            true
        };
        thread::scope(|scope| {
            let heavy = scope.spawn(|| pool.run((0..UNITS).collect(), || (), work));
            thread::sleep(4 * UNIT);
            let started = Instant::now();
            pool.run(vec![0], || (), work);
            let waited = started.elapsed();
            assert!(
                !heavy.is_finished(),
                "the heavy one is over after {waited:?}"
            );
            assert!(waited < UNIT * UNITS as u32 / 4, "{waited:?}");
        });
    }

    #[test]
    fn a_panic_of_a_helper_is_one_of_the_caller_and_gives_its_turn_back() {
        let pool = ScanPool::new(2);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(
                (0..50).collect(),
                || (),
                |(), unit| {
                    assert_ne!(unit, 20, "a test");
                    true
                },
            )
        }));
        assert!(result.is_err());
        assert_eq!(lock(&pool.turns).free, 2);
    }
}
