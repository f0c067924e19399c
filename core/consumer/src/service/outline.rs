//! A trace in numbers, in pieces.

use log_tracer_proto::v1::{
    GetTraceOutlineRequest, GetTraceOutlineResponse, OutlineLogs, OutlineSpans, ResourceEntry,
};
use log_tracer_query::Field;
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
            name => Some(Field::named(name)),
        },
    })
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
    let mut pieces = Pieces {
        outline,
        spec,
        piece_bytes_max: config.piece_bytes_max,
        entry_bytes_max: Room::in_answer(config.answer_bytes_max).left() / 2,
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

impl Pieces<'_> {
    /// How many spans fit into a piece, with what they use of the tables, which is added to it. One fits always.
    fn fitting_spans(
        &mut self,
        spans: &[OutlineSpan],
        piece: &mut GetTraceOutlineResponse,
        room: &mut usize,
    ) -> usize {
        for (count, span) in spans.iter().enumerate() {
            if *room < ROW_BYTES && count > 0 {
                return count;
            }
            let mut bytes = ROW_BYTES + self.add_resource(span.resource, piece);
            let (sent, outline) = (&mut self.sent, self.outline);
            let name = Some(span.name);
            bytes += add_text(&outline.names, &mut sent.names, name, &mut piece.names);
            bytes += add_text(
                &outline.values,
                &mut sent.values,
                span.value,
                &mut piece.values,
            );
            *room = room.saturating_sub(bytes);
        }
        spans.len()
    }

    fn fitting_logs(
        &mut self,
        logs: &[OutlineLog],
        piece: &mut GetTraceOutlineResponse,
        room: &mut usize,
    ) -> usize {
        let is_first = piece.spans.is_none();
        for (count, log) in logs.iter().enumerate() {
            if *room < ROW_BYTES && (count > 0 || !is_first) {
                return count;
            }
            let bytes = ROW_BYTES + self.add_resource(log.resource, piece);
            *room = room.saturating_sub(bytes);
        }
        logs.len()
    }

    /// Adds a resource that was not sent; answers its bytes.
    fn add_resource(&mut self, number: u32, piece: &mut GetTraceOutlineResponse) -> usize {
        let number = number as usize;
        if number < self.sent.resources {
            return 0;
        }
        self.sent.resources = number + 1;
        let Some(context) = self.outline.resources.get(number) else {
            return 0;
        };
        let mut entry = ResourceEntry {
            resource: Some(context.resource.clone()),
            schema_url: context.schema_url.clone(),
            service: context.service().to_owned(),
        };
        if framed_bytes(&entry) > self.entry_bytes_max {
            self.too_large += 1;
            entry = ResourceEntry::default();
        }
        let bytes = framed_bytes(&entry);
        piece.resources.push(entry);
        bytes
    }

    fn span_columns(&self, spans: &[OutlineSpan]) -> OutlineSpans {
        let column = |of: fn(&OutlineSpan) -> u8| spans.iter().map(of).collect::<Vec<u8>>().into();
        OutlineSpans {
            span_ids: spans
                .iter()
                .flat_map(|span| span.span_id)
                .collect::<Vec<u8>>()
                .into(),
            parent_span_ids: spans
                .iter()
                .flat_map(|span| span.parent_id)
                .collect::<Vec<u8>>()
                .into(),
            start_unix_nano: spans.iter().map(|span| span.start_unix_nano).collect(),
            end_unix_nano: spans.iter().map(|span| span.end_unix_nano).collect(),
            names: spans.iter().map(|span| span.name).collect(),
            resources: spans.iter().map(|span| span.resource).collect(),
            kinds: column(|span| span.kind),
            statuses: column(|span| span.status),
            matches: match self.spec.span_query.is_empty() {
                true => bytes::Bytes::new(),
                false => column(|span| u8::from(span.matches)),
            },
            values: match self.spec.span_field {
                None => Vec::new(),
                Some(_) => spans
                    .iter()
                    .map(|span| span.value.map_or(0, |value| value + 1))
                    .collect(),
            },
        }
    }

    fn log_columns(&self, logs: &[OutlineLog]) -> OutlineLogs {
        let column = |of: fn(&OutlineLog) -> u8| logs.iter().map(of).collect::<Vec<u8>>().into();
        OutlineLogs {
            span_ids: logs
                .iter()
                .flat_map(|log| log.span_id)
                .collect::<Vec<u8>>()
                .into(),
            time_unix_nano: logs.iter().map(|log| log.time_unix_nano).collect(),
            severities: column(|log| log.severity),
            resources: logs.iter().map(|log| log.resource).collect(),
            matches: match self.spec.log_query.is_empty() {
                true => bytes::Bytes::new(),
                false => column(|log| u8::from(log.matches)),
            },
        }
    }
}

/// Adds a text that was not sent; answers its bytes.
fn add_text(
    table: &[String],
    sent: &mut usize,
    number: Option<u32>,
    piece: &mut Vec<String>,
) -> usize {
    let Some(number) = number.map(|number| number as usize) else {
        return 0;
    };
    if number < *sent {
        return 0;
    }
    *sent = number + 1;
    let Some(text) = table.get(number) else {
        return 0;
    };
    piece.push(text.clone());
    text.len() + TEXT_FIXED_BYTES
}
