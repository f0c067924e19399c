//! The frames of a flame graph, as an icicle: roots on top.
//!
//! A frame is as wide as the self time of its spans and of all spans below them, as in flame graphs of processor time.
//! Self times add up, so every frame has room for those below it, and one unit is as wide everywhere in the picture.
//! Durations do not add up: children that run side by side last longer together than their parent, and one that runs on
//! after its parent has ended does not fit into it; scaling them to fit would give every frame a unit of its own. Where
//! nothing runs side by side, the width of a frame is its duration. Where no span has a length, frames are as wide as
//! their number of spans.
//!
//! What is too narrow to be seen or too far down, and what exceeds the number of frames, is gathered into one frame per
//! parent with its sums.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Shape, Sums};

/// Levels below the root of the picture that are drawn.
pub(crate) const LEVELS_MAX: usize = 32;

/// A frame is drawn when it is at least one part in so many as wide as the picture.
const PARTS_MAX: u128 = 500;

/// A box of the picture; places and widths are shares of its width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) content: Content,
    /// Levels below the top.
    pub(crate) level: usize,
    pub(crate) x: f64,
    pub(crate) width: f64,
}

/// What a frame stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Content {
    /// A node, by its number.
    Node(usize),
    /// Nodes that have no frame of their own, with all below them.
    More {
        /// The node above; none above roots.
        parent: Option<usize>,
        nodes: usize,
        sums: Sums,
    },
}

/// What frames are as wide as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Time,
    Spans,
}

/// The picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flame {
    pub(crate) unit: Unit,
    /// Self time, or spans, of the whole width.
    pub(crate) whole: u64,
    /// Parents first, from left to right.
    pub(crate) frames: Vec<Frame>,
    pub(crate) levels: usize,
    /// Nodes that would have a frame of no width, and so have none.
    pub(crate) flat: usize,
}

/// Lays out the subtree of a node, or all roots, with so many frames at most, those that gather left aside.
pub(crate) fn flame(shape: &Shape, root: Option<usize>, frames_max: usize) -> Flame {
    let tops: Vec<usize> = match root {
        Some(root) if root < shape.nodes.len() => vec![root],
        _ => shape.children(None).collect(),
    };
    let sums = |node: usize| {
        shape
            .nodes
            .get(node)
            .map(|node| node.whole)
            .unwrap_or_default()
    };
    let own = tops
        .iter()
        .fold(0_u64, |own, top| own.saturating_add(sums(*top).own));
    let unit = if own > 0 { Unit::Time } else { Unit::Spans };
    let weight = |node: usize| match unit {
        Unit::Time => sums(node).own,
        Unit::Spans => sums(node).count,
    };
    let whole = tops
        .iter()
        .fold(0_u64, |whole, top| whole.saturating_add(weight(*top)));
    let drawn = choose(shape, &tops, whole, frames_max, &weight);
    let mut layout = Layout {
        shape,
        drawn: &drawn,
        weight: &weight,
        whole: whole.max(1) as f64,
        frames: Vec::new(),
        waiting: Vec::new(),
        flat: 0,
    };
    let parent = root.and_then(|root| shape.nodes.get(root)?.parent);
    layout.row(parent, &tops, 0, 0.0);
    while let Some((node, level, x)) = layout.waiting.pop() {
        let children: Vec<usize> = shape.children(Some(node)).collect();
        layout.row(Some(node), &children, level, x);
    }
    let mut frames = layout.frames;
    frames.sort_by(|a, b| a.level.cmp(&b.level).then(a.x.total_cmp(&b.x)));
    Flame {
        unit,
        whole,
        levels: frames
            .iter()
            .map(|frame| frame.level + 1)
            .max()
            .unwrap_or(0),
        flat: layout.flat,
        frames,
    }
}

/// Which nodes get a frame: the widest. One is never wider than what it stands below, so that one has a frame, too.
fn choose(
    shape: &Shape,
    tops: &[usize],
    whole: u64,
    frames_max: usize,
    weight: &impl Fn(usize) -> u64,
) -> Vec<bool> {
    let mut drawn = vec![false; shape.nodes.len()];
    let mut widest: BinaryHeap<(u64, Reverse<usize>, usize)> = BinaryHeap::new();
    widest.extend(tops.iter().map(|top| (weight(*top), Reverse(*top), 0)));
    let mut room = frames_max;
    while let Some((width, Reverse(node), level)) = widest.pop() {
        if room == 0 || u128::from(width) * PARTS_MAX < u128::from(whole) {
            break;
        }
        if width == 0 || level >= LEVELS_MAX {
            continue;
        }
        if let Some(drawn) = drawn.get_mut(node) {
            *drawn = true;
            room -= 1;
        }
        let below = shape.children(Some(node));
        widest.extend(below.map(|child| (weight(child), Reverse(child), level + 1)));
    }
    drawn
}

struct Layout<'a, W> {
    shape: &'a Shape,
    drawn: &'a [bool],
    weight: &'a W,
    whole: f64,
    frames: Vec<Frame>,
    /// Nodes whose children are to be laid out: on which level, and from where on.
    waiting: Vec<(usize, usize, f64)>,
    flat: usize,
}

impl<W: Fn(usize) -> u64> Layout<'_, W> {
    /// Lays out siblings from left to right; those without a frame of their own come last.
    fn row(&mut self, parent: Option<usize>, siblings: &[usize], level: usize, mut x: f64) {
        let mut sums = Sums::default();
        let (mut nodes, mut rest) = (0, 0_u64);
        for node in siblings {
            let weight = (self.weight)(*node);
            if self.drawn.get(*node) == Some(&true) {
                let width = weight as f64 / self.whole;
                self.frames.push(Frame {
                    content: Content::Node(*node),
                    level,
                    x,
                    width,
                });
                self.waiting.push((*node, level + 1, x));
                x += width;
            } else if let Some(merged) = self.shape.nodes.get(*node) {
                sums.add(&merged.whole);
                nodes += merged.size;
                rest = rest.saturating_add(weight);
            }
        }
        if rest > 0 {
            self.frames.push(Frame {
                content: Content::More {
                    parent,
                    nodes,
                    sums,
                },
                level,
                x,
                width: rest as f64 / self.whole,
            });
        } else {
            self.flat += nodes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::tests::{any_trace, chain, shape_of, span},
        *,
    };

    fn width_of(flame: &Flame, name: &str, shape: &Shape) -> f64 {
        let frame = flame.frames.iter().find(|frame| match frame.content {
            Content::Node(node) => shape.step(&shape.nodes[node]).unwrap().name == name,
            Content::More { .. } => false,
        });
        frame.unwrap().width
    }

    #[test]
    fn children_side_by_side_fit_into_their_parent() {
        let shape = shape_of(vec![
            span(1, 0, "root", (0, 100)),
            span(2, 1, "left", (0, 100)),
            span(3, 1, "right", (0, 100)),
        ]);
        let flame = flame(&shape, None, 100);
        assert_eq!(flame.whole, 200);
        assert_eq!(width_of(&flame, "root", &shape), 1.0);
        assert_eq!(width_of(&flame, "left", &shape), 0.5);
        assert_eq!(width_of(&flame, "right", &shape), 0.5);
    }

    #[test]
    fn a_chosen_frame_is_as_wide_as_the_picture() {
        let shape = shape_of(vec![
            span(1, 0, "root", (0, 100)),
            span(2, 1, "half", (0, 50)),
        ]);
        let half = shape.nodes.iter().position(|node| node.depth == 1);
        let flame = flame(&shape, half, 100);
        assert_eq!(flame.whole, 50);
        assert_eq!(flame.frames.len(), 1);
        assert_eq!(width_of(&flame, "half", &shape), 1.0);
    }

    #[test]
    fn spans_without_a_length_are_counted() {
        let shape = shape_of(vec![
            span(1, 0, "root", (5, 5)),
            span(2, 1, "child", (5, 5)),
        ]);
        let flame = flame(&shape, None, 100);
        assert_eq!((flame.unit, flame.whole), (Unit::Spans, 2));
    }

    #[test]
    fn a_chain_of_ten_thousand_ends_in_what_is_more() {
        let shape = shape_of(chain(10_000));
        let flame = flame(&shape, None, 100);
        assert_eq!(flame.levels, LEVELS_MAX + 1);
        let last = flame.frames.last().unwrap();
        assert!(
            matches!(last.content, Content::More { nodes, .. } if nodes == 10_000 - LEVELS_MAX),
            "{last:?}"
        );
    }

    proptest! {
        #[test]
        fn frames_stand_within_the_one_above_and_nothing_is_lost(trace in any_trace(), root in 0_usize..8, frames_max in 1_usize..20) {
            let shape = Shape::new(&trace);
            let root = Some(root).filter(|root| *root < shape.nodes.len());
            let flame = flame(&shape, root, frames_max);
            let within = shape.nodes.get(root.unwrap_or(usize::MAX)).map_or(shape.nodes.len(), |node| node.size);
            let mut nodes = flame.flat;
            for frame in &flame.frames {
                nodes += match frame.content {
                    Content::Node(_) => 1,
                    Content::More { nodes, .. } => nodes,
                };
                prop_assert!(frame.x >= 0.0 && frame.x + frame.width <= 1.0 + 1e-9);
                let parent = match frame.content {
                    Content::Node(node) => shape.nodes[node].parent,
                    Content::More { parent, .. } => parent,
                };
                let above = flame.frames.iter().find(|other| parent.is_some_and(|parent| other.content == Content::Node(parent)));
                if let Some(above) = above {
                    prop_assert_eq!(above.level + 1, frame.level);
                    prop_assert!(above.x <= frame.x + 1e-9 && frame.x + frame.width <= above.x + above.width + 1e-9);
                }
            }
            prop_assert_eq!(nodes, within);
        }
    }
}
