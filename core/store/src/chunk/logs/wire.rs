//! Log records from a request into columns.

use log_tracer_record::{
    otlp::logs::LogRecord,
    wire::{LogView, View},
};

use super::{FIXED_BYTES, LABELS_AND_RUNS, LogBuilder};
use crate::{
    Origin,
    chunk::{attributes::attribute_views_bytes_max, request::Above, value::value_view_bytes_max},
};

impl LogBuilder {
    /// The same as [`bytes_max_of`](crate::chunk::ChunkBuilder::bytes_max_of) the row that the record would be.
    pub(super) fn bytes_max_of_log(record: &LogView<'_>) -> usize {
        FIXED_BYTES
            + LABELS_AND_RUNS
            + record.severity_text.as_bytes().len()
            + record.event_name.as_bytes().len()
            + record.trace_id.len()
            + record.span_id.len()
            + value_view_bytes_max(record.body)
            + attribute_views_bytes_max(record.attributes)
    }

    pub(super) fn append_log(
        &mut self,
        origin: Origin,
        index: u32,
        above: &Above<'_>,
        message: &[u8],
    ) {
        let record = LogView::of(message);
        let has_trace_id = self.trace_ids.append(record.trace_id);
        let has_span_id = self.span_ids.append(record.span_id);
        self.bounds.include(record.time());
        self.times.push(record.time_unix_nano);
        self.observed_times.push(record.observed_time_unix_nano);
        self.severities.push(record.severity_number);
        self.flags.push(record.flags);
        let rest = if has_trace_id && has_span_id && record.dropped_attributes_count == 0 {
            self.rest.append_bytes(&[])
        } else {
            let unless = |is_in_column: bool, id: &[u8]| match is_in_column {
                true => bytes::Bytes::new(),
                false => bytes::Bytes::copy_from_slice(id),
            };
            self.rest.append_message(&LogRecord {
                dropped_attributes_count: record.dropped_attributes_count,
                trace_id: unless(has_trace_id, record.trace_id),
                span_id: unless(has_span_id, record.span_id),
                ..LogRecord::default()
            })
        };
        self.bytes += FIXED_BYTES
            + rest
            + self.origins.append(origin, index)
            + self.severity_texts.append_view(record.severity_text)
            + self.event_names.append_view(record.event_name)
            + self.bodies.append_view(record.body)
            + self.resources.append_view(&above.resource)
            + self.scopes.append_view(&above.scope)
            + self.attributes.append_views(record.attributes);
    }
}
