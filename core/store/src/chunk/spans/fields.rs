//! A span in a chunk as the query language sees it.

use log_tracer_query::{Field, Record, Value};
use log_tracer_record::{
    ResourceContext, ScopeContext, SpanId, TraceId,
    otlp::trace::{span::SpanKind, status::StatusCode},
};

use super::SpanChunk;
use crate::{
    chunk::{
        FieldPlan,
        column::{at, text_at},
    },
    fields::{SpanParts, any_at_resource, any_at_scope, any_span_text, any_span_value},
};

/// A span in a chunk as a query sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanInChunk<'a> {
    chunk: &'a SpanChunk,
    row: usize,
    plans: &'a [FieldPlan],
}

impl<'a> SpanInChunk<'a> {
    pub(super) fn new(chunk: &'a SpanChunk, row: usize, plans: &'a [FieldPlan]) -> Self {
        Self { chunk, row, plans }
    }
}

impl Record for SpanInChunk<'_> {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        any_span_value(self, field, visit)
    }

    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        any_span_text(self, visit)
    }
}

impl SpanParts for SpanInChunk<'_> {
    fn resource(&self) -> &ResourceContext {
        self.chunk.resources.of(self.row)
    }
    fn scope(&self) -> &ScopeContext {
        self.chunk.scopes.of(self.row)
    }
    fn name(&self) -> &str {
        self.chunk.names.value(self.row)
    }
    fn kind(&self) -> SpanKind {
        self.chunk.kind(self.row)
    }
    fn status_code(&self) -> StatusCode {
        self.chunk.status_code(self.row)
    }
    fn status_message(&self) -> &str {
        text_at(&self.chunk.status_messages, self.row)
    }
    fn start_unix_nano(&self) -> u64 {
        at(&self.chunk.starts, self.row)
    }
    fn end_unix_nano(&self) -> u64 {
        at(&self.chunk.ends, self.row)
    }
    fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_bytes(&self.chunk.trace_ids.value(self.row))
    }
    fn span_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(&self.chunk.span_ids.value(self.row))
    }
    fn parent_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(&self.chunk.parent_ids.value(self.row))
    }
    fn any_attribute(&self, path: &str, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let Self { chunk, row, plans } = *self;
        let Some(plan) = plans.iter().find(|plan| plan.path() == path) else {
            return chunk.attributes.any_at(row, path, visit)
                || any_at_scope(self.scope(), path, visit)
                || any_at_resource(self.resource(), path, visit);
        };
        chunk.attributes.any_planned(row, plan, visit)
            || plan.is_at_scope(chunk.scopes.number(row)) && any_at_scope(self.scope(), path, visit)
            || plan.is_at_resource(chunk.resources.number(row))
                && any_at_resource(self.resource(), path, visit)
    }
    fn any_attribute_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.chunk.attributes.any_text(self.row, visit)
    }
    fn any_event_name(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.chunk.events.any_name(self.row, visit)
    }
    fn any_event_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.chunk.events.any_text(self.row, visit)
    }
}
