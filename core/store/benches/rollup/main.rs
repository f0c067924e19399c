//! Rollups: what rates, percentiles and the graph of services cost, over blocks on disk.
//!
//! A million spans, or as many as `ROLLUP_SPANS` says; the rows of a block are those of `blocks`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

#[path = "../store/data.rs"]
mod data;

use std::hint::black_box;

use criterion::Criterion;
use log_tracer_store::{
    Config, GraphSpec, Mark, Origin, RateGroup, RatesSpec, Stop, Store, TimeRange,
};

fn filled(directory: &std::path::Path, spans: u64) -> Store {
    let (store, _) = Store::open(Config::default(), directory).expect("a store");
    let stop = Stop::never();
    stop.cancel();
    for batch in 0..spans / data::BATCH_ROWS {
        let origin = Origin {
            partition: 0,
            offset: batch,
        };
        store.apply_spans(origin, &data::mixed_spans(batch));
        if store.wants_seal() {
            store.seal(Mark::default()).expect("sealed");
            store.maintain(&stop, &mut |_| {});
        }
    }
    store.seal(Mark::default()).expect("sealed");
    store.maintain(&stop, &mut |_| {});
    store
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let spans = std::env::var("ROLLUP_SPANS").ok();
    let spans = spans
        .and_then(|spans| spans.parse().ok())
        .unwrap_or(1 << 20);
    let directory = tempfile::tempdir().expect("a directory");
    let store = filled(directory.path(), spans);
    let stop = Stop::never();
    let spec = RatesSpec {
        group: RateGroup::Operation,
        ..RatesSpec::default()
    };
    let mut group = criterion.benchmark_group(format!("{spans} spans"));
    group.bench_function("p99 by operation", |b| {
        b.iter(|| {
            let rates = store.rates(&spec, &stop).expect("rates");
            let p99 = rates
                .series
                .iter()
                .map(|one| one.total.durations.quantile(0.99));
            black_box(p99.collect::<Vec<_>>())
        });
    });
    let graph = GraphSpec {
        range: TimeRange::ALL,
    };
    group.bench_function("graph of services", |b| {
        b.iter(|| black_box(store.service_graph(&graph, &stop)));
    });
    group.finish();
    criterion.final_summary();
}
