//! The query API of Jaeger, so that Jaeger UI and Grafana's Jaeger data source work on top of log-tracer: what they ask
//! for as the address of Jaeger is the address of the dashboard itself.
//!
//! | address | answer |
//! |---|---|
//! | `GET /api/services` | names of services that sent spans |
//! | `GET /api/services/{service}/operations` | names of its spans |
//! | `GET /api/operations?service=&spanKind=` | names and kinds |
//! | `GET /api/traces?service=&…` | whole traces; [`find`] has the parameters |
//! | `GET /api/traces?traceID=&traceID=` | whole traces by their ids |
//! | `GET /api/traces/{id}` | a whole trace; [`convert`] has its shape |
//! | `GET /api/dependencies?endTs=&lookback=` | which service calls which, and how often |
//! | `GET /api/metrics/latencies`, `calls`, `errors`, `minstep` | what the Monitor tab shows; [`metrics`] has the parameters |
//! | `POST /api/transform` | spans in OTLP/JSON as Jaeger's traces; nothing is kept |
//! | `GET /api/v3/services`, `/api/v3/operations` | as above, in the shape of version 3 |
//! | `GET /api/v3/traces?query.…`, `/api/v3/traces/{id}` | OTLP/JSON within `result` |
//! | `GET /api/v3/trace-summaries?query.…` | traces in a line each |
//!
//! None of it collides with `/api/v1/…`, which is log-tracer's own. Version 1 wraps its lists in `{"data", "total",
//! "limit", "offset", "errors"}`, and says a fault as `errors: [{"code", "msg"}]` with `data: null`; version 3 says
//! `{"error": {"httpCode", "message", "grpcCode", "httpStatus"}}`. Both have the status of the reply in them. Faults are
//! `application/json`, where Jaeger itself sends the same bytes as plain text.
//!
//! What differs from Jaeger: times are never shifted, and a span whose clock seems to be off has a warning; a tag of a
//! search is looked for on spans, scopes and resources, not in events; a parameter that asks for what is not there
//! (`query.filter`) is refused; there is no archive.

mod convert;
mod find;
mod metrics;
pub(crate) mod read;
mod v1;
mod v3;

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::json;
use warp::reply::Response;

pub(crate) use self::convert::{file as trace_file, plain};
use crate::{app::App, fault::Fault, params::Params, reply};

/// A request for one of Jaeger's addresses.
#[derive(Debug)]
struct Call<'a> {
    app: &'a Arc<App>,
    params: &'a Params,
    /// The parts of the path below `/api/`, decoded.
    path: Vec<String>,
}

/// Answers an address below `/api/` that is not log-tracer's own; none when Jaeger has no such address.
pub(crate) async fn answer(
    app: &Arc<App>,
    path: &str,
    params: &Result<Params, Fault>,
) -> Option<Response> {
    let path = parts(path);
    let is_v3 = path.first().is_some_and(|first| first == "v3");
    let answer = match params {
        Err(fault) => Err(fault.clone()),
        Ok(params) => {
            let call = Call { app, params, path };
            if is_v3 {
                v3::answer(&call).await?
            } else {
                v1::answer(&call).await?
            }
        }
    };
    Some(answer.unwrap_or_else(|fault| {
        if is_v3 {
            v3::fault(app, &fault)
        } else {
            v1::fault(app, &fault)
        }
    }))
}

/// Answers `POST /api/transform`.
pub(crate) async fn transform(app: &Arc<App>, body: Result<Vec<u8>, Fault>) -> Response {
    let answer = match body {
        Ok(body) => v1::transform(body).await,
        Err(fault) => Err(fault),
    };
    answer.unwrap_or_else(|fault| v1::fault(app, &fault))
}

/// The parts of a path, decoded: a service name may hold a slash.
fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect()
}

/// A list in the envelope of version 1.
fn envelope(data: &serde_json::Value) -> serde_json::Value {
    let total = data.as_array().map_or(0, Vec::len);
    json!({"data": data, "total": total, "limit": 0, "offset": 0, "errors": null})
}

/// JSON, with line breaks when `prettyPrint` asks for them.
fn document(params: &Params, value: &serde_json::Value) -> Response {
    match is_set(params, "prettyPrint") {
        Ok(true) => reply::json_text(format!("{value:#}\n")),
        _ => reply::json(StatusCode::OK, value),
    }
}

/// A parameter that is true or false, as Go reads it.
fn is_set(params: &Params, key: &str) -> Result<bool, Fault> {
    let value = params.read(key, |text| match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    })?;
    Ok(value.unwrap_or(false))
}

/// A trace id as Jaeger takes it: up to 32 hexadecimal digits, the leading zeros left away or not, or base64.
fn trace_id(text: &str) -> Result<[u8; 16], Fault> {
    use base64::Engine as _;
    let refused = || {
        Fault::input(format!(
            "`{}` is not a trace id: up to 32 hexadecimal digits, or base64, and not zero",
            crate::units::clip(text, 60)
        ))
    };
    let is_hex =
        (1..=32).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex {
        return crate::lines::from_hex::<16>(&format!("{text:0>32}")).ok_or_else(refused);
    }
    let plain: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(plain)
        .map_err(|_| refused())?;
    let id: [u8; 16] = bytes.try_into().map_err(|_| refused())?;
    if id == [0; 16] {
        Err(refused())
    } else {
        Ok(id)
    }
}

#[cfg(test)]
mod tests;
