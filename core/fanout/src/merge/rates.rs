//! Rates and the graph of services: counts added, durations by their sketches.
//!
//! Every consumer is asked for sketches, whatever the caller wants: the sketch of all is the sum of the sketches, and tells
//! the quantiles. One sum is worked out at a time, so that an answer never stands in memory decoded.

use std::{cmp::Reverse, collections::BTreeMap};

use log_tracer_proto::v1::{
    GraphEdge, GraphNode, Rate, RateSeries, RateStep, RatesResponse, ServiceGraphResponse,
};
use log_tracer_sketch::Sketch;

use super::{covering::Covering, room::Room};
use crate::fan::Round;

/// How durations are answered.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) quantiles: Vec<f64>,
    pub(crate) with_sketches: bool,
}

/// What is to be added, encoded.
#[derive(Debug, Default)]
struct Parts(Vec<Rate>);

impl Parts {
    fn add(&mut self, rate: Option<Rate>) {
        self.0.extend(rate);
    }

    /// The sum. A part whose sketch cannot be read is left out and said.
    fn sum(self, form: &Form, unreadable: &mut u64) -> Rate {
        let mut durations = Sketch::default();
        let mut errors: u64 = 0;
        for part in &self.0 {
            match Sketch::from_bytes(&part.sketch) {
                Ok(sketch) if sketch.count() == part.count => {
                    durations.merge(&sketch);
                    errors = errors.saturating_add(part.errors);
                }
                Ok(_) | Err(_) => *unreadable += 1,
            }
        }
        let quantiles = form.quantiles.iter();
        Rate {
            count: durations.count(),
            errors,
            sum_nano: durations.sum_nano(),
            min_nano: durations.min_nano().unwrap_or(0),
            max_nano: durations.max_nano().unwrap_or(0),
            quantiles_nano: quantiles
                .map(|part| durations.quantile(*part).unwrap_or(0))
                .collect(),
            sketch: match form.with_sketches {
                true => durations.to_bytes().into(),
                false => Default::default(),
            },
        }
    }
}

fn say_unreadable(unreadable: u64, covering: &mut Covering) {
    if unreadable > 0 {
        covering.miss(format!(
            "{unreadable} sketches of durations cannot be read and are left out: the consumers may be of another version"
        ));
    }
}

/// What a series is known by: service, operation, kind.
type SeriesKey = (String, Option<String>, Option<i32>);

/// The answer to `Rates`: by service, then the most spans first.
pub(crate) fn rates(
    round: Round<RatesResponse>,
    mut covering: Covering,
    form: &Form,
    answer_bytes_max: usize,
) -> RatesResponse {
    let first = round.answers.first().map(|answer| &answer.body);
    let (range, step_nano) = first.map_or((None, 0), |body| (body.range, body.step_nano));
    #[derive(Default)]
    struct Group {
        total: Parts,
        steps: BTreeMap<u64, Parts>,
    }
    let mut groups: BTreeMap<SeriesKey, Group> = BTreeMap::new();
    for series in round.answers.into_iter().flat_map(|it| it.body.series) {
        let key = (series.service, series.operation, series.kind);
        let group = groups.entry(key).or_default();
        group.total.add(series.total);
        for step in series.steps {
            let parts = group.steps.entry(step.start_unix_nano).or_default();
            parts.add(step.rate);
        }
    }
    let mut unreadable = 0;
    let mut all: Vec<RateSeries> = Vec::with_capacity(groups.len());
    for ((service, operation, kind), group) in groups {
        let total = group.total.sum(form, &mut unreadable);
        let steps = group.steps.into_iter();
        let steps = steps.map(|(start_unix_nano, parts)| RateStep {
            start_unix_nano,
            rate: Some(parts.sum(form, &mut unreadable)),
        });
        all.push(RateSeries {
            service,
            operation,
            kind,
            steps: steps.collect(),
            total: Some(total),
        });
    }
    say_unreadable(unreadable, &mut covering);
    // What does not fit is what there is the least of, whatever the service.
    let count = |one: &RateSeries| one.total.as_ref().map_or(0, |total| total.count);
    all.sort_by_key(|one| Reverse(count(one)));
    let (mut series, left_out) = Room::in_answer(answer_bytes_max).fill(all);
    covering.leave_out(left_out, "series");
    series.sort_by(|a, b| a.service.cmp(&b.service));
    RatesResponse {
        series,
        range,
        step_nano,
        coverage: Some(covering.into_message()),
    }
}

type NodeKey = (i32, String);

fn node_key(node: Option<GraphNode>) -> NodeKey {
    let node = node.unwrap_or_default();
    (node.kind, node.name)
}

fn node((kind, name): NodeKey) -> Option<GraphNode> {
    Some(GraphNode { kind, name })
}

/// The answer to `ServiceGraph`: the most calls first. A trace is in one partition, and so are both ends of a call.
pub(crate) fn graph(
    round: Round<ServiceGraphResponse>,
    mut covering: Covering,
    form: &Form,
    answer_bytes_max: usize,
) -> ServiceGraphResponse {
    let range = round.answers.first().and_then(|answer| answer.body.range);
    let mut sums: BTreeMap<(NodeKey, NodeKey), Parts> = BTreeMap::new();
    let (mut unresolved, mut unlisted) = (0_u64, 0_u64);
    for answer in round.answers {
        unresolved = unresolved.saturating_add(answer.body.unresolved);
        unlisted = unlisted.saturating_add(answer.body.unlisted);
        for edge in answer.body.edges {
            let ends = (node_key(edge.caller), node_key(edge.callee));
            sums.entry(ends).or_default().add(edge.calls);
        }
    }
    let mut unreadable = 0;
    let mut all: Vec<GraphEdge> = sums
        .into_iter()
        .map(|((caller, callee), parts)| GraphEdge {
            caller: node(caller),
            callee: node(callee),
            calls: Some(parts.sum(form, &mut unreadable)),
        })
        .collect();
    say_unreadable(unreadable, &mut covering);
    // Stable: equal ones stay in the order of their ends.
    let count = |one: &GraphEdge| one.calls.as_ref().map_or(0, |calls| calls.count);
    all.sort_by_key(|one| Reverse(count(one)));
    let (edges, left_out) = Room::in_answer(answer_bytes_max).fill(all);
    covering.leave_out(left_out, "edges");
    ServiceGraphResponse {
        edges,
        range,
        unresolved,
        unlisted,
        coverage: Some(covering.into_message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(durations: &[u64]) -> Rate {
        let mut sketch = Sketch::default();
        durations.iter().for_each(|one| sketch.add(*one));
        Rate {
            count: sketch.count(),
            errors: 1,
            sketch: sketch.to_bytes().into(),
            ..Rate::default()
        }
    }

    #[test]
    fn quantiles_are_told_from_the_sum_of_the_sketches() {
        let parts = Parts(vec![rate(&[1_000, 2_000, 3_000]), rate(&[9_000, 10_000])]);
        let form = Form {
            quantiles: vec![0.5, 1.0],
            with_sketches: false,
        };
        let mut unreadable = 0;
        let sum = parts.sum(&form, &mut unreadable);
        assert_eq!((sum.count, sum.errors, unreadable), (5, 2, 0));
        assert_eq!(
            (sum.min_nano, sum.max_nano, sum.sum_nano),
            (1_000, 10_000, 25_000)
        );
        assert!(sum.quantiles_nano[0].abs_diff(3_000) <= 30);
        assert_eq!(sum.quantiles_nano[1], 10_000);
        assert!(sum.sketch.is_empty());
    }

    #[test]
    fn what_is_no_sketch_is_left_out_and_counted() {
        let wrong = Rate {
            count: 7,
            sketch: vec![0xff; 3].into(),
            ..Rate::default()
        };
        let form = Form {
            quantiles: Vec::new(),
            with_sketches: true,
        };
        let mut unreadable = 0;
        let sum = Parts(vec![rate(&[5]), wrong]).sum(&form, &mut unreadable);
        assert_eq!((sum.count, unreadable), (1, 1));
        assert_eq!(Sketch::from_bytes(&sum.sketch).unwrap().count(), 1);
    }
}
