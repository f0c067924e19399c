//! The critical path: what the end of a trace waited for at every moment.
//!
//! Walking back from the end of the root, the span that ended last is what the root waited for; before that span
//! began, the one that ended last before it; and in between, the root itself. The same holds within each span that was
//! waited for. So the segments cover the time of the root exactly once, and shortening one of them (and nothing
//! outside them) shortens the whole.

use super::tree::{Node, Row};

/// A stretch of time that a span itself is responsible for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Index into the nodes.
    pub(crate) node: usize,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    /// After `start`.
    pub(crate) end: u64,
}

/// The critical path below the row `root`, in the order of time.
///
/// What a child does outside of its parent's time does not count: nobody waits for a child that runs on when its parent
/// has ended, and one that begins before its parent has a clock of its own.
pub(crate) fn critical_path(nodes: &[Node], rows: &[Row], root: usize) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut waiting: Vec<(usize, u64, u64)> = rows
        .get(root)
        .and_then(|row| nodes.get(row.node))
        .map(|node| (root, node.start, node.end))
        .into_iter()
        .collect();
    let mut below: Vec<(usize, u64, u64)> = Vec::new();
    while let Some((at, start, end)) = waiting.pop() {
        let Some(row) = rows.get(at) else { continue };
        below.clear();
        below.extend(children(rows, at).filter_map(|child| {
            let node = nodes.get(rows.get(child)?.node)?;
            let (from, to) = (node.start.max(start), node.end.min(end));
            (node.id.is_some() && from < to).then_some((child, from, to))
        }));
        // The last to end first; of those that end together, the longest.
        below.sort_unstable_by_key(|(child, from, to)| (std::cmp::Reverse(*to), *from, *child));
        let mut until = end;
        for (child, from, to) in below.iter().copied() {
            if to > until {
                continue;
            }
            push(&mut segments, row.node, to, until);
            waiting.push((child, from, to));
            until = from;
        }
        push(&mut segments, row.node, start, until);
    }
    segments.sort_unstable_by_key(|segment| (segment.start, segment.end));
    segments
}

fn push(segments: &mut Vec<Segment>, node: usize, start: u64, end: u64) {
    if start < end {
        segments.push(Segment { node, start, end });
    }
}

/// The rows directly below a row.
fn children(rows: &[Row], of: usize) -> impl Iterator<Item = usize> {
    let end = of + rows.get(of).map_or(0, |row| row.size);
    let first = Some(of + 1).filter(|at| *at < end);
    std::iter::successors(first, move |at| {
        Some(at + rows.get(*at)?.size).filter(|next| *next < end)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::tree::{
            arrange, main_root,
            tests::{any_nodes, span},
        },
        *,
    };

    fn path(nodes: &[Node]) -> Vec<(usize, u64, u64)> {
        let rows = arrange(nodes);
        main_root(nodes, &rows)
            .map(|root| critical_path(nodes, &rows, root))
            .unwrap_or_default()
            .iter()
            .map(|segment| (segment.node, segment.start, segment.end))
            .collect()
    }

    #[test]
    fn children_in_sequence_are_all_on_the_path() {
        let nodes = [span(1, 0, 0, 100), span(2, 1, 10, 40), span(3, 1, 50, 90)];
        assert_eq!(
            path(&nodes),
            [
                (0, 0, 10),
                (1, 10, 40),
                (0, 40, 50),
                (2, 50, 90),
                (0, 90, 100)
            ]
        );
    }

    #[test]
    fn of_children_side_by_side_only_the_last_to_end_is_waited_for() {
        let nodes = [span(1, 0, 0, 100), span(2, 1, 10, 60), span(3, 1, 20, 90)];
        assert_eq!(path(&nodes), [(0, 0, 20), (2, 20, 90), (0, 90, 100)]);
    }

    #[test]
    fn a_child_that_outlives_its_parent_counts_up_to_its_end() {
        let nodes = [span(1, 0, 0, 100), span(2, 1, 80, 300)];
        assert_eq!(path(&nodes), [(0, 0, 80), (1, 80, 100)]);
    }

    #[test]
    fn a_child_after_the_end_is_not_waited_for() {
        let nodes = [span(1, 0, 0, 100), span(2, 1, 150, 300)];
        assert_eq!(path(&nodes), [(0, 0, 100)]);
    }

    #[test]
    fn a_span_of_no_length_has_no_path() {
        assert_eq!(path(&[span(1, 0, 5, 5)]), []);
    }

    proptest! {
        #[test]
        fn the_path_covers_the_time_of_the_root_exactly_once(nodes in any_nodes()) {
            let rows = arrange(&nodes);
            let Some(root) = main_root(&nodes, &rows) else { return Ok(()) };
            let node = nodes[rows[root].node];
            let mut at = node.start;
            for segment in critical_path(&nodes, &rows, root) {
                prop_assert_eq!(segment.start, at);
                prop_assert!(segment.end > segment.start);
                let own = nodes[segment.node];
                prop_assert!(own.start <= segment.start && segment.end <= own.end);
                at = segment.end;
            }
            prop_assert_eq!(at, node.end);
        }
    }
}
