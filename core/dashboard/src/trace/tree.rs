//! Which span stands below which, for whatever a trace contains.
//!
//! Senders make every mistake there is: parents that never arrived, spans that are their own ancestor, one id used on
//! both sides of a call. The arrangement is total: every span and log of the input has exactly one row, and what is
//! odd about a root is said. All walks are iterative, since a chain can be as long as the trace is large.

/// The id of a span.
pub(crate) type Id = [u8; 8];

/// A span or a log record, as far as its place matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// None for a log record.
    pub(crate) id: Option<Id>,
    /// The span above; of a log, the span that it belongs to.
    pub(crate) parent: Option<Id>,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    /// Never below `start`.
    pub(crate) end: u64,
    /// Which end of a call a span is.
    pub(crate) side: Side,
    /// Which process sent it, as any number that differs between processes.
    pub(crate) process: usize,
}

/// Which end of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// CLIENT or PRODUCER.
    Caller,
    /// SERVER or CONSUMER.
    Callee,
    /// Neither.
    Inner,
}

/// Why a row has no row above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// It names no parent.
    First,
    /// Its parent is not in the trace.
    Orphan(Id),
    /// It is its own ancestor; the cycle is cut here.
    Cycle,
    /// A log record in a trace without a span.
    Stray,
}

/// A place in the arrangement. Rows are in the order of display: parents first, siblings by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Index into the nodes.
    pub(crate) node: usize,
    /// Rows above this one on the way to its root.
    pub(crate) depth: usize,
    /// The row above; none for a root.
    pub(crate) parent: Option<usize>,
    /// Rows of the subtree, this one included: the next sibling stands that many rows further.
    pub(crate) size: usize,
    /// Set for roots.
    pub(crate) root: Option<Root>,
}

/// Where a node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Below(usize),
    Root(Root),
}

impl Place {
    fn parent(self) -> Option<usize> {
        match self {
            Self::Below(parent) => Some(parent),
            Self::Root(_) => None,
        }
    }
}

/// Arranges the nodes of a trace.
#[cfg(test)]
pub(crate) fn arrange(nodes: &[Node]) -> Vec<Row> {
    arrange_by(nodes, &by_id(nodes))
}

/// The spans among the nodes in the order of their ids.
pub(crate) fn by_id(nodes: &[Node]) -> Vec<(u64, usize)> {
    sorted(nodes.iter().map(|node| node.id))
}

/// Arranges the nodes of a trace. `by_id` has the spans among them in the order of their ids.
pub(crate) fn arrange_by(nodes: &[Node], by_id: &[(u64, usize)]) -> Vec<Row> {
    let mut places = places(nodes, by_id);
    cut_cycles(nodes, &mut places);
    place_logs_without_span(nodes, &mut places);
    walk(nodes, &places)
}

/// The node that stands for the trace: the earliest span without a parent, or else the earliest whose parent is
/// missing, or else the earliest.
pub(crate) fn main_root(nodes: &[Node], rows: &[Row]) -> Option<usize> {
    rows.iter()
        .enumerate()
        .filter_map(|(at, row)| {
            let rank = match row.root? {
                Root::First => 0,
                Root::Orphan(_) => 1,
                Root::Cycle => 2,
                Root::Stray => return None,
            };
            let node = nodes.get(row.node)?;
            Some(((rank, node.start, row.node), at))
        })
        .min()
        .map(|(_, at)| at)
}

/// Where each node goes: the spans in the order of their ids stand beside the nodes in the order of the ids that they
/// want above them, so that one pass over both finds every parent, and no lookup is made.
fn places(nodes: &[Node], by_id: &[(u64, usize)]) -> Vec<Place> {
    let mut places: Vec<Place> = nodes.iter().map(without_parent).collect();
    let wanting = sorted(nodes.iter().map(|node| node.parent));
    let mut wanting = wanting.chunk_by(|a, b| a.0 == b.0).peekable();
    let id_of = |group: &[(u64, usize)]| group.first().map(|(id, _)| *id);
    for group in by_id.chunk_by(|a, b| a.0 == b.0) {
        let id = id_of(group);
        while wanting.next_if(|below| id_of(below) < id).is_some() {}
        if let Some(below) = wanting.next_if(|below| id_of(below) == id) {
            let candidates = Candidates::new(nodes, group);
            for (_, at) in below {
                let process = nodes.get(*at).map(|node| node.process);
                if let Some(parent) = candidates.choose(*at, process)
                    && let Some(place) = places.get_mut(*at)
                {
                    *place = Place::Below(parent);
                }
            }
        }
    }
    // The other side of a call goes before what a span names, and so it comes last.
    for group in by_id.chunk_by(|a, b| a.0 == b.0) {
        if group.len() > 1 {
            place_callees_of_shared_id(nodes, group, &mut places);
        }
    }
    places
}

/// The place of a node whose parent is not there.
fn without_parent(node: &Node) -> Place {
    Place::Root(match (node.id, node.parent) {
        (None, _) => Root::Stray,
        (Some(_), None) => Root::First,
        (Some(id), Some(parent)) if id == parent => Root::Cycle,
        (Some(_), Some(parent)) => Root::Orphan(parent),
    })
}

/// The nodes that have an id, in its order.
fn sorted(ids: impl Iterator<Item = Option<Id>>) -> Vec<(u64, usize)> {
    let mut sorted: Vec<(u64, usize)> = ids
        .enumerate()
        .filter_map(|(at, id)| Some((u64::from_be_bytes(id?), at)))
        .collect();
    sorted.sort_unstable();
    sorted
}

/// Some senders give both sides of a call the same id (as Zipkin did): the callee stands below the caller.
fn place_callees_of_shared_id(nodes: &[Node], group: &[(u64, usize)], places: &mut [Place]) {
    let side = |at: usize| nodes.get(at).map(|node| node.side);
    let mut members = group.iter().map(|(_, at)| *at);
    let Some(caller) = members.find(|at| side(*at) == Some(Side::Caller)) else {
        return;
    };
    for (_, at) in group {
        if side(*at) == Some(Side::Callee)
            && let Some(place) = places.get_mut(*at)
        {
            *place = Place::Below(caller);
        }
    }
}

/// Spans of one id, of which one is the parent of those that name it: the one of the same process, then the callee,
/// then the first; but none is its own.
struct Candidates {
    /// By process, callees first.
    by_process: Vec<(usize, bool, usize)>,
    /// The best two of all: one of them is not the span that asks.
    best: Vec<(bool, usize)>,
}

impl Candidates {
    fn new(nodes: &[Node], group: &[(u64, usize)]) -> Self {
        let candidate = |at: usize| {
            let node = nodes.get(at)?;
            Some((node.process, node.side != Side::Callee, at))
        };
        let members = group.iter().filter_map(|(_, at)| candidate(*at));
        if group.len() == 1 {
            return Self {
                best: members.map(|(_, rank, at)| (rank, at)).collect(),
                by_process: Vec::new(),
            };
        }
        let mut by_process: Vec<(usize, bool, usize)> = members.collect();
        by_process.sort_unstable();
        let mut best: Vec<(bool, usize)> = by_process
            .iter()
            .map(|(_, rank, at)| (*rank, *at))
            .collect();
        best.sort_unstable();
        best.truncate(2);
        Self { by_process, best }
    }

    fn choose(&self, asking: usize, process: Option<usize>) -> Option<usize> {
        let from = self
            .by_process
            .partition_point(|(other, ..)| Some(*other) < process);
        let mut of_process = self
            .by_process
            .iter()
            .skip(from)
            .take_while(|(other, ..)| Some(*other) == process)
            .map(|(.., at)| *at);
        let mut best = self.best.iter().map(|(_, at)| *at);
        of_process
            .find(|at| *at != asking)
            .or_else(|| best.find(|at| *at != asking))
    }
}

/// Makes the earliest span of each cycle a root.
fn cut_cycles(nodes: &[Node], places: &mut [Place]) {
    const NEW: u32 = 0;
    // The number of the walk that first came by; a walk that meets its own number has found a cycle.
    let mut seen = vec![NEW; places.len()];
    for (start, walk) in (0..places.len()).zip(1_u32..) {
        let mut at = start;
        let met = loop {
            match seen.get_mut(at) {
                Some(mark) if *mark == NEW => *mark = walk,
                Some(mark) => break *mark == walk,
                None => break false,
            }
            match places.get(at).and_then(|place| place.parent()) {
                Some(parent) => at = parent,
                None => break false,
            }
        };
        if met {
            cut(nodes, places, at);
        }
    }
}

/// Cuts the cycle that `entry` is on.
fn cut(nodes: &[Node], places: &mut [Place], entry: usize) {
    let above = |at: usize| places.get(at).and_then(|place| place.parent());
    let members = std::iter::once(entry)
        .chain(std::iter::successors(above(entry), |at| above(*at)).take_while(|at| *at != entry));
    let first = members
        .filter_map(|at| nodes.get(at).map(|node| (node.start, at)))
        .min();
    if let Some((_, at)) = first
        && let Some(place) = places.get_mut(at)
    {
        *place = Place::Root(Root::Cycle);
    }
}

/// Log records that name no span, or one that is missing, stand below the main root if there is one.
fn place_logs_without_span(nodes: &[Node], places: &mut [Place]) {
    let root = nodes
        .iter()
        .zip(places.iter())
        .enumerate()
        .filter_map(|(at, (node, place))| {
            let rank = match place {
                Place::Root(Root::First) => 0,
                Place::Root(Root::Orphan(_)) => 1,
                Place::Root(Root::Cycle) => 2,
                Place::Root(Root::Stray) | Place::Below(_) => return None,
            };
            Some((rank, node.start, at))
        })
        .min();
    let Some((_, _, root)) = root else { return };
    for place in places
        .iter_mut()
        .filter(|place| **place == Place::Root(Root::Stray))
    {
        *place = Place::Below(root);
    }
}

/// Writes the rows, parents first, siblings by time.
fn walk(nodes: &[Node], places: &[Place]) -> Vec<Row> {
    let below = Below::new(nodes, places);
    let mut rows: Vec<Row> = Vec::with_capacity(nodes.len());
    // Nodes to write next, the nearest on top, each with the row above it.
    let mut waiting: Vec<(usize, Option<usize>, usize)> = Vec::new();
    waiting.extend(below.roots().iter().rev().map(|at| (*at, None, 0)));
    while let Some((node, parent, depth)) = waiting.pop() {
        let row = rows.len();
        rows.push(Row {
            node,
            depth,
            parent,
            size: 1,
            root: match places.get(node) {
                Some(Place::Root(root)) => Some(*root),
                _ => None,
            },
        });
        let below = below.of(node).iter().rev();
        waiting.extend(below.map(|at| (*at, Some(row), depth + 1)));
    }
    add_sizes(&mut rows);
    rows
}

/// What stands below each node, by time.
struct Below {
    /// Where those of each node begin; the roots stand after those of the last.
    starts: Vec<usize>,
    nodes: Vec<usize>,
}

impl Below {
    /// Counts, and then puts each into its place: siblings are in order since all nodes are.
    fn new(nodes: &[Node], places: &[Place]) -> Self {
        let mut by_time: Vec<(u64, usize)> = nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (node.start, at))
            .collect();
        // Mostly in order, for which this sort is the quick one.
        by_time.sort();
        let roots = places.len();
        let above = |at: usize| {
            let parent = places.get(at).and_then(|place| place.parent());
            parent.unwrap_or(roots)
        };
        let mut starts = vec![0_usize; places.len() + 2];
        for at in 0..places.len() {
            if let Some(count) = starts.get_mut(above(at) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut ends = starts.clone();
        let mut below = vec![0; places.len()];
        for (_, at) in by_time {
            if let Some(end) = ends.get_mut(above(at)) {
                if let Some(place) = below.get_mut(*end) {
                    *place = at;
                }
                *end += 1;
            }
        }
        Self {
            starts,
            nodes: below,
        }
    }

    fn of(&self, node: usize) -> &[usize] {
        let bound = |at: usize| self.starts.get(at).copied().unwrap_or(0);
        self.nodes
            .get(bound(node)..bound(node + 1))
            .unwrap_or_default()
    }

    fn roots(&self) -> &[usize] {
        self.of(self.starts.len().saturating_sub(2))
    }
}

fn add_sizes(rows: &mut [Row]) {
    for at in (0..rows.len()).rev() {
        let Some(Row {
            parent: Some(parent),
            size,
            ..
        }) = rows.get(at).copied()
        else {
            continue;
        };
        if let Some(parent) = rows.get_mut(parent) {
            parent.size += size;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
