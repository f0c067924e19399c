//! The map as shapes: boxes with a name and numbers, and lines whose width is the rate and whose colour the errors.

use std::fmt::Write;

use serde::Serialize;

use super::{Map, NodeRed};
use crate::{
    graph::{
        Edge, Node,
        layout::{Drawing, Point, Sizes, draw},
    },
    red::RedView,
    units::clip,
};

/// The size of a box.
const WIDTH: f64 = 172.0;
const HEIGHT: f64 = 46.0;

/// Room around the drawing, for strokes and arrows.
const MARGIN: f64 = 12.0;

/// Up to so many lines have their numbers beside them; beyond, the boxes move together, and the numbers are in the table
/// and in the titles.
const LABELLED_MAX: usize = 45;

/// Characters that fit into a box.
const NAME_CHARS_MAX: usize = 19;

/// The widths of the thinnest and the thickest line.
const STROKES: (f64, f64) = (1.0, 4.0);

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

/// The numbers beside a line.
#[derive(Debug, Serialize)]
struct Label {
    x: i64,
    y: i64,
    text: String,
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
        let drawing = draw(graph.nodes.len(), &edges, sizes);
        let busiest = graph
            .edges
            .iter()
            .map(|edge| edge.calls.count)
            .max()
            .unwrap_or(0);
        let mut taken = Vec::new();
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
        label: middle_cut(node.label(), NAME_CHARS_MAX),
        name: clip(node.label(), 100),
        red: view(red, map.nanos),
        colour: map.palette.colour(&node.name),
        is_focus: map.state.focus.as_ref() == Some(node),
        href: map.state.around(node).to_string(),
    }
}

/// A name cut in its middle, since the ends of the names of services tell them apart: `checkout-se…-v2-canary`.
fn middle_cut(name: &str, chars_max: usize) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= chars_max {
        return name.to_owned();
    }
    let tail = (chars_max - 1) / 2;
    let head = chars_max - 1 - tail;
    let start: String = chars.iter().take(head).collect();
    let end: String = chars.iter().skip(chars.len() - tail).collect();
    format!("{start}…{end}")
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
        [] => own_loop(*drawing.nodes.get(edge.caller)?),
        route => curve(route),
    };
    Some(EdgeShape {
        ends: format!("{} {}", edge.caller, edge.callee),
        path,
        arrow: arrow(route),
        stroke: stroke(edge.calls.count, busiest),
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

/// A line that is ten times as thick as another would hide the rest: the width grows with the logarithm of the calls.
fn stroke(calls: u64, busiest: u64) -> String {
    let share = (calls.max(1) as f64).ln_1p() / (busiest.max(1) as f64).ln_1p();
    let (thin, thick) = STROKES;
    format!(
        "{:.1}",
        thin + (thick - thin) * share.powi(3).clamp(0.0, 1.0)
    )
}

/// A smooth line through the points, level at each.
fn curve(route: &[Point]) -> String {
    let mut path = String::new();
    let place = |(x, y): Point| ((x + MARGIN).round() as i64, (y + MARGIN).round() as i64);
    let Some(first) = route.first() else {
        return path;
    };
    let (mut x, mut y) = place(*first);
    // Writing to a String cannot fail.
    let _ = write!(path, "M{x} {y}");
    for point in route.iter().skip(1) {
        let (to_x, to_y) = place(*point);
        let (across, down) = (to_x - x, to_y - y);
        let half = across / 2;
        let _ = match down {
            0 => write!(path, "h{across}"),
            _ => write!(path, "c{half} 0 {half} {down} {across} {down}"),
        };
        (x, y) = (to_x, to_y);
    }
    path
}

/// The call of a node to itself: a small loop at its upper right corner.
fn own_loop((x, y): Point) -> String {
    let (x, y) = (x + MARGIN + WIDTH - 30.0, y + MARGIN);
    format!("M{x} {y}c0 -16 22 -16 22 0")
}

/// A triangle at the end of the route, in the direction that it arrives from.
fn arrow(route: &[Point]) -> String {
    let (Some((x, y)), Some((from, _))) = (route.last(), route.iter().rev().nth(1)) else {
        return String::new();
    };
    let back = if from < x { -8 } else { 8 };
    format!(
        "M{} {}l{back} -4v8z",
        (x + MARGIN).round() as i64,
        (y + MARGIN).round() as i64
    )
}

/// The numbers of a line, where they touch no other; without such a place there are none.
fn label(
    map: &Map<'_>,
    edge: &Edge,
    route: &[Point],
    taken: &mut Vec<(f64, f64, f64)>,
) -> Option<Label> {
    let red = edge.calls.view(map.nanos);
    let text = match red.tone {
        "" => format!("{} · {}", red.rate, red.p95),
        _ => format!("{} · {} · {}", red.rate, red.error_share, red.p95),
    };
    // The font has about so many units a character.
    let width = text.chars().count() as f64 * 5.8;
    let pairs = || route.iter().zip(route.iter().skip(1));
    let curves: Vec<(&Point, &Point)> = [pairs().next_back(), pairs().next()]
        .into_iter()
        .flatten()
        .collect();
    let places = curves.into_iter().flat_map(|(from, to)| {
        [0.5, 0.38, 0.62, 0.27, 0.73]
            .into_iter()
            .map(|share| on_curve(*from, *to, share))
    });
    for (x, y) in places {
        let touches = |(other_x, other_y, other_width): &(f64, f64, f64)| {
            (x - other_x).abs() < (width + other_width) / 2.0 + 4.0 && (y - other_y).abs() < 13.0
        };
        if !taken.iter().any(touches) {
            taken.push((x, y, width));
            return Some(Label {
                x: (x + MARGIN).round() as i64,
                y: (y + MARGIN).round() as i64,
                text,
            });
        }
    }
    None
}

/// A point of the curve that [`curve`] draws between two points.
fn on_curve((x, y): Point, (to_x, to_y): Point, share: f64) -> Point {
    let rest = 1.0 - share;
    let (two, three) = (
        3.0 * share * rest * rest,
        3.0 * share * share * rest + share * share * share,
    );
    let across = 0.5 * two + 0.5 * 3.0 * share * share * rest + share * share * share;
    (x + (to_x - x) * across, y + (to_y - y) * three)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(middle_cut("checkout", 21), "checkout");
        let cut = middle_cut("checkout-service-in-europe-v2-canary", 21);
        assert_eq!(cut, "checkout-s…-v2-canary");
        assert_eq!(cut.chars().count(), 21);
    }

    #[test]
    fn a_curve_is_level_at_its_ends_and_its_middle_is_on_it() {
        assert_eq!(
            curve(&[(0.0, 0.0), (100.0, 40.0), (200.0, 40.0)]),
            "M12 12c50 0 50 40 100 40h100"
        );
        assert_eq!(on_curve((0.0, 0.0), (100.0, 40.0), 0.5), (50.0, 20.0));
        assert_eq!(on_curve((0.0, 0.0), (100.0, 40.0), 1.0), (100.0, 40.0));
    }

    #[test]
    fn the_busiest_line_is_the_thickest() {
        assert_eq!(stroke(1_000_000, 1_000_000), "4.0");
        assert_eq!(stroke(0, 0), "4.0");
        assert!(stroke(10, 1_000_000) < stroke(1_000, 1_000_000));
    }

    #[test]
    fn an_arrow_points_the_way_that_the_call_goes() {
        assert_eq!(arrow(&[(0.0, 0.0), (50.0, 10.0)]), "M62 22l-8 -4v8z");
        assert_eq!(arrow(&[(50.0, 0.0), (0.0, 10.0)]), "M12 22l8 -4v8z");
        assert_eq!(arrow(&[]), "");
    }
}
