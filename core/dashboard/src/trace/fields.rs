//! A span of a trace as the query language sees it, for the filter within a trace.

use log_tracer_proto::otlp::{
    common::{AnyValue, KeyValue, any_value},
    trace::{Span, span::SpanKind, status::StatusCode},
};
use log_tracer_query::{Field, Intrinsic, Record, Value};

use super::model::{Process, Scope, SpanItem, Trace};

/// A span with its sender and its scope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanFields<'a> {
    span: &'a Span,
    process: Option<&'a Process>,
    scope: Option<&'a Scope>,
}

pub(super) type Visit<'a> = &'a mut dyn FnMut(Value<'_>) -> bool;

impl<'a> SpanFields<'a> {
    /// None for a span that is not there whole.
    pub(crate) fn new(trace: &'a Trace, item: &SpanItem) -> Option<Self> {
        let whole = trace.whole(item)?;
        Some(Self {
            span: &whole.span,
            process: trace.processes.get(item.process),
            scope: trace.scopes.get(whole.scope),
        })
    }

    fn intrinsic(&self, field: Intrinsic, visit: Visit<'_>) -> bool {
        let span = self.span;
        let status = span.status.as_ref();
        match field {
            Intrinsic::Service => self
                .process
                .is_some_and(|process| visit(Value::Str(&process.service))),
            Intrinsic::Name => visit(Value::Str(&span.name)),
            Intrinsic::Kind => visit(Value::Str(kind(span.kind()))),
            Intrinsic::Status => {
                let code = status.map_or(StatusCode::Unset, |status| status.code());
                visit(Value::Str(status_word(code)))
            }
            Intrinsic::StatusMessage => {
                status.is_some_and(|status| visit(Value::Str(&status.message)))
            }
            Intrinsic::Duration => {
                let nanos = span
                    .end_time_unix_nano
                    .saturating_sub(span.start_time_unix_nano);
                visit(Value::Int(i64::try_from(nanos).unwrap_or(i64::MAX)))
            }
            Intrinsic::TraceId => visit(Value::Bytes(&span.trace_id)),
            Intrinsic::SpanId => visit(Value::Bytes(&span.span_id)),
            Intrinsic::ParentId => super::model::span_id(&span.parent_span_id)
                .is_some_and(|id| visit(Value::Bytes(&id))),
            Intrinsic::Scope => self
                .scope
                .is_some_and(|scope| visit(Value::Str(&scope.scope.name))),
            Intrinsic::Event => span
                .events
                .iter()
                .any(|event| visit(Value::Str(&event.name))),
            Intrinsic::Time => visit(Value::Int(
                i64::try_from(span.start_time_unix_nano).unwrap_or(i64::MAX),
            )),
            Intrinsic::Severity | Intrinsic::Body => false,
        }
    }
}

impl Record for SpanFields<'_> {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let key = match field {
            Field::Intrinsic(intrinsic) => return self.intrinsic(*intrinsic, visit),
            Field::Attribute(key) => key,
        };
        let lists = [
            Some(&self.span.attributes),
            self.scope.map(|scope| &scope.scope.attributes),
            self.process.map(|process| &process.resource.attributes),
        ];
        lists
            .into_iter()
            .flatten()
            .any(|list| any_in_list(list, key, visit))
    }

    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        let span = self.span;
        let message = span
            .status
            .as_ref()
            .map_or("", |status| status.message.as_str());
        visit(&span.name)
            || visit(message)
            || any_text_in(&span.attributes, visit)
            || span
                .events
                .iter()
                .any(|event| visit(&event.name) || any_text_in(&event.attributes, visit))
    }
}

/// The kind of a span in a word of the query language.
pub(crate) fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "unspecified",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// The status of a span in a word of the query language.
pub(crate) fn status_word(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    }
}

/// The values of a key, which may also lead into maps by dots.
pub(super) fn any_in_list(pairs: &[KeyValue], key: &str, visit: Visit<'_>) -> bool {
    pairs.iter().any(|pair| {
        let Some(value) = pair.value.as_ref() else {
            return false;
        };
        if pair.key == key {
            return any_leaf(value, visit);
        }
        let below = key
            .strip_prefix(&pair.key)
            .and_then(|rest| rest.strip_prefix('.'));
        match (below, &value.value) {
            (Some(below), Some(any_value::Value::KvlistValue(map))) => {
                any_in_list(&map.values, below, visit)
            }
            _ => false,
        }
    })
}

/// The value itself, each element of a list, each leaf of a map.
pub(super) fn any_leaf(value: &AnyValue, visit: Visit<'_>) -> bool {
    match value.value.as_ref() {
        None | Some(any_value::Value::StringValueStrindex(_)) => false,
        Some(any_value::Value::StringValue(text)) => visit(Value::Str(text)),
        Some(any_value::Value::BoolValue(value)) => visit(Value::Bool(*value)),
        Some(any_value::Value::IntValue(value)) => visit(Value::Int(*value)),
        Some(any_value::Value::DoubleValue(value)) => visit(Value::Double(*value)),
        Some(any_value::Value::BytesValue(bytes)) => visit(Value::Bytes(bytes)),
        Some(any_value::Value::ArrayValue(list)) => {
            list.values.iter().any(|value| any_leaf(value, visit))
        }
        Some(any_value::Value::KvlistValue(map)) => map
            .values
            .iter()
            .filter_map(|pair| pair.value.as_ref())
            .any(|value| any_leaf(value, visit)),
    }
}

pub(super) fn any_text_in(pairs: &[KeyValue], visit: &mut dyn FnMut(&str) -> bool) -> bool {
    pairs
        .iter()
        .filter_map(|pair| pair.value.as_ref())
        .any(|value| {
            any_leaf(value, &mut |leaf| match leaf {
                Value::Str(text) => visit(text),
                _ => false,
            })
        })
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::{
        otlp::{
            common::KeyValueList,
            resource::Resource,
            trace::{ResourceSpans, ScopeSpans, Status},
        },
        v1::GetTraceResponse,
    };
    use log_tracer_query::parse;

    use super::*;

    fn pair(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            key_strindex: 0,
        }
    }

    fn trace() -> Trace {
        let text = |text: &str| any_value::Value::StringValue(text.to_owned());
        let nested = KeyValueList {
            values: vec![pair("id", any_value::Value::IntValue(42))],
        };
        let span = Span {
            span_id: vec![1; 8].into(),
            name: "POST /charge".to_owned(),
            kind: SpanKind::Client.into(),
            end_time_unix_nano: 300_000_000,
            attributes: vec![
                pair("http.route", text("/charge")),
                pair("user", any_value::Value::KvlistValue(nested)),
            ],
            status: Some(Status {
                message: "card declined".to_owned(),
                code: StatusCode::Error.into(),
            }),
            ..Span::default()
        };
        let resource = Resource {
            attributes: vec![pair("service.name", text("payment"))],
            ..Resource::default()
        };
        Trace::new(vec![GetTraceResponse {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![ScopeSpans {
                    spans: vec![span],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
            ..GetTraceResponse::default()
        }])
    }

    #[test]
    fn a_filter_sees_intrinsics_attributes_and_texts() {
        let trace = trace();
        let fields = SpanFields::new(&trace, &trace.spans[0]).unwrap();
        for yes in [
            "service:payment",
            "status:error duration>250ms kind:client",
            "http.route:/charge",
            "user.id:42",
            "declined",
            "span:0101010101010101",
        ] {
            assert!(parse(yes).unwrap().matches(&fields), "{yes}");
        }
        for no in [
            "service:cart",
            "duration>1s",
            "user.id:43",
            "severity>=warn",
            "parent:*",
        ] {
            assert!(!parse(no).unwrap().matches(&fields), "{no}");
        }
    }
}
