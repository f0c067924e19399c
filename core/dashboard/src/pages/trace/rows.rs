//! The rows of the waterfall.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::{Scene, State, View};
use crate::{
    charts::{percent, position},
    lines::{hex, level, one_line},
    palette::Palette,
    trace::{
        critical::{Segment, critical_path},
        marks::marks,
        model::{Item, LogItem, SpanItem, Trace, span_id},
        tree::Row,
        visible::{Shown, Window},
    },
    units::{clip, duration, plural},
};

/// Deeper rows are not drawn further to the right.
const DEPTH_MAX: usize = 24;

/// Events and stretches of the critical path that are drawn on one bar.
const DOTS_MAX: usize = 24;

/// A bar is at least so wide, in percent, so that the shortest span can be seen.
const WIDTH_MIN: f64 = 0.15;

/// A row of the waterfall.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum RowView {
    Span(Box<SpanRow>),
    Log(LogRow),
}

/// A span.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SpanRow {
    anchor: String,
    depth: usize,
    colour: usize,
    service: String,
    name: String,
    href: String,
    selected: bool,
    error: bool,
    /// Whether an error is below it and out of sight.
    error_below: bool,
    /// Faded: it does not match the filter itself.
    dim: bool,
    toggle: Option<Toggle>,
    x: String,
    width: String,
    duration: String,
    /// Where the bar ends, and the duration is written.
    label_x: String,
    critical: Vec<Stretch>,
    events: Vec<String>,
    marks: Vec<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
struct Toggle {
    href: String,
    open: bool,
    label: String,
    /// Spans that are out of sight below it.
    hidden: String,
}

#[derive(Clone, Debug, Serialize)]
struct Stretch {
    x: String,
    width: String,
}

/// A log record between the spans.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LogRow {
    depth: usize,
    level: &'static str,
    line: String,
    x: String,
    /// How long after the start of the trace it was written.
    offset: String,
    href: String,
}

/// The rows of a window.
pub(crate) fn rows(scene: &Scene<'_>, window: &Window) -> Vec<RowView> {
    let Scene {
        trace,
        state,
        palette,
        errors,
        ..
    } = *scene;
    let mut critical = critical_of(trace, window);
    let logs_href = state.seen_as(View::Logs).link().to_string();
    // Spans of one id are rows of their own: an anchor stands on a page once.
    let mut anchors = HashMap::<String, usize>::new();
    window
        .shown
        .iter()
        .filter_map(|shown| {
            let row = trace.rows.get(shown.row)?;
            Some(match trace.item(row)? {
                Item::Log(item) => RowView::Log(log_row(trace, row, item, &logs_href)),
                Item::Span(item) => {
                    let mut view = span_row(trace, state, palette, row, item);
                    view.toggle = shown
                        .open
                        .and_then(|open| toggle(trace, state, shown, row, open));
                    view.error_below =
                        shown.open == Some(false) && below(errors, shown.row, row).contains(&true);
                    view.dim = scene
                        .sieve
                        .matches
                        .as_ref()
                        .is_some_and(|matches| matches.get(shown.row) == Some(&false));
                    view.critical = critical.remove(&row.node).unwrap_or_default();
                    let times = anchors.entry(view.anchor.clone()).or_default();
                    *times += 1;
                    if *times > 1 {
                        view.anchor = format!("{}-{times}", view.anchor);
                    }
                    RowView::Span(Box::new(view))
                }
            })
        })
        .collect()
}

fn below<'a, T>(of_rows: &'a [T], at: usize, row: &Row) -> &'a [T] {
    of_rows.get(at + 1..at + row.size).unwrap_or_default()
}

fn span_row(
    trace: &Trace,
    state: &State,
    palette: &Palette,
    row: &Row,
    item: &SpanItem,
) -> SpanRow {
    let start = item.span.start_time_unix_nano.max(trace.start);
    let end = start
        .saturating_add(item.duration())
        .min(trace.end.max(start));
    let length = trace.end.saturating_sub(trace.start) as f64;
    let share = |nanos: u64| {
        if length > 0.0 {
            100.0 * nanos as f64 / length
        } else {
            0.0
        }
    };
    let width = share(end - start).max(WIDTH_MIN);
    let x = share(start - trace.start).min(100.0 - WIDTH_MIN);
    let id = span_id(&item.span.span_id);
    let anchor = id.map_or_else(String::new, |id| format!("s{}", hex(&id)));
    let is_selected = id.is_some() && state.span == id;
    // A second click closes the details again; the window stays where it is.
    let target = State {
        span: if is_selected { None } else { id },
        ..state.clone()
    };
    SpanRow {
        depth: row.depth.min(DEPTH_MAX),
        colour: palette.colour(trace.service(item.process)),
        service: clip(trace.service(item.process), 40),
        name: super::super::traces::name(&clip(&item.span.name, 120)),
        href: target.link().at(anchor.clone()).to_string(),
        selected: is_selected,
        error: item.is_error(),
        error_below: false,
        dim: false,
        toggle: None,
        x: percent(x, 100.0),
        width: percent(width, 100.0),
        duration: duration(item.duration()),
        label_x: percent(x + width, 100.0),
        critical: Vec::new(),
        events: events(trace, item),
        marks: marks(trace, row, item)
            .into_iter()
            .map(|mark| mark.label())
            .collect(),
        anchor,
    }
}

fn events(trace: &Trace, item: &SpanItem) -> Vec<String> {
    let mut seen = HashSet::new();
    item.span
        .events
        .iter()
        .map(|event| position(event.time_unix_nano, trace.start, trace.end))
        .filter(|x| seen.insert(x.clone()))
        .take(DOTS_MAX)
        .collect()
}

fn toggle(trace: &Trace, state: &State, shown: &Shown, row: &Row, open: bool) -> Option<Toggle> {
    // A filter shows what it shows.
    if !state.filter.is_empty() {
        return None;
    }
    let id = trace.nodes.get(row.node)?.id?;
    let spans = below(&trace.rows, shown.row, row)
        .iter()
        .filter(|row| trace.span(row).is_some())
        .count() as u64;
    let anchor = format!("s{}", hex(&id));
    let verb = if open { "Collapse" } else { "Expand" };
    Some(Toggle {
        href: state.toggle(id).link().at(anchor).to_string(),
        open,
        label: format!("{verb} {}", plural(spans, "span", "spans")),
        hidden: if open || spans == 0 {
            String::new()
        } else {
            crate::units::compact(spans)
        },
    })
}

fn log_row(trace: &Trace, row: &Row, item: &LogItem, logs_href: &str) -> LogRow {
    let x = position(item.time(), trace.start, trace.end);
    LogRow {
        depth: row.depth.min(DEPTH_MAX),
        level: level(item.record.severity_number),
        line: clip(&one_line(&item.record), 160),
        offset: format!("+{}", duration(item.time().saturating_sub(trace.start))),
        href: logs_href.to_owned(),
        x,
    }
}

/// The stretches of the critical path by node, for the nodes of a window.
fn critical_of(trace: &Trace, window: &Window) -> HashMap<usize, Vec<Stretch>> {
    let shown: HashSet<usize> = window
        .shown
        .iter()
        .filter_map(|shown| Some(trace.rows.get(shown.row)?.node))
        .collect();
    let mut by_node: HashMap<usize, Vec<Segment>> = HashMap::new();
    let Some(main) = trace.main else {
        return HashMap::new();
    };
    for segment in critical_path(&trace.nodes, &trace.rows, main) {
        if !shown.contains(&segment.node) {
            continue;
        }
        let own = by_node.entry(segment.node).or_default();
        // What is closer than a pixel is one stretch.
        let gap_max = trace.end.saturating_sub(trace.start) / 1000;
        match own.last_mut() {
            Some(last) if segment.start.saturating_sub(last.end) <= gap_max => {
                last.end = segment.end
            }
            _ => own.push(segment),
        }
    }
    by_node
        .into_iter()
        .map(|(node, segments)| {
            let stretches = segments
                .iter()
                .take(DOTS_MAX)
                .map(|segment| stretch(trace, segment))
                .collect();
            (node, stretches)
        })
        .collect()
}

fn stretch(trace: &Trace, segment: &Segment) -> Stretch {
    let length = trace.end.saturating_sub(trace.start) as f64;
    Stretch {
        x: position(segment.start, trace.start, trace.end),
        width: percent((segment.end - segment.start) as f64, length),
    }
}
