//! The rows of the waterfall.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::{Scene, State, logs};
use crate::{
    charts::percent,
    lines::{hex, level, one_line},
    trace::{
        critical::Segment,
        marks::marks,
        model::{Item, LogItem, SpanItem, Trace},
        tree::Row,
        visible::{Counts, Shown, Window},
        zoom::Axis,
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
    /// None where the span lies outside of the shown time.
    bar: Option<Stretch>,
    /// Then: "earlier" or "later".
    away: &'static str,
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

impl Stretch {
    fn new(x: f64, width: f64) -> Self {
        Self {
            x: percent(x, 100.0),
            width: percent(width, 100.0),
        }
    }
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
        errors,
        ..
    } = *scene;
    let mut critical = critical_of(scene, window);
    let log_of = |shown: &Shown| {
        let node = trace.rows.get(shown.row)?.node;
        node.checked_sub(trace.spans.len())
    };
    let logs: HashSet<usize> = window.shown.iter().filter_map(log_of).collect();
    let log_hrefs = logs::addresses(trace, state, &logs);
    let spans = Counts::new(trace.rows.iter().map(|row| trace.span(row).is_some()));
    let errors = Counts::new(errors.iter().copied());
    // Spans of one id are rows of their own: an anchor stands on a page once.
    let mut anchors = HashMap::<String, usize>::new();
    window
        .shown
        .iter()
        .filter_map(|shown| {
            let row = trace.rows.get(shown.row)?;
            Some(match trace.item(row)? {
                Item::Log(item) => {
                    let href = log_of(shown).and_then(|log| log_hrefs.get(&log));
                    RowView::Log(log_row(scene, row, item, href.map_or("", |href| href)))
                }
                Item::Span(item) => {
                    let mut view = span_row(scene, row, item);
                    let below = shown.row + 1..shown.row + row.size;
                    let spans = spans.between(&below) as u64;
                    view.toggle = shown
                        .open
                        .and_then(|open| toggle(trace, state, row, open, spans));
                    view.error_below = shown.open == Some(false) && errors.between(&below) > 0;
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

fn span_row(scene: &Scene<'_>, row: &Row, item: &SpanItem) -> SpanRow {
    let Scene {
        trace,
        state,
        palette,
        axis,
        ..
    } = scene;
    let (start, end) = trace.interval(row);
    let bar = axis.bar(start, end, WIDTH_MIN);
    let id = item.id();
    let anchor = id.map_or_else(String::new, |id| format!("s{}", hex(&id)));
    let is_selected = id.is_some() && state.span == id;
    // A second click closes the details again; the window stays where it is.
    let target = State {
        span: if is_selected { None } else { id },
        ..(*state).clone()
    };
    SpanRow {
        depth: row.depth.min(DEPTH_MAX),
        colour: palette.colour(trace.service(item.process)),
        service: clip(trace.service(item.process), 40),
        name: super::super::traces::name(&clip(trace.name(item), 120)),
        href: target.link().at(anchor.clone()).to_string(),
        selected: is_selected,
        error: item.is_error(),
        error_below: false,
        dim: false,
        toggle: None,
        bar: bar.map(|(x, width)| Stretch::new(x, width)),
        away: match bar {
            Some(_) => "",
            None if end < axis.start => "earlier",
            None => "later",
        },
        duration: duration(item.duration()),
        label_x: percent(bar.map_or(0.0, |(x, width)| x + width), 100.0),
        critical: Vec::new(),
        events: events(trace, axis, item),
        marks: marks(trace, row, item)
            .into_iter()
            .map(|mark| mark.label())
            .collect(),
        anchor,
    }
}

fn events(trace: &Trace, axis: &Axis, item: &SpanItem) -> Vec<String> {
    let mut seen = HashSet::new();
    let events = trace.whole(item).map(|whole| whole.span.events.as_slice());
    events
        .unwrap_or_default()
        .iter()
        .filter_map(|event| axis.position(event.time_unix_nano))
        .map(|x| percent(x, 100.0))
        .filter(|x| seen.insert(x.clone()))
        .take(DOTS_MAX)
        .collect()
}

/// `spans` are those below the row.
fn toggle(trace: &Trace, state: &State, row: &Row, open: bool, spans: u64) -> Option<Toggle> {
    // A filter shows what it shows.
    if !state.filter.is_empty() {
        return None;
    }
    let id = trace.nodes.get(row.node)?.id?;
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

fn log_row(scene: &Scene<'_>, row: &Row, item: &LogItem, href: &str) -> LogRow {
    let Scene { trace, axis, .. } = scene;
    // A record may stand outside of the trace's time.
    let at = axis.position(trace.interval(row).0);
    LogRow {
        depth: row.depth.min(DEPTH_MAX),
        level: level(item.severity),
        line: trace
            .whole_log(item)
            .map_or_else(String::new, |whole| clip(&one_line(&whole.record), 160)),
        offset: format!("+{}", duration(item.time.saturating_sub(trace.start))),
        href: href.to_owned(),
        x: percent(at.unwrap_or(0.0), 100.0),
    }
}

/// The stretches of the critical path by node, for the nodes of a window.
fn critical_of(scene: &Scene<'_>, window: &Window) -> HashMap<usize, Vec<Stretch>> {
    let Scene {
        trace, path, axis, ..
    } = *scene;
    let shown: HashSet<usize> = window
        .shown
        .iter()
        .filter_map(|shown| Some(trace.rows.get(shown.row)?.node))
        .collect();
    let mut by_node: HashMap<usize, Vec<Segment>> = HashMap::new();
    for segment in path.iter().copied() {
        if !shown.contains(&segment.node) || !axis.shows(segment.start, segment.end) {
            continue;
        }
        let own = by_node.entry(segment.node).or_default();
        // What is closer than a pixel is one stretch.
        let gap_max = axis.length() / 1000;
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
                .filter_map(|segment| axis.bar(segment.start, segment.end, 0.0))
                .map(|(x, width)| Stretch::new(x, width))
                .collect();
            (node, stretches)
        })
        .collect()
}
