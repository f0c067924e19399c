//! A chunk of spans.

mod fields;
mod wire;

use std::sync::Arc;

use arrow_array::{Array, BinaryArray, StringArray};
use arrow_buffer::ScalarBuffer;
use log_tracer_record::{
    ResourceContext, ScopeContext, SpanRow,
    otlp::{
        common::any_value,
        trace::{Span, Status, span::SpanKind, status::StatusCode},
    },
    wire::{SpanView, Spans, View},
};
use prost::Message;

use super::{
    Above, BUFFERS_BYTES, Chunk, ChunkBuilder, TimeBounds,
    attributes::{Attributes, AttributesBuilder, attributes_bytes_max},
    column::{
        LabelBuilder, Labels, MessageBuilder, TextBuilder, at, bytes_at, freeze, number_bytes,
        room_like, text_at,
    },
    context::{ContextBuilder, Contexts},
    events::{Events, EventsBuilder, events_bytes_max},
    ids::{IdBuilder, Ids},
    origin::Origins,
    plan::FieldPlan,
    tally::{OperationTally, SpanTally, named, tally_spans},
    traces::{TRACE_TABLE_ROW_BYTES_MAX, TraceTable},
};
use crate::{
    Origin,
    block::{OperationCount, ServiceCount, TraceEntry},
};

pub(crate) use fields::SpanInChunk;

/// A span without a status, which is not the same as one whose status has no code.
pub(crate) const STATUS_ABSENT: i32 = i32::MIN;

/// Growing columns of spans.
#[derive(Debug, Default)]
pub(crate) struct SpanBuilder {
    bytes: usize,
    bounds: TimeBounds,
    origins: Origins,
    trace_ids: IdBuilder<16>,
    span_ids: IdBuilder<8>,
    parent_ids: IdBuilder<8>,
    starts: Vec<u64>,
    ends: Vec<u64>,
    names: LabelBuilder,
    kinds: Vec<i32>,
    status_codes: Vec<i32>,
    status_messages: TextBuilder,
    flags: Vec<u32>,
    resources: ContextBuilder<ResourceContext>,
    scopes: ContextBuilder<ScopeContext>,
    attributes: AttributesBuilder,
    events: EventsBuilder,
    rest: MessageBuilder,
}

/// A chunk of spans. Each field is a column; an id that is not there is all zero.
#[derive(Debug)]
pub(crate) struct SpanChunk {
    pub(crate) bytes: usize,
    pub(crate) bounds: TimeBounds,
    pub(crate) origins: Origins,
    pub(crate) trace_ids: Ids<16>,
    pub(crate) span_ids: Ids<8>,
    pub(crate) parent_ids: Ids<8>,
    pub(crate) starts: ScalarBuffer<u64>,
    pub(crate) ends: ScalarBuffer<u64>,
    pub(crate) names: Labels,
    pub(crate) kinds: ScalarBuffer<i32>,
    pub(crate) status_codes: ScalarBuffer<i32>,
    pub(crate) status_messages: StringArray,
    pub(crate) flags: ScalarBuffer<u32>,
    pub(crate) resources: Contexts<ResourceContext>,
    pub(crate) scopes: Contexts<ScopeContext>,
    pub(crate) attributes: Attributes,
    pub(crate) events: Events,
    /// A `Span` with all that has no column, because hardly a span has it; empty for most.
    pub(crate) rest: BinaryArray,
    pub(crate) traces: TraceTable,
    /// Of each trace, in the order of the table.
    pub(crate) trace_tallies: Vec<TraceTally>,
    pub(crate) tally: SpanTally,
}

/// What is known of the spans of one trace in one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceTally {
    start_unix_nano: u64,
    end_unix_nano: u64,
    error_count: u32,
}

/// What a span takes in the columns of fixed width, its ends of lists and texts included.
const FIXED_BYTES: usize = size_of::<[u8; 16 + 8 + 8]>()
    + 2 * size_of::<u64>()
    + 3 * size_of::<i32>()
    + 2 * size_of::<i32>()
    + TRACE_TABLE_ROW_BYTES_MAX
    + size_of::<TraceTally>()
    + SpanTally::ROW_BYTES_MAX;

/// What the labels of a span take beside their texts, and its runs in columns that have one for many rows.
const LABELS_AND_RUNS: usize = 256;

impl ChunkBuilder for SpanBuilder {
    type Row = SpanRow;
    type Signal = Spans;
    type Chunk = SpanChunk;

    fn like(chunk: &SpanChunk) -> Self {
        Self {
            trace_ids: IdBuilder::like(&chunk.trace_ids),
            span_ids: IdBuilder::like(&chunk.span_ids),
            parent_ids: IdBuilder::like(&chunk.parent_ids),
            starts: room_like(&chunk.starts),
            ends: room_like(&chunk.ends),
            names: LabelBuilder::like(&chunk.names),
            kinds: room_like(&chunk.kinds),
            status_codes: room_like(&chunk.status_codes),
            status_messages: TextBuilder::like(&chunk.status_messages),
            flags: room_like(&chunk.flags),
            resources: ContextBuilder::like(&chunk.resources),
            scopes: ContextBuilder::like(&chunk.scopes),
            attributes: AttributesBuilder::like(&chunk.attributes),
            events: EventsBuilder::like(&chunk.events),
            rest: MessageBuilder::like(&chunk.rest),
            ..Self::default()
        }
    }

    fn bytes_max_of(row: &SpanRow) -> usize {
        let span = &row.span;
        let links: usize = span
            .links
            .iter()
            .map(|link| link.encoded_len() + LABELS_AND_RUNS)
            .sum();
        let status = span
            .status
            .as_ref()
            .map_or(0, |status| status.message.len());
        FIXED_BYTES
            + LABELS_AND_RUNS
            + span.name.len()
            + status
            + span.trace_state.len()
            + span.trace_id.len()
            + span.span_id.len()
            + span.parent_span_id.len()
            + attributes_bytes_max(&span.attributes)
            + events_bytes_max(&span.events)
            + links
    }

    fn bytes_max_of_message(message: &[u8]) -> usize {
        Self::bytes_max_of_span(&SpanView::of(message))
    }

    fn append_message(&mut self, origin: Origin, index: u32, above: &Above<'_>, message: &[u8]) {
        self.append_span(origin, index, above, message);
    }

    fn append(&mut self, origin: Origin, index: u32, row: &SpanRow) {
        let span = &row.span;
        let mut rest = Span::default();
        if !self.trace_ids.append(&span.trace_id) {
            rest.trace_id = span.trace_id.clone();
        }
        if !self.span_ids.append(&span.span_id) {
            rest.span_id = span.span_id.clone();
        }
        if !self.parent_ids.append(&span.parent_span_id) {
            rest.parent_span_id = span.parent_span_id.clone();
        }
        self.bounds.include(span.start_time_unix_nano);
        self.starts.push(span.start_time_unix_nano);
        self.ends.push(span.end_time_unix_nano);
        self.kinds.push(span.kind);
        self.flags.push(span.flags);
        let (code, message) = match &span.status {
            None => (STATUS_ABSENT, ""),
            Some(status) => {
                if status.code == STATUS_ABSENT {
                    rest.status = Some(status.clone());
                }
                (status.code, status.message.as_str())
            }
        };
        self.status_codes.push(code);
        self.status_messages.append(message);
        self.bytes += FIXED_BYTES
            + message.len()
            + self.origins.append(origin, index)
            + self.names.append(&span.name)
            + self.resources.append(&row.resource)
            + self.scopes.append(&row.scope)
            + self.attributes.append(&span.attributes)
            + self.events.append(&span.events)
            + self.append_rest(span, rest);
    }

    fn release(&mut self) {
        self.resources.release();
        self.scopes.release();
    }

    fn rows(&self) -> u32 {
        self.origins.rows()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn bounds(&self) -> TimeBounds {
        self.bounds
    }

    fn freeze(mut self) -> SpanChunk {
        self.origins.shrink();
        let chunk = SpanChunk {
            bytes: 0,
            bounds: self.bounds,
            origins: self.origins,
            trace_ids: self.trace_ids.freeze(),
            span_ids: self.span_ids.freeze(),
            parent_ids: self.parent_ids.freeze(),
            starts: freeze(self.starts),
            ends: freeze(self.ends),
            names: self.names.freeze(),
            kinds: freeze(self.kinds),
            status_codes: freeze(self.status_codes),
            status_messages: self.status_messages.freeze(),
            flags: freeze(self.flags),
            resources: self.resources.freeze(),
            scopes: self.scopes.freeze(),
            attributes: self.attributes.freeze(),
            events: self.events.freeze(),
            rest: self.rest.freeze(),
            traces: TraceTable::default(),
            trace_tallies: Vec::new(),
            tally: SpanTally::default(),
        };
        chunk.summed_up()
    }

    fn snapshot(&self) -> SpanChunk {
        let chunk = SpanChunk {
            bytes: 0,
            bounds: self.bounds,
            origins: self.origins.clone(),
            trace_ids: self.trace_ids.clone().freeze(),
            span_ids: self.span_ids.clone().freeze(),
            parent_ids: self.parent_ids.clone().freeze(),
            starts: self.starts.clone().into(),
            ends: self.ends.clone().into(),
            names: self.names.clone().freeze(),
            kinds: self.kinds.clone().into(),
            status_codes: self.status_codes.clone().into(),
            status_messages: self.status_messages.clone().freeze(),
            flags: self.flags.clone().into(),
            resources: self.resources.snapshot(),
            scopes: self.scopes.snapshot(),
            attributes: self.attributes.snapshot(),
            events: self.events.snapshot(),
            rest: self.rest.clone().freeze(),
            traces: TraceTable::default(),
            trace_tallies: Vec::new(),
            tally: SpanTally::default(),
        };
        chunk.summed_up()
    }
}

impl SpanBuilder {
    /// Adds what has no column, to which `rest` holds the ids and the status that do not fit theirs.
    fn append_rest(&mut self, span: &Span, mut rest: Span) -> usize {
        rest.trace_state.clone_from(&span.trace_state);
        rest.links.clone_from(&span.links);
        rest.dropped_attributes_count = span.dropped_attributes_count;
        rest.dropped_events_count = span.dropped_events_count;
        rest.dropped_links_count = span.dropped_links_count;
        self.rest.append_message(&rest)
    }
}

impl SpanChunk {
    pub(crate) fn summed_up(mut self) -> Self {
        self.traces = TraceTable::build(self.trace_ids.iter().map(u128::from_be_bytes));
        let places = 0..self.traces.ids().len();
        self.trace_tallies = places
            .map(|place| self.tally_of(self.traces.rows_at(place)))
            .collect();
        self.tally = tally_spans(&self);
        self.bytes = self.column_bytes()
            + self.traces.bytes()
            + size_of_val(self.trace_tallies.as_slice())
            + self.tally.bytes();
        self
    }

    fn tally_of(&self, rows: &[u32]) -> TraceTally {
        let start = TraceTally {
            start_unix_nano: u64::MAX,
            end_unix_nano: 0,
            error_count: 0,
        };
        rows.iter().fold(start, |tally, row| {
            let row = *row as usize;
            TraceTally {
                start_unix_nano: tally.start_unix_nano.min(self.time(row)),
                end_unix_nano: tally.end_unix_nano.max(self.end(row)),
                error_count: tally.error_count + u32::from(self.is_error(row)),
            }
        })
    }

    fn column_bytes(&self) -> usize {
        size_of::<Self>()
            + BUFFERS_BYTES
            + self.origins.bytes()
            + self.trace_ids.bytes()
            + self.span_ids.bytes()
            + self.parent_ids.bytes()
            + number_bytes(&self.starts)
            + number_bytes(&self.ends)
            + self.names.bytes()
            + number_bytes(&self.kinds)
            + number_bytes(&self.status_codes)
            + self.status_messages.get_buffer_memory_size()
            + number_bytes(&self.flags)
            + self.resources.bytes()
            + self.scopes.bytes()
            + self.attributes.bytes()
            + self.events.bytes()
            + self.rest.get_buffer_memory_size()
    }

    /// What is known of the trace at a place of the table.
    pub(crate) fn trace_entry(&self, place: usize) -> Option<TraceEntry> {
        let tally = self.trace_tallies.get(place)?;
        Some(TraceEntry {
            id: *self.traces.ids().get(place)?,
            row_count: self.traces.rows_at(place).len() as u32,
            error_count: tally.error_count,
            start_unix_nano: tally.start_unix_nano,
            end_unix_nano: tally.end_unix_nano,
        })
    }

    /// The trace of a span, as a number.
    pub(crate) fn trace(&self, row: usize) -> u128 {
        u128::from_be_bytes(self.trace_ids.value(row))
    }

    pub(crate) fn names(&self) -> &Labels {
        &self.names
    }

    pub(crate) fn name(&self, row: usize) -> &str {
        self.names.value(row)
    }

    pub(crate) fn end(&self, row: usize) -> u64 {
        at(&self.ends, row)
    }

    pub(crate) fn span_id(&self, row: usize) -> [u8; 8] {
        self.span_ids.value(row)
    }

    pub(crate) fn parent_id(&self, row: usize) -> [u8; 8] {
        self.parent_ids.value(row)
    }

    pub(crate) fn kind(&self, row: usize) -> SpanKind {
        SpanKind::try_from(at(&self.kinds, row)).unwrap_or(SpanKind::Unspecified)
    }

    pub(crate) fn status_code(&self, row: usize) -> StatusCode {
        StatusCode::try_from(at(&self.status_codes, row)).unwrap_or(StatusCode::Unset)
    }

    /// The first attribute of a span with a key.
    pub(crate) fn attribute(&self, row: usize, key: &str) -> Option<any_value::Value> {
        self.attributes.first(row, key)?.value
    }

    fn status(&self, row: usize, rest: &mut Span) -> Option<Status> {
        if let Some(status) = rest.status.take() {
            return Some(status);
        }
        let code = at(&self.status_codes, row);
        let message = text_at(&self.status_messages, row);
        (code != STATUS_ABSENT).then(|| Status {
            code,
            message: message.to_owned(),
        })
    }
}

impl Chunk for SpanChunk {
    type Row = SpanRow;
    type Builder = SpanBuilder;
    type Fields<'a> = SpanInChunk<'a>;

    const LEVELS: &'static [&'static str] = &["unset", "ok", "error"];

    fn rows(&self) -> usize {
        self.starts.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn bounds(&self) -> TimeBounds {
        self.bounds
    }

    #[inline]
    fn time(&self, row: usize) -> u64 {
        at(&self.starts, row)
    }

    fn origin(&self, row: usize) -> (Origin, u32) {
        self.origins.of(row)
    }

    fn resources(&self) -> &Contexts<ResourceContext> {
        &self.resources
    }

    fn traces(&self) -> &TraceTable {
        &self.traces
    }

    fn is_error(&self, row: usize) -> bool {
        self.status_code(row) == StatusCode::Error
    }

    fn plan(&self, path: &str) -> FieldPlan {
        FieldPlan::new(path, &self.attributes, &self.resources, &self.scopes)
    }

    fn fields<'a>(&'a self, row: usize, plans: &'a [FieldPlan]) -> SpanInChunk<'a> {
        SpanInChunk::new(self, row, plans)
    }

    fn end_of(&self, row: usize) -> u64 {
        self.end(row)
    }

    fn service_counts(&self) -> Vec<ServiceCount> {
        named(self, &self.tally.services)
    }

    fn operation_counts(&self) -> Vec<OperationCount> {
        let count = |tally: &OperationTally| {
            let resource = self.resources.all().get(tally.resource)?;
            Some(OperationCount {
                service: resource.service().to_owned(),
                name: self.names.label(tally.name).to_owned(),
                kind: tally.kind,
                span_count: tally.span_count,
            })
        };
        self.tally.operations.iter().filter_map(count).collect()
    }

    fn row(&self, row: usize) -> SpanRow {
        let rest = bytes_at(&self.rest, row);
        // Encoded by the builder from a message that had been decoded before, so that it can be decoded.
        let mut span = Span::decode(rest).unwrap_or_default();
        span.status = self.status(row, &mut span);
        if span.trace_id.is_empty() {
            span.trace_id = self.trace_ids.to_bytes(row);
        }
        if span.span_id.is_empty() {
            span.span_id = self.span_ids.to_bytes(row);
        }
        if span.parent_span_id.is_empty() {
            span.parent_span_id = self.parent_ids.to_bytes(row);
        }
        span.start_time_unix_nano = at(&self.starts, row);
        span.end_time_unix_nano = at(&self.ends, row);
        span.name = self.names.value(row).to_owned();
        span.kind = at(&self.kinds, row);
        span.flags = at(&self.flags, row);
        span.attributes = self.attributes.row(row);
        span.events = self.events.row(row);
        SpanRow {
            resource: Arc::clone(self.resources.of(row)),
            scope: Arc::clone(self.scopes.of(row)),
            span,
        }
    }
}
