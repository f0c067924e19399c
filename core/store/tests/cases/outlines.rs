//! Traces in numbers, and some of their records.

use std::collections::HashSet;

use log_tracer_query::{Field, parse};
use log_tracer_record::{
    LogRow, SpanRow,
    otlp::{resource::Resource, trace::span::Event},
};
use log_tracer_store::{OutlineSpec, Stop, Store, TraceLimits, TraceOutline, TraceSelection};

use crate::build::{
    at, durable_store, failed, log, of_trace, pair, service, span, store, text, trace_id,
    whole_trace, write_out,
};

const ALL: TraceLimits = TraceLimits {
    spans_max: usize::MAX,
    logs_max: usize::MAX,
};

fn spec(span_query: &str, log_query: &str, field: Option<&str>) -> OutlineSpec {
    OutlineSpec {
        trace_id: trace_id(1),
        limits: ALL,
        span_query: parse(span_query).unwrap(),
        log_query: parse(log_query).unwrap(),
        span_field: field.map(Field::named),
    }
}

fn outline(store: &Store, span_query: &str, log_query: &str, field: Option<&str>) -> TraceOutline {
    store.outline(&spec(span_query, log_query, field), &Stop::never())
}

/// Three spans of two services, one of them failed, and two log records; and what is of another trace.
fn rows() -> (Vec<SpanRow>, Vec<LogRow>) {
    let mut of_stock = failed(span(3, 1, 40, 50));
    of_stock.resource = service("stock");
    of_stock.span.kind = 2;
    of_stock.span.attributes = vec![pair("shelf", text("top"))];
    let of_log = |time, span: u8| {
        let mut row = log(time, "a line");
        row.record.trace_id = trace_id(1).to_bytes();
        row.record.span_id = vec![span; 8].into();
        row.record.severity_number = 9 + i32::from(span);
        row
    };
    let spans = vec![
        span(1, 0, 10, 90),
        of_stock,
        span(2, 1, 20, 30),
        of_trace(2, span(9, 0, 1, 2)),
    ];
    (spans, vec![of_log(25, 2), of_log(45, 3)])
}

fn fill(store: &Store) {
    let (spans, logs) = rows();
    store.apply_spans(at(0), &spans);
    store.apply_logs(at(1), &logs);
}

/// In memory, and on disk.
fn everywhere(check: impl Fn(&Store)) {
    let in_memory = store();
    fill(&in_memory);
    check(&in_memory);
    let (on_disk, _directory) = durable_store();
    fill(&on_disk);
    write_out(&on_disk);
    check(&on_disk);
}

#[test]
fn an_outline_has_the_numbers_of_all_spans_and_logs() {
    everywhere(|store| {
        let outline = outline(store, "", "", None);
        let whole = whole_trace(store, trace_id(1));
        assert_eq!(outline.spans.len(), 3);
        for (own, row) in outline.spans.iter().zip(whole.spans()) {
            assert_eq!(own.span_id, *row.span.span_id);
            let parent = row.span.parent_span_id;
            assert_eq!(own.parent_id, parent[..].try_into().unwrap_or([0; 8]));
            assert_eq!(own.start_unix_nano, row.span.start_time_unix_nano);
            assert_eq!(own.end_unix_nano, row.span.end_time_unix_nano);
            assert_eq!(outline.names[own.name as usize], row.span.name);
            let resource = &outline.resources[own.resource as usize];
            assert_eq!(resource.service(), row.resource.service());
            assert_eq!(i32::from(own.kind), row.span.kind);
            let status = row.span.status.map_or(0, |status| status.code);
            assert_eq!(i32::from(own.status), status);
        }
        assert_eq!(outline.resources.len(), 2, "each is told once");
        let logs: Vec<_> = outline
            .logs
            .iter()
            .map(|log| (log.time_unix_nano, log.span_id, log.severity))
            .collect();
        assert_eq!(logs, [(25, [2; 8], 11), (45, [3; 8], 12)]);
        assert!(!outline.coverage.partial);
    });
}

#[test]
fn an_outline_tells_what_matches_and_the_values_of_a_field() {
    everywhere(|store| {
        let outline = outline(
            store,
            "status:error shelf:top",
            "span:0202020202020202",
            Some("shelf"),
        );
        let matches: Vec<_> = outline.spans.iter().map(|span| span.matches).collect();
        assert_eq!(matches, [false, false, true]);
        let matches: Vec<_> = outline.logs.iter().map(|log| log.matches).collect();
        assert_eq!(matches, [true, false]);
        let values: Vec<_> = outline
            .spans
            .iter()
            .map(|span| {
                span.value
                    .map(|value| outline.values[value as usize].as_str())
            })
            .collect();
        assert_eq!(values, [None, None, Some("top")]);
    });
}

#[test]
fn a_span_that_was_sent_twice_is_in_an_outline_once_and_two_of_one_id_are_two() {
    let store = store();
    let mut other = span(1, 0, 10, 90);
    other.span.attributes = vec![pair("a", text("b"))];
    store.apply_spans(at(0), &[span(1, 0, 10, 90), span(1, 0, 10, 90), other]);
    let outline = outline(&store, "", "", None);
    assert_eq!((outline.spans.len(), outline.duplicate_count), (2, 1));
}

#[test]
fn an_outline_ends_at_its_limit_and_says_so() {
    everywhere(|store| {
        let spec = OutlineSpec {
            limits: TraceLimits {
                spans_max: 2,
                logs_max: 1,
            },
            ..spec("", "", None)
        };
        let outline = store.outline(&spec, &Stop::never());
        assert_eq!((outline.spans.len(), outline.logs.len()), (2, 1));
        assert!(outline.coverage.partial);
        assert_eq!(outline.coverage.reasons.len(), 2);
    });
}

#[test]
fn a_selection_has_the_spans_and_logs_that_it_names_and_no_others() {
    everywhere(|store| {
        let selection = TraceSelection {
            span_ids: HashSet::from([[3; 8], [9; 8], [77; 8]]),
            log_times: HashSet::from([25, 26]),
            only_events: false,
        };
        let found = store.selected(trace_id(1), &selection, ALL, &Stop::never());
        let spans: Vec<SpanRow> = found.spans().collect();
        let (all, logs) = rows();
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].span, all[1].span);
        assert_eq!(spans[0].resource.service(), "stock");
        let found: Vec<LogRow> = found.logs().collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].record, logs[0].record);
        let nothing = TraceSelection::default();
        let nothing = store.selected(trace_id(1), &nothing, ALL, &Stop::never());
        assert!(nothing.is_empty());
    });
}

/// The spans of a selection, with no more than their events.
fn events_of(store: &Store, span_ids: &[[u8; 8]]) -> Vec<SpanRow> {
    let selection = TraceSelection {
        span_ids: span_ids.iter().copied().collect(),
        only_events: true,
        ..TraceSelection::default()
    };
    let found = store.selected(trace_id(1), &selection, ALL, &Stop::never());
    found.spans().collect()
}

#[test]
fn a_selection_of_events_has_ids_times_and_events_and_nothing_else() {
    everywhere(|store| {
        let spans = events_of(store, &[[3; 8]]);
        let mut eventful = span(3, 1, 40, 50).span;
        eventful.name = String::new();
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].span, eventful);
        assert_eq!(spans[0].resource.resource, Resource::default());
    });
}

#[test]
fn events_come_alone_also_of_spans_that_had_to_be_compared_whole() {
    let (store, _directory) = durable_store();
    let mut one = span(1, 0, 10, 90);
    one.span.events = vec![Event {
        time_unix_nano: 20,
        name: "retry".to_owned(),
        ..Event::default()
    }];
    let mut other = one.clone();
    other.span.attributes = vec![pair("a", text("b"))];
    store.apply_spans(at(0), &[one.clone(), other]);
    write_out(&store);
    let spans = events_of(&store, &[[1; 8]]);
    assert_eq!(spans.len(), 2);
    one.span.name = String::new();
    assert!(spans.iter().all(|row| row.span == one.span));
}

#[test]
fn a_selection_over_its_limit_is_partial_and_says_why() {
    everywhere(|store| {
        let selection = TraceSelection {
            span_ids: HashSet::from([[1; 8], [2; 8], [3; 8]]),
            log_times: HashSet::from([25, 45]),
            only_events: false,
        };
        let limits = TraceLimits {
            spans_max: 2,
            logs_max: 1,
        };
        let found = store.selected(trace_id(1), &selection, limits, &Stop::never());
        assert_eq!((found.span_count(), found.log_count()), (2, 1));
        assert!(found.coverage.partial);
        assert_eq!(
            found.coverage.reasons,
            [
                "what was asked for of the trace has 3 spans, of which the first 2 are answered",
                "what was asked for of the trace has 2 log records, of which the first 1 are answered"
            ]
        );
        let all = store.selected(trace_id(1), &selection, ALL, &Stop::never());
        assert!(!all.coverage.partial);
    });
}

#[test]
fn a_selection_counts_the_spans_that_were_stored_twice() {
    let store = store();
    store.apply_spans(at(0), &[span(1, 0, 10, 90), span(1, 0, 10, 90)]);
    let selection = TraceSelection {
        span_ids: HashSet::from([[1; 8]]),
        ..TraceSelection::default()
    };
    let found = store.selected(trace_id(1), &selection, ALL, &Stop::never());
    assert_eq!((found.span_count(), found.duplicate_count), (1, 1));
}

#[test]
fn a_selection_finds_spans_anywhere_in_a_trace_that_is_read_in_many_parts() {
    let (store, _directory) = durable_store();
    let id_of = |number: u64| (number + 1).to_be_bytes();
    let rows = (0..70_000).map(|number| {
        let mut row = span(1, 0, number, number + 7);
        row.span.span_id = id_of(number).to_vec().into();
        row
    });
    store.apply_spans(at(0), &rows.collect::<Vec<_>>());
    write_out(&store);
    let wanted = [0, 32_767, 32_768, 65_536, 69_999];
    let selection = TraceSelection {
        span_ids: wanted.map(id_of).into(),
        ..TraceSelection::default()
    };
    let found = store.selected(trace_id(1), &selection, ALL, &Stop::never());
    let starts = found.spans().map(|row| row.span.start_time_unix_nano);
    assert_eq!(starts.collect::<Vec<_>>(), wanted);
    assert!(!found.coverage.partial);
    // As much was looked at as the trace has, and then what was found.
    assert_eq!(found.coverage.scanned, 70_005);
}
