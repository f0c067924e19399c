//! What an apply and each kind of question cost, with a million records of each kind in the store; with
//! `STORE_BENCH_ROWS=4000000` there are more.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

mod data;
mod questions;

use std::{hint::black_box, sync::LazyLock, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use data::BATCH_ROWS;
use log_tracer_store::{Config, Coverage, Mark, Origin, Stats, Stop, Store, TableStats};
use questions::{Question, logs_of, questions};

/// Rows of each kind, unless the environment names another number under `STORE_BENCH_ROWS`.
static ROWS: LazyLock<u64> = LazyLock::new(|| {
    let asked = std::env::var("STORE_BENCH_ROWS").ok();
    asked.map_or(1_000_000, |rows| rows.parse().expect("a number of rows"))
});

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = apply, in_memory, on_disk
}
criterion_main!(benches);

fn at(number: u64) -> Origin {
    Origin {
        partition: 0,
        offset: number,
    }
}

/// In the steady state, in which each new chunk drives out an old one.
fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(BATCH_ROWS));
    let store = Store::new(Config::default()).unwrap();
    let span_batches: Vec<_> = (0..200)
        .map(|batch| data::spans(batch * BATCH_ROWS))
        .collect();
    let log_batches: Vec<_> = (0..200)
        .map(|batch| data::logs(batch * BATCH_ROWS))
        .collect();
    let mut next = 0;
    group.bench_function("512 spans", |b| {
        b.iter(|| {
            next += 1;
            store.apply_spans(at(next as u64), &span_batches[next % span_batches.len()]);
        });
    });
    group.bench_function("512 log records", |b| {
        b.iter(|| {
            next += 1;
            store.apply_logs(at(next as u64), &log_batches[next % log_batches.len()]);
        });
    });
    group.finish();
}

/// Made when the first question is asked, so that a run of the others does not wait for it.
static STORE: LazyLock<Store> = LazyLock::new(|| {
    let config = Config {
        spans_bytes_max: 8 << 30,
        logs_bytes_max: 8 << 30,
        ..Config::default()
    };
    let store = Store::new(config).unwrap();
    for first in (0..*ROWS).step_by(BATCH_ROWS as usize) {
        store.apply_spans(at(first), &data::spans(first));
        store.apply_logs(at(first), &data::logs(first));
    }
    print_row_bytes(&store.stats());
    store
});

#[allow(clippy::print_stderr)]
fn print_row_bytes(stats: &Stats) {
    let per_row = |table: &TableStats| table.bytes / table.rows.max(1);
    eprintln!(
        "bytes of memory: {} a span, {} a log record",
        per_row(&stats.spans),
        per_row(&stats.logs)
    );
}

/// The same rows on disk, in blocks of about 131,000 rows.
static ON_DISK: LazyLock<(Store, tempfile::TempDir)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        spans_bytes_max: 8 << 30,
        logs_bytes_max: 8 << 30,
        ..Config::default()
    };
    let (store, _) = Store::open(config, directory.path()).unwrap();
    for first in (0..*ROWS).step_by(BATCH_ROWS as usize) {
        store.apply_spans(at(first), &data::spans(first));
        store.apply_logs(at(first), &data::logs(first));
        if (first / BATCH_ROWS).is_multiple_of(BLOCK_ROWS / BATCH_ROWS) {
            write_out(&store);
        }
    }
    write_out(&store);
    (store, directory)
});

const BLOCK_ROWS: u64 = 1 << 17;

fn write_out(store: &Store) {
    store.seal(Mark::default()).unwrap();
    let stop = Stop::never();
    stop.cancel();
    store.maintain(&stop, &mut |_| {});
}

fn in_memory(c: &mut Criterion) {
    for Question { group, name, ask } in questions(*ROWS) {
        c.bench_function(&format!("{group} in memory: {name}"), |b| {
            let store = &*STORE;
            b.iter(|| black_box(ask(store)));
        });
    }
    // The last: it adds rows.
    after_an_apply(c);
}

fn on_disk(c: &mut Criterion) {
    for Question { group, name, ask } in questions(*ROWS) {
        let name = format!("{group} on disk: {name}");
        let mut was_asked = false;
        c.bench_function(&name, |b| {
            was_asked = true;
            let store = &ON_DISK.0;
            b.iter(|| black_box(ask(store)));
        });
        if was_asked {
            print_cpu(&name, || ask(&ON_DISK.0));
        }
    }
}

/// The time that a question takes of a core: on a busy machine it says more than the time that passes.
#[allow(clippy::print_stderr)]
fn print_cpu(name: &str, ask: impl Fn() -> Coverage) {
    let (before, mut runs, mut coverage) = (cpu_nano(), 0, Coverage::default());
    while cpu_nano() - before < 200_000_000 && runs < 10_000 {
        coverage = ask();
        runs += 1;
    }
    let nano = (cpu_nano() - before) / runs;
    eprintln!(
        "{name}: {:.3} ms of CPU, {} rows and {} pieces looked at, {} pieces skipped",
        nano as f64 / 1e6,
        coverage.scanned,
        coverage.pieces_read,
        coverage.pieces_skipped
    );
}

/// What this process, all its threads together, took of the cores so far.
fn cpu_nano() -> u64 {
    let taken = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    (taken.tv_sec * 1_000_000_000 + taken.tv_nsec) as u64
}

/// The first search after new rows copies the open chunk.
fn after_an_apply(c: &mut Criterion) {
    let batch = data::logs(0);
    let search = logs_of("");
    c.bench_function("newest 100 right after an apply", |b| {
        let store = &*STORE;
        b.iter_batched(
            || store.apply_logs(at(*ROWS), &batch),
            |()| black_box(store.search_logs(&search, &Stop::never())),
            BatchSize::PerIteration,
        );
    });
}
