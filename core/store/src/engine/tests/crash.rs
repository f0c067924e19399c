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

/// Eight flushes of two rows make a block that is full.
fn script_config() -> Config {
    Config {
        flush_rows_max: 4,
        block_rows_max: 16,
        ..Config::default()
    }
}

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
    let (store, _) = machine.open(&script_config(), Path::new(&variable(DIRECTORY)));
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
            let (store, restored) = machine.open(&script_config(), directory.path());
            let next = assert_is_whole(&store, &restored, &what);
            let stats = store.stats();
            let blocks = stats.logs.block_count + stats.spans.block_count;
            assert_eq!(block_owners(directory.path()), blocks, "{what}: strays");

            follow_script(&store, &machine, next);
            drop(store);
            let (store, restored) = machine.open(&script_config(), directory.path());
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

/// What kills the process in the middle of what its two threads do: at a turn of the first point, once the other thread
/// has come to the second one so many times.
const MEETINGS: [(Point, u32, Point, u32); 5] = [
    // A merge is written, and a flush is committed before it.
    (Point::CompactWritten, 1, Point::FlushDone, 9),
    // Retention takes the inputs of a merge.
    (Point::CompactWritten, 1, Point::RetainCommitted, 1),
    // A merge is committed, and a flush is under way.
    (Point::CompactCommitted, 1, Point::FlushHalf, 9),
    // A flush is written, and a merge is committed before it.
    (Point::FlushWritten, 9, Point::CompactCommitted, 1),
    // Inputs are deleted while a flush is under way.
    (Point::CompactDeleting, 3, Point::FlushHalf, 9),
];

const MEETING: &str = "STORE_CRASH_MEETING";

/// Dies where two points meet.
fn meet((at, turn, other, turns): (Point, u32, Point, u32)) -> Options {
    let (hits, others) = (AtomicU64::new(0), AtomicU64::new(0));
    let machine = Machine::new();
    let mut options = machine.options();
    options.hook = Arc::new(move |point| {
        if point == other {
            others.fetch_add(1, Ordering::SeqCst);
        }
        if point == at && hits.fetch_add(1, Ordering::SeqCst) + 1 == u64::from(turn) {
            let give_up = std::time::Instant::now() + std::time::Duration::from_secs(60);
            while others.load(Ordering::SeqCst) < u64::from(turns) {
                assert!(std::time::Instant::now() < give_up, "they never meet");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            std::process::abort();
        }
        Ok(())
    });
    // The clock of the machine is the one of the script.
    let offset = Arc::new(AtomicU64::new(0));
    options.now = Arc::new(move || {
        let ticks = offset.fetch_add(1, Ordering::Relaxed);
        let day = if ticks < TICKS_MAX { 1000 } else { 1008 };
        day * DAY + ticks
    });
    options
}

/// So often is the clock asked before it jumps.
const TICKS_MAX: u64 = 120;

#[test]
#[ignore = "is run by the other tests of this file, as a process that dies"]
fn child_of_two_threads() {
    let variable = |name| std::env::var(name).unwrap();
    let meeting = MEETINGS[variable(MEETING).parse::<usize>().unwrap()];
    let directory = variable(DIRECTORY);
    let opened = Store::open_with(script_config(), Path::new(&directory), meet(meeting));
    let (store, _) = opened.unwrap();
    let stop = Stop::never();
    std::thread::scope(|scope| {
        scope.spawn(|| store.maintain(&stop, &mut |_| {}));
        for offset in 0.. {
            store.apply_logs(at(offset), &[log(1000 * DAY + offset, offset)]);
            store.apply_spans(at(offset), &[span(1000 * DAY + offset, offset)]);
            if offset % 2 == 1 {
                store.seal(mark(offset + 1)).unwrap();
            }
        }
    });
}

#[test]
fn a_crash_of_both_threads_at_once_leaves_all_or_nothing_and_no_files() {
    for (number, meeting) in MEETINGS.iter().enumerate() {
        let what = format!("{meeting:?}");
        let directory = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "engine::tests::crash::child_of_two_threads",
                "--ignored",
            ])
            .env(MEETING, number.to_string())
            .env(DIRECTORY, directory.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), None, "{what}: {output:?}");
        let checked = crate::check(directory.path(), &mut |_, _| {}).unwrap();
        assert!(checked.problems.iter().all(|it| !it.is_loss), "{checked:?}");
        let (store, restored) = Machine::new().open(&script_config(), directory.path());
        let next = restored.cursors.get(&0).copied().unwrap_or(0);
        assert!(next >= 16, "{what}");
        let stats = store.stats();
        for (table, mut offsets) in [
            (&stats.logs, offsets_of(&store.logs)),
            (&stats.spans, offsets_of(&store.spans)),
        ] {
            let kept = next - table.expired_rows_by_age;
            offsets.sort_unstable();
            offsets.dedup();
            assert_eq!(offsets.len() as u64, kept, "{what}");
            assert!(offsets.iter().all(|offset| *offset < next), "{what}");
        }
        let blocks = stats.logs.block_count + stats.spans.block_count;
        assert_eq!(block_owners(directory.path()), blocks, "{what}: strays");
    }
}
