//! Records as the query language sees them.
//!
//! A span is looked at in two shapes: as a row that came in, and as a row of a chunk. Both say what their parts are
//! ([`SpanParts`], [`LogParts`]); what a field means is written once, here, so that a tail and a search cannot differ.

mod value;

use log_tracer_query::{Field, Intrinsic, Record, Value};
use log_tracer_record::{
    LogRow, ResourceContext, ScopeContext, SpanId, SpanRow, TraceId,
    otlp::{
        logs::SeverityNumber,
        trace::{span::SpanKind, status::StatusCode},
    },
};
pub(crate) use value::{any_at, any_below, any_leaf, any_leaf_text, any_text_of, remainder};

/// A span as a query sees it; the spans of a store are seen in the same way.
#[derive(Clone, Copy, Debug)]
pub struct SpanFields<'a>(pub &'a SpanRow);

/// A log record as a query sees it; the log records of a store are seen in the same way.
#[derive(Clone, Copy, Debug)]
pub struct LogFields<'a>(pub &'a LogRow);

type VisitValue<'v> = &'v mut dyn FnMut(Value<'_>) -> bool;
type VisitText<'v> = &'v mut dyn FnMut(&str) -> bool;

/// What a span consists of.
pub(crate) trait SpanParts {
    fn resource(&self) -> &ResourceContext;
    fn scope(&self) -> &ScopeContext;
    fn name(&self) -> &str;
    fn kind(&self) -> SpanKind;
    fn status_code(&self) -> StatusCode;
    fn status_message(&self) -> &str;
    fn start_unix_nano(&self) -> u64;
    fn end_unix_nano(&self) -> u64;
    fn trace_id(&self) -> Option<TraceId>;
    fn span_id(&self) -> Option<SpanId>;
    fn parent_id(&self) -> Option<SpanId>;
    /// The leaves of what a path names among the attributes of the span, of its scope and of its resource.
    fn any_attribute(&self, path: &str, visit: VisitValue<'_>) -> bool;
    /// The texts among the leaves of the span's own attributes.
    fn any_attribute_text(&self, visit: VisitText<'_>) -> bool;
    fn any_event_name(&self, visit: VisitText<'_>) -> bool;
    fn any_event_text(&self, visit: VisitText<'_>) -> bool;
}

/// What a log record consists of.
pub(crate) trait LogParts {
    fn resource(&self) -> &ResourceContext;
    fn scope(&self) -> &ScopeContext;
    fn event_name(&self) -> &str;
    fn severity(&self) -> SeverityNumber;
    fn time_unix_nano(&self) -> u64;
    fn trace_id(&self) -> Option<TraceId>;
    fn span_id(&self) -> Option<SpanId>;
    /// The leaves of the body.
    fn any_body(&self, visit: VisitValue<'_>) -> bool;
    fn any_body_text(&self, visit: VisitText<'_>) -> bool;
    /// The leaves of what a path names among the attributes of the record, of its scope and of its resource.
    fn any_attribute(&self, path: &str, visit: VisitValue<'_>) -> bool;
    /// The texts among the leaves of the record's own attributes.
    fn any_attribute_text(&self, visit: VisitText<'_>) -> bool;
}

pub(crate) fn any_span_value(span: &impl SpanParts, field: &Field, visit: VisitValue<'_>) -> bool {
    let intrinsic = match field {
        Field::Intrinsic(intrinsic) => *intrinsic,
        Field::Attribute(path) => {
            return span.any_attribute(path, visit);
        }
    };
    match intrinsic {
        Intrinsic::Service => visit(Value::Str(span.resource().service())),
        Intrinsic::Name => visit_filled(span.name(), visit),
        Intrinsic::Kind => visit(Value::Str(kind_name(span.kind()))),
        Intrinsic::Status => visit(Value::Str(status_name(span.status_code()))),
        Intrinsic::StatusMessage => visit_filled(span.status_message(), visit),
        Intrinsic::Duration => {
            let duration = span.end_unix_nano().saturating_sub(span.start_unix_nano());
            visit(Value::Int(to_int(duration)))
        }
        Intrinsic::TraceId => span
            .trace_id()
            .is_some_and(|id| visit(Value::Bytes(id.as_bytes()))),
        Intrinsic::SpanId => span
            .span_id()
            .is_some_and(|id| visit(Value::Bytes(id.as_bytes()))),
        Intrinsic::ParentId => span
            .parent_id()
            .is_some_and(|id| visit(Value::Bytes(id.as_bytes()))),
        Intrinsic::Scope => visit_filled(span.scope().name(), visit),
        Intrinsic::Event => span.any_event_name(&mut |name| visit(Value::Str(name))),
        Intrinsic::Time => visit(Value::Int(to_int(span.start_unix_nano()))),
        Intrinsic::Severity | Intrinsic::Body => false,
    }
}

pub(crate) fn any_span_text(span: &impl SpanParts, visit: VisitText<'_>) -> bool {
    visit(span.name())
        || visit(span.status_message())
        || span.any_attribute_text(visit)
        || span.any_event_text(visit)
}

pub(crate) fn any_log_value(log: &impl LogParts, field: &Field, visit: VisitValue<'_>) -> bool {
    let intrinsic = match field {
        Field::Intrinsic(intrinsic) => *intrinsic,
        Field::Attribute(path) => {
            return log.any_attribute(path, visit);
        }
    };
    match intrinsic {
        Intrinsic::Service => visit(Value::Str(log.resource().service())),
        Intrinsic::Name => visit_filled(log.event_name(), visit),
        Intrinsic::TraceId => log
            .trace_id()
            .is_some_and(|id| visit(Value::Bytes(id.as_bytes()))),
        Intrinsic::SpanId => log
            .span_id()
            .is_some_and(|id| visit(Value::Bytes(id.as_bytes()))),
        Intrinsic::Severity => match log.severity() {
            SeverityNumber::Unspecified => false,
            number => visit(Value::Int(number as i64)),
        },
        Intrinsic::Body => log.any_body(visit),
        Intrinsic::Scope => visit_filled(log.scope().name(), visit),
        Intrinsic::Time => visit(Value::Int(to_int(log.time_unix_nano()))),
        Intrinsic::Kind
        | Intrinsic::Status
        | Intrinsic::StatusMessage
        | Intrinsic::Duration
        | Intrinsic::ParentId
        | Intrinsic::Event => false,
    }
}

pub(crate) fn any_log_text(log: &impl LogParts, visit: VisitText<'_>) -> bool {
    log.any_body_text(visit) || visit(log.event_name()) || log.any_attribute_text(visit)
}

/// How the query language names a kind.
pub(crate) fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "unspecified",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// How the query language names a status.
pub(crate) fn status_name(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    }
}

/// The leaves of what a path names among the attributes of a scope.
pub(crate) fn any_at_scope(scope: &ScopeContext, path: &str, visit: VisitValue<'_>) -> bool {
    let scope = scope.scope.as_ref();
    scope.is_some_and(|scope| any_at(&scope.attributes, path, visit))
}

/// The leaves of what a path names among the attributes of a resource.
pub(crate) fn any_at_resource(
    resource: &ResourceContext,
    path: &str,
    visit: VisitValue<'_>,
) -> bool {
    any_at(&resource.resource.attributes, path, visit)
}

/// A text that is empty is a value that the record lacks.
fn visit_filled(text: &str, visit: VisitValue<'_>) -> bool {
    !text.is_empty() && visit(Value::Str(text))
}

/// The query language has signed numbers: a time after the year 2262 is as late as it can say.
fn to_int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Record for SpanFields<'_> {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        any_span_value(self, field, visit)
    }

    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        any_span_text(self, visit)
    }
}

impl Record for LogFields<'_> {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        any_log_value(self, field, visit)
    }

    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        any_log_text(self, visit)
    }
}

impl SpanParts for SpanFields<'_> {
    fn resource(&self) -> &ResourceContext {
        &self.0.resource
    }
    fn scope(&self) -> &ScopeContext {
        &self.0.scope
    }
    fn name(&self) -> &str {
        &self.0.span.name
    }
    fn kind(&self) -> SpanKind {
        self.0.kind()
    }
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }
    fn status_message(&self) -> &str {
        self.0.status_message()
    }
    fn start_unix_nano(&self) -> u64 {
        self.0.start_unix_nano()
    }
    fn end_unix_nano(&self) -> u64 {
        self.0.end_unix_nano()
    }
    fn trace_id(&self) -> Option<TraceId> {
        self.0.trace_id()
    }
    fn span_id(&self) -> Option<SpanId> {
        self.0.span_id()
    }
    fn parent_id(&self) -> Option<SpanId> {
        self.0.parent_id()
    }
    fn any_attribute(&self, path: &str, visit: VisitValue<'_>) -> bool {
        any_at(&self.0.span.attributes, path, visit)
            || any_at_scope(&self.0.scope, path, visit)
            || any_at_resource(&self.0.resource, path, visit)
    }
    fn any_attribute_text(&self, visit: VisitText<'_>) -> bool {
        any_text_of(&self.0.span.attributes, visit)
    }
    fn any_event_name(&self, visit: VisitText<'_>) -> bool {
        self.0.span.events.iter().any(|event| visit(&event.name))
    }
    fn any_event_text(&self, visit: VisitText<'_>) -> bool {
        let mut events = self.0.span.events.iter();
        events.any(|event| visit(&event.name) || any_text_of(&event.attributes, visit))
    }
}

impl LogParts for LogFields<'_> {
    fn resource(&self) -> &ResourceContext {
        &self.0.resource
    }
    fn scope(&self) -> &ScopeContext {
        &self.0.scope
    }
    fn event_name(&self) -> &str {
        &self.0.record.event_name
    }
    fn severity(&self) -> SeverityNumber {
        self.0.severity()
    }
    fn time_unix_nano(&self) -> u64 {
        self.0.time_unix_nano()
    }
    fn trace_id(&self) -> Option<TraceId> {
        self.0.trace_id()
    }
    fn span_id(&self) -> Option<SpanId> {
        self.0.span_id()
    }
    fn any_body(&self, visit: VisitValue<'_>) -> bool {
        self.0
            .record
            .body
            .as_ref()
            .is_some_and(|body| any_leaf(body, visit))
    }
    fn any_body_text(&self, visit: VisitText<'_>) -> bool {
        self.0
            .record
            .body
            .as_ref()
            .is_some_and(|body| any_leaf_text(body, visit))
    }
    fn any_attribute(&self, path: &str, visit: VisitValue<'_>) -> bool {
        any_at(&self.0.record.attributes, path, visit)
            || any_at_scope(&self.0.scope, path, visit)
            || any_at_resource(&self.0.resource, path, visit)
    }
    fn any_attribute_text(&self, visit: VisitText<'_>) -> bool {
        any_text_of(&self.0.record.attributes, visit)
    }
}
