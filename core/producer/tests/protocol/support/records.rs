//! Requests to send.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use log_tracer_proto::{
    otlp::{
        collector_logs::ExportLogsServiceRequest,
        collector_trace::ExportTraceServiceRequest,
        common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span},
    },
    v1::{LogEntry, SubmitRequest},
};

pub(crate) fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

pub(crate) fn resource(service: &str) -> Resource {
    Resource {
        attributes: vec![attribute("service.name", service)],
        ..Resource::default()
    }
}

/// A valid span; the number makes its ids and its time.
pub(crate) fn span(number: u64) -> Span {
    let mut trace_id = [7; 16];
    trace_id[..8].copy_from_slice(&(number + 1).to_be_bytes());
    Span {
        trace_id: Bytes::copy_from_slice(&trace_id),
        span_id: Bytes::copy_from_slice(&(number + 1).to_be_bytes()),
        name: format!("GET /items/{number}"),
        start_time_unix_nano: 1_700_000_000_000_000_000 + number,
        end_time_unix_nano: 1_700_000_000_005_000_000 + number,
        attributes: vec![attribute("http.request.method", "GET")],
        ..Span::default()
    }
}

pub(crate) fn log(number: u64) -> LogRecord {
    LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000 + number,
        body: attribute("", &format!("line {number}")).value,
        ..LogRecord::default()
    }
}

pub(crate) fn traces_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource("shop")),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "tests".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

pub(crate) fn logs_of(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource("shop")),
            scope_logs: vec![ScopeLogs {
                log_records,
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

pub(crate) fn traces(count: u64) -> ExportTraceServiceRequest {
    traces_of((0..count).map(span).collect())
}

pub(crate) fn logs(count: u64) -> ExportLogsServiceRequest {
    logs_of((0..count).map(log).collect())
}

/// A trace request of about so many bytes.
pub(crate) fn traces_of_bytes(bytes: usize) -> ExportTraceServiceRequest {
    let big = Span {
        attributes: vec![attribute("padding", &"x".repeat(bytes))],
        ..span(0)
    };
    traces_of(vec![big])
}

pub(crate) fn entry(number: u64) -> LogEntry {
    LogEntry {
        time_unix_nano: 1_700_000_000_000_000_000 + number,
        service: "cron".to_owned(),
        message: format!("job {number} done"),
        ..LogEntry::default()
    }
}

pub(crate) fn submit(entries: Vec<LogEntry>) -> SubmitRequest {
    SubmitRequest {
        entries,
        ..SubmitRequest::default()
    }
}

pub(crate) fn spans_in(requests: &[ExportTraceServiceRequest]) -> Vec<Span> {
    let resources = requests.iter().flat_map(|request| &request.resource_spans);
    let scopes = resources.flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).cloned().collect()
}

pub(crate) fn logs_in(requests: &[ExportLogsServiceRequest]) -> Vec<LogRecord> {
    let resources = requests.iter().flat_map(|request| &request.resource_logs);
    let scopes = resources.flat_map(|resource| &resource.scope_logs);
    scopes
        .flat_map(|scope| &scope.log_records)
        .cloned()
        .collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}
