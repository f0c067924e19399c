//! Opens a file with traces: looked at like those that are stored, and kept in memory only.
//!
//! The form sends the file as `multipart/form-data` and works without a script; a program may send the file itself with
//! its own content type, `application/json` or `application/x-ndjson`.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use multer::Multipart;
use serde::Serialize;
use warp::reply::Response;

use crate::{
    app::App,
    fault::Fault,
    lines::{hex, trace_href},
    reply, units,
    uploads::{self, Upload},
    views::Shell,
    visitor::Visitor,
};

/// The field of the form.
const FIELD: &str = "file";

/// What a file is called that has no name.
const UNNAMED: &str = "a file";

const SHELL: Shell<'_> = Shell {
    title: "Open a file",
    section: "traces",
    refresh_s: None,
};

#[derive(Debug, Serialize)]
struct View {
    /// The largest file.
    room: String,
    /// What all files together may take.
    room_of_all: String,
    /// The file that was opened, and its traces.
    file: String,
    traces: Vec<TraceView>,
}

#[derive(Debug, Serialize)]
struct TraceView {
    id: String,
    href: String,
}

/// Answers `GET /open`.
pub(crate) fn form(app: &App, visitor: &Visitor) -> Result<Response, Fault> {
    page(app, visitor, &[])
}

/// Answers `POST /open`.
pub(crate) async fn open(
    app: &App,
    visitor: &Visitor,
    headers: &HeaderMap,
    body: Vec<u8>,
) -> Result<Response, Fault> {
    let (name, file) = file(headers, body).await?;
    let _slot = app.trace_slot().await?;
    let read = tokio::task::spawn_blocking(move || uploads::read(&file)).await;
    let traces =
        read.map_err(|error| Fault::internal(format!("reading a file failed: {error}")))??;
    let kept = app.ask.keep_upload(&name, traces)?;
    match kept.as_slice() {
        [only] => Ok(reply::see_other(&trace_href(&hex(&only.place), ""))),
        several => page(app, visitor, several),
    }
}

/// The name and the content of the file in a body.
async fn file(headers: &HeaderMap, body: Vec<u8>) -> Result<(String, Bytes), Fault> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let plain = kind.split(';').next().unwrap_or_default().trim();
    if matches!(plain, "application/json" | "application/x-ndjson") {
        return Ok((UNNAMED.to_owned(), body.into()));
    }
    let boundary = multer::parse_boundary(kind)
        .map_err(|_| Fault::input("a file comes as multipart/form-data or as application/json"))?;
    let whole = stream::iter([Ok::<Bytes, Infallible>(body.into())]);
    let mut parts = Multipart::new(whole, boundary);
    let broken = |error: multer::Error| Fault::input(format!("the form cannot be read: {error}"));
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        if part.name() != Some(FIELD) {
            continue;
        }
        let name = part.file_name().unwrap_or_default().trim().to_owned();
        let content = part.bytes().await.map_err(broken)?;
        if content.is_empty() {
            break;
        }
        let name = if name.is_empty() {
            UNNAMED.to_owned()
        } else {
            name
        };
        return Ok((name, content));
    }
    Err(Fault::input("no file was chosen, or it is empty"))
}

fn page(app: &App, visitor: &Visitor, opened: &[Upload]) -> Result<Response, Fault> {
    let view = View {
        room: units::bytes(app.config.upload_bytes_max as u64),
        room_of_all: units::bytes(app.config.uploads_bytes_max as u64),
        file: opened
            .first()
            .map_or_else(String::new, |upload| upload.file.clone()),
        traces: opened
            .iter()
            .map(|upload| TraceView {
                id: hex(&upload.trace_id),
                href: trace_href(&hex(&upload.place), ""),
            })
            .collect(),
    };
    let page = app.views.page("open.html", &SHELL, visitor, &view)?;
    Ok(reply::html(StatusCode::OK, page))
}
