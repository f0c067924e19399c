//! The timeline of a trace: what is folded, the window of rows, and the ways to the rest.

use std::collections::HashSet;

use serde::Serialize;

use super::{
    Scene, State,
    rows::{self, RowView},
};
use crate::{
    charts::ticks,
    trace::{
        model::Trace,
        tree::{Id, Row},
        visible::{self, Fold, Window, Wish},
        zoom::{Axis, Zoom},
    },
    units::{clip, count, duration},
};

/// The timeline.
#[derive(Debug, Serialize)]
pub(crate) struct TimelineView {
    rows: Vec<RowView>,
    ticks: Vec<ticks::DurationTick>,
    paging: Paging,
    fold: &'static str,
    auto_href: String,
    open_href: String,
    closed_href: String,
    inline_logs: bool,
    inline_href: String,
    zoom: ZoomView,
}

/// What part of the time is shown, and the ways to other parts; empty where there is none.
#[derive(Debug, Serialize)]
struct ZoomView {
    /// "12 ms to 45 ms of 100 ms"; empty when it is all of it.
    part: String,
    /// "12 spans lie outside".
    outside: String,
    closer: String,
    wider: String,
    earlier: String,
    later: String,
    whole: String,
    /// Shows the time of the chosen span.
    span: String,
    /// Nanoseconds of the whole trace, for the script.
    length: u64,
}

/// Where the window of rows is.
#[derive(Debug, Serialize)]
struct Paging {
    /// Whether there is more than the page shows.
    needed: bool,
    from: String,
    to: String,
    total: String,
    previous: String,
    next: String,
    /// What stands above the first row, from the root on.
    above: Vec<Above>,
}

#[derive(Debug, Serialize)]
struct Above {
    name: String,
    href: String,
}

/// Bytes of HTML that the rows may take; the head of the page needs the rest of 100 KB.
const ROWS_BYTES_MAX: usize = 72_000;
/// Bytes of a row without its two links, which repeat the state of the page.
const ROW_BYTES: usize = 380;
/// Rows of a page at least, however long the links are.
const ROWS_MIN: usize = 20;

/// Rows that fit on a page of this state.
fn rows_max(scene: &Scene<'_>) -> usize {
    let link_bytes = scene.state.link().to_string().len();
    let fitting = ROWS_BYTES_MAX / (ROW_BYTES + 2 * link_bytes);
    scene.rows_max.min(fitting.max(ROWS_MIN))
}

/// The rows that a state shows.
pub(crate) fn window(scene: &Scene<'_>) -> Window {
    let Scene { trace, state, .. } = scene;
    let within = within(scene);
    let shown = match &scene.sieve.matches {
        Some(matches) => visible::filtered(&trace.rows, &both(matches, within.as_deref())),
        None => {
            let wish = Wish {
                fold: state.fold,
                toggled: state.toggled.iter().copied().collect::<HashSet<Id>>(),
                logs: state.inline_logs,
                selected: scene.selected,
            };
            let within = within.as_deref();
            visible::visible(&trace.nodes, &trace.rows, scene.errors, within, &wish)
        }
    };
    visible::window(&shown, state.from, scene.selected, rows_max(scene))
}

/// Of each row whether it lies in the shown time; none when that is all of it.
fn within(scene: &Scene<'_>) -> Option<Vec<bool>> {
    let Scene { trace, axis, .. } = scene;
    let shows = |row: &Row| {
        let (start, end) = trace.interval(row);
        axis.shows(start, end)
    };
    axis.is_part()
        .then(|| trace.rows.iter().map(shows).collect())
}

fn both(matches: &[bool], within: Option<&[bool]>) -> Vec<bool> {
    match within {
        None => matches.to_vec(),
        Some(within) => matches
            .iter()
            .zip(within)
            .map(|(matches, within)| *matches && *within)
            .collect(),
    }
}

/// How many of the spans that would be there are left out because they, and all below them, lie outside of the shown
/// time.
fn outside(scene: &Scene<'_>) -> usize {
    let Scene { trace, state, .. } = scene;
    let Some(within) = within(scene) else {
        return 0;
    };
    let matches = scene.sieve.matches.as_deref();
    let wanted = matches.map_or(within.clone(), |matches| both(matches, Some(&within)));
    let logs = matches.is_none() && state.inline_logs;
    let kept = visible::kept(&trace.nodes, &trace.rows, Some(&wanted), logs);
    let matched = |at: usize| matches.is_none_or(|matches| matches.get(at) == Some(&true));
    trace
        .rows
        .iter()
        .zip(kept)
        .enumerate()
        .filter(|(at, (row, kept))| !kept && matched(*at) && trace.span(row).is_some())
        .count()
}

fn zoom(scene: &Scene<'_>) -> ZoomView {
    let Scene {
        trace, state, axis, ..
    } = scene;
    let to = |zoom: Option<Zoom>| {
        let state = State {
            zoom,
            ..state.rewound()
        };
        state.link().to_string()
    };
    let maybe = |zoom: Option<Zoom>| zoom.map_or_else(String::new, |zoom| to(Some(zoom)));
    let length = trace.end.saturating_sub(trace.start);
    let shown = axis.zoom();
    let of_span = scene
        .selected
        .and_then(|at| trace.rows.get(at))
        .map(|row| trace.interval(row))
        .map(|(start, end)| Zoom::around(start - trace.start, end - trace.start))
        .filter(|zoom| Axis::new(trace.start, trace.end, Some(*zoom)) != *axis);
    ZoomView {
        part: if axis.is_part() {
            let offset = |at: u64| ticks::offset(at, axis.length());
            format!(
                "{} to {} of {}",
                offset(shown.from),
                offset(shown.to),
                duration(length)
            )
        } else {
            String::new()
        },
        outside: match outside(scene) {
            0 => String::new(),
            1 => "1 span lies outside".to_owned(),
            number => format!("{} spans lie outside", count(number as u64)),
        },
        closer: maybe(axis.closer()),
        wider: maybe(axis.wider()),
        earlier: maybe(axis.earlier()),
        later: maybe(axis.later()),
        whole: if axis.is_part() {
            to(None)
        } else {
            String::new()
        },
        span: maybe(of_span),
        length,
    }
}

/// The timeline with the rows of a window.
pub(crate) fn view(scene: &Scene<'_>) -> TimelineView {
    let Scene { trace, state, .. } = scene;
    let nothing = Window::default();
    let window = scene.window.unwrap_or(&nothing);
    // Another way to fold starts from its own beginning.
    let folded = |fold: Fold| {
        let state = State {
            fold,
            toggled: Vec::new(),
            from: None,
            ..(*state).clone()
        };
        state.link().to_string()
    };
    let inline = State {
        inline_logs: !state.inline_logs,
        from: None,
        ..(*state).clone()
    };
    TimelineView {
        rows: rows::rows(scene, window),
        ticks: ticks::quarters_between(scene.axis.zoom().from, scene.axis.zoom().to),
        paging: paging(trace, state, window),
        fold: match state.fold {
            Fold::Auto => "auto",
            Fold::Open => "open",
            Fold::Closed => "closed",
        },
        auto_href: folded(Fold::Auto),
        open_href: folded(Fold::Open),
        closed_href: folded(Fold::Closed),
        inline_logs: state.inline_logs,
        inline_href: inline.link().to_string(),
        zoom: zoom(scene),
    }
}

fn paging(trace: &Trace, state: &State, window: &Window) -> Paging {
    let rows_max = window.shown.len().max(1);
    let to = window.from + window.shown.len();
    let at = |from: usize| {
        let state = State {
            from: Some(from),
            ..state.clone()
        };
        state.link().at("waterfall").to_string()
    };
    let first = window
        .shown
        .first()
        .and_then(|shown| trace.rows.get(shown.row));
    Paging {
        needed: window.total > window.shown.len(),
        from: count(window.from as u64 + 1),
        to: count(to as u64),
        total: count(window.total as u64),
        previous: if window.from > 0 {
            at(window.from.saturating_sub(rows_max))
        } else {
            String::new()
        },
        next: if to < window.total {
            at(to)
        } else {
            String::new()
        },
        above: match (window.from, first) {
            (0, _) | (_, None) => Vec::new(),
            (_, Some(row)) => above(trace, state, row),
        },
    }
}

/// The spans above a row, from the root on; of a long chain the nearest.
fn above(trace: &Trace, state: &State, row: &Row) -> Vec<Above> {
    const ABOVE_MAX: usize = 6;
    let parents = std::iter::successors(row.parent, |at| trace.rows.get(*at)?.parent);
    let mut above: Vec<Above> = parents
        .take(ABOVE_MAX)
        .filter_map(|at| trace.span(trace.rows.get(at)?))
        .map(|item| {
            let state = State {
                span: item.id(),
                from: None,
                ..state.clone()
            };
            Above {
                name: format!(
                    "{} {}",
                    clip(trace.service(item.process), 30),
                    super::super::traces::name(&clip(trace.name(item), 60))
                ),
                href: state.link().to_string(),
            }
        })
        .collect();
    above.reverse();
    above
}
