//! Every operation of the JSON interface on a real consumer: its answer is what the OpenAPI document says it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::collections::BTreeSet;

use common::{
    Answer, Site,
    canned::Canned,
    otlp::{self, error, logs, pair, record, span, spans, trace_hex},
    real::Real,
};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use log_tracer_proto::{
    otlp::trace::{Span, span::SpanKind},
    v1::{Coverage, ExportResponse},
};
use serde_json::{Value, json};

async fn shop() -> Real {
    let real = Real::start().await;
    let kind = |span: Span, kind: SpanKind| Span {
        kind: kind.into(),
        ..span
    };
    let mut call = kind(span(1, 2, 1, (10, 50)), SpanKind::Client);
    call.attributes.push(pair("db.system.name", "postgresql"));
    real.send(
        vec![
            spans(
                "web",
                vec![kind(span(1, 1, 0, (0, 100)), SpanKind::Server), call],
            ),
            spans("cart", vec![error(span(2, 3, 9, (20, 40)), "out of stock")]),
        ],
        vec![logs(
            "cart",
            vec![
                record(1, 1, 30, 17, "no cups left"),
                record(0, 0, 31, 9, "=1+1, \"quoted\""),
            ],
        )],
    )
    .await;
    real
}

/// The OpenAPI document, and a validator of one of its schemas.
struct Document(Value);

impl Document {
    async fn of(site: &Site) -> Self {
        Self(site.get("/api/v1/openapi.json").await.json())
    }

    fn check(&self, schema: &Value, value: &Value, what: &str) {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.0["components"],
            "allOf": [schema],
        });
        let validator = jsonschema::validator_for(&whole).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(value)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert!(
            faults.is_empty(),
            "{what}: {}\n{value:#}",
            faults.join("\n")
        );
    }

    /// Checks an answer against what the document says of the operation.
    fn check_answer(&self, path: &str, answer: &Answer, what: &str) {
        let status = answer.status.as_u16().to_string();
        let described = &self.0["paths"][path]["get"]["responses"][&status];
        assert!(
            described.is_object(),
            "{what}: {status} is not described: {}",
            answer.text()
        );
        let kind = answer.header("content-type").split(';').next().unwrap();
        let content = &described["content"][kind];
        assert!(content.is_object(), "{what}: {kind} is not described");
        if kind == "application/json" {
            self.check(&content["schema"], &answer.json(), what);
        }
    }
}

/// The address of an operation with what it cannot do without.
fn address(path: &str, operation: &Value) -> String {
    let path = path.replace("{traceId}", &trace_hex(1));
    let needed = operation["parameters"].as_array().into_iter().flatten();
    let needed =
        needed.filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    needed.fold(path, |path, parameter| {
        let mark = if path.contains('?') { '&' } else { '?' };
        let name = parameter["name"].as_str().unwrap();
        format!("{path}{mark}{name}={}", trace_hex(1))
    })
}

/// Requests for an operation: without parameters, with those that it needs, and with each of those that it names.
fn requests(path: &str, operation: &Value) -> Vec<String> {
    let bare = path.replace("{traceId}", &trace_hex(1));
    let path = address(path, operation);
    let mut requests = vec![path.clone(), bare.clone()];
    for parameter in operation["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        let mut values: Vec<String> = vec!["".to_owned(), "<script>".to_owned(), "-1".to_owned()];
        values.extend(
            parameter["schema"]["enum"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|value| value.as_str().unwrap().to_owned()),
        );
        values.extend(match &parameter["example"] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        for value in values {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair(name, &value)
                .finish();
            // Of a parameter given twice the first counts.
            let mark = if path.contains('?') { '&' } else { '?' };
            requests.push(match parameter["required"] == true {
                true => format!("{bare}?{query}"),
                false => format!("{path}{mark}{query}"),
            });
        }
    }
    requests
}

#[tokio::test]
async fn every_operation_answers_as_the_document_says() {
    let real = shop().await;
    let document = Document::of(&real.site).await;
    let mut statuses = BTreeSet::new();
    for (path, operations) in document.0["paths"].as_object().unwrap() {
        for request in requests(path, &operations["get"]) {
            if path == "/api/v1/tail" {
                let answer = real.site.send(Method::GET, &request, &[]).await;
                let status = answer.status().as_u16().to_string();
                assert!(
                    operations["get"]["responses"][&status].is_object(),
                    "{request}: {status}"
                );
                continue;
            }
            let answer = real.site.get(&request).await;
            document.check_answer(path, &answer, &request);
            statuses.insert(answer.status.as_u16());
        }
    }
    // Both kinds of answer were seen.
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 400]);
}

#[tokio::test]
async fn an_answer_with_a_field_that_is_not_described_is_noticed() {
    let site = Site::start(Canned::default().serve().await).await;
    let document = Document::of(&site).await;
    let mut answer = site.get("/api/v1/services").await;
    document.check_answer("/api/v1/services", &answer, "as it is");
    answer.body = "{\"services\":[],\"more\":1}".into();
    let noticed =
        std::panic::catch_unwind(|| document.check_answer("/api/v1/services", &answer, "more"));
    assert!(noticed.is_err());
}

#[tokio::test]
async fn faults_of_the_consumer_are_described_too() {
    for (refusal, code) in [
        (tonic::Status::unavailable("gone"), 503),
        (tonic::Status::deadline_exceeded("slow"), 504),
        (tonic::Status::internal("broken"), 502),
        (tonic::Status::invalid_argument("bad"), 400),
    ] {
        let canned = Canned {
            refusal: Some(refusal),
            ..Canned::default()
        };
        let site = Site::start(canned.serve().await).await;
        let document = Document::of(&site).await;
        for (path, operations) in document.0["paths"].as_object().unwrap() {
            // Neither asks the consumer.
            if path.ends_with("openapi.json") || path.ends_with("/producers") {
                continue;
            }
            let request = address(path, &operations["get"]);
            let answer = site.get(&request).await;
            // What was asked without parameters has nothing that could be wrong, but for the consumer.
            if code == 400 && path.contains("status") {
                continue;
            }
            assert_eq!(answer.status.as_u16(), code, "{request}");
            document.check_answer(path, &answer, &request);
        }
    }
}

#[tokio::test]
async fn the_document_is_valid_openapi_as_far_as_its_own_rules_go() {
    let site = Site::start(Canned::default().serve().await).await;
    let document = Document::of(&site).await.0;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let operation = &operations["get"];
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
        let mut names = BTreeSet::new();
        for parameter in operation["parameters"].as_array().unwrap() {
            let (name, place) = (
                parameter["name"].as_str().unwrap(),
                parameter["in"].as_str().unwrap(),
            );
            assert!(names.insert(name), "{name} comes twice in {path}");
            assert_eq!(
                place == "path",
                path.contains(&format!("{{{name}}}")),
                "{path} {name}"
            );
        }
    }
    for schema in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .values()
    {
        jsonschema::meta::validate(schema).unwrap();
    }
}

#[tokio::test]
async fn rates_and_calls_are_what_was_sent() {
    let real = shop().await;
    let rates = real
        .site
        .get("/api/v1/rates?group=kind&service=web&quantiles=1")
        .await
        .json();
    let first = &rates["series"][0];
    assert_eq!(rates["series"].as_array().unwrap().len(), 2);
    assert_eq!(first["total"]["count"], "1");
    let stepped = real
        .site
        .get("/api/v1/rates?step=1m&service=cart")
        .await
        .json();
    assert_eq!(stepped["stepNano"], "60000000000");
    assert_eq!(stepped["series"][0]["steps"][0]["errors"], "1");
    let graph = real.site.get("/api/v1/graph").await.json();
    let edges = graph["edges"].as_array().unwrap();
    let database = json!({"kind": "database", "name": "postgresql"});
    assert!(
        edges.iter().any(|edge| edge["callee"] == database),
        "{graph:#}"
    );
}

#[tokio::test]
async fn logs_without_a_limit_are_as_many_as_the_document_says() {
    let real = Real::start().await;
    let many = (0..120)
        .map(|index| record(1, 1, index, 9, "a cup"))
        .collect();
    real.send(vec![], vec![logs("cart", many)]).await;
    let answer: Value = serde_json::from_str(&real.site.get("/api/v1/logs").await.text()).unwrap();
    let resources = answer["resourceLogs"].as_array().unwrap().iter();
    let records: usize = resources
        .flat_map(|resource| resource["scopeLogs"].as_array().unwrap())
        .map(|scope| scope["logRecords"].as_array().unwrap().len())
        .sum();
    assert_eq!(records, 100);
}

#[tokio::test]
async fn an_export_has_every_record_and_says_that_it_is_whole() {
    let real = shop().await;
    let answer = real.site.get("/api/v1/export").await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"logs.ndjson\""
    );
    let text = answer.text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"]["stringValue"],
        "no cups left"
    );
    assert_eq!(lines[2]["coverage"]["matched"], "2");
    assert_eq!(lines[2]["coverage"]["partial"], false);
    let answer = real.site.get("/api/v1/export?format=csv&q=quoted").await;
    let text = answer.text();
    let rows: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(rows.len(), 2);
    assert!(
        rows[1].contains(",cart,info,\"'=1+1, \"\"quoted\"\"\","),
        "{}",
        rows[1]
    );
    let spans = real
        .site
        .get("/api/v1/export?signal=spans&q=status:error&service=cart")
        .await;
    assert_eq!(spans.text().lines().count(), 2);
    assert_eq!(
        real.site
            .get("/api/v1/export?signal=spans&level=warn")
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_table_that_may_lack_records_breaks_off() {
    let whole = ExportResponse {
        resource_logs: vec![logs("a", vec![record(1, 1, 0, 9, "hello")])],
        records: 1,
        ..ExportResponse::default()
    };
    let lacking = ExportResponse {
        coverage: Some(Coverage {
            partial: true,
            reasons: vec!["still reading the log".to_owned()],
            ..Coverage::default()
        }),
        ..whole.clone()
    };
    let canned = Canned {
        exported: vec![whole, lacking.clone()],
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let answer = site
        .send(Method::GET, "/api/v1/export?format=csv", &[])
        .await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.into_body().collect().await.is_err());
    let lines = site.get("/api/v1/export").await.text();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(
        last["coverage"]["reasons"],
        json!(["still reading the log"])
    );
    let canned = Canned {
        exported: vec![lacking],
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let refused = site.get("/api/v1/export?format=csv").await;
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
    assert!(refused.text().contains("still reading the log"));
}

#[tokio::test]
async fn a_tail_sends_what_is_kept_and_what_arrives() {
    let real = shop().await;
    let mut answer = real
        .site
        .send(
            Method::GET,
            "/api/v1/tail?signal=spans&q=service:web&backlog=10",
            &[],
        )
        .await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut events = String::new();
    let mut sent = false;
    let document = Document::of(&real.site).await;
    while !events.contains("operation 7") {
        let frame = tokio::time::timeout(
            std::time::Duration::from_secs(20),
            answer.body_mut().frame(),
        );
        let frame = frame.await.unwrap().unwrap().unwrap();
        events.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        if !sent && events.contains("operation 2") {
            sent = true;
            real.send(vec![spans("web", vec![span(7, 7, 0, (0, 1))])], Vec::new())
                .await;
        }
    }
    for data in events.lines().filter_map(|line| line.strip_prefix("data:")) {
        let records: Value = serde_json::from_str(data).unwrap();
        let schema = json!({"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/ResourceSpans"}});
        document.check(&schema, &records["resourceSpans"], data);
    }
}

#[tokio::test]
async fn the_page_of_the_interface_has_every_operation_and_works_on_its_own() {
    let site = Site::start(Canned::default().serve().await).await;
    let page = site.page("/api").await;
    let document = Document::of(&site).await.0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        assert!(page.contains(path.as_str()), "{path}");
        let id = operations["get"]["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(page.len() < 100_000, "{} bytes", page.len());
    assert!(page.contains(&format!("http://{}", site.authority)));
}

#[tokio::test]
async fn a_parameter_that_the_table_does_not_name_changes_nothing() {
    let real = shop().await;
    let plain = real.site.get("/api/v1/services").await;
    let more = real
        .site
        .get("/api/v1/services?service=cart&limit=x&range=nonsense")
        .await;
    assert_eq!((more.status, more.body), (StatusCode::OK, plain.body));
}

#[tokio::test]
async fn times_and_ids_of_a_trace_are_those_that_were_sent() {
    let real = shop().await;
    let trace = real
        .site
        .get(&format!("/api/v1/traces/{}", trace_hex(1)))
        .await
        .json();
    let span = &trace["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["startTimeUnixNano"], otlp::epoch().to_string());
    assert_eq!(span["spanId"], otlp::id_hex(1));
}
