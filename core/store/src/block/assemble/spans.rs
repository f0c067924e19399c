//! Columns of a file as a chunk of spans.

use arrow_buffer::ScalarBuffer;
use log_tracer_query::Intrinsic;
use log_tracer_record::otlp::trace::{Span, span::SpanKind, status::StatusCode};
use prost::Message;

use super::{
    ColumnsOf, TextCells, attributes::attributes, cells, cells::BytesCells, origins, resources,
    scopes,
};
use crate::{
    block::{
        Columns,
        cache::BlockCache,
        decode::Decoded,
        error::Malformed,
        json::{events_from_json, links_from_json},
    },
    chunk::{
        ChunkBuilder, SpanChunk, TimeBounds,
        column::{MessageBuilder, at},
        events::{Events, EventsBuilder},
        spans::{STATUS_ABSENT, SpanBuilder},
    },
    fields::{kind_name, status_name},
};

pub(crate) const COLUMNS_OF: ColumnsOf = ColumnsOf {
    time: "start_time",
    level: "status_code",
    texts: &["name", "status_message", "events"],
    of_field: |intrinsic| match intrinsic {
        Intrinsic::Service => &["resource"],
        Intrinsic::Name => &["name"],
        Intrinsic::Kind => &["kind"],
        Intrinsic::Status => &["status_code"],
        Intrinsic::StatusMessage => &["status_message"],
        Intrinsic::Duration => &["duration_ns"],
        Intrinsic::TraceId => &["trace_id"],
        Intrinsic::SpanId => &["span_id"],
        Intrinsic::ParentId => &["parent_span_id"],
        Intrinsic::Scope => &["scope"],
        Intrinsic::Event => &["events"],
        Intrinsic::Time | Intrinsic::Severity | Intrinsic::Body => &[],
    },
};

pub(crate) fn assemble_spans(
    decoded: &Decoded<'_>,
    columns: &Columns,
    cache: &BlockCache,
) -> Result<SpanChunk, Malformed> {
    let starts = cells::times(decoded, "start_time")?;
    let durations = cells::i64s(decoded, "duration_ns")?;
    let ends = starts.iter().zip(&durations);
    let ends: ScalarBuffer<u64> = ends
        .map(|(start, duration)| start.wrapping_add(duration.cast_unsigned()))
        .collect();
    let mut bounds = TimeBounds::default();
    starts.iter().for_each(|start| bounds.include(*start));
    let mut chunk = SpanChunk {
        bounds,
        origins: origins(decoded)?,
        trace_ids: cells::ids(decoded, "trace_id")?,
        span_ids: cells::ids(decoded, "span_id")?,
        parent_ids: cells::ids(decoded, "parent_span_id")?,
        names: TextCells::of(decoded, "name")?.labels(),
        kinds: choices(decoded, "kind", 0, known_kind)?,
        status_codes: choices(decoded, "status_code", STATUS_ABSENT, known_status)?,
        status_messages: TextCells::of(decoded, "status_message")?.texts(),
        flags: cells::u32s(decoded, "flags")?,
        resources: resources(decoded, cache)?,
        scopes: scopes(decoded, cache)?,
        attributes: attributes(decoded)?,
        events: events(decoded)?,
        rest: rest(decoded)?,
        starts,
        ends,
        ..SpanBuilder::default().freeze()
    };
    if chunk.status_codes.is_empty() && (columns.all || columns.levels) {
        chunk.status_codes = vec![STATUS_ABSENT; decoded.rows].into();
    }
    Ok(match columns.all || columns.traces {
        true => chunk.summed_up(),
        false => chunk,
    })
}

fn events(decoded: &Decoded<'_>) -> Result<Events, Malformed> {
    let cells = TextCells::of(decoded, "events")?;
    let mut builder = EventsBuilder::default();
    for row in 0..cells.rows() {
        match cells.get(row) {
            Some(text) => builder.append(&events_from_json(text)?),
            None => builder.append(&[]),
        };
    }
    Ok(builder.freeze())
}

fn rest(decoded: &Decoded<'_>) -> Result<arrow_array::BinaryArray, Malformed> {
    let states = TextCells::of(decoded, "trace_state")?;
    let links = TextCells::of(decoded, "links")?;
    let remains = BytesCells::of(decoded, "rest")?;
    let counts = [
        "dropped_attributes_count",
        "dropped_events_count",
        "dropped_links_count",
    ];
    let [attributes, events, dropped_links] = counts.map(|name| cells::u32s(decoded, name));
    let (attributes, events, dropped_links) = (attributes?, events?, dropped_links?);
    let mut builder = MessageBuilder::default();
    let is_empty = states.is_missing()
        && links.is_missing()
        && remains.is_missing()
        && [&attributes, &events, &dropped_links]
            .iter()
            .all(|counts| counts.is_empty());
    if is_empty {
        return Ok(builder.freeze());
    }
    for row in 0..decoded.rows {
        let mut span = Span::decode(remains.get(row).unwrap_or_default())
            .map_err(|error| Malformed(error.to_string()))?;
        span.trace_state = states.get(row).unwrap_or_default().to_owned();
        if let Some(text) = links.get(row) {
            span.links = links_from_json(text)?;
        }
        span.dropped_attributes_count = at(&attributes, row);
        span.dropped_events_count = at(&events, row);
        span.dropped_links_count = at(&dropped_links, row);
        builder.append_message(&span);
    }
    Ok(builder.freeze())
}

/// Numbers by their names; `missing` for none.
fn choices(
    decoded: &Decoded<'_>,
    name: &str,
    missing: i32,
    number: impl Fn(&str) -> Option<i32>,
) -> Result<ScalarBuffer<i32>, Malformed> {
    let cells = TextCells::of(decoded, name)?;
    let mut last: Option<(Option<&str>, i32)> = None;
    let mut numbers = Vec::with_capacity(cells.rows());
    for row in 0..cells.rows() {
        let text = cells.get(row);
        let value = match last {
            Some((of, value)) if of == text => value,
            _ => match text {
                None => missing,
                Some(text) => number(text)
                    .or_else(|| text.parse().ok())
                    .ok_or_else(|| Malformed(format!("{name} {text:?} is unknown")))?,
            },
        };
        last = Some((text, value));
        numbers.push(value);
    }
    Ok(numbers.into())
}

fn known_kind(text: &str) -> Option<i32> {
    const KINDS: [SpanKind; 6] = [
        SpanKind::Unspecified,
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ];
    let kind = KINDS.into_iter().find(|kind| kind_name(*kind) == text)?;
    Some(kind as i32)
}

fn known_status(text: &str) -> Option<i32> {
    const CODES: [StatusCode; 3] = [StatusCode::Unset, StatusCode::Ok, StatusCode::Error];
    let code = CODES.into_iter().find(|code| status_name(*code) == text)?;
    Some(code as i32)
}
