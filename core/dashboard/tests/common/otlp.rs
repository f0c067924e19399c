//! Spans and log records for tests.

use log_tracer_proto::otlp::{
    common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::{LogRecord, ResourceLogs, ScopeLogs},
    resource::Resource,
    trace::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};

pub const MS: u64 = 1_000_000;

pub fn value(text: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Value::StringValue(text.to_owned())),
    })
}

pub fn pair(key: &str, text: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: value(text),
        ..KeyValue::default()
    }
}

/// The id of a test's span: eight equal bytes.
pub fn id(number: u8) -> Vec<u8> {
    vec![number; 8]
}

pub fn id_hex(number: u8) -> String {
    format!("{number:02x}").repeat(8)
}

/// A span of a trace of equal bytes; a parent of 0 is none. Times in milliseconds after `EPOCH`.
pub fn span(trace: u8, number: u8, parent: u8, (start, end): (u64, u64)) -> Span {
    let now = epoch();
    Span {
        trace_id: vec![trace; 16].into(),
        span_id: id(number).into(),
        parent_span_id: if parent == 0 { Vec::new() } else { id(parent) }.into(),
        name: format!("operation {number}"),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: now + start * MS,
        end_time_unix_nano: now + end * MS,
        ..Span::default()
    }
}

pub fn trace_hex(trace: u8) -> String {
    format!("{trace:02x}").repeat(16)
}

pub fn error(span: Span, message: &str) -> Span {
    Span {
        status: Some(Status {
            message: message.to_owned(),
            code: StatusCode::Error.into(),
        }),
        ..span
    }
}

pub fn record(trace: u8, span: u8, at: u64, severity: i32, body: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: epoch() + at * MS,
        severity_number: severity,
        body: value(body),
        trace_id: if trace == 0 {
            Vec::new()
        } else {
            vec![trace; 16]
        }
        .into(),
        span_id: if span == 0 { Vec::new() } else { id(span) }.into(),
        ..LogRecord::default()
    }
}

/// A minute before the test began, so that the default range has it.
pub fn epoch() -> u64 {
    use std::{
        sync::OnceLock,
        time::{SystemTime, UNIX_EPOCH},
    };
    static EPOCH: OnceLock<u64> = OnceLock::new();
    *EPOCH.get_or_init(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        u64::try_from(now).unwrap() - 60_000 * MS
    })
}

pub fn resource(service: &str) -> Option<Resource> {
    Some(Resource {
        attributes: vec![
            pair("service.name", service),
            pair("host.name", &format!("{service}-1")),
        ],
        ..Resource::default()
    })
}

pub fn spans(service: &str, spans: Vec<Span>) -> ResourceSpans {
    ResourceSpans {
        resource: resource(service),
        scope_spans: vec![ScopeSpans {
            scope: scope(),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

pub fn logs(service: &str, log_records: Vec<LogRecord>) -> ResourceLogs {
    ResourceLogs {
        resource: resource(service),
        scope_logs: vec![ScopeLogs {
            scope: scope(),
            log_records,
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    }
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "test.scope".to_owned(),
        version: "1".to_owned(),
        ..InstrumentationScope::default()
    })
}
