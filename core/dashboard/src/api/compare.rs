//! Two traces side by side, as the page `/compare` has them.

use serde_json::{Value, json};
use warp::reply::Response;

use super::{Call, coverage, json_answer};
use crate::{
    fault::Fault,
    lines::hex,
    pages::compare::{Both, Id, Subject, blocking, both, order, parse_id},
    trace::{
        fields,
        shape::{
            Sums,
            compare::{Order, Pair, Side, Verdict},
        },
    },
};

/// Paths that are answered when it is not said, and at most.
const PATHS_DEFAULT: usize = 1_000;
pub(super) const PATHS_MAX: u64 = 10_000;

/// The orders, as the table names them.
pub(super) const SORTS: [&str; 5] = ["tree", "spans", "errors", "total", "self"];

/// The paths of two traces.
pub(super) async fn compare(call: &Call<'_>) -> Result<Response, Fault> {
    let id = |key: &str| -> Result<Id, Fault> {
        call.params
            .read(key, parse_id)?
            .ok_or_else(|| Fault::input(format!("{key}: the id of a trace is missing")))
    };
    let (a, b) = (id("a")?, id("b")?);
    let sort = call
        .params
        .read("sort", |text| match SORTS.contains(&text) {
            true => Ok(order(text)),
            false => Err(format!("`{text}` is not one of {}", SORTS.join(", "))),
        })?;
    let limit = call.params.number("limit", 1, PATHS_MAX)?;
    // At most PATHS_MAX, so it fits.
    let limit = limit.map_or(PATHS_DEFAULT, |limit| limit as usize);
    let _slot = call.app.trace_slot().await?;
    let both = both(call.app, a, b).await?;
    let sort = sort.unwrap_or(Order::Tree);
    json_answer(blocking(move || answer(&both, sort, limit)).await?)
}

fn answer(both: &Both, order: Order, limit: usize) -> Value {
    let all = &both.comparison;
    let paths: Vec<Value> = all
        .ordered(order)
        .into_iter()
        .take(limit)
        .filter_map(|at| Some(path(both, all.pairs.get(at)?)))
        .collect();
    json!({
        "a": subject(&both.a),
        "b": subject(&both.b),
        "counts": {
            "same": all.count(Verdict::Same),
            "changed": all.count(Verdict::Changed),
            "onlyA": all.count(Verdict::Only(Side::A)),
            "onlyB": all.count(Verdict::Only(Side::B)),
        },
        "more": all.pairs.len() - paths.len(),
        "paths": paths,
    })
}

fn subject(subject: &Subject) -> Value {
    json!({
        "traceId": hex(&subject.trace_id),
        "rootService": subject.service,
        "rootName": subject.name,
        "startTimeUnixNano": subject.start.to_string(),
        "durationNano": subject.duration().to_string(),
        "spans": subject.whole.count,
        "errors": subject.whole.errors,
        "services": subject.services,
        "logs": subject.logs,
        "paths": subject.shape.nodes.len(),
        "coverage": coverage(Some(&subject.coverage)),
    })
}

fn path(both: &Both, pair: &Pair) -> Value {
    let step = both.comparison.step(pair);
    let parent = pair
        .parent
        .and_then(|parent| both.comparison.pairs.get(parent));
    let id = |pair: &Pair| format!("{:016x}", pair.path);
    json!({
        "id": id(pair),
        "parent": parent.map(id),
        "depth": pair.depth,
        "service": step.map(|step| step.service.as_str()),
        "name": step.map(|step| step.name.as_str()),
        "kind": step.map(|step| fields::kind(step.kind())),
        "verdict": match pair.verdict {
            Verdict::Only(Side::A) => "onlyA",
            Verdict::Only(Side::B) => "onlyB",
            Verdict::Same => "same",
            Verdict::Changed => "changed",
        },
        "a": pair.a.as_ref().map(sums),
        "b": pair.b.as_ref().map(sums),
    })
}

fn sums(sums: &Sums) -> Value {
    json!({
        "spans": sums.count,
        "errors": sums.errors,
        "totalNano": sums.total.to_string(),
        "selfNano": sums.own.to_string(),
        "criticalNano": sums.critical.to_string(),
    })
}
