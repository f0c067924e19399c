//! From memory to disk and back.

use super::*;
use crate::{OpenError, SealError};

#[test]
fn what_was_sealed_is_there_after_a_restart_with_its_mark() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, restored) = machine.open(&config(), directory.path());
    assert_eq!(restored, Restored::default());
    store.apply_spans(at(0), &[span(5, 1), span(4, 2)]);
    store.apply_logs(at(1), &[log(7, 1)]);
    let mut first = mark(2);
    first.set_aside = vec![b"odd".to_vec()];
    store.seal(first).unwrap();
    assert_eq!(store.durable_cursors(), BTreeMap::new());
    store.apply_logs(at(2), &[log(8, 2)]);
    let mut second = mark(3);
    second.cursors.insert(4, 9);
    store.seal(second).unwrap();
    // Not sealed: gone after the restart.
    store.apply_logs(at(3), &[log(9, 3)]);
    let durable = settle(&store);
    assert_eq!(durable.len(), 2);
    assert_eq!(durable[1], BTreeMap::from([(0, 3), (4, 9)]));
    assert_eq!(store.durable_cursors(), durable[1]);
    assert_eq!(log_offsets(&store), [1, 2, 3]);
    let spans = rows_of(&store.spans);
    drop(store);

    let (store, restored) = machine.open(&config(), directory.path());
    assert_eq!(restored.log_id, Some(77));
    assert_eq!(restored.cursors, durable[1]);
    assert_eq!(restored.seen, [seen(2), seen(3)]);
    assert_eq!(restored.set_aside, [b"odd"]);
    assert_eq!(log_offsets(&store), [1, 2]);
    assert_eq!(rows_of(&store.spans), spans);
    assert_eq!(store.durable_cursors(), durable[1]);
    let stats = store.stats();
    assert_eq!((stats.logs.rows, stats.logs.block_rows), (0, 2));
    assert_eq!((stats.spans.block_count, stats.spans.block_rows), (1, 2));
    assert_eq!(stats.spans.oldest_unix_nano, Some(4));
    let durable = stats.durable.unwrap();
    assert_eq!((durable.seen_batches, durable.set_aside_bytes), (2, 3));
}

#[test]
fn a_mark_without_rows_goes_with_the_next_rows() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    store.seal(mark(1)).unwrap();
    store.seal(mark(2)).unwrap();
    assert_eq!(store.stats().durable.unwrap().generations_waiting, 0);
    store.apply_logs(at(3), &[log(1, 1)]);
    store.seal(mark(4)).unwrap();
    assert_eq!(store.stats().durable.unwrap().generations_waiting, 1);
    assert_eq!(settle(&store).len(), 1);
    drop(store);
    let (_, restored) = machine.open(&config(), directory.path());
    assert_eq!(restored.seen, [seen(1), seen(2), seen(4)]);
    assert_eq!(restored.cursors, BTreeMap::from([(0, 4)]));
}

#[test]
fn a_mark_without_rows_becomes_durable_by_age_and_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let config = Config {
        flush_age_max_ms: 30,
        ..config()
    };
    let (store, _) = machine.open(&config, directory.path());
    let stop = Stop::never();
    store.seal(mark(1)).unwrap();
    store.maintain(&stop, &mut |cursors| {
        assert_eq!(cursors[&0], 1);
        stop.cancel();
    });
    store.seal(mark(2)).unwrap();
    assert_eq!(settle(&store), [BTreeMap::from([(0, 2)])]);
    assert_eq!(block_files(directory.path()), [""; 0]);
}

#[test]
fn many_marks_without_rows_do_not_wait_for_their_age() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Machine::new().open(&config(), directory.path());
    let heavy = Mark {
        set_aside: vec![vec![0; 2 << 20]],
        ..mark(1)
    };
    store.seal(heavy.clone()).unwrap();
    store.seal(heavy).unwrap();
    assert_eq!(store.stats().durable.unwrap().generations_waiting, 2);
}

#[test]
fn where_a_partition_began_is_remembered_as_it_was_first_said() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    let of = |begin, next| Mark {
        begins: BTreeMap::from([(0, begin)]),
        ..mark(next)
    };
    store.seal(of(40, 50)).unwrap();
    settle(&store);
    store.seal(of(50, 60)).unwrap();
    settle(&store);
    drop(store);
    let (store, restored) = machine.open(&config(), directory.path());
    assert_eq!(restored.begins, BTreeMap::from([(0, 40)]));
    store
        .seal(Mark {
            log_id: 78,
            ..of(7, 8)
        })
        .unwrap();
    settle(&store);
    drop(store);
    let (_, restored) = machine.open(&config(), directory.path());
    assert_eq!(restored.begins, BTreeMap::from([(0, 7)]));
}

#[test]
fn a_mark_of_another_log_forgets_the_cursors_and_keeps_the_batches() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    let mut first = mark(100);
    first.cursors.insert(1, 50);
    store.seal(first).unwrap();
    settle(&store);
    let mut second = mark(3);
    second.log_id = 78;
    store.seal(second).unwrap();
    settle(&store);
    assert_eq!(store.durable_cursors(), BTreeMap::from([(0, 3)]));
    drop(store);
    let (_, restored) = machine.open(&config(), directory.path());
    assert_eq!(restored.log_id, Some(78));
    assert_eq!(restored.cursors, BTreeMap::from([(0, 3)]));
    assert_eq!(restored.seen, [seen(100), seen(3)]);
}

#[test]
fn batches_and_what_was_set_aside_are_kept_within_bounds_the_newest() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let config = Config {
        seen_batches_max: 5,
        set_aside_bytes_max: 10,
        ..config()
    };
    let (store, _) = machine.open(&config, directory.path());
    for number in 0..20 {
        let mut mark = mark(number);
        let other = SeenBatch {
            partition: 1,
            ..seen(number)
        };
        mark.seen = vec![seen(2 * number), other, seen(2 * number + 1)];
        mark.set_aside = vec![vec![number as u8; 4]];
        store.seal(mark).unwrap();
        settle(&store);
    }
    drop(store);
    let (store, restored) = machine.open(&config, directory.path());
    let of = |partition| {
        let seen = restored
            .seen
            .iter()
            .filter(move |it| it.partition == partition);
        seen.map(|it| (it.batch >> 70) as u64).collect::<Vec<_>>()
    };
    assert_eq!(of(0), [35, 36, 37, 38, 39]);
    assert_eq!(of(1), [15, 16, 17, 18, 19]);
    assert_eq!(restored.set_aside, [vec![18; 4], vec![19; 4]]);
    let durable = store.stats().durable.unwrap();
    assert!(durable.seen_batches <= 12, "{durable:?}");
    assert_eq!(durable.set_aside, 2);
}

#[test]
fn many_batches_of_one_mark_are_trimmed_row_by_row() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let config = Config {
        seen_batches_max: 2000,
        ..config()
    };
    let (store, _) = machine.open(&config, directory.path());
    let many = Mark {
        seen: (0..5000).map(seen).collect(),
        ..mark(1)
    };
    store.seal(many).unwrap();
    settle(&store);
    drop(store);
    let (_, restored) = machine.open(&config, directory.path());
    assert_eq!(restored.seen, (3000..5000).map(seen).collect::<Vec<_>>());
}

#[test]
fn a_store_wants_to_be_sealed_by_rows_by_bytes_and_by_age() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        flush_rows_max: 3,
        flush_bytes_max: 1 << 20,
        flush_age_max_ms: 1_000,
        ..config()
    };
    let (store, _) = Machine::new().open(&config, directory.path());
    assert!(!store.wants_seal());
    store.apply_logs(at(0), &[log(1, 1)]);
    store.apply_spans(at(1), &[span(1, 1), span(1, 2)]);
    assert!(!store.wants_seal(), "it is about the rows of one table");
    store.apply_logs(at(2), &[log(1, 2), log(1, 3)]);
    assert!(store.wants_seal());
    store.seal(mark(3)).unwrap();
    assert!(!store.wants_seal());
    let mut large = log(1, 4);
    large.record.severity_text = "x".repeat(1 << 20);
    store.apply_logs(at(3), &[large]);
    assert!(store.wants_seal());
    settle(&store);
    store.seal(mark(4)).unwrap();
    store.apply_spans(at(4), &[span(1, 3)]);
    assert!(!store.wants_seal());
    std::thread::sleep(std::time::Duration::from_millis(1_010));
    assert!(store.wants_seal());
}

#[test]
fn a_store_in_memory_only_takes_part_in_nothing() {
    let config = Config {
        flush_rows_max: 1,
        ..config()
    };
    let store = Store::new(config).unwrap();
    store.apply_logs(at(0), &[log(1, 1), log(1, 2)]);
    assert!(!store.wants_seal());
    store.seal(mark(1)).unwrap();
    store.maintain(&Stop::never(), &mut |_| panic!("nothing is durable"));
    assert_eq!(store.durable_cursors(), BTreeMap::new());
    assert_eq!(store.stats().logs.rows, 2);
    assert_eq!(store.stats().durable, None);
    store.close();
}

#[test]
fn a_second_opener_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    let again = Store::open(config(), directory.path());
    let Err(error @ OpenError::Locked { .. }) = again else {
        panic!("{again:?}");
    };
    assert!(error.to_string().contains("is open already"), "{error}");
    let checked = crate::check(directory.path(), &mut |_, _| {});
    assert!(
        matches!(checked, Err(OpenError::Locked { .. })),
        "{checked:?}"
    );
    store.close();
    assert_eq!(store.seal(mark(1)), Err(SealError::Closed));
    let (_store, _) = machine.open(&config(), directory.path());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("store"), Path::new("/proc/store").to_owned()] {
        let error = Store::open(config(), &path).unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("store"), "{error}");
    }
}

#[test]
fn a_row_of_any_size_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let config = Config {
        logs_bytes_max: 1 << 20,
        spans_bytes_max: 1 << 20,
        chunk_bytes_max: 64 << 10,
        ..config()
    };
    let (store, _) = machine.open(&config, directory.path());
    let mut large = log(1, 4);
    large.record.severity_text = "x".repeat(64 << 20);
    for offset in 0..3 {
        store.apply_logs(at(offset), &[log(1, 1), large.clone(), log(1, 2)]);
    }
    assert_eq!(store.stats().logs.evicted_rows, 0);
    store.seal(mark(1)).unwrap();
    settle(&store);
    drop(store);
    let (store, _) = machine.open(&config, directory.path());
    assert_eq!(rows_of(&store.logs).len(), 9);
}
