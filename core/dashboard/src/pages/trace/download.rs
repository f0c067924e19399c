//! A trace as a file. As OTLP/JSON it is written piece by piece as it comes from the consumer: a download of any size
//! takes the memory of one piece. As Jaeger's JSON it is arranged first, and takes the memory of a page.

use std::io;

use bytes::Bytes;
use log_tracer_proto::{json, otlp::trace::ResourceSpans};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use warp::reply::{Reply, Response};

use crate::{
    app::App,
    ask::{CUT_OFF, TracePieces},
    fault::Fault,
    jaeger,
    lines::from_hex,
    params::Params,
    reply,
    trace::model::Trace,
};

const SPANS: &str = "resourceSpans";
const LOGS: &str = "resourceLogs";

/// Pieces that wait for a slow reader.
const PIECES_WAITING_MAX: usize = 2;

/// Which part of a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// As OTLP's `TracesData`.
    Spans,
    /// As OTLP's `LogsData`.
    Logs,
    /// Both lists in one document, and the coverage.
    Whole,
}

/// Answers `/trace/{id}.json`: OTLP/JSON, or with `format=jaeger` what Jaeger UI opens.
pub(crate) async fn spans_json(app: &App, params: &Params, id: &str) -> Result<Response, Fault> {
    let is_jaeger = params.read("format", |text| match text {
        "otlp" => Ok(false),
        "jaeger" => Ok(true),
        _ => Err(format!("`{text}` is neither otlp nor jaeger")),
    })?;
    match is_jaeger {
        Some(true) => jaeger_json(app, id).await,
        _ => download(app, id, Part::Spans, Some("spans")).await,
    }
}

async fn jaeger_json(app: &App, id: &str) -> Result<Response, Fault> {
    let trace_id = read_id(id)?;
    let _slot = app.trace_slot().await?;
    let pieces = app.ask.trace(trace_id).await?;
    let own = app.ask.upload(&trace_id);
    let written = tokio::task::spawn_blocking(move || {
        let trace_id = own.map_or(trace_id, |upload| upload.trace_id);
        jaeger::trace_file(&Trace::new(pieces), &trace_id)
    })
    .await;
    let text = match written {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(Fault::internal(format!("a trace is no JSON: {error}"))),
        Err(error) => return Err(Fault::internal(format!("writing a trace failed: {error}"))),
    };
    let mut response = reply::json_text(text);
    reply::as_file(&mut response, &format!("trace-{id}-jaeger.json"));
    Ok(response)
}

fn read_id(id: &str) -> Result<[u8; 16], Fault> {
    from_hex::<16>(id).ok_or_else(|| {
        Fault::missing("this is not a trace id: 32 hexadecimal digits, not all of them 0")
    })
}

/// Answers `/trace/{id}/logs.json`.
pub(crate) async fn logs_json(app: &App, id: &str) -> Result<Response, Fault> {
    download(app, id, Part::Logs, Some("logs")).await
}

/// Answers `/api/v1/traces/{id}`.
pub(crate) async fn whole_json(app: &App, id: &str) -> Result<Response, Fault> {
    download(app, id, Part::Whole, None).await
}

/// With a file name for what is to be saved.
async fn download(app: &App, id: &str, part: Part, file: Option<&str>) -> Result<Response, Fault> {
    let trace_id = read_id(id)?;
    let pieces = app.ask.trace_pieces(trace_id).await?;
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let shutdown = app.shutdown.clone();
    tokio::spawn(async move {
        // Nobody is told when the browser has left; the channel is closed then, and the rest is not read.
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = write(pieces, part, &sender) => {}
        }
    });
    let mut response = warp::reply::stream(ReceiverStream::new(receiver)).into_response();
    reply::as_json(&mut response);
    if let Some(file) = file {
        reply::as_file(&mut response, &format!("trace-{id}-{file}.json"));
    }
    Ok(response)
}

type Sender = mpsc::Sender<Result<Bytes, io::Error>>;

/// The reader has left.
struct Gone;

/// Writes a document; a fault on the way breaks the connection, so that what is cut off does not look whole.
async fn write(mut pieces: TracePieces, part: Part, sender: &Sender) -> Result<(), Gone> {
    let (spans, logs) = (part != Part::Logs, part != Part::Spans);
    let mut later: Vec<String> = Vec::new();
    let mut coverage = None;
    let mut first = true;
    send(
        sender,
        format!("{{\"{}\":[", if spans { SPANS } else { LOGS }),
    )
    .await?;
    loop {
        let piece = match pieces.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) if coverage.is_some() => break,
            Ok(None) => return fail(sender, CUT_OFF).await,
            Err(fault) => return fail(sender, fault.message()).await,
        };
        let span_items = if spans {
            span_items(&piece.resource_spans)
        } else {
            String::new()
        };
        let log_items = if logs {
            items(&json::logs_to_json(&piece.resource_logs), LOGS)
        } else {
            String::new()
        };
        let now = match part {
            Part::Logs => log_items,
            _ => {
                // Logs come between the spans and stand after them.
                later.extend(Some(log_items).filter(|items| !items.is_empty()));
                span_items
            }
        };
        if !now.is_empty() {
            let comma = if first { "" } else { "," };
            first = false;
            send(sender, format!("{comma}{now}")).await?;
        }
        coverage = piece.coverage.or(coverage);
    }
    let end = match part {
        Part::Whole => format!(
            "],\"{LOGS}\":[{}],\"coverage\":{}}}\n",
            later.join(","),
            crate::api::coverage(coverage.as_ref())
        ),
        _ => "]}\n".to_owned(),
    };
    send(sender, end).await
}

async fn fail(sender: &Sender, reason: &str) -> Result<(), Gone> {
    let error = io::Error::other(reason.to_owned());
    sender.send(Err(error)).await.map_err(|_| Gone)
}

async fn send(sender: &Sender, text: String) -> Result<(), Gone> {
    sender.send(Ok(Bytes::from(text))).await.map_err(|_| Gone)
}

/// Spans as the elements of `resourceSpans`, without the brackets around them.
pub(crate) fn span_items(spans: &[ResourceSpans]) -> String {
    items(&json::traces_to_json(spans), SPANS)
}

/// The elements of the list in a document, without the brackets around it.
fn items(document: &str, key: &str) -> String {
    let inner = document
        .strip_prefix(&format!("{{\"{key}\":["))
        .and_then(|rest| rest.strip_suffix("]}"));
    inner.unwrap_or_default().to_owned()
}
