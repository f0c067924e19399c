//! Columns of a file as a chunk of log records.

use arrow_array::{Array, BinaryArray};
use arrow_buffer::ScalarBuffer;
use log_tracer_query::Intrinsic;
use log_tracer_record::otlp::logs::LogRecord;
use prost::Message;

use super::{
    ColumnsOf, TextCells, attributes::attributes, cells, cells::BytesCells, origins, resources,
    scopes,
};
use crate::{
    block::{Columns, cache::BlockCache, decode::Decoded, error::Malformed, json::value_from_json},
    chunk::{
        ChunkBuilder, LogChunk, TimeBounds,
        column::{MessageBuilder, at},
        logs::LogBuilder,
        value::{Kind, ValueBuilder, Values},
    },
};

pub(crate) const COLUMNS_OF: ColumnsOf = ColumnsOf {
    time: "time",
    level: "severity_number",
    texts: &["body", "body_is_json", "event_name"],
    of_field: |intrinsic| match intrinsic {
        Intrinsic::Service => &["resource"],
        Intrinsic::Name => &["event_name"],
        Intrinsic::TraceId => &["trace_id"],
        Intrinsic::SpanId => &["span_id"],
        Intrinsic::Severity => &["severity_number"],
        Intrinsic::Body => &["body", "body_is_json"],
        Intrinsic::Scope => &["scope"],
        Intrinsic::Kind
        | Intrinsic::Status
        | Intrinsic::StatusMessage
        | Intrinsic::Duration
        | Intrinsic::ParentId
        | Intrinsic::Event
        | Intrinsic::Time => &[],
    },
};

pub(crate) fn assemble_logs(
    decoded: &Decoded<'_>,
    columns: &Columns,
    cache: &BlockCache,
) -> Result<LogChunk, Malformed> {
    let times = cells::times(decoded, "time")?;
    let mut bounds = TimeBounds::default();
    times.iter().for_each(|time| bounds.include(*time));
    let observed_times = observed(decoded, &times)?;
    let is_observed = cells::bools(decoded, "time_is_observed")?;
    let times: ScalarBuffer<u64> = match is_observed.contains(&true) {
        false => times,
        true => {
            let times = times.iter().zip(&is_observed);
            times
                .map(|(time, is_observed)| if *is_observed { 0 } else { *time })
                .collect()
        }
    };
    let chunk = LogChunk {
        bounds,
        origins: origins(decoded)?,
        times,
        observed_times,
        severities: cells::i32s(decoded, "severity_number")?,
        severity_texts: TextCells::of(decoded, "severity_text")?.labels(),
        event_names: TextCells::of(decoded, "event_name")?.labels(),
        bodies: bodies(decoded)?,
        trace_ids: cells::ids(decoded, "trace_id")?,
        span_ids: cells::ids(decoded, "span_id")?,
        flags: cells::u32s(decoded, "flags")?,
        resources: resources(decoded, cache)?,
        scopes: scopes(decoded, cache)?,
        attributes: attributes(decoded)?,
        rest: rest(decoded)?,
        ..LogBuilder::default().freeze()
    };
    Ok(match columns.all || columns.traces {
        true => chunk.summed_up(),
        false => chunk,
    })
}

/// The observed times; 0 for none.
fn observed(
    decoded: &Decoded<'_>,
    times: &ScalarBuffer<u64>,
) -> Result<ScalarBuffer<u64>, Malformed> {
    let array = cells::typed::<arrow_array::Int64Array>(decoded, "observed_after_ns")?;
    let Some(array) = array else {
        return Ok(ScalarBuffer::from(Vec::new()));
    };
    let observed = |(time, after): (&u64, Option<i64>)| {
        after.map_or(0, |after| time.wrapping_add(after.cast_unsigned()))
    };
    Ok(times.iter().zip(array.iter()).map(observed).collect())
}

fn bodies(decoded: &Decoded<'_>) -> Result<Values, Malformed> {
    let cells = TextCells::of(decoded, "body")?;
    let is_json = cells::bools(decoded, "body_is_json")?;
    let has_json = is_json.contains(&true);
    if let TextCells::Plain(texts) = &cells
        && texts.null_count() == 0
        && !has_json
    {
        return Ok(Values {
            kinds: vec![Kind::Text; texts.len()],
            numbers: vec![0; texts.len()].into(),
            texts: (*texts).clone(),
            ..ValueBuilder::default().freeze()
        });
    }
    let mut builder = ValueBuilder::default();
    for row in 0..cells.rows() {
        match cells.get(row) {
            None => {
                builder.append(None);
            }
            Some(text) if at(&is_json, row) => {
                builder.append(Some(&value_from_json(text)?));
            }
            Some(text) => builder.append_text(text),
        }
    }
    Ok(builder.freeze())
}

fn rest(decoded: &Decoded<'_>) -> Result<BinaryArray, Malformed> {
    let remains = BytesCells::of(decoded, "rest")?;
    let dropped = cells::u32s(decoded, "dropped_attributes_count")?;
    let mut builder = MessageBuilder::default();
    if remains.is_missing() && dropped.is_empty() {
        return Ok(builder.freeze());
    }
    for row in 0..decoded.rows {
        let mut record = LogRecord::decode(remains.get(row).unwrap_or_default())
            .map_err(|error| Malformed(error.to_string()))?;
        record.dropped_attributes_count = at(&dropped, row);
        builder.append_message(&record);
    }
    Ok(builder.freeze())
}
