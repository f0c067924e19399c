//! Stands in for the format on disk.

use log_tracer_query::{Field, Intrinsic};
use log_tracer_record::{LogRow, SpanRow};

use super::{Columns, PieceInfo};
use crate::chunk::{Chunk, TimeBounds};

const PIECE_ROWS: usize = if cfg!(debug_assertions) { 5 } else { 8192 };

pub(super) fn pieces(chunk: &impl Chunk) -> Vec<PieceInfo> {
    let piece = |first: usize| {
        let end = (first + PIECE_ROWS).min(chunk.rows());
        PieceInfo {
            rows: first as u32..end as u32,
            bounds: TimeBounds {
                first: chunk.time(first),
                last: chunk.time(end - 1),
            },
        }
    };
    (0..chunk.rows()).step_by(PIECE_ROWS).map(piece).collect()
}

struct Wanted<'c>(&'c Columns);

impl Wanted<'_> {
    fn has(&self, intrinsics: &[Intrinsic]) -> bool {
        let is_field =
            |intrinsic: &Intrinsic| self.0.fields.contains(&Field::Intrinsic(*intrinsic));
        self.0.all || intrinsics.iter().any(is_field)
    }
    fn attribute(&self) -> bool {
        let is_attribute = |field: &Field| matches!(field, Field::Attribute(_));
        self.0.all || self.0.fields.iter().any(is_attribute)
    }
}

fn drop_unless<T: Default>(wanted: bool, value: &mut T) {
    if !wanted {
        *value = T::default();
    }
}

pub(super) fn project_span(mut row: SpanRow, columns: &Columns) -> SpanRow {
    let wanted = Wanted(columns);
    let span = &mut row.span;
    drop_unless(
        wanted.has(&[Intrinsic::TraceId]) || columns.traces,
        &mut span.trace_id,
    );
    drop_unless(wanted.has(&[Intrinsic::SpanId]), &mut span.span_id);
    drop_unless(wanted.has(&[Intrinsic::ParentId]), &mut span.parent_span_id);
    drop_unless(
        wanted.has(&[Intrinsic::Name]) || columns.texts,
        &mut span.name,
    );
    drop_unless(wanted.has(&[Intrinsic::Kind]), &mut span.kind);
    drop_unless(
        wanted.has(&[Intrinsic::Duration]),
        &mut span.end_time_unix_nano,
    );
    let has_message = wanted.has(&[Intrinsic::StatusMessage]) || columns.texts;
    let has_code = wanted.has(&[Intrinsic::Status]) || columns.levels;
    if let Some(status) = &mut span.status {
        drop_unless(has_code, &mut status.code);
        drop_unless(has_message, &mut status.message);
    }
    drop_unless(wanted.attribute() || columns.texts, &mut span.attributes);
    drop_unless(
        wanted.has(&[Intrinsic::Event]) || columns.texts,
        &mut span.events,
    );
    drop_unless(columns.all, &mut span.links);
    let has_resource = wanted.has(&[Intrinsic::Service]) || wanted.attribute() || columns.resources;
    drop_unless(has_resource, &mut row.resource);
    drop_unless(
        wanted.has(&[Intrinsic::Scope]) || wanted.attribute(),
        &mut row.scope,
    );
    row
}

pub(super) fn project_log(mut row: LogRow, columns: &Columns) -> LogRow {
    let wanted = Wanted(columns);
    let time = row.time_unix_nano();
    let record = &mut row.record;
    drop_unless(
        wanted.has(&[Intrinsic::TraceId]) || columns.traces,
        &mut record.trace_id,
    );
    drop_unless(wanted.has(&[Intrinsic::SpanId]), &mut record.span_id);
    drop_unless(
        wanted.has(&[Intrinsic::Name]) || columns.texts,
        &mut record.event_name,
    );
    drop_unless(
        wanted.has(&[Intrinsic::Severity]) || columns.levels,
        &mut record.severity_number,
    );
    drop_unless(
        wanted.has(&[Intrinsic::Body]) || columns.texts,
        &mut record.body,
    );
    drop_unless(wanted.attribute() || columns.texts, &mut record.attributes);
    if !columns.all {
        record.time_unix_nano = time;
        record.observed_time_unix_nano = 0;
    }
    let has_resource = wanted.has(&[Intrinsic::Service]) || wanted.attribute() || columns.resources;
    drop_unless(has_resource, &mut row.resource);
    drop_unless(
        wanted.has(&[Intrinsic::Scope]) || wanted.attribute(),
        &mut row.scope,
    );
    row
}
