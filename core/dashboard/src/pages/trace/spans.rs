//! The spans of a trace as a table: one row for each that the filter leaves, in any order.

pub(crate) mod file;

use std::cmp::Reverse;

use serde::Serialize;

use super::{Scene, State};
use crate::{
    lines::hex,
    pages::traces::name,
    params::Link,
    sorting::{Column, Head, Order, Pager, Pages},
    trace::{
        fields,
        figures::Figures,
        model::{SpanItem, Trace, span_id},
    },
    units::{clip, duration, plural},
};

/// Spans on a page of the table.
pub(crate) const ROWS_MAX: usize = 100;

pub(super) const SORT_DEFAULT: &str = "start";

pub(super) const COLUMNS: [Column; 8] = [
    Column::text("service", "Service"),
    Column::text("operation", "Operation"),
    Column::text("kind", "Kind"),
    Column::text("status", "Status"),
    Column::place(SORT_DEFAULT, "Start"),
    Column::number("duration", "Duration"),
    Column::number("self", "Self time"),
    Column::place("depth", "Depth"),
];

/// The table.
#[derive(Debug, Serialize)]
pub(crate) struct SpansView {
    heads: Vec<Head>,
    rows: Vec<SpanRow>,
    /// "1,204 spans".
    total: String,
    pager: Pager,
    csv_href: String,
    ndjson_href: String,
}

/// A span.
#[derive(Debug, Serialize)]
struct SpanRow {
    anchor: String,
    href: String,
    selected: bool,
    service: String,
    colour: usize,
    name: String,
    kind: &'static str,
    status: &'static str,
    start: String,
    duration: String,
    own: String,
    depth: usize,
}

/// A page of the table.
pub(super) fn view(scene: &Scene<'_>) -> SpansView {
    let Scene { trace, state, .. } = *scene;
    let figures = Figures::new(trace, scene.path);
    let matches = scene.sieve.matches.as_deref();
    let chosen = chosen(trace, &figures, matches, state.order);
    let pages = Pages::new(chosen.len(), ROWS_MAX, state.page);
    let rows = chosen
        .iter()
        .skip(pages.skipped)
        .take(ROWS_MAX)
        .filter_map(|at| row(scene, &figures, *at))
        .collect();
    let link = state.rewound().link();
    let file = |ending: &str| {
        let path = format!("/trace/{}/spans.{ending}", hex(&state.id));
        Link::to(path)
            .with("f", &*state.filter)
            .with("sort", state.order.write(SORT_DEFAULT))
            .to_string()
    };
    SpansView {
        heads: state
            .order
            .heads(&COLUMNS, SORT_DEFAULT, &link, "waterfall"),
        rows,
        total: plural(chosen.len() as u64, "span", "spans"),
        pager: pages.pager(&link.at("waterfall")),
        csv_href: file("csv"),
        ndjson_href: file("ndjson"),
    }
}

/// The rows of the trace that are shown, in their order. `matches` tells of each row whether the filter leaves it.
///
/// Spans that are equal by the chosen column stay in the order of the timeline.
fn chosen(trace: &Trace, figures: &Figures, matches: Option<&[bool]>, order: Order) -> Vec<usize> {
    let is_left = |at: usize| matches.is_none_or(|matches| matches.get(at) == Some(&true));
    let mut spans: Vec<(usize, usize, &SpanItem)> = trace
        .rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| Some((at, row.depth, trace.span(row)?)))
        .filter(|(at, ..)| is_left(*at))
        .collect();
    match order.key {
        "service" => spans.sort_by_key(|(.., item)| trace.service(item.process)),
        "operation" => spans.sort_by_key(|(.., item)| item.span.name.as_str()),
        "kind" => spans.sort_by_key(|(.., item)| fields::kind(item.span.kind())),
        "status" => spans.sort_by_key(|(.., item)| fields::status_word(&item.span)),
        "duration" => spans.sort_by_key(|(.., item)| Reverse(item.duration())),
        "self" => spans.sort_by_key(|(at, ..)| Reverse(figures.own(*at))),
        "depth" => spans.sort_by_key(|(_, depth, _)| *depth),
        _ => spans.sort_by_key(|(.., item)| item.span.start_time_unix_nano),
    }
    if order.turned {
        spans.reverse();
    }
    spans.into_iter().map(|(at, ..)| at).collect()
}

fn row(scene: &Scene<'_>, figures: &Figures, at: usize) -> Option<SpanRow> {
    let Scene { trace, state, .. } = *scene;
    let row = trace.rows.get(at)?;
    let item = trace.span(row)?;
    let id = span_id(&item.span.span_id);
    let anchor = id.map_or_else(String::new, |id| format!("s{}", hex(&id)));
    let selected = id.is_some() && state.span == id;
    let service = trace.service(item.process);
    // A second click closes the details again.
    let target = State {
        span: if selected { None } else { id },
        ..state.clone()
    };
    Some(SpanRow {
        href: target.link().at(anchor.clone()).to_string(),
        anchor,
        selected,
        service: clip(service, 40),
        colour: scene.palette.colour(service),
        name: name(&clip(&item.span.name, 120)),
        kind: fields::kind(item.span.kind()),
        status: fields::status_word(&item.span),
        start: format!("+{}", duration(offset(trace, item))),
        duration: duration(item.duration()),
        own: duration(figures.own(at)),
        depth: row.depth + 1,
    })
}

/// How long after the start of the trace a span starts, in nanoseconds.
fn offset(trace: &Trace, item: &SpanItem) -> u64 {
    item.span.start_time_unix_nano.saturating_sub(trace.start)
}
