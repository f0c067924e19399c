//! Many traces, each in several places: what is known of them only together.

use std::{cmp::Reverse, collections::BTreeMap};

use log_tracer_query::{Query, parse};
use log_tracer_record::{SpanRow, TraceId, otlp::common::any_value::Value};
use log_tracer_store::{
    HeatmapOf, HeatmapSpec, Scale, SpanFields, Stop, Store, TimeRange, TraceOrder, TraceSearch,
};

use crate::build::{at, durable_store, failed, pair, span, text, write_out};

/// Enough for some leaves of each table of traces.
const TRACES: u64 = 6_000;

/// A hash, so that neighbours have nothing to do with each other.
fn mix(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn id_of(trace: u64) -> TraceId {
    let id = [mix(trace).to_be_bytes(), (trace + 1).to_be_bytes()].concat();
    TraceId::from_bytes(&id).unwrap()
}

/// One of the spans of a trace. Each trace has two to four, the first after the others have begun now and then; nearly all
/// have a span of the kind that is common, one in 500 has a rare one, and one in 50 failed.
fn span_of(trace: u64, number: u64) -> SpanRow {
    let random = mix(trace * 7 + number);
    let start = 10_000 + trace * 10 + number * 100 - random % 150;
    let mut row = span(number as u8 + 1, 0, start, start + random % 1_000);
    row.span.trace_id = id_of(trace).to_bytes();
    let common = if random % 10 < 9 { "yes" } else { "no" };
    let rare = if random.is_multiple_of(2_000) {
        "yes"
    } else {
        "no"
    };
    row.span.attributes = vec![
        pair("common", text(common)),
        pair("rare", text(rare)),
        pair("number", Value::IntValue(random as i64 % 1_000)),
    ];
    if random % 200 < 1 { failed(row) } else { row }
}

/// The spans by their number in the trace: three blocks, and what is in memory.
fn store_with(rows: &mut Vec<SpanRow>) -> (Store, tempfile::TempDir) {
    let (store, directory) = durable_store();
    for number in 0..4 {
        let traces = (0..TRACES).filter(|trace| mix(*trace) % 3 + 2 > number);
        let of_number: Vec<SpanRow> = traces.map(|trace| span_of(trace, number)).collect();
        store.apply_spans(at(number), &of_number);
        if number < 3 {
            write_out(&store);
        }
        rows.extend(of_number);
    }
    (store, directory)
}

#[derive(Clone, Copy, Debug)]
struct Whole {
    start: u64,
    end: u64,
    spans: u64,
    errors: u64,
    matched: u64,
}

/// What is known of each trace, by looking at all spans.
fn wholes(rows: &[SpanRow], query: &Query) -> BTreeMap<TraceId, Whole> {
    let mut wholes = BTreeMap::new();
    for row in rows {
        let whole = wholes.entry(row.trace_id().unwrap()).or_insert(Whole {
            start: u64::MAX,
            end: 0,
            spans: 0,
            errors: 0,
            matched: 0,
        });
        whole.start = whole.start.min(row.start_unix_nano());
        whole.end = whole.end.max(row.end_unix_nano());
        whole.spans += 1;
        whole.errors += u64::from(row.is_error());
        whole.matched += u64::from(query.matches(&SpanFields(row)));
    }
    wholes
}

fn plain(wholes: &BTreeMap<TraceId, Whole>, search: &TraceSearch) -> Vec<TraceId> {
    let wholes = wholes.iter();
    let mut found: Vec<_> = wholes
        .filter(|(_, whole)| {
            let duration = whole.end - whole.start;
            whole.matched > 0
                && search.range.contains(whole.start)
                && duration >= search.duration_min_nano
                && search.duration_max_nano.is_none_or(|max| duration <= max)
        })
        .map(|(id, whole)| {
            let rank = match search.order {
                TraceOrder::Longest => whole.end - whole.start,
                TraceOrder::MostSpans => whole.spans,
                TraceOrder::MostErrors => whole.errors,
                TraceOrder::Newest { .. } => 0,
            };
            Reverse((rank, whole.start, *id))
        })
        .collect();
    found.sort_unstable();
    let found = found.into_iter().take(search.limit);
    found.map(|Reverse((_, _, id))| id).collect()
}

#[test]
fn the_first_traces_by_rank_are_those_that_a_look_at_every_span_finds() {
    let mut rows = Vec::new();
    let (store, _directory) = store_with(&mut rows);
    let part = TimeRange {
        start_unix_nano: 20_000,
        end_unix_nano: Some(50_000),
    };
    let queries = [
        "",
        "common:yes",
        "common:no",
        "rare:yes",
        "status:error",
        "status:error common:yes",
        "duration>990ns",
        "number>=998",
        "nothing:here",
        "common:yes rare:yes number<500",
    ];
    let asked = [
        (TraceOrder::Longest, TimeRange::ALL, (0, None), 12),
        (TraceOrder::Longest, part, (300, Some(700)), 30),
        (TraceOrder::MostSpans, part, (0, None), 30),
        (TraceOrder::MostErrors, TimeRange::ALL, (0, None), 5),
    ];
    for text in queries {
        let query = parse(text).unwrap();
        let wholes = wholes(&rows, &query);
        for (order, range, (duration_min_nano, duration_max_nano), limit) in asked {
            let search = TraceSearch {
                query: query.clone(),
                range,
                duration_min_nano,
                duration_max_nano,
                order,
                limit,
            };
            let found = store.search_traces(&search, &Stop::never());
            let ids: Vec<TraceId> = found.traces.iter().map(|trace| trace.trace_id).collect();
            assert_eq!(ids, plain(&wholes, &search), "{text}: {search:?}");
            assert_eq!(found.coverage.matched, ids.len() as u64);
            assert!(!found.coverage.partial, "{:?}", found.coverage);
        }
    }
}

#[test]
fn the_longest_of_a_common_kind_are_found_without_asking_every_span() {
    let mut rows = Vec::new();
    let (store, _directory) = store_with(&mut rows);
    let search = TraceSearch {
        query: parse("common:yes").unwrap(),
        range: TimeRange::ALL,
        duration_min_nano: 0,
        duration_max_nano: None,
        order: TraceOrder::Longest,
        limit: 40,
    };
    let found = store.search_traces(&search, &Stop::never());
    assert_eq!(found.traces.len(), 40);
    assert!(found.coverage.scanned < 1_000, "{:?}", found.coverage);
}

#[test]
fn a_heat_map_counts_every_trace_once_and_whole() {
    let mut rows = Vec::new();
    let (store, _directory) = store_with(&mut rows);
    let scale = Scale::new(36).unwrap();
    let spec = HeatmapSpec {
        of: HeatmapOf::Traces,
        query: Query::default(),
        start_unix_nano: 20_000,
        end_unix_nano: 50_000,
        step_nano: 5_000,
        scale,
        duration_min_nano: 0,
        duration_max_nano: None,
    };
    let mut expected: BTreeMap<(u64, u16), (u64, u64)> = BTreeMap::new();
    for whole in wholes(&rows, &Query::default()).into_values() {
        if (20_000..50_000).contains(&whole.start) {
            let place = (
                whole.start / 5_000 * 5_000,
                scale.bucket_of(whole.end - whole.start),
            );
            let cell = expected.entry(place).or_default();
            cell.0 += 1;
            cell.1 += u64::from(whole.errors > 0);
        }
    }
    let found = store.heatmap(&spec, &Stop::never()).unwrap();
    let mut cells = BTreeMap::new();
    for step in &found.steps {
        let counts = step.counts.iter().zip(&step.errors);
        for (bucket, (count, errors)) in (step.first_bucket..).zip(counts) {
            if *count > 0 {
                cells.insert((step.start_unix_nano, bucket), (*count, *errors));
            }
        }
    }
    assert_eq!(cells, expected);
    assert!(!found.coverage.partial);
}
