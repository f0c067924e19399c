//! Answers that are sums over whole minutes: rates of services and operations, and the calls between them.

use log_tracer_proto::{
    otlp::trace::span::SpanKind,
    v1::{
        GraphNode, NodeKind, Rate, RateGroup, RatesRequest, ServiceGraphRequest, Signal, TimeRange,
    },
};
use serde_json::{Map, Value, json};
use warp::reply::Response;

use super::{Call, coverage, json_answer};
use crate::{
    clock, fault::Fault, pages::logs, params::Params, range::Range, trace::fields,
    units::parse_duration,
};

/// Quantiles when none are asked for.
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// How many spans there are, how many failed, and how long they took.
pub(super) async fn rates(call: &Call<'_>) -> Result<Response, Fault> {
    let group = call.params.read("group", |text| match text {
        "service" => Ok(RateGroup::Service),
        "operation" => Ok(RateGroup::Operation),
        "kind" => Ok(RateGroup::OperationAndKind),
        _ => Err(format!("`{text}` is not one of service, operation, kind")),
    })?;
    let step = call.params.read("step", parse_duration)?.unwrap_or(0);
    let quantiles = quantiles(call.params)?;
    let range = Range::read(call.params)?;
    let range = match step {
        0 => range.bounds(clock::now()),
        _ => closed(call, range).await?,
    };
    let request = RatesRequest {
        range: Some(range),
        step_nano: step,
        group: group.unwrap_or(RateGroup::Service).into(),
        service: call.params.text("service"),
        operation: call.params.get("operation").map(str::to_owned),
        quantiles: quantiles.clone(),
        with_sketches: false,
    };
    let found = call.app.ask.rates(request).await?;
    let series = found.series.iter().map(|series| {
        let total = series.total.clone().unwrap_or_default();
        let steps = series.steps.iter().map(|step| {
            let mut own = rate(&step.rate.clone().unwrap_or_default(), &quantiles);
            let start = step.start_unix_nano.to_string();
            own.insert("startUnixNano".to_owned(), start.into());
            own
        });
        let kind = series
            .kind
            .map(|kind| fields::kind(SpanKind::try_from(kind).unwrap_or_default()));
        json!({
            "service": series.service,
            "operation": series.operation,
            "kind": kind,
            "total": rate(&total, &quantiles),
            "steps": steps.collect::<Vec<_>>(),
        })
    });
    json_answer(json!({
        "series": series.collect::<Vec<_>>(),
        "range": counted(found.range),
        "stepNano": found.step_nano.to_string(),
        "coverage": coverage(found.coverage.as_ref()),
    }))
}

/// Which service calls which.
pub(super) async fn graph(call: &Call<'_>) -> Result<Response, Fault> {
    let quantiles = quantiles(call.params)?;
    let request = ServiceGraphRequest {
        range: Some(Range::read(call.params)?.bounds(clock::now())),
        quantiles: quantiles.clone(),
        with_sketches: false,
    };
    let found = call.app.ask.service_graph(request).await?;
    let edges = found.edges.iter().map(|edge| {
        json!({
            "caller": node(edge.caller.as_ref()),
            "callee": node(edge.callee.as_ref()),
            "calls": rate(&edge.calls.clone().unwrap_or_default(), &quantiles),
        })
    });
    json_answer(json!({
        "edges": edges.collect::<Vec<_>>(),
        "range": counted(found.range),
        "unresolved": found.unresolved.to_string(),
        "unlisted": found.unlisted.to_string(),
        "coverage": coverage(found.coverage.as_ref()),
    }))
}

/// Both ends of a range, as steps need them.
async fn closed(call: &Call<'_>, range: Range) -> Result<TimeRange, Fault> {
    let kept = match range {
        Range::Last(_) => None,
        _ => logs::kept(&call.app.ask.status().await?, Signal::Spans),
    };
    let (start, end) = range.closed(clock::now(), kept);
    Ok(TimeRange {
        start_unix_nano: start,
        end_unix_nano: end,
    })
}

fn quantiles(params: &Params) -> Result<Vec<f64>, Fault> {
    let own = params.read("quantiles", |text| {
        text.split(',')
            .map(|part| match part.trim().parse::<f64>() {
                Ok(quantile) if (0.0..=1.0).contains(&quantile) => Ok(quantile),
                _ => Err(format!("`{part}` is not a number from 0 to 1")),
            })
            .collect::<Result<Vec<f64>, String>>()
    })?;
    Ok(own.unwrap_or(QUANTILES.to_vec()))
}

fn rate(rate: &Rate, quantiles: &[f64]) -> Map<String, Value> {
    let quantiles = quantiles.iter().zip(&rate.quantiles_nano);
    let quantiles: Vec<Value> = quantiles
        .map(|(quantile, nanos)| json!({"quantile": quantile, "nano": nanos.to_string()}))
        .collect();
    let numbers = [
        ("count", rate.count),
        ("errors", rate.errors),
        ("sumNano", rate.sum_nano),
        ("minNano", rate.min_nano),
        ("maxNano", rate.max_nano),
    ];
    numbers
        .into_iter()
        .map(|(name, number)| (name.to_owned(), number.to_string().into()))
        .chain([("quantiles".to_owned(), quantiles.into())])
        .collect()
}

fn counted(range: Option<TimeRange>) -> Value {
    let range = range.unwrap_or_default();
    json!({
        "startUnixNano": range.start_unix_nano.to_string(),
        "endUnixNano": range.end_unix_nano.to_string(),
    })
}

fn node(node: Option<&GraphNode>) -> Value {
    let node = node.cloned().unwrap_or_default();
    let kind = match node.kind() {
        NodeKind::Unknown => "unknown",
        NodeKind::Service => "service",
        NodeKind::Database => "database",
        NodeKind::Queue => "queue",
        NodeKind::Outside => "outside",
    };
    json!({"kind": kind, "name": node.name})
}
