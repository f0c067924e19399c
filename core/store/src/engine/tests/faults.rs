//! Disks that fail, and directories that somebody else changed.

use proptest::prelude::*;

use super::*;
use crate::{CatalogError, OpenError, SealError};

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on device")
}

#[test]
fn a_flush_that_fails_keeps_its_rows_shows_why_and_is_tried_again() {
    for point in [Point::FlushHalf, Point::FlushWritten, Point::Commit] {
        let directory = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let (store, _) = machine.open(&config(), directory.path());
        store.apply_logs(at(0), &[log(1, 1)]);
        store.apply_spans(at(0), &[span(1, 1)]);
        store.seal(mark(1)).unwrap();
        machine.on(move |at| if at == point { Err(full()) } else { Ok(()) });
        assert_eq!(settle(&store).len(), 0);
        let durable = store.stats().durable.unwrap();
        let failing = durable.failing.unwrap();
        assert!(failing.contains("no space left"), "{failing}");
        let path = directory.path().display().to_string();
        assert!(failing.contains(&path), "{failing}");
        assert_eq!(durable.generations_waiting, 1);
        assert!(durable.failed_flushes >= 3, "{}", durable.failed_flushes);
        assert_eq!(block_files(directory.path()), [""; 0], "{point:?}");
        assert_eq!(log_offsets(&store), [0]);
        assert_eq!(store.durable_cursors(), BTreeMap::new());

        machine.on(|_| Ok(()));
        assert_eq!(settle(&store), [BTreeMap::from([(0, 1)])]);
        assert_eq!(store.stats().durable.unwrap().failing, None);
        assert_eq!(log_offsets(&store), [0]);
        drop(store);
        let (store, _) = machine.open(&config(), directory.path());
        assert_eq!(log_offsets(&store), [0]);
        assert_eq!(rows_of(&store.spans).len(), 1);
    }
}

#[test]
fn a_commit_that_took_place_although_it_failed_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&small_blocks(config()), directory.path());
    for offset in 0..8 {
        store.apply_logs(at(offset), &[log(1, offset)]);
        store.seal(mark(offset + 1)).unwrap();
        machine.on(|at| match at {
            Point::Committed => Err(io::Error::other("lost the disk")),
            _ => Ok(()),
        });
        assert_eq!(settle(&store), [BTreeMap::from([(0, offset + 1)])]);
    }
    assert_eq!(
        store.stats().logs.block_count,
        1,
        "the merge took place, too"
    );
    assert_eq!(block_owners(directory.path()), 1);
    drop(store);
    let (store, restored) = machine.open(&small_blocks(config()), directory.path());
    assert_eq!(restored.seen.len(), 8);
    assert_eq!(log_offsets(&store).len(), 8);
}

#[test]
fn a_merge_or_a_retention_that_fails_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&small_blocks(Config::default()), directory.path());
    let engine = store.engine.as_ref().unwrap();
    let (stop, go_on) = (Stop::never(), Stop::never());
    stop.cancel();
    for offset in 0..8 {
        store.apply_logs(at(offset), &[log(machine.now(), offset)]);
        store.seal(mark(offset + 1)).unwrap();
        store.maintain(&stop, &mut |_| {});
    }
    for point in [Point::CompactWritten, Point::Commit] {
        machine.on(move |at| if at == point { Err(full()) } else { Ok(()) });
        engine.compact(store.tables(), &go_on).unwrap_err();
        assert_eq!(block_owners(directory.path()), 8);
        assert_eq!(store.stats().logs.block_count, 8);
    }
    machine.pass(8 * DAY);
    for point in [Point::RetainBegun, Point::Commit] {
        machine.on(move |at| if at == point { Err(full()) } else { Ok(()) });
        engine.retain(store.tables(), &stop).unwrap_err();
        assert_eq!(log_offsets(&store).len(), 8);
        assert_eq!(store.stats().logs.expired_rows_by_age, 0);
    }
    machine.on(|_| Ok(()));
    settle(&store);
    assert_eq!(store.stats().logs.expired_rows_by_age, 8);
}

#[test]
fn a_seal_that_waits_is_told_when_flushing_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    machine.on(|_| Err(full()));
    std::thread::scope(|scope| {
        let sealing = scope.spawn(|| {
            for offset in 0..3 {
                store.apply_logs(at(offset), &[log(1, offset)]);
                store.seal(mark(offset + 1))?;
            }
            Ok(())
        });
        while store.stats().durable.unwrap().generations_waiting < 2 {
            std::thread::yield_now();
        }
        let stop = Stop::never();
        stop.cancel();
        store.maintain(&stop, &mut |_| {});
        let Err(SealError::Ended { reason }) = sealing.join().unwrap() else {
            panic!("it was sealed");
        };
        assert!(reason.unwrap().contains("no space left"));
    });
    assert_eq!(log_offsets(&store), [0, 1, 2]);
}

#[test]
fn a_block_that_is_missing_or_changed_is_reported_and_answers_are_partial() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (store, _) = machine.open(&config(), directory.path());
    for offset in 0..3 {
        store.apply_logs(at(offset), &[log(100 * offset, offset)]);
        store.seal(mark(offset + 1)).unwrap();
        settle(&store);
    }
    drop(store);
    let path = |name: &String| directory.path().join("blocks").join(name);
    let id = |name: &String| crate::block::owner_of(name).unwrap().1;
    let mut files = block_files(directory.path());
    let first = id(&files[0]);
    files.retain(|name| {
        if id(name) == first {
            fs::remove_file(path(name)).unwrap();
        }
        id(name) != first
    });
    let second = id(&files[0]);
    for name in files.iter().filter(|name| id(name) == second) {
        fs::write(path(name), b"PAR1 something else PAR1").unwrap();
    }
    let checked = crate::check(directory.path(), &mut |_, _| {}).unwrap();
    assert_eq!(checked.problems.len(), 2, "{checked:?}");
    assert!(checked.problems.iter().all(|it| it.is_loss), "{checked:?}");

    let (store, restored) = machine.open(&config(), directory.path());
    assert_eq!(restored.cursors, BTreeMap::from([(0, 3)]));
    assert_eq!(log_offsets(&store), [2]);
    let unreadable = store.stats().durable.unwrap().unreadable;
    assert_eq!(unreadable.len(), 2, "{unreadable:?}");
    assert!(is_partial(&store, 0, 1) && is_partial(&store, 100, 101));
    assert!(!is_partial(&store, 200, 300));
    assert_eq!(store.stats().logs.block_rows, 3);
}

fn stored(directory: &Path) {
    let (store, _) = Machine::new().open(&config(), directory);
    store.apply_logs(at(0), &[log(1, 1)]);
    store.seal(mark(1)).unwrap();
    settle(&store);
}

#[test]
fn a_catalog_of_another_version_is_refused_with_a_way_out() {
    let directory = tempfile::tempdir().unwrap();
    stored(directory.path());
    let path = directory.path().join("catalog.redb");
    let database = redb::Database::open(&path).unwrap();
    let write = database.begin_write().unwrap();
    super::super::schema::set_meta(&write, "format", 9).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = Store::open(config(), directory.path()).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, OpenError::Catalog(CatalogError::Version { .. })),
        "{error:?}"
    );
    assert!(
        text.contains("format 9") && text.contains("another directory"),
        "{text}"
    );
    assert_eq!(block_owners(directory.path()), 1, "nothing was deleted");
}

#[test]
fn blocks_without_a_catalog_are_refused_and_not_deleted() {
    let directory = tempfile::tempdir().unwrap();
    stored(directory.path());
    fs::remove_file(directory.path().join("catalog.redb")).unwrap();
    let error = Store::open(config(), directory.path()).unwrap_err();
    assert!(
        matches!(error, OpenError::CatalogMissing { .. }),
        "{error:?}"
    );
    assert_eq!(block_owners(directory.path()), 1);
}

#[test]
fn a_check_changes_nothing_and_names_what_a_crash_left() {
    let directory = tempfile::tempdir().unwrap();
    stored(directory.path());
    let files = block_files(directory.path());
    let blocks = directory.path().join("blocks");
    for name in &files {
        let stray = name.replace(&format!("{:016x}", 0), &format!("{:016x}", 99));
        assert_ne!(&stray, name);
        fs::copy(blocks.join(name), blocks.join(stray)).unwrap();
    }
    fs::write(blocks.join("notes.txt"), "mine").unwrap();
    let before = fs::read(directory.path().join("catalog.redb")).unwrap();
    let mut steps = Vec::new();
    let checked = crate::check(directory.path(), &mut |n, of| steps.push((n, of))).unwrap();
    assert_eq!((checked.blocks, checked.rows), (1, 1));
    assert_eq!(steps, [(1, 1)]);
    assert_eq!(checked.problems.len(), files.len(), "{checked:?}");
    assert!(checked.problems.iter().all(|it| !it.is_loss), "{checked:?}");
    assert_eq!(
        before,
        fs::read(directory.path().join("catalog.redb")).unwrap()
    );
    let (store, _) = Machine::new().open(&config(), directory.path());
    assert_eq!(log_offsets(&store), [0]);
    drop(store);
    assert!(
        blocks.join("notes.txt").exists(),
        "it is no file of a block"
    );
    fs::remove_file(blocks.join("notes.txt")).unwrap();
    assert_eq!(block_files(directory.path()), files);
    let nothing = tempfile::tempdir().unwrap();
    crate::check(nothing.path(), &mut |_, _| {}).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn fuzz_a_catalog_that_was_changed_is_refused_or_says_the_same(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let directory = tempfile::tempdir().unwrap();
        stored(directory.path());
        let path = directory.path().join("catalog.redb");
        let mut bytes = fs::read(&path).unwrap();
        // Most of the file was never written.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for (place, byte) in changes {
            bytes[*place.get(&used)] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&path, bytes).unwrap();
        let _ = crate::check(directory.path(), &mut |_, _| {});
        match Store::open(config(), directory.path()) {
            Err(error) => prop_assert!(error.to_string().contains("catalog.redb"), "{}", error),
            Ok((store, restored)) => {
                prop_assert_eq!(restored.seen.len(), 1);
                prop_assert_eq!(restored.cursors, BTreeMap::from([(0, 1)]));
                prop_assert_eq!(log_offsets(&store), [0]);
            }
        }
    }
}
