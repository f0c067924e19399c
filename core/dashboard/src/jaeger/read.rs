//! Traces from Jaeger's JSON, as its page and its API write them, back to OTLP: the other direction of [`super::convert`].
//!
//! What is read: `{"data": [trace, …]}`, a trace alone, or a list of traces. A field that is missing is its default, and
//! one that is unknown is passed over, since every tracer wrote its own. Tags that stand for other parts of a span
//! become those parts again. A log becomes an event: its name is the field `event`, or else `message`.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use log_tracer_proto::{
    otlp::{
        common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{
            ResourceSpans, ScopeSpans, Span, Status,
            span::{Event, Link, SpanKind},
            status::StatusCode,
        },
    },
    v1::GetTraceResponse,
};
use serde::Deserialize;
use serde_json::Value as Json;

/// A trace.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TraceJson {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<SpanJson>,
    processes: HashMap<String, ProcessJson>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpanJson {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(rename = "parentSpanID")]
    parent_span_id: String,
    flags: Option<u32>,
    #[serde(rename = "operationName")]
    operation_name: String,
    references: Option<Vec<ReferenceJson>>,
    #[serde(rename = "startTime")]
    start_time: u64,
    duration: u64,
    tags: Option<Vec<TagJson>>,
    logs: Option<Vec<LogJson>>,
    #[serde(rename = "processID")]
    process_id: String,
    process: Option<ProcessJson>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReferenceJson {
    #[serde(rename = "refType")]
    kind: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LogJson {
    timestamp: u64,
    fields: Option<Vec<TagJson>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ProcessJson {
    #[serde(rename = "serviceName")]
    service_name: String,
    tags: Option<Vec<TagJson>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TagJson {
    key: String,
    #[serde(rename = "type")]
    kind: String,
    value: Json,
}

/// Microseconds as nanoseconds; what is beyond the year 2554 ends there.
fn nanos(micros: u64) -> u64 {
    micros.saturating_mul(1_000)
}

/// The spans of a trace.
///
/// # Errors
///
/// A sentence that names the span whose id cannot be read.
pub(crate) fn spans(trace: TraceJson) -> Result<Vec<ResourceSpans>, String> {
    // Spans of one process and one scope stand together.
    let mut groups: Vec<ResourceSpans> = Vec::new();
    let mut index: HashMap<(String, String, String), usize> = HashMap::new();
    for own in trace.spans {
        let key = own.process_id.clone();
        let process = match &own.process {
            Some(process) => process.clone(),
            None => trace.processes.get(&key).cloned().unwrap_or_default(),
        };
        let is_inline = own.process.is_some();
        let (span, scope) = span(own, &trace.trace_id)?;
        let place = (key, scope.name.clone(), scope.version.clone());
        let known = index.get(&place).filter(|_| !is_inline).copied();
        let at = known.unwrap_or_else(|| {
            let at = groups.len();
            index.insert(place, at);
            groups.push(ResourceSpans {
                resource: Some(resource(process)),
                scope_spans: vec![ScopeSpans {
                    scope: (scope != InstrumentationScope::default()).then_some(scope),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            });
            at
        });
        let group = groups
            .get_mut(at)
            .and_then(|group| group.scope_spans.first_mut());
        if let Some(group) = group {
            group.spans.push(span);
        }
    }
    Ok(groups)
}

fn resource(process: ProcessJson) -> Resource {
    let mut attributes = Vec::new();
    if !process.service_name.is_empty() {
        attributes.push(pair(
            "service.name".to_owned(),
            Some(Value::StringValue(process.service_name)),
        ));
    }
    attributes.extend(process.tags.unwrap_or_default().into_iter().map(attribute));
    Resource {
        attributes,
        ..Resource::default()
    }
}

fn span(own: SpanJson, trace: &str) -> Result<(Span, InstrumentationScope), String> {
    let said = if own.trace_id.is_empty() {
        trace
    } else {
        &own.trace_id
    };
    let trace_id = id::<16>(said).ok_or_else(|| wrong("traceID", said))?;
    let span_id = id::<8>(&own.span_id).ok_or_else(|| wrong("spanID", &own.span_id))?;
    let start = nanos(own.start_time);
    let mut span = Span {
        trace_id: trace_id.to_vec().into(),
        span_id: span_id.to_vec().into(),
        flags: own.flags.unwrap_or(0) & 0xff,
        name: own.operation_name,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(nanos(own.duration)),
        events: own
            .logs
            .unwrap_or_default()
            .into_iter()
            .map(event)
            .collect(),
        ..Span::default()
    };
    if let Some(parent) = id::<8>(&own.parent_span_id) {
        span.parent_span_id = parent.to_vec().into();
    }
    for reference in own.references.unwrap_or_default() {
        refer(&mut span, &reference, trace_id);
    }
    let mut scope = InstrumentationScope::default();
    for tag in own.tags.unwrap_or_default() {
        apply(&mut span, &mut scope, tag);
    }
    Ok((span, scope))
}

fn wrong(field: &str, text: &str) -> String {
    format!(
        "a span's {field} `{}` is not hexadecimal digits, or is zero",
        crate::units::clip(text, 60)
    )
}

/// Hexadecimal digits, the leading zeros left away or not; none when it is zero.
fn id<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let width = 2 * LENGTH;
    let is_short = !text.is_empty() && text.is_ascii() && text.len() < width;
    if is_short {
        return crate::lines::from_hex(&format!("{text:0>width$}"));
    }
    crate::lines::from_hex(text)
}

/// The first parent in the same trace is the parent; everything else is a link.
fn refer(span: &mut Span, reference: &ReferenceJson, trace_id: [u8; 16]) {
    let (Some(other_trace), Some(other_span)) =
        (id::<16>(&reference.trace_id), id::<8>(&reference.span_id))
    else {
        return;
    };
    let is_child = reference.kind == "CHILD_OF";
    if is_child && other_trace == trace_id && span.parent_span_id.is_empty() {
        span.parent_span_id = other_span.to_vec().into();
        return;
    }
    let is_parent_again = is_child && span.parent_span_id.as_ref() == other_span;
    if is_parent_again && other_trace == trace_id {
        return;
    }
    let kind = is_child.then(|| {
        pair(
            "opentracing.ref_type".to_owned(),
            Some(Value::StringValue("child_of".to_owned())),
        )
    });
    span.links.push(Link {
        trace_id: other_trace.to_vec().into(),
        span_id: other_span.to_vec().into(),
        attributes: kind.into_iter().collect(),
        ..Link::default()
    });
}

/// A tag as the part of a span that it stands for, or else as an attribute.
fn apply(span: &mut Span, scope: &mut InstrumentationScope, tag: TagJson) {
    let text = tag.value.as_str().unwrap_or_default().to_owned();
    let is_true = tag.value == Json::Bool(true) || text == "true";
    match tag.key.as_str() {
        "span.kind" => {
            let kind = match text.as_str() {
                "internal" => SpanKind::Internal,
                "server" => SpanKind::Server,
                "client" => SpanKind::Client,
                "producer" => SpanKind::Producer,
                "consumer" => SpanKind::Consumer,
                _ => SpanKind::Unspecified,
            };
            span.kind = kind.into();
        }
        "error" if is_true => status(span).code = StatusCode::Error.into(),
        "otel.status_code" if text == "ERROR" => status(span).code = StatusCode::Error.into(),
        "otel.status_code" if text == "OK" => status(span).code = StatusCode::Ok.into(),
        "otel.status_description" => status(span).message = text,
        "w3c.tracestate" => span.trace_state = text,
        "otel.scope.name" | "otel.library.name" => scope.name = text,
        "otel.scope.version" | "otel.library.version" => scope.version = text,
        _ => span.attributes.push(attribute(tag)),
    }
}

fn status(span: &mut Span) -> &mut Status {
    span.status.get_or_insert_default()
}

fn event(log: LogJson) -> Event {
    let mut name = String::new();
    let mut message = None;
    let mut attributes = Vec::new();
    for field in log.fields.unwrap_or_default() {
        match (field.key.as_str(), &field.value) {
            ("event", Json::String(text)) if name.is_empty() => text.clone_into(&mut name),
            ("message", Json::String(text)) => {
                message = Some(text.clone());
                attributes.push(attribute(field));
            }
            _ => attributes.push(attribute(field)),
        }
    }
    if name.is_empty() {
        name = message.unwrap_or_default();
    }
    Event {
        time_unix_nano: nanos(log.timestamp),
        name,
        attributes,
        ..Event::default()
    }
}

fn pair(key: String, value: Option<Value>) -> KeyValue {
    KeyValue {
        key,
        value: Some(AnyValue { value }),
        ..KeyValue::default()
    }
}

/// The type decides; what does not fit it is kept as the text that it is.
fn attribute(tag: TagJson) -> KeyValue {
    let TagJson { key, kind, value } = tag;
    let as_text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    };
    let typed = match (kind.to_ascii_lowercase().as_str(), &value) {
        ("bool", Json::Bool(value)) => Value::BoolValue(*value),
        ("bool", Json::String(text)) if text == "true" || text == "false" => {
            Value::BoolValue(text == "true")
        }
        ("int64" | "float64" | "", Json::Number(number)) if number.is_i64() => {
            let whole = number.as_i64().unwrap_or_default();
            if kind.eq_ignore_ascii_case("float64") {
                Value::DoubleValue(number.as_f64().unwrap_or_default())
            } else {
                Value::IntValue(whole)
            }
        }
        ("int64" | "float64" | "", Json::Number(number)) => {
            Value::DoubleValue(number.as_f64().unwrap_or_default())
        }
        ("int64", Json::String(text)) if text.parse::<i64>().is_ok() => {
            Value::IntValue(text.parse().unwrap_or_default())
        }
        ("float64", Json::String(text)) if text.parse::<f64>().is_ok() => {
            Value::DoubleValue(text.parse().unwrap_or_default())
        }
        ("binary", Json::String(text)) => match STANDARD.decode(text) {
            Ok(bytes) => Value::BytesValue(bytes.into()),
            Err(_) => Value::StringValue(text.clone()),
        },
        ("", Json::Bool(value)) => Value::BoolValue(*value),
        (_, value) => Value::StringValue(as_text(value)),
    };
    pair(key, Some(typed))
}

/// Records by their trace, in the order in which traces come first. Those without a valid trace id are left out.
pub(crate) fn by_trace(
    resource_spans: Vec<ResourceSpans>,
    resource_logs: Vec<ResourceLogs>,
) -> Vec<([u8; 16], GetTraceResponse)> {
    let mut traces = Traces::default();
    for group in resource_spans {
        for scoped in group.scope_spans {
            let frame = ResourceSpans {
                resource: group.resource.clone(),
                scope_spans: vec![ScopeSpans {
                    scope: scoped.scope,
                    spans: Vec::new(),
                    schema_url: scoped.schema_url,
                }],
                schema_url: group.schema_url.clone(),
            };
            let mut own: HashMap<usize, Vec<Span>> = HashMap::new();
            for span in scoped.spans {
                if let Some(at) = traces.at(&span.trace_id) {
                    own.entry(at).or_default().push(span);
                }
            }
            for (at, spans) in own {
                let mut group = frame.clone();
                if let Some(scoped) = group.scope_spans.first_mut() {
                    scoped.spans = spans;
                }
                traces.add(at, |trace| trace.resource_spans.push(group));
            }
        }
    }
    for group in resource_logs {
        for scoped in group.scope_logs {
            let frame = ResourceLogs {
                resource: group.resource.clone(),
                scope_logs: vec![ScopeLogs {
                    scope: scoped.scope,
                    log_records: Vec::new(),
                    schema_url: scoped.schema_url,
                }],
                schema_url: group.schema_url.clone(),
            };
            let mut own: HashMap<usize, Vec<LogRecord>> = HashMap::new();
            for record in scoped.log_records {
                if let Some(at) = traces.at(&record.trace_id) {
                    own.entry(at).or_default().push(record);
                }
            }
            for (at, records) in own {
                let mut group = frame.clone();
                if let Some(scoped) = group.scope_logs.first_mut() {
                    scoped.log_records = records;
                }
                traces.add(at, |trace| trace.resource_logs.push(group));
            }
        }
    }
    traces.list
}

#[derive(Default)]
struct Traces {
    list: Vec<([u8; 16], GetTraceResponse)>,
    index: HashMap<[u8; 16], usize>,
}

impl Traces {
    fn at(&mut self, id: &[u8]) -> Option<usize> {
        let id = <[u8; 16]>::try_from(id).ok().filter(|id| *id != [0; 16])?;
        let next = self.list.len();
        let at = *self.index.entry(id).or_insert(next);
        if at == next {
            // An answer of a consumer ends with its coverage.
            let whole = GetTraceResponse {
                coverage: Some(Default::default()),
                ..GetTraceResponse::default()
            };
            self.list.push((id, whole));
        }
        Some(at)
    }

    fn add(&mut self, at: usize, change: impl FnOnce(&mut GetTraceResponse)) {
        if let Some((_, trace)) = self.list.get_mut(at) {
            change(trace);
        }
    }
}

#[cfg(test)]
mod tests;
