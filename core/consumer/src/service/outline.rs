//! A trace in numbers, in pieces.

use log_tracer_proto::{
    outline::{Asked, LogRow, SpanRow},
    v1::{
        GetTraceOutlineRequest, GetTraceOutlineResponse, OutlineLogs, OutlineSpans, ResourceEntry,
    },
};
use log_tracer_query::{Expr, Field, Query, Test, parse};
use log_tracer_store::{OutlineLog, OutlineSpan, OutlineSpec, TraceOutline};
use tonic::Status;

use super::{
    answer::{Covered, Room},
    pieces::{Gone, Sink},
    request,
};
use crate::{QueryConfig, table::framed_bytes};

/// What a span or a log record takes in its columns, at most.
const ROW_BYTES: usize = 64;

/// What a text takes beside itself: its tag and its length.
const TEXT_FIXED_BYTES: usize = 8;

/// The question of a request.
pub(crate) fn spec(
    request: &GetTraceOutlineRequest,
    config: &QueryConfig,
) -> Result<OutlineSpec, Status> {
    Ok(OutlineSpec {
        trace_id: request::trace_id("trace_id", &request.trace_id)?,
        limits: request::trace_limits(request.spans_max, request.logs_max, config),
        span_query: request::query(&request.span_query)?,
        log_query: request::query(&request.log_query)?,
        span_field: match request.span_field.as_str() {
            "" => None,
            name => Some(field(name)),
        },
    })
}

/// The field that a query means by this; what no query would take for a field is the key of an attribute.
fn field(name: &str) -> Field {
    let query = parse(&format!("{name}:*"));
    match query.as_ref().map(Query::expr) {
        Ok(Expr::Field(exists)) if exists.test == Test::Exists => exists.field.clone(),
        _ => Field::named(name),
    }
}

/// Sends an outline: its spans, its logs, each with what it uses of the tables before it, and with the last piece what is
/// covered.
pub(crate) fn send(
    outline: &TraceOutline,
    mut covered: Covered,
    spec: &OutlineSpec,
    config: &QueryConfig,
    sink: &Sink<GetTraceOutlineResponse>,
) -> Result<(), Gone> {
    let message_bytes_max = Room::in_answer(config.answer_bytes_max).left();
    let mut pieces = Pieces {
        outline,
        spec,
        // The last piece has the coverage beside it.
        piece_bytes_max: config.piece_bytes_max.min(message_bytes_max),
        entry_bytes_max: message_bytes_max / 2,
        sent: Sent::default(),
        too_large: 0,
    };
    let (mut spans, mut logs) = (outline.spans.as_slice(), outline.logs.as_slice());
    loop {
        let mut piece = GetTraceOutlineResponse::default();
        let mut room = pieces.piece_bytes_max;
        let count = pieces.fitting_spans(spans, &mut piece, &mut room);
        let (now, later) = spans.split_at(count);
        if !now.is_empty() {
            piece.spans = Some(pieces.span_columns(now));
        }
        spans = later;
        if spans.is_empty() {
            let count = pieces.fitting_logs(logs, &mut piece, &mut room);
            let (now, later) = logs.split_at(count);
            if !now.is_empty() {
                piece.logs = Some(pieces.log_columns(now));
            }
            logs = later;
        }
        if spans.is_empty() && logs.is_empty() {
            covered.leave_out(pieces.too_large, "resources");
            piece.coverage = Some(covered.into_message());
            piece.duplicate_spans = outline.duplicate_count;
            return sink.send(piece);
        }
        sink.send(piece)?;
    }
}

struct Pieces<'a> {
    outline: &'a TraceOutline,
    spec: &'a OutlineSpec,
    piece_bytes_max: usize,
    entry_bytes_max: usize,
    sent: Sent,
    /// Resources that no message can carry.
    too_large: usize,
}

/// How much of each table was sent: what comes first in it is used first.
#[derive(Default)]
struct Sent {
    resources: usize,
    names: usize,
    values: usize,
}

/// What a row uses of the tables that was not sent.
struct New<'a> {
    resource: Option<ResourceEntry>,
    /// A resource that no message can carry, of which an empty one takes the place.
    is_too_large: bool,
    name: Option<&'a str>,
    value: Option<&'a str>,
}

impl New<'_> {
    /// What the row takes with it.
    fn bytes(&self) -> usize {
        let texts = self.name.into_iter().chain(self.value);
        let texts: usize = texts.map(|text| text.len() + TEXT_FIXED_BYTES).sum();
        ROW_BYTES + self.resource.as_ref().map_or(0, framed_bytes) + texts
    }
}

impl<'a> Pieces<'a> {
    /// How many spans fit into a piece, with what they use of the tables, which is added to it. One fits always.
    fn fitting_spans(
        &mut self,
        spans: &[OutlineSpan],
        piece: &mut GetTraceOutlineResponse,
        room: &mut usize,
    ) -> usize {
        for (count, span) in spans.iter().enumerate() {
            let (sent, outline) = (&self.sent, self.outline);
            let new = New {
                name: new_text(&outline.names, sent.names, Some(span.name)),
                value: new_text(&outline.values, sent.values, span.value),
                ..self.new_of(span.resource)
            };
            if !self.add(new, count > 0, piece, room) {
                return count;
            }
        }
        spans.len()
    }

    /// Likewise; one fits always when the piece has no spans.
    fn fitting_logs(
        &mut self,
        logs: &[OutlineLog],
        piece: &mut GetTraceOutlineResponse,
        room: &mut usize,
    ) -> usize {
        let has_spans = piece.spans.is_some();
        for (count, log) in logs.iter().enumerate() {
            let new = self.new_of(log.resource);
            if !self.add(new, has_spans || count > 0, piece, room) {
                return count;
            }
        }
        logs.len()
    }

    /// The resource of a row, if it was not sent.
    fn new_of(&self, resource: u32) -> New<'a> {
        let number = resource as usize;
        let context = self.outline.resources.get(number);
        let entry = context
            .filter(|_| number >= self.sent.resources)
            .map(|context| ResourceEntry {
                resource: Some(context.resource.clone()),
                schema_url: context.schema_url.clone(),
                service: context.service().to_owned(),
            });
        let is_too_large = |entry: &ResourceEntry| framed_bytes(entry) > self.entry_bytes_max;
        let is_too_large = entry.as_ref().is_some_and(is_too_large);
        New {
            resource: match is_too_large {
                true => Some(ResourceEntry::default()),
                false => entry,
            },
            is_too_large,
            name: None,
            value: None,
        }
    }

    /// Adds what a row uses. False when there is no room for it and it may wait for the next piece.
    fn add(
        &mut self,
        new: New<'_>,
        may_wait: bool,
        piece: &mut GetTraceOutlineResponse,
        room: &mut usize,
    ) -> bool {
        let bytes = new.bytes();
        if bytes > *room && may_wait {
            return false;
        }
        *room = room.saturating_sub(bytes);
        let sent = &mut self.sent;
        self.too_large += usize::from(new.is_too_large);
        // What comes first in a table is used first, so that what is new is the next.
        sent.resources += usize::from(new.resource.is_some());
        sent.names += usize::from(new.name.is_some());
        sent.values += usize::from(new.value.is_some());
        piece.resources.extend(new.resource);
        piece.names.extend(new.name.map(str::to_owned));
        piece.values.extend(new.value.map(str::to_owned));
        true
    }

    fn span_columns(&self, spans: &[OutlineSpan]) -> OutlineSpans {
        let asked = Asked {
            matches: !self.spec.span_query.is_empty(),
            values: self.spec.span_field.is_some(),
        };
        let rows = spans.iter().map(|span| SpanRow {
            span_id: span.span_id,
            parent_id: span.parent_id,
            start_unix_nano: span.start_unix_nano,
            end_unix_nano: span.end_unix_nano,
            name: span.name,
            resource: span.resource,
            value: span.value,
            kind: span.kind,
            status: span.status,
            matches: span.matches,
        });
        OutlineSpans::of(rows, asked)
    }

    fn log_columns(&self, logs: &[OutlineLog]) -> OutlineLogs {
        let asked = Asked {
            matches: !self.spec.log_query.is_empty(),
            values: false,
        };
        let rows = logs.iter().map(|log| LogRow {
            span_id: log.span_id,
            time_unix_nano: log.time_unix_nano,
            resource: log.resource,
            severity: log.severity,
            matches: log.matches,
        });
        OutlineLogs::of(rows, asked)
    }
}

/// A text of a table, if it was not sent.
fn new_text(table: &[String], sent: usize, number: Option<u32>) -> Option<&str> {
    let number = number? as usize;
    let text = table.get(number).filter(|_| number >= sent)?;
    Some(text)
}
