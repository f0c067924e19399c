//! Where the nodes of a directed graph stand and how its edges run: a layered drawing from left to right, after Sugiyama,
//! Tagawa and Toda. It knows no service and no pixel of a page; equal input gives equal output.
//!
//! 1. **Components** that no edge connects are drawn each for itself and stacked, the largest on top. Nodes without an
//!    edge fill rows below.
//! 2. **Cycles** are opened (`acyclic`): the edges of a small, light feedback set are drawn backwards.
//! 3. **Layers** (`layers`): a node stands right of all its callers, as far left as that allows; then it moves right
//!    where that makes its edges shorter. An edge over several layers gets a bend in each that it passes.
//! 4. **Order** within the layers (`order`): sweeps by the median of the neighbours and swaps of adjacent nodes, as
//!    long as there are fewer crossings.
//! 5. **Heights** (`place`): each node as near to its neighbours as the distance to the node above and below allows,
//!    which is an isotonic regression; edges over several layers count more, so that they run straight. Where calls
//!    begin stands amid what it calls, or on top of it (`Begin`).
//! 6. **Routes**: an edge leaves at the right side of its caller and arrives at the left side of its callee, at a port
//!    of its own; ports are in the order of what is at the other end.
//!
//! Steps 4 and 5 are bounded by a fixed number of rounds; a hundred nodes with a few hundred edges take milliseconds.

mod acyclic;
mod layers;
mod order;
mod place;

use std::collections::BTreeMap;

/// Sizes of the drawing, in its own units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// A node's width and height.
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// Between a node and the one below, and between two layers.
    pub(crate) gap_y: f64,
    pub(crate) gap_x: f64,
}

/// Where the first node of the first layer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Amid what it calls.
    Amid,
    /// In the corner: nothing is above it, so a window that is smaller than the drawing opens on it.
    OnTop,
}

/// A point: x to the right, y down.
pub(crate) type Point = (f64, f64);

/// A drawing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// The upper left corner of each node.
    pub(crate) nodes: Vec<Point>,
    /// The points of each edge from its caller to its callee: two for each layer it passes. Those of a call to itself are
    /// empty.
    pub(crate) routes: Vec<Vec<Point>>,
}

/// A directed edge between two nodes, by their numbers, and how much it weighs.
pub(crate) type Edge = (usize, usize, u64);

/// A vector that is read and written by number; a number outside of it reads as the default and writes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
struct Table<T>(Vec<T>);

impl<T: Clone + Default> Table<T> {
    fn of(length: usize) -> Self {
        Self(vec![T::default(); length])
    }

    fn at(&self, number: usize) -> T {
        self.0.get(number).cloned().unwrap_or_default()
    }

    fn put(&mut self, number: usize, value: T) {
        if let Some(place) = self.0.get_mut(number) {
            *place = value;
        }
    }

    fn change(&mut self, number: usize, change: impl FnOnce(&mut T)) {
        if let Some(place) = self.0.get_mut(number) {
            change(place);
        }
    }
}

impl<T> Table<Vec<T>> {
    fn list(&self, number: usize) -> &[T] {
        self.0.get(number).map_or(&[], Vec::as_slice)
    }
}

/// Draws a graph of so many nodes. An edge with an end that does not exist is drawn as one to itself: not at all.
pub(crate) fn draw(nodes: usize, edges: &[Edge], sizes: Sizes, begin: Begin) -> Drawing {
    let components = components(nodes, edges);
    let mut drawing = Drawing {
        nodes: vec![(0.0, 0.0); nodes],
        routes: vec![Vec::new(); edges.len()],
        ..Drawing::default()
    };
    let (alone, connected): (Vec<_>, Vec<_>) = components
        .into_iter()
        .partition(|part| part.edges.is_empty());
    for part in connected {
        let own = draw_part(&part, edges, sizes, begin);
        let below = stack(&drawing, sizes);
        for (number, (x, y)) in part.nodes.iter().zip(own.nodes) {
            if let Some(place) = drawing.nodes.get_mut(*number) {
                *place = (x, y + below);
            }
        }
        for (number, route) in part.edges.iter().zip(own.routes) {
            if let Some(place) = drawing.routes.get_mut(*number) {
                *place = route.into_iter().map(|(x, y)| (x, y + below)).collect();
            }
        }
        drawing.width = drawing.width.max(own.width);
        drawing.height = below + own.height;
    }
    fill_rows(&mut drawing, alone, sizes);
    drawing
}

/// Where the next component begins.
fn stack(drawing: &Drawing, sizes: Sizes) -> f64 {
    if drawing.height > 0.0 {
        drawing.height + 2.0 * sizes.gap_y
    } else {
        0.0
    }
}

/// Nodes without an edge, in rows as wide as the rest of the drawing, or four when there is no rest.
fn fill_rows(drawing: &mut Drawing, alone: Vec<Part>, sizes: Sizes) {
    let pitch = sizes.width + sizes.gap_x / 2.0;
    let columns = ((drawing.width + sizes.gap_x / 2.0) / pitch)
        .floor()
        .max(4.0) as usize;
    let top = stack(drawing, sizes);
    for (at, part) in alone.iter().enumerate() {
        let (row, column) = (at / columns, at % columns);
        let x = column as f64 * pitch;
        let y = top + row as f64 * (sizes.height + sizes.gap_y);
        for number in &part.nodes {
            if let Some(place) = drawing.nodes.get_mut(*number) {
                *place = (x, y);
            }
        }
        drawing.width = drawing.width.max(x + sizes.width);
        drawing.height = y + sizes.height;
    }
}

/// Nodes that edges connect, and those edges, by their numbers.
#[derive(Clone, Debug, Default)]
struct Part {
    nodes: Vec<usize>,
    edges: Vec<usize>,
}

/// The components, the one with the most nodes first, then by their first node.
fn components(nodes: usize, edges: &[Edge]) -> Vec<Part> {
    let mut root = Table((0..nodes).collect::<Vec<usize>>());
    for (from, to, _) in edges.iter().filter(|edge| is_drawn(nodes, edge)) {
        let (a, b) = (find(&mut root, *from), find(&mut root, *to));
        // The smaller number is the root, so that the order of the edges does not matter.
        root.put(a.max(b), a.min(b));
    }
    let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
    for node in 0..nodes {
        let root = find(&mut root, node);
        parts.entry(root).or_default().nodes.push(node);
    }
    for (number, edge) in edges.iter().enumerate() {
        if is_drawn(nodes, edge) {
            let root = find(&mut root, edge.0);
            parts.entry(root).or_default().edges.push(number);
        }
    }
    let mut parts: Vec<Part> = parts.into_values().collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.nodes.len()));
    parts
}

fn is_drawn(nodes: usize, (from, to, _): &Edge) -> bool {
    from != to && *from < nodes && *to < nodes
}

fn find(root: &mut Table<usize>, mut node: usize) -> usize {
    while root.at(node) != node {
        let above = root.at(root.at(node));
        root.put(node, above);
        node = above;
    }
    node
}

/// A node of a layer: one of the graph, or the bend of an edge.
#[derive(Clone, Debug, Default)]
struct Item {
    layer: usize,
    /// The node, by its number within the part; none for a bend.
    node: Option<usize>,
    /// The neighbours in the layer before and in the layer after, by their numbers.
    before: Vec<usize>,
    after: Vec<usize>,
}

fn draw_part(part: &Part, edges: &[Edge], sizes: Sizes, begin: Begin) -> Drawing {
    let number: BTreeMap<usize, usize> = part
        .nodes
        .iter()
        .enumerate()
        .map(|(own, node)| (*node, own))
        .collect();
    let of = |node: &usize| number.get(node).copied().unwrap_or(0);
    let own: Vec<Edge> = part
        .edges
        .iter()
        .filter_map(|edge| edges.get(*edge))
        .map(|(from, to, weight)| (of(from), of(to), *weight))
        .collect();
    let backwards = acyclic::backwards(part.nodes.len(), &own);
    let forward: Vec<(usize, usize)> = own
        .iter()
        .zip(&backwards)
        .map(|((from, to, _), back)| if *back { (*to, *from) } else { (*from, *to) })
        .collect();
    let layer = layers::assign(part.nodes.len(), &forward);
    let (items, chains) = items(&layer, &forward);
    let rows = order::arrange(&items);
    let heights = place::heights(&items, &rows, sizes, begin);
    let x = |item: usize| layer_x(items.get(item).map_or(0, |item| item.layer), sizes);
    let nodes: Vec<Point> = (0..part.nodes.len())
        .map(|item| (x(item), heights.at(item)))
        .collect();
    let ports = ports(&nodes, &chains, &heights, sizes);
    let routes = chains
        .iter()
        .zip(&backwards)
        .zip(ports)
        .map(|((chain, back), ends)| {
            let mut route = route(chain, &x, &heights, ends, sizes);
            if *back {
                route.reverse();
            }
            route
        })
        .collect();
    Drawing {
        width: nodes
            .iter()
            .map(|(x, _)| x + sizes.width)
            .fold(0.0, f64::max),
        height: heights.0.iter().fold(0.0, |most: f64, y| most.max(*y)) + sizes.height,
        nodes,
        routes,
    }
}

fn layer_x(layer: usize, sizes: Sizes) -> f64 {
    layer as f64 * (sizes.width + sizes.gap_x)
}

/// The nodes and the bends, and of each edge the items that it passes from its first to its last.
fn items(layer: &Table<usize>, forward: &[(usize, usize)]) -> (Vec<Item>, Vec<Vec<usize>>) {
    let mut items: Vec<Item> = layer
        .0
        .iter()
        .enumerate()
        .map(|(node, layer)| Item {
            layer: *layer,
            node: Some(node),
            ..Item::default()
        })
        .collect();
    let mut chains = Vec::new();
    for (from, to) in forward {
        let mut chain = vec![*from];
        for passed in layer.at(*from) + 1..layer.at(*to) {
            chain.push(items.len());
            items.push(Item {
                layer: passed,
                ..Item::default()
            });
        }
        chain.push(*to);
        for (left, right) in chain.iter().zip(chain.iter().skip(1)) {
            if let Some(item) = items.get_mut(*left) {
                item.after.push(*right);
            }
            if let Some(item) = items.get_mut(*right) {
                item.before.push(*left);
            }
        }
        chains.push(chain);
    }
    (items, chains)
}

/// The heights at which each edge leaves its first and reaches its last node.
fn ports(
    nodes: &[Point],
    chains: &[Vec<usize>],
    heights: &Table<f64>,
    sizes: Sizes,
) -> Vec<(f64, f64)> {
    let mut leaving: BTreeMap<usize, Vec<(f64, usize)>> = BTreeMap::new();
    let mut arriving: BTreeMap<usize, Vec<(f64, usize)>> = BTreeMap::new();
    for (edge, chain) in chains.iter().enumerate() {
        let ends = (
            chain.first(),
            chain.get(1),
            chain.iter().rev().nth(1),
            chain.last(),
        );
        if let (Some(first), Some(second), Some(before), Some(last)) = ends {
            let to = (heights.at(*second), edge);
            leaving.entry(*first).or_default().push(to);
            let from = (heights.at(*before), edge);
            arriving.entry(*last).or_default().push(from);
        }
    }
    let mut ports = vec![(0.0, 0.0); chains.len()];
    let mut spread = |sides: BTreeMap<usize, Vec<(f64, usize)>>, is_leaving: bool| {
        for (node, mut edges) in sides {
            edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let top = nodes.get(node).map_or(0.0, |(_, y)| *y);
            let parts = edges.len() as f64 + 1.0;
            for (at, (_, edge)) in edges.into_iter().enumerate() {
                let y = top + sizes.height * (at as f64 + 1.0) / parts;
                if let Some(port) = ports.get_mut(edge) {
                    if is_leaving { port.0 = y } else { port.1 = y }
                }
            }
        }
    };
    spread(leaving, true);
    spread(arriving, false);
    ports
}

/// From the right side of the first node, along the bends, to the left side of the last.
fn route(
    chain: &[usize],
    x: &impl Fn(usize) -> f64,
    heights: &Table<f64>,
    (leaves, arrives): (f64, f64),
    sizes: Sizes,
) -> Vec<Point> {
    let (Some(first), Some(last)) = (chain.first(), chain.last()) else {
        return Vec::new();
    };
    let mut points = vec![(x(*first) + sizes.width, leaves)];
    let bends = chain.iter().skip(1).take(chain.len().saturating_sub(2));
    for bend in bends {
        let y = heights.at(*bend) + place::BEND_HEIGHT / 2.0;
        points.push((x(*bend), y));
        points.push((x(*bend) + sizes.width, y));
    }
    points.push((x(*last), arrives));
    points
}

#[cfg(test)]
mod tests;
