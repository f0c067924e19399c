//! A trace in the shape of Jaeger's JSON (`model/json` of Jaeger, version 1 of its query API).
//!
//! ```text
//! {traceID, spans: [{traceID, spanID, operationName, references: [{refType, traceID, spanID}], startTime, duration,
//!   tags: [{key, type, value}], logs: [{timestamp, fields: [{key, type, value}]}], processID, warnings, flags}],
//!  processes: {"p1": {serviceName, tags}}, warnings}
//! ```
//!
//! Times and durations are whole microseconds, ids hexadecimal digits. Types are `string`, `bool`, `int64`, `float64`
//! and `binary` (base64); lists and maps are JSON in a `string`. What JSON numbers cannot say is a text: integers beyond
//! 2^53, NaN and infinities. What OTLP has and Jaeger lacks becomes tags, under the names that OpenTelemetry gives them:
//! `span.kind`, `otel.status_code`, `error`, `otel.status_description`, `w3c.tracestate`, `otel.scope.name`,
//! `otel.scope.version`.
//!
//! `logs` are the events of a span and the log records that belong to it, by time: an event has the field `event` with
//! its name; a record the fields `level` and `message`, and `event` with its event name if it has one. Records that
//! belong to no span of the trace stand with its root.
//!
//! Spans stand parents first. One that is its own ancestor has no reference to its parent, since front ends follow
//! those; what is odd about a span is in its `warnings`.

use std::{borrow::Cow, collections::BTreeMap, collections::HashMap};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use log_tracer_proto::otlp::{
    common::{AnyValue, KeyValue, any_value::Value},
    trace::{
        Span,
        span::{Event, Link, SpanKind},
        status::StatusCode,
    },
};
use serde::Serialize;

use crate::{
    lines::{hex, level, valid_hex},
    trace::{
        marks::marks,
        model::{Item, LogItem, Process, SpanItem, Trace, WholeSpan},
        tree::{Root, Row},
    },
    value,
};

/// The largest whole number that JavaScript keeps exactly.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// A trace.
#[derive(Debug, Serialize)]
pub(crate) struct TraceJson<'a> {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<SpanJson<'a>>,
    processes: BTreeMap<String, ProcessJson<'a>>,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct SpanJson<'a> {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    flags: u32,
    #[serde(rename = "operationName")]
    operation_name: &'a str,
    references: Vec<Reference>,
    #[serde(rename = "startTime")]
    start_time: u64,
    duration: u64,
    tags: Vec<Tag<'a>>,
    logs: Vec<Log<'a>>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Reference {
    #[serde(rename = "refType")]
    kind: &'static str,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Debug, Serialize)]
struct Log<'a> {
    timestamp: u64,
    fields: Vec<Tag<'a>>,
}

#[derive(Debug, Serialize)]
struct ProcessJson<'a> {
    #[serde(rename = "serviceName")]
    service_name: &'a str,
    tags: Vec<Tag<'a>>,
}

/// A key with a value and its type.
#[derive(Debug, Serialize)]
struct Tag<'a> {
    key: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    value: TagValue<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum TagValue<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Float(f64),
}

/// A trace, with further warnings about all of it.
pub(crate) fn trace<'a>(trace: &'a Trace, id: &[u8], warnings: Vec<String>) -> TraceJson<'a> {
    let mut logs: HashMap<usize, Vec<&LogItem>> = HashMap::new();
    for row in &trace.rows {
        if let (Some(Item::Log(log)), Some(span)) = (trace.item(row), span_above(trace, row)) {
            logs.entry(span).or_default().push(log);
        }
    }
    let spans = trace.rows.iter().enumerate().filter_map(|(at, row)| {
        let item = trace.span(row)?;
        let logs = logs.get(&at).map(Vec::as_slice).unwrap_or_default();
        span(trace, id, row, item, logs)
    });
    let mut warnings = warnings;
    if trace.coverage.partial {
        warnings.extend(trace.coverage.reasons.iter().cloned());
    }
    TraceJson {
        trace_id: hex(id),
        spans: spans.collect(),
        processes: trace
            .processes
            .iter()
            .enumerate()
            .map(|(at, own)| (process_id(at), process(own)))
            .collect(),
        warnings: some(warnings),
    }
}

/// A trace as the file that Jaeger UI saves and opens: `{"data": [trace]}`.
pub(crate) fn file(own: &Trace, id: &[u8]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct File<'a> {
        data: [TraceJson<'a>; 1],
    }
    serde_json::to_string(&File {
        data: [trace(own, id, Vec::new())],
    })
}

/// The nearest span above a log record.
fn span_above(trace: &Trace, row: &Row) -> Option<usize> {
    std::iter::successors(row.parent, |at| trace.rows.get(*at)?.parent).find(|at| {
        trace
            .rows
            .get(*at)
            .is_some_and(|row| trace.span(row).is_some())
    })
}

fn some(warnings: Vec<String>) -> Option<Vec<String>> {
    Some(warnings).filter(|warnings| !warnings.is_empty())
}

fn process_id(at: usize) -> String {
    format!("p{}", at + 1)
}

fn process(process: &Process) -> ProcessJson<'_> {
    let attributes = process.resource.attributes.iter();
    ProcessJson {
        service_name: &process.service,
        tags: attributes
            .filter(|pair| pair.key != "service.name")
            .map(tag)
            .collect(),
    }
}

fn span<'a>(
    trace: &'a Trace,
    id: &[u8],
    row: &Row,
    item: &'a SpanItem,
    records: &[&'a LogItem],
) -> Option<SpanJson<'a>> {
    let whole = trace.whole(item)?;
    let own = &whole.span;
    let trace_id = valid_hex::<16>(&own.trace_id).unwrap_or_else(|| hex(id));
    let marks = marks(trace, row, item);
    let mut logs: Vec<Log<'a>> = own.events.iter().map(event).collect();
    logs.extend(records.iter().filter_map(|item| record(trace, item)));
    logs.sort_by_key(|log| log.timestamp);
    Some(SpanJson {
        span_id: hex(&own.span_id),
        flags: own.flags & 0xff,
        operation_name: &own.name,
        references: references(own, row, &trace_id),
        start_time: own.start_time_unix_nano / 1_000,
        duration: item.duration() / 1_000,
        tags: tags(trace, whole),
        logs,
        process_id: process_id(item.process),
        warnings: some(marks.into_iter().map(|mark| mark.words()).collect()),
        trace_id,
    })
}

/// The parent first, then the links.
fn references(own: &Span, row: &Row, trace_id: &str) -> Vec<Reference> {
    let parent = valid_hex::<8>(&own.parent_span_id)
        .filter(|_| row.root != Some(Root::Cycle))
        .map(|span_id| Reference {
            kind: "CHILD_OF",
            trace_id: trace_id.to_owned(),
            span_id,
        });
    let links = own.links.iter().filter_map(|link| {
        Some(Reference {
            kind: link_kind(link),
            trace_id: valid_hex::<16>(&link.trace_id)?,
            span_id: valid_hex::<8>(&link.span_id)?,
        })
    });
    parent.into_iter().chain(links).collect()
}

fn link_kind(link: &Link) -> &'static str {
    match value::of(&link.attributes, "opentracing.ref_type") {
        Some("child_of") => "CHILD_OF",
        _ => "FOLLOWS_FROM",
    }
}

fn tags<'a>(trace: &'a Trace, whole: &'a WholeSpan) -> Vec<Tag<'a>> {
    let own = &whole.span;
    let mut tags = Vec::with_capacity(own.attributes.len() + 4);
    if let Some(scope) = trace.scopes.get(whole.scope) {
        let known = [
            ("otel.scope.name", scope.scope.name.as_str()),
            ("otel.scope.version", scope.scope.version.as_str()),
        ];
        tags.extend(
            known
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| text(key, value)),
        );
        tags.extend(scope.scope.attributes.iter().map(tag));
    }
    tags.extend(own.attributes.iter().map(tag));
    let kind = match own.kind() {
        SpanKind::Unspecified => None,
        SpanKind::Internal => Some("internal"),
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    };
    tags.extend(kind.map(|kind| text("span.kind", kind)));
    if let Some(status) = &own.status {
        match status.code() {
            StatusCode::Unset => {}
            StatusCode::Ok => tags.push(text("otel.status_code", "OK")),
            StatusCode::Error => {
                tags.push(text("otel.status_code", "ERROR"));
                tags.retain(|tag| tag.key != "error");
                tags.push(Tag {
                    key: "error".into(),
                    kind: "bool",
                    value: TagValue::Bool(true),
                });
            }
        }
        if !status.message.is_empty() {
            tags.push(text("otel.status_description", &status.message));
        }
    }
    if !own.trace_state.is_empty() {
        tags.push(text("w3c.tracestate", &own.trace_state));
    }
    tags
}

fn event(event: &Event) -> Log<'_> {
    let name = (!event.name.is_empty()).then(|| text("event", &event.name));
    Log {
        timestamp: event.time_unix_nano / 1_000,
        fields: name
            .into_iter()
            .chain(event.attributes.iter().map(tag))
            .collect(),
    }
}

fn record<'a>(trace: &'a Trace, item: &LogItem) -> Option<Log<'a>> {
    let record = &trace.whole_log(item)?.record;
    let mut fields = Vec::with_capacity(record.attributes.len() + 3);
    if !record.event_name.is_empty() {
        fields.push(text("event", &record.event_name));
    }
    let severity = match record.severity_text.as_str() {
        "" => level(record.severity_number),
        own => own,
    };
    if !severity.is_empty() {
        fields.push(text("level", severity));
    }
    if let Some(body) = &record.body {
        let (kind, value) = typed(Some(body));
        fields.push(Tag {
            key: "message".into(),
            kind,
            value,
        });
    }
    fields.extend(record.attributes.iter().map(tag));
    Some(Log {
        timestamp: item.time / 1_000,
        fields,
    })
}

fn text<'a>(key: &'static str, value: &'a str) -> Tag<'a> {
    Tag {
        key: key.into(),
        kind: "string",
        value: TagValue::Text(value.into()),
    }
}

fn tag(pair: &KeyValue) -> Tag<'_> {
    let (kind, value) = typed(pair.value.as_ref());
    Tag {
        key: pair.key.as_str().into(),
        kind,
        value,
    }
}

fn typed(value: Option<&AnyValue>) -> (&'static str, TagValue<'_>) {
    match value.and_then(|value| value.value.as_ref()) {
        None => ("string", TagValue::Text("".into())),
        Some(Value::StringValue(text)) => ("string", TagValue::Text(text.into())),
        Some(Value::BoolValue(value)) => ("bool", TagValue::Bool(*value)),
        Some(Value::IntValue(value)) if value.unsigned_abs() <= SAFE_INTEGER_MAX => {
            ("int64", TagValue::Int(*value))
        }
        Some(Value::IntValue(value)) => ("int64", TagValue::Text(value.to_string().into())),
        Some(Value::DoubleValue(value)) if value.is_finite() => {
            ("float64", TagValue::Float(*value))
        }
        Some(Value::DoubleValue(value)) => ("float64", TagValue::Text(value.to_string().into())),
        Some(Value::BytesValue(bytes)) => ("binary", TagValue::Text(STANDARD.encode(bytes).into())),
        Some(nested) => ("string", TagValue::Text(plain(nested).to_string().into())),
    }
}

/// A value as JSON. Of a key that stands twice in a map the last counts.
pub(crate) fn plain(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    let any = |value: Option<&AnyValue>| {
        value
            .and_then(|value| value.value.as_ref())
            .map_or(Json::Null, plain)
    };
    match value {
        Value::StringValue(text) => Json::from(text.as_str()),
        Value::BoolValue(value) => Json::from(*value),
        Value::IntValue(value) => Json::from(*value),
        Value::DoubleValue(value) if value.is_finite() => Json::from(*value),
        Value::DoubleValue(value) => Json::from(value.to_string()),
        Value::BytesValue(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::ArrayValue(list) => list.values.iter().map(|item| any(Some(item))).collect(),
        Value::KvlistValue(map) => map
            .values
            .iter()
            .map(|pair| (pair.key.clone(), any(pair.value.as_ref())))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        // An index into a table that only profiles have.
        Value::StringValueStrindex(index) => Json::from(*index),
    }
}

#[cfg(test)]
mod tests;
