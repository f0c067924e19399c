//! What an apply and each kind of question cost, with a million records of each kind in the store.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

mod data;

use std::{hint::black_box, sync::LazyLock, time::Duration};

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use data::{BATCH_ROWS, COMMON_WORD, RARE_WORD};
use log_tracer_query::parse;
use log_tracer_store::{
    Config, FacetSpec, HistogramGroup, HistogramSpec, Origin, RecordSearch, Signal, Stats, Stop,
    Store, TableStats, TimeRange, TraceLimits, TraceOrder, TraceSearch,
};

const ROWS: u64 = 1_000_000;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = apply, questions
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
    for first in (0..ROWS).step_by(BATCH_ROWS as usize) {
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

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn ask<R>(group: &mut Group<'_>, name: &str, question: impl Fn(&Store) -> R) {
    group.bench_function(name, |b| {
        let store = &*STORE;
        b.iter(|| black_box(question(store)));
    });
}

fn questions(c: &mut Criterion) {
    of_logs(c);
    of_traces(c);
    counts(c);
    // The last: it adds rows.
    after_an_apply(c);
}

fn logs_of(query: &str) -> RecordSearch {
    RecordSearch {
        query: parse(query).unwrap(),
        range: TimeRange::ALL,
        limit: 100,
        bytes_max: u64::MAX,
        after: None,
        oldest_first: false,
    }
}

fn of_logs(c: &mut Criterion) {
    let mut group = c.benchmark_group("logs of a million");
    let errors_of_service = "service:cart severity>=error";
    for (name, query) in [
        ("newest 100", ""),
        ("newest 100 of a common word", COMMON_WORD),
        ("a rare word", RARE_WORD),
        ("newest 100 of service and severity", errors_of_service),
        ("newest 100 of a user", "user.id:user-777"),
    ] {
        let search = logs_of(query);
        ask(&mut group, name, |store| {
            store.search_logs(&search, &Stop::never())
        });
    }
    group.finish();
}

fn of_traces(c: &mut Criterion) {
    let mut group = c.benchmark_group("traces of a million spans");
    let id = data::trace_of(ROWS / 2);
    let limits = TraceLimits {
        spans_max: 10_000,
        logs_max: 10_000,
    };
    ask(&mut group, "by id, with its spans and logs", |store| {
        let trace = store.trace(id, limits, &Stop::never());
        (trace.spans().count(), trace.logs().count())
    });
    for (name, query, order) in [
        ("newest 20", "", TraceOrder::Newest { after: None }),
        (
            "newest 20 with an error of a service",
            "service:cart status:error",
            TraceOrder::Newest { after: None },
        ),
        (
            "longest 20 of a service",
            "service:cart",
            TraceOrder::Longest,
        ),
        (
            "of an order",
            "app.order.id:order-500000",
            TraceOrder::Newest { after: None },
        ),
    ] {
        let search = TraceSearch {
            query: parse(query).unwrap(),
            range: TimeRange::ALL,
            duration_min_nano: 0,
            duration_max_nano: None,
            order,
            limit: 20,
        };
        ask(&mut group, name, |store| {
            store.search_traces(&search, &Stop::never())
        });
    }
    group.finish();
}

fn counts(c: &mut Criterion) {
    let mut group = c.benchmark_group("counts over a million");
    for (name, signal, query, by) in [
        (
            "histogram of logs by level",
            Signal::Logs,
            "",
            HistogramGroup::Level,
        ),
        (
            "histogram of logs of a service",
            Signal::Logs,
            "service:cart",
            HistogramGroup::None,
        ),
        (
            "histogram of failed spans by service",
            Signal::Spans,
            "status:error",
            HistogramGroup::Service,
        ),
    ] {
        let spec = HistogramSpec {
            signal,
            query: parse(query).unwrap(),
            start_unix_nano: data::time_of(0),
            end_unix_nano: data::time_of(ROWS),
            step_nano: 200_000_000,
            group: by,
        };
        ask(&mut group, name, |store| {
            store.histogram(&spec, &Stop::never()).unwrap()
        });
    }
    for (name, signal) in [
        ("facets of spans", Signal::Spans),
        ("facets of logs", Signal::Logs),
    ] {
        let spec = FacetSpec {
            signal,
            query: parse("").unwrap(),
            range: TimeRange::ALL,
            fields: Vec::new(),
            values_max: 10,
        };
        ask(&mut group, name, |store| {
            store.facets(&spec, &Stop::never())
        });
    }
    ask(&mut group, "services", |store| {
        store.services(&Stop::never())
    });
    ask(&mut group, "operations", |store| {
        store.operations(None, 1000, &Stop::never())
    });
    group.finish();
}

/// The first search after new rows copies the open chunk.
fn after_an_apply(c: &mut Criterion) {
    let batch = data::logs(0);
    let search = logs_of("");
    c.bench_function("newest 100 right after an apply", |b| {
        let store = &*STORE;
        b.iter_batched(
            || store.apply_logs(at(ROWS), &batch),
            |()| black_box(store.search_logs(&search, &Stop::never())),
            BatchSize::PerIteration,
        );
    });
}
