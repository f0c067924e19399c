//! What it costs to make rows durable: a seal, a flush, a merge, and opening a directory of a thousand blocks.
//!
//! Prints one line for each. CPU time is that of the process, all threads.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "../store/data.rs"]
mod data;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use data::BATCH_ROWS;
use log_tracer_store::{Config, Mark, Origin, SeenBatch, Stop, Store};
use rustix::time::{ClockId, clock_gettime};

/// Rows of each table.
const ROWS: u64 = 1 << 20;
/// Rows of a flush: what the default of `flush_rows_max` says, and of one that age ends.
const FLUSH_ROWS: u64 = 131_072;
const SMALL_ROWS: u64 = 32_768;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    ingest(directory.path(), "spans", |store, first| {
        store.apply_spans(at(first), &data::spans(first));
    });
    let directory = tempfile::tempdir().unwrap();
    ingest(directory.path(), "logs", |store, first| {
        store.apply_logs(at(first), &data::logs(first));
    });
    let directory = tempfile::tempdir().unwrap();
    open(directory.path());
}

fn ingest(directory: &Path, name: &str, apply: impl Fn(&Store, u64)) {
    let (store, _) = Store::open(config(), directory).unwrap();
    let (mut flush_cpu, mut flush_time) = (Duration::ZERO, Duration::ZERO);
    let mut pauses = Vec::new();
    for flush in (0..ROWS).step_by(FLUSH_ROWS as usize) {
        for first in (flush..flush + FLUSH_ROWS).step_by(BATCH_ROWS as usize) {
            apply(&store, first);
        }
        let begin = Instant::now();
        store.seal(mark(flush, flush + FLUSH_ROWS)).unwrap();
        pauses.push(begin.elapsed());
        let (begin, cpu) = (Instant::now(), cpu());
        write_all(&store);
        flush_cpu += self::cpu() - cpu;
        flush_time += begin.elapsed();
    }
    pauses.sort_unstable();
    let rate = |cpu: Duration| ROWS as f64 / cpu.as_secs_f64() / 1000.0;
    println!(
        "{name}: flush {:.0}k rows a CPU second, {:.0}k rows a second; seal {:?} at most, {:?} in the middle",
        rate(flush_cpu),
        rate(flush_time),
        pauses[pauses.len() - 1],
        pauses[pauses.len() / 2],
    );
    assert_eq!(merge_all(&store, 0), 0, "what is full is not rewritten");
    for flush in (ROWS..2 * ROWS).step_by(SMALL_ROWS as usize) {
        for first in (flush..flush + SMALL_ROWS).step_by(BATCH_ROWS as usize) {
            apply(&store, first);
        }
        store.seal(mark(flush, flush + SMALL_ROWS)).unwrap();
        write_all(&store);
    }
    let (begin, cpu) = (Instant::now(), cpu());
    let compactions = merge_all(&store, ROWS / config().block_rows_max);
    let merge_cpu = self::cpu() - cpu;
    println!(
        "{name}: {compactions} merges, {:.0}k rows a CPU second, {:?}",
        rate(merge_cpu),
        begin.elapsed()
    );
    let stats = store.stats();
    let table = if name == "spans" {
        stats.spans
    } else {
        stats.logs
    };
    println!(
        "{name}: {} blocks, {:.1} bytes on disk a row, {:.0} bytes of memory a row",
        table.block_count,
        table.block_bytes as f64 / table.block_rows as f64,
        memory_of_rows(&apply, name)
    );
}

fn memory_of_rows(apply: &impl Fn(&Store, u64), name: &str) -> f64 {
    let store = Store::new(Config::default()).unwrap();
    for first in (0..50 * BATCH_ROWS).step_by(BATCH_ROWS as usize) {
        apply(&store, first);
    }
    let stats = store.stats();
    let table = if name == "spans" {
        stats.spans
    } else {
        stats.logs
    };
    table.bytes as f64 / table.rows as f64
}

/// A thousand blocks with 2,048 rows each.
fn open(directory: &Path) {
    const FLUSHES: u64 = 500;
    let (store, _) = Store::open(config(), directory).unwrap();
    for flush in 0..FLUSHES {
        for batch in 0..4 {
            let first = (4 * flush + batch) * BATCH_ROWS;
            store.apply_spans(at(first), &data::spans(first));
            store.apply_logs(at(first), &data::logs(first));
        }
        store.seal(mark(flush, flush + 1)).unwrap();
        write_all(&store);
    }
    let stats = store.stats();
    store.close();
    drop(store);
    let (begin, cpu) = (Instant::now(), cpu());
    let (store, restored) = Store::open(config(), directory).unwrap();
    let took = begin.elapsed();
    println!(
        "open: {} blocks, {} seen batches, catalog {} KiB: {took:?}, {:?} CPU",
        stats.spans.block_count + stats.logs.block_count,
        restored.seen.len(),
        fs::metadata(directory.join("catalog.redb")).unwrap().len() >> 10,
        self::cpu() - cpu,
    );
    assert!(store.stats().durable.unwrap().unreadable.is_empty());
}

fn config() -> Config {
    Config {
        // The records are of 2023.
        retention_age_max_ms: u64::MAX,
        disk_reserve_bytes: 0,
        ..Config::default()
    }
}

fn at(offset: u64) -> Origin {
    Origin {
        partition: 0,
        offset,
    }
}

/// The mark of envelopes with 512 records each.
fn mark(first: u64, next: u64) -> Mark {
    let seen = |number| SeenBatch {
        partition: 0,
        batch: u128::from(number),
        part_index: 0,
        part_count: 1,
    };
    Mark {
        log_id: 1,
        cursors: BTreeMap::from([(0, next)]),
        begins: BTreeMap::new(),
        seen: (first..next)
            .step_by(BATCH_ROWS as usize)
            .map(seen)
            .collect(),
        set_aside: Vec::new(),
    }
}

/// Writes what was sealed and does nothing else.
fn write_all(store: &Store) {
    let stop = Stop::never();
    stop.cancel();
    store.maintain(&stop, &mut |_| {});
    let durable = store.stats().durable.unwrap();
    assert_eq!(durable.failing, None);
}

/// Every row of a small block is merged once: into blocks of 262,144 rows.
fn merge_all(store: &Store, expected: u64) -> u64 {
    let stop = Stop::never();
    let merges = || store.stats().durable.unwrap().compactions;
    let give_up = Instant::now() + Duration::from_secs(300);
    thread::scope(|scope| {
        scope.spawn(|| store.maintain(&stop, &mut |_| {}));
        thread::sleep(Duration::from_millis(50));
        while merges() < expected && Instant::now() < give_up {
            thread::sleep(Duration::from_millis(20));
        }
        stop.cancel();
    });
    merges()
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
