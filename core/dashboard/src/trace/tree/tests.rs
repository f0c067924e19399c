//! The arrangement of spans and logs, and nodes for other tests.

use proptest::prelude::*;

use super::*;

/// A span for tests.
pub(crate) fn span(id: u8, parent: u8, start: u64, end: u64) -> Node {
    Node {
        id: Some([id; 8]),
        parent: (parent != 0).then_some([parent; 8]),
        start,
        end,
        side: Side::Inner,
        process: 0,
    }
}

fn log(span: u8, time: u64) -> Node {
    Node {
        id: None,
        parent: (span != 0).then_some([span; 8]),
        start: time,
        end: time,
        side: Side::Inner,
        process: 0,
    }
}

/// (node, depth) of each row.
fn shape(nodes: &[Node]) -> Vec<(usize, usize)> {
    arrange(nodes)
        .iter()
        .map(|row| (row.node, row.depth))
        .collect()
}

fn roots(nodes: &[Node]) -> Vec<Root> {
    arrange(nodes).iter().filter_map(|row| row.root).collect()
}

#[test]
fn children_follow_their_parent_in_the_order_of_time() {
    let nodes = [
        span(2, 1, 50, 60),
        span(3, 1, 10, 40),
        span(4, 3, 12, 13),
        span(1, 0, 0, 100),
    ];
    assert_eq!(shape(&nodes), [(3, 0), (1, 1), (2, 2), (0, 1)]);
    let sizes: Vec<usize> = arrange(&nodes).iter().map(|row| row.size).collect();
    assert_eq!(sizes, [4, 2, 1, 1]);
}

#[test]
fn logs_stand_between_the_spans_of_their_parent() {
    let nodes = [
        span(1, 0, 0, 100),
        span(2, 1, 50, 60),
        log(1, 20),
        log(1, 70),
        log(2, 55),
    ];
    assert_eq!(shape(&nodes), [(0, 0), (2, 1), (1, 1), (4, 2), (3, 1)]);
}

#[test]
fn logs_without_a_known_span_stand_below_the_main_root() {
    let nodes = [span(1, 0, 0, 100), log(0, 5), log(9, 6)];
    assert_eq!(shape(&nodes), [(0, 0), (1, 1), (2, 1)]);
    assert_eq!(roots(&[log(0, 1), log(3, 2)]), [Root::Stray, Root::Stray]);
}

#[test]
fn a_missing_parent_makes_a_marked_root() {
    assert_eq!(
        roots(&[span(1, 0, 0, 9), span(2, 7, 3, 4)]),
        [Root::First, Root::Orphan([7; 8])]
    );
}

#[test]
fn two_roots_stand_in_the_order_of_time() {
    let nodes = [span(1, 0, 10, 20), span(2, 0, 5, 9)];
    assert_eq!(shape(&nodes), [(1, 0), (0, 0)]);
    let rows = arrange(&nodes);
    assert_eq!(main_root(&nodes, &rows), Some(0));
}

#[test]
fn the_main_root_has_no_parent_even_when_an_orphan_is_earlier() {
    let nodes = [span(2, 7, 0, 4), span(1, 0, 3, 9)];
    let rows = arrange(&nodes);
    assert_eq!(main_root(&nodes, &rows).map(|row| rows[row].node), Some(1));
}

#[test]
fn a_cycle_is_cut_at_its_earliest_span() {
    let nodes = [
        span(1, 3, 9, 20),
        span(2, 1, 5, 9),
        span(3, 2, 7, 8),
        span(4, 3, 1, 2),
    ];
    assert_eq!(shape(&nodes), [(1, 0), (2, 1), (3, 2), (0, 2)]);
    assert_eq!(roots(&nodes), [Root::Cycle]);
    assert_eq!(roots(&[span(1, 1, 0, 1)]), [Root::Cycle]);
}

#[test]
fn the_callee_of_a_shared_id_stands_below_its_caller() {
    let caller = Node {
        side: Side::Caller,
        process: 1,
        ..span(2, 1, 10, 90)
    };
    let callee = Node {
        side: Side::Callee,
        process: 2,
        ..span(2, 1, 20, 80)
    };
    let inner = Node {
        process: 2,
        ..span(3, 2, 30, 40)
    };
    let nodes = [span(1, 0, 0, 100), inner, callee, caller];
    assert_eq!(shape(&nodes), [(0, 0), (3, 1), (2, 2), (1, 3)]);
}

#[test]
fn a_chain_of_a_hundred_thousand_does_not_overflow_the_stack() {
    let nodes: Vec<Node> = (0_u64..100_000)
        .map(|n| Node {
            id: Some((n + 1).to_be_bytes()),
            parent: (n > 0).then_some(n.to_be_bytes()),
            ..span(0, 0, n, 200_000)
        })
        .collect();
    let rows = arrange(&nodes);
    assert_eq!(rows.len(), 100_000);
    assert_eq!(rows.last().map(|row| row.depth), Some(99_999));
}

/// Few ids, so that every kind of clash, cycle and orphan comes up.
pub(crate) fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let side = prop_oneof![Just(Side::Caller), Just(Side::Callee), Just(Side::Inner)];
    let node = (
        prop::option::weighted(0.8, 1_u8..12),
        0_u8..14,
        0_u64..50,
        0_u64..50,
        side,
        0_usize..3,
    )
        .prop_map(|(id, parent, start, length, side, process)| Node {
            id: id.map(|id| [id; 8]),
            side,
            process,
            ..span(
                0,
                parent,
                start,
                if id.is_some() { start + length } else { start },
            )
        });
    prop::collection::vec(node, 0..40)
}

proptest! {
    #[test]
    fn every_node_has_exactly_one_row(nodes in any_nodes()) {
        let mut placed: Vec<usize> = arrange(&nodes).iter().map(|row| row.node).collect();
        placed.sort_unstable();
        prop_assert_eq!(placed, (0..nodes.len()).collect::<Vec<_>>());
    }

    #[test]
    fn rows_form_a_forest_in_order(nodes in any_nodes()) {
        let rows = arrange(&nodes);
        for (at, row) in rows.iter().enumerate() {
            prop_assert_eq!(row.parent.is_none(), row.root.is_some());
            prop_assert!(row.size >= 1 && at + row.size <= rows.len());
            if let Some(parent) = row.parent {
                prop_assert!(parent < at && at < parent + rows[parent].size);
                prop_assert_eq!(rows[parent].depth + 1, row.depth);
                prop_assert!(nodes[rows[parent].node].id.is_some(), "a log has nothing below it");
            }
            let next = at + row.size;
            if let Some(sibling) = rows.get(next).filter(|next| next.parent == row.parent) {
                prop_assert!(nodes[row.node].start <= nodes[sibling.node].start);
            }
        }
    }

    #[test]
    fn a_trace_with_a_span_has_a_main_root(nodes in any_nodes()) {
        let rows = arrange(&nodes);
        let spans = nodes.iter().any(|node| node.id.is_some());
        prop_assert_eq!(main_root(&nodes, &rows).is_some(), spans);
    }

    /// As a plain search for each node finds it.
    #[test]
    fn a_node_stands_below_the_best_span_that_it_names(nodes in any_nodes()) {
        let rows = arrange(&nodes);
        let others = |id: Id, at: usize| nodes.iter().enumerate().filter(move |(other, node)| *other != at && node.id == Some(id));
        for row in rows.iter().filter(|row| row.root != Some(Root::Cycle)) {
            let node = &nodes[row.node];
            let caller = node.id.filter(|_| node.side == Side::Callee).and_then(|id| {
                others(id, row.node).find(|(_, other)| other.side == Side::Caller).map(|(at, _)| at)
            });
            let named = node.parent.and_then(|parent| {
                others(parent, row.node)
                    .min_by_key(|(at, other)| (other.process != node.process, other.side != Side::Callee, *at))
                    .map(|(at, _)| at)
            });
            if let Some(wanted) = caller.or(named) {
                prop_assert_eq!(row.parent.map(|above| rows[above].node), Some(wanted));
            } else if node.id.is_some() {
                prop_assert!(row.root.is_some());
            }
        }
    }
}
