//! Which service calls which.
//!
//! The edges of each block and of the memory are added up, and the calls that were cut apart are put together: of each
//! called span whose parent was elsewhere, the calling span with this id is looked for in all places near in time. What a
//! called span then finds, and what is left of calling spans that nobody answered, are the rest of the edges ([`super::edges`]
//! has the rules). A caller that is not found is [`NodeKind::Unknown`]; it may be a sender that does not trace, or a span
//! that is not here yet, or one that is neither a client nor a producer and whose trace was cut right there.
//!
//! Either half of a call that was cut apart may be in any place, and fifty million spans have some three million such
//! halves. So they are put together in as many **passes** as the bytes of an answer ask for: each goes through the links of
//! all places and keeps those whose key falls to it, which are both halves of a call or neither.

use std::{cmp::Reverse, sync::Arc};

use hashbrown::HashMap;
use log_tracer_sketch::BitReader;

use super::{
    OTHER_NAME, Rate, Settings,
    links::{self, KEY_MASK, Link},
    names::OTHER,
    section::{Head, NODE_OTHER, NODE_UNKNOWN, NODES_BEFORE, Places},
    source::{Minutes, Source, Sources},
};
use crate::{
    Coverage, Stop, TimeRange,
    block::{BlockError, Malformed},
    chunk::SpanChunk,
    stop::Progress,
    table::Snapshot,
};

/// How far outside of the range the other half of a call is looked for, in minutes: a call that lasts longer than this
/// has an unknown caller when its trace was cut.
const REACH_MINUTES: u32 = 60;

/// Asks for the calls between services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphSpec {
    /// Where the called span starts, or the calling one when the other side is not a service that sends spans. Widened to
    /// whole minutes.
    pub range: TimeRange,
}

/// What a node stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeKind {
    /// Whoever called, and is not known.
    #[default]
    Unknown,
    /// A service that sends spans.
    Service,
    /// A database, by its system.
    Database,
    /// A queue, by its system and destination.
    Queue,
    /// A service that sends no spans, by its name or address.
    Outside,
}

impl NodeKind {
    /// Its number among peers, in a section.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Database => 1,
            Self::Queue => 2,
            Self::Outside => 3,
            Self::Unknown | Self::Service => 0,
        }
    }

    pub(crate) fn peer(code: u8) -> Option<Self> {
        [Self::Database, Self::Queue, Self::Outside]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// Who calls, or is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Its name; empty when it is not known. [`OTHER_NAME`] stands for those of which there were too many in a block.
    pub name: String,
}

/// Calls from one node to another.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphEdge {
    /// Who calls.
    pub caller: Node,
    /// Who is called.
    pub callee: Node,
    /// How many calls there are, how many failed, and how long they took: as the callee says when it is a service, else
    /// as the caller says.
    pub calls: Rate,
}

/// The calls between services.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceGraph {
    /// The most calls first.
    pub edges: Vec<GraphEdge>,
    /// What was asked for, in whole minutes.
    pub range: TimeRange,
    /// Spans whose parent was not found. Those that are certain to come from another process are calls from an unknown
    /// caller; of the others it is not known whether they were calls at all.
    pub unresolved: u64,
    /// Calls that a block had no room to keep one by one; the caller of some of them may be there and yet be unknown, and
    /// some that call an outside service may be of one that sends spans.
    pub unlisted: u64,
    /// What was covered.
    pub coverage: Coverage,
}

pub(crate) fn service_graph(
    snapshot: &Snapshot<SpanChunk>,
    spec: &GraphSpec,
    settings: Settings,
    answer_bytes_max: u64,
    stop: &Stop,
) -> ServiceGraph {
    let minutes = Minutes::of(spec.range);
    let mut progress = Progress::start(stop);
    snapshot.cover(minutes.range(), &mut progress.coverage);
    let mut graph = Graph {
        minutes,
        nodes: HashMap::new(),
        named: Vec::new(),
        edges: HashMap::new(),
        calling: HashMap::new(),
        called: Vec::new(),
        unlisted: 0,
        link_bytes: 0,
        bytes_max: usize::try_from(answer_bytes_max).unwrap_or(usize::MAX),
    };
    let reach = minutes.widened(REACH_MINUTES);
    let sources = Sources::new(snapshot, reach, settings, &mut progress);
    let mut unresolved = 0;
    if sources.for_each(&mut progress, |source, progress| {
        graph.add_source(source, progress)
    }) {
        let passes = graph.passes();
        for pass in 0..passes {
            let of_pass = |key: u64| key % passes == pass;
            let is_whole = sources.for_each(&mut progress, |source, progress| {
                graph.add_links(source, of_pass)?;
                Ok(graph.has_room(progress))
            });
            // What was read so far is put together also when it is not all.
            unresolved += graph.join();
            if !is_whole {
                break;
            }
        }
    }
    let unlisted = graph.unlisted;
    let edges = graph.into_edges();
    progress.coverage.matched = edges.iter().map(|edge| edge.calls.durations.count()).sum();
    ServiceGraph {
        edges,
        range: minutes.range(),
        unresolved,
        unlisted,
        coverage: progress.finish(),
    }
}

/// A calling span that was not answered where it is.
#[derive(Clone, Copy, Debug)]
struct Open {
    service: u32,
    /// Numbers of nodes; [`OTHER`] for none.
    peer: u32,
    link: Link,
    is_answered: bool,
}

/// A called span whose parent is not where it is.
#[derive(Clone, Copy, Debug)]
struct Lost {
    parent: u64,
    service: u32,
    is_entry: bool,
    link: Link,
}

/// What is known so far.
struct Graph {
    minutes: Minutes,
    /// The numbers of nodes, of all blocks.
    nodes: HashMap<(NodeKind, Arc<str>), u32>,
    named: Vec<(NodeKind, Arc<str>)>,
    edges: HashMap<(u32, u32), Rate>,
    calling: HashMap<u64, Open>,
    called: Vec<Lost>,
    unlisted: u64,
    /// Bytes of all links, as they are written.
    link_bytes: u64,
    bytes_max: usize,
}

/// The edges of a place, all minutes together: by the numbers that their ends have there. Of a block that lies in the range
/// as a whole they are the same for every question.
#[derive(Debug, Default)]
struct EdgesOf(HashMap<(u32, u32), Rate>);

impl EdgesOf {
    fn read(source: &Source<'_, SpanChunk>, minutes: Minutes) -> Result<Self, BlockError> {
        let mut edges = Self::default();
        for part in source.parts(minutes).filter(|part| part.edge_bytes > 0) {
            let (bytes, series) = source.read(part)?;
            let bytes = bytes.get(series..).unwrap_or_default();
            edges
                .add_part(source.head(), bytes)
                .map_err(|reason| source.corrupt(reason))?;
        }
        Ok(edges)
    }

    fn add_part(&mut self, head: &Head, bytes: &[u8]) -> Result<(), Malformed> {
        let (mut bits, mut places) = (BitReader::new(bytes), Places::default());
        while let Some(edge) = places.next(bits.take_gamma()?)? {
            let errors = bits.take_gamma()? - 1;
            let ends = head.edges.get(edge as usize).copied();
            let nodes = NODES_BEFORE as usize + head.services.len() + head.peers.len();
            let ends = ends.filter(|(a, b)| (*a as usize) < nodes && (*b as usize) < nodes);
            let ends = ends.ok_or_else(|| Malformed::new("an edge has no ends"))?;
            let rate = self.0.entry(ends).or_default();
            rate.durations.merge_encoded(&mut bits)?;
            rate.errors = rate.errors.saturating_add(errors);
        }
        Ok(())
    }

    /// Adds them to those of other places, in which `node` says the numbers of their ends.
    fn add_to(&self, graph: &mut Graph, node: impl Fn(u32) -> Option<u32>) {
        for ((caller, callee), rate) in &self.0 {
            if let Some(ends) = node(*caller).zip(node(*callee)) {
                graph.edge(ends).merge(rate);
            }
        }
    }

    /// Bytes of memory.
    fn bytes(&self) -> usize {
        let of_sketches = self.0.values().map(|rate| rate.durations.heap_bytes());
        self.0.capacity() * size_of::<((u32, u32), Rate)>() + of_sketches.sum::<usize>()
    }
}

/// What they take, with the room that a table leaves free.
const NODE_BYTES: usize = 160;
const EDGE_BYTES: usize = 2 * size_of::<Rate>();
const OPEN_BYTES: usize = 2 * size_of::<(u64, Open)>();
const LOST_BYTES: usize = 2 * size_of::<Lost>();

/// What a link takes at least as it is written.
const LINK_BYTES_MIN: u64 = 10;

/// More passes than any store needs that can be gone through in the time of a question.
const PASSES_MAX: u64 = 256;

impl Graph {
    /// Adds what a place knows. False when there is no more room or no more time.
    fn add_source(
        &mut self,
        source: &Source<'_, SpanChunk>,
        progress: &mut Progress<'_>,
    ) -> Result<bool, BlockError> {
        let head = source.head();
        let nodes = self.nodes_of(head);
        let node = |number: u32| nodes.get(number as usize).copied();
        let minutes = self.minutes;
        let is_whole = head.parts.iter().all(|part| minutes.contains(part.minute));
        match source.block().filter(|_| is_whole) {
            Some(block) => {
                let edges = block.edges(|| {
                    let edges = EdgesOf::read(source, minutes)?;
                    let bytes = edges.bytes();
                    Ok((edges, bytes))
                })?;
                edges.add_to(self, node);
            }
            None => EdgesOf::read(source, minutes)?.add_to(self, node),
        }
        self.unlisted += head.unlisted.0 + head.unlisted.1;
        self.link_bytes += u64::from(head.links.bytes);
        Ok(self.has_room(progress))
    }

    /// Whether the nodes and edges are not too many; says so when they are.
    fn has_room(&self, progress: &mut Progress<'_>) -> bool {
        let (bytes, max) = (self.bytes(), self.bytes_max);
        if bytes > max {
            progress.coverage.miss(format!(
                "the services and their calls take more than the {max} bytes that an answer may: ask for a shorter time"
            ));
        }
        bytes <= max
    }

    fn bytes(&self) -> usize {
        self.nodes.len() * NODE_BYTES + self.edges.len() * EDGE_BYTES
    }

    /// In how many passes the halves of calls are put together, so that those of one fit into what is left.
    fn passes(&self) -> u64 {
        let left = self
            .bytes_max
            .saturating_sub(self.bytes())
            .max(self.bytes_max / 4) as u64;
        let links = self.link_bytes / LINK_BYTES_MIN;
        (links * OPEN_BYTES.max(LOST_BYTES) as u64)
            .div_ceil(left.max(1))
            .clamp(1, PASSES_MAX)
    }

    /// Adds the links of a place whose keys are of this pass.
    fn add_links(
        &mut self,
        source: &Source<'_, SpanChunk>,
        of_pass: impl Fn(u64) -> bool,
    ) -> Result<(), BlockError> {
        let nodes = self.nodes_of(source.head());
        let links = source.read_links()?;
        self.read_links(source.head(), &links, &nodes, of_pass)
            .map_err(|reason| source.corrupt(reason))
    }

    fn read_links(
        &mut self,
        head: &Head,
        bytes: &[u8],
        nodes: &[u32],
        of_pass: impl Fn(u64) -> bool,
    ) -> Result<(), Malformed> {
        let reach = self.minutes.widened(REACH_MINUTES);
        let service = |number: u32| {
            let place = match number {
                OTHER => NODE_OTHER,
                number => number.saturating_add(NODES_BEFORE),
            };
            nodes.get(place as usize).copied().unwrap_or(OTHER)
        };
        let before = (head.services.len() as u32).saturating_add(NODES_BEFORE);
        let peer = |number: u32| {
            let place = before.checked_add(number).map(|place| place as usize);
            let node = place.and_then(|place| nodes.get(place));
            node.copied().unwrap_or(OTHER)
        };
        let (calling, called) = (&mut self.calling, &mut self.called);
        links::read(
            bytes,
            |key, of, link| {
                if of_pass(key) && reach.contains(link.minute) {
                    let open = Open {
                        service: service(link.service),
                        peer: peer(of),
                        link,
                        is_answered: false,
                    };
                    calling.insert(key, open);
                }
            },
            |parent, is_entry, link| {
                if of_pass(parent & KEY_MASK) && reach.contains(link.minute) {
                    called.push(Lost {
                        parent,
                        service: service(link.service),
                        is_entry,
                        link,
                    });
                }
            },
        )
    }

    /// The numbers of the nodes of a block, in the order in which its edges count them.
    fn nodes_of(&mut self, head: &Head) -> Vec<u32> {
        let mut nodes = vec![
            self.node(NodeKind::Unknown, &"".into()),
            self.node(NodeKind::Service, &OTHER_NAME.into()),
        ];
        for name in &head.services {
            nodes.push(self.node(NodeKind::Service, name));
        }
        for (kind, name) in &head.peers {
            nodes.push(self.node(*kind, name));
        }
        nodes
    }

    fn node(&mut self, kind: NodeKind, name: &Arc<str>) -> u32 {
        let next = self.named.len() as u32;
        let node = (kind, Arc::clone(name));
        let number = *self.nodes.entry(node.clone()).or_insert(next);
        if number == next {
            self.named.push(node);
        }
        number
    }

    fn edge(&mut self, ends: (u32, u32)) -> &mut Rate {
        self.edges.entry(ends).or_default()
    }

    fn count(&mut self, caller: u32, callee: u32, link: &Link) {
        let rate = self.edge((caller, callee));
        rate.durations.add(link.nanos);
        rate.errors += u64::from(link.is_error);
    }

    /// Puts the halves of calls together. Answers how many parents were not found.
    fn join(&mut self) -> u64 {
        let unknown = self.node(NodeKind::Unknown, &"".into());
        let mut unresolved = 0;
        for lost in std::mem::take(&mut self.called) {
            let is_counted = self.minutes.contains(lost.link.minute);
            let Some(open) = self.calling.get_mut(&(lost.parent & KEY_MASK)) else {
                unresolved += u64::from(is_counted);
                if is_counted && lost.is_entry {
                    self.count(unknown, lost.service, &lost.link);
                }
                continue;
            };
            let (caller, is_other) = (open.service, open.service != lost.service);
            open.is_answered |= is_other || lost.is_entry;
            if is_counted && is_other {
                self.count(caller, lost.service, &lost.link);
            }
        }
        for open in std::mem::take(&mut self.calling).into_values() {
            let is_counted = self.minutes.contains(open.link.minute);
            if is_counted && !open.is_answered && open.peer != OTHER {
                self.count(open.service, open.peer, &open.link);
            }
        }
        unresolved
    }

    fn into_edges(self) -> Vec<GraphEdge> {
        let node = |number: u32| {
            let named = self.named.get(number as usize);
            named.map_or_else(Node::default, |(kind, name)| Node {
                kind: *kind,
                name: name.to_string(),
            })
        };
        let edges = self.edges.into_iter();
        let mut edges: Vec<GraphEdge> = edges
            .map(|((caller, callee), calls)| GraphEdge {
                caller: node(caller),
                callee: node(callee),
                calls,
            })
            .collect();
        edges.sort_by(|a, b| {
            let key = |edge: &GraphEdge| Reverse(edge.calls.durations.count());
            (key(a), &a.caller, &a.callee).cmp(&(key(b), &b.caller, &b.callee))
        });
        edges
    }
}

/// The unknown caller stands first in every section.
const _: () = assert!(NODE_UNKNOWN == 0 && NODE_OTHER == 1 && NODES_BEFORE == 2);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use log_tracer_record::{
        ResourceContext, SpanRow,
        otlp::{
            common::{AnyValue, KeyValue, any_value::Value},
            resource::Resource,
            trace::Span,
        },
    };

    use super::*;
    use crate::{Config, Mark, Origin, Store};

    fn of_service(name: &str, span: Span) -> SpanRow {
        let service = KeyValue {
            key: "service.name".to_owned(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(name.to_owned())),
            }),
            ..KeyValue::default()
        };
        let resource = Resource {
            attributes: vec![service],
            ..Resource::default()
        };
        SpanRow {
            resource: Arc::new(ResourceContext::new(resource, String::new())),
            scope: Arc::default(),
            span,
        }
    }

    /// Calls of which the callers are in one block and the called in another.
    #[test]
    fn calls_that_were_cut_apart_are_all_put_together_however_little_room_there_is() {
        const CALLS: u64 = 3000;
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(Config::default(), directory.path()).unwrap();
        let span = |number: u64, id: u64, parent: u64, kind: i32| Span {
            trace_id: Bytes::copy_from_slice(&u128::from(number + 1).to_be_bytes()),
            span_id: Bytes::copy_from_slice(&id.to_be_bytes()),
            parent_span_id: match parent {
                0 => Bytes::new(),
                parent => Bytes::copy_from_slice(&parent.to_be_bytes()),
            },
            kind,
            start_time_unix_nano: 1_700_000_000_000_000_000 + number,
            end_time_unix_nano: 1_700_000_000_000_000_100 + number,
            ..Span::default()
        };
        let calling = (0..CALLS).map(|n| of_service("shop", span(n, 2 * n + 1, 0, 3)));
        let called = (0..CALLS).map(|n| of_service("stock", span(n, 2 * n + 2, 2 * n + 1, 2)));
        let batches: [Vec<SpanRow>; 2] = [calling.collect(), called.collect()];
        for (offset, rows) in (0..).zip(batches) {
            let origin = Origin {
                partition: 0,
                offset,
            };
            store.apply_spans(origin, &rows);
            store.seal(Mark::default()).unwrap();
            let stop = Stop::never();
            stop.cancel();
            store.maintain(&stop, &mut |_| {});
        }
        let (spans, _) = store.snapshots();
        assert_eq!(spans.blocks.len(), 2, "nothing was merged");
        let ask = |bytes_max| {
            let (spec, stop) = (GraphSpec::default(), Stop::never());
            service_graph(&spans, &spec, Settings::default(), bytes_max, &stop)
        };
        let whole = ask(u64::MAX);
        let [edge] = &whole.edges[..] else {
            panic!("{whole:?}");
        };
        assert_eq!(
            (edge.caller.name.as_str(), edge.callee.name.as_str()),
            ("shop", "stock")
        );
        assert_eq!((edge.calls.durations.count(), whole.unresolved), (CALLS, 0));
        let little = ask(20_000);
        assert_eq!((little.edges, little.unresolved), (whole.edges, 0));
        assert!(!little.coverage.partial);
        let too_little = ask(100).coverage;
        assert!(too_little.partial, "{too_little:?}");
    }
}
