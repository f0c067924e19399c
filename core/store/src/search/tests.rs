//! Searches that are cut short, at each place where that can happen.

use std::sync::Arc;

use bytes::Bytes;
use log_tracer_query::{Field, parse};
use log_tracer_record::{
    LogRow, SpanRow, TraceId,
    otlp::{
        logs::LogRecord,
        trace::{Span, Status},
    },
};

use super::*;
use crate::{
    Config, Coverage, Mark, Origin, Stop, Store, TimeRange,
    chunk::{LogChunk, SpanChunk},
    pool::ScanPool,
    table::Snapshot,
};

const TRACES: u64 = 60;

/// Traces of three spans that lie far from one another, in four blocks and in memory.
fn store() -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(Config::default(), directory.path()).unwrap();
    for batch in 0..5 {
        let origin = Origin {
            partition: 0,
            offset: batch,
        };
        let of_batch = batch * 36..(batch + 1) * 36;
        let rows: Vec<SpanRow> = of_batch.clone().map(span).collect();
        store.apply_spans(origin, &rows);
        let rows: Vec<LogRow> = of_batch.map(log).collect();
        store.apply_logs(origin, &rows);
        if batch < 4 {
            store.seal(Mark::default()).unwrap();
            // Writes what was sealed, and returns.
            let stop = Stop::never();
            stop.cancel();
            store.maintain(&stop, &mut |_| {});
        }
    }
    (store, directory)
}

fn trace_of(number: u64) -> TraceId {
    TraceId::from_bytes(&u128::from(number * 37 % TRACES + 1).to_be_bytes()).unwrap()
}

fn span(number: u64) -> SpanRow {
    let span = Span {
        trace_id: trace_of(number).to_bytes(),
        span_id: Bytes::copy_from_slice(&(number + 1).to_be_bytes()),
        name: "work".to_owned(),
        start_time_unix_nano: 1000 + number * 7 % 180,
        end_time_unix_nano: 1300 + number,
        status: number.is_multiple_of(5).then(|| Status {
            code: 2,
            ..Status::default()
        }),
        ..Span::default()
    };
    SpanRow {
        resource: Arc::default(),
        scope: Arc::default(),
        span,
    }
}

fn log(number: u64) -> LogRow {
    let record = LogRecord {
        trace_id: trace_of(number).to_bytes(),
        time_unix_nano: 1000 + number * 7 % 180,
        ..LogRecord::default()
    };
    LogRow {
        resource: Arc::default(),
        scope: Arc::default(),
        record,
    }
}

fn traces_of(query: &str, order: TraceOrder) -> TraceSearch {
    TraceSearch {
        query: parse(query).unwrap(),
        range: TimeRange::ALL,
        duration_min_nano: 0,
        duration_max_nano: None,
        order,
        limit: 7,
    }
}

const NEWEST: TraceOrder = TraceOrder::Newest { after: None };

/// Asks with stops that cancel at each look. Each answer is partial and says so, until one is whole.
fn stop_everywhere<A: std::fmt::Debug + PartialEq>(ask: impl Fn(&Stop) -> (A, Coverage)) {
    let (whole, _) = ask(&Stop::never());
    for looks in 0..10_000 {
        let (answer, coverage) = ask(&Stop::after_looks(looks));
        if !coverage.partial {
            assert_eq!(answer, whole);
            assert!(looks > 0, "it never looked");
            return;
        }
        assert_eq!(coverage.reasons, ["the search was cancelled"]);
    }
    panic!("it looks forever");
}

#[test]
fn each_question_can_be_stopped_at_each_part() {
    let (store, _directory) = store();
    let records = RecordSearch {
        query: parse("status:error").unwrap(),
        range: TimeRange::ALL,
        limit: 50,
        bytes_max: u64::MAX,
        after: None,
        oldest_first: false,
    };
    stop_everywhere(|stop| {
        let found = store.search_spans(&records, stop);
        (found.hits, found.coverage)
    });
    for query in ["", "status:error"] {
        for order in [NEWEST, TraceOrder::Longest] {
            let search = traces_of(query, order);
            stop_everywhere(|stop| {
                let found = store.search_traces(&search, stop);
                (found.traces, found.coverage)
            });
        }
    }
    let limits = TraceLimits {
        spans_max: 10,
        logs_max: 10,
    };
    stop_everywhere(|stop| {
        let trace = store.trace(trace_of(3), limits, stop);
        let starts = trace.spans().map(|row| row.start_unix_nano());
        (starts.collect::<Vec<_>>(), trace.coverage.clone())
    });
    let histogram = HistogramSpec {
        signal: Signal::Logs,
        query: parse("").unwrap(),
        start_unix_nano: 0,
        end_unix_nano: 10_000,
        step_nano: 10,
        group: HistogramGroup::Level,
        rows_max: None,
    };
    stop_everywhere(|stop| {
        let found = store.histogram(&histogram, stop).unwrap();
        (found.series, found.coverage)
    });
    let facets = FacetSpec {
        signal: Signal::Spans,
        query: parse("").unwrap(),
        range: TimeRange::ALL,
        fields: vec![Field::named("status")],
        values_max: 5,
        rows_max: None,
    };
    stop_everywhere(|stop| {
        let found = store.facets(&facets, stop);
        (found.facets, found.coverage)
    });
    stop_everywhere(|stop| {
        let found = store.services(stop);
        (found.services, found.coverage)
    });
    stop_everywhere(|stop| {
        let found = store.operations(None, 10, stop);
        (found.operations, found.coverage)
    });
}

#[test]
fn an_outline_can_be_stopped_while_it_is_put_together() {
    let store = Store::new(Config::default()).unwrap();
    let rows = (0..1_000).map(|number| {
        let mut row = span(number);
        row.span.trace_id = trace_of(1).to_bytes();
        row
    });
    let origin = Origin {
        partition: 0,
        offset: 0,
    };
    store.apply_spans(origin, &rows.collect::<Vec<_>>());
    let spec = OutlineSpec {
        trace_id: trace_of(1),
        limits: TraceLimits {
            spans_max: 1_000,
            logs_max: 1_000,
        },
        span_query: parse("").unwrap(),
        log_query: parse("").unwrap(),
        span_field: None,
    };
    stop_everywhere(|stop| {
        let found = store.outline(&spec, stop);
        (found.spans, found.coverage)
    });
    let whole = store.outline(&spec, &Stop::never());
    assert_eq!(whole.spans.len(), 1_000);
    let mut lengths = std::collections::BTreeSet::new();
    for looks in 0..50 {
        let found = store.outline(&spec, &Stop::after_looks(looks));
        assert!(whole.spans.starts_with(&found.spans));
        if found.coverage.scanned == whole.coverage.scanned {
            // All of it was read.
            assert_eq!(found.coverage.partial, found.spans.len() < 1_000);
            lengths.insert(found.spans.len());
        }
    }
    assert!(lengths.len() > 3, "{lengths:?}");
}

#[test]
fn a_page_of_the_newest_traces_that_was_stopped_is_the_beginning_of_the_page() {
    let (store, _directory) = store();
    let search = traces_of("status:error", NEWEST);
    let whole = store.search_traces(&search, &Stop::never()).traces;
    assert_eq!(whole.len(), 7);
    let mut lengths = std::collections::BTreeSet::new();
    for looks in 0..200 {
        let found = store.search_traces(&search, &Stop::after_looks(looks));
        assert!(whole.starts_with(&found.traces));
        assert_eq!(found.traces.is_empty(), found.next.is_none());
        lengths.insert(found.traces.len());
    }
    assert!(lengths.len() > 5, "{lengths:?}");
}

fn ask_traces(
    spans: &Snapshot<SpanChunk>,
    logs: &Snapshot<LogChunk>,
    search: &TraceSearch,
    answer_bytes_max: u64,
) -> TraceResults {
    let asking = Asking {
        pool: &ScanPool::new(2),
        answer_bytes_max,
        stop: &Stop::never(),
    };
    search_traces(spans, logs, search, asking)
}

/// How many bytes a search may take for so many traces.
fn room_for(traces: u64) -> u64 {
    traces * candidates::CANDIDATE_BYTES
}

#[test]
fn the_newest_traces_are_right_however_few_can_be_compared() {
    let (store, _directory) = store();
    let (spans, logs) = store.snapshots();
    for query in ["", "status:error", "name:work"] {
        for duration_min_nano in [0, 420] {
            let search = TraceSearch {
                duration_min_nano,
                ..traces_of(query, NEWEST)
            };
            let ask = |bytes| ask_traces(&spans, &logs, &search, bytes);
            let whole = ask(u64::MAX);
            assert!(!whole.coverage.partial && whole.traces.len() > 3);
            for traces in 8..80 {
                let found = ask(room_for(traces));
                assert!(whole.traces.starts_with(&found.traces));
                let is_cut = found.traces.len() < whole.traces.len();
                assert!(found.coverage.partial || !is_cut, "room for {traces}");
                assert!(traces < 65 || !is_cut, "room for all");
            }
        }
    }
}

#[test]
fn another_order_than_time_says_when_not_all_that_match_could_be_compared() {
    let (store, _directory) = store();
    let (spans, logs) = store.snapshots();
    // Those that stand first do not match, so that all that match are kept to be compared.
    let search = traces_of("duration<250ns", TraceOrder::Longest);
    let ask = |bytes| ask_traces(&spans, &logs, &search, bytes).coverage;
    assert_eq!(
        ask(room_for(10)).reasons,
        ["there are more traces than the 10 that a search may compare"]
    );
    assert!(!ask(room_for(TRACES)).partial);
}

#[test]
fn another_order_than_time_needs_no_room_but_for_a_page_when_the_first_match() {
    let (store, _directory) = store();
    let (spans, logs) = store.snapshots();
    for query in ["", "name:work", "status:error"] {
        let search = traces_of(query, TraceOrder::Longest);
        let ask = |bytes| ask_traces(&spans, &logs, &search, bytes);
        let (whole, found) = (ask(u64::MAX), ask(room_for(10)));
        assert_eq!((whole.traces.len(), &found.traces), (7, &whole.traces));
        assert!(!found.coverage.partial, "{:?}", found.coverage);
    }
}

#[test]
fn a_trace_with_more_spans_than_can_be_summed_up_is_said() {
    let (store, _directory) = store();
    let (spans, logs) = store.snapshots();
    let search = traces_of(&format!("trace:{}", trace_of(3)), NEWEST);
    // Room for two spans.
    let found = ask_traces(&spans, &logs, &search, 512);
    assert!(found.coverage.partial);
    let expected = "has 3 spans, of which the first 2 are summed up";
    let reasons = &found.coverage.reasons;
    assert!(
        reasons.iter().any(|reason| reason.ends_with(expected)),
        "{reasons:?}"
    );
}
