//! A trace in pieces.

use std::{collections::HashSet, sync::Arc};

use log_tracer_proto::v1::GetTraceResponse;
use log_tracer_record::{
    LogRow, ResourceContext, ScopeContext, SpanRow, logs_to_otlp, spans_to_otlp,
};
use log_tracer_store::Trace;

use super::{
    answer::{Covered, Room},
    pieces::{Gone, Sink},
};
use crate::{QueryConfig, table::framed_bytes};

/// What a record takes at most beside itself, as far as it is alone with its resource and scope: tags and lengths.
const RECORD_FIXED_BYTES: usize = 64;

/// Sends a trace: its spans, its logs, and with the last piece what is covered. Of a selection, log records of one time keep
/// the order that they have in the outline, whatever their scopes.
pub(crate) fn send(
    trace: &Trace,
    is_selection: bool,
    mut covered: Covered,
    config: &QueryConfig,
    sink: &Sink<GetTraceResponse>,
) -> Result<(), Gone> {
    let answer_bytes_max = Room::in_answer(config.answer_bytes_max).left();
    let mut pieces = Pieces {
        sink,
        // The last piece has the coverage beside it.
        piece_bytes_max: config.piece_bytes_max.min(answer_bytes_max),
        answer_bytes_max,
        piece: Piece::default(),
        too_large: 0,
    };
    for row in trace.spans() {
        let bytes = framed_bytes(&row.span);
        if pieces.make_room(bytes, &row.resource, &row.scope)? {
            pieces.piece.spans.push(row);
        }
    }
    for row in trace.logs() {
        if is_selection && pieces.piece.disorders(&row) {
            pieces.pass_on()?;
        }
        let bytes = framed_bytes(&row.record);
        if pieces.make_room(bytes, &row.resource, &row.scope)? {
            pieces.piece.logs.push(row);
        }
    }
    covered.leave_out(pieces.too_large, "spans or log records");
    let mut last = pieces.piece.into_message();
    last.coverage = Some(covered.into_message());
    last.duplicate_spans = trace.duplicate_count;
    sink.send(last)
}

struct Pieces<'a> {
    sink: &'a Sink<GetTraceResponse>,
    piece_bytes_max: usize,
    answer_bytes_max: usize,
    piece: Piece,
    too_large: usize,
}

/// Rows that are sent together.
#[derive(Default)]
struct Piece {
    bytes: usize,
    /// The resources, and the scopes of each, that are accounted for; by address, which the rows keep in use.
    resources: HashSet<usize>,
    scopes: HashSet<(usize, usize)>,
    spans: Vec<SpanRow>,
    logs: Vec<LogRow>,
}

impl Pieces<'_> {
    /// Accounts for a record, sending the piece before if it would grow too large. False when no message can carry the
    /// record.
    fn make_room(
        &mut self,
        record_bytes: usize,
        resource: &Arc<ResourceContext>,
        scope: &Arc<ScopeContext>,
    ) -> Result<bool, Gone> {
        let record_bytes = record_bytes + RECORD_FIXED_BYTES;
        let alone = record_bytes + Piece::default().context_bytes(resource, scope);
        if alone > self.answer_bytes_max {
            self.too_large += 1;
            return Ok(false);
        }
        let mut bytes = record_bytes + self.piece.context_bytes(resource, scope);
        if self.piece.bytes + bytes > self.piece_bytes_max && !self.piece.is_empty() {
            self.pass_on()?;
            bytes = alone;
        }
        self.piece.add(bytes, resource, scope);
        Ok(true)
    }

    fn pass_on(&mut self) -> Result<(), Gone> {
        let piece = std::mem::take(&mut self.piece);
        self.sink.send(piece.into_message())
    }
}

impl Piece {
    fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.logs.is_empty()
    }

    /// Whether a log record would come before or after one of its time that it does not: equal scopes of a piece are merged,
    /// so that the order of two of them is not that of their records.
    fn disorders(&self, row: &LogRow) -> bool {
        self.logs.last().is_some_and(|last| {
            last.time_unix_nano() == row.time_unix_nano() && !Arc::ptr_eq(&last.scope, &row.scope)
        })
    }

    /// What a resource and a scope add. Spans and logs stand in lists of their own, each with its resources, so each
    /// counts twice; one that is equal to another but elsewhere in memory counts again. Both only make a piece smaller.
    fn context_bytes(&self, resource: &Arc<ResourceContext>, scope: &Arc<ScopeContext>) -> usize {
        let mut bytes = 0;
        if !self.resources.contains(&address(resource)) {
            bytes += 2 * (framed_bytes(&resource.resource) + resource.schema_url.len() + 8);
        }
        if !self.scopes.contains(&(address(resource), address(scope))) {
            let encoded = scope.scope.as_ref().map_or(0, framed_bytes);
            bytes += 2 * (encoded + scope.schema_url.len() + 8);
        }
        bytes
    }

    fn add(&mut self, bytes: usize, resource: &Arc<ResourceContext>, scope: &Arc<ScopeContext>) {
        self.bytes += bytes;
        self.resources.insert(address(resource));
        self.scopes.insert((address(resource), address(scope)));
    }

    fn into_message(self) -> GetTraceResponse {
        GetTraceResponse {
            resource_spans: spans_to_otlp(self.spans),
            resource_logs: logs_to_otlp(self.logs),
            ..GetTraceResponse::default()
        }
    }
}

fn address<T>(it: &Arc<T>) -> usize {
    Arc::as_ptr(it) as usize
}
