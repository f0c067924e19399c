//! Facets, histograms, services and operations.

use log_tracer_query::{Field, parse};
use log_tracer_record::otlp::common::{AnyValue, ArrayValue, any_value::Value};
use log_tracer_store::{
    FacetSpec, Facets, HistogramGroup, HistogramSpec, Signal, Stop, Store, TimeRange,
};

use crate::build::{at, failed, find_logs, log, log_with, pair, span, store, text};

fn facets(store: &Store, signal: Signal, fields: &[&str], values_max: usize) -> Facets {
    let spec = FacetSpec {
        signal,
        query: parse("").unwrap(),
        range: TimeRange::ALL,
        fields: fields.iter().map(|name| Field::named(name)).collect(),
        values_max,
        rows_max: None,
    };
    store.facets(&spec, &Stop::never())
}

#[test]
fn the_useful_fields_are_those_that_the_records_have() {
    let store = store();
    let mut called = span(1, 0, 1, 2);
    called.span.attributes = vec![pair("http.response.status_code", Value::IntValue(200))];
    store.apply_spans(at(0), &[called, failed(span(2, 1, 1, 2))]);
    let found = facets(&store, Signal::Spans, &[], 10).facets;
    let fields: Vec<&str> = found.iter().map(|facet| facet.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "service",
            "name",
            "kind",
            "status",
            "http.response.status_code"
        ]
    );
    store.apply_logs(at(0), &[log(1, "x")]);
    let found = facets(&store, Signal::Logs, &[], 10).facets;
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_value_is_written_so_that_a_query_for_it_finds_the_records_that_were_counted() {
    let store = store();
    let list = Value::ArrayValue(ArrayValue {
        values: [text("in a list"), text("in a list"), Value::IntValue(7)]
            .map(|value| AnyValue { value: Some(value) })
            .to_vec(),
    });
    let values = [
        text("plain"),
        text("two words"),
        text("a \"quote\" and a \\"),
        text("new\nline"),
        text("OR"),
        text("*"),
        text("/re/"),
        text("7"),
        text("1e3"),
        text(""),
        text("Ünï"),
        Value::IntValue(-7),
        Value::IntValue(i64::MAX),
        Value::DoubleValue(0.25),
        Value::BoolValue(true),
        list,
    ];
    let rows = values.map(|value| log_with(vec![pair("the key", value)]));
    store.apply_logs(at(0), &rows);
    let found = facets(&store, Signal::Logs, &["the key"], 100).facets;
    assert_eq!(found[0].field, "\"the key\"");
    assert_eq!(found[0].values.len(), 16);
    for value in &found[0].values {
        let query = format!("{}={}", found[0].field, value.value);
        assert_eq!(
            find_logs(&store, &query).hits.len() as u64,
            value.count,
            "{query}"
        );
    }
}

#[test]
fn severities_are_counted_by_their_names() {
    let store = store();
    let rows = [9, 10, 17, 0, 99].map(|severity| {
        let mut row = log(1, "x");
        row.record.severity_number = severity;
        row
    });
    store.apply_logs(at(0), &rows);
    let found = facets(&store, Signal::Logs, &["severity"], 10).facets;
    let values = found[0]
        .values
        .iter()
        .map(|value| (value.value.as_str(), value.count));
    assert_eq!(values.collect::<Vec<_>>(), [("info", 2), ("error", 1)]);
}

#[test]
fn values_beyond_the_limit_are_counted_together() {
    let store = store();
    let rows: Vec<_> = (0..10)
        .flat_map(|n| vec![log_with(vec![pair("n", Value::IntValue(n))]); n as usize + 1])
        .collect();
    store.apply_logs(at(0), &rows);
    let found = facets(&store, Signal::Logs, &["n"], 2);
    let facet = &found.facets[0];
    assert_eq!(
        (
            facet.values[0].count,
            facet.values[1].count,
            facet.other_count
        ),
        (10, 9, 36)
    );
    assert!(!found.coverage.partial);
}

#[test]
fn time_has_no_facet() {
    let store = store();
    store.apply_logs(at(0), &[log(1, "x")]);
    assert!(
        facets(&store, Signal::Logs, &["time"], 10)
            .facets
            .is_empty()
    );
}

#[test]
fn a_histogram_has_a_series_for_each_level_that_it_met() {
    let store = store();
    store.apply_spans(
        at(0),
        &[
            span(1, 0, 105, 106),
            failed(span(2, 1, 118, 119)),
            failed(span(3, 1, 130, 140)),
        ],
    );
    let spec = HistogramSpec {
        signal: Signal::Spans,
        query: parse("").unwrap(),
        start_unix_nano: 101,
        end_unix_nano: 131,
        step_nano: 10,
        group: HistogramGroup::Level,
        rows_max: None,
    };
    let found = store.histogram(&spec, &Stop::never()).unwrap();
    assert_eq!((found.start_unix_nano, found.coverage.matched), (100, 3));
    let series = found
        .series
        .iter()
        .map(|series| (series.group.as_str(), series.counts.as_slice()));
    let expected: [(&str, &[u64]); 2] = [("unset", &[1, 0, 0, 0]), ("error", &[0, 1, 0, 1])];
    assert_eq!(series.collect::<Vec<_>>(), expected);
}

#[test]
fn an_empty_store_answers_every_question() {
    let store = store();
    let stop = Stop::never();
    assert!(store.services(&stop).services.is_empty());
    assert!(store.operations(None, 10, &stop).operations.is_empty());
    assert!(facets(&store, Signal::Spans, &[], 10).facets.is_empty());
    assert!(find_logs(&store, "").hits.is_empty());
    assert_eq!(store.stats().spans.oldest_unix_nano, None);
}

#[test]
fn operations_over_the_limit_are_said() {
    let store = store();
    let mut often = vec![span(7, 0, 1, 2); 3];
    often.extend([span(1, 0, 1, 2), span(2, 0, 1, 2)]);
    store.apply_spans(at(0), &often);
    let found = store.operations(Some("shop"), 1, &Stop::never());
    assert_eq!(
        (
            found.operations[0].name.as_str(),
            found.operations[0].span_count
        ),
        ("span 7", 3)
    );
    assert!(found.coverage.partial);
    assert!(
        store
            .operations(Some("none"), 1, &Stop::never())
            .operations
            .is_empty()
    );
}
