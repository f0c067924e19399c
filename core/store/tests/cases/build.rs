//! Short ways to make rows, stores and questions.

use std::sync::Arc;

use bytes::Bytes;
use log_tracer_query::parse;
use log_tracer_record::{
    LogRow, ResourceContext, SpanRow, TraceId,
    otlp::{
        common::{AnyValue, KeyValue, any_value::Value},
        logs::LogRecord,
        resource::Resource,
        trace::{Span, Status},
    },
};
use log_tracer_store::{
    Config, LogResults, LogSearch, Mark, Origin, Stop, Store, TimeRange, Trace, TraceLimits,
    TraceOrder, TraceResults, TraceSearch, TraceSummary,
};

pub(crate) fn store() -> Store {
    Store::new(Config::default()).unwrap()
}

/// Room for a few hundred rows.
pub(crate) fn small_store() -> Store {
    let config = Config {
        spans_bytes_max: 1 << 20,
        logs_bytes_max: 1 << 20,
        chunk_bytes_max: 64 << 10,
        ..Config::default()
    };
    Store::new(config).unwrap()
}

/// A store with a directory, which lives as long as what is beside it.
pub(crate) fn durable_store() -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(Config::default(), directory.path()).unwrap();
    (store, directory)
}

/// Moves all rows from memory to disk.
pub(crate) fn write_out(store: &Store) {
    store.seal(Mark::default()).unwrap();
    // Writes what was sealed, and returns.
    let stop = Stop::never();
    stop.cancel();
    store.maintain(&stop, &mut |_| {});
}

pub(crate) fn at(offset: u64) -> Origin {
    Origin {
        partition: 0,
        offset,
    }
}

pub(crate) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

pub(crate) fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

pub(crate) fn service(name: &str) -> Arc<ResourceContext> {
    let resource = Resource {
        attributes: vec![pair("service.name", text(name))],
        ..Resource::default()
    };
    Arc::new(ResourceContext::new(resource, String::new()))
}

pub(crate) fn trace_id(number: u8) -> TraceId {
    TraceId::from_bytes(&[number; 16]).unwrap()
}

fn id(number: u8) -> Bytes {
    match number {
        0 => Bytes::new(),
        number => Bytes::copy_from_slice(&[number; 8]),
    }
}

/// A span of trace 1; parent 0 is none.
pub(crate) fn span(number: u8, parent: u8, start: u64, end: u64) -> SpanRow {
    let span = Span {
        trace_id: trace_id(1).to_bytes(),
        span_id: id(number),
        parent_span_id: id(parent),
        name: format!("span {number}"),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        ..Span::default()
    };
    SpanRow {
        resource: service("shop"),
        scope: Arc::default(),
        span,
    }
}

pub(crate) fn of_trace(trace: u8, mut row: SpanRow) -> SpanRow {
    row.span.trace_id = trace_id(trace).to_bytes();
    row
}

pub(crate) fn failed(mut row: SpanRow) -> SpanRow {
    row.span.status = Some(Status {
        code: 2,
        message: "no luck".to_owned(),
    });
    row
}

/// A log record that belongs to no trace.
pub(crate) fn log(time: u64, body: &str) -> LogRow {
    let record = LogRecord {
        time_unix_nano: time,
        body: Some(AnyValue {
            value: Some(text(body)),
        }),
        ..LogRecord::default()
    };
    LogRow {
        resource: service("shop"),
        scope: Arc::default(),
        record,
    }
}

pub(crate) fn log_with(attributes: Vec<KeyValue>) -> LogRow {
    let mut row = log(5, "a line");
    row.record.attributes = attributes;
    row
}

pub(crate) fn logs_of(query: &str) -> LogSearch {
    LogSearch {
        query: parse(query).unwrap(),
        range: TimeRange::ALL,
        limit: 100,
        bytes_max: u64::MAX,
        after: None,
        oldest_first: false,
    }
}

pub(crate) fn find_logs(store: &Store, query: &str) -> LogResults {
    store.search_logs(&logs_of(query), &Stop::never())
}

pub(crate) fn traces_of(query: &str) -> TraceSearch {
    TraceSearch {
        query: parse(query).unwrap(),
        range: TimeRange::ALL,
        duration_min_nano: 0,
        duration_max_nano: None,
        order: TraceOrder::Newest { after: None },
        limit: 100,
    }
}

pub(crate) fn find_traces(store: &Store, query: &str) -> TraceResults {
    store.search_traces(&traces_of(query), &Stop::never())
}

/// The summary of trace 1.
pub(crate) fn summary(store: &Store) -> TraceSummary {
    find_traces(store, "trace:01010101010101010101010101010101")
        .traces
        .remove(0)
}

pub(crate) fn whole_trace(store: &Store, id: TraceId) -> Trace {
    let limits = TraceLimits {
        spans_max: usize::MAX,
        logs_max: usize::MAX,
    };
    store.trace(id, limits, &Stop::never())
}
