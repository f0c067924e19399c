//! Version 1 of Jaeger's query API.

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use log_tracer_proto::{
    json::decode_traces,
    otlp::trace::span::SpanKind,
    v1::{GetTraceResponse, ListOperationsRequest, NodeKind, ServiceGraphRequest, TimeRange},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use warp::reply::{Reply, Response};

use super::{
    Call, convert, document, envelope,
    find::{Find, go_duration, unix_time},
    is_set, metrics, read, trace_id,
};
use crate::{
    app::App,
    clock,
    fault::Fault,
    reply,
    trace::{fields, model::Trace},
    units::{DAY, bytes},
};

/// Traces that wait for a slow reader.
const TRACES_WAITING_MAX: usize = 1;

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// Ids that one request may name.
const IDS_MAX: usize = 200;

/// Answers an address; none when there is none of that name.
pub(super) async fn answer(call: &Call<'_>) -> Option<Result<Response, Fault>> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    Some(match path.as_slice() {
        ["services"] => services(call).await,
        ["services", service, "operations"] => operation_names(call, service).await,
        ["operations"] => operations(call).await,
        ["traces"] => search(call).await,
        ["traces", id] => one(call, id).await,
        ["dependencies"] => dependencies(call).await,
        ["metrics", "minstep"] => metrics::min_step(call),
        ["metrics", name] => metrics::answer(call, name).await?,
        _ => return None,
    })
}

/// A fault in the shape of this version.
pub(super) fn fault(app: &App, fault: &Fault) -> Response {
    let status = fault.status();
    let body = json!({
        "data": null,
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": [{"code": status.as_u16(), "msg": fault.message()}],
    });
    reply::fault_as(&app.log, fault, &body)
}

/// Names of services with spans, as Jaeger knows no others.
pub(super) async fn service_names(app: &App) -> Result<Vec<String>, Fault> {
    let services = app.ask.services().await?;
    Ok(services
        .into_iter()
        .filter(|service| service.span_count > 0)
        .map(|service| service.service)
        .collect())
}

async fn services(call: &Call<'_>) -> Result<Response, Fault> {
    let names = service_names(call.app).await?;
    Ok(document(call.params, &envelope(&json!(names))))
}

async fn operation_names(call: &Call<'_>, service: &str) -> Result<Response, Fault> {
    let operations = named_operations(call.app, service, None).await?;
    let mut names: Vec<&str> = operations.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    Ok(document(call.params, &envelope(&json!(names))))
}

async fn operations(call: &Call<'_>) -> Result<Response, Fault> {
    let Some(service) = call.params.get("service") else {
        return Err(Fault::input("parameter 'service' is required"));
    };
    let kind = call.params.get("spanKind");
    let operations = named_operations(call.app, service, kind).await?;
    let operations: Vec<Value> = operations
        .iter()
        .map(|(name, kind)| json!({"name": name, "spanKind": kind}))
        .collect();
    Ok(document(call.params, &envelope(&json!(operations))))
}

/// Names and kinds of the spans of a service, in order; a kind that is not said is empty.
pub(super) async fn named_operations(
    app: &App,
    service: &str,
    kind: Option<&str>,
) -> Result<Vec<(String, &'static str)>, Fault> {
    if service.is_empty() {
        return Err(Fault::input("parameter 'service' is required"));
    }
    let request = ListOperationsRequest {
        service: service.to_owned(),
    };
    let found = app.ask.operations(request).await?;
    let mut operations: Vec<(String, &'static str)> = found
        .operations
        .into_iter()
        .map(|operation| {
            let own = SpanKind::try_from(operation.kind).unwrap_or_default();
            let own = match own {
                SpanKind::Unspecified => "",
                own => fields::kind(own),
            };
            (operation.name, own)
        })
        .filter(|(_, own)| kind.is_none_or(|kind| kind == *own))
        .collect();
    operations.sort();
    operations.dedup();
    Ok(operations)
}

async fn one(call: &Call<'_>, id: &str) -> Result<Response, Fault> {
    let id = trace_id(id)?;
    is_set(call.params, "raw")?;
    let pretty = is_set(call.params, "prettyPrint")?;
    let _slot = call.app.trace_slot().await?;
    let pieces = found(call.app, id).await?;
    let text = tokio::task::spawn_blocking(move || render(pieces, id, Vec::new(), pretty)).await;
    let text =
        text.map_err(|error| Fault::internal(format!("writing a trace failed: {error}")))??;
    Ok(reply::json_text(format!(
        "{{\"data\":[{text}],\"total\":1,\"limit\":0,\"offset\":0,\"errors\":null}}\n"
    )))
}

/// The pieces of a trace; a trace of log records alone is none for Jaeger.
async fn found(app: &App, id: [u8; 16]) -> Result<Vec<GetTraceResponse>, Fault> {
    let missing = || Fault::missing("trace not found");
    match app.ask.trace(id).await {
        Err(fault) if fault.status() == StatusCode::NOT_FOUND => Err(missing()),
        Err(fault) => Err(fault),
        Ok(pieces) if pieces.iter().all(|piece| piece.resource_spans.is_empty()) => Err(missing()),
        Ok(pieces) => Ok(pieces),
    }
}

fn render(
    pieces: Vec<GetTraceResponse>,
    id: [u8; 16],
    warnings: Vec<String>,
    pretty: bool,
) -> Result<String, Fault> {
    let trace = Trace::new(pieces);
    let trace = convert::trace(&trace, &id, warnings);
    let text = if pretty {
        serde_json::to_string_pretty(&trace)
    } else {
        serde_json::to_string(&trace)
    };
    text.map_err(|error| Fault::internal(format!("a trace is no JSON: {error}")))
}

/// Traces by a search or by their ids, each written when it was read: an answer of any size takes the memory of two.
async fn search(call: &Call<'_>) -> Result<Response, Fault> {
    is_set(call.params, "raw")?;
    let pretty = is_set(call.params, "prettyPrint")?;
    let named: Vec<&str> = call.params.all("traceID").collect();
    let (ids, limit) = if named.is_empty() {
        let find = Find::v1(call.params, clock::now())?;
        let found = call.app.ask.search_traces(find.request()).await?;
        let ids = found
            .traces
            .iter()
            .filter_map(|trace| <[u8; 16]>::try_from(trace.trace_id.as_ref()).ok());
        (ids.collect::<Vec<_>>(), find.limit)
    } else if named.len() > IDS_MAX {
        return Err(Fault::input(format!(
            "a request may name at most {IDS_MAX} traces"
        )));
    } else {
        let ids: Result<Vec<_>, Fault> = named.iter().map(|id| trace_id(id)).collect();
        (ids?, 0)
    };
    let (sender, receiver) = mpsc::channel(TRACES_WAITING_MAX);
    let writer = Writer {
        app: Arc::clone(call.app),
        pretty,
        by_id: !named.is_empty(),
        limit,
        sender,
    };
    tokio::spawn(async move {
        let shutdown = writer.app.shutdown.clone();
        // Nobody is told when the reader has left; the channel is closed then, and the rest is not read.
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = writer.write(ids) => {}
        }
    });
    let mut response = warp::reply::stream(ReceiverStream::new(receiver)).into_response();
    reply::as_json(&mut response);
    Ok(response)
}

/// Writes the traces of an answer.
struct Writer {
    app: Arc<App>,
    pretty: bool,
    /// Whether a trace that is missing is said.
    by_id: bool,
    limit: u32,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
}

/// The reader has left, or was sent away.
struct Gone;

impl Writer {
    async fn write(&self, ids: Vec<[u8; 16]>) -> Result<(), Gone> {
        self.send("{\"data\":[".to_owned()).await?;
        let (mut total, mut written, mut errors) = (0_usize, 0_usize, Vec::new());
        let room = self.app.config.trace_bytes_max;
        let asked = ids.len();
        for (at, id) in ids.into_iter().enumerate() {
            let is_full = written > room;
            let text = match self.trace(id, at + 1 < asked && is_full).await {
                Ok(text) => text,
                Err(fault) if fault.status() == StatusCode::NOT_FOUND => {
                    // Of a search it left in the meantime, or has log records only.
                    if self.by_id {
                        let id = crate::lines::hex(&id);
                        errors.push(json!({"code": 404, "msg": fault.message(), "traceID": id}));
                    }
                    continue;
                }
                Err(fault) => return self.fail(&fault).await,
            };
            written += text.len();
            let comma = if total > 0 { "," } else { "" };
            self.send(format!("{comma}{text}")).await?;
            total += 1;
            if is_full {
                break;
            }
        }
        let errors = if errors.is_empty() {
            Value::Null
        } else {
            Value::from(errors)
        };
        let limit = self.limit;
        self.send(format!(
            "],\"total\":{total},\"limit\":{limit},\"offset\":0,\"errors\":{errors}}}\n"
        ))
        .await
    }

    async fn trace(&self, id: [u8; 16], is_last_of_more: bool) -> Result<String, Fault> {
        let _slot = self.app.trace_slot().await?;
        let pieces = found(&self.app, id).await?;
        let pretty = self.pretty;
        let mut warnings = Vec::new();
        if is_last_of_more {
            warnings.push(format!(
                "more traces were found; an answer ends after {}",
                bytes(self.app.config.trace_bytes_max as u64)
            ));
        }
        let text = tokio::task::spawn_blocking(move || render(pieces, id, warnings, pretty)).await;
        text.map_err(|error| Fault::internal(format!("writing a trace failed: {error}")))?
    }

    /// Breaks the connection, so that what is cut off does not look whole.
    async fn fail(&self, fault: &Fault) -> Result<(), Gone> {
        let error = io::Error::other(fault.message().to_owned());
        self.sender.send(Err(error)).await.map_err(|_| Gone)
    }

    async fn send(&self, text: String) -> Result<(), Gone> {
        self.sender
            .send(Ok(Bytes::from(text)))
            .await
            .map_err(|_| Gone)
    }
}

/// Calls between services; databases and queues are none for Jaeger.
async fn dependencies(call: &Call<'_>) -> Result<Response, Fault> {
    let end = call.params.read("endTs", unix_time)?;
    let end = end.unwrap_or_else(clock::now);
    let lookback = call.params.read("lookback", |text| {
        text.parse::<u64>()
            .ok()
            .and_then(|millis| millis.checked_mul(MILLISECOND))
            .map_or_else(|| go_duration(text), Ok)
    })?;
    let service = call.params.get("service");
    let request = ServiceGraphRequest {
        range: Some(TimeRange {
            start_unix_nano: end.saturating_sub(lookback.unwrap_or(DAY)),
            end_unix_nano: end.saturating_add(1),
        }),
        ..ServiceGraphRequest::default()
    };
    let graph = call.app.ask.service_graph(request).await?;
    let mut links: BTreeMap<(String, String), u64> = BTreeMap::new();
    for edge in graph.edges {
        let (Some(caller), Some(callee)) = (edge.caller, edge.callee) else {
            continue;
        };
        let is_between_services =
            caller.kind() == NodeKind::Service && callee.kind() == NodeKind::Service;
        let is_wanted =
            service.is_none_or(|service| caller.name == service || callee.name == service);
        if is_between_services && is_wanted {
            let calls = edge.calls.map_or(0, |calls| calls.count);
            let link = links.entry((caller.name, callee.name)).or_default();
            *link = link.saturating_add(calls);
        }
    }
    let links: Vec<Value> = links
        .into_iter()
        .map(|((parent, child), calls)| json!({"parent": parent, "child": child, "callCount": calls}))
        .collect();
    Ok(document(call.params, &envelope(&json!(links))))
}

/// Spans in OTLP/JSON as Jaeger's traces.
pub(super) async fn transform(body: Vec<u8>) -> Result<Response, Fault> {
    let written = tokio::task::spawn_blocking(move || {
        let request = decode_traces(&body).map_err(|error| Fault::input(error.to_string()))?;
        let traces: Result<Vec<String>, Fault> = read::by_trace(request.resource_spans, Vec::new())
            .into_iter()
            .map(|(id, piece)| render(vec![piece], id, Vec::new(), false))
            .collect();
        traces.map(|traces| (traces.len(), traces.join(",")))
    })
    .await;
    let (total, traces) =
        written.map_err(|error| Fault::internal(format!("writing a trace failed: {error}")))??;
    Ok(reply::json_text(format!(
        "{{\"data\":[{traces}],\"total\":{total},\"limit\":0,\"offset\":0,\"errors\":null}}\n"
    )))
}
