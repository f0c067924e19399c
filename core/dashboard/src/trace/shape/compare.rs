//! Two traces side by side: their merged trees, matched path by path.
//!
//! A path is in one of the traces or in both. Of one that is in both, numbers of spans and of errors are compared as they
//! are. Times always differ, so they count as the same when they differ by less than a tenth of the longer one, or by
//! less than a hundredth of the duration of the longer trace. A path has changed when one of spans, errors, total and
//! self time differs; where it comes from, the self time tells, since a span that got slower makes all above it slower.

use std::cmp::Reverse;

use super::{PathId, Shape, Step, Sums, Tree};

/// A time is the same up to one part in so many of the longer one.
const OWN_PARTS: u128 = 10;

/// And up to one part in so many of the longer trace.
const TRACE_PARTS: u64 = 100;

/// Which trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    A,
    B,
}

/// A path of either trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    /// Index into the steps.
    pub(crate) step: usize,
    pub(crate) path: PathId,
    pub(crate) parent: Option<usize>,
    pub(crate) depth: usize,
    /// Pairs of the subtree, this one included.
    pub(crate) size: usize,
    /// None where the trace has no such path.
    pub(crate) a: Option<Sums>,
    pub(crate) b: Option<Sums>,
    pub(crate) verdict: Verdict,
    /// Pairs of the subtree that are not the same, this one included.
    pub(crate) changes: usize,
}

/// How the two sides of a pair differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Only(Side),
    Same,
    Changed,
}

impl Pair {
    pub(crate) fn side(&self, side: Side) -> Option<&Sums> {
        match side {
            Side::A => self.a.as_ref(),
            Side::B => self.b.as_ref(),
        }
    }

    /// B less A of one of the sums; what is not there counts as zero.
    pub(crate) fn difference(&self, of: impl Fn(&Sums) -> u64) -> i128 {
        let value = |sums: Option<&Sums>| i128::from(sums.map_or(0, &of));
        value(self.b.as_ref()) - value(self.a.as_ref())
    }

    /// Whether the total times count as different; `longer` is the duration of the longer trace, in nanoseconds.
    pub(crate) fn total_differs(&self, longer: u64) -> bool {
        self.differs(|sums| sums.total, longer)
    }

    /// The same of the self times.
    pub(crate) fn own_differs(&self, longer: u64) -> bool {
        self.differs(|sums| sums.own, longer)
    }

    fn differs(&self, of: impl Fn(&Sums) -> u64, longer: u64) -> bool {
        let value = |sums: Option<&Sums>| sums.map_or(0, &of);
        !is_same(
            value(self.a.as_ref()),
            value(self.b.as_ref()),
            longer / TRACE_PARTS,
        )
    }
}

/// All paths of two traces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) steps: Vec<Step>,
    /// Parents first; siblings as they stand in A, then those that are only in B.
    pub(crate) pairs: Vec<Pair>,
}

/// In which order the paths are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Tree,
    /// The greatest difference first, whichever way it goes.
    Own,
    Total,
    Spans,
    Errors,
}

impl Comparison {
    /// `longer` is the duration of the longer trace, in nanoseconds.
    pub(crate) fn new(a: &Shape, b: &Shape, longer: u64) -> Self {
        let mut tree: Tree<(Option<Sums>, Option<Sums>)> = Tree::default();
        for (side, shape) in [(Side::A, a), (Side::B, b)] {
            let mut placed: Vec<usize> = Vec::with_capacity(shape.nodes.len());
            let steps: Vec<usize> = shape
                .steps
                .iter()
                .map(|step| tree.step(step.clone()))
                .collect();
            for node in &shape.nodes {
                let parent = node.parent.and_then(|parent| placed.get(parent).copied());
                let step = steps.get(node.step).copied().unwrap_or(0);
                let (at, content) = tree.child(parent, step);
                match (content, side) {
                    (Some((a, _)), Side::A) => *a = Some(node.sums),
                    (Some((_, b)), Side::B) => *b = Some(node.sums),
                    (None, _) => {}
                }
                placed.push(at);
            }
        }
        let (steps, places) = tree.finish();
        let mut pairs: Vec<Pair> = places
            .into_iter()
            .map(|place| {
                let (a, b) = place.content;
                let verdict = verdict(a.as_ref(), b.as_ref(), longer / TRACE_PARTS);
                Pair {
                    step: place.step,
                    path: place.path,
                    parent: place.parent,
                    depth: place.depth,
                    size: place.size,
                    a,
                    b,
                    verdict,
                    changes: usize::from(verdict != Verdict::Same),
                }
            })
            .collect();
        for at in (0..pairs.len()).rev() {
            let Some(pair) = pairs.get(at).copied() else {
                continue;
            };
            if let Some(parent) = pair.parent.and_then(|parent| pairs.get_mut(parent)) {
                parent.changes += pair.changes;
            }
        }
        Self { steps, pairs }
    }

    pub(crate) fn step(&self, pair: &Pair) -> Option<&Step> {
        self.steps.get(pair.step)
    }

    /// How many paths have a verdict.
    pub(crate) fn count(&self, verdict: Verdict) -> u64 {
        let of = self.pairs.iter().filter(|pair| pair.verdict == verdict);
        of.count() as u64
    }

    /// The paths that only one trace has and whose parent both have, or that have no parent.
    pub(crate) fn tops(&self, side: Side) -> Vec<usize> {
        let is_only = |at: usize| {
            self.pairs
                .get(at)
                .is_some_and(|pair| pair.verdict == Verdict::Only(side))
        };
        (0..self.pairs.len())
            .filter(|at| {
                let parent = self.pairs.get(*at).and_then(|pair| pair.parent);
                is_only(*at) && !parent.is_some_and(is_only)
            })
            .collect()
    }

    /// The numbers of all pairs in an order.
    pub(crate) fn ordered(&self, order: Order) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..self.pairs.len()).collect();
        let of: fn(&Sums) -> u64 = match order {
            Order::Tree => return numbers,
            Order::Own => |sums| sums.own,
            Order::Total => |sums| sums.total,
            Order::Spans => |sums| sums.count,
            Order::Errors => |sums| sums.errors,
        };
        let greatest = |at: &usize| {
            let pair = self.pairs.get(*at);
            Reverse(pair.map_or(0, |pair| pair.difference(of).unsigned_abs()))
        };
        numbers.sort_by_key(greatest);
        numbers
    }

    /// The tree without what is the same, and without what is below a path that only one of them has.
    pub(crate) fn folded(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut waiting = vec![(0, self.pairs.len(), 0)];
        // What is left to write of siblings and their parents: from, end, depth.
        while let Some((from, end, depth)) = waiting.pop() {
            let mut at = from;
            let mut same = Same::default();
            let mut went_down = false;
            while let Some(pair) = self.pairs.get(at).filter(|_| at < end) {
                let next = at + pair.size;
                match pair.verdict {
                    _ if pair.changes == 0 => same.add(self, at, next),
                    Verdict::Only(_) => {
                        same.flush(&mut lines, depth);
                        lines.push(Line::Pair {
                            pair: at,
                            below: self.below(at),
                        });
                    }
                    Verdict::Same | Verdict::Changed => {
                        same.flush(&mut lines, depth);
                        lines.push(Line::Pair {
                            pair: at,
                            below: Below::default(),
                        });
                        waiting.push((next, end, depth));
                        waiting.push((at + 1, next, depth + 1));
                        went_down = true;
                        break;
                    }
                }
                at = next;
            }
            if !went_down {
                same.flush(&mut lines, depth);
            }
        }
        lines
    }

    fn below(&self, top: usize) -> Below {
        let size = self.pairs.get(top).map_or(1, |pair| pair.size);
        let mut below = Below {
            pairs: size - 1,
            spans: 0,
        };
        for pair in self.pairs.iter().skip(top + 1).take(size - 1) {
            let sums = pair.a.or(pair.b).unwrap_or_default();
            below.spans = below.spans.saturating_add(sums.count);
        }
        below
    }
}

/// A line of the folded tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Line {
    Pair {
        pair: usize,
        below: Below,
    },
    /// Neighbours that are the same, with all below them.
    Same(Same),
}

/// What is not shown below a path that only one trace has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Below {
    pub(crate) pairs: usize,
    pub(crate) spans: u64,
}

/// Paths that are the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Same {
    pub(crate) depth: usize,
    pub(crate) pairs: usize,
    pub(crate) spans: u64,
    /// The self times.
    pub(crate) a: u64,
    pub(crate) b: u64,
}

impl Same {
    fn add(&mut self, all: &Comparison, from: usize, end: usize) {
        for pair in all.pairs.iter().skip(from).take(end - from) {
            let (a, b) = (pair.a.unwrap_or_default(), pair.b.unwrap_or_default());
            self.pairs += 1;
            self.spans = self.spans.saturating_add(a.count);
            self.a = self.a.saturating_add(a.own);
            self.b = self.b.saturating_add(b.own);
        }
    }

    fn flush(&mut self, lines: &mut Vec<Line>, depth: usize) {
        if self.pairs > 0 {
            lines.push(Line::Same(Self { depth, ..*self }));
        }
        *self = Self::default();
    }
}

fn verdict(a: Option<&Sums>, b: Option<&Sums>, noise: u64) -> Verdict {
    match (a, b) {
        (Some(_), None) => Verdict::Only(Side::A),
        (None, Some(_)) => Verdict::Only(Side::B),
        (None, None) => Verdict::Same,
        (Some(a), Some(b)) => {
            let same = a.count == b.count
                && a.errors == b.errors
                && is_same(a.total, b.total, noise)
                && is_same(a.own, b.own, noise);
            if same {
                Verdict::Same
            } else {
                Verdict::Changed
            }
        }
    }
}

/// Whether two times count as the same.
fn is_same(a: u64, b: u64, noise: u64) -> bool {
    let difference = a.abs_diff(b);
    difference <= noise || u128::from(difference) * OWN_PARTS <= u128::from(a.max(b))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{
        super::tests::{any_trace, shape_of, span},
        *,
    };

    fn written(comparison: &Comparison) -> Vec<String> {
        comparison
            .folded()
            .iter()
            .map(|line| match line {
                Line::Same(same) => format!("{} same at {}", same.pairs, same.depth),
                Line::Pair { pair, below } => {
                    let pair = &comparison.pairs[*pair];
                    let name = &comparison.step(pair).unwrap().name;
                    format!(
                        "{name} {:?} +{} at {}",
                        pair.verdict, below.pairs, pair.depth
                    )
                }
            })
            .collect()
    }

    fn two() -> (Shape, Shape) {
        let a = shape_of(vec![
            span(1, 0, "root", (0, 1000)),
            span(2, 1, "auth", (0, 100)),
            span(3, 1, "cache", (100, 200)),
            span(4, 1, "pay", (200, 400)),
            span(5, 1, "mail", (400, 500)),
            span(6, 5, "smtp", (410, 490)),
        ]);
        let b = shape_of(vec![
            span(1, 0, "root", (0, 1020)),
            span(2, 1, "auth", (0, 105)),
            span(3, 1, "cache", (100, 200)),
            span(4, 1, "pay", (200, 400)),
            span(7, 1, "pay", (400, 700)),
            span(8, 1, "audit", (700, 800)),
        ]);
        (a, b)
    }

    #[test]
    fn what_is_the_same_is_gathered_and_what_only_one_has_is_folded() {
        let (a, b) = two();
        let comparison = Comparison::new(&a, &b, 1020);
        assert_eq!(
            written(&comparison),
            [
                "root Changed +0 at 0",
                "2 same at 1",
                "pay Changed +0 at 1",
                "mail Only(A) +1 at 1",
                "audit Only(B) +0 at 1",
            ]
        );
        assert_eq!(comparison.count(Verdict::Only(Side::A)), 2);
        assert_eq!(comparison.tops(Side::A).len(), 1);
    }

    #[test]
    fn the_greatest_difference_comes_first_whichever_way_it_goes() {
        let (a, b) = two();
        let comparison = Comparison::new(&a, &b, 1020);
        let names: Vec<&str> = comparison
            .ordered(Order::Total)
            .iter()
            .map(|at| {
                comparison
                    .step(&comparison.pairs[*at])
                    .unwrap()
                    .name
                    .as_str()
            })
            .collect();
        assert_eq!(names[..3], ["pay", "mail", "audit"]);
    }

    #[test]
    fn a_trace_without_a_span_has_nothing_in_common() {
        let (a, _) = two();
        let comparison = Comparison::new(&a, &Shape::default(), 1000);
        assert_eq!(written(&comparison), ["root Only(A) +5 at 0"]);
    }

    #[test]
    fn small_differences_of_time_are_none() {
        assert!(is_same(100, 105, 0));
        assert!(!is_same(100, 120, 0));
        assert!(is_same(1, 9, 10));
        assert!(is_same(0, 0, 0));
        assert!(!is_same(0, u64::MAX, 1));
    }

    type Sides = (Option<Sums>, Option<Sums>);

    fn by_path(comparison: &Comparison) -> BTreeMap<PathId, Sides> {
        let pairs = comparison.pairs.iter();
        pairs.map(|pair| (pair.path, (pair.a, pair.b))).collect()
    }

    proptest! {
        #[test]
        fn a_trace_does_not_differ_from_itself(trace in any_trace()) {
            let shape = Shape::new(&trace);
            let comparison = Comparison::new(&shape, &shape, 0);
            prop_assert_eq!(comparison.pairs.len(), shape.nodes.len());
            prop_assert!(comparison.pairs.iter().all(|pair| pair.verdict == Verdict::Same));
            let lines = comparison.folded();
            prop_assert!(lines.len() <= 1);
        }

        #[test]
        fn the_other_way_round_differences_change_their_signs(a in any_trace(), b in any_trace()) {
            let (a, b) = (Shape::new(&a), Shape::new(&b));
            let there = Comparison::new(&a, &b, 50);
            let back = Comparison::new(&b, &a, 50);
            let swapped: BTreeMap<PathId, Sides> =
                by_path(&back).into_iter().map(|(path, (a, b))| (path, (b, a))).collect();
            prop_assert_eq!(by_path(&there), swapped);
            for pair in &there.pairs {
                let other = back.pairs.iter().find(|other| other.path == pair.path).unwrap();
                for of in [|sums: &Sums| sums.total, |sums: &Sums| sums.own, |sums: &Sums| sums.count] {
                    prop_assert_eq!(pair.difference(of), -other.difference(of));
                }
                prop_assert_eq!(pair.verdict == Verdict::Same, other.verdict == Verdict::Same);
            }
        }

        #[test]
        fn a_path_is_in_it_once_and_has_the_sums_of_its_trace(a in any_trace(), b in any_trace()) {
            let (a, b) = (Shape::new(&a), Shape::new(&b));
            let comparison = Comparison::new(&a, &b, 0);
            prop_assert_eq!(by_path(&comparison).len(), comparison.pairs.len());
            for (side, shape) in [(Side::A, &a), (Side::B, &b)] {
                let own: BTreeMap<PathId, Sums> = shape.nodes.iter().map(|node| (node.path, node.sums)).collect();
                let there: BTreeMap<PathId, Sums> = comparison.pairs.iter()
                    .filter_map(|pair| Some((pair.path, *pair.side(side)?)))
                    .collect();
                prop_assert_eq!(own, there);
            }
        }

        #[test]
        fn the_folded_tree_leaves_no_path_out(a in any_trace(), b in any_trace()) {
            let comparison = Comparison::new(&Shape::new(&a), &Shape::new(&b), 5);
            let pairs: usize = comparison.folded().iter().map(|line| match line {
                Line::Same(same) => same.pairs,
                Line::Pair { below, .. } => 1 + below.pairs,
            }).sum();
            prop_assert_eq!(pairs, comparison.pairs.len());
        }
    }
}
