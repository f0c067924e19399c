//! The shape of a trace: its spans merged into a tree of paths.
//!
//! Spans of the same service, name and kind whose parents are merged are merged, from the roots down: a thousand calls
//! of one operation below one other are one node with a count of 1,000. What a trace does is then a tree of some dozens
//! of nodes, however many spans it has, and two traces of the same operation have trees that can be laid side by side.
//!
//! | sum | of a node's spans |
//! |---|---|
//! | total | their durations; nested and parallel spans of one node count each for itself |
//! | own | their self times, see `self_time`: these add up over the tree |
//! | critical | their stretches of the critical path; those of all nodes are the duration of the main root |
//!
//! A shape owns its texts, so that the trace can go; it has no more nodes than the trace has spans. All walks are
//! iterative, since a path can be as long as the trace is large.

pub(crate) mod calls;
pub(crate) mod compare;
pub(crate) mod flame;

use std::ops::Range;

use hashbrown::{HashMap, hash_map::Entry};
use log_tracer_proto::otlp::trace::span::SpanKind;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{critical::Segment, model::Trace, self_time::self_times, visible::Counts};

/// One step of a path: which spans may be merged.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Step {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: i32,
}

impl Step {
    /// A kind that OTLP does not name counts as unspecified.
    pub(crate) fn kind(&self) -> SpanKind {
        SpanKind::try_from(self.kind).unwrap_or_default()
    }
}

/// The name of a path in addresses: a hash of its steps, the same for every trace that has it.
pub(crate) type PathId = u64;

/// Numbers of some spans; times in nanoseconds. Sums of what senders made up stop at the largest number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    pub(crate) total: u64,
    pub(crate) own: u64,
    pub(crate) critical: u64,
    /// How many of the spans the filter finds; all without one.
    pub(crate) matched: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.errors = self.errors.saturating_add(other.errors);
        self.total = self.total.saturating_add(other.total);
        self.own = self.own.saturating_add(other.own);
        self.critical = self.critical.saturating_add(other.critical);
        self.matched = self.matched.saturating_add(other.matched);
    }
}

/// Spans that are merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merged {
    /// Index into the steps.
    pub(crate) step: usize,
    pub(crate) path: PathId,
    /// The node above; none for a root.
    pub(crate) parent: Option<usize>,
    /// Nodes above it.
    pub(crate) depth: usize,
    /// Nodes of the subtree, this one included: the next sibling stands that many nodes further.
    pub(crate) size: usize,
    pub(crate) sums: Sums,
    /// The sums of the subtree. Its total counts nested durations again and says nothing by itself.
    pub(crate) whole: Sums,
}

/// The merged tree of a trace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) steps: Vec<Step>,
    /// Parents first, siblings in the order of their first span.
    pub(crate) nodes: Vec<Merged>,
}

impl Shape {
    pub(crate) fn new(trace: &Trace) -> Self {
        Self::narrowed(trace, &trace.critical_path(), None)
    }

    /// Of the spans that a filter finds and of those above them. `path` is the critical path of the trace; `matches` tells of
    /// each row whether the filter finds its span.
    pub(crate) fn narrowed(trace: &Trace, path: &[Segment], matches: Option<&[bool]>) -> Self {
        let found = matches.map(|matches| Counts::new(matches.iter().copied()));
        let found = |rows: Range<usize>| {
            let found = found.as_ref();
            found.map_or(rows.len(), |found| found.between(&rows)) as u64
        };
        let mut builder = Builder::default();
        let own = self_times(&trace.nodes, &trace.rows);
        let mut critical = vec![0_u64; trace.spans.len()];
        for segment in path {
            if let Some(nanos) = critical.get_mut(segment.node) {
                *nanos += segment.end - segment.start;
            }
        }
        let (_, services) = trace.services();
        // The numbers of the steps, by numbers that stand for their texts.
        let mut steps: HashMap<(Option<&usize>, u32, SpanKind), usize> = HashMap::new();
        // Of each row its node; rows of logs have none, and nothing stands below them.
        let mut of_row: Vec<Option<usize>> = Vec::with_capacity(trace.rows.len());
        for (at, (row, own)) in trace.rows.iter().zip(own).enumerate() {
            // One that leads to no match has none below it that does.
            let is_left = found(at..at + row.size) > 0;
            let Some(item) = trace.span(row).filter(|_| is_left) else {
                of_row.push(None);
                continue;
            };
            let parent = row
                .parent
                .and_then(|parent| of_row.get(parent).copied().flatten());
            let step = *steps
                .entry((services.get(item.process), item.name, item.kind))
                .or_insert_with(|| {
                    builder.tree.step(Step {
                        service: trace.service(item.process).to_owned(),
                        name: trace.name(item).to_owned(),
                        kind: item.kind.into(),
                    })
                });
            let sums = Sums {
                count: 1,
                errors: u64::from(item.is_error()),
                total: item.duration(),
                own,
                critical: critical.get(row.node).copied().unwrap_or(0),
                matched: found(at..at + 1),
            };
            of_row.push(Some(builder.merge(parent, step, &sums)));
        }
        builder.finish()
    }

    /// The node of a path.
    pub(crate) fn find(&self, path: PathId) -> Option<usize> {
        self.nodes.iter().position(|node| node.path == path)
    }

    pub(crate) fn step(&self, node: &Merged) -> Option<&Step> {
        self.steps.get(node.step)
    }

    /// The nodes directly below a node, or the roots.
    pub(crate) fn children(&self, of: Option<usize>) -> impl Iterator<Item = usize> {
        let (first, end) = match of {
            None => (0, self.nodes.len()),
            Some(of) => (of + 1, of + self.nodes.get(of).map_or(0, |node| node.size)),
        };
        std::iter::successors(Some(first).filter(|at| *at < end), move |at| {
            Some(at + self.nodes.get(*at)?.size).filter(|next| *next < end)
        })
    }

    /// The sums of all spans.
    pub(crate) fn whole(&self) -> Sums {
        let mut whole = Sums::default();
        self.nodes.iter().for_each(|node| whole.add(&node.sums));
        whole
    }
}

/// A tree of steps that grows downwards, with something at each node; of one trace or of several.
#[derive(Debug)]
struct Tree<T> {
    steps: Vec<Step>,
    numbers: HashMap<Step, usize>,
    /// Parent, step and content of each node in the order in which they came up: a parent before what is below it.
    nodes: Vec<(Option<usize>, usize, T)>,
    children: HashMap<(Option<usize>, usize), usize>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            numbers: HashMap::new(),
            nodes: Vec::new(),
            children: HashMap::new(),
        }
    }
}

/// A place in a tree that is finished.
#[derive(Debug)]
struct Place<T> {
    step: usize,
    path: PathId,
    parent: Option<usize>,
    depth: usize,
    size: usize,
    content: T,
}

impl<T: Default> Tree<T> {
    /// The number of a step.
    fn step(&mut self, step: Step) -> usize {
        let next = self.steps.len();
        match self.numbers.entry(step) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.steps.push(new.key().clone());
                *new.insert(next)
            }
        }
    }

    /// The node of a step below another, as its number and its content.
    fn child(&mut self, parent: Option<usize>, step: usize) -> (usize, Option<&mut T>) {
        let next = self.nodes.len();
        let at = *self.children.entry((parent, step)).or_insert(next);
        if at == next {
            self.nodes.push((parent, step, T::default()));
        }
        (at, self.nodes.get_mut(at).map(|(.., content)| content))
    }

    /// The steps, and the nodes in the order of display: parents first, siblings as they came up.
    fn finish(self) -> (Vec<Step>, Vec<Place<T>>) {
        let mut below: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
        for (at, (parent, ..)) in self.nodes.iter().enumerate() {
            below.entry(*parent).or_default().push(at);
        }
        let mut contents: Vec<Option<(usize, T)>> = self
            .nodes
            .into_iter()
            .map(|(_, step, content)| Some((step, content)))
            .collect();
        let mut places: Vec<Place<T>> = Vec::with_capacity(contents.len());
        // Nodes to write next, the nearest on top, each with the place above it.
        let mut waiting: Vec<(usize, Option<usize>)> = Vec::new();
        let push = |waiting: &mut Vec<_>, node: Option<usize>, place: Option<usize>| {
            let children = below.get(&node).map_or(&[][..], Vec::as_slice);
            waiting.extend(children.iter().rev().map(|child| (*child, place)));
        };
        push(&mut waiting, None, None);
        while let Some((node, parent)) = waiting.pop() {
            let Some((step, content)) = contents.get_mut(node).and_then(Option::take) else {
                continue;
            };
            let above = parent.and_then(|parent| places.get(parent));
            let place = Place {
                step,
                path: path_id(above.map_or(0, |above| above.path), self.steps.get(step)),
                parent,
                depth: above.map_or(0, |above| above.depth + 1),
                size: 1,
                content,
            };
            push(&mut waiting, Some(node), Some(places.len()));
            places.push(place);
        }
        for at in (0..places.len()).rev() {
            let Some(place) = places.get(at) else {
                continue;
            };
            let (parent, size) = (place.parent, place.size);
            if let Some(parent) = parent.and_then(|parent| places.get_mut(parent)) {
                parent.size += size;
            }
        }
        (self.steps, places)
    }
}

/// The parts are told apart by their lengths, so that no two paths are written alike.
fn path_id(above: PathId, step: Option<&Step>) -> PathId {
    let Some(step) = step else { return above };
    let mut bytes = Vec::with_capacity(step.service.len() + step.name.len() + 12);
    bytes.extend_from_slice(&(step.service.len() as u64).to_le_bytes());
    bytes.extend_from_slice(step.service.as_bytes());
    bytes.extend_from_slice(&step.kind.to_le_bytes());
    bytes.extend_from_slice(step.name.as_bytes());
    xxh3_64_with_seed(&bytes, above)
}

#[derive(Debug, Default)]
struct Builder {
    tree: Tree<Sums>,
}

impl Builder {
    fn merge(&mut self, parent: Option<usize>, step: usize, sums: &Sums) -> usize {
        let (node, own) = self.tree.child(parent, step);
        if let Some(own) = own {
            own.add(sums);
        }
        node
    }

    fn finish(self) -> Shape {
        let (steps, places) = self.tree.finish();
        let mut nodes: Vec<Merged> = places
            .into_iter()
            .map(|place| Merged {
                step: place.step,
                path: place.path,
                parent: place.parent,
                depth: place.depth,
                size: place.size,
                sums: place.content,
                whole: place.content,
            })
            .collect();
        for at in (0..nodes.len()).rev() {
            let Some(node) = nodes.get(at).copied() else {
                continue;
            };
            if let Some(parent) = node.parent.and_then(|parent| nodes.get_mut(parent)) {
                parent.whole.add(&node.whole);
            }
        }
        Shape { steps, nodes }
    }
}

#[cfg(test)]
pub(crate) mod tests;
