//! Services and what they call, as a graph.

pub(crate) mod layout;
pub(crate) mod lines;

use std::collections::{BTreeMap, BTreeSet};

use log_tracer_proto::v1::{GraphNode, NodeKind, ServiceGraphResponse};

use crate::red::Red;

/// What a node stands for; in the order of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Whoever called, and is not known.
    Unknown,
    /// A service that sends spans.
    Service,
    /// What sends no spans of its own.
    Outside,
    Queue,
    Database,
}

const KINDS: [(Kind, &str, &str); 5] = [
    (Kind::Unknown, "unknown", "unknown caller"),
    (Kind::Service, "service", "service"),
    (Kind::Outside, "outside", "outside service"),
    (Kind::Queue, "queue", "queue"),
    (Kind::Database, "database", "database"),
];

impl Kind {
    fn entry(self) -> (&'static str, &'static str) {
        let entry = KINDS.iter().find(|(kind, ..)| *kind == self);
        entry.map_or(("unknown", ""), |(_, key, words)| (key, words))
    }

    /// Its name in addresses and in the style sheet.
    pub(crate) fn key(self) -> &'static str {
        self.entry().0
    }

    pub(crate) fn words(self) -> &'static str {
        self.entry().1
    }
}

impl From<NodeKind> for Kind {
    fn from(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Unknown => Self::Unknown,
            NodeKind::Service => Self::Service,
            NodeKind::Database => Self::Database,
            NodeKind::Queue => Self::Queue,
            NodeKind::Outside => Self::Outside,
        }
    }
}

/// One end of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl Node {
    pub(crate) fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    pub(crate) fn service(name: &str) -> Self {
        Self::new(Kind::Service, name)
    }

    fn of(node: Option<&GraphNode>) -> Self {
        match node {
            Some(node) => Self::new(node.kind().into(), &*node.name),
            None => Self::new(Kind::Unknown, ""),
        }
    }

    /// As a parameter: `service:checkout`.
    pub(crate) fn param(&self) -> String {
        format!("{}:{}", self.kind.key(), self.name)
    }

    /// Reads [`Self::param`].
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let found = text.split_once(':').and_then(|(key, name)| {
            let (kind, ..) = KINDS.iter().find(|(_, own, _)| *own == key)?;
            Some(Self::new(*kind, name))
        });
        found.ok_or_else(|| {
            let known: Vec<&str> = KINDS.iter().map(|(_, key, _)| *key).collect();
            format!(
                "`{text}` is not a node; write its kind ({}), a colon and its name",
                known.join(", ")
            )
        })
    }

    /// What is written on it; never empty.
    pub(crate) fn label(&self) -> &str {
        match self.name.trim() {
            "" => self.kind.words(),
            name => name,
        }
    }
}

/// Calls from one node to another, by their numbers in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) caller: usize,
    pub(crate) callee: usize,
    pub(crate) calls: Red,
}

/// Nodes in the order of kind and name, and the calls between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
}

impl Graph {
    /// Of an answer, and of services that may have no edge in it.
    pub(crate) fn new<'a>(
        answer: &ServiceGraphResponse,
        services: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut calls: BTreeMap<(Node, Node), Red> = BTreeMap::new();
        for edge in &answer.edges {
            let ends = (
                Node::of(edge.caller.as_ref()),
                Node::of(edge.callee.as_ref()),
            );
            let red = Red::new(edge.calls.as_ref());
            // An answer names an edge once; of one named twice the busier counts, since quantiles do not add up.
            let own = calls.entry(ends).or_default();
            if red.count >= own.count {
                *own = red;
            }
        }
        let mut nodes: BTreeSet<Node> = services.into_iter().map(Node::service).collect();
        nodes.extend(calls.keys().flat_map(|(a, b)| [a.clone(), b.clone()]));
        Self::of(nodes, calls)
    }

    /// Of a node that nobody calls and that calls nobody.
    pub(crate) fn of_one(node: Node) -> Self {
        Self {
            nodes: vec![node],
            edges: Vec::new(),
        }
    }

    /// Of nodes, and of the calls between those.
    fn of(nodes: BTreeSet<Node>, calls: BTreeMap<(Node, Node), Red>) -> Self {
        let number: BTreeMap<&Node, usize> = nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (node, at))
            .collect();
        let mut edges: Vec<Edge> = calls
            .iter()
            .filter_map(|((caller, callee), calls)| {
                Some(Edge {
                    caller: *number.get(caller)?,
                    callee: *number.get(callee)?,
                    calls: *calls,
                })
            })
            .collect();
        edges.sort_by_key(|edge| {
            (
                std::cmp::Reverse(edge.calls.count),
                edge.caller,
                edge.callee,
            )
        });
        Self {
            nodes: nodes.into_iter().collect(),
            edges,
        }
    }

    pub(crate) fn find(&self, node: &Node) -> Option<usize> {
        self.nodes.binary_search(node).ok()
    }

    /// The calls to a node.
    pub(crate) fn calls_to(&self, node: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.callee == node)
    }

    /// The calls from a node.
    pub(crate) fn calls_from(&self, node: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.caller == node)
    }

    /// A node with those that call it, directly or through others, and those that it calls so, up to so many steps away.
    pub(crate) fn around(&self, node: usize, steps: usize) -> Self {
        let mut kept = BTreeSet::from([node]);
        for is_upstream in [true, false] {
            let mut reached = BTreeSet::from([node]);
            for _ in 0..steps {
                let next: BTreeSet<usize> = self
                    .edges
                    .iter()
                    .filter_map(|edge| match is_upstream {
                        true => reached.contains(&edge.callee).then_some(edge.caller),
                        false => reached.contains(&edge.caller).then_some(edge.callee),
                    })
                    .collect();
                reached.extend(next);
            }
            kept.extend(reached);
        }
        self.only(&kept, usize::MAX)
    }

    /// The nodes with the most calls, and the busiest of the calls between them; `first` is among the nodes.
    pub(crate) fn busiest(&self, nodes_max: usize, edges_max: usize, first: Option<usize>) -> Self {
        let mut kept: BTreeSet<usize> = first.into_iter().collect();
        // The edges are sorted by their calls.
        let by_calls = self
            .edges
            .iter()
            .flat_map(|edge| [edge.caller, edge.callee]);
        for node in by_calls.chain(0..self.nodes.len()) {
            if kept.len() >= nodes_max {
                break;
            }
            kept.insert(node);
        }
        self.only(&kept, edges_max)
    }

    fn only(&self, kept: &BTreeSet<usize>, edges_max: usize) -> Self {
        let node = |number: &usize| self.nodes.get(*number).cloned();
        let nodes: BTreeSet<Node> = kept.iter().filter_map(node).collect();
        let calls = self
            .edges
            .iter()
            .filter(|edge| kept.contains(&edge.caller) && kept.contains(&edge.callee))
            .take(edges_max)
            .filter_map(|edge| Some(((node(&edge.caller)?, node(&edge.callee)?), edge.calls)))
            .collect();
        Self::of(nodes, calls)
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::{GraphEdge, Rate};
    use proptest::prelude::*;

    use super::*;

    fn answer(edges: &[(&str, &str, u64)]) -> ServiceGraphResponse {
        let node = |name: &str| {
            Some(GraphNode {
                kind: NodeKind::Service.into(),
                name: name.to_owned(),
            })
        };
        ServiceGraphResponse {
            edges: edges
                .iter()
                .map(|(caller, callee, count)| GraphEdge {
                    caller: node(caller),
                    callee: node(callee),
                    calls: Some(Rate {
                        count: *count,
                        ..Rate::default()
                    }),
                })
                .collect(),
            ..ServiceGraphResponse::default()
        }
    }

    fn names(graph: &Graph) -> Vec<&str> {
        graph.nodes.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn a_service_without_calls_is_a_node() {
        let graph = Graph::new(&answer(&[("a", "b", 1)]), ["c", "a"]);
        assert_eq!(names(&graph), ["a", "b", "c"]);
        assert_eq!(graph.edges.len(), 1);
    }

    #[test]
    fn around_a_node_are_its_callers_and_what_it_calls_but_not_what_those_call_besides() {
        let calls = answer(&[
            ("a", "b", 1),
            ("b", "c", 1),
            ("c", "d", 1),
            ("a", "x", 1),
            ("y", "c", 1),
        ]);
        let graph = Graph::new(&calls, []);
        let b = graph.find(&Node::service("b")).unwrap();
        assert_eq!(names(&graph.around(b, 1)), ["a", "b", "c"]);
        assert_eq!(names(&graph.around(b, 2)), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_crowd_is_cut_to_the_busiest_and_the_one_asked_for() {
        let calls = answer(&[("a", "b", 9), ("b", "c", 5), ("d", "e", 1)]);
        let graph = Graph::new(&calls, []);
        assert_eq!(names(&graph.busiest(3, 9, None)), ["a", "b", "c"]);
        let e = graph.find(&Node::service("e"));
        let cut = graph.busiest(3, 1, e);
        assert_eq!(names(&cut), ["a", "b", "e"]);
        assert_eq!(cut.edges.len(), 1);
    }

    proptest! {
        #[test]
        fn a_node_of_any_name_survives_its_address(name in "\\PC{0,20}", kind in 0_usize..5) {
            let node = Node::new(KINDS[kind].0, name);
            prop_assert_eq!(Node::parse(&node.param()), Ok(node));
        }
    }
}
