//! Threads that apply, write and search at the same time.

use std::{
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::SealError;

#[test]
fn every_row_is_found_exactly_once_at_every_moment() {
    const ENVELOPES: u64 = 400;
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        flush_rows_max: 30,
        chunk_rows_max: 7,
        ..config()
    };
    let (store, _) = Machine::new().open(&config, directory.path());
    let applied = AtomicU64::new(0);
    let stop = Stop::never();
    let is_done = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| store.maintain(&stop, &mut |_| {}));
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let least = applied.load(Ordering::Acquire);
                    let spans = rows_of(&store.spans).len() as u64;
                    let offsets = log_offsets(&store);
                    let most = applied.load(Ordering::Acquire) + 1;
                    assert!(
                        (2 * least..=2 * most).contains(&spans),
                        "{least} {spans} {most}"
                    );
                    assert!(offsets.len() as u64 >= least);
                    assert!((0..).zip(&offsets).all(|(n, offset)| n == *offset));
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for offset in 0..ENVELOPES {
            store.apply_spans(at(offset), &[span(offset, 1), span(offset, 2)]);
            store.apply_logs(at(offset), &[log(offset, 1)]);
            applied.store(offset + 1, Ordering::Release);
            if store.wants_seal() {
                store.seal(mark(offset + 1)).unwrap();
            }
        }
        store.seal(mark(ENVELOPES)).unwrap();
        stop.cancel();
        while store.durable_cursors().get(&0) != Some(&ENVELOPES) {
            thread::sleep(Duration::from_millis(1));
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(looks.load(Ordering::Relaxed) > 10);
    let stats = store.stats();
    assert_eq!((stats.logs.rows, stats.logs.block_rows), (0, ENVELOPES));
    assert!(stats.durable.unwrap().flushes > 10);
}

#[test]
fn a_seal_waits_for_room_and_wakes_when_there_is_some() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Machine::new().open(&config(), directory.path());
    for offset in 0..2 {
        store.apply_logs(at(offset), &[log(1, offset)]);
        store.seal(mark(offset + 1)).unwrap();
    }
    store.apply_logs(at(2), &[log(1, 2)]);
    let is_sealed = AtomicBool::new(false);
    let stop = Stop::never();
    thread::scope(|scope| {
        scope.spawn(|| {
            store.seal(mark(3)).unwrap();
            is_sealed.store(true, Ordering::Relaxed);
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!is_sealed.load(Ordering::Relaxed));
        assert_eq!(log_offsets(&store), [0, 1, 2], "it can be found meanwhile");
        scope.spawn(|| store.maintain(&stop, &mut |_| {}));
        while store.durable_cursors().get(&0) != Some(&3) {
            thread::sleep(Duration::from_millis(1));
        }
        stop.cancel();
    });
    assert!(is_sealed.load(Ordering::Relaxed));
}

#[test]
fn a_seal_that_waits_is_told_when_the_store_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Machine::new().open(&config(), directory.path());
    thread::scope(|scope| {
        let sealing = scope.spawn(|| {
            (0..3).try_for_each(|offset| {
                store.apply_logs(at(offset), &[log(1, offset)]);
                store.seal(mark(offset + 1))
            })
        });
        while store.stats().durable.unwrap().generations_waiting < 2 {
            thread::yield_now();
        }
        store.close();
        assert_eq!(sealing.join().unwrap(), Err(SealError::Closed));
    });
}

#[test]
fn the_loop_ends_soon_after_it_was_told_to_and_writes_first() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Machine::new().open(&config(), directory.path());
    let stop = Stop::never();
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let mut last = BTreeMap::new();
            store.maintain(&stop, &mut |cursors| last.clone_from(cursors));
            last
        });
        thread::sleep(Duration::from_millis(30));
        store.apply_logs(at(0), &[log(1, 1)]);
        store.seal(mark(1)).unwrap();
        store.seal(mark(2)).unwrap();
        let told = Instant::now();
        stop.cancel();
        assert_eq!(running.join().unwrap(), BTreeMap::from([(0, 2)]));
        assert!(told.elapsed() < Duration::from_secs(5));
    });
}
