//! Spans from a request into columns.

use log_tracer_record::{
    otlp::trace::{Span, Status, span::Link},
    wire::{SpanView, Text, View},
};
use prost::Message;

use super::{FIXED_BYTES, LABELS_AND_RUNS, STATUS_ABSENT, SpanBuilder};
use crate::{
    Origin,
    chunk::{attributes::attribute_views_bytes_max, events::event_views_bytes_max, request::Above},
};

impl SpanBuilder {
    /// The same as [`bytes_max_of`](crate::chunk::ChunkBuilder::bytes_max_of) the row that the span would be.
    pub(super) fn bytes_max_of_span(span: &SpanView<'_>) -> usize {
        let links: usize = span
            .links
            .messages()
            .map(|link| decoded::<Link>(link).encoded_len() + LABELS_AND_RUNS)
            .sum();
        let status = span
            .status
            .map_or(0, |status| status.message.as_bytes().len());
        FIXED_BYTES
            + LABELS_AND_RUNS
            + span.name.as_bytes().len()
            + status
            + span.trace_state.as_bytes().len()
            + span.trace_id.len()
            + span.span_id.len()
            + span.parent_span_id.len()
            + attribute_views_bytes_max(span.attributes)
            + event_views_bytes_max(span.events)
            + links
    }

    pub(super) fn append_span(
        &mut self,
        origin: Origin,
        index: u32,
        above: &Above<'_>,
        message: &[u8],
    ) {
        let span = SpanView::of(message);
        let has_trace_id = self.trace_ids.append(span.trace_id);
        let has_span_id = self.span_ids.append(span.span_id);
        let has_parent_id = self.parent_ids.append(span.parent_span_id);
        self.bounds.include(span.start_time_unix_nano);
        self.starts.push(span.start_time_unix_nano);
        self.ends.push(span.end_time_unix_nano);
        self.kinds.push(span.kind);
        self.flags.push(span.flags);
        let (code, message) = match span.status {
            None => (STATUS_ABSENT, Text::default()),
            Some(status) => (status.code, status.message),
        };
        self.status_codes.push(code);
        self.status_messages.append_view(message);
        let is_odd = !(has_trace_id && has_span_id && has_parent_id)
            || span
                .status
                .is_some_and(|status| status.code == STATUS_ABSENT);
        let rest = if is_odd || has_rest(&span) {
            let mut rest = rest_of(&span);
            if !has_trace_id {
                rest.trace_id = copy(span.trace_id);
            }
            if !has_span_id {
                rest.span_id = copy(span.span_id);
            }
            if !has_parent_id {
                rest.parent_span_id = copy(span.parent_span_id);
            }
            self.rest.append_message(&rest)
        } else {
            self.rest.append_bytes(&[])
        };
        self.bytes += FIXED_BYTES
            + message.as_bytes().len()
            + rest
            + self.origins.append(origin, index)
            + self.names.append_view(span.name)
            + self.resources.append_view(&above.resource)
            + self.scopes.append_view(&above.scope)
            + self.attributes.append_views(span.attributes)
            + self.events.append_views(span.events);
    }
}

/// Whether a span has something that has no column.
fn has_rest(span: &SpanView<'_>) -> bool {
    !span.trace_state.as_bytes().is_empty()
        || !span.links.is_empty()
        || span.dropped_attributes_count != 0
        || span.dropped_events_count != 0
        || span.dropped_links_count != 0
}

/// All that has no column, and a status whose code means that there is none.
fn rest_of(span: &SpanView<'_>) -> Span {
    let status = span.status.filter(|status| status.code == STATUS_ABSENT);
    Span {
        trace_state: span.trace_state.as_str().to_owned(),
        links: span.links.messages().map(decoded).collect(),
        dropped_attributes_count: span.dropped_attributes_count,
        dropped_events_count: span.dropped_events_count,
        dropped_links_count: span.dropped_links_count,
        status: status.map(|status| Status {
            message: status.message.as_str().to_owned(),
            code: status.code,
        }),
        ..Span::default()
    }
}

fn copy(bytes: &[u8]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(bytes)
}

/// A message of a request that was checked, so that it can be decoded.
fn decoded<M: Message + Default>(message: &[u8]) -> M {
    M::decode(message).unwrap_or_default()
}
