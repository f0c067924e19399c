//! log-tracer as its users meet it: the built binary, real OpenTelemetry SDKs, a real browser.
//!
//! Needs `python3` with venv, `node` with npm, and `chromium` on the PATH. What the scripts here import is installed
//! below the target directory on the first run. `cargo make test-live` runs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod browser;
mod interfaces;
mod pages;
mod reconnect;
#[path = "../support/server.rs"]
mod server;
mod tools;

use std::{collections::BTreeMap, time::Duration};

use log_tracer_proto::{
    json,
    otlp::{logs::ResourceLogs, trace::ResourceSpans},
    v1::{GetTraceRequest, PartitionStatus, SearchLogsRequest, StatusRequest},
};
use serde_json::{Value, json};

use crate::{browser::Page, server::Server};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn python_over_grpc_arrives_exactly_and_is_on_the_page() {
    sends_and_is_found("python", "grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn python_over_http_protobuf_arrives_exactly_and_is_on_the_page() {
    sends_and_is_found("python", "http").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn node_over_grpc_arrives_exactly_and_is_on_the_page() {
    sends_and_is_found("node", "grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn node_over_http_protobuf_arrives_exactly_and_is_on_the_page() {
    sends_and_is_found("node", "http").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn node_over_http_json_arrives_exactly_and_is_on_the_page() {
    sends_and_is_found("node", "json").await;
}

/// Fills a server with a quarter of an hour of a made-up shop.
fn demo(server: &Server) {
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_log-tracer"))
        .args([
            "demo",
            "--endpoint",
            &server.otlp_grpc,
            "--seconds",
            "1",
            "--seed",
            "7",
        ])
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// Sends with an SDK, and compares what the SDK says it held with what QueryService and the pages show.
async fn sends_and_is_found(language: &str, protocol: &str) {
    let server = Server::start();
    let endpoint = if protocol == "grpc" {
        &server.otlp_grpc
    } else {
        &server.otlp_http
    };
    let sent = tools::run_sdk(language, protocol, endpoint);
    applied(&server).await;

    let (spans, linked_logs) = trace_of(&server, &sent).await;
    assert_same(sent_spans(&sent), spans, "spans");
    let mut logs = linked_logs;
    logs.extend(logs_without_trace(&server).await);
    assert_same(sent_logs(&sent), logs, "logs");

    browser::shows(&shown(&server, &sent)).await;
}

/// Waits until everything that was acked can be found, which is some milliseconds after the ack.
async fn applied(server: &Server) {
    let mut client = server.query().await;
    for _ in 0..1_000 {
        let status = client.status(StatusRequest {}).await.unwrap().into_inner();
        let is_behind = |partition: &PartitionStatus| partition.applied_next < partition.log_end;
        if !status.partitions.iter().any(is_behind) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what was acked is not applied after ten seconds");
}

/// The spans and logs of the one trace that was sent, flattened, by span id and by body.
async fn trace_of(
    server: &Server,
    sent: &Value,
) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
    let trace_id = sent["spans"][0]["traceId"].as_str().unwrap();
    let request = GetTraceRequest {
        trace_id: hex(trace_id).into(),
        ..GetTraceRequest::default()
    };
    let mut pieces = server
        .query()
        .await
        .get_trace(request)
        .await
        .unwrap()
        .into_inner();
    let (mut spans, mut logs) = (BTreeMap::new(), BTreeMap::new());
    while let Some(piece) = pieces.message().await.unwrap() {
        spans.extend(found_spans(&piece.resource_spans));
        logs.extend(found_logs(&piece.resource_logs));
    }
    (spans, logs)
}

async fn logs_without_trace(server: &Server) -> BTreeMap<String, Value> {
    let request = SearchLogsRequest {
        query: "-trace:*".to_owned(),
        ..SearchLogsRequest::default()
    };
    let answer = server
        .query()
        .await
        .search_logs(request)
        .await
        .unwrap()
        .into_inner();
    let groups: Vec<ResourceLogs> = answer
        .hits
        .into_iter()
        .map(|hit| ResourceLogs {
            scope_logs: vec![log_tracer_proto::otlp::logs::ScopeLogs {
                log_records: hit.record.into_iter().collect(),
                ..Default::default()
            }],
            ..ResourceLogs::default()
        })
        .collect();
    found_logs(&groups)
}

fn found_spans(groups: &[ResourceSpans]) -> BTreeMap<String, Value> {
    let data: Value = serde_json::from_str(&json::traces_to_json(groups)).unwrap();
    let mut found = BTreeMap::new();
    for group in list(&data["resourceSpans"]) {
        for scope in list(&group["scopeSpans"]) {
            for span in list(&scope["spans"]) {
                let event = |event: &Value| {
                    json!({
                        "timeUnixNano": event["timeUnixNano"],
                        "name": event["name"],
                        "attributes": attributes(&event["attributes"]),
                    })
                };
                let link = |link: &Value| {
                    json!({
                        "traceId": link["traceId"],
                        "spanId": link["spanId"],
                        "attributes": attributes(&link["attributes"]),
                    })
                };
                let flat = json!({
                    "traceId": span["traceId"],
                    "spanId": span["spanId"],
                    "parentSpanId": text(&span["parentSpanId"]),
                    "name": span["name"],
                    "kind": span["kind"],
                    "startTimeUnixNano": span["startTimeUnixNano"],
                    "endTimeUnixNano": span["endTimeUnixNano"],
                    "status": {
                        "code": span["status"]["code"].as_i64().unwrap_or(0),
                        "message": text(&span["status"]["message"]),
                    },
                    "scope": scope["scope"]["name"],
                    "resource": attributes(&group["resource"]["attributes"]),
                    "attributes": attributes(&span["attributes"]),
                    "events": list(&span["events"]).iter().map(event).collect::<Vec<_>>(),
                    "links": list(&span["links"]).iter().map(link).collect::<Vec<_>>(),
                });
                found.insert(text(&span["spanId"]), flat);
            }
        }
    }
    found
}

fn found_logs(groups: &[ResourceLogs]) -> BTreeMap<String, Value> {
    let data: Value = serde_json::from_str(&json::logs_to_json(groups)).unwrap();
    let mut found = BTreeMap::new();
    for group in list(&data["resourceLogs"]) {
        for scope in list(&group["scopeLogs"]) {
            for record in list(&scope["logRecords"]) {
                let flat = json!({
                    "traceId": text(&record["traceId"]),
                    "spanId": text(&record["spanId"]),
                    "timeUnixNano": record["timeUnixNano"],
                    "severityNumber": record["severityNumber"],
                    "severityText": text(&record["severityText"]),
                    "body": record["body"],
                    "attributes": attributes(&record["attributes"]),
                });
                found.insert(record["body"].to_string(), flat);
            }
        }
    }
    found
}

fn sent_spans(sent: &Value) -> BTreeMap<String, Value> {
    list(&sent["spans"])
        .iter()
        .map(|span| (text(&span["spanId"]), span.clone()))
        .collect()
}

fn sent_logs(sent: &Value) -> BTreeMap<String, Value> {
    list(&sent["logs"])
        .iter()
        .map(|record| (record["body"].to_string(), record.clone()))
        .collect()
}

fn assert_same(sent: BTreeMap<String, Value>, found: BTreeMap<String, Value>, what: &str) {
    assert!(!sent.is_empty(), "the SDK sent no {what}");
    for (key, expected) in &sent {
        let seen = found
            .get(key)
            .unwrap_or_else(|| panic!("{what}: {key} is missing in {found:#?}"));
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&seen[field], value, "{what}: {key}: {field}");
        }
    }
    assert_eq!(
        found.len(),
        sent.len(),
        "{what}: more were found than sent: {found:#?}"
    );
}

/// What each page must show: the trace, each of its spans opened, the search, the logs.
fn shown(server: &Server, sent: &Value) -> Vec<Page> {
    let root = list(&sent["spans"])
        .iter()
        .find(|span| text(&span["parentSpanId"]).is_empty())
        .unwrap();
    let trace = format!("{}/trace/{}", server.dashboard, text(&root["traceId"]));
    let in_trace = || {
        list(&sent["logs"])
            .iter()
            .filter(|record| !text(&record["traceId"]).is_empty())
    };
    let bodies = || {
        in_trace().filter_map(|record| record["body"]["stringValue"].as_str().map(str::to_owned))
    };
    let names = || list(&sent["spans"]).iter().map(|span| text(&span["name"]));
    let mut pages = vec![
        Page::new(
            &server.dashboard,
            [text(&root["resource"]["service.name"]["stringValue"])],
        ),
        Page::new(
            &format!("{}/map", server.dashboard),
            [text(&root["resource"]["service.name"]["stringValue"])],
        ),
        Page::new(
            &format!("{}/logs?view=patterns", server.dashboard),
            ["What varies".to_owned()],
        ),
        Page::new(
            &format!("{}/traces", server.dashboard),
            [text(&root["name"])],
        ),
        Page::new(&format!("{}/logs", server.dashboard), bodies()),
        Page::new(&trace, names().chain(bodies())),
    ];
    for span in list(&sent["spans"]) {
        let url = format!("{trace}?span={}", text(&span["spanId"]));
        let shown = span["attributes"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(key, value)| {
                let scalar = ["stringValue", "intValue"]
                    .iter()
                    .find_map(|kind| value[*kind].as_str());
                [Some(key.clone()), scalar.map(str::to_owned)]
                    .into_iter()
                    .flatten()
            });
        let events = list(&span["events"])
            .iter()
            .map(|event| text(&event["name"]));
        let links = list(&span["links"])
            .iter()
            .map(|link| text(&link["spanId"]));
        pages.push(Page::new(&url, shown.chain(events).chain(links)));
    }
    pages
}

/// OTLP/JSON's list of key and value as a map.
fn attributes(pairs: &Value) -> Value {
    let pairs = list(pairs).iter();
    let map = pairs.map(|pair| {
        (
            text(&pair["key"]),
            pair.get("value").cloned().unwrap_or_else(|| json!({})),
        )
    });
    Value::Object(map.collect())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
