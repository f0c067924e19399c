//! A process that dies at each point of a flush, a merge and a retention, and the store that it leaves.
//!
//! The test runs itself as a child, which follows a script and aborts where it is told to. Each envelope of the script
//! has one log record and one span, and each seal covers two envelopes.

use std::process::Command;

use super::*;

const ENVELOPES: u64 = 44;
/// From here on, what came first is old.
const JUMP: u64 = 32;

const POINT: &str = "STORE_CRASH_POINT";
const HITS: &str = "STORE_CRASH_HITS";
const DIRECTORY: &str = "STORE_CRASH_DIRECTORY";

const POINTS: [Point; 12] = [
    Point::FlushHalf,
    Point::FlushWritten,
    Point::FlushCommitted,
    Point::FlushDone,
    Point::CompactWritten,
    Point::CompactCommitted,
    Point::CompactDeleting,
    Point::RetainBegun,
    Point::RetainCommitted,
    Point::RetainDeleting,
    Point::Commit,
    Point::Committed,
];

/// Goes on with the script from an offset.
fn follow_script(store: &Store, machine: &Machine, from: u64) {
    for offset in from..ENVELOPES {
        let day = if offset < JUMP { 1000 } else { 1008 };
        machine.now.store(day * DAY + offset, Ordering::Relaxed);
        store.apply_logs(at(offset), &[log(machine.now(), offset)]);
        store.apply_spans(at(offset), &[span(machine.now(), offset)]);
        if offset % 2 == 1 {
            store.seal(mark(offset + 1)).unwrap();
            settle(store);
        }
    }
}

#[test]
#[ignore = "is run by the other tests of this file, as a process that dies"]
fn child() {
    let variable = |name| std::env::var(name).unwrap();
    let mut hits: u32 = variable(HITS).parse().unwrap();
    let point = variable(POINT);
    let machine = Machine::new();
    machine.on(move |at| {
        if format!("{at:?}") == point {
            hits -= 1;
            if hits == 0 {
                std::process::abort();
            }
        }
        Ok(())
    });
    let (store, _) = machine.open(&Config::default(), Path::new(&variable(DIRECTORY)));
    follow_script(&store, &machine, 0);
}

fn die_at(point: Point, hits: u32, directory: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engine::tests::crash::child", "--ignored"])
        .env(POINT, format!("{point:?}"))
        .env(HITS, hits.to_string())
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), None, "{point:?} {hits}: {output:?}");
}

/// The store holds exactly what its cursor says, but for what retention took from its beginning.
fn assert_is_whole(store: &Store, restored: &Restored, what: &str) -> u64 {
    let next = restored.cursors.get(&0).copied().unwrap_or(0);
    let batches: Vec<SeenBatch> = (1..=next / 2).map(|n| seen(2 * n)).collect();
    assert_eq!(restored.seen, batches, "{what}");
    let stats = store.stats();
    for (table, offsets) in [
        (&stats.logs, offsets_of(&store.logs)),
        (&stats.spans, offsets_of(&store.spans)),
    ] {
        let expired = table.expired_rows_by_age;
        assert!(expired <= JUMP, "{what}");
        assert_eq!(offsets, (expired..next).collect::<Vec<_>>(), "{what}");
    }
    next
}

fn offsets_of<C: Storable>(table: &Table<C>) -> Vec<u64> {
    let mut offsets: Vec<u64> = rows_of(table).keys().map(|key| key.offset).collect();
    offsets.sort_unstable();
    offsets
}

/// At which of its turns a point is tried.
fn hits_of(point: Point) -> &'static [u32] {
    match point {
        // Retention finds something to do once.
        Point::RetainBegun | Point::RetainCommitted => &[1],
        // The first merges of both tables come after eight flushes.
        Point::Commit | Point::Committed => &[1, 9, 10],
        _ => &[1, 3],
    }
}

#[test]
fn a_crash_at_any_point_leaves_all_or_nothing_and_no_files() {
    for point in POINTS {
        for hits in hits_of(point) {
            let what = format!("{point:?}, time {hits}");
            let directory = tempfile::tempdir().unwrap();
            die_at(point, *hits, directory.path());
            let checked = crate::check(directory.path(), &mut |_, _| {}).unwrap();
            assert!(checked.problems.iter().all(|it| !it.is_loss), "{checked:?}");
            let machine = Machine::new();
            let (store, restored) = machine.open(&Config::default(), directory.path());
            let next = assert_is_whole(&store, &restored, &what);
            let stats = store.stats();
            let blocks = stats.logs.block_count + stats.spans.block_count;
            assert_eq!(block_owners(directory.path()), blocks, "{what}: strays");

            follow_script(&store, &machine, next);
            drop(store);
            let (store, restored) = machine.open(&Config::default(), directory.path());
            let next = assert_is_whole(&store, &restored, &what);
            assert_eq!(next, ENVELOPES, "{what}");
            assert_eq!(store.stats().logs.expired_rows_by_age, JUMP, "{what}");
        }
    }
}

#[test]
fn a_crash_while_a_store_is_made_leaves_one_that_can_be_opened() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("blocks")).unwrap();
    fs::write(directory.path().join("catalog.new"), b"half").unwrap();
    let (store, restored) = Machine::new().open(&config(), directory.path());
    assert_eq!(restored, Restored::default());
    drop(store);
    assert!(!directory.path().join("catalog.new").exists());
}
