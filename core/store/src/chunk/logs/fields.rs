//! A log record in a chunk as the query language sees it.

use log_tracer_query::{Field, Record, Value};
use log_tracer_record::{
    ResourceContext, ScopeContext, SpanId, TraceId, otlp::logs::SeverityNumber,
};

use super::LogChunk;
use crate::{
    chunk::{Chunk, FieldPlan},
    fields::{LogParts, any_at_resource, any_at_scope, any_log_text, any_log_value},
};

/// A log record in a chunk as a query sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogInChunk<'a> {
    chunk: &'a LogChunk,
    row: usize,
    plans: &'a [FieldPlan],
}

impl<'a> LogInChunk<'a> {
    pub(super) fn new(chunk: &'a LogChunk, row: usize, plans: &'a [FieldPlan]) -> Self {
        Self { chunk, row, plans }
    }
}

impl Record for LogInChunk<'_> {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        any_log_value(self, field, visit)
    }

    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        any_log_text(self, visit)
    }
}

impl LogParts for LogInChunk<'_> {
    fn resource(&self) -> &ResourceContext {
        self.chunk.resources.of(self.row)
    }
    fn scope(&self) -> &ScopeContext {
        self.chunk.scopes.of(self.row)
    }
    fn event_name(&self) -> &str {
        self.chunk.event_names.value(self.row)
    }
    fn severity(&self) -> SeverityNumber {
        self.chunk.severity(self.row)
    }
    fn time_unix_nano(&self) -> u64 {
        self.chunk.time(self.row)
    }
    fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_bytes(&self.chunk.trace_ids.value(self.row))
    }
    fn span_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(&self.chunk.span_ids.value(self.row))
    }
    fn any_body(&self, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        self.chunk.bodies.any_below(self.row, "", visit)
    }
    fn any_body_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.chunk.bodies.any_text(self.row, visit)
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
}
