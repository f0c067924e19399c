//! A trace as OTLP/JSON, written piece by piece as it comes from the consumer: a download of any size takes the memory
//! of one piece.

use std::io;

use bytes::Bytes;
use http::{HeaderValue, header};
use log_tracer_proto::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use warp::reply::{Reply, Response};

use crate::{
    app::App,
    ask::{CUT_OFF, TracePieces},
    fault::Fault,
    lines::from_hex,
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

/// Answers `/trace/{id}.json`.
pub(crate) async fn spans_json(app: &App, id: &str) -> Result<Response, Fault> {
    download(app, id, Part::Spans, Some("spans")).await
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
    let trace_id = from_hex::<16>(id).ok_or_else(|| {
        Fault::missing("this is not a trace id: 32 hexadecimal digits, not all of them 0")
    })?;
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
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let disposition = file.map(|file| format!("attachment; filename=\"trace-{id}-{file}.json\""));
    // The id is 32 hexadecimal digits, so the header is always valid.
    if let Some(Ok(value)) = disposition.as_deref().map(HeaderValue::from_str) {
        headers.insert(header::CONTENT_DISPOSITION, value);
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
            items(&json::traces_to_json(&piece.resource_spans), SPANS)
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

/// The elements of the list in a document, without the brackets around it.
fn items(document: &str, key: &str) -> String {
    let inner = document
        .strip_prefix(&format!("{{\"{key}\":["))
        .and_then(|rest| rest.strip_suffix("]}"));
    inner.unwrap_or_default().to_owned()
}
