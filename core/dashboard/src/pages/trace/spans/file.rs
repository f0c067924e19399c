//! The table of spans as a file: all rows that the filter leaves, in the order of the page.
//!
//! Times are in nanoseconds: `offset_ns` after the start of the trace, `duration_ns`, `self_ns` while no child ran,
//! `critical_ns` on the critical path. `depth` is 1 for a root. A line of the NDJSON is an object with the names of the
//! table's columns; its last line says how complete the trace is. The CSV is as RFC 4180 has it, and is refused where it
//! would lack something, since it has no place to say so.

use log_tracer_query::parse;
use serde_json::{Map, Value, json};
use warp::reply::Response;

use super::{chosen, offset};
use crate::{
    api::{self, export},
    app::App,
    fault::Fault,
    lines::hex,
    pages::trace::{
        filter::matches,
        state::{State, View},
    },
    params::Params,
    reply,
    trace::{
        fields,
        figures::Figures,
        model::{SpanItem, Trace},
        question::Question,
        tree::Row,
    },
};

/// How the table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Ndjson,
}

impl Format {
    /// What a file name ends in.
    pub(crate) fn named(ending: &str) -> Option<Self> {
        match ending {
            "csv" => Some(Self::Csv),
            "ndjson" => Some(Self::Ndjson),
            _ => None,
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// The columns.
const HEAD: [&str; 16] = [
    "start",
    "offset_ns",
    "duration_ns",
    "self_ns",
    "critical_ns",
    "service",
    "name",
    "kind",
    "status",
    "status_message",
    "depth",
    "trace_id",
    "span_id",
    "parent_span_id",
    "attributes",
    "resource",
];

/// Answers `/trace/{id}/spans.csv` and `/trace/{id}/spans.ndjson`.
pub(crate) async fn answer(
    app: &App,
    params: &Params,
    id: &str,
    format: Format,
) -> Result<Response, Fault> {
    let state = State::read_as(id, params, View::Spans)?;
    let query = parse(&state.filter).map_err(|error| Fault::input(format!("f: {error}")))?;
    let _slot = app.trace_slot().await?;
    let pieces = app.ask.trace(state.id).await?;
    // As for its page: a large trace is work for a thread of its own.
    let written = tokio::task::spawn_blocking(move || {
        let mut trace = Trace::new(pieces);
        let asked = !query.is_empty();
        trace.answer(&Question {
            spans: Some(query).filter(|_| asked),
            ..Question::default()
        });
        let matches = asked.then(|| matches(&trace));
        write(&trace, &state, matches.as_deref(), format)
    })
    .await;
    let text = written
        .map_err(|error| Fault::internal(format!("writing a table of spans failed: {error}")))??;
    let mut response = Response::new(text.into());
    reply::as_type(&mut response, format.content_type());
    reply::as_file(
        &mut response,
        &format!("trace-{id}-spans.{}", format.ending()),
    );
    Ok(response)
}

fn write(
    trace: &Trace,
    state: &State,
    matches: Option<&[bool]>,
    format: Format,
) -> Result<String, Fault> {
    if format == Format::Csv && trace.coverage.partial {
        return Err(export::lacking(&trace.coverage.reasons));
    }
    let figures = Figures::new(trace, &trace.critical_path());
    let chosen = chosen(trace, &figures, matches, state.order);
    let rows = chosen.into_iter().filter_map(|at| {
        let row = trace.rows.get(at)?;
        values(trace, &figures, at, row, trace.span(row)?)
    });
    let mut out = String::new();
    match format {
        Format::Csv => {
            export::row(&HEAD.map(str::to_owned), &mut out);
            for values in rows {
                export::row(&values.map(cell), &mut out);
            }
        }
        Format::Ndjson => {
            for values in rows {
                let line: Map<String, Value> =
                    HEAD.into_iter().map(str::to_owned).zip(values).collect();
                out.push_str(&Value::from(line).to_string());
                out.push('\n');
            }
            let end = json!({ "coverage": api::coverage(Some(&trace.coverage)) });
            out.push_str(&end.to_string());
            out.push('\n');
        }
    }
    Ok(out)
}

/// What stands in each column.
fn values(
    trace: &Trace,
    figures: &Figures,
    at: usize,
    row: &Row,
    item: &SpanItem,
) -> Option<[Value; HEAD.len()]> {
    let span = &trace.whole(item)?.span;
    let status = span.status.as_ref();
    let resource = trace.processes.get(item.process);
    Some([
        export::time(span.start_time_unix_nano).into(),
        offset(trace, item).into(),
        item.duration().into(),
        figures.own(at).into(),
        figures.critical(at).into(),
        trace.service(item.process).into(),
        span.name.as_str().into(),
        fields::kind(item.kind).into(),
        fields::status_word(item.status).into(),
        status.map_or("", |status| &status.message).into(),
        (row.depth + 1).into(),
        hex(&span.trace_id).into(),
        hex(&span.span_id).into(),
        hex(&span.parent_span_id).into(),
        export::object(&span.attributes),
        resource.map_or(Value::Null, |process| {
            export::object(&process.resource.attributes)
        }),
    ])
}

/// A value as a cell; an object without a member is an empty one.
fn cell(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        Value::Object(map) if map.is_empty() => String::new(),
        other => other.to_string(),
    }
}
