//! The calls of the map as a table: the same for those who do not see the picture, and what does not fit into it.

use std::cmp::Reverse;

use serde::Serialize;

use super::{Map, State};
use crate::{
    graph::{Edge, Node},
    pages::links,
    red::RedView,
    sorting::{self, Column, Head, Pager, Pages},
    units::clip,
};

/// Calls on a page of the table.
const ROWS_MAX: usize = 30;

pub(super) const SORT_DEFAULT: &str = "rate";

pub(super) const COLUMNS: [Column; 7] = [
    Column::text("caller", "Caller"),
    Column::text("callee", "Calls"),
    Column::number("rate", "Rate"),
    Column::number("errors", "Errors"),
    Column::number("p50", "p50"),
    Column::number("p95", "p95"),
    Column::number("p99", "p99"),
];

pub(super) fn heads(state: &State) -> Vec<Head> {
    sorting::heads(&COLUMNS, state.sort, SORT_DEFAULT, &state.link(), "calls")
}

/// A page of the table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<EdgeRow>,
    pub(super) pager: Pager,
}

/// The calls from one node to another.
#[derive(Debug, Serialize)]
pub(super) struct EdgeRow {
    caller: End,
    callee: End,
    red: RedView,
    /// Empty where no query finds the calls.
    href: String,
}

/// One end of a call.
#[derive(Debug, Serialize)]
struct End {
    name: String,
    kind: &'static str,
    words: &'static str,
    colour: usize,
    href: String,
}

impl Table {
    pub(super) fn new(map: &Map<'_>) -> Self {
        let mut edges: Vec<&Edge> = map.graph.edges.iter().collect();
        sort(&mut edges, map.state.sort);
        let pages = Pages::new(edges.len(), ROWS_MAX, map.state.page);
        Self {
            pager: pages.pager(&map.state.link().at("calls")),
            rows: edges
                .into_iter()
                .skip(pages.skipped)
                .take(ROWS_MAX)
                .filter_map(|edge| row(map, edge))
                .collect(),
        }
    }
}

/// Nodes are numbered in the order of kind and name.
fn sort(edges: &mut [&Edge], by: &str) {
    edges.sort_by_key(|edge| (edge.caller, edge.callee));
    match by {
        "caller" => {}
        "callee" => edges.sort_by_key(|edge| edge.callee),
        "errors" => edges.sort_by(|a, b| b.calls.error_share().total_cmp(&a.calls.error_share())),
        "p50" => edges.sort_by_key(|edge| Reverse(edge.calls.p50)),
        "p95" => edges.sort_by_key(|edge| Reverse(edge.calls.p95)),
        "p99" => edges.sort_by_key(|edge| Reverse(edge.calls.p99)),
        _ => edges.sort_by_key(|edge| Reverse(edge.calls.count)),
    }
}

fn row(map: &Map<'_>, edge: &Edge) -> Option<EdgeRow> {
    let caller = map.graph.nodes.get(edge.caller)?;
    let callee = map.graph.nodes.get(edge.callee)?;
    let end = |node: &Node| End {
        name: clip(node.label(), 50),
        kind: node.kind.key(),
        words: node.kind.words(),
        colour: map.palette.colour(&node.name),
        href: map.state.around(node).to_string(),
    };
    Some(EdgeRow {
        caller: end(caller),
        callee: end(callee),
        red: edge.calls.view(map.nanos),
        href: links::calls(caller, callee, map.state.range),
    })
}
