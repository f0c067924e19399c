//! One trace as far as its pictures need it: of each span and log record a few numbers, read from a few columns, and
//! whether it matches what is asked about it.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use log_tracer_query::{Field, Intrinsic, Query, Record, Value};
use log_tracer_record::{ResourceContext, TraceId};
use prost::Message;

use super::{
    filter::{Filter, FilterOnAll},
    rows_of_trace::Gathered,
    spans_of_trace::SpansOfTrace,
    trace::{LogsOfTrace, TraceLimits, cover},
};
use crate::{
    Coverage, Stop, TimeRange,
    block::Columns,
    chunk::{Chunk, FieldPlan, LogChunk, SpanChunk, trace_number},
    stop::Progress,
    table::Snapshot,
};

/// What is asked about a trace.
#[derive(Clone, Debug)]
pub struct OutlineSpec {
    /// Which trace.
    pub trace_id: TraceId,
    /// How much of it.
    pub limits: TraceLimits,
    /// Which spans, and which log records, match is told; an empty query asks nothing.
    pub span_query: Query,
    /// The same of log records.
    pub log_query: Query,
    /// Of this field the first value of each span is told.
    pub span_field: Option<Field>,
}

/// A trace in numbers. Those that are called so are places in the tables; what comes first in the tables is used first.
#[derive(Clone, Debug, Default)]
pub struct TraceOutline {
    /// The senders.
    pub resources: Vec<Arc<ResourceContext>>,
    /// The names of spans; they and the values are cut to 1,024 bytes, and those that are cut end in an ellipsis.
    pub names: Vec<String>,
    /// The values of the field that was asked about.
    pub values: Vec<String>,
    /// The spans by their start.
    pub spans: Vec<OutlineSpan>,
    /// The log records by their time.
    pub logs: Vec<OutlineLog>,
    /// Spans that were left out because the same span is among these.
    pub duplicate_count: u64,
    /// What was covered.
    pub coverage: Coverage,
}

/// A span in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlineSpan {
    /// Its id, and that of its parent; zeros for none.
    pub span_id: [u8; 8],
    /// See `span_id`.
    pub parent_id: [u8; 8],
    /// Nanoseconds since 1970.
    pub start_unix_nano: u64,
    /// Nanoseconds since 1970.
    pub end_unix_nano: u64,
    /// A number of a name.
    pub name: u32,
    /// A number of a resource.
    pub resource: u32,
    /// The number of a value; none without the field.
    pub value: Option<u32>,
    /// As OTLP numbers kinds.
    pub kind: u8,
    /// As OTLP numbers statuses.
    pub status: u8,
    /// Whether it matches what is asked.
    pub matches: bool,
}

/// A log record in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlineLog {
    /// The span that it belongs to; zeros for none.
    pub span_id: [u8; 8],
    /// Nanoseconds since 1970: its own, or when it was observed.
    pub time_unix_nano: u64,
    /// A number of a resource.
    pub resource: u32,
    /// As OTLP numbers severities.
    pub severity: u8,
    /// Whether it matches what is asked.
    pub matches: bool,
}

pub(crate) fn find_outline(
    spans: &Snapshot<SpanChunk>,
    logs: &Snapshot<LogChunk>,
    spec: &OutlineSpec,
    stop: &Stop,
) -> TraceOutline {
    let mut progress = Progress::start(stop);
    let number = trace_number(spec.trace_id);
    let (of_spans, of_logs) = (filter(&spec.span_query), filter(&spec.log_query));
    let limits = spec.limits;
    let columns = span_columns(&of_spans, spec.span_field.as_ref());
    let found = SpansOfTrace::read(spans, number, &columns, limits.spans_max, &mut progress);
    let columns = log_columns(&of_logs);
    let found_logs = LogsOfTrace::read(logs, number, columns, limits.logs_max, &mut progress);
    progress.coverage.matched = progress.coverage.scanned;
    cover(spans, logs, &found, &found_logs, limits, &mut progress);

    let mut builder = Builder::default();
    // A reading that had to end is answered as far as it came, if anybody still waits for it.
    let was_stopped = progress.is_stopped();
    let mut goes_on = |row: usize| {
        !row.is_multiple_of(ROWS_PER_LOOK)
            || match was_stopped {
                true => !stop.is_cancelled(),
                false => progress.look(),
            }
    };
    let field = spec.span_field.as_ref();
    builder.add_spans(&found.spans, &of_spans, field, &mut goes_on);
    builder.add_logs(&found_logs.logs, &of_logs, &mut goes_on);
    TraceOutline {
        duplicate_count: found.duplicate_count,
        coverage: progress.finish(),
        ..builder.outline
    }
}

fn filter(query: &Query) -> Filter<'_> {
    Filter::new(query, TimeRange::ALL)
}

fn span_columns(filter: &Filter<'_>, field: Option<&Field>) -> Columns {
    let mut columns = filter.columns();
    let fields = [
        Intrinsic::SpanId,
        Intrinsic::ParentId,
        Intrinsic::Duration,
        Intrinsic::Name,
        Intrinsic::Kind,
    ];
    columns.fields.extend(fields.map(Field::Intrinsic));
    columns.fields.extend(field.cloned());
    Columns {
        levels: true,
        resources: true,
        ..columns
    }
}

fn log_columns(filter: &Filter<'_>) -> Columns {
    let mut columns = filter.columns();
    let span_id = Field::Intrinsic(Intrinsic::SpanId);
    columns.fields.insert(span_id);
    Columns {
        levels: true,
        resources: true,
        ..columns
    }
}

#[derive(Default)]
struct Builder {
    outline: TraceOutline,
    resources: HashMap<(Vec<u8>, String), u32>,
    names: HashMap<String, u32>,
    values: HashMap<String, u32>,
}

/// The numbers in the outline of what a chunk numbers for itself.
#[derive(Default)]
struct Numbers(Vec<Option<u32>>);

impl Numbers {
    fn get(&mut self, own: usize, make: impl FnOnce() -> u32) -> u32 {
        if self.0.len() <= own {
            self.0.resize(own + 1, None);
        }
        match self.0.get_mut(own) {
            Some(known) => *known.get_or_insert_with(make),
            None => make(),
        }
    }
}

/// What is worked out once for each chunk.
#[derive(Default)]
struct OfChunk {
    names: Numbers,
    resources: Numbers,
    /// How to find the field that is asked about.
    plans: Vec<FieldPlan>,
}

impl Builder {
    /// Adds rows for as long as it goes on.
    fn add_spans(
        &mut self,
        found: &Gathered<SpanChunk>,
        filter: &Filter<'_>,
        field: Option<&Field>,
        goes_on: &mut impl FnMut(usize) -> bool,
    ) {
        let on_all = FilterOnAll::new(filter, &found.chunks);
        let plans = |chunk: &SpanChunk| match field {
            Some(Field::Attribute(path)) => vec![chunk.plan(path)],
            _ => Vec::new(),
        };
        let mut of_chunks: Vec<OfChunk> = found
            .chunks
            .iter()
            .map(|chunk| OfChunk {
                plans: plans(chunk),
                ..OfChunk::default()
            })
            .collect();
        self.outline.spans.reserve(found.rows.len());
        for (number, place) in found.rows.iter().enumerate() {
            if !goes_on(number) {
                return;
            }
            let (Some((chunk, row)), Some(of_chunk)) = (
                found.get(*place),
                of_chunks.get_mut(place.chunk_number as usize),
            ) else {
                continue;
            };
            let label = chunk.names().number(row) as usize;
            let name = of_chunk.names.get(label, || {
                number_in(
                    &mut self.names,
                    &mut self.outline.names,
                    &cut(chunk.name(row)),
                )
            });
            let of_row = chunk.resources();
            let resource = of_chunk
                .resources
                .get(of_row.number(row), || self.resource(of_row.of(row)));
            let value = field.and_then(|field| {
                let text = first_value(chunk, row, &of_chunk.plans, field)?;
                Some(number_in(&mut self.values, &mut self.outline.values, &text))
            });
            self.outline.spans.push(OutlineSpan {
                span_id: chunk.span_id(row),
                parent_id: chunk.parent_id(row),
                start_unix_nano: chunk.time(row),
                end_unix_nano: chunk.end(row),
                name,
                resource,
                value,
                kind: byte(chunk.kind(row) as i32),
                status: byte(chunk.status_code(row) as i32),
                matches: on_all.query_matches(place.chunk_number, place.row),
            });
        }
    }

    /// Likewise.
    fn add_logs(
        &mut self,
        found: &Gathered<LogChunk>,
        filter: &Filter<'_>,
        goes_on: &mut impl FnMut(usize) -> bool,
    ) {
        let on_all = FilterOnAll::new(filter, &found.chunks);
        let mut of_chunks: Vec<Numbers> = found.chunks.iter().map(|_| Numbers::default()).collect();
        self.outline.logs.reserve(found.rows.len());
        for (number, place) in found.rows.iter().enumerate() {
            if !goes_on(number) {
                return;
            }
            let (Some((chunk, row)), Some(resources)) = (
                found.get(*place),
                of_chunks.get_mut(place.chunk_number as usize),
            ) else {
                continue;
            };
            let of_row = chunk.resources();
            let resource = resources.get(of_row.number(row), || self.resource(of_row.of(row)));
            self.outline.logs.push(OutlineLog {
                span_id: chunk.span_ids.value(row),
                time_unix_nano: chunk.time(row),
                resource,
                severity: byte(chunk.severity(row) as i32),
                matches: on_all.query_matches(place.chunk_number, place.row),
            });
        }
    }

    /// Equal resources have one number, wherever they lie.
    fn resource(&mut self, resource: &Arc<ResourceContext>) -> u32 {
        let all = &mut self.outline.resources;
        let key = (
            resource.resource.encode_to_vec(),
            resource.schema_url.clone(),
        );
        *self.resources.entry(key).or_insert_with(|| {
            all.push(Arc::clone(resource));
            (all.len() - 1) as u32
        })
    }
}

fn number_in(numbers: &mut HashMap<String, u32>, texts: &mut Vec<String>, text: &str) -> u32 {
    if let Some(number) = numbers.get(text) {
        return *number;
    }
    let number = texts.len() as u32;
    texts.push(text.to_owned());
    numbers.insert(text.to_owned(), number);
    number
}

/// Rows between two looks at whether the search has to end.
const ROWS_PER_LOOK: usize = 256;

/// Bytes of a name and of a value that are told; what is longer is cut, so that a table has room for many.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// Ends what is cut, within those bytes.
const ELLIPSIS: &str = "…";

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX - ELLIPSIS.len());
    let start = text.get(..end).unwrap_or_default();
    Cow::Owned(format!("{start}{ELLIPSIS}"))
}

/// The first value of a field, as text.
fn first_value(
    chunk: &SpanChunk,
    row: usize,
    plans: &[FieldPlan],
    field: &Field,
) -> Option<String> {
    let mut first = None;
    chunk.fields(row, plans).any_value(field, &mut |value| {
        first = Some(match value {
            Value::Str(text) => cut(text).into_owned(),
            Value::Int(number) => number.to_string(),
            Value::Double(number) => format!("{number:?}"),
            Value::Bool(value) => value.to_string(),
            Value::Bytes(bytes) => {
                // One more than there is room for, so that the cut is seen.
                let told = bytes.iter().take(TEXT_BYTES_MAX / 2 + 1);
                let hex: String = told.map(|byte| format!("{byte:02x}")).collect();
                cut(&hex).into_owned()
            }
        });
        true
    });
    first
}

/// What OTLP numbers fits.
fn byte(number: i32) -> u8 {
    u8::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_is_cut_says_so_and_one_that_fits_is_whole() {
        let whole = "é".repeat(TEXT_BYTES_MAX / 2);
        assert_eq!(cut(&whole), whole);
        let told = cut(&format!("{whole}!")).into_owned();
        assert_eq!((told.len(), told.ends_with("é…")), (1023, true));
    }

    proptest! {
        #[test]
        fn a_cut_text_has_room_and_begins_as_the_whole(text in "\\PC{0,1100}") {
            let told = cut(&text);
            prop_assert!(told.len() <= TEXT_BYTES_MAX);
            let start = told.strip_suffix(ELLIPSIS).unwrap_or(&told);
            prop_assert!(text.starts_with(start));
        }
    }
}
