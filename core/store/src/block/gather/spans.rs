//! Spans as columns.

use arrow_array::ArrayRef;
use log_tracer_record::otlp::trace::{Span, span::SpanKind, status::StatusCode};
use prost::Message;

use super::{AttributePlan, ContextTexts, Picked, filled, origins, sparse_bytes, sparse_texts};
use crate::{
    block::{
        error::Malformed,
        json::{events_to_json, links_to_json},
        schema::ColumnType,
    },
    chunk::{
        SpanChunk,
        column::{at, bytes_at, text_at},
        spans::STATUS_ABSENT,
    },
    fields::{kind_name, status_name},
};

/// The columns before those of attributes, in their order.
pub(crate) const COLUMNS: &[(&str, ColumnType)] = &[
    ("start_time", ColumnType::Time),
    ("duration_ns", ColumnType::Int),
    ("trace_id", ColumnType::TraceId),
    ("span_id", ColumnType::SpanId),
    ("parent_span_id", ColumnType::SpanId),
    ("service", ColumnType::Text),
    ("resource", ColumnType::Text),
    ("scope", ColumnType::Text),
    ("name", ColumnType::Text),
    ("kind", ColumnType::Text),
    ("status_code", ColumnType::Text),
    ("status_message", ColumnType::Text),
    ("flags", ColumnType::U32),
    ("trace_state", ColumnType::Text),
    ("events", ColumnType::Text),
    ("links", ColumnType::Text),
    ("dropped_attributes_count", ColumnType::U32),
    ("dropped_events_count", ColumnType::U32),
    ("dropped_links_count", ColumnType::U32),
    ("rest", ColumnType::Bytes),
    ("partition", ColumnType::U16),
    ("offset", ColumnType::U64),
    ("index", ColumnType::U32),
    ("other_attributes", ColumnType::Text),
    ("attribute_order", ColumnType::Bytes),
];

pub(crate) fn columns(
    picked: Picked<'_, SpanChunk>,
    plan: &AttributePlan,
    texts: &mut ContextTexts,
) -> Result<Vec<ArrayRef>, Malformed> {
    let [services, resources, scopes] = texts.columns(picked)?;
    let [partitions, offsets, indexes] = origins(picked);
    let rest = Rest::of(picked)?;
    let duration = |chunk: &SpanChunk, row| {
        let (start, end) = (at(&chunk.starts, row), at(&chunk.ends, row));
        Some(end.wrapping_sub(start).cast_signed())
    };
    let message = |chunk: &SpanChunk, row: usize| {
        let message = text_at(&chunk.status_messages, row);
        (!message.is_empty()).then(|| message.to_owned())
    };
    let events = |chunk: &SpanChunk, row: usize| match chunk.events.lists.items(row).is_empty() {
        true => Ok(None),
        false => Ok(Some(events_to_json(&chunk.events.row(row))?)),
    };
    let mut columns = vec![
        picked.times(|chunk, row| at(&chunk.starts, row)),
        picked.i64s(duration),
        picked.ids(|chunk, row| chunk.trace_ids.value(row))?,
        picked.ids(|chunk, row| chunk.span_ids.value(row))?,
        picked.ids(|chunk, row| chunk.parent_ids.value(row))?,
        services,
        resources,
        scopes,
        picked.texts(|chunk, row| Some(chunk.names.value(row))),
        choices(picked, |chunk, row| at(&chunk.kinds, row), kind_text)?,
        choices(
            picked,
            |chunk, row| at(&chunk.status_codes, row),
            status_text,
        )?,
        picked.owned_texts(|chunk, row| Ok(message(chunk, row)))?,
        picked.u32s(|chunk, row| at(&chunk.flags, row)),
        sparse_texts(&rest.trace_states),
        picked.owned_texts(events)?,
        sparse_texts(&rest.links),
    ];
    columns.extend(rest.counts());
    columns.push(sparse_bytes(&rest.remains));
    columns.extend([partitions, offsets, indexes]);
    columns.extend(plan.columns(picked)?);
    Ok(columns)
}

/// What hardly a span has.
#[derive(Default)]
struct Rest {
    trace_states: Vec<Option<String>>,
    links: Vec<Option<String>>,
    counts: Vec<[u32; 3]>,
    remains: Vec<Option<Vec<u8>>>,
}

impl Rest {
    fn of(picked: Picked<'_, SpanChunk>) -> Result<Self, Malformed> {
        let mut all = Self::default();
        for (chunk, row) in picked.iter() {
            let bytes = bytes_at(&chunk.rest, row);
            if bytes.is_empty() {
                all.trace_states.push(None);
                all.links.push(None);
                all.counts.push([0; 3]);
                all.remains.push(None);
                continue;
            }
            let mut rest = Span::decode(bytes).map_err(|error| Malformed(error.to_string()))?;
            all.trace_states
                .push(filled(&rest.trace_state).map(str::to_owned));
            all.links.push(match rest.links.is_empty() {
                true => None,
                false => Some(links_to_json(&rest.links)?),
            });
            all.counts.push([
                rest.dropped_attributes_count,
                rest.dropped_events_count,
                rest.dropped_links_count,
            ]);
            rest.trace_state.clear();
            rest.links.clear();
            rest.dropped_attributes_count = 0;
            rest.dropped_events_count = 0;
            rest.dropped_links_count = 0;
            let remains = rest.encode_to_vec();
            all.remains.push((!remains.is_empty()).then_some(remains));
        }
        Ok(all)
    }

    fn counts(&self) -> [ArrayRef; 3] {
        [0, 1, 2].map(|which| super::counts(self.counts.iter().map(|counts| at(counts, which))))
    }
}

/// The names of numbers of which there are few.
fn choices(
    picked: Picked<'_, SpanChunk>,
    number: impl Fn(&SpanChunk, usize) -> i32,
    name: impl Fn(i32) -> Option<String>,
) -> Result<ArrayRef, Malformed> {
    let mut last: Option<(i32, Option<String>)> = None;
    let mut builder = arrow_array::builder::StringBuilder::new();
    for (chunk, row) in picked.iter() {
        let number = number(chunk, row);
        let text = match &last {
            Some((of, text)) if *of == number => text,
            _ => &last.insert((number, name(number))).1,
        };
        builder.append_option(text.as_deref());
    }
    Ok(std::sync::Arc::new(builder.finish()))
}

/// A number that this version does not know is written as one.
fn kind_text(number: i32) -> Option<String> {
    Some(match SpanKind::try_from(number) {
        Ok(kind) => kind_name(kind).to_owned(),
        Err(_) => number.to_string(),
    })
}

fn status_text(number: i32) -> Option<String> {
    match StatusCode::try_from(number) {
        Ok(code) => Some(status_name(code).to_owned()),
        Err(_) if number == STATUS_ABSENT => None,
        Err(_) => Some(number.to_string()),
    }
}
