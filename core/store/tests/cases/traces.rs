//! Traces as they should not be, and are.

use std::sync::Arc;

use log_tracer_record::otlp::common::any_value::Value;
use log_tracer_store::{Stop, Store, TimeRange, TraceLimits, TraceOrder};

use crate::build::{
    at, failed, find_traces, log, of_trace, pair, service, span, store, summary, text, trace_id,
    traces_of, whole_trace,
};

fn names(store: &Store) -> Vec<String> {
    whole_trace(store, trace_id(1))
        .spans()
        .map(|row| row.span.name)
        .collect()
}

#[test]
fn a_span_that_was_sent_twice_is_shown_once_and_counted_as_a_duplicate() {
    let store = store();
    store.apply_spans(at(0), &[span(1, 0, 10, 90), span(2, 1, 20, 30)]);
    store.apply_spans(at(1), &[span(2, 1, 20, 30), span(3, 1, 40, 50)]);
    let trace = whole_trace(&store, trace_id(1));
    assert_eq!(trace.span_count(), 3);
    assert_eq!(trace.duplicate_count, 1);
    assert!(!trace.coverage.partial);
    let summary = summary(&store);
    assert_eq!((summary.span_count, summary.services[0].span_count), (3, 3));
}

#[test]
fn a_client_and_a_server_that_share_a_span_id_are_both_shown() {
    let store = store();
    let mut server = span(1, 0, 12, 88);
    server.resource = service("stock");
    server.span.kind = 2;
    store.apply_spans(at(0), &[span(1, 0, 10, 90), server, span(2, 1, 20, 30)]);
    let trace = whole_trace(&store, trace_id(1));
    assert_eq!((trace.span_count(), trace.duplicate_count), (3, 0));
    let summary = summary(&store);
    assert_eq!(summary.orphan_count, 0);
    assert_eq!(summary.root_service, "shop");
    assert_eq!(summary.services.len(), 2);
}

#[test]
fn the_same_span_from_another_instance_is_another_span() {
    let store = store();
    let mut other = span(1, 0, 10, 90);
    other.resource = service("shop 2");
    let mut other_scope = span(1, 0, 10, 90);
    Arc::make_mut(&mut other_scope.scope).schema_url = "https://example.com/2".to_owned();
    store.apply_spans(at(0), &[span(1, 0, 10, 90), other, other_scope]);
    assert_eq!(whole_trace(&store, trace_id(1)).span_count(), 3);
}

#[test]
fn without_a_root_the_earliest_orphan_stands_for_the_trace() {
    let store = store();
    // Span 4 is the earliest, but its parent is there.
    store.apply_spans(
        at(0),
        &[span(4, 2, 5, 6), span(3, 9, 30, 40), span(2, 8, 20, 50)],
    );
    let summary = summary(&store);
    assert_eq!(summary.root_name, "span 2");
    assert_eq!(summary.orphan_count, 2);
    assert_eq!((summary.start_unix_nano, summary.duration_nano), (5, 45));
}

#[test]
fn of_two_roots_the_earlier_stands_for_the_trace() {
    let store = store();
    store.apply_spans(
        at(0),
        &[span(1, 0, 50, 60), span(2, 0, 20, 30), span(3, 1, 10, 90)],
    );
    assert_eq!(summary(&store).root_name, "span 2");
}

#[test]
fn parents_in_a_circle_have_no_orphan_and_the_earliest_stands_for_the_trace() {
    let store = store();
    store.apply_spans(
        at(0),
        &[
            span(1, 3, 30, 40),
            span(2, 1, 20, 30),
            span(3, 2, 25, 30),
            span(4, 4, 90, 99),
        ],
    );
    let summary = summary(&store);
    assert_eq!(summary.root_name, "span 2");
    assert_eq!((summary.span_count, summary.orphan_count), (4, 0));
}

#[test]
fn a_span_that_ends_before_it_starts_does_not_make_time_run_backwards() {
    let store = store();
    store.apply_spans(at(0), &[span(1, 0, 100, 40)]);
    let summary = summary(&store);
    assert_eq!((summary.start_unix_nano, summary.duration_nano), (100, 0));
    assert_eq!(find_traces(&store, "duration:0ns").traces.len(), 1);
}

#[test]
fn a_child_whose_clock_is_ahead_of_its_parent_keeps_its_time() {
    let store = store();
    store.apply_spans(at(0), &[span(1, 0, 100, 200), span(2, 1, 40, 260)]);
    assert_eq!(names(&store), ["span 2", "span 1"]);
    let summary = summary(&store);
    assert_eq!(summary.root_name, "span 1");
    assert_eq!((summary.start_unix_nano, summary.duration_nano), (40, 220));
}

#[test]
fn times_at_both_ends_are_kept_ordered_and_found() {
    let store = store();
    let ends = [
        span(1, 0, u64::MAX, u64::MAX),
        span(2, 1, 0, 0),
        span(3, 1, 7, u64::MAX),
    ];
    store.apply_spans(at(0), &ends);
    assert_eq!(names(&store), ["span 2", "span 3", "span 1"]);
    assert_eq!(summary(&store).duration_nano, u64::MAX);
    let mut search = traces_of("");
    search.range = TimeRange {
        start_unix_nano: 0,
        end_unix_nano: Some(1),
    };
    assert_eq!(store.search_traces(&search, &Stop::never()).traces.len(), 1);
    store.apply_spans(at(1), &[of_trace(2, span(1, 0, u64::MAX, u64::MAX))]);
    search.range = TimeRange {
        start_unix_nano: u64::MAX,
        end_unix_nano: None,
    };
    assert_eq!(store.search_traces(&search, &Stop::never()).traces.len(), 1);
}

#[test]
fn a_trace_is_in_the_range_by_its_start_even_when_only_a_later_span_matches() {
    let store = store();
    store.apply_spans(at(0), &[failed(span(2, 1, 500, 600))]);
    store.apply_spans(at(1), &[span(1, 0, 100, 900)]);
    let mut search = traces_of("status:error");
    search.range = TimeRange {
        start_unix_nano: 50,
        end_unix_nano: Some(150),
    };
    let found = store.search_traces(&search, &Stop::never()).traces;
    assert_eq!(
        (
            found[0].span_count,
            found[0].matched_count,
            found[0].error_count
        ),
        (2, 1, 1)
    );
    search.range = TimeRange {
        start_unix_nano: 450,
        end_unix_nano: Some(550),
    };
    assert!(
        store
            .search_traces(&search, &Stop::never())
            .traces
            .is_empty()
    );
}

#[test]
fn one_span_has_to_match_the_whole_query() {
    let store = store();
    store.apply_spans(at(0), &[failed(span(1, 0, 1, 2)), span(2, 1, 1, 2)]);
    assert!(
        find_traces(&store, "status:error name:\"span 2\"")
            .traces
            .is_empty()
    );
    assert_eq!(
        find_traces(&store, "status:error name:\"span 1\"")
            .traces
            .len(),
        1
    );
}

#[test]
fn pages_of_traces_that_start_together_neither_repeat_nor_lose_one() {
    let store = store();
    for trace in 1..=50 {
        store.apply_spans(
            at(trace),
            &[of_trace(trace as u8, span(1, 0, 100 + trace / 10, 200))],
        );
    }
    let mut search = traces_of("");
    search.limit = 7;
    let mut found = Vec::new();
    loop {
        let page = store.search_traces(&search, &Stop::never());
        found.extend(
            page.traces
                .into_iter()
                .map(|trace| (trace.start_unix_nano, trace.trace_id)),
        );
        match page.next {
            Some(after) => search.order = TraceOrder::Newest { after: Some(after) },
            None => break,
        }
    }
    assert_eq!(found.len(), 50);
    assert!(found.is_sorted_by(|a, b| a > b));
}

#[test]
fn what_the_root_says_about_its_outcome_is_in_the_summary() {
    let code = |key: &str, code| pair(key, Value::IntValue(code));
    let cases = [
        (vec![], ""),
        (vec![code("http.response.status_code", 500)], "500"),
        (
            vec![
                pair("http.request.method", text("GET")),
                code("http.response.status_code", 404),
            ],
            "GET 404",
        ),
        (
            vec![
                pair("http.method", text("PUT")),
                code("http.status_code", 201),
            ],
            "PUT 201",
        ),
        (vec![code("rpc.grpc.status_code", 5)], "NOT_FOUND"),
        (vec![code("rpc.grpc.status_code", 99)], "99"),
        (
            vec![pair("rpc.response.status_code", text("UNAVAILABLE"))],
            "UNAVAILABLE",
        ),
    ];
    for (attributes, expected) in cases {
        let store = store();
        let mut root = span(1, 0, 1, 2);
        root.span.attributes = attributes;
        store.apply_spans(at(0), &[root]);
        assert_eq!(summary(&store).root_status, expected);
    }
}

#[test]
fn the_logs_of_a_trace_come_with_it_and_those_without_a_valid_id_do_not() {
    let store = store();
    let of = |time, id: &[u8]| {
        let mut row = log(time, &format!("at {time}"));
        row.record.trace_id = bytes::Bytes::copy_from_slice(id);
        row
    };
    store.apply_spans(at(0), &[span(1, 0, 10, 20)]);
    store.apply_logs(
        at(1),
        &[
            of(30, &[1; 16]),
            of(15, &[1; 16]),
            of(1, &[0; 16]),
            of(2, &[1; 15]),
            of(3, &[]),
        ],
    );
    let trace = whole_trace(&store, trace_id(1));
    let times: Vec<u64> = trace.logs().map(|row| row.time_unix_nano()).collect();
    assert_eq!(times, [15, 30]);
    assert_eq!(summary(&store).log_count, 2);
}

#[test]
fn a_trace_that_has_only_logs_is_found_by_its_id() {
    let store = store();
    let mut row = log(5, "alone");
    row.record.trace_id = trace_id(7).to_bytes();
    store.apply_logs(at(0), &[row]);
    let trace = whole_trace(&store, trace_id(7));
    assert!(!trace.is_empty());
    assert_eq!((trace.span_count(), trace.log_count()), (0, 1));
}

#[test]
fn a_trace_that_nobody_sent_is_empty_and_whole() {
    let trace = whole_trace(&store(), trace_id(1));
    assert!(trace.is_empty() && !trace.coverage.partial);
}

#[test]
fn what_is_over_a_limit_is_the_newest_and_is_said() {
    let store = store();
    let spans: Vec<_> = (1..=10).map(|n| span(n, 0, u64::from(n), 99)).collect();
    store.apply_spans(at(0), &spans);
    let limits = TraceLimits {
        spans_max: 3,
        logs_max: 0,
    };
    let trace = store.trace(trace_id(1), limits, &Stop::never());
    assert_eq!(
        trace
            .spans()
            .map(|row| row.start_unix_nano())
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        trace.coverage.reasons,
        ["the trace has 10 spans, of which the first 3 are answered"]
    );
}

#[test]
fn a_trace_of_100_000_spans_is_whole() {
    let store = store();
    for batch in 0..100u32 {
        let of_batch = (0..1000u32).map(|n| {
            let number = u64::from(batch * 1000 + n) + 1;
            let mut row = span(0, 0, number, number + 5);
            row.span.span_id = bytes::Bytes::copy_from_slice(&number.to_be_bytes());
            row.span.parent_span_id = bytes::Bytes::copy_from_slice(&(number / 2).to_be_bytes());
            row
        });
        store.apply_spans(at(batch.into()), &of_batch.collect::<Vec<_>>());
    }
    let summary = summary(&store);
    assert_eq!((summary.span_count, summary.orphan_count), (100_000, 0));
    assert_eq!(whole_trace(&store, trace_id(1)).spans().count(), 100_000);
}

#[test]
fn many_copies_of_one_span_are_one_span() {
    let store = store();
    for offset in 0..40 {
        store.apply_spans(at(offset), &vec![span(1, 0, 10, 20); 50]);
    }
    let trace = whole_trace(&store, trace_id(1));
    assert_eq!((trace.span_count(), trace.duplicate_count), (1, 1999));
}
