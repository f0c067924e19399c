//! In which layer each node stands.

use super::Table;

/// Layers of a graph without a cycle, from 0 on: every edge leads to a greater one.
pub(super) fn assign(nodes: usize, forward: &[(usize, usize)]) -> Table<usize> {
    let mut callers: Table<Vec<usize>> = Table::of(nodes);
    let mut callees: Table<Vec<usize>> = Table::of(nodes);
    for (from, to) in forward {
        callees.change(*from, |own| own.push(*to));
        callers.change(*to, |own| own.push(*from));
    }
    let order = sorted(nodes, &callers, &callees);
    let mut layer: Table<usize> = Table::of(nodes);
    for node in &order {
        let after = callers
            .list(*node)
            .iter()
            .map(|caller| layer.at(*caller) + 1);
        let own = after.max().unwrap_or(0);
        layer.put(*node, own);
    }
    // A node that calls more than it is called has shorter edges further right.
    for node in order.iter().rev() {
        let own_callees = callees.list(*node);
        let room = own_callees.iter().map(|callee| layer.at(*callee)).min();
        if let Some(next) = room
            && own_callees.len() > callers.list(*node).len()
        {
            layer.put(*node, next.saturating_sub(1).max(layer.at(*node)));
        }
    }
    // The leftmost layer is the first.
    let least = layer.0.iter().copied().min().unwrap_or(0);
    layer.0.iter_mut().for_each(|layer| *layer -= least);
    layer
}

/// The nodes in an order in which every caller stands before its callees.
fn sorted(nodes: usize, callers: &Table<Vec<usize>>, callees: &Table<Vec<usize>>) -> Vec<usize> {
    let mut waits = Table((0..nodes).map(|node| callers.list(node).len()).collect());
    let mut order: Vec<usize> = (0..nodes).filter(|node| waits.at(*node) == 0).collect();
    let mut at = 0;
    while let Some(node) = order.get(at).copied() {
        at += 1;
        for callee in callees.list(node) {
            waits.change(*callee, |waits| *waits = waits.saturating_sub(1));
            if waits.at(*callee) == 0 {
                order.push(*callee);
            }
        }
    }
    order
}
