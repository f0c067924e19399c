//! Rollups against a look at every row: whatever is sent in whatever order, flushed, merged and let go, rates, the graph
//! of services and the volume of logs are those of the rows that are kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod generate;
mod plain;

use std::collections::BTreeMap;

use generate::{Step, steps};
use log_tracer_query::Query;
use log_tracer_store::{
    Config, GraphSpec, HeatmapOf, HeatmapSpec, LogSearch, Mark, Origin, RateGroup, RatesSpec,
    RecordSearch, Scale, SpanSearch, Stop, Store, TimeRange,
};
use plain::{Plain, minute};
use proptest::prelude::*;

/// Blocks are merged often, and leave by bytes now and then.
fn config(retention_bytes_max: u64) -> Config {
    Config {
        chunk_rows_max: 7,
        block_rows_max: 120,
        retention_bytes_max,
        ..Config::default()
    }
}

fn search() -> RecordSearch {
    RecordSearch {
        query: Query::default(),
        range: TimeRange::ALL,
        limit: 100_000,
        bytes_max: 1 << 30,
        after: None,
        oldest_first: true,
    }
}

/// The rows that the store says it has.
fn kept(store: &Store) -> Plain {
    let (spans, logs): (SpanSearch, LogSearch) = (search(), search());
    let spans = store.search_spans(&spans, &Stop::never());
    let logs = store.search_logs(&logs, &Stop::never());
    assert!(spans.next.is_none() && logs.next.is_none());
    Plain {
        spans: spans.hits.into_iter().map(|hit| hit.row).collect(),
        logs: logs.hits.into_iter().map(|hit| hit.row).collect(),
    }
}

fn range() -> impl Strategy<Value = TimeRange> {
    let some = (0..40_u64, 1..40_u64, 0..60_u64).prop_map(|(start, minutes, seconds)| TimeRange {
        start_unix_nano: generate::START + start * minute() + seconds * 1_000_000_000,
        end_unix_nano: Some(generate::START + (start + minutes) * minute()),
    });
    prop_oneof![1 => Just(TimeRange::ALL), 3 => some]
}

fn check(store: &Store, range: TimeRange, group: RateGroup) -> Result<(), TestCaseError> {
    let plain = kept(store);
    let step_nano = if range.end_unix_nano.is_some() {
        5 * minute()
    } else {
        0
    };
    let spec = RatesSpec {
        range,
        step_nano,
        group,
        ..RatesSpec::default()
    };
    let rates = store.rates(&spec, &Stop::never()).unwrap();
    let widened = rates.range;
    prop_assert!(widened.start_unix_nano <= range.start_unix_nano);
    prop_assert_eq!(&rates.series, &plain.rates(widened, &spec));
    for series in &rates.series {
        plain.check_quantiles(widened, series)?;
    }
    let graph = store.service_graph(&GraphSpec { range }, &Stop::never());
    let found: Vec<_> = graph.edges.into_iter().map(plain::edge).collect();
    let mut expected = plain.edges(widened);
    expected.sort();
    let mut sorted = found;
    sorted.sort();
    prop_assert_eq!(sorted, expected);
    let volume = store.log_volume(&spec, &Stop::never()).unwrap();
    prop_assert_eq!(volume.series, plain.volume(widened, step_nano));
    Ok(())
}

/// A heat map that the rollups answer is what each row says: see the question of [`heatmap`].
fn check_heatmap(store: &Store, spec: &HeatmapSpec) -> Result<(), TestCaseError> {
    let mut expected: BTreeMap<(u64, u16), (u64, u64)> = BTreeMap::new();
    for row in kept(store).spans {
        let start = row.start_unix_nano();
        if (spec.start_unix_nano..spec.end_unix_nano).contains(&start) {
            let nanos = row.end_unix_nano().saturating_sub(start);
            let step = start / spec.step_nano * spec.step_nano;
            let cell = expected
                .entry((step, spec.scale.bucket_of(nanos)))
                .or_default();
            *cell = (cell.0 + 1, cell.1 + u64::from(row.is_error()));
        }
    }
    let found = store.heatmap(spec, &Stop::never()).unwrap();
    let cells = found.steps.iter().flat_map(|step| {
        let counts = step.counts.iter().zip(&step.errors);
        let cells = (step.first_bucket..).zip(counts);
        cells.map(|(bucket, (count, errors))| ((step.start_unix_nano, bucket), (*count, *errors)))
    });
    let cells: BTreeMap<_, _> = cells.filter(|(_, (count, _))| *count > 0).collect();
    prop_assert_eq!(cells, expected);
    Ok(())
}

/// Of all spans between two times that need not be whole minutes.
fn heatmap(range: TimeRange, steps: u64, per_octave: u32) -> HeatmapSpec {
    let (start, end) = match range.end_unix_nano {
        Some(end) => (range.start_unix_nano, end),
        None => (generate::START, generate::START + 90 * minute()),
    };
    HeatmapSpec {
        of: HeatmapOf::Spans,
        query: Query::default(),
        start_unix_nano: start,
        end_unix_nano: end + 17_000_000_000,
        step_nano: steps * minute(),
        scale: Scale::new(per_octave).unwrap(),
        duration_min_nano: 0,
        duration_max_nano: None,
    }
}

fn run(
    store: &Store,
    steps: Vec<Step>,
    range: TimeRange,
    group: RateGroup,
) -> Result<(), TestCaseError> {
    for (offset, step) in (0..).zip(steps) {
        let origin = Origin {
            partition: 0,
            offset,
        };
        match step {
            Step::Spans(rows) => store.apply_spans(origin, &rows),
            Step::Logs(rows) => store.apply_logs(origin, &rows),
            Step::Seal => {
                store.seal(Mark::default()).unwrap();
                let stop = Stop::never();
                stop.cancel();
                store.maintain(&stop, &mut |_| {});
            }
        }
    }
    for (steps, per_octave) in [(1, 1), (3, 12)] {
        check_heatmap(store, &heatmap(range, steps, per_octave))?;
    }
    check(store, range, group)
}

fn group() -> impl Strategy<Value = RateGroup> {
    prop_oneof![
        Just(RateGroup::Service),
        Just(RateGroup::Operation),
        Just(RateGroup::OperationAndKind)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn rollups_are_those_of_the_rows_that_are_kept(
        steps in steps(),
        range in range(),
        group in group(),
        is_scarce in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let retention = if is_scarce { 60_000 } else { 1 << 30 };
        let (store, _) = Store::open(config(retention), directory.path()).unwrap();
        run(&store, steps.clone(), range, group)?;
        store.close();
        let problems = log_tracer_store::check(directory.path(), &mut |_, _| {}).unwrap().problems;
        prop_assert!(problems.is_empty(), "{:?}", problems);
        let store = Store::new(Config { chunk_rows_max: 7, ..Config::default() }).unwrap();
        run(&store, steps, range, group)?;
    }
}

/// Calls of a service by so many names, whose parents are nowhere.
fn calls(names: u8) -> Vec<log_tracer_record::SpanRow> {
    let row = |name: u8| log_tracer_record::SpanRow {
        resource: generate::resource("cart"),
        scope: Default::default(),
        span: log_tracer_record::otlp::trace::Span {
            trace_id: vec![1; 16].into(),
            span_id: vec![name + 1; 8].into(),
            parent_span_id: vec![name + 100; 8].into(),
            name: format!("operation {name}"),
            kind: 2,
            start_time_unix_nano: generate::START,
            end_time_unix_nano: generate::START + 1_000,
            ..Default::default()
        },
    };
    (0..names).map(row).collect()
}

#[test]
fn what_is_too_much_to_be_told_apart_is_counted_as_other_and_as_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        rollup_series_max: 3,
        rollup_links_max: 4,
        ..Config::default()
    };
    let (store, _) = Store::open(config, directory.path()).unwrap();
    let origin = Origin {
        partition: 0,
        offset: 0,
    };
    store.apply_spans(origin, &calls(10));
    for is_on_disk in [false, true] {
        if is_on_disk {
            store.seal(Mark::default()).unwrap();
            let stop = Stop::never();
            stop.cancel();
            store.maintain(&stop, &mut |_| {});
            assert_eq!(store.stats().spans.block_count, 1);
        }
        let spec = RatesSpec {
            group: RateGroup::Operation,
            ..RatesSpec::default()
        };
        let series = store.rates(&spec, &Stop::never()).unwrap().series;
        let counts: Vec<_> = series
            .iter()
            .map(|one| {
                (
                    one.operation.as_deref().unwrap(),
                    one.total.durations.count(),
                )
            })
            .collect();
        assert_eq!(
            counts,
            [
                ("(other)", 7),
                ("operation 0", 1),
                ("operation 1", 1),
                ("operation 2", 1)
            ]
        );
        let graph = store.service_graph(&GraphSpec::default(), &Stop::never());
        assert_eq!((graph.unlisted, graph.edges.len()), (6, 1));
        assert_eq!(graph.edges[0].calls.durations.count(), 10);
        assert_eq!(graph.edges[0].caller, log_tracer_store::Node::default());
    }
    store.close();
    let problems = log_tracer_store::check(directory.path(), &mut |_, _| {})
        .unwrap()
        .problems;
    assert!(problems.is_empty(), "{problems:?}");
}
