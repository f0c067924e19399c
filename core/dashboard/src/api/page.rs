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
    words: Vec<Piece>,
    params: Vec<ParamView>,
    answers: Vec<&'static str>,
    /// To try it, where the address needs nothing more.
    href: &'static str,
}

#[derive(Debug, Serialize)]
struct ParamView {
    name: &'static str,
    words: Vec<Piece>,
    values: String,
    example: &'static str,
}

/// A piece of a sentence.
#[derive(Debug, Serialize)]
struct Piece {
    text: &'static str,
    /// Whether it stood between backticks.
    code: bool,
}

fn pieces(words: &'static str) -> Vec<Piece> {
    words
        .split('`')
        .enumerate()
        .map(|(at, text)| Piece {
            text,
            code: at % 2 == 1,
        })
        .filter(|piece| !piece.text.is_empty())
        .collect()
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
    let needs_more = operation.path.contains('{')
        || operation
            .params
            .iter()
            .any(|param| matches!(param.kind, Kind::Trace));
    let href = if needs_more || is_stream {
        ""
    } else {
        operation.path
    };
    OperationView {
        id: operation.id,
        path: operation.path,
        summary: operation.summary,
        words: pieces(operation.words),
        params: operation
            .params
            .iter()
            .map(|param| ParamView {
                name: param.name,
                words: pieces(param.words),
                values: match param.kind {
                    Kind::Text => String::new(),
                    Kind::Trace => "needed".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code() {
        let pieces = pieces("an `a` and `b`.");
        let texts: Vec<(&str, bool)> = pieces
            .iter()
            .map(|piece| (piece.text, piece.code))
            .collect();
        assert_eq!(
            texts,
            [
                ("an ", false),
                ("a", true),
                (" and ", false),
                ("b", true),
                (".", false)
            ]
        );
    }

    #[test]
    fn every_sentence_of_the_table_closes_its_backticks() {
        for operation in &OPERATIONS {
            let words = operation.params.iter().map(|param| param.words);
            for words in words.chain([operation.words, operation.summary]) {
                assert!(words.matches('`').count().is_multiple_of(2), "{words}");
            }
        }
    }
}
