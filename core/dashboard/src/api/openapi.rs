//! The interface as an OpenAPI 3.1 document, made from its table.

use serde_json::{Map, Value, json};
use warp::reply::Response;

use super::{
    Call, json_answer,
    table::{Kind, OPERATIONS, Operation, Param},
};
use crate::fault::Fault;

/// The shapes of the answers.
const SCHEMAS: &str = include_str!("schemas.json");

/// Answers `/api/v1/openapi.json`.
pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Fault> {
    json_answer(document(&call.app.about.version)?)
}

/// The document.
pub(super) fn document(version: &str) -> Result<Value, Fault> {
    let schemas: Value = serde_json::from_str(SCHEMAS)
        .map_err(|error| Fault::internal(format!("the schemas are no JSON: {error}")))?;
    let paths: Map<String, Value> = OPERATIONS
        .iter()
        .map(|operation| {
            (
                operation.path.to_owned(),
                json!({"get": described(operation)}),
            )
        })
        .collect();
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "log-tracer",
            "version": version,
            "description": "Traces and logs for programs: the same questions as the pages. 64-bit numbers are decimal texts, \
                ids hexadecimal digits, as in OTLP/JSON. Lists say in `coverage` whether something may be missing. \
                A parameter may take 4,096 bytes, and the head of a request 64 KiB.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "this log-tracer"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Fault": {
                    "description": "What went wrong, and what to do about it.",
                    "content": {"application/json": {"schema": reference("Fault")}},
                },
            },
        },
    }))
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn described(operation: &Operation) -> Value {
    let content: Map<String, Value> = operation
        .answer
        .iter()
        .map(|(kind, schema)| ((*kind).to_owned(), json!({"schema": reference(schema)})))
        .collect();
    let success = json!({"description": operation.summary, "content": content});
    let mut responses = Map::from_iter([("200".to_owned(), success)]);
    responses.extend(faults(operation).map(|(status, words)| {
        let described = json!({
            "description": words,
            "content": {"application/json": {"schema": reference("Fault")}},
        });
        (status.to_owned(), described)
    }));
    // Answered before the request is read, and so without a body.
    for status in ["414", "431"] {
        let described = json!({"description": "The head of the request is longer than is read."});
        responses.insert(status.to_owned(), described);
    }
    let mut parameters: Vec<Value> = operation.params.iter().map(parameter).collect();
    parameters.extend(operation.path.contains('{').then(trace_id));
    json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.words,
        "parameters": parameters,
        "responses": responses,
    })
}

/// The statuses of an operation that are no success.
fn faults(operation: &Operation) -> impl Iterator<Item = (&'static str, &'static str)> {
    let has_trace = operation.path.contains('{')
        || operation
            .params
            .iter()
            .any(|param| matches!(param.kind, Kind::Trace));
    let asks = operation.id != "describe";
    [
        (
            "400",
            "A parameter or a query cannot be read; the message says where.",
            true,
        ),
        ("404", "There is no such trace.", has_trace),
        ("502", "The consumer reported a failure.", asks),
        (
            "503",
            "The consumer is away or busy; `Retry-After` says when to ask again.",
            asks,
        ),
        (
            "504",
            "The consumer did not answer within the deadline.",
            asks,
        ),
    ]
    .into_iter()
    .filter(|(.., applies)| *applies)
    .map(|(status, words, _)| (status, words))
}

fn parameter(param: &Param) -> Value {
    let schema = match param.kind {
        Kind::Text | Kind::Trace => json!({"type": "string"}),
        Kind::Choice(choices) => {
            // Forms send their empty fields, which count as absent.
            let choices: Vec<&str> = choices.iter().copied().chain([""]).collect();
            json!({"type": "string", "enum": choices})
        }
        Kind::Number(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
    };
    let example = match param.kind {
        Kind::Number(..) => param
            .example
            .parse::<u64>()
            .map_or(Value::Null, Value::from),
        _ => param.example.into(),
    };
    let is_required = matches!(param.kind, Kind::Trace);
    let mut parameter = Map::from_iter([
        ("name".to_owned(), param.name.into()),
        ("in".to_owned(), "query".into()),
        ("required".to_owned(), is_required.into()),
        ("allowEmptyValue".to_owned(), (!is_required).into()),
        ("description".to_owned(), param.words.into()),
        ("schema".to_owned(), schema),
    ]);
    if !param.example.is_empty() {
        parameter.insert("example".to_owned(), example);
    }
    parameter.into()
}

fn trace_id() -> Value {
    json!({
        "name": "traceId",
        "in": "path",
        "required": true,
        "description": "The id of a trace: 32 hexadecimal digits.",
        "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"},
        "example": "5b8efff798038103d269b633813fc60c",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_that_is_named_is_there_and_every_one_that_is_there_is_named() {
        let document = document("1").unwrap();
        let text = document.to_string();
        let known = document["components"]["schemas"].as_object().unwrap();
        for name in known.keys() {
            assert!(
                text.contains(&format!("\"#/components/schemas/{name}\"")),
                "{name} is not used"
            );
        }
        for (_, rest) in text
            .match_indices("#/components/schemas/")
            .map(|(at, _)| text.split_at(at))
        {
            let name = rest.split('"').next().unwrap().rsplit('/').next().unwrap();
            assert!(known.contains_key(name), "{name} is missing");
        }
    }

    #[test]
    fn every_operation_is_described() {
        let document = document("1").unwrap();
        for operation in &OPERATIONS {
            let described = &document["paths"][operation.path]["get"];
            assert_eq!(described["operationId"], operation.id);
            for param in operation.params {
                assert!(
                    !param.words.is_empty(),
                    "{} of {}",
                    param.name,
                    operation.id
                );
            }
        }
    }
}
