//! Which edges are drawn backwards, so that the others have no cycle: the heuristic of Eades, Lin and Smyth, with weights.

use std::collections::BTreeSet;

use super::{Edge, Table};

/// For each edge, whether it is drawn backwards.
///
/// Nodes are put in a row: those that call nobody to its end, those that nobody calls to its beginning, and when there
/// are none of both, the node whose calls outweigh the calls to it the most to the beginning. An edge against the row is
/// drawn backwards.
pub(super) fn backwards(nodes: usize, edges: &[Edge]) -> Vec<bool> {
    let mut left: BTreeSet<usize> = (0..nodes).collect();
    let mut front = Vec::new();
    let mut back = Vec::new();
    while !left.is_empty() {
        let weights = weights(nodes, edges, &left);
        let next = left
            .iter()
            .copied()
            .find(|node| weights.at(*node).1 == 0 && weights.at(*node).0 > 0)
            .map(|sink| (sink, false))
            .or_else(|| {
                let source = |node: &usize| weights.at(*node).0 == 0;
                left.iter().copied().find(source).map(|node| (node, true))
            })
            .or_else(|| {
                let lead = |node: &usize| {
                    let (to, from) = weights.at(*node);
                    // Of equal ones, the first.
                    (i128::from(from) - i128::from(to), std::cmp::Reverse(*node))
                };
                left.iter()
                    .copied()
                    .max_by_key(lead)
                    .map(|node| (node, true))
            });
        let Some((node, is_front)) = next else { break };
        left.remove(&node);
        if is_front {
            front.push(node);
        } else {
            back.push(node);
        }
    }
    let mut place = Table::of(nodes);
    for (at, node) in front.into_iter().chain(back.into_iter().rev()).enumerate() {
        place.put(node, at);
    }
    edges
        .iter()
        .map(|(from, to, _)| place.at(*from) > place.at(*to))
        .collect()
}

/// What goes to and from each node that is left; every edge weighs something.
fn weights(nodes: usize, edges: &[Edge], left: &BTreeSet<usize>) -> Table<(u64, u64)> {
    let mut weights: Table<(u64, u64)> = Table::of(nodes);
    for (from, to, weight) in edges {
        if left.contains(from) && left.contains(to) {
            let weight = (*weight).max(1);
            weights.change(*from, |(_, out)| *out = out.saturating_add(weight));
            weights.change(*to, |(into, _)| *into = into.saturating_add(weight));
        }
    }
    weights
}
