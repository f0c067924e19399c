//! What the process takes while rows become durable. Alone in its process, so that nothing else grows meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../benches/store/data.rs"]
mod data;

use std::{collections::BTreeMap, fs, thread};

use data::BATCH_ROWS;
use log_tracer_store::{Config, Mark, Origin, Stop, Store};

/// Several times what may be in memory.
const ROWS: u64 = 80_000;
const FLUSH_BYTES_MAX: u64 = 12 << 20;
/// Three generations, and what writing one, merging some and reading takes.
const ALLOWED_BYTES: u64 = 3 * FLUSH_BYTES_MAX + (48 << 20);

#[test]
fn the_process_stays_small_while_more_comes_in_than_it_may_hold() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        retention_age_max_ms: u64::MAX,
        flush_bytes_max: FLUSH_BYTES_MAX,
        ..Config::default()
    };
    let (store, _) = Store::open(config, directory.path()).unwrap();
    let stop = Stop::never();
    let before = resident_bytes();
    let mut most = 0;
    thread::scope(|scope| {
        scope.spawn(|| store.maintain(&stop, &mut |_| {}));
        for first in (0..ROWS).step_by(BATCH_ROWS as usize) {
            let origin = Origin {
                partition: 0,
                offset: first,
            };
            store.apply_spans(origin, &data::spans(first));
            store.apply_logs(origin, &data::logs(first));
            if store.wants_seal() {
                let mark = Mark {
                    cursors: BTreeMap::from([(0, first + 1)]),
                    ..Mark::default()
                };
                store.seal(mark).unwrap();
            }
            most = most.max(resident_bytes() - before);
        }
        stop.cancel();
    });
    let stats = store.stats();
    assert!(stats.durable.unwrap().flushes >= 3);
    assert_eq!(stats.spans.rows_kept(), stats.logs.rows_kept());
    assert_eq!(stats.spans.rows_kept(), ROWS.next_multiple_of(BATCH_ROWS));
    assert!(most < ALLOWED_BYTES, "the process grew by {most} bytes");
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}
