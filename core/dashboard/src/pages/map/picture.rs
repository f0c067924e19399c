//! The map as shapes: boxes with a name and numbers, and lines whose width is the rate and whose colour the errors.

use serde::Serialize;

use super::{Map, NodeRed};
use crate::{
    graph::{
        Edge, Node,
        layout::{Begin, Drawing, Point, Sizes, draw},
        lines::{self, Label, MARGIN},
    },
    red::RedView,
    units::clip,
};

/// The size of a box.
const WIDTH: f64 = 172.0;
const HEIGHT: f64 = 46.0;

/// Up to so many lines have their numbers beside them; beyond, the boxes move together, and the numbers are in the table
/// and in the titles.
const LABELLED_MAX: usize = 45;

/// Characters that fit into a box.
const NAME_CHARS_MAX: usize = 19;

/// A drawing, ready to be written.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    width: u32,
    height: u32,
    nodes: Vec<NodeShape>,
    edges: Vec<EdgeShape>,
    /// Read out in place of the picture.
    summary: String,
}

#[derive(Debug, Serialize)]
struct NodeShape {
    /// What `ends` of its lines say.
    number: usize,
    x: i64,
    y: i64,
    /// A class: "database".
    kind: &'static str,
    words: &'static str,
    /// The first line, cut to fit; and whole.
    label: String,
    name: String,
    red: RedView,
    colour: usize,
    is_focus: bool,
    href: String,
}

#[derive(Debug, Serialize)]
struct EdgeShape {
    /// The numbers of the caller and the callee, for the script.
    ends: String,
    path: String,
    /// The head of the arrow.
    arrow: String,
    stroke: String,
    /// "", "warn" or "error".
    tone: &'static str,
    title: String,
    label: Option<Label>,
}

/// The numbers of a node; a p95 that is a bound says so.
pub(super) fn view(node: NodeRed, nanos: u64) -> RedView {
    let mut view = node.red.view(nanos);
    if node.is_bound {
        for quantile in [&mut view.p50, &mut view.p95, &mut view.p99] {
            if !quantile.is_empty() {
                quantile.insert_str(0, "≤ ");
            }
        }
    }
    view
}

impl Picture {
    pub(super) fn new(map: &Map<'_>) -> Self {
        let graph = map.graph;
        let is_labelled = graph.edges.len() <= LABELLED_MAX;
        let sizes = Sizes {
            width: WIDTH,
            height: HEIGHT,
            gap_y: 18.0,
            gap_x: if is_labelled { 148.0 } else { 96.0 },
        };
        let edges: Vec<(usize, usize, u64)> = graph
            .edges
            .iter()
            .map(|edge| (edge.caller, edge.callee, edge.calls.count))
            .collect();
        let drawing = draw(graph.nodes.len(), &edges, sizes, Begin::Amid);
        let busiest = graph
            .edges
            .iter()
            .map(|edge| edge.calls.count)
            .max()
            .unwrap_or(0);
        let mut taken = lines::Taken::default();
        let mut shapes: Vec<EdgeShape> = graph
            .edges
            .iter()
            .zip(&drawing.routes)
            .filter_map(|(edge, route)| edge_shape(map, edge, route, &drawing, busiest))
            .collect();
        if is_labelled {
            for (shape, (edge, route)) in shapes
                .iter_mut()
                .zip(graph.edges.iter().zip(&drawing.routes))
            {
                shape.label = label(map, edge, route, &mut taken);
            }
        }
        // Lines with errors are drawn last, above the others.
        shapes.sort_by_key(|shape| ["", "warn", "error"].iter().position(|t| *t == shape.tone));
        let side = |length: f64| (length + 2.0 * MARGIN).ceil() as u32;
        Self {
            width: side(drawing.width),
            height: side(drawing.height),
            nodes: graph
                .nodes
                .iter()
                .zip(&drawing.nodes)
                .enumerate()
                .map(|(number, (node, place))| node_shape(map, number, node, *place))
                .collect(),
            edges: shapes,
            summary: format!(
                "{}; the table below has the same calls",
                super::summary(graph)
            ),
        }
    }
}

fn node_shape(map: &Map<'_>, number: usize, node: &Node, (x, y): Point) -> NodeShape {
    let red = map.reds.get(number).copied().unwrap_or_default();
    NodeShape {
        number,
        x: (x + MARGIN).round() as i64,
        y: (y + MARGIN).round() as i64,
        kind: node.kind.key(),
        words: node.kind.words(),
        label: lines::middle_cut(node.label(), NAME_CHARS_MAX),
        name: clip(node.label(), 100),
        red: view(red, map.nanos),
        colour: map.palette.colour(&node.name),
        is_focus: map.state.focus.as_ref() == Some(node),
        href: map.state.around(node).to_string(),
    }
}

fn edge_shape(
    map: &Map<'_>,
    edge: &Edge,
    route: &[Point],
    drawing: &Drawing,
    busiest: u64,
) -> Option<EdgeShape> {
    let caller = map.graph.nodes.get(edge.caller)?;
    let callee = map.graph.nodes.get(edge.callee)?;
    let red = edge.calls.view(map.nanos);
    let path = match route {
        [] => lines::own_loop(*drawing.nodes.get(edge.caller)?, WIDTH),
        route => lines::curve(route),
    };
    Some(EdgeShape {
        ends: format!("{} {}", edge.caller, edge.callee),
        path,
        arrow: lines::arrow(route),
        stroke: lines::stroke(edge.calls.count, busiest),
        tone: red.tone,
        title: format!(
            "{} → {}: {}, {} errors, p95 {}",
            clip(caller.label(), 60),
            clip(callee.label(), 60),
            red.rate,
            red.error_share,
            red.p95
        ),
        label: None,
    })
}

/// The numbers of a line, where they touch no other; without such a place there are none.
fn label(map: &Map<'_>, edge: &Edge, route: &[Point], taken: &mut lines::Taken) -> Option<Label> {
    let red = edge.calls.view(map.nanos);
    let text = match red.tone {
        "" => format!("{} · {}", red.rate, red.p95),
        _ => format!("{} · {} · {}", red.rate, red.error_share, red.p95),
    };
    lines::label(text, route, taken)
}
