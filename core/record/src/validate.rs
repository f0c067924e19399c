//! Takes out of a request what OTLP calls invalid. The rest of the request is stored; the sender is told by a partial
//! success.

use crate::{
    Place, Rejected, SpanId, TraceId,
    otlp::{collector_trace::ExportTraceServiceRequest, trace::Span},
};

/// Removes the spans whose trace id or span id is invalid. Groups that become empty stay; when nothing is rejected, the
/// request is as it was.
///
/// Log records need no such step: with an invalid id they belong to no trace, and are kept.
pub fn spans(request: &mut ExportTraceServiceRequest) -> Rejected {
    let mut rejected = Rejected::default();
    for (resource, of_resource) in request.resource_spans.iter_mut().enumerate() {
        for (scope, of_scope) in of_resource.scope_spans.iter_mut().enumerate() {
            let mut record = 0;
            of_scope.spans.retain(|span| {
                let place = Place {
                    resource,
                    scope,
                    record,
                };
                record += 1;
                let valid = is_valid(span);
                if !valid {
                    rejected.add(place, || reason(span));
                }
                valid
            });
        }
    }
    rejected
}

fn is_valid(span: &Span) -> bool {
    TraceId::from_bytes(&span.trace_id).is_some() && SpanId::from_bytes(&span.span_id).is_some()
}

fn reason(span: &Span) -> String {
    if TraceId::from_bytes(&span.trace_id).is_none() {
        return describe("trace id", span.trace_id.len(), TraceId::LEN);
    }
    describe("span id", span.span_id.len(), SpanId::LEN)
}

fn describe(what: &str, len: usize, expected: usize) -> String {
    if len == expected {
        format!("the {what} is all zero")
    } else {
        format!("the {what} has {len} bytes where {expected} are expected")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::otlp::trace::{ResourceSpans, ScopeSpans};

    fn span(trace_id: &'static [u8], span_id: &'static [u8]) -> Span {
        Span {
            trace_id: Bytes::from_static(trace_id),
            span_id: Bytes::from_static(span_id),
            ..Span::default()
        }
    }

    fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope = ScopeSpans {
            spans,
            ..ScopeSpans::default()
        };
        let resource = ResourceSpans {
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans::default(), resource],
        }
    }

    #[test]
    fn a_request_of_valid_spans_is_not_touched() {
        let mut valid = request(vec![span(&[1; 16], &[2; 8]), span(&[3; 16], &[4; 8])]);
        let before = valid.clone();
        assert!(spans(&mut valid).is_empty());
        assert_eq!(valid, before);
    }

    #[test]
    fn invalid_spans_leave_and_are_named_with_their_place_and_reason() {
        let good = span(&[1; 16], &[2; 8]);
        let mut mixed = request(vec![
            span(&[1; 3], &[2; 8]),
            good.clone(),
            span(&[0; 16], &[2; 8]),
            span(&[1; 16], &[]),
            span(&[1; 16], &[0; 8]),
        ]);
        let rejected = spans(&mut mixed);
        assert_eq!(mixed, request(vec![good]));
        assert_eq!(rejected.count, 4);
        assert_eq!(
            rejected.to_string(),
            "resource 1, scope 0, record 0: the trace id has 3 bytes where 16 are expected; \
             resource 1, scope 0, record 2: the trace id is all zero; \
             resource 1, scope 0, record 3: the span id has 0 bytes where 8 are expected; \
             resource 1, scope 0, record 4: the span id is all zero"
        );
    }

    #[test]
    fn a_parent_id_of_any_shape_does_not_make_a_span_invalid() {
        let odd = Span {
            parent_span_id: Bytes::from_static(b"odd"),
            ..span(&[1; 16], &[2; 8])
        };
        assert!(spans(&mut request(vec![odd])).is_empty());
    }
}
