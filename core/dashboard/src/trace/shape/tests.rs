//! The merge, and traces for other tests.

use log_tracer_proto::{
    otlp::{
        common::{AnyValue, KeyValue, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span, Status, status::StatusCode},
    },
    v1::GetTraceResponse,
};
use proptest::prelude::*;

use super::*;
use crate::trace::model::SpanItem;

/// A span of the service `s`; a parent of 0 is none.
pub(crate) fn span(id: u8, parent: u8, name: &str, times: (u64, u64)) -> Span {
    span_of("s", id, parent, name, times)
}

/// A span that says its service in its trace state, from where [`trace_of`] takes it.
pub(crate) fn span_of(
    service: &str,
    id: u8,
    parent: u8,
    name: &str,
    (start, end): (u64, u64),
) -> Span {
    Span {
        span_id: vec![id; 8].into(),
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            vec![parent; 8]
        }
        .into(),
        name: name.to_owned(),
        trace_state: service.to_owned(),
        // A start of zero is none.
        start_time_unix_nano: start + 1,
        end_time_unix_nano: end + 1,
        ..Span::default()
    }
}

/// Each span below the one before.
pub(crate) fn chain(length: u64) -> Vec<Span> {
    (0..length)
        .map(|n| Span {
            span_id: (n + 1).to_be_bytes().to_vec().into(),
            parent_span_id: if n == 0 {
                Vec::new()
            } else {
                n.to_be_bytes().to_vec()
            }
            .into(),
            ..span(0, 0, "walk", (n, 2 * length - n))
        })
        .collect()
}

pub(crate) fn trace_of(spans: Vec<Span>) -> Trace {
    let resource_spans = spans
        .into_iter()
        .map(|span| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![KeyValue {
                    key: "service.name".to_owned(),
                    value: Some(AnyValue {
                        value: Some(Value::StringValue(span.trace_state.clone())),
                    }),
                    ..KeyValue::default()
                }],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        })
        .collect();
    Trace::new(vec![GetTraceResponse {
        resource_spans,
        ..GetTraceResponse::default()
    }])
}

pub(crate) fn shape_of(spans: Vec<Span>) -> Shape {
    Shape::new(&trace_of(spans))
}

/// Few ids, names and services, so that all kinds of clashes, cycles, orphans and merges come up.
pub(crate) fn any_trace() -> impl Strategy<Value = Trace> {
    let one = (
        1_u8..10,
        0_u8..12,
        0_u64..60,
        0_u64..60,
        prop::sample::select(vec!["a", "b"]),
        prop::sample::select(vec!["x", "y", "z"]),
        0_i32..7,
        any::<bool>(),
    );
    let span = one.prop_map(
        |(id, parent, start, length, service, name, kind, is_error)| Span {
            kind,
            status: is_error.then(|| Status {
                code: StatusCode::Error.into(),
                ..Status::default()
            }),
            ..span_of(service, id, parent, name, (start, start + length))
        },
    );
    prop::collection::vec(span, 0..30).prop_map(trace_of)
}

/// Path, count and total of each node.
fn written(shape: &Shape) -> Vec<(String, u64, u64)> {
    let name = |at: usize| {
        let node = &shape.nodes[at];
        shape.step(node).unwrap().name.clone()
    };
    (0..shape.nodes.len())
        .map(|at| {
            let mut path = vec![name(at)];
            let above = std::iter::successors(shape.nodes[at].parent, |at| shape.nodes[*at].parent);
            path.extend(above.map(name));
            path.reverse();
            let sums = shape.nodes[at].sums;
            (path.join("/"), sums.count, sums.total)
        })
        .collect()
}

#[test]
fn spans_of_the_same_path_are_merged_even_below_different_parents() {
    let shape = shape_of(vec![
        span(1, 0, "root", (0, 100)),
        span(2, 1, "call", (0, 30)),
        span(3, 1, "call", (30, 50)),
        span(4, 2, "query", (0, 10)),
        span(5, 3, "query", (30, 35)),
        span(6, 1, "query", (60, 70)),
    ]);
    assert_eq!(
        written(&shape),
        [
            ("root".to_owned(), 1, 100),
            ("root/call".to_owned(), 2, 50),
            ("root/call/query".to_owned(), 2, 15),
            ("root/query".to_owned(), 1, 10),
        ]
    );
    assert_eq!(shape.nodes[0].sums.own, 40);
    assert_eq!(shape.nodes[0].whole.own, 100);
}

#[test]
fn service_and_kind_keep_spans_apart() {
    let server = Span {
        kind: 2,
        ..span(3, 1, "call", (0, 10))
    };
    let shape = shape_of(vec![
        span(1, 0, "root", (0, 100)),
        span(2, 1, "call", (0, 10)),
        server,
        span_of("t", 4, 1, "call", (0, 10)),
    ]);
    assert_eq!(shape.nodes.len(), 4);
}

#[test]
fn cycles_orphans_and_several_roots_are_roots_of_the_tree() {
    let shape = shape_of(vec![
        span(1, 2, "ring", (0, 10)),
        span(2, 1, "ring", (1, 9)),
        span(3, 77, "orphan", (20, 30)),
        span(4, 0, "root", (40, 50)),
        span(5, 0, "root", (60, 70)),
    ]);
    assert_eq!(
        written(&shape),
        [
            ("ring".to_owned(), 1, 10),
            ("ring/ring".to_owned(), 1, 8),
            ("orphan".to_owned(), 1, 10),
            ("root".to_owned(), 2, 20),
        ]
    );
}

#[test]
fn a_trace_with_only_logs_has_no_shape() {
    let trace = Trace::new(vec![GetTraceResponse {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![LogRecord::default()],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
        ..GetTraceResponse::default()
    }]);
    let shape = Shape::new(&trace);
    assert!(shape.nodes.is_empty() && shape.children(None).next().is_none());
}

#[test]
fn a_filter_leaves_what_it_finds_and_what_is_above_it() {
    let trace = trace_of(vec![
        span(1, 0, "root", (0, 100)),
        span(2, 1, "left", (0, 40)),
        span(3, 2, "deep", (5, 10)),
        span(4, 1, "right", (50, 90)),
        span(5, 4, "deep", (60, 70)),
    ]);
    let narrowed = |trace: &Trace, name: &str| {
        let items = trace.rows.iter().map(|row| trace.span(row).unwrap());
        let matches: Vec<bool> = items.map(|item| trace.name(item) == name).collect();
        Shape::narrowed(trace, &trace.critical_path(), Some(&matches))
    };
    let names = |shape: &Shape| -> Vec<(String, u64)> {
        let nodes = shape.nodes.iter();
        nodes
            .map(|node| (shape.step(node).unwrap().name.clone(), node.sums.matched))
            .collect()
    };
    let text = |name: &str, matched| (name.to_owned(), matched);
    let shape = narrowed(&trace, "right");
    assert_eq!(names(&shape), [text("root", 0), text("right", 1)]);
    // What stays has its own numbers, as without a filter.
    assert_eq!(shape.nodes[0].sums.own, 20);
    let shape = narrowed(&trace, "deep");
    assert_eq!(shape.nodes.len(), 5);
    assert_eq!(shape.whole().matched, 2);
    assert!(narrowed(&trace, "none").nodes.is_empty());
}

#[test]
fn a_hundred_thousand_spans_in_a_chain_do_not_overflow_the_stack() {
    let shape = shape_of(chain(100_000));
    assert_eq!(shape.nodes.len(), 100_000);
    assert_eq!(shape.nodes[0].whole.count, 100_000);
    assert_eq!(shape.nodes.last().unwrap().depth, 99_999);
}

#[test]
fn a_path_has_the_same_name_in_every_trace() {
    let one = shape_of(vec![span(1, 0, "a", (0, 9)), span(2, 1, "b", (1, 2))]);
    let other = shape_of(vec![
        span(3, 0, "a", (5, 9)),
        span(4, 3, "x", (6, 7)),
        span(5, 3, "b", (8, 9)),
    ]);
    assert_eq!(one.nodes[0].path, other.nodes[0].path);
    assert_eq!(one.nodes[1].path, other.nodes[2].path);
    assert_ne!(other.nodes[1].path, other.nodes[2].path);
}

proptest! {
    #[test]
    fn the_sums_of_the_tree_are_those_of_the_spans(trace in any_trace()) {
        let shape = Shape::new(&trace);
        let whole = shape.whole();
        let own = self_times(&trace.nodes, &trace.rows);
        prop_assert_eq!(whole.count, trace.spans.len() as u64);
        prop_assert_eq!(whole.errors, trace.spans.iter().filter(|span| span.is_error()).count() as u64);
        prop_assert_eq!(whole.total, trace.spans.iter().map(SpanItem::duration).sum::<u64>());
        prop_assert_eq!(whole.own, own.iter().sum::<u64>());
        let main = trace.main.and_then(|main| trace.span(&trace.rows[main]));
        prop_assert_eq!(whole.critical, main.map_or(0, SpanItem::duration));
    }

    #[test]
    fn nodes_form_a_forest_whose_siblings_differ(trace in any_trace()) {
        let shape = Shape::new(&trace);
        for (at, node) in shape.nodes.iter().enumerate() {
            let children: Vec<usize> = shape.children(Some(at)).collect();
            let mut steps: Vec<usize> = children.iter().map(|child| shape.nodes[*child].step).collect();
            steps.sort_unstable();
            steps.dedup();
            prop_assert_eq!(steps.len(), children.len());
            let mut whole = node.sums;
            for child in &children {
                prop_assert_eq!(shape.nodes[*child].parent, Some(at));
                prop_assert_eq!(shape.nodes[*child].depth, node.depth + 1);
                whole.add(&shape.nodes[*child].whole);
            }
            prop_assert_eq!(whole, node.whole);
            prop_assert_eq!(shape.find(node.path), Some(at));
        }
        let roots: u64 = shape.children(None).map(|root| shape.nodes[root].whole.count).sum();
        prop_assert_eq!(roots, trace.spans.len() as u64);
    }
}
