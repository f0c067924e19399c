//! The JSON interface below `/api/v1`: the same questions as the pages, for programs.
//!
//! [`table`] has every operation with its address, its parameters and its answer. Requests are dispatched by that table,
//! a handler sees no parameter that the table does not name, and `/api/v1/openapi.json` ([`openapi`]) and the page
//! `/api` ([`page`]) are written from it, so that they cannot drift apart. A test calls every operation and checks the
//! answers against the schemas.
//!
//! The range is `range` (`15m`, `6h`, `7d`, `all`; an hour when not given) or `from` and `to` (RFC 3339). As in
//! OTLP/JSON, 64-bit numbers are decimal texts and ids are hexadecimal digits. An error is `{"error": {"status",
//! "message", "advice"}}` with the status of the reply: 400 for a parameter or a query that cannot be read, 404 for what
//! is not there, 503 with `Retry-After` while the consumer is away, 504 when it takes too long.

mod answers;
mod compare;
pub(crate) mod export;
mod heatmap;
mod openapi;
pub(crate) mod page;
mod pipeline;
mod rates;
mod table;
mod tail;
mod trace;

use std::sync::Arc;

use http::StatusCode;
use log_tracer_proto::v1::{Coverage, Signal};
use log_tracer_query::parse;
use serde_json::{Value, json};
use warp::reply::Response;

use crate::{app::App, fault::Fault, params::Params, reply};

/// The addresses of all operations, for the routes of `/metrics`.
pub(crate) fn addresses() -> impl Iterator<Item = &'static str> {
    table::OPERATIONS.iter().map(|operation| operation.path)
}

/// What a request asks.
#[derive(Debug)]
struct Call<'a> {
    app: &'a Arc<App>,
    /// Those that the operation names.
    params: &'a Params,
    /// The part of the path that the table writes as `{…}`; empty where there is none.
    id: &'a str,
}

/// Answers what stands below `/api/v1/`.
pub(crate) async fn answer(app: &Arc<App>, path: &str, params: &Params) -> Result<Response, Fault> {
    let Some((operation, id)) = table::find(path) else {
        return Err(Fault::missing("there is no such address in the interface"));
    };
    let params = params.only(|key| operation.params.iter().any(|param| param.name == key));
    let call = Call {
        app,
        params: &params,
        id,
    };
    (operation.run)(&call).await
}

fn json_answer(body: Value) -> Result<Response, Fault> {
    Ok(reply::json(StatusCode::OK, &body))
}

/// How much of the question an answer covers.
pub(crate) fn coverage(coverage: Option<&Coverage>) -> Value {
    let coverage = coverage.cloned().unwrap_or_default();
    json!({
        "partial": coverage.partial,
        "reasons": coverage.reasons,
        "scanned": coverage.scanned.to_string(),
        "matched": coverage.matched.to_string(),
        "leftOut": coverage.left_out.to_string(),
        "tookMicros": coverage.took_us.to_string(),
    })
}

/// A coverage with one more reason.
fn covered(own: Option<Coverage>, reason: Option<String>) -> Value {
    let mut own = own.unwrap_or_default();
    own.reasons.extend(reason);
    coverage(Some(&own))
}

/// Which kind of record is asked about; logs when it is not said.
fn signal(params: &Params) -> Result<Signal, Fault> {
    let signal = params.read("signal", |text| match text {
        "spans" => Ok(Signal::Spans),
        "logs" => Ok(Signal::Logs),
        _ => Err(format!("`{text}` is neither spans nor logs")),
    })?;
    Ok(signal.unwrap_or(Signal::Logs))
}

fn check(q: &str) -> Result<(), Fault> {
    parse(q)
        .map(|_| ())
        .map_err(|error| Fault::input(format!("q: {error}")))
}
