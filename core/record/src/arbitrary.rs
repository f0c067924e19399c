//! proptest strategies for rows and for the OTLP data that they come from.

use proptest::prelude::*;

pub use log_tracer_proto::arbitrary::*;

use crate::{LogRow, SpanId, SpanRow, TraceId};

/// A valid trace id, often one of a few, so that records meet.
pub fn trace_id() -> impl Strategy<Value = TraceId> {
    valid_trace_id().prop_filter_map("not zero", |id| TraceId::from_bytes(&id))
}

/// A valid span id, often one of a few, so that records meet.
pub fn span_id() -> impl Strategy<Value = SpanId> {
    valid_span_id().prop_filter_map("not zero", |id| SpanId::from_bytes(&id))
}

/// Rows of valid spans of several resources and scopes.
pub fn span_rows() -> impl Strategy<Value = Vec<SpanRow>> {
    valid_resource_spans().prop_map(crate::span_rows)
}

/// Rows of log records of several resources and scopes.
pub fn log_rows() -> impl Strategy<Value = Vec<LogRow>> {
    resource_logs().prop_map(crate::log_rows)
}
