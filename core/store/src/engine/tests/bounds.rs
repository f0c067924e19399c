//! What leaves, what is merged, and what is said of it.

use super::*;

fn week() -> Config {
    Config::default()
}

fn fill(store: &Store, offset: u64, time: u64) {
    store.apply_logs(at(offset), &[log(time, offset)]);
    store.seal(mark(offset + 1)).unwrap();
    settle(store);
}

#[test]
fn a_thousand_tiny_seals_end_in_few_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    let engine = store.engine.as_ref().unwrap();
    let stop = Stop::never();
    std::thread::scope(|scope| {
        let store = &store;
        let stop = &stop;
        scope.spawn(move || store.maintain(stop, &mut |_| {}));
        for offset in 0..1000 {
            store.apply_logs(at(offset), &[log(offset, offset)]);
            store.seal(mark(offset + 1)).unwrap();
        }
        stop.cancel();
    });
    while engine.compact(store.tables(), &Stop::never()).unwrap() {}
    let stats = store.stats();
    assert_eq!(stats.logs.block_rows, 1000);
    assert!(stats.logs.block_count <= 2 * 31, "{stats:?}");
    assert_eq!(block_owners(directory.path()), stats.logs.block_count);
    drop(store);
    let (store, restored) = machine.open(&config(), directory.path());
    assert_eq!(log_offsets(&store).len(), 1000);
    assert_eq!(restored.seen.len(), 1000);
}

#[test]
fn late_rows_and_rows_of_the_future_leave_no_tiny_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    for offset in 0..64 {
        let time = match offset % 3 {
            0 => 0,
            1 => u64::MAX - offset,
            _ => machine.now(),
        };
        fill(&store, offset, time);
    }
    assert_eq!(store.stats().logs.block_count, 2);
    assert_eq!(log_offsets(&store).len(), 64);
}

#[test]
fn rows_leave_by_age_and_answers_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&week(), directory.path());
    let start = machine.now();
    for day in 0..9 {
        fill(&store, day, machine.now());
        machine.pass(DAY);
    }
    settle(&store);
    let stats = store.stats().logs;
    assert_eq!((stats.block_rows, stats.expired_rows_by_age), (7, 2));
    assert_eq!(log_offsets(&store), [2, 3, 4, 5, 6, 7, 8]);
    assert!(is_partial(&store, start, start + 1));
    assert!(!is_partial(&store, start + DAY + 1, u64::MAX));
    assert_eq!(block_owners(directory.path()), 7);
    drop(store);
    let (store, _) = machine.open(&week(), directory.path());
    assert!(is_partial(&store, start, start + 1), "it is remembered");
    let reasons = |start_unix_nano| {
        let range = TimeRange {
            start_unix_nano,
            end_unix_nano: None,
        };
        let mut coverage = crate::Coverage::default();
        store.logs.snapshot().cover(range, &mut coverage);
        coverage.reasons
    };
    assert_eq!(
        reasons(1),
        ["older log records have left the store, which keeps 7 days of them"]
    );
    assert_eq!(reasons(0), [""; 0], "all time is all that is kept");
    let page = TimeRange {
        start_unix_nano: start,
        end_unix_nano: None,
    };
    let mut coverage = crate::Coverage::default();
    let snapshot = store.logs.snapshot();
    snapshot.cover_page(page, TimeRange::ALL, &mut coverage);
    assert!(!coverage.partial, "also on a later page");
    assert_eq!(store.stats().logs.expired_rows_by_age, 2);
}

#[test]
fn a_row_of_the_future_does_not_keep_its_block() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&week(), directory.path());
    fill(&store, 0, machine.now() + 900 * DAY);
    let received = machine.now();
    machine.pass(7 * DAY + MILLI);
    settle(&store);
    assert_eq!(store.stats().logs.expired_rows_by_age, 1);
    assert!(
        !is_partial(&store, 0, received),
        "nothing of the past has left"
    );
}

#[test]
fn nothing_leaves_when_the_clock_jumps_back_or_was_wrong_before() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&week(), directory.path());
    fill(&store, 0, machine.now());
    machine.now.store(DAY, Ordering::Relaxed);
    fill(&store, 1, 1000 * DAY);
    drop(store);
    let (store, _) = machine.open(&week(), directory.path());
    fill(&store, 2, 1000 * DAY);
    machine.now.store(1001 * DAY, Ordering::Relaxed);
    settle(&store);
    assert_eq!(log_offsets(&store), [0, 1, 2]);
}

#[test]
fn what_arrived_first_leaves_first_by_bytes_over_both_tables() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    store.apply_logs(at(0), &[log(900 * DAY, 1)]);
    store.apply_spans(at(0), &[span(1, 1)]);
    store.seal(mark(1)).unwrap();
    settle(&store);
    let bytes = store.stats().durable.unwrap().disk_bytes;
    assert!(bytes > 2);
    drop(store);
    let config = Config {
        retention_bytes_max: bytes * 3 / 2,
        ..config()
    };
    let (store, _) = machine.open(&config, directory.path());
    settle(&store);
    assert_eq!(log_offsets(&store), [0]);
    machine.pass(DAY);
    store.apply_logs(at(1), &[log(5, 2)]);
    store.apply_spans(at(1), &[span(2, 2)]);
    store.seal(mark(2)).unwrap();
    settle(&store);
    let stats = store.stats();
    assert!(stats.durable.clone().unwrap().disk_bytes <= bytes * 3 / 2);
    let spans = rows_of(&store.spans);
    assert!(spans.keys().all(|key| key.offset == 1), "{spans:?}");
    let expired = stats.logs.expired_rows_by_bytes + stats.spans.expired_rows_by_bytes;
    assert!((1..=2).contains(&expired), "{stats:?}");
}

#[test]
fn a_full_disk_takes_the_oldest_and_shows() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    fill(&store, 0, machine.now());
    machine.free_bytes.store(5, Ordering::Relaxed);
    settle(&store);
    let durable = store.stats().durable.unwrap();
    assert_eq!(durable.disk_free_bytes, Some(5));
    assert!(durable.disk_reserve_bytes > 5);
    assert_eq!(
        log_offsets(&store),
        [0],
        "less than 256 MiB are never taken"
    );
}

#[test]
fn a_search_that_holds_blocks_goes_on_reading_them() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&small_blocks(week()), directory.path());
    for offset in 0..7 {
        fill(&store, offset, machine.now());
    }
    let held = store.logs.snapshot();
    fill(&store, 7, machine.now());
    assert_eq!(store.stats().logs.block_count, 1);
    machine.pass(8 * DAY);
    settle(&store);
    assert_eq!(block_files(directory.path()), [""; 0]);
    assert_eq!(held.rows(), 7);
    for block in &held.blocks {
        let read = block.read(0, &Columns::all()).unwrap();
        assert_eq!(crate::chunk::Chunk::rows(read.as_ref()), 1);
    }
}

#[test]
fn the_number_of_a_block_is_never_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&week(), directory.path());
    for offset in 0..3 {
        fill(&store, offset, machine.now());
    }
    let last = store.logs.block_infos().last().unwrap().id;
    machine.pass(9 * DAY);
    settle(&store);
    assert_eq!(block_files(directory.path()), [""; 0]);
    drop(store);
    let (store, _) = machine.open(&week(), directory.path());
    fill(&store, 3, machine.now());
    assert!(store.logs.block_infos()[0].id > last);
}
