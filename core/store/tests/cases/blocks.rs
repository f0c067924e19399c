//! What is on disk is found as what is in memory is, and no more of it is read than the answer needs.

use log_tracer_query::parse;
use log_tracer_store::{
    HistogramGroup, HistogramSpec, Signal, Stop, Store, TimeRange, TraceLimits, TraceOrder,
};

use crate::build::{
    at, durable_store, failed, find_logs, find_traces, log, logs_of, of_trace, span, trace_id,
    traces_of, whole_trace, write_out,
};

const BATCHES: u64 = 100;
const BATCH_ROWS: u64 = 500;

/// Times from 0 on, one row each, three quarters of them on disk.
fn fill_with_logs(store: &Store) {
    for batch in 0..BATCHES {
        let rows: Vec<_> = (0..BATCH_ROWS)
            .map(|n| log(batch * BATCH_ROWS + n, "a common word"))
            .collect();
        store.apply_logs(at(batch), &rows);
        if batch % 25 == 24 && batch < 75 {
            write_out(store);
        }
    }
}

fn times(store: &Store, search: &log_tracer_store::LogSearch) -> Vec<u64> {
    let found = store.search_logs(search, &Stop::never());
    found
        .hits
        .iter()
        .map(|hit| hit.key.time_unix_nano)
        .collect()
}

#[test]
fn a_page_reads_no_more_pieces_than_it_needs() {
    let (store, _directory) = durable_store();
    fill_with_logs(&store);
    write_out(&store);
    let all = find_logs(&store, "no.such.field:x").coverage;
    let pieces = all.pieces_read + all.pieces_skipped;
    let mut search = logs_of("common");
    search.limit = 10;
    for oldest_first in [false, true] {
        search.oldest_first = oldest_first;
        let coverage = store.search_logs(&search, &Stop::never()).coverage;
        assert!(!coverage.partial);
        assert!(
            coverage.pieces_read <= 4 && coverage.pieces_read < pieces,
            "{} of {pieces} pieces",
            coverage.pieces_read
        );
        assert!(coverage.scanned < 20_000, "{coverage:?}");
    }
    assert_eq!(times(&store, &search), (0..10).collect::<Vec<_>>());
    search.oldest_first = false;
    let newest: Vec<u64> = (49_990..50_000).rev().collect();
    assert_eq!(times(&store, &search), newest);
}

#[test]
fn a_page_goes_on_from_memory_to_disk() {
    let (store, _directory) = durable_store();
    fill_with_logs(&store);
    let mut search = logs_of("");
    search.range.end_unix_nano = Some(37_505);
    search.limit = 4;
    let mut found = Vec::new();
    for _ in 0..5 {
        let page = store.search_logs(&search, &Stop::never());
        search.after = page.next;
        found.extend(page.hits.iter().map(|hit| hit.key.time_unix_nano));
    }
    assert_eq!(found, (37_485..37_505).rev().collect::<Vec<_>>());
}

#[test]
fn late_rows_stand_where_their_time_is() {
    let (store, _directory) = durable_store();
    for offset in 0..5 {
        // Each block reaches from the far past to the far future.
        store.apply_logs(
            at(offset),
            &[
                log(offset, "past"),
                log(1000 + offset, "now"),
                log(u64::MAX - offset, "future"),
            ],
        );
        write_out(&store);
    }
    let mut search = logs_of("");
    search.limit = 7;
    let newest: Vec<u64> = (0..5).map(|n| u64::MAX - n).chain([1004, 1003]).collect();
    assert_eq!(times(&store, &search), newest);
    search.range = TimeRange {
        start_unix_nano: 2,
        end_unix_nano: Some(1002),
    };
    assert_eq!(times(&store, &search), [1001, 1000, 4, 3, 2]);
}

#[test]
fn a_histogram_of_everything_reads_no_piece_that_lies_in_one_step() {
    let (store, _directory) = durable_store();
    fill_with_logs(&store);
    let mut spec = HistogramSpec {
        signal: Signal::Logs,
        query: parse("").unwrap(),
        start_unix_nano: 0,
        end_unix_nano: 100_000,
        step_nano: 100_000,
        group: HistogramGroup::None,
        rows_max: None,
    };
    let found = store.histogram(&spec, &Stop::never()).unwrap();
    assert_eq!(found.series[0].counts, [50_000]);
    assert_eq!((found.coverage.pieces_read, found.coverage.scanned), (0, 0));
    spec.group = HistogramGroup::Level;
    let found = store.histogram(&spec, &Stop::never()).unwrap();
    assert_eq!(found.series[0].counts, [50_000]);
    assert_eq!(found.coverage.matched, 50_000);
    assert_eq!(found.coverage.pieces_read, 0);
    spec.query = parse("service:shop -severity>=warn").unwrap();
    let of_query = store.histogram(&spec, &Stop::never()).unwrap();
    assert_eq!(of_query.series, found.series);
    assert_eq!(of_query.coverage.pieces_read, 0);
}

/// Traces 1 to 40, in four blocks: each has two spans, 10 apart.
fn fill_with_traces(store: &Store) {
    for trace in 1..=40u8 {
        let start = u64::from(trace) * 100;
        let spans = [
            span(1, 0, start, start + 50),
            span(2, 1, start + 10, start + 20),
        ];
        store.apply_spans(at(trace.into()), &spans.map(|row| of_trace(trace, row)));
        if trace % 10 == 0 {
            write_out(store);
        }
    }
}

fn newest(store: &Store, query: &str, limit: usize) -> Vec<u8> {
    let mut search = traces_of(query);
    search.limit = limit;
    let found = store.search_traces(&search, &Stop::never());
    assert!(!found.coverage.partial, "{:?}", found.coverage);
    let ids = found
        .traces
        .iter()
        .map(|trace| trace.trace_id.as_bytes()[0]);
    ids.collect()
}

#[test]
fn a_long_trace_that_began_long_before_stands_where_it_began() {
    let (store, _directory) = durable_store();
    // It begins in the first block, goes on in the third, and its last span is in memory.
    store.apply_spans(at(100), &[of_trace(99, span(1, 0, 150, 9000))]);
    fill_with_traces(&store);
    store.apply_spans(at(101), &[of_trace(99, failed(span(2, 1, 2950, 3000)))]);
    write_out(&store);
    store.apply_spans(at(102), &[of_trace(99, span(3, 1, 8000, 8100))]);
    for query in ["", "service:shop", "name:\"span 3\" OR name:\"span 1\""] {
        assert_eq!(newest(&store, query, 3), [40, 39, 38], "{query}");
        let all = newest(&store, query, 100);
        assert_eq!(all.len(), 41);
        assert_eq!(all[38..], [2, 99, 1], "{query}");
    }
    assert_eq!(newest(&store, "status:error", 3), [99]);
    assert_eq!(newest(&store, "name:\"span 3\"", 3), [99]);
    let summary = &find_traces(&store, "status:error").traces[0];
    assert_eq!(
        (
            summary.span_count,
            summary.start_unix_nano,
            summary.duration_nano
        ),
        (3, 150, 8850)
    );
}

#[test]
fn the_newest_traces_are_found_without_reading_all() {
    let (store, _directory) = durable_store();
    for batch in 0..40u64 {
        let rows = (0..500u64).map(|n| {
            let number = batch * 500 + n + 1;
            let mut row = span(1, 0, number, number + 9);
            row.span.trace_id = bytes::Bytes::copy_from_slice(&u128::from(number).to_be_bytes());
            row
        });
        store.apply_spans(at(batch), &rows.collect::<Vec<_>>());
        if batch % 10 == 9 {
            write_out(&store);
        }
    }
    let mut search = traces_of("service:shop");
    search.limit = 5;
    let found = store.search_traces(&search, &Stop::never());
    let starts: Vec<u64> = found.traces.iter().map(|it| it.start_unix_nano).collect();
    assert_eq!(starts, [20_000, 19_999, 19_998, 19_997, 19_996]);
    assert!(found.coverage.pieces_read <= 3, "{:?}", found.coverage);
    assert!(found.coverage.scanned < 10_000, "{:?}", found.coverage);
    assert!(found.next.is_some() && !found.coverage.partial);
}

#[test]
fn a_trace_is_found_by_a_span_that_lies_after_the_range_in_another_block() {
    let (store, _directory) = durable_store();
    fill_with_traces(&store);
    store.apply_spans(at(100), &[of_trace(5, failed(span(3, 1, 7000, 7100)))]);
    for _ in 0..2 {
        let mut search = traces_of("status:error");
        search.range = TimeRange {
            start_unix_nano: 400,
            end_unix_nano: Some(600),
        };
        for order in [
            TraceOrder::Newest { after: None },
            TraceOrder::Longest,
            TraceOrder::MostErrors,
        ] {
            search.order = order;
            let found = store.search_traces(&search, &Stop::never());
            assert_eq!(found.traces.len(), 1);
            assert_eq!(found.traces[0].trace_id, trace_id(5));
            assert_eq!(found.traces[0].duration_nano, 6600);
        }
        // Once more with all of it on disk.
        write_out(&store);
    }
}

#[test]
fn a_trace_over_several_blocks_is_whole_and_its_limits_leave_out_the_newest() {
    let (store, _directory) = durable_store();
    for part in 0..4u64 {
        let rows = (0..500u64).map(|n| {
            let number = n * 4 + part + 1;
            let mut row = span(0, 0, number, number + 9);
            row.span.span_id = bytes::Bytes::copy_from_slice(&number.to_be_bytes());
            row
        });
        store.apply_spans(at(part), &rows.collect::<Vec<_>>());
        let rows: Vec<_> = (0..10u64)
            .map(|n| {
                let mut row = log(n * 4 + part, "of the trace");
                row.record.trace_id = trace_id(1).to_bytes();
                row
            })
            .collect();
        store.apply_logs(at(part), &rows);
        if part != 2 {
            write_out(&store);
        }
    }
    let trace = whole_trace(&store, trace_id(1));
    let starts: Vec<u64> = trace.spans().map(|row| row.start_unix_nano()).collect();
    assert_eq!(starts, (1..=2000).collect::<Vec<_>>());
    assert_eq!(trace.log_count(), 40);
    let limits = TraceLimits {
        spans_max: 7,
        logs_max: 3,
    };
    let trace = store.trace(trace_id(1), limits, &Stop::never());
    let starts: Vec<u64> = trace.spans().map(|row| row.start_unix_nano()).collect();
    assert_eq!(starts, [1, 2, 3, 4, 5, 6, 7]);
    let times: Vec<u64> = trace.logs().map(|row| row.time_unix_nano()).collect();
    assert_eq!(times, [0, 1, 2]);
    assert!(trace.coverage.scanned < 20, "{:?}", trace.coverage);
    assert_eq!(
        trace.coverage.reasons,
        [
            "the trace has 2000 spans, of which the first 7 are answered",
            "the trace has 40 log records, of which the first 3 are answered"
        ]
    );
}

#[test]
fn a_span_that_is_in_memory_and_on_disk_is_one_span() {
    let (store, _directory) = durable_store();
    let spans = [span(1, 0, 10, 90), failed(span(2, 1, 20, 30))];
    for offset in 0..3 {
        store.apply_spans(at(offset), &spans);
        if offset < 2 {
            write_out(&store);
        }
    }
    let trace = whole_trace(&store, trace_id(1));
    assert_eq!((trace.span_count(), trace.duplicate_count), (2, 4));
    let summary = &find_traces(&store, "status:error").traces[0];
    assert_eq!(
        (
            summary.span_count,
            summary.error_count,
            summary.matched_count
        ),
        (2, 1, 1)
    );
}

#[test]
fn services_and_operations_on_disk_are_counted_without_a_row_read() {
    let (store, _directory) = durable_store();
    fill_with_traces(&store);
    fill_with_logs(&store);
    let services = store.services(&Stop::never());
    let counts = &services.services[0];
    assert_eq!((counts.span_count, counts.log_count), (80, 50_000));
    assert_eq!(services.coverage.scanned, 0);
    let operations = store.operations(None, 10, &Stop::never());
    let counts: Vec<u64> = operations
        .operations
        .iter()
        .map(|it| it.span_count)
        .collect();
    assert_eq!(counts, [40, 40]);
}
