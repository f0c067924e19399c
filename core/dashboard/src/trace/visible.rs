//! Which rows of a trace a page shows: what is collapsed, what a filter leaves, what lies in the shown time, and the
//! window of rows.

use std::{collections::HashSet, ops::Range};

use super::tree::{Id, Node, Row};

/// How a visitor wants to see a trace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// What is open to begin with.
    pub(crate) fold: Fold,
    /// Spans that are open where they would be closed, and the other way round.
    pub(crate) toggled: HashSet<Id>,
    /// Whether log records stand between the spans.
    pub(crate) logs: bool,
    /// A span that must be in sight.
    pub(crate) selected: Option<usize>,
}

/// What is open to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Everything in a small trace; in a large one the first levels, and the way to every error.
    #[default]
    Auto,
    /// Everything.
    Open,
    /// Nothing but the roots.
    Closed,
}

/// A row that can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Index into the rows.
    pub(crate) row: usize,
    /// Whether the rows below it are shown; none where there are none.
    pub(crate) open: Option<bool>,
}

/// Above this, a trace is not opened whole to begin with.
const ROWS_OPEN_MAX: usize = 500;

/// A part of the trace's rows, with what is above and below.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    pub(crate) shown: Vec<Shown>,
    /// Where the window starts among the rows that can be seen, and how many there are.
    pub(crate) from: usize,
    pub(crate) total: usize,
}

/// The rows to show. `errors` tells of each row whether it is an error, `within` whether it lies in the shown time;
/// where there is something to show below a row, it stays wherever it lies.
pub(crate) fn visible(
    nodes: &[Node],
    rows: &[Row],
    errors: &[bool],
    within: Option<&[bool]>,
    wish: &Wish,
) -> Vec<Shown> {
    let below = |at: usize, row: &Row| (at + 1)..(at + row.size);
    let error_count = Counts::new(errors.iter().copied());
    let kept = kept(nodes, rows, within, wish.logs);
    let kept_count = Counts::new(kept.iter().copied());
    let depth = open_depth(rows, &kept, wish.fold);

    let mut shown = Vec::new();
    let mut at = 0;
    while let Some(row) = rows.get(at) {
        if kept.get(at) != Some(&true) {
            at += row.size;
            continue;
        }
        let children = below(at, row);
        let has_children = kept_count.between(&children) > 0;
        let holds_selected = wish
            .selected
            .is_some_and(|selected| children.contains(&selected));
        let on_the_way_to_error = wish.fold == Fold::Auto && error_count.between(&children) > 0;
        let toggled = nodes
            .get(row.node)
            .and_then(|node| node.id)
            .is_some_and(|id| wish.toggled.contains(&id));
        let open = ((row.depth < depth || on_the_way_to_error) != toggled) || holds_selected;
        shown.push(Shown {
            row: at,
            open: has_children.then_some(open),
        });
        at += if open { 1 } else { row.size };
    }
    shown
}

/// Of each row whether it, or one below it, is to be shown at all.
pub(crate) fn kept(nodes: &[Node], rows: &[Row], within: Option<&[bool]>, logs: bool) -> Vec<bool> {
    let is_log = |row: &Row| nodes.get(row.node).is_some_and(|node| node.id.is_none());
    let own = rows.iter().enumerate().map(|(at, row)| {
        let is_within = within.is_none_or(|within| within.get(at) == Some(&true));
        is_within && (logs || !is_log(row))
    });
    let counts = Counts::new(own);
    rows.iter()
        .enumerate()
        .map(|(at, row)| counts.between(&(at..at + row.size)) > 0)
        .collect()
}

/// Only the rows that match, and what is above them.
pub(crate) fn filtered(rows: &[Row], matches: &[bool]) -> Vec<Shown> {
    let counts = Counts::new(matches.iter().copied());
    rows.iter()
        .enumerate()
        .filter(|(at, row)| counts.between(&(*at..at + row.size)) > 0)
        .map(|(at, row)| Shown {
            row: at,
            open: (counts.between(&(at + 1..at + row.size)) > 0).then_some(true),
        })
        .collect()
}

/// Cuts a window: at `from` when given, else around the selected row, else at the top.
pub(crate) fn window(
    shown: &[Shown],
    from: Option<usize>,
    selected: Option<usize>,
    rows_max: usize,
) -> Window {
    let total = shown.len();
    let selected = selected.and_then(|row| shown.iter().position(|other| other.row == row));
    let from = match (from, selected) {
        // The last page is as full as the others.
        (Some(from), _) => from.min(total.saturating_sub(1)),
        (None, Some(at)) if at >= rows_max => at.saturating_sub(rows_max / 3),
        _ => 0,
    };
    Window {
        shown: shown.iter().skip(from).take(rows_max).copied().collect(),
        from,
        total,
    }
}

/// Rows with a smaller depth are open to begin with.
fn open_depth(rows: &[Row], kept: &[bool], fold: Fold) -> usize {
    match fold {
        Fold::Open => return usize::MAX,
        Fold::Closed => return 0,
        Fold::Auto => {}
    }
    let mut of_depth: Vec<usize> = Vec::new();
    for (row, _) in rows.iter().zip(kept).filter(|(_, kept)| **kept) {
        if of_depth.len() <= row.depth {
            of_depth.resize(row.depth + 1, 0);
        }
        if let Some(count) = of_depth.get_mut(row.depth) {
            *count += 1;
        }
    }
    // All rows of the levels up to the result fit; at least the first level is open.
    let mut left = ROWS_OPEN_MAX;
    for (depth, count) in of_depth.into_iter().enumerate() {
        match left.checked_sub(count) {
            Some(rest) => left = rest,
            None => return depth.saturating_sub(1).max(1),
        }
    }
    usize::MAX
}

/// How many of some rows there are between any two.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// Those before each row, and all at the end.
    before: Vec<u32>,
}

impl Counts {
    /// Of each row whether it counts.
    pub(crate) fn new(rows: impl Iterator<Item = bool>) -> Self {
        let mut before = Vec::with_capacity(rows.size_hint().0 + 1);
        before.push(0);
        let mut sum = 0;
        before.extend(rows.map(|counts| {
            sum += u32::from(counts);
            sum
        }));
        Self { before }
    }

    pub(crate) fn between(&self, range: &Range<usize>) -> usize {
        let at = |index: usize| {
            let before = self.before.get(index).or(self.before.last());
            before.copied().unwrap_or(0)
        };
        at(range.end).saturating_sub(at(range.start)) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::tree::{
            arrange,
            tests::{any_nodes, span},
        },
        *,
    };

    fn all(logs: bool) -> Wish {
        Wish {
            logs,
            ..Wish::default()
        }
    }

    /// A root with `children` children, each with one child.
    fn wide(children: u64) -> Vec<Node> {
        let id = |n: u64| Some((n + 1).to_be_bytes());
        let mut nodes = vec![Node {
            id: id(0),
            ..span(0, 0, 0, 1000)
        }];
        for n in 1..=children {
            nodes.push(Node {
                id: id(n),
                parent: id(0),
                ..span(0, 0, n, 900)
            });
            nodes.push(Node {
                id: id(n + children),
                parent: id(n),
                ..span(0, 0, n, 800)
            });
        }
        nodes
    }

    #[test]
    fn a_small_trace_is_open_and_a_toggle_closes() {
        let nodes = [span(1, 0, 0, 9), span(2, 1, 1, 8), span(3, 2, 2, 7)];
        let rows = arrange(&nodes);
        assert_eq!(
            visible(&nodes, &rows, &[false; 3], None, &all(true)).len(),
            3
        );
        let wish = Wish {
            toggled: HashSet::from([[2; 8]]),
            ..all(true)
        };
        let shown = visible(&nodes, &rows, &[false; 3], None, &wish);
        assert_eq!(
            shown,
            [
                Shown {
                    row: 0,
                    open: Some(true)
                },
                Shown {
                    row: 1,
                    open: Some(false)
                }
            ]
        );
    }

    #[test]
    fn a_large_trace_opens_its_first_levels_and_the_way_to_errors() {
        let nodes = wide(400);
        let rows = arrange(&nodes);
        let none = vec![false; rows.len()];
        assert_eq!(visible(&nodes, &rows, &none, None, &all(true)).len(), 401);
        let mut one = none;
        one[100] = true;
        let shown = visible(&nodes, &rows, &one, None, &all(true));
        assert_eq!(shown.len(), 402);
        assert!(shown.iter().any(|shown| shown.row == 100));
    }

    #[test]
    fn the_selected_span_is_in_sight_wherever_it_is() {
        let nodes = wide(400);
        let rows = arrange(&nodes);
        let errors = vec![false; rows.len()];
        for fold in [Fold::Auto, Fold::Open, Fold::Closed] {
            let wish = Wish {
                fold,
                selected: Some(700),
                ..all(true)
            };
            let shown = visible(&nodes, &rows, &errors, None, &wish);
            let window = window(&shown, None, Some(700), 50);
            assert!(
                window.shown.iter().any(|shown| shown.row == 700),
                "{fold:?}"
            );
        }
    }

    #[test]
    fn a_filter_keeps_what_is_above_a_match() {
        let nodes = [
            span(1, 0, 0, 9),
            span(2, 1, 1, 8),
            span(3, 2, 2, 7),
            span(4, 1, 3, 4),
        ];
        let rows = arrange(&nodes);
        let shown = filtered(&rows, &[false, false, true, false]);
        assert_eq!(
            shown.iter().map(|shown| shown.row).collect::<Vec<_>>(),
            [0, 1, 2]
        );
    }

    proptest! {
        #[test]
        fn windows_put_together_are_all_the_rows(nodes in any_nodes(), rows_max in 1_usize..10) {
            let rows = arrange(&nodes);
            let shown = visible(&nodes, &rows, &vec![false; rows.len()], None, &all(true));
            prop_assert_eq!(shown.len(), rows.len());
            let mut seen = Vec::new();
            while seen.len() < shown.len() {
                let part = window(&shown, Some(seen.len()), None, rows_max);
                prop_assert!(part.shown.len() <= rows_max && part.from == seen.len());
                seen.extend(part.shown);
            }
            prop_assert_eq!(seen, shown);
        }

        #[test]
        fn a_shown_row_has_its_parent_shown_and_open(nodes in any_nodes(), toggles in prop::collection::hash_set(1_u8..12, 0..6), logs: bool) {
            let rows = arrange(&nodes);
            let wish = Wish { toggled: toggles.into_iter().map(|id| [id; 8]).collect(), logs, ..Wish::default() };
            let shown = visible(&nodes, &rows, &vec![false; rows.len()], None, &wish);
            for one in &shown {
                let row = rows[one.row];
                prop_assert!(logs || nodes[row.node].id.is_some());
                if let Some(parent) = row.parent {
                    let above = shown.iter().find(|other| other.row == parent);
                    prop_assert_eq!(above.and_then(|above| above.open), Some(true));
                }
            }
        }

        /// Every row is shown, or below a closed one, or out of the shown time; and nothing in it is left out for that.
        #[test]
        fn no_row_is_lost_by_the_shown_time(
            nodes in any_nodes(),
            toggles in prop::collection::hash_set(1_u8..12, 0..6),
            part in (0_u64..40, 1_u64..40),
            logs: bool,
        ) {
            let rows = arrange(&nodes);
            let within: Vec<bool> = rows
                .iter()
                .map(|row| {
                    let node = nodes[row.node];
                    node.start <= part.0 + part.1 && node.end >= part.0
                })
                .collect();
            let wish = Wish { toggled: toggles.into_iter().map(|id| [id; 8]).collect(), logs, ..Wish::default() };
            let shown = visible(&nodes, &rows, &vec![false; rows.len()], Some(&within), &wish);
            let kept = kept(&nodes, &rows, Some(&within), logs);
            let is_shown = |at: usize| shown.iter().any(|shown| shown.row == at);
            let is_folded = |at: usize| shown.iter().any(|shown| {
                shown.open == Some(false) && (shown.row + 1..shown.row + rows[shown.row].size).contains(&at)
            });
            for (at, row) in rows.iter().enumerate() {
                let ways = [is_shown(at), kept[at] && is_folded(at), !kept[at]];
                prop_assert_eq!(ways.iter().filter(|way| **way).count(), 1, "row {}", at);
                let is_log = nodes[row.node].id.is_none();
                if within[at] && (logs || !is_log) {
                    prop_assert!(kept[at]);
                }
                if kept[at] && !within[at] {
                    prop_assert!((at + 1..at + row.size).any(|below| within[below]), "it leads to one within");
                }
            }
        }
    }
}
