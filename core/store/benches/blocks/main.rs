//! Blocks: what they cost to write, to keep and to read.
//!
//! `cargo bench -p log-tracer-store --bench blocks -- sweep` prints the table of the settings instead, and
//! `-- needles` what it costs to find a needle in ten million log records.
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
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use criterion::Criterion;
use log_tracer_query::{Query, parse};
use log_tracer_store::{
    Config, Coverage, Mark, Origin, RecordSearch, Stop, Store, TimeRange,
    block_bench::{LogBlock, LogsInMemory, SpanBlock, SpansInMemory, Tuning},
};

/// As a full flush writes them.
const ROWS: u64 = 1 << 17;

fn origin(batch: u64) -> Origin {
    Origin {
        partition: 0,
        offset: batch,
    }
}

fn spans(batches: std::ops::Range<u64>) -> SpansInMemory {
    let mut rows = SpansInMemory::default();
    for batch in batches {
        rows.add(origin(batch), &data::mixed_spans(batch));
    }
    rows.seal();
    rows
}

fn logs(batches: std::ops::Range<u64>) -> LogsInMemory {
    let mut rows = LogsInMemory::default();
    for batch in batches {
        rows.add(origin(batch), &data::mixed_logs(batch));
    }
    rows.seal();
    rows
}

/// Nanoseconds that this thread was on a processor.
fn cpu() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = stat.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or(0)
}

/// Seconds of processor, the least of two runs.
fn seconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let run = |_| {
        let before = cpu();
        black_box(work());
        (cpu() - before) as f64 / 1e9
    };
    (0..2).map(run).fold(f64::INFINITY, f64::min)
}

/// Milliseconds, the least of some runs: too few for the clock of the processor.
fn millis<T>(mut work: impl FnMut() -> T) -> f64 {
    const RUNS: u32 = 50;
    let run = |_| {
        let before = Instant::now();
        black_box(work());
        before.elapsed().as_secs_f64() * 1e3
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn query(text: &str) -> Query {
    parse(text).expect("a query")
}

fn main() {
    if std::env::args().any(|argument| argument == "sweep") {
        return sweep();
    }
    if std::env::args().any(|argument| argument == "needles") {
        return needles();
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    spans_of_a_block(&mut criterion);
    logs_of_a_block(&mut criterion);
    criterion.final_summary();
}

fn spans_of_a_block(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let (rows, tuning) = (spans(0..ROWS / data::BATCH_ROWS), Tuning::default());
    let block = rows.write(directory.path(), 0, &tuning).expect("a block");
    let mut group = criterion.benchmark_group("spans");
    let mut id = 0;
    group.bench_function("write 131,072", |b| {
        b.iter(|| {
            id += 1;
            rows.write(directory.path(), id, &tuning)
        });
    });
    let trace = u128::from_be_bytes(*data::trace_of(60_000).as_bytes());
    group.bench_function("trace of 40", |b| b.iter(|| block.take_trace(trace)));
    group.bench_function("piece, all columns", |b| b.iter(|| block.read(7, None)));
    let few = query("service:cart duration>5ms http.route:/cart");
    group.bench_function("piece, three fields", |b| {
        b.iter(|| block.read(7, Some(&few)))
    });
    let one = query("app.order.id:order-60000");
    group.bench_function("admits, one order", |b| b.iter(|| block.admitted(&one)));
    group.bench_function("all traces", |b| b.iter(|| block.traces()));
    let small: Vec<SpanBlock> = (0..4)
        .map(|part| {
            let batches = ROWS / data::BATCH_ROWS / 4;
            let rows = spans(part * batches..(part + 1) * batches);
            rows.write(directory.path(), 1000 + part, &tuning)
                .expect("a block")
        })
        .collect();
    group.bench_function("merge 4 of 32,768", |b| {
        b.iter(|| {
            id += 1;
            SpanBlock::merge(directory.path(), 2000 + id, &small, &tuning)
        });
    });
}

fn logs_of_a_block(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let (rows, tuning) = (logs(0..ROWS / data::BATCH_ROWS), Tuning::default());
    let block = rows.write(directory.path(), 0, &tuning).expect("a block");
    let mut group = criterion.benchmark_group("logs");
    let mut id = 0;
    group.bench_function("write 131,072", |b| {
        b.iter(|| {
            id += 1;
            rows.write(directory.path(), id, &tuning)
        });
    });
    let word = query(data::COMMON_WORD);
    group.bench_function("piece, texts", |b| b.iter(|| block.read(7, Some(&word))));
    let rare = query(data::RARE_WORD);
    group.bench_function("admits, a rare word", |b| b.iter(|| block.admitted(&rare)));
    let neighbours: Vec<u32> = (100_000..100_020).collect();
    group.bench_function("take 20 neighbours", |b| b.iter(|| block.take(&neighbours)));
}

/// Asks a store of ten million log records for words and values that few or none of them have.
fn needles() {
    const LOGS: u64 = 10_000_000;
    const ABSENT: u64 = 200;
    let directory = tempfile::tempdir().expect("a directory");
    let config = Config {
        retention_age_max_ms: u64::MAX,
        disk_reserve_bytes: 0,
        ..Config::default()
    };
    let (store, _) = Store::open(config, directory.path()).expect("a store");
    let write = |store: &Store| {
        store.seal(Mark::default()).expect("room");
        let stop = Stop::never();
        stop.cancel();
        store.maintain(&stop, &mut |_| {});
    };
    for batch in 0..LOGS / data::BATCH_ROWS {
        store.apply_logs(origin(batch), &data::mixed_logs(batch));
        if store.wants_seal() {
            write(&store);
        }
    }
    write(&store);
    let stats = store.stats().logs;
    println!(
        "{} blocks, {:.1} bytes a row",
        stats.block_count,
        stats.block_bytes as f64 / stats.block_rows as f64
    );
    let ask = |text: &str| -> (f64, Coverage, usize) {
        let search = RecordSearch {
            query: query(text),
            range: TimeRange::ALL,
            limit: 100,
            bytes_max: u64::MAX,
            after: None,
            oldest_first: false,
        };
        let before = cpu();
        let found = store.search_logs(&search, &Stop::never());
        (
            (cpu() - before) as f64 / 1e6,
            found.coverage,
            found.hits.len(),
        )
    };
    for text in [
        data::RARE_WORD,
        "order-5000000",
        "user.id:user-77777",
        "user.id:user-777",
        data::COMMON_WORD,
    ] {
        for turn in ["first", "again"] {
            let (millis, coverage, hits) = ask(text);
            println!(
                "{text}, {turn}: {millis:.2} CPU ms, {hits} found, {} pieces read, {} skipped",
                coverage.pieces_read, coverage.pieces_skipped
            );
        }
    }
    let absent = (0..ABSENT).map(|number| ask(&format!("absent{number}")));
    let (millis, pieces) = absent.fold((0.0, 0), |sum, (millis, coverage, _)| {
        (sum.0 + millis, sum.1 + coverage.pieces_read)
    });
    println!(
        "a word that no record has: {:.2} CPU ms, {:.2} pieces read, of {ABSENT} on average",
        millis / ABSENT as f64,
        pieces as f64 / ABSENT as f64
    );
}

fn sweep() {
    let base = Tuning::default();
    let tries: Vec<(&str, Tuning)> = vec![
        ("default", base.clone()),
        (
            "pieces of 2,048",
            Tuning {
                piece_rows: 2048,
                ..base.clone()
            },
        ),
        (
            "pieces of 8,192",
            Tuning {
                piece_rows: 8192,
                ..base.clone()
            },
        ),
        (
            "pages of 1,024",
            Tuning {
                page_rows: 1024,
                ..base.clone()
            },
        ),
        (
            "pages of 4,096",
            Tuning {
                page_rows: 4096,
                ..base.clone()
            },
        ),
        (
            "dictionary pages of 4,096",
            Tuning {
                dictionary_page_rows: 4096,
                ..base.clone()
            },
        ),
        (
            "dictionary pages of 16,384",
            Tuning {
                dictionary_page_rows: 16384,
                ..base.clone()
            },
        ),
        (
            "dictionaries of 16 KiB",
            Tuning {
                dictionary_bytes_max: 16 << 10,
                ..base.clone()
            },
        ),
        (
            "dictionaries of 128 KiB",
            Tuning {
                dictionary_bytes_max: 128 << 10,
                ..base.clone()
            },
        ),
        (
            "bodies zstd 1",
            Tuning {
                body_zstd_level: 1,
                ..base.clone()
            },
        ),
        (
            "5 check bits",
            Tuning {
                needle_check_bits: 5,
                ..base.clone()
            },
        ),
        (
            "4 check bits",
            Tuning {
                needle_check_bits: 4,
                ..base.clone()
            },
        ),
        (
            "bodies zstd 3",
            Tuning {
                body_zstd_level: 3,
                ..base.clone()
            },
        ),
        (
            "extents of 4 KiB",
            Tuning {
                extent_bytes: 4 << 10,
                ..base.clone()
            },
        ),
        (
            "extents of 64 KiB",
            Tuning {
                extent_bytes: 64 << 10,
                ..base.clone()
            },
        ),
    ];
    let batches = ROWS / data::BATCH_ROWS;
    let (span_rows, log_rows) = (spans(0..batches), logs(0..batches));
    let only = std::env::args()
        .nth(2)
        .filter(|argument| !argument.starts_with('-'));
    println!(
        "| settings | write CPU s/1M | B/row | index B/row | trace ms | piece ms | 3 fields ms | admits one order ms, pieces |"
    );
    for (name, tuning) in tries
        .iter()
        .filter(|(name, _)| only.as_deref().is_none_or(|only| *name == only))
    {
        let directory = tempfile::tempdir().expect("a directory");
        span_line(directory.path(), name, &span_rows, tuning);
        log_line(directory.path(), name, &log_rows, tuning);
    }
}

fn span_line(directory: &Path, name: &str, rows: &SpansInMemory, tuning: &Tuning) {
    let write = seconds(|| rows.write(directory, 1, tuning));
    let block = rows.write(directory, 1, tuning).expect("a block");
    let trace = u128::from_be_bytes(*data::trace_of(60_000).as_bytes());
    let few = query("service:cart duration>5ms http.route:/cart");
    let one = query("app.order.id:order-60000");
    let (parquet, all) = block.bytes();
    let per_row = |bytes: u64| bytes as f64 / ROWS as f64;
    println!(
        "| spans, {name} | {:.2} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3}, {} of {} |",
        write / ROWS as f64 * 1e6,
        per_row(all),
        per_row(all - parquet),
        millis(|| block.take_trace(trace)),
        millis(|| block.read(7, None)),
        millis(|| block.read(7, Some(&few))),
        millis(|| block.admitted(&one)),
        block.admitted(&one).expect("filters"),
        block.pieces(),
    );
    if name == "default" {
        print_parts(block.columns().expect("a footer"), block.sections());
    }
}

fn log_line(directory: &Path, name: &str, rows: &LogsInMemory, tuning: &Tuning) {
    let write = seconds(|| rows.write(directory, 1, tuning));
    let block: LogBlock = rows.write(directory, 1, tuning).expect("a block");
    let few = query(data::COMMON_WORD);
    let one = query(data::RARE_WORD);
    let (parquet, all) = block.bytes();
    let per_row = |bytes: u64| bytes as f64 / ROWS as f64;
    let neighbours: Vec<u32> = (100_000..100_020).collect();
    println!(
        "| logs, {name} | {:.2} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3}, {} of {} |",
        write / ROWS as f64 * 1e6,
        per_row(all),
        per_row(all - parquet),
        millis(|| block.take(&neighbours)),
        millis(|| block.read(7, None)),
        millis(|| block.read(7, Some(&few))),
        millis(|| block.admitted(&one)),
        block.admitted(&one).expect("filters"),
        block.pieces(),
    );
    if name == "default" {
        print_parts(block.columns().expect("a footer"), block.sections());
    }
}

fn print_parts(mut columns: Vec<(String, u64)>, sections: Vec<(u32, u64)>) {
    columns.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let per_row = |bytes: u64| bytes as f64 / ROWS as f64;
    for (name, bytes) in columns.iter().take(24) {
        println!("    {name}: {:.2}", per_row(*bytes));
    }
    for (kind, bytes) in sections {
        println!("    section {kind}: {:.2}", per_row(bytes));
    }
}
