//! The same answers from a look at every row.

use std::collections::BTreeMap;

use log_tracer_record::{
    LogRow, SpanRow,
    otlp::{
        common::any_value::Value,
        trace::{Span, span::SpanKind},
    },
};
use log_tracer_store::{
    GraphEdge, Node, NodeKind, RELATIVE_ERROR, Rate, RateGroup, RateSeries, RateStep, RatesSpec,
    TimeRange, VolumeSeries,
};
use proptest::prelude::*;

pub(crate) fn minute() -> u64 {
    60_000_000_000
}

/// The rows that are kept.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) spans: Vec<SpanRow>,
    pub(crate) logs: Vec<LogRow>,
}

/// Service, operation, kind.
type Group = (String, Option<String>, Option<SpanKind>);

/// Caller, callee, errors, and the sketch as its bytes.
pub(crate) type Edge = (Node, Node, u64, Vec<u8>);

pub(crate) fn edge(edge: GraphEdge) -> Edge {
    let bytes = edge.calls.durations.to_bytes();
    (edge.caller, edge.callee, edge.calls.errors, bytes)
}

fn nanos(span: &Span) -> u64 {
    span.end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano)
}

fn is_error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == 2)
}

fn add(rate: &mut Rate, span: &Span) {
    rate.durations.add(nanos(span));
    rate.errors += u64::from(is_error(span));
}

impl Plain {
    fn in_range(&self, range: TimeRange) -> impl Iterator<Item = &SpanRow> {
        let is_in = move |row: &&SpanRow| range.contains(row.span.start_time_unix_nano);
        self.spans.iter().filter(is_in)
    }

    pub(crate) fn rates(&self, range: TimeRange, spec: &RatesSpec) -> Vec<RateSeries> {
        let mut groups: BTreeMap<Group, BTreeMap<u64, Rate>> = BTreeMap::new();
        for row in self.in_range(range) {
            let (name, kind) = (row.span.name.clone(), row.span.kind());
            let (name, kind) = match spec.group {
                RateGroup::Service => (None, None),
                RateGroup::Operation => (Some(name), None),
                RateGroup::OperationAndKind => (Some(name), Some(kind)),
            };
            let step = match spec.step_nano {
                0 => 0,
                step => row.span.start_time_unix_nano / step * step,
            };
            let group = (row.resource.service().to_owned(), name, kind);
            let rate = groups.entry(group).or_default().entry(step).or_default();
            add(rate, &row.span);
        }
        let mut series: Vec<RateSeries> = groups
            .into_iter()
            .map(|((service, operation, kind), rates)| {
                let mut total = Rate::default();
                rates.values().for_each(|rate| total.merge(rate));
                let steps = rates.into_iter().filter(|_| spec.step_nano > 0);
                let steps = steps.map(|(start_unix_nano, rate)| RateStep {
                    start_unix_nano,
                    rate,
                });
                RateSeries {
                    service,
                    operation,
                    kind,
                    total,
                    steps: steps.collect(),
                }
            })
            .collect();
        series.sort_by(|a, b| {
            let count = |one: &RateSeries| one.total.durations.count();
            a.service.cmp(&b.service).then(count(b).cmp(&count(a)))
        });
        series
    }

    /// Whether the quantiles of a series are those of its spans, within the error that is stated.
    pub(crate) fn check_quantiles(
        &self,
        range: TimeRange,
        series: &RateSeries,
    ) -> Result<(), TestCaseError> {
        let is_of = |row: &&SpanRow| {
            row.resource.service() == series.service
                && series
                    .operation
                    .as_ref()
                    .is_none_or(|name| *name == row.span.name)
                && series.kind.is_none_or(|kind| kind == row.span.kind())
        };
        let mut all: Vec<u64> = self
            .in_range(range)
            .filter(is_of)
            .map(|row| nanos(&row.span))
            .collect();
        all.sort_unstable();
        for part in [0.0, 0.5, 0.9, 0.95, 0.99, 1.0] {
            let rank = ((part * all.len() as f64).ceil() as usize).max(1);
            let found = series.total.durations.quantile(part).unwrap();
            let off = found.abs_diff(all[rank - 1]) as f64;
            prop_assert!(off <= RELATIVE_ERROR * all[rank - 1] as f64 + 0.5);
        }
        Ok(())
    }

    /// The edges by their definition, with all spans in one place.
    pub(crate) fn edges(&self, range: TimeRange) -> Vec<Edge> {
        let mut edges: BTreeMap<(Node, Node), Rate> = BTreeMap::new();
        let mut answered = std::collections::HashSet::new();
        let key = |trace: &bytes::Bytes, span: &bytes::Bytes| (trace.clone(), span.clone());
        let by_id: BTreeMap<_, &SpanRow> = self
            .spans
            .iter()
            .map(|row| (key(&row.span.trace_id, &row.span.span_id), row))
            .collect();
        for SpanRow { span, resource, .. } in &self.spans {
            let is_entry = matches!(span.kind(), SpanKind::Server | SpanKind::Consumer);
            let is_local = span.flags & 0x300 == 0x100;
            if span.parent_span_id.is_empty() || !is_entry && is_local {
                continue;
            }
            let parent = key(&span.trace_id, &span.parent_span_id);
            let caller = by_id.get(&parent).map(|row| row.resource.service());
            let is_other = caller.is_some_and(|caller| caller != resource.service());
            if is_other || is_entry {
                answered.insert(parent);
            }
            let is_counted = range.contains(span.start_time_unix_nano);
            let caller = match caller {
                Some(_) if !is_other => continue,
                Some(caller) => service(caller),
                None if is_entry => Node::default(),
                None => continue,
            };
            if is_counted {
                add(
                    edges
                        .entry((caller, service(resource.service())))
                        .or_default(),
                    span,
                );
            }
        }
        for SpanRow { span, resource, .. } in self.in_range(range) {
            let is_calling = matches!(span.kind(), SpanKind::Client | SpanKind::Producer);
            let is_answered = answered.contains(&key(&span.trace_id, &span.span_id));
            if let Some(peer) = peer(span).filter(|_| is_calling)
                && (peer.kind == NodeKind::Database || !is_answered)
            {
                add(
                    edges
                        .entry((service(resource.service()), peer))
                        .or_default(),
                    span,
                );
            }
        }
        let edges = edges.into_iter();
        edges
            .map(|((caller, callee), rate)| {
                (caller, callee, rate.errors, rate.durations.to_bytes())
            })
            .collect()
    }

    pub(crate) fn volume(&self, range: TimeRange, step: u64) -> Vec<VolumeSeries> {
        const LEVELS: [&str; 7] = [
            "unspecified",
            "trace",
            "debug",
            "info",
            "warn",
            "error",
            "fatal",
        ];
        let mut counts: BTreeMap<(String, usize), BTreeMap<u64, u64>> = BTreeMap::new();
        for row in &self.logs {
            let time = row.record.time_unix_nano;
            if range.contains(time) {
                let level = (row.record.severity_number as usize).div_ceil(4);
                let steps = counts
                    .entry((row.resource.service().to_owned(), level))
                    .or_default();
                *steps
                    .entry(time.checked_div(step).unwrap_or(0) * step)
                    .or_default() += 1;
            }
        }
        let series = counts
            .into_iter()
            .map(|((service, level), steps)| VolumeSeries {
                service,
                level: LEVELS[level],
                count: steps.values().sum(),
                steps: steps.into_iter().filter(|_| step > 0).collect(),
            });
        series.collect()
    }
}

fn service(name: &str) -> Node {
    Node {
        kind: NodeKind::Service,
        name: name.to_owned(),
    }
}

fn peer(span: &Span) -> Option<Node> {
    let text = |key: &str| {
        let found = span
            .attributes
            .iter()
            .find(|attribute| attribute.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.clone()),
            _ => None,
        }
    };
    let node = |kind, name| Some(Node { kind, name });
    if let Some(system) = text("db.system") {
        return node(NodeKind::Database, system);
    }
    if let Some(destination) = text("messaging.destination.name") {
        return node(
            NodeKind::Queue,
            format!("{} {destination}", text("messaging.system")?),
        );
    }
    let outside = ["peer.service", "server.address", "net.peer.name"];
    node(NodeKind::Outside, outside.into_iter().find_map(text)?)
}
