//! What the tests of the wire form share: views as the structs of prost, and messages written in other ways than prost
//! would.
#![allow(dead_code)] // Not every test uses all of it.

pub(crate) mod rewrite;

use bytes::Bytes;
use log_tracer_record::{
    otlp::{
        collector_logs::ExportLogsServiceRequest,
        collector_trace::ExportTraceServiceRequest,
        common::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        trace::{
            ResourceSpans, ScopeSpans, Span, Status,
            span::{Event, Link},
        },
    },
    wire::{
        AnyValueView, Elements, EventView, KeyValueView, LinkView, LogView, Logs, Request,
        SpanView, Spans, Text, ValueView,
    },
};
use prost::Message;

fn text(text: Text<'_>) -> String {
    assert_eq!(text.as_str().as_bytes(), text.as_bytes());
    text.as_str().to_owned()
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn any_value(view: AnyValueView<'_>) -> AnyValue {
    let value = view.value.map(|value| match value {
        ValueView::String(value) => Value::StringValue(text(value)),
        ValueView::Bool(value) => Value::BoolValue(value),
        ValueView::Int(value) => Value::IntValue(value),
        ValueView::Double(value) => Value::DoubleValue(value),
        ValueView::Array(message) => Value::ArrayValue(ArrayValue::decode(message).unwrap()),
        ValueView::Map(message) => Value::KvlistValue(KeyValueList::decode(message).unwrap()),
        ValueView::Bytes(value) => Value::BytesValue(bytes(value)),
        ValueView::Strindex(value) => Value::StringValueStrindex(value),
    });
    assert_eq!(
        AnyValue::decode(view.message).unwrap().encode_to_vec(),
        AnyValue {
            value: value.clone()
        }
        .encode_to_vec()
    );
    AnyValue { value }
}

fn attributes<'a>(views: Elements<'a, KeyValueView<'a>>) -> Vec<KeyValue> {
    let attribute = |view: KeyValueView<'_>| KeyValue {
        key: text(view.key),
        value: view.value.map(any_value),
        key_strindex: view.key_strindex,
    };
    let found: Vec<_> = views.iter().map(attribute).collect();
    assert_eq!(views.is_empty(), found.is_empty());
    assert_eq!(views.messages().count(), found.len());
    found
}

pub(crate) fn span(view: SpanView<'_>) -> Span {
    let event = |view: EventView<'_>| Event {
        time_unix_nano: view.time_unix_nano,
        name: text(view.name),
        attributes: attributes(view.attributes),
        dropped_attributes_count: view.dropped_attributes_count,
    };
    let link = |view: LinkView<'_>| Link {
        trace_id: bytes(view.trace_id),
        span_id: bytes(view.span_id),
        trace_state: text(view.trace_state),
        attributes: attributes(view.attributes),
        dropped_attributes_count: view.dropped_attributes_count,
        flags: view.flags,
    };
    Span {
        trace_id: bytes(view.trace_id),
        span_id: bytes(view.span_id),
        trace_state: text(view.trace_state),
        parent_span_id: bytes(view.parent_span_id),
        flags: view.flags,
        name: text(view.name),
        kind: view.kind,
        start_time_unix_nano: view.start_time_unix_nano,
        end_time_unix_nano: view.end_time_unix_nano,
        attributes: attributes(view.attributes),
        dropped_attributes_count: view.dropped_attributes_count,
        events: view.events.iter().map(event).collect(),
        dropped_events_count: view.dropped_events_count,
        links: view.links.iter().map(link).collect(),
        dropped_links_count: view.dropped_links_count,
        status: view.status.map(|status| Status {
            message: text(status.message),
            code: status.code,
        }),
    }
}

pub(crate) fn log(view: LogView<'_>) -> LogRecord {
    LogRecord {
        time_unix_nano: view.time_unix_nano,
        observed_time_unix_nano: view.observed_time_unix_nano,
        severity_number: view.severity_number,
        severity_text: text(view.severity_text),
        body: view.body.map(any_value),
        attributes: attributes(view.attributes),
        dropped_attributes_count: view.dropped_attributes_count,
        flags: view.flags,
        trace_id: bytes(view.trace_id),
        span_id: bytes(view.span_id),
        event_name: text(view.event_name),
    }
}

/// All of a request of spans as its views show it.
pub(crate) fn traces(request: &Request<'_, Spans>) -> ExportTraceServiceRequest {
    let resources = request.resources().map(|of_resource| ResourceSpans {
        resource: of_resource.resource.map(|it| Message::decode(it).unwrap()),
        scope_spans: of_resource
            .scopes
            .iter()
            .map(|of_scope| ScopeSpans {
                scope: of_scope.scope.map(|it| Message::decode(it).unwrap()),
                spans: of_scope.records.iter().map(span).collect(),
                schema_url: text(of_scope.schema_url),
            })
            .collect(),
        schema_url: text(of_resource.schema_url),
    });
    ExportTraceServiceRequest {
        resource_spans: resources.collect(),
    }
}

/// All of a request of log records as its views show it.
pub(crate) fn logs(request: &Request<'_, Logs>) -> ExportLogsServiceRequest {
    let resources = request.resources().map(|of_resource| ResourceLogs {
        resource: of_resource.resource.map(|it| Message::decode(it).unwrap()),
        scope_logs: of_resource
            .scopes
            .iter()
            .map(|of_scope| ScopeLogs {
                scope: of_scope.scope.map(|it| Message::decode(it).unwrap()),
                log_records: of_scope.records.iter().map(log).collect(),
                schema_url: text(of_scope.schema_url),
            })
            .collect(),
        schema_url: text(of_resource.schema_url),
    });
    ExportLogsServiceRequest {
        resource_logs: resources.collect(),
    }
}
