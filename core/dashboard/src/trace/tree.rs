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
pub(crate) fn arrange(nodes: &[Node]) -> Vec<Row> {
    let index = Index::new(nodes);
    let mut places: Vec<Place> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| index.place(at, node))
        .collect();
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

/// Spans by id.
struct Index<'a> {
    nodes: &'a [Node],
    /// Sorted.
    by_id: Vec<(Id, usize)>,
}

impl<'a> Index<'a> {
    fn new(nodes: &'a [Node]) -> Self {
        let mut by_id: Vec<(Id, usize)> = nodes
            .iter()
            .enumerate()
            .filter_map(|(at, node)| Some((node.id?, at)))
            .collect();
        by_id.sort_unstable();
        Self { nodes, by_id }
    }

    /// The spans of an id, except one.
    fn spans(&self, id: Id, except: usize) -> impl Iterator<Item = (usize, &'a Node)> {
        let from = self.by_id.partition_point(|(other, _)| *other < id);
        self.by_id
            .iter()
            .skip(from)
            .take_while(move |(other, _)| *other == id)
            .filter(move |(_, at)| *at != except)
            .filter_map(|(_, at)| Some((*at, self.nodes.get(*at)?)))
    }

    fn place(&self, at: usize, node: &Node) -> Place {
        if let Some(caller) = self.caller_of_shared_id(at, node) {
            return Place::Below(caller);
        }
        let Some(wanted) = node.parent else {
            return Place::Root(if node.id.is_some() {
                Root::First
            } else {
                Root::Stray
            });
        };
        match self.choose(wanted, at, node) {
            Some(parent) => Place::Below(parent),
            None if node.id == Some(wanted) => Place::Root(Root::Cycle),
            None if node.id.is_none() => Place::Root(Root::Stray),
            None => Place::Root(Root::Orphan(wanted)),
        }
    }

    /// Some senders give both sides of a call the same id (as Zipkin did): the callee stands below the caller.
    fn caller_of_shared_id(&self, at: usize, node: &Node) -> Option<usize> {
        if node.side != Side::Callee {
            return None;
        }
        self.spans(node.id?, at)
            .find(|(_, other)| other.side == Side::Caller)
            .map(|(other, _)| other)
    }

    /// Of several spans with the wanted id, the one of the same process, then the callee, then the first.
    fn choose(&self, wanted: Id, at: usize, node: &Node) -> Option<usize> {
        self.spans(wanted, at)
            .min_by_key(|(other, span)| {
                (
                    span.process != node.process,
                    span.side != Side::Callee,
                    *other,
                )
            })
            .map(|(other, _)| other)
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
    // Children of the same parent stand together, roots first.
    let mut order: Vec<(Option<usize>, u64, usize)> = places
        .iter()
        .zip(nodes)
        .enumerate()
        .map(|(at, (place, node))| (place.parent(), node.start, at))
        .collect();
    order.sort_unstable();
    let children = |parent: Option<usize>| {
        let from = order.partition_point(|(other, ..)| *other < parent);
        let to = order.partition_point(|(other, ..)| *other <= parent);
        order.get(from..to).unwrap_or_default()
    };

    let mut rows: Vec<Row> = Vec::with_capacity(nodes.len());
    // Nodes to write next, the nearest on top, each with the row above it.
    let mut waiting: Vec<(usize, Option<usize>, usize)> = children(None)
        .iter()
        .rev()
        .map(|(_, _, at)| (*at, None, 0))
        .collect();
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
        let below = children(Some(node))
            .iter()
            .rev()
            .map(|(_, _, at)| (*at, Some(row), depth + 1));
        waiting.extend(below);
    }
    add_sizes(&mut rows);
    rows
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
