//! The shape of a trace as a graph: operations or services, and which calls which.
//!
//! Nodes of the merged tree with the same service and name, wherever they stand, are one node of the graph, or all of a
//! service are one; a step of the tree is a call from the node above. An operation below itself calls itself; what
//! happens within a service is no call between services.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{Shape, Sums};

/// What is one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum By {
    /// Service and name.
    #[default]
    Operation,
    Service,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) service: String,
    /// None for all of a service.
    pub(crate) name: Option<String>,
    pub(crate) sums: Sums,
    /// Zero, or of how many nodes that have no place of their own this one is made.
    pub(crate) gathered: usize,
}

/// Calls from one node to another, by their numbers; the sums are those of the called spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) caller: usize,
    pub(crate) callee: usize,
    pub(crate) sums: Sums,
}

/// The graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// Those with the most time first.
    pub(crate) nodes: Vec<Node>,
    /// In the order of caller and callee.
    pub(crate) calls: Vec<Call>,
}

impl Calls {
    pub(crate) fn new(shape: &Shape, by: By) -> Self {
        let mut numbers: HashMap<(&str, Option<&str>), usize> = HashMap::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut of_merged: Vec<usize> = Vec::with_capacity(shape.nodes.len());
        let mut calls: HashMap<(usize, usize), Sums> = HashMap::new();
        // Of each step its node, so that the texts are looked up once.
        let mut of_step: Vec<Option<usize>> = vec![None; shape.steps.len()];
        for merged in &shape.nodes {
            let mut look_up = || {
                let step = shape.step(merged);
                let service = step.map_or("", |step| step.service.as_str());
                let name = step
                    .map(|step| step.name.as_str())
                    .filter(|_| by == By::Operation);
                *numbers.entry((service, name)).or_insert_with(|| {
                    nodes.push(Node {
                        service: service.to_owned(),
                        name: name.map(str::to_owned),
                        sums: Sums::default(),
                        gathered: 0,
                    });
                    nodes.len() - 1
                })
            };
            let number = match of_step.get_mut(merged.step) {
                Some(known) => *known.get_or_insert_with(look_up),
                None => look_up(),
            };
            if let Some(node) = nodes.get_mut(number) {
                node.sums.add(&merged.sums);
            }
            of_merged.push(number);
            let caller = merged
                .parent
                .and_then(|parent| of_merged.get(parent).copied());
            if let Some(caller) = caller
                && (caller != number || by == By::Operation)
            {
                calls.entry((caller, number)).or_default().add(&merged.sums);
            }
        }
        let calls = calls
            .into_iter()
            .map(|((caller, callee), sums)| Call {
                caller,
                callee,
                sums,
            })
            .collect();
        Self { nodes, calls }.sorted()
    }

    /// Numbers the nodes anew, those with the most time first.
    fn sorted(self) -> Self {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        let key = |at: &usize| {
            let node = self.nodes.get(*at);
            let time = node.map_or(0, |node| node.sums.total);
            (std::cmp::Reverse(time), *at)
        };
        order.sort_by_key(key);
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            if let Some(place) = place.get_mut(*old) {
                *place = new;
            }
        }
        let nodes = order
            .iter()
            .filter_map(|old| self.nodes.get(*old).cloned())
            .collect();
        let moved = |old: usize| place.get(old).copied().unwrap_or(0);
        Self {
            nodes,
            calls: self.mapped(moved),
        }
    }

    /// The calls between other numbers; those that become the same are added up.
    fn mapped(&self, to: impl Fn(usize) -> usize) -> Vec<Call> {
        let mut calls: BTreeMap<(usize, usize), Sums> = BTreeMap::new();
        for call in &self.calls {
            let ends = (to(call.caller), to(call.callee));
            calls.entry(ends).or_default().add(&call.sums);
        }
        calls
            .into_iter()
            .map(|((caller, callee), sums)| Call {
                caller,
                callee,
                sums,
            })
            .collect()
    }

    /// The nodes with the most time and those with errors, at most so many, with all others as one; the calls among
    /// those others are within it.
    pub(crate) fn gathered(&self, nodes_max: usize) -> Self {
        if self.nodes.len() <= nodes_max {
            return self.clone();
        }
        let room = nodes_max.saturating_sub(1);
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        // The nodes are in the order of their time already.
        order.sort_by_key(|at| self.nodes.get(*at).is_none_or(|node| node.sums.errors == 0));
        let mut kept: Vec<usize> = order.into_iter().take(room).collect();
        kept.sort_unstable();
        let rest = kept.len();
        let moved = |old: usize| kept.binary_search(&old).unwrap_or(rest);
        let mut nodes: Vec<Node> = kept
            .iter()
            .filter_map(|at| self.nodes.get(*at).cloned())
            .collect();
        let mut others = Node {
            service: String::new(),
            name: None,
            sums: Sums::default(),
            gathered: self.nodes.len() - rest,
        };
        for (at, node) in self.nodes.iter().enumerate() {
            if moved(at) == rest {
                others.sums.add(&node.sums);
            }
        }
        nodes.push(others);
        let mut calls = self.mapped(moved);
        calls.retain(|call| call.caller != rest || call.callee != rest);
        Self { nodes, calls }
    }

    /// The calls that a picture has room for: those with errors, and then those with the most time.
    pub(crate) fn busiest(&self, calls_max: usize) -> Vec<Call> {
        let mut calls = self.calls.clone();
        calls.sort_by_key(|call| {
            let sums = &call.sums;
            (
                sums.errors == 0,
                std::cmp::Reverse(sums.total),
                call.caller,
                call.callee,
            )
        });
        calls.truncate(calls_max);
        calls
    }

    /// The calls to a node.
    pub(crate) fn to(&self, node: usize) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.callee == node)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::tests::{any_trace, shape_of, span, span_of},
        *,
    };

    fn names(calls: &Calls) -> Vec<(&str, &str)> {
        let name = |at: usize| calls.nodes[at].name.as_deref().unwrap_or("");
        calls
            .calls
            .iter()
            .map(|call| (name(call.caller), name(call.callee)))
            .collect()
    }

    #[test]
    fn an_operation_is_one_node_wherever_it_is_called() {
        let shape = shape_of(vec![
            span(1, 0, "root", (0, 100)),
            span(2, 1, "left", (0, 50)),
            span(3, 1, "right", (50, 90)),
            span(4, 2, "query", (0, 10)),
            span(5, 3, "query", (50, 70)),
        ]);
        let calls = Calls::new(&shape, By::Operation);
        assert_eq!(calls.nodes.len(), 4);
        let query = calls
            .nodes
            .iter()
            .find(|node| node.name.as_deref() == Some("query"));
        assert_eq!(query.unwrap().sums.count, 2);
        assert_eq!(query.unwrap().sums.total, 30);
        assert_eq!(
            names(&calls),
            [
                ("root", "left"),
                ("root", "right"),
                ("left", "query"),
                ("right", "query")
            ]
        );
    }

    #[test]
    fn an_operation_below_itself_calls_itself_but_a_service_does_not() {
        let shape = shape_of(vec![
            span(1, 0, "walk", (0, 100)),
            span(2, 1, "walk", (10, 90)),
        ]);
        assert_eq!(
            names(&Calls::new(&shape, By::Operation)),
            [("walk", "walk")]
        );
        let services = Calls::new(&shape, By::Service);
        assert_eq!((services.nodes.len(), services.calls.len()), (1, 0));
    }

    #[test]
    fn of_many_nodes_those_with_time_and_errors_are_kept_and_the_rest_is_one() {
        let mut spans = vec![span(1, 0, "root", (0, 1000))];
        spans.extend((2..=20).map(|n| span_of("s", n, 1, &format!("op {n}"), (0, u64::from(n)))));
        spans[1].status = Some(log_tracer_proto::otlp::trace::Status {
            code: 2,
            ..Default::default()
        });
        let calls = Calls::new(&shape_of(spans), By::Operation).gathered(5);
        let kept: Vec<&str> = calls
            .nodes
            .iter()
            .filter_map(|node| node.name.as_deref())
            .collect();
        assert_eq!(kept, ["root", "op 20", "op 19", "op 2"]);
        assert_eq!(calls.nodes[4].gathered, 16);
        assert_eq!(calls.calls.len(), 4);
    }

    proptest! {
        #[test]
        fn every_span_is_in_a_node_and_every_child_in_a_call(trace in any_trace(), nodes_max in 1_usize..6) {
            let shape = Shape::new(&trace);
            let whole = shape.whole();
            for by in [By::Operation, By::Service] {
                let all = Calls::new(&shape, by);
                for calls in [all.clone(), all.gathered(nodes_max)] {
                    let mut sums = Sums::default();
                    calls.nodes.iter().for_each(|node| sums.add(&node.sums));
                    prop_assert_eq!(sums, whole);
                    prop_assert!(calls.calls.iter().all(|call| call.caller.max(call.callee) < calls.nodes.len()));
                }
                if by == By::Operation {
                    let roots: u64 = shape.children(None).map(|root| shape.nodes[root].sums.count).sum();
                    let called: u64 = all.calls.iter().map(|call| call.sums.count).sum();
                    prop_assert_eq!(called + roots, whole.count);
                }
            }
            prop_assert!(Calls::new(&shape, By::Operation).gathered(nodes_max).nodes.len() <= nodes_max.max(1));
        }
    }
}
