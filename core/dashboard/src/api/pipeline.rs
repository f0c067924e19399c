//! How the pipeline went lately, and what producers refused.

use futures_util::future::join_all;
use log_tracer_proto::v1::{ClientClass, ProducerStatusResponse, StatusSample};
use serde_json::{Value, json};
use warp::reply::Response;

use super::{Call, coverage, json_answer};
use crate::fault::Fault;

/// The samples that the consumers keep.
pub(super) async fn history(call: &Call<'_>) -> Result<Response, Fault> {
    let found = call.app.ask.status_history().await?;
    json_answer(json!({
        "stepMillis": found.step_ms.to_string(),
        "samples": found.samples.iter().map(sample).collect::<Vec<_>>(),
        "coverage": coverage(found.coverage.as_ref()),
    }))
}

fn sample(sample: &StatusSample) -> Value {
    let lags = sample
        .lags
        .iter()
        .map(|lag| json!({"partition": lag.partition, "envelopes": lag.envelopes.to_string()}));
    json!({
        "timeUnixNano": sample.time_unix_nano.to_string(),
        "lags": lags.collect::<Vec<_>>(),
        "appliedSpans": sample.applied_spans.to_string(),
        "appliedLogs": sample.applied_logs.to_string(),
        "appliedBytes": sample.applied_bytes.to_string(),
        "logBytes": sample.log_bytes.map(|number| number.to_string()),
        "diskBytes": sample.disk_bytes.map(|number| number.to_string()),
        "processBytes": sample.process_bytes.map(|number| number.to_string()),
    })
}

/// What each producer that is known tells; one that is away has no status.
pub(super) async fn producers(call: &Call<'_>) -> Result<Response, Fault> {
    let asked = call.app.producers.iter().map(|producer| async move {
        let (away, status) = match producer.status().await {
            Ok(status) => (String::new(), Some(self::status(&status))),
            Err(away) => (away, None),
        };
        json!({"address": producer.address, "away": away, "status": status})
    });
    json_answer(json!({ "producers": join_all(asked).await }))
}

fn status(status: &ProducerStatusResponse) -> Value {
    let refused = status.refused.iter().map(|one| {
        json!({"reason": one.reason, "count": one.count.to_string(), "retryable": one.retryable})
    });
    let recent = status.recent.iter().map(|one| {
        json!({
            "reason": one.reason,
            "message": one.message,
            "count": one.count.to_string(),
            "firstUnixNano": one.first_unix_nano.to_string(),
            "lastUnixNano": one.last_unix_nano.to_string(),
            "port": one.port,
            "client": match one.client() {
                ClientClass::Unspecified => "unspecified",
                ClientClass::ThisMachine => "thisMachine",
                ClientClass::PrivateNetwork => "privateNetwork",
                ClientClass::Elsewhere => "elsewhere",
            },
        })
    });
    json!({
        "startedUnixNano": status.started_unix_nano.to_string(),
        "health": status.health,
        "requestsStored": status.requests_stored.to_string(),
        "spansAccepted": status.spans_accepted.to_string(),
        "logsAccepted": status.logs_accepted.to_string(),
        "spansRejected": status.spans_rejected.to_string(),
        "logsRejected": status.logs_rejected.to_string(),
        "bytesReceived": status.bytes_received.to_string(),
        "inflightBytes": status.inflight_bytes.to_string(),
        "inflightBytesMax": status.inflight_bytes_max.to_string(),
        "connectionsOpen": status.connections_open.to_string(),
        "connectionsRefused": status.connections_refused.to_string(),
        "connectionsMax": status.connections_max.to_string(),
        "refused": refused.collect::<Vec<_>>(),
        "recent": recent.collect::<Vec<_>>(),
    })
}
