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
        model::{Trace, span_id},
        tree::{Id, Row},
        visible::{self, Fold, Window, Wish},
    },
    units::{clip, count},
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
    let shown = match &scene.sieve.matches {
        Some(matches) => visible::filtered(&trace.rows, matches),
        None => {
            let wish = Wish {
                fold: state.fold,
                toggled: state.toggled.iter().copied().collect::<HashSet<Id>>(),
                logs: state.inline_logs,
                selected: scene.selected,
            };
            visible::visible(&trace.nodes, &trace.rows, scene.errors, &wish)
        }
    };
    visible::window(&shown, state.from, scene.selected, rows_max(scene))
}

/// The timeline with the rows of a window.
pub(crate) fn view(scene: &Scene<'_>, window: &Window) -> TimelineView {
    let Scene { trace, state, .. } = scene;
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
        ticks: ticks::quarters(trace.end.saturating_sub(trace.start)),
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
            let id = span_id(&item.span.span_id);
            let state = State {
                span: id,
                from: None,
                ..state.clone()
            };
            Above {
                name: format!(
                    "{} {}",
                    clip(trace.service(item.process), 30),
                    super::super::traces::name(&clip(&item.span.name, 60))
                ),
                href: state.link().to_string(),
            }
        })
        .collect();
    above.reverse();
    above
}
