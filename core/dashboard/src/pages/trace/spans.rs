//! The spans of a trace as a table: one row for each that the filter leaves, in any order.

pub(crate) mod file;

use std::ops::Range;

use serde::Serialize;

use super::{Scene, State, filter::Sieve};
use crate::{
    lines::hex,
    pages::traces::name,
    params::Link,
    sorting::{Column, Head, Order, Pager, Pages},
    trace::{
        fields,
        figures::Figures,
        model::{SpanItem, Trace},
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
    let mut keys = keys(trace, &figures, matches, state.order);
    let pages = Pages::new(keys.len(), ROWS_MAX, state.page);
    let part = pages.skipped..pages.skipped + ROWS_MAX;
    let rows = sorted(&mut keys, part, state.order)
        .into_iter()
        .filter_map(|at| row(scene, &figures, at))
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
        total: plural(keys.len() as u64, "span", "spans"),
        pager: pages.pager(&link.at("waterfall")),
        csv_href: file("csv"),
        ndjson_href: file("ndjson"),
    }
}

/// A part of the rows that a state shows, in its order, and how many there are.
pub(crate) fn sorted_spans(
    trace: &Trace,
    figures: &Figures,
    state: &State,
    part: Range<usize>,
) -> (Vec<usize>, usize) {
    let sieve = Sieve::new(trace, state);
    let mut keys = keys(trace, figures, sieve.matches.as_deref(), state.order);
    (sorted(&mut keys, part, state.order), keys.len())
}

/// The rows of the trace that are shown, in their order. `matches` tells of each row whether the filter leaves it.
fn chosen(trace: &Trace, figures: &Figures, matches: Option<&[bool]>, order: Order) -> Vec<usize> {
    let mut keys = keys(trace, figures, matches, order);
    let all = 0..keys.len();
    sorted(&mut keys, all, order)
}

/// A part of what is chosen, without the rest of it being sorted.
fn sorted(keys: &mut [(u64, usize)], part: Range<usize>, order: Order) -> Vec<usize> {
    let count = keys.len();
    let part = part.start.min(count)..part.end.min(count);
    // From behind, the last come first.
    let part = match order.turned {
        true => count - part.end..count - part.start,
        false => part,
    };
    if part.is_empty() {
        return Vec::new();
    }
    if part.end < count {
        keys.select_nth_unstable(part.end);
    }
    let before_end = keys.get_mut(..part.end).unwrap_or_default();
    if part.start > 0 {
        before_end.select_nth_unstable(part.start);
    }
    let keys = before_end.get_mut(part.start..).unwrap_or_default();
    keys.sort_unstable();
    let rows = keys.iter().map(|(_, row)| *row);
    match order.turned {
        true => rows.rev().collect(),
        false => rows.collect(),
    }
}

/// The rows that are shown, each with what it is sorted by. Spans that are equal by the chosen column stay in the order of
/// the timeline.
fn keys(
    trace: &Trace,
    figures: &Figures,
    matches: Option<&[bool]>,
    order: Order,
) -> Vec<(u64, usize)> {
    let is_left = |at: usize| matches.is_none_or(|matches| matches.get(at) == Some(&true));
    let spans = trace.rows.iter().enumerate().filter_map(|(at, row)| {
        let item = trace.span(row).filter(|_| is_left(at))?;
        Some((at, row.depth, item))
    });
    let by = |key: &dyn Fn(usize, usize, &SpanItem) -> u64| {
        let keyed = spans.map(|(at, depth, item)| (key(at, depth, item), at));
        keyed.collect()
    };
    let rank = |ranks: &[usize], at: usize| ranks.get(at).map_or(0, |rank| *rank as u64);
    match order.key {
        "service" => {
            let (_, ranks) = trace.services();
            by(&|_, _, item| rank(&ranks, item.process))
        }
        "operation" => {
            let ranks = trace.name_ranks();
            by(&|_, _, item| rank(&ranks, item.name as usize))
        }
        "kind" => by(&|_, _, item| beginning(fields::kind(item.kind))),
        "status" => by(&|_, _, item| beginning(fields::status_word(item.status))),
        "duration" => by(&|_, _, item| u64::MAX - item.duration()),
        "self" => by(&|at, _, _| u64::MAX - figures.own(at)),
        "depth" => by(&|_, depth, _| depth as u64),
        _ => by(&|_, _, item| item.start),
    }
}

/// The first letters of a word, as a number in the order of the alphabet: enough to tell the kinds apart.
fn beginning(word: &str) -> u64 {
    let mut letters = [0; 8];
    letters
        .iter_mut()
        .zip(word.bytes())
        .for_each(|(to, from)| *to = from);
    u64::from_be_bytes(letters)
}

fn row(scene: &Scene<'_>, figures: &Figures, at: usize) -> Option<SpanRow> {
    let Scene { trace, state, .. } = *scene;
    let row = trace.rows.get(at)?;
    let item = trace.span(row)?;
    let id = item.id();
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
        name: name(&clip(trace.name(item), 120)),
        kind: fields::kind(item.kind),
        status: fields::status_word(item.status),
        start: format!("+{}", duration(offset(trace, item))),
        duration: duration(item.duration()),
        own: duration(figures.own(at)),
        depth: row.depth + 1,
    })
}

/// How long after the start of the trace a span starts, in nanoseconds.
fn offset(trace: &Trace, item: &SpanItem) -> u64 {
    item.start.saturating_sub(trace.start)
}
