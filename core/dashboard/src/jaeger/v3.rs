//! Version 3 of Jaeger's query API: OTLP in its JSON, as its gateway writes it.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use log_tracer_proto::v1::TraceSummary;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use warp::reply::{Reply, Response};

use super::{
    Call,
    find::Find,
    is_set, trace_id,
    v1::{named_operations, service_names},
};
use crate::{app::App, ask::TracePieces, clock, fault::Fault, lines::hex, pages, reply};

/// Pieces that wait for a slow reader.
const PIECES_WAITING_MAX: usize = 2;

/// Answers an address; none when there is none of that name.
pub(super) async fn answer(call: &Call<'_>) -> Option<Result<Response, Fault>> {
    let path: Vec<&str> = call.path.iter().skip(1).map(String::as_str).collect();
    Some(match path.as_slice() {
        ["services"] => services(call).await,
        ["operations"] => operations(call).await,
        ["traces"] => search(call).await,
        ["traces", id] => one(call, id).await,
        ["trace-summaries"] => summaries(call).await,
        _ => return None,
    })
}

/// A fault in the shape of this version.
pub(super) fn fault(app: &App, fault: &Fault) -> Response {
    let status = fault.status();
    let body = json!({"error": {
        "grpcCode": grpc_code(status),
        "httpCode": status.as_u16(),
        "message": fault.message(),
        "httpStatus": status.canonical_reason().unwrap_or_default(),
    }});
    reply::fault_as(&app.log, fault, &body)
}

/// The code of gRPC that goes with a status of HTTP.
fn grpc_code(status: StatusCode) -> u8 {
    match status {
        StatusCode::BAD_REQUEST => 3,
        StatusCode::GATEWAY_TIMEOUT => 4,
        StatusCode::NOT_FOUND => 5,
        StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::METHOD_NOT_ALLOWED => 12,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 13,
    }
}

async fn services(call: &Call<'_>) -> Result<Response, Fault> {
    let names = service_names(call.app).await?;
    Ok(reply::json(StatusCode::OK, &json!({"services": names})))
}

async fn operations(call: &Call<'_>) -> Result<Response, Fault> {
    let kind = call.params.get("spanKind").or(call.params.get("span_kind"));
    let service = call.params.text("service");
    let operations = named_operations(call.app, &service, None).await?;
    let operations: Vec<Value> = operations
        .iter()
        // As in Jaeger, a kind that is not said is `internal`.
        .map(|(name, own)| (name, if own.is_empty() { "internal" } else { own }))
        .filter(|(_, own)| kind.is_none_or(|kind| kind == *own))
        .map(|(name, own)| json!({"name": name, "spanKind": own}))
        .collect();
    Ok(reply::json(
        StatusCode::OK,
        &json!({"operations": operations}),
    ))
}

async fn one(call: &Call<'_>, id: &str) -> Result<Response, Fault> {
    let id = trace_id(id)?;
    for names in [["startTime", "start_time"], ["endTime", "end_time"]] {
        for name in names {
            // A trace is found by its id alone; a time that cannot be read is still a mistake.
            call.params.read(name, clock::from_param)?;
        }
    }
    is_set(call.params, "rawTraces")?;
    is_set(call.params, "raw_traces")?;
    let missing = || Fault::missing("No traces found");
    let first = match call.app.ask.trace_pieces(id).await {
        Err(fault) if fault.status() == StatusCode::NOT_FOUND => return Err(missing()),
        first => first?,
    };
    // A trace of log records alone is none for Jaeger.
    if !first.has_spans() {
        return Err(missing());
    }
    Ok(stream(call.app, first, Vec::new()))
}

async fn search(call: &Call<'_>) -> Result<Response, Fault> {
    let find = Find::v3(call.params)?;
    let found = call.app.ask.search_traces(find.request()).await?;
    let mut ids: Vec<[u8; 16]> = found
        .traces
        .iter()
        .filter_map(|trace| <[u8; 16]>::try_from(trace.trace_id.as_ref()).ok())
        .rev()
        .collect();
    let none = || Fault::missing("No traces found");
    let first = ids.pop().ok_or_else(none)?;
    let first = call.app.ask.trace_pieces(first).await?;
    Ok(stream(call.app, first, ids))
}

/// Writes traces piece by piece, as they come; `ids` are those after the first, the next one last.
fn stream(app: &Arc<App>, first: TracePieces, ids: Vec<[u8; 16]>) -> Response {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let shutdown = app.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            written = write(&app, first, ids, &sender) => {
                if let Err(Some(fault)) = written {
                    // What is cut off must not look whole. The reader may have left, too.
                    let error = io::Error::other(fault.message().to_owned());
                    let _ = sender.send(Err(error)).await;
                }
            }
        }
    });
    let mut response = warp::reply::stream(ReceiverStream::new(receiver)).into_response();
    reply::as_json(&mut response);
    response
}

type Sender = mpsc::Sender<Result<Bytes, io::Error>>;

/// The error is a fault, or none when the reader has left.
async fn write(
    app: &App,
    first: TracePieces,
    mut ids: Vec<[u8; 16]>,
    sender: &Sender,
) -> Result<(), Option<Fault>> {
    let send = async |text: String| sender.send(Ok(Bytes::from(text))).await.map_err(|_| None);
    send("{\"result\":{\"resourceSpans\":[".to_owned()).await?;
    let mut next = Some(first);
    let mut is_first = true;
    while let Some(mut pieces) = next.take() {
        let mut is_whole = false;
        while let Some(piece) = pieces.next().await.map_err(Some)? {
            is_whole = piece.coverage.is_some();
            let items = pages::trace::span_items(&piece.resource_spans);
            if !items.is_empty() {
                let comma = if is_first { "" } else { "," };
                is_first = false;
                send(format!("{comma}{items}")).await?;
            }
        }
        if !is_whole {
            return Err(Some(Fault::consumer(crate::ask::CUT_OFF)));
        }
        while let (None, Some(id)) = (&next, ids.pop()) {
            next = match app.ask.trace_pieces(id).await {
                Ok(pieces) => Some(pieces),
                // It left in the meantime.
                Err(fault) if fault.status() == StatusCode::NOT_FOUND => None,
                Err(fault) => return Err(Some(fault)),
            };
        }
    }
    send("]}}\n".to_owned()).await
}

async fn summaries(call: &Call<'_>) -> Result<Response, Fault> {
    let find = Find::v3(call.params)?;
    let found = call.app.ask.search_traces(find.request()).await?;
    if found.traces.is_empty() {
        return Ok(reply::json(StatusCode::OK, &json!({})));
    }
    let summaries: Vec<Value> = found.traces.iter().map(summary).collect();
    Ok(reply::json(
        StatusCode::OK,
        &json!({"summaries": summaries}),
    ))
}

fn summary(trace: &TraceSummary) -> Value {
    let end = trace.start_unix_nano.saturating_add(trace.duration_nano);
    let services: Vec<Value> = trace
        .services
        .iter()
        .map(|service| {
            json!({
                "name": service.service,
                "spanCount": service.span_count,
                "errorSpanCount": service.error_count,
            })
        })
        .collect();
    json!({
        // Front ends refuse a whole page for an id of another length.
        "traceId": format!("{:0>32}", hex(&trace.trace_id)),
        "rootServiceName": trace.root_service,
        "rootOperationName": trace.root_name,
        "minStartTimeUnixNano": trace.start_unix_nano.to_string(),
        "maxEndTimeUnixNano": end.to_string(),
        "spanCount": trace.span_count,
        "errorSpanCount": trace.error_count,
        "orphanSpanCount": trace.orphan_count,
        "services": services,
    })
}
