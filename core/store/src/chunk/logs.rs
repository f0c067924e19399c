//! A chunk of log records.

mod fields;
mod wire;

use std::sync::Arc;

use arrow_array::{Array, BinaryArray};
use arrow_buffer::ScalarBuffer;
use log_tracer_record::{
    LogRow, ResourceContext, ScopeContext,
    otlp::logs::{LogRecord, SeverityNumber},
    wire::{LogView, Logs, View},
};
use prost::Message;

use super::{
    Above, BUFFERS_BYTES, Chunk, ChunkBuilder, TimeBounds,
    attributes::{Attributes, AttributesBuilder, attributes_bytes_max},
    column::{LabelBuilder, Labels, MessageBuilder, at, bytes_at, freeze, number_bytes, room_like},
    context::{ContextBuilder, Contexts},
    ids::{IdBuilder, Ids},
    origin::Origins,
    plan::FieldPlan,
    tally::{ServiceTally, named, tally_services},
    traces::{TRACE_TABLE_ROW_BYTES_MAX, TraceTable},
    value::{ValueBuilder, Values, value_bytes_max},
};
use crate::{
    Origin,
    block::{OperationCount, ServiceCount},
};

pub(crate) use fields::LogInChunk;

/// Growing columns of log records.
#[derive(Debug, Default)]
pub(crate) struct LogBuilder {
    bytes: usize,
    bounds: TimeBounds,
    origins: Origins,
    times: Vec<u64>,
    observed_times: Vec<u64>,
    severities: Vec<i32>,
    severity_texts: LabelBuilder,
    event_names: LabelBuilder,
    bodies: ValueBuilder,
    trace_ids: IdBuilder<16>,
    span_ids: IdBuilder<8>,
    flags: Vec<u32>,
    resources: ContextBuilder<ResourceContext>,
    scopes: ContextBuilder<ScopeContext>,
    attributes: AttributesBuilder,
    rest: MessageBuilder,
}

/// A chunk of log records. Each field is a column; an id that is not there is all zero.
#[derive(Debug)]
pub(crate) struct LogChunk {
    pub(crate) bytes: usize,
    pub(crate) bounds: TimeBounds,
    pub(crate) origins: Origins,
    /// As they came: 0 where only the observed time is known.
    pub(crate) times: ScalarBuffer<u64>,
    pub(crate) observed_times: ScalarBuffer<u64>,
    pub(crate) severities: ScalarBuffer<i32>,
    pub(crate) severity_texts: Labels,
    pub(crate) event_names: Labels,
    pub(crate) bodies: Values,
    pub(crate) trace_ids: Ids<16>,
    pub(crate) span_ids: Ids<8>,
    pub(crate) flags: ScalarBuffer<u32>,
    pub(crate) resources: Contexts<ResourceContext>,
    pub(crate) scopes: Contexts<ScopeContext>,
    pub(crate) attributes: Attributes,
    /// A `LogRecord` with all that has no column, because hardly a record has it; empty for most.
    pub(crate) rest: BinaryArray,
    pub(crate) traces: TraceTable,
    pub(crate) services: Vec<ServiceTally>,
}

/// What a log record takes in the columns of fixed width, its ends of texts included.
const FIXED_BYTES: usize = size_of::<[u8; 16 + 8]>()
    + 2 * size_of::<u64>()
    + 3 * size_of::<i32>()
    + TRACE_TABLE_ROW_BYTES_MAX
    + size_of::<ServiceTally>();

/// What the labels of a log record take beside their texts, and its runs in columns that have one for many rows.
const LABELS_AND_RUNS: usize = 256;

impl ChunkBuilder for LogBuilder {
    type Row = LogRow;
    type Signal = Logs;
    type Chunk = LogChunk;

    fn like(chunk: &LogChunk) -> Self {
        Self {
            times: room_like(&chunk.times),
            observed_times: room_like(&chunk.observed_times),
            severities: room_like(&chunk.severities),
            severity_texts: LabelBuilder::like(&chunk.severity_texts),
            event_names: LabelBuilder::like(&chunk.event_names),
            bodies: ValueBuilder::like(&chunk.bodies),
            trace_ids: IdBuilder::like(&chunk.trace_ids),
            span_ids: IdBuilder::like(&chunk.span_ids),
            flags: room_like(&chunk.flags),
            resources: ContextBuilder::like(&chunk.resources),
            scopes: ContextBuilder::like(&chunk.scopes),
            attributes: AttributesBuilder::like(&chunk.attributes),
            rest: MessageBuilder::like(&chunk.rest),
            ..Self::default()
        }
    }

    fn bytes_max_of(row: &LogRow) -> usize {
        let record = &row.record;
        FIXED_BYTES
            + LABELS_AND_RUNS
            + record.severity_text.len()
            + record.event_name.len()
            + record.trace_id.len()
            + record.span_id.len()
            + value_bytes_max(record.body.as_ref())
            + attributes_bytes_max(&record.attributes)
    }

    fn bytes_max_of_message(message: &[u8]) -> usize {
        Self::bytes_max_of_log(&LogView::of(message))
    }

    fn append_message(&mut self, origin: Origin, index: u32, above: &Above<'_>, message: &[u8]) {
        self.append_log(origin, index, above, message);
    }

    fn append(&mut self, origin: Origin, index: u32, row: &LogRow) {
        let record = &row.record;
        let mut rest = LogRecord {
            dropped_attributes_count: record.dropped_attributes_count,
            ..LogRecord::default()
        };
        if !self.trace_ids.append(&record.trace_id) {
            rest.trace_id = record.trace_id.clone();
        }
        if !self.span_ids.append(&record.span_id) {
            rest.span_id = record.span_id.clone();
        }
        self.bounds.include(row.time_unix_nano());
        self.times.push(record.time_unix_nano);
        self.observed_times.push(record.observed_time_unix_nano);
        self.severities.push(record.severity_number);
        self.flags.push(record.flags);
        self.bytes += FIXED_BYTES
            + self.origins.append(origin, index)
            + self.severity_texts.append(&record.severity_text)
            + self.event_names.append(&record.event_name)
            + self.bodies.append(record.body.as_ref())
            + self.resources.append(&row.resource)
            + self.scopes.append(&row.scope)
            + self.attributes.append(&record.attributes)
            + self.rest.append_message(&rest);
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

    fn freeze(mut self) -> LogChunk {
        self.origins.shrink();
        let chunk = LogChunk {
            bytes: 0,
            bounds: self.bounds,
            origins: self.origins,
            times: freeze(self.times),
            observed_times: freeze(self.observed_times),
            severities: freeze(self.severities),
            severity_texts: self.severity_texts.freeze(),
            event_names: self.event_names.freeze(),
            bodies: self.bodies.freeze(),
            trace_ids: self.trace_ids.freeze(),
            span_ids: self.span_ids.freeze(),
            flags: freeze(self.flags),
            resources: self.resources.freeze(),
            scopes: self.scopes.freeze(),
            attributes: self.attributes.freeze(),
            rest: self.rest.freeze(),
            traces: TraceTable::default(),
            services: Vec::new(),
        };
        chunk.summed_up()
    }

    fn snapshot(&self) -> LogChunk {
        let chunk = LogChunk {
            bytes: 0,
            bounds: self.bounds,
            origins: self.origins.clone(),
            times: self.times.clone().into(),
            observed_times: self.observed_times.clone().into(),
            severities: self.severities.clone().into(),
            severity_texts: self.severity_texts.clone().freeze(),
            event_names: self.event_names.clone().freeze(),
            bodies: self.bodies.snapshot(),
            trace_ids: self.trace_ids.clone().freeze(),
            span_ids: self.span_ids.clone().freeze(),
            flags: self.flags.clone().into(),
            resources: self.resources.snapshot(),
            scopes: self.scopes.snapshot(),
            attributes: self.attributes.snapshot(),
            rest: self.rest.clone().freeze(),
            traces: TraceTable::default(),
            services: Vec::new(),
        };
        chunk.summed_up()
    }
}

impl LogChunk {
    pub(crate) fn summed_up(mut self) -> Self {
        self.traces = TraceTable::build(self.trace_ids.iter().map(u128::from_be_bytes));
        self.services = tally_services(&self);
        self.bytes =
            self.column_bytes() + self.traces.bytes() + size_of_val(self.services.as_slice());
        self
    }

    fn column_bytes(&self) -> usize {
        size_of::<Self>()
            + BUFFERS_BYTES
            + self.origins.bytes()
            + number_bytes(&self.times)
            + number_bytes(&self.observed_times)
            + number_bytes(&self.severities)
            + self.severity_texts.bytes()
            + self.event_names.bytes()
            + self.bodies.bytes()
            + self.trace_ids.bytes()
            + self.span_ids.bytes()
            + number_bytes(&self.flags)
            + self.resources.bytes()
            + self.scopes.bytes()
            + self.attributes.bytes()
            + self.rest.get_buffer_memory_size()
    }

    #[inline]
    pub(crate) fn severity(&self, row: usize) -> SeverityNumber {
        SeverityNumber::try_from(at(&self.severities, row)).unwrap_or(SeverityNumber::Unspecified)
    }
}

impl Chunk for LogChunk {
    type Row = LogRow;
    type Builder = LogBuilder;
    type Fields<'a> = LogInChunk<'a>;

    const LEVELS: &'static [&'static str] = &[
        "unspecified",
        "trace",
        "debug",
        "info",
        "warn",
        "error",
        "fatal",
    ];

    fn rows(&self) -> usize {
        self.times.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn bounds(&self) -> TimeBounds {
        self.bounds
    }

    #[inline]
    fn time(&self, row: usize) -> u64 {
        match at(&self.times, row) {
            0 => at(&self.observed_times, row),
            time => time,
        }
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
        self.severity(row) >= SeverityNumber::Error
    }

    fn plan(&self, path: &str) -> FieldPlan {
        FieldPlan::new(path, &self.attributes, &self.resources, &self.scopes)
    }

    fn fields<'a>(&'a self, row: usize, plans: &'a [FieldPlan]) -> LogInChunk<'a> {
        LogInChunk::new(self, row, plans)
    }

    fn end_of(&self, row: usize) -> u64 {
        self.time(row)
    }

    fn service_counts(&self) -> Vec<ServiceCount> {
        named(self, &self.services)
    }

    fn operation_counts(&self) -> Vec<OperationCount> {
        Vec::new()
    }

    fn row(&self, row: usize) -> LogRow {
        let rest = bytes_at(&self.rest, row);
        // Encoded by the builder from a message that had been decoded before, so that it can be decoded.
        let mut record = LogRecord::decode(rest).unwrap_or_default();
        if record.trace_id.is_empty() {
            record.trace_id = self.trace_ids.to_bytes(row);
        }
        if record.span_id.is_empty() {
            record.span_id = self.span_ids.to_bytes(row);
        }
        record.time_unix_nano = at(&self.times, row);
        record.observed_time_unix_nano = at(&self.observed_times, row);
        record.severity_number = at(&self.severities, row);
        record.severity_text = self.severity_texts.value(row).to_owned();
        record.event_name = self.event_names.value(row).to_owned();
        record.body = self.bodies.value(row);
        record.flags = at(&self.flags, row);
        record.attributes = self.attributes.row(row);
        LogRow {
            resource: Arc::clone(self.resources.of(row)),
            scope: Arc::clone(self.scopes.of(row)),
            record,
        }
    }
}
