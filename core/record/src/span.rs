//! Spans as rows.

use std::sync::Arc;

use crate::{
    ResourceContext, ScopeContext, SpanId, TraceId,
    otlp::trace::{ResourceSpans, Span, span::SpanKind, status::StatusCode},
};

/// One span with what it shares with others.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRow {
    /// The entity that it is about.
    pub resource: Arc<ResourceContext>,
    /// The library that made it.
    pub scope: Arc<ScopeContext>,
    /// As it came.
    pub span: Span,
}

/// Turns resources with their spans into rows, in the order in which they stand.
#[must_use]
pub fn span_rows(resources: Vec<ResourceSpans>) -> Vec<SpanRow> {
    let spans = resources
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .map(|s| s.spans.len());
    let mut rows = Vec::with_capacity(spans.sum());
    for of_resource in resources {
        let resource = of_resource.resource.unwrap_or_default();
        let resource = Arc::new(ResourceContext::new(resource, of_resource.schema_url));
        for of_scope in of_resource.scope_spans {
            let scope = Arc::new(ScopeContext {
                scope: of_scope.scope,
                schema_url: of_scope.schema_url,
            });
            rows.extend(of_scope.spans.into_iter().map(|span| SpanRow {
                resource: Arc::clone(&resource),
                scope: Arc::clone(&scope),
                span,
            }));
        }
    }
    rows
}

impl SpanRow {
    /// The trace it belongs to; `None` only for a span that is [rejected](crate::wire::Request::rejected).
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_bytes(&self.span.trace_id)
    }

    /// Its id; `None` only for a span that is [rejected](crate::wire::Request::rejected).
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(&self.span.span_id)
    }

    /// The span that caused it; `None` for a root, and when the id is invalid.
    #[must_use]
    pub fn parent_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(&self.span.parent_span_id)
    }

    /// The service that made it.
    #[must_use]
    pub fn service(&self) -> &str {
        self.resource.service()
    }

    /// Its role in a call; unspecified when this version does not know the number.
    #[must_use]
    pub fn kind(&self) -> SpanKind {
        SpanKind::try_from(self.span.kind).unwrap_or(SpanKind::Unspecified)
    }

    /// When it started, nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn start_unix_nano(&self) -> u64 {
        self.span.start_time_unix_nano
    }

    /// When it ended, nanoseconds since 1970-01-01T00:00:00Z; may lie before the start.
    #[must_use]
    pub fn end_unix_nano(&self) -> u64 {
        self.span.end_time_unix_nano
    }

    /// How long it took in nanoseconds; 0 when the end lies before the start.
    #[must_use]
    pub fn duration_nano(&self) -> u64 {
        self.end_unix_nano().saturating_sub(self.start_unix_nano())
    }

    /// Its outcome; unset when it has none, or one that this version does not know.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        let code = self.span.status.as_ref().map(|status| status.code);
        code.and_then(|code| StatusCode::try_from(code).ok())
            .unwrap_or(StatusCode::Unset)
    }

    /// What its status says, empty when it says nothing.
    #[must_use]
    pub fn status_message(&self) -> &str {
        self.span
            .status
            .as_ref()
            .map_or("", |status| &status.message)
    }

    /// Whether its outcome is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.status_code() == StatusCode::Error
    }

    /// The W3C trace flags.
    #[must_use]
    pub fn trace_flags(&self) -> u8 {
        w3c_trace_flags(self.span.flags)
    }

    /// Whether the parent is in another process; `None` when the sender did not say.
    #[must_use]
    pub fn parent_is_remote(&self) -> Option<bool> {
        const IS_REMOTE_IS_KNOWN: u32 = 1 << 8;
        const IS_REMOTE: u32 = 1 << 9;
        let known = self.span.flags & IS_REMOTE_IS_KNOWN != 0;
        known.then_some(self.span.flags & IS_REMOTE != 0)
    }
}

/// Bits 0-7 of OTLP's flags; a reader must not assume anything about the bits above.
pub(crate) fn w3c_trace_flags(flags: u32) -> u8 {
    let [lowest, ..] = flags.to_le_bytes();
    lowest
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::otlp::trace::Status;

    fn row(span: Span) -> SpanRow {
        SpanRow {
            resource: Arc::default(),
            scope: Arc::default(),
            span,
        }
    }

    #[test]
    fn a_span_that_ends_before_it_starts_took_no_time() {
        let skewed = Span {
            start_time_unix_nano: 9,
            end_time_unix_nano: 4,
            ..Span::default()
        };
        assert_eq!(row(skewed).duration_nano(), 0);
    }

    #[test]
    fn numbers_that_are_not_known_are_read_as_unspecified() {
        let status = Some(Status {
            code: -3,
            ..Status::default()
        });
        let odd = row(Span {
            kind: 99,
            status,
            ..Span::default()
        });
        assert_eq!(odd.kind(), SpanKind::Unspecified);
        assert_eq!(odd.status_code(), StatusCode::Unset);
        assert!(!odd.is_error());
    }

    #[test]
    fn flags_are_masked() {
        let flagged = |flags| {
            row(Span {
                flags,
                ..Span::default()
            })
        };
        assert_eq!(flagged(0xffff_fc01).trace_flags(), 1);
        assert_eq!(flagged(0xffff_fc01).parent_is_remote(), None);
        assert_eq!(flagged(0x100).parent_is_remote(), Some(false));
        assert_eq!(flagged(0x301).parent_is_remote(), Some(true));
        // The bit without the one that says that it is known.
        assert_eq!(flagged(0x200).parent_is_remote(), None);
    }

    #[test]
    fn a_parent_that_is_zero_or_of_another_length_is_no_parent() {
        let child = |parent: &'static [u8]| {
            row(Span {
                parent_span_id: Bytes::from_static(parent),
                ..Span::default()
            })
        };
        assert_eq!(child(&[0; 8]).parent_id(), None);
        assert_eq!(child(&[1; 7]).parent_id(), None);
        assert_eq!(child(&[1; 8]).parent_id(), SpanId::from_bytes(&[1; 8]));
    }
}
