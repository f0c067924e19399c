//! Log records as columns.

use arrow_array::ArrayRef;
use log_tracer_record::otlp::logs::LogRecord;
use prost::Message;

use super::{AttributePlan, ContextTexts, Picked, filled, origins, sparse_bytes};
use crate::{
    block::{error::Malformed, json::value_to_json, schema::ColumnType},
    chunk::{
        Chunk, LogChunk,
        column::{at, bytes_at, text_at},
        value::Kind,
    },
};

/// The columns before those of attributes, in their order.
pub(crate) const COLUMNS: &[(&str, ColumnType)] = &[
    ("time", ColumnType::Time),
    ("observed_after_ns", ColumnType::Int),
    ("time_is_observed", ColumnType::Bool),
    ("trace_id", ColumnType::TraceId),
    ("span_id", ColumnType::SpanId),
    ("service", ColumnType::Text),
    ("resource", ColumnType::Text),
    ("scope", ColumnType::Text),
    ("severity_number", ColumnType::I32),
    ("severity_text", ColumnType::Text),
    ("event_name", ColumnType::Text),
    ("body", ColumnType::Text),
    ("body_is_json", ColumnType::Bool),
    ("flags", ColumnType::U32),
    ("dropped_attributes_count", ColumnType::U32),
    ("rest", ColumnType::Bytes),
    ("partition", ColumnType::U16),
    ("offset", ColumnType::U64),
    ("index", ColumnType::U32),
    ("other_attributes", ColumnType::Text),
    ("attribute_order", ColumnType::Bytes),
];

pub(crate) fn columns(
    picked: Picked<'_, LogChunk>,
    plan: &AttributePlan,
    texts: &mut ContextTexts,
) -> Result<Vec<ArrayRef>, Malformed> {
    let [services, resources, scopes] = texts.columns(picked)?;
    let [partitions, offsets, indexes] = origins(picked);
    let mut dropped = Vec::with_capacity(picked.len());
    let mut remains = Vec::with_capacity(picked.len());
    for (chunk, row) in picked.iter() {
        let bytes = bytes_at(&chunk.rest, row);
        if bytes.is_empty() {
            dropped.push(0);
            remains.push(None);
            continue;
        }
        let mut rest = LogRecord::decode(bytes).map_err(|error| Malformed(error.to_string()))?;
        dropped.push(std::mem::take(&mut rest.dropped_attributes_count));
        let bytes = rest.encode_to_vec();
        remains.push((!bytes.is_empty()).then_some(bytes));
    }
    let observed_after = |chunk: &LogChunk, row| match at(&chunk.observed_times, row) {
        0 => None,
        observed => Some(observed.wrapping_sub(chunk.time(row)).cast_signed()),
    };
    let mut columns = vec![
        picked.times(|chunk, row| chunk.time(row)),
        picked.i64s(observed_after),
        picked.bools(|chunk, row| at(&chunk.times, row) == 0),
        picked.ids(|chunk, row| chunk.trace_ids.value(row))?,
        picked.ids(|chunk, row| chunk.span_ids.value(row))?,
        services,
        resources,
        scopes,
        picked.i32s(|chunk, row| at(&chunk.severities, row)),
        picked.texts(|chunk, row| filled(chunk.severity_texts.value(row))),
        picked.texts(|chunk, row| filled(chunk.event_names.value(row))),
        bodies(picked)?,
        picked
            .bools(|chunk, row| !matches!(at(&chunk.bodies.kinds, row), Kind::Absent | Kind::Text)),
        picked.u32s(|chunk, row| at(&chunk.flags, row)),
        super::counts(dropped.into_iter()),
        sparse_bytes(&remains),
        partitions,
        offsets,
        indexes,
    ];
    columns.extend(plan.columns(picked)?);
    Ok(columns)
}

/// A body that is a text as it is, another as JSON.
fn bodies(picked: Picked<'_, LogChunk>) -> Result<ArrayRef, Malformed> {
    let mut builder = arrow_array::builder::StringBuilder::new();
    for (chunk, row) in picked.iter() {
        match at(&chunk.bodies.kinds, row) {
            Kind::Text => builder.append_value(text_at(&chunk.bodies.texts, row)),
            _ => builder.append_option(match chunk.bodies.value(row) {
                Some(value) => Some(value_to_json(&value)?),
                None => None,
            }),
        }
    }
    Ok(std::sync::Arc::new(builder.finish()))
}
