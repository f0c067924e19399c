//! The tables of a trace as data: its spans, and their statistics, as the page of the trace counts them.

use serde_json::{Value, json};
use warp::reply::Response;

use super::{Call, check, coverage, json_answer};
use crate::{
    fault::Fault,
    lines::hex,
    pages::trace::{
        GroupKey, State, View, blocking, groups_of, question, sorted_groups, sorted_spans,
    },
    trace::{fields, figures::Figures, marks::marks, model::Trace, statistics::Statistics},
};

/// Spans of an answer when it is not said how many, and at most.
const SPANS_DEFAULT: usize = 100;
pub(super) const SPANS_MAX: u64 = 5_000;

/// Groups of an answer when it is not said how many, and at most.
const GROUPS_DEFAULT: usize = 100;
pub(super) const GROUPS_MAX: u64 = 5_000;

/// The furthest that an answer may begin.
pub(super) const OFFSET_MAX: u64 = 10_000_000;

/// The spans of a trace in any order.
pub(super) async fn spans(call: &Call<'_>) -> Result<Response, Fault> {
    let state = state(call, View::Spans)?;
    let limit = call.params.number("limit", 1, SPANS_MAX)?;
    let offset = call.params.number("offset", 0, OFFSET_MAX)?;
    // Both have a maximum that fits.
    let limit = limit.map_or(SPANS_DEFAULT, |limit| limit as usize);
    let offset = offset.unwrap_or(0) as usize;
    answer(call, state, move |trace, state| {
        let figures = Figures::new(trace, &trace.critical_path());
        let part = offset..offset.saturating_add(limit);
        let (rows, count) = sorted_spans(trace, &figures, state, part);
        let spans = rows.iter().filter_map(|at| span(trace, &figures, *at));
        json!({
            "traceId": hex(&state.id),
            "spans": spans.collect::<Vec<_>>(),
            "matched": count,
            "total": trace.spans.len(),
            "coverage": coverage(Some(&trace.coverage)),
        })
    })
    .await
}

/// Spans of a trace counted together.
pub(super) async fn statistics(call: &Call<'_>) -> Result<Response, Fault> {
    let state = state(call, View::Operations)?;
    let limit = call.params.number("limit", 1, GROUPS_MAX)?;
    let limit = limit.map_or(GROUPS_DEFAULT, |limit| limit as usize);
    answer(call, state, move |trace, state| {
        let figures = Figures::new(trace, &trace.critical_path());
        let mut groups = groups_of(trace, &figures, state);
        sorted_groups(&mut groups, state.order);
        let count = groups.len();
        let listed = groups.iter().take(limit).map(|(key, of)| group(key, of));
        json!({
            "traceId": hex(&state.id),
            "groups": listed.collect::<Vec<_>>(),
            "more": count.saturating_sub(limit),
            "selfNano": figures.own_total.to_string(),
            "criticalNano": figures.critical_total.to_string(),
            "coverage": coverage(Some(&trace.coverage)),
        })
    })
    .await
}

/// What is asked of a trace; the parameters are called as everywhere in this interface.
fn state(call: &Call<'_>, view: View) -> Result<State, Fault> {
    let filter = call.params.text("q");
    check(&filter)?;
    Ok(State {
        filter,
        ..State::read_as(call.id, call.params, view)?
    })
}

/// Reads a trace and makes an answer of it.
async fn answer(
    call: &Call<'_>,
    state: State,
    make: impl FnOnce(&Trace, &State) -> Value + Send + 'static,
) -> Result<Response, Fault> {
    let _slot = call.app.trace_slot().await?;
    let question = question(&state);
    let answer = call.app.ask.outline(state.id, &question).await?;
    let made = blocking(move || make(&answer.trace(&question), &state)).await?;
    json_answer(made)
}

fn span(trace: &Trace, figures: &Figures, at: usize) -> Option<Value> {
    let row = trace.rows.get(at)?;
    let item = trace.span(row)?;
    let id = |id: Option<[u8; 8]>| id.map(|id| hex(&id));
    let marks = marks(trace, row, item).into_iter();
    Some(json!({
        "spanId": id(item.id()),
        "parentSpanId": id(item.parent()),
        "service": trace.service(item.process),
        "name": trace.name(item),
        "kind": fields::kind(item.kind),
        "status": fields::status_word(item.status),
        "startTimeUnixNano": item.start.to_string(),
        "durationNano": item.duration().to_string(),
        "selfNano": figures.own(at).to_string(),
        "criticalNano": figures.critical(at).to_string(),
        "depth": row.depth + 1,
        "marks": marks.map(|mark| mark.label()).collect::<Vec<_>>(),
    }))
}

fn group(key: &GroupKey<'_>, of: &Statistics) -> Value {
    let (service, name, value) = match key {
        GroupKey::Operation(service, name) => (Some(*service), Some(*name), None),
        GroupKey::Value(value) => (None, None, Some(*value)),
        GroupKey::None => (None, None, None),
    };
    json!({
        "service": service,
        "name": name,
        "value": value,
        "spans": of.count,
        "errors": of.errors,
        "totalNano": of.total.to_string(),
        "meanNano": of.mean.to_string(),
        "minNano": of.min.to_string(),
        "p50Nano": of.p50.to_string(),
        "p95Nano": of.p95.to_string(),
        "maxNano": of.max.to_string(),
        "selfNano": of.own.to_string(),
        "criticalNano": of.critical.to_string(),
    })
}
