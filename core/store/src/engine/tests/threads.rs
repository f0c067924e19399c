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
        block_rows_max: 120,
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
    let durable = stats.durable.unwrap();
    assert!(
        durable.flushes > 10 && durable.compactions > 0,
        "{durable:?}"
    );
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

/// Options with a hook that several threads can be in at once.
fn hooked(hook: impl Fn(Point) -> io::Result<()> + Send + Sync + 'static) -> Options {
    Options {
        hook: Arc::new(hook),
        ..Machine::new().options()
    }
}

fn wait_for(what: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < give_up, "it never came");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn flushes_go_on_while_a_merge_is_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let may_end = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&may_end);
    let options = hooked(move |point| {
        if point == Point::CompactWritten {
            wait_for(|| gate.load(Ordering::Relaxed));
        }
        Ok(())
    });
    let config = small_blocks(config());
    let (store, _) = Store::open_with(config, directory.path(), options).unwrap();
    let stop = Stop::never();
    thread::scope(|scope| {
        scope.spawn(|| store.maintain(&stop, &mut |_| {}));
        for offset in 0..30 {
            store.apply_logs(at(offset), &[log(1, offset)]);
            store.seal(mark(offset + 1)).unwrap();
        }
        wait_for(|| store.durable_cursors().get(&0) == Some(&30));
        assert_eq!(store.stats().durable.unwrap().compactions, 0);
        assert_eq!(log_offsets(&store), (0..30).collect::<Vec<_>>());
        may_end.store(true, Ordering::Relaxed);
        wait_for(|| store.stats().durable.unwrap().compactions == 3);
        stop.cancel();
    });
    assert_eq!(log_offsets(&store), (0..30).collect::<Vec<_>>());
    assert_eq!(block_owners(directory.path()), 3 + 6);
}

#[test]
fn a_merge_whose_inputs_leave_meanwhile_is_thrown_away() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let config = small_blocks(Config::default());
    let (store, _) = machine.open(&config, directory.path());
    let engine = store.engine.as_ref().unwrap();
    let (stop, go_on) = (Stop::never(), Stop::never());
    stop.cancel();
    for offset in 0..8 {
        // The last two stay.
        let days = if offset < 6 { 0 } else { 1 };
        let time = machine.now() + days * DAY / 10;
        store.apply_logs(at(offset), &[log(time, offset)]);
        store.seal(mark(offset + 1)).unwrap();
        store.maintain(&stop, &mut |_| {});
        machine.pass(DAY / 100);
    }
    let merge = engine.merge(engine.due(&store.logs), &go_on).unwrap();
    assert_eq!(block_owners(directory.path()), 9);
    machine.pass(7 * DAY - 2 * DAY / 100 - DAY / 200);
    engine.retain(store.tables(), &go_on).unwrap();
    assert_eq!(store.stats().logs.expired_rows_by_age, 6);
    engine
        .conclude(&store.logs, merge.unwrap(), &go_on)
        .unwrap();
    assert_eq!(log_offsets(&store), [6, 7]);
    assert_eq!(block_owners(directory.path()), 2);
    assert_eq!(store.stats().durable.unwrap().compactions, 0);
    drop(store);
    let (store, _) = machine.open(&config, directory.path());
    assert_eq!(log_offsets(&store), [6, 7]);
}

#[test]
fn a_merge_that_is_stopped_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&small_blocks(config()), directory.path());
    let stop = Stop::never();
    stop.cancel();
    for offset in 0..8 {
        store.apply_logs(at(offset), &[log(1, offset)]);
        store.seal(mark(offset + 1)).unwrap();
        store.maintain(&stop, &mut |_| {});
    }
    let before = block_files(directory.path());
    let engine = store.engine.as_ref().unwrap();
    assert!(!engine.compact(store.tables(), &stop).unwrap());
    assert_eq!(block_files(directory.path()), before);
    assert_eq!(log_offsets(&store).len(), 8);
    assert!(engine.compact(store.tables(), &Stop::never()).unwrap());
    assert_eq!(block_owners(directory.path()), 1);
}

#[test]
fn a_store_that_is_closed_keeps_its_directory_until_its_threads_have_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (is_there, may_end) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (there, gate) = (Arc::clone(&is_there), Arc::clone(&may_end));
    let options = hooked(move |point| {
        if point == Point::CompactWritten {
            there.store(true, Ordering::Relaxed);
            wait_for(|| gate.load(Ordering::Relaxed));
        }
        Ok(())
    });
    let config = small_blocks(config());
    let (store, _) = Store::open_with(config.clone(), directory.path(), options).unwrap();
    let stop = Stop::never();
    thread::scope(|scope| {
        let running = scope.spawn(|| store.maintain(&stop, &mut |_| {}));
        for offset in 0..8 {
            store.apply_logs(at(offset), &[log(1, offset)]);
            store.seal(mark(offset + 1)).unwrap();
        }
        wait_for(|| is_there.load(Ordering::Relaxed));
        stop.cancel();
        store.close();
        let again = Store::open(config.clone(), directory.path());
        assert!(matches!(again, Err(crate::OpenError::Locked { .. })));
        may_end.store(true, Ordering::Relaxed);
        running.join().unwrap();
        let (again, _) = Store::open(config.clone(), directory.path()).unwrap();
        assert_eq!(log_offsets(&again).len(), 8);
        assert_eq!(again.stats().durable.unwrap().deleted_files, 0);
    });
}

#[test]
fn nothing_follows_a_change_of_which_nobody_knows_whether_it_took_place() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let config = small_blocks(config());
    let (store, _) = machine.open(&config, directory.path());
    let engine = store.engine.as_ref().unwrap();
    let stop = Stop::never();
    stop.cancel();
    for offset in 0..8 {
        store.apply_logs(at(offset), &[log(1, offset)]);
        store.seal(mark(offset + 1)).unwrap();
        store.maintain(&stop, &mut |_| {});
    }
    let merge = engine
        .merge(engine.due(&store.logs), &Stop::never())
        .unwrap();
    let (catalog, away) = (
        directory.path().join("catalog.redb"),
        directory.path().join("away"),
    );
    let (from, to) = (catalog.clone(), away.clone());
    machine.on(move |point| match point {
        Point::Committed => fs::rename(&from, &to).and(Err(io::Error::other("lost the disk"))),
        _ => Ok(()),
    });
    store.apply_logs(at(8), &[log(1, 8)]);
    store.seal(mark(9)).unwrap();
    store.maintain(&stop, &mut |_| panic!("nobody knows"));
    machine.on(|_| Ok(()));
    let error = engine
        .conclude(&store.logs, merge.unwrap(), &stop)
        .unwrap_err();
    assert!(
        error.to_string().contains("nothing may follow it"),
        "{error}"
    );
    let refused = store.seal(mark(10));
    assert!(
        matches!(refused, Err(SealError::Ended { .. })),
        "{refused:?}"
    );
    drop(store);
    fs::rename(&away, &catalog).unwrap();
    let (store, restored) = machine.open(&config, directory.path());
    assert_eq!(restored.cursors, BTreeMap::from([(0, 9)]), "it took place");
    assert_eq!(log_offsets(&store), (0..9).collect::<Vec<_>>());
}
