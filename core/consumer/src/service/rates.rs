//! `Rates` and `ServiceGraph`: requests as questions to the store, answers as messages.

use std::cmp::Reverse;

use log_tracer_proto::v1;
use log_tracer_store::{
    GraphEdge, GraphSpec, Node, NodeKind, Rate, RateGroup, RateSeries, Rates, RatesSpec,
    ServiceGraph, TimeRange,
};
use tonic::Status;

use super::{
    answer::{Covered, Room},
    request::{invalid, range},
};
use crate::QueryConfig;

const MINUTE_NANO: u64 = 60_000_000_000;

/// How durations are answered.
#[derive(Clone, Debug)]
pub(super) struct Form {
    quantiles: Vec<f64>,
    with_sketches: bool,
}

impl Form {
    pub(super) fn of_rates(
        request: &v1::RatesRequest,
        config: &QueryConfig,
    ) -> Result<Self, Status> {
        Self::new(&request.quantiles, request.with_sketches, config)
    }

    pub(super) fn of_graph(
        request: &v1::ServiceGraphRequest,
        config: &QueryConfig,
    ) -> Result<Self, Status> {
        Self::new(&request.quantiles, request.with_sketches, config)
    }

    fn new(quantiles: &[f64], with_sketches: bool, config: &QueryConfig) -> Result<Self, Status> {
        let (count, max) = (quantiles.len(), config.rate_quantiles_max);
        if count > max as usize {
            return Err(invalid(
                "quantiles",
                format!("expected at most {max} quantiles, got {count}"),
            ));
        }
        if let Some(wrong) = quantiles.iter().find(|part| !(0.0..=1.0).contains(*part)) {
            return Err(invalid(
                "quantiles",
                format!("expected 0 to 1 (0.99 is the 99th percentile), got {wrong}"),
            ));
        }
        Ok(Self {
            quantiles: quantiles.to_vec(),
            with_sketches,
        })
    }

    fn rate(&self, rate: &Rate) -> v1::Rate {
        let durations = &rate.durations;
        let quantiles = self.quantiles.iter();
        v1::Rate {
            count: durations.count(),
            errors: rate.errors,
            sum_nano: durations.sum_nano(),
            min_nano: durations.min_nano().unwrap_or(0),
            max_nano: durations.max_nano().unwrap_or(0),
            quantiles_nano: quantiles
                .map(|part| durations.quantile(*part).unwrap_or(0))
                .collect(),
            sketch: match self.with_sketches {
                true => durations.to_bytes().into(),
                false => Default::default(),
            },
        }
    }
}

pub(super) fn spec(request: &v1::RatesRequest, config: &QueryConfig) -> Result<RatesSpec, Status> {
    let range = range(request.range)?;
    let step_nano = request.step_nano;
    if !step_nano.is_multiple_of(MINUTE_NANO) {
        return Err(invalid(
            "step_nano",
            format!(
                "expected a multiple of {MINUTE_NANO}, which is a minute, or 0, got {step_nano}"
            ),
        ));
    }
    let start = range.start_unix_nano;
    let end = range.end_unix_nano.filter(|end| *end > start);
    match (end, step_nano) {
        (Some(_), 0) => {}
        (Some(end), step) => {
            let steps = (end - 1) / step - start / step + 1;
            let max = u64::from(config.histogram_steps_max);
            if steps > max {
                return Err(invalid(
                    "step_nano",
                    format!("the range has {steps} steps of this width, expected at most {max}"),
                ));
            }
        }
        (None, 0) if range.end_unix_nano.is_none() => {}
        (None, _) => return Err(invalid("range", "expected an end after the start")),
    }
    let group = match v1::RateGroup::try_from(request.group) {
        Ok(v1::RateGroup::Service) => RateGroup::Service,
        Ok(v1::RateGroup::Operation) => RateGroup::Operation,
        Ok(v1::RateGroup::OperationAndKind) => RateGroup::OperationAndKind,
        Err(_) => return Err(invalid("group", format!("{} is no group", request.group))),
    };
    Ok(RatesSpec {
        range,
        step_nano,
        group,
        service: Some(request.service.clone()).filter(|service| !service.is_empty()),
        operation: request.operation.clone(),
    })
}

pub(super) fn graph_spec(request: &v1::ServiceGraphRequest) -> Result<GraphSpec, Status> {
    Ok(GraphSpec {
        range: range(request.range)?,
    })
}

pub(super) fn answer(
    mut rates: Rates,
    mut covered: Covered,
    form: &Form,
    config: &QueryConfig,
) -> v1::RatesResponse {
    let count = |series: &RateSeries| series.total.durations.count();
    // What does not fit is what there is the least of, whatever the service.
    rates.series.sort_by_key(|series| Reverse(count(series)));
    let over = rates
        .series
        .len()
        .saturating_sub(config.rate_series_max as usize);
    if over > 0 {
        rates.series.truncate(config.rate_series_max as usize);
        covered.reasons.push(format!(
            "{over} series are left out, those with the fewest spans: {} are answered at most",
            config.rate_series_max
        ));
    }
    let mut room = Room::in_answer(config.answer_bytes_max);
    let series = rates.series.iter().map(|one| v1::RateSeries {
        service: one.service.clone(),
        operation: one.operation.clone(),
        kind: one.kind.map(i32::from),
        total: Some(form.rate(&one.total)),
        steps: one
            .steps
            .iter()
            .map(|step| v1::RateStep {
                start_unix_nano: step.start_unix_nano,
                rate: Some(form.rate(&step.rate)),
            })
            .collect(),
    });
    let (mut series, left_out) = room.fill(series);
    covered.leave_out(left_out, "series");
    // Stable: within a service, the most spans stay first.
    series.sort_by(|a, b| a.service.cmp(&b.service));
    v1::RatesResponse {
        series,
        range: Some(range_message(rates.range)),
        step_nano: rates.step_nano,
        coverage: Some(covered.into_message()),
    }
}

pub(super) fn graph(
    mut graph: ServiceGraph,
    mut covered: Covered,
    form: &Form,
    config: &QueryConfig,
) -> v1::ServiceGraphResponse {
    let over = graph
        .edges
        .len()
        .saturating_sub(config.graph_edges_max as usize);
    if over > 0 {
        graph.edges.truncate(config.graph_edges_max as usize);
        covered.reasons.push(format!(
            "{over} edges are left out, those with the fewest calls: {} are answered at most",
            config.graph_edges_max
        ));
    }
    let mut room = Room::in_answer(config.answer_bytes_max);
    let edges = graph.edges.into_iter().map(
        |GraphEdge {
             caller,
             callee,
             calls,
         }| v1::GraphEdge {
            caller: Some(node(caller)),
            callee: Some(node(callee)),
            calls: Some(form.rate(&calls)),
        },
    );
    let (edges, left_out) = room.fill(edges);
    covered.leave_out(left_out, "edges");
    v1::ServiceGraphResponse {
        edges,
        range: Some(range_message(graph.range)),
        unresolved: graph.unresolved,
        unlisted: graph.unlisted,
        coverage: Some(covered.into_message()),
    }
}

fn node(node: Node) -> v1::GraphNode {
    let kind = match node.kind {
        NodeKind::Unknown => v1::NodeKind::Unknown,
        NodeKind::Service => v1::NodeKind::Service,
        NodeKind::Database => v1::NodeKind::Database,
        NodeKind::Queue => v1::NodeKind::Queue,
        NodeKind::Outside => v1::NodeKind::Outside,
    };
    v1::GraphNode {
        kind: i32::from(kind),
        name: node.name,
    }
}

fn range_message(range: TimeRange) -> v1::TimeRange {
    v1::TimeRange {
        start_unix_nano: range.start_unix_nano,
        end_unix_nano: range.end_unix_nano.unwrap_or(0),
    }
}
