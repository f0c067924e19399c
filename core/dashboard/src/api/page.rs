//! The interface as a page to read, made from its table.

use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use warp::reply::Response;

use super::table::{Kind, OPERATIONS, Operation};
use crate::{app::App, fault::Fault, reply, views::Shell, visitor::Visitor};

#[derive(Debug, Serialize)]
struct View {
    /// The address of this dashboard as the visitor knows it.
    base: String,
    operations: Vec<OperationView>,
}

#[derive(Debug, Serialize)]
struct OperationView {
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    words: &'static str,
    params: Vec<ParamView>,
    answers: Vec<&'static str>,
    /// To try it, where the address needs nothing more.
    href: &'static str,
}

#[derive(Debug, Serialize)]
struct ParamView {
    name: &'static str,
    words: &'static str,
    values: String,
    example: &'static str,
}

/// Answers `/api`.
pub(crate) fn page(app: &App, visitor: &Visitor, headers: &HeaderMap) -> Result<Response, Fault> {
    // The guard lets only hosts of ours through.
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("127.0.0.1:8080");
    let view = View {
        base: format!("http://{host}"),
        operations: OPERATIONS.iter().map(operation).collect(),
    };
    let shell = Shell {
        title: "Interfaces",
        section: "",
        refresh_s: None,
    };
    let page = app.views.page("api.html", &shell, visitor, &view)?;
    Ok(reply::html(StatusCode::OK, page))
}

fn operation(operation: &Operation) -> OperationView {
    let is_stream = operation
        .answer
        .iter()
        .any(|(kind, _)| *kind == "text/event-stream");
    let href = if operation.path.contains('{') || is_stream {
        ""
    } else {
        operation.path
    };
    OperationView {
        id: operation.id,
        path: operation.path,
        summary: operation.summary,
        words: operation.words,
        params: operation
            .params
            .iter()
            .map(|param| ParamView {
                name: param.name,
                words: param.words,
                values: match param.kind {
                    Kind::Text => String::new(),
                    Kind::Choice(choices) => choices.join(", "),
                    Kind::Number(min, max) => format!("{min} to {max}"),
                },
                example: param.example,
            })
            .collect(),
        answers: operation.answer.iter().map(|(kind, _)| *kind).collect(),
        href,
    }
}
