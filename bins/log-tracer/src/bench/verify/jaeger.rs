//! Asks the HTTP API of Jaeger (`GET /api/traces/{id}`), which VictoriaTraces, Tempo and others answer as well. It knows
//! spans only.

use std::collections::HashSet;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{StatusCode, Uri};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

use super::Verdict;
use crate::bench::{BenchError, ledger::Ledger};

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Vec<Trace>>,
}

#[derive(Deserialize)]
struct Trace {
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "spanID")]
    span_id: String,
}

pub(super) async fn compare(
    ledger: &Ledger,
    address: &str,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Verdict, BenchError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut verdict = Verdict::of(ledger);
    for (number, trace) in ledger.traces.iter().enumerate() {
        progress(&format!("trace {number} of {}", ledger.traces.len()));
        if trace.spans == 0 {
            continue;
        }
        verdict.traces += 1;
        let path = format!("{}/api/traces/{}", address.trim_end_matches('/'), trace.id);
        let spans = spans(&client, &path).await?;
        let ids: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
        let mut missing: Vec<String> = spans
            .iter()
            .flat_map(|span| &span.references)
            .filter(|parent| !ids.contains(parent.span_id.as_str()))
            .map(|parent| parent.span_id.clone())
            .collect();
        missing.sort_unstable();
        missing.dedup();
        verdict.spans_of(trace, spans.len() as u64, ids.len() as u64, &missing);
    }
    Ok(verdict)
}

async fn spans(
    client: &Client<HttpConnector, Empty<Bytes>>,
    path: &str,
) -> Result<Vec<Span>, BenchError> {
    let wrong = |reason: String| BenchError::Wrong(format!("{path}: {reason}"));
    let uri: Uri = path
        .parse()
        .map_err(|_| BenchError::Endpoint(path.to_owned()))?;
    let response = client
        .get(uri)
        .await
        .map_err(|error| BenchError::Unreachable {
            endpoint: path.to_owned(),
            reason: error.to_string(),
        })?;
    if response.status() == StatusCode::NOT_FOUND {
        return Ok(Vec::new());
    }
    if !response.status().is_success() {
        return Err(wrong(format!("HTTP {}", response.status())));
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = body
        .collect()
        .await
        .map_err(|error| wrong(error.to_string()))?;
    let answer: Answer =
        serde_json::from_slice(&body.to_bytes()).map_err(|error| wrong(error.to_string()))?;
    let traces = answer.data.unwrap_or_default();
    Ok(traces.into_iter().flat_map(|trace| trace.spans).collect())
}
