//! Self time: how long a span ran while none of its children did.
//!
//! Children that run side by side cover their time once, and what a child does outside of its parent's time does not
//! count, as for the critical path: the self time of a span is its duration without the union of the intervals of its
//! children. So it is never below zero, and never above the duration.

use super::tree::{Node, Row};

/// The self time of each row, in nanoseconds; that of a log record is zero.
///
/// One pass: siblings stand in the order of their start, so all that has to be known of those before is how far they
/// reach.
pub(crate) fn self_times(nodes: &[Node], rows: &[Row]) -> Vec<u64> {
    // Of each row what no child has covered yet, and up to where children have been seen.
    let mut own: Vec<(u64, u64)> = rows
        .iter()
        .map(|row| match nodes.get(row.node) {
            Some(node) => (node.end.saturating_sub(node.start), node.start),
            None => (0, 0),
        })
        .collect();
    for row in rows {
        let Some(node) = nodes.get(row.node).filter(|node| node.id.is_some()) else {
            continue;
        };
        let above = row.parent.and_then(|parent| rows.get(parent));
        let end = above
            .and_then(|above| nodes.get(above.node))
            .map(|node| node.end);
        let parent = row.parent.and_then(|parent| own.get_mut(parent));
        if let (Some(end), Some((left, until))) = (end, parent) {
            let (from, to) = (node.start.max(*until), node.end.min(end));
            if from < to {
                *left = left.saturating_sub(to - from);
                *until = to;
            }
        }
    }
    own.into_iter().map(|(left, _)| left).collect()
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

    /// By node.
    fn own(nodes: &[Node]) -> Vec<u64> {
        let rows = arrange(nodes);
        let mut by_node = vec![0; nodes.len()];
        for (row, own) in rows.iter().zip(self_times(nodes, &rows)) {
            by_node[row.node] = own;
        }
        by_node
    }

    #[test]
    fn children_in_sequence_are_taken_away_one_after_the_other() {
        let nodes = [span(1, 0, 0, 100), span(2, 1, 10, 30), span(3, 1, 50, 90)];
        assert_eq!(own(&nodes), [40, 20, 40]);
    }

    #[test]
    fn children_side_by_side_are_taken_away_once() {
        let nodes = [
            span(1, 0, 0, 100),
            span(2, 1, 10, 60),
            span(3, 1, 20, 30),
            span(4, 1, 40, 80),
        ];
        assert_eq!(own(&nodes)[0], 30);
    }

    #[test]
    fn what_a_child_does_outside_of_its_parent_does_not_count() {
        let nodes = [
            span(1, 0, 100, 200),
            span(2, 1, 50, 110),
            span(3, 1, 190, 900),
            span(4, 1, 300, 400),
        ];
        assert_eq!(own(&nodes)[0], 80);
    }

    #[test]
    fn grandchildren_are_taken_from_their_parent_only() {
        let nodes = [span(1, 0, 0, 100), span(2, 1, 0, 50), span(3, 2, 0, 90)];
        assert_eq!(own(&nodes), [50, 0, 90]);
    }

    proptest! {
        #[test]
        fn the_self_time_is_what_no_child_covers(nodes in any_nodes()) {
            let rows = arrange(&nodes);
            for (at, own) in self_times(&nodes, &rows).into_iter().enumerate() {
                let node = nodes[rows[at].node];
                let alone = (node.start..node.end).filter(|moment| !rows.iter().any(|row| {
                    let child = nodes[row.node];
                    row.parent == Some(at) && child.id.is_some() && (child.start..child.end).contains(moment)
                }));
                prop_assert_eq!(own, alone.count() as u64);
            }
        }
    }
}
