//! Jaeger's query API as its front ends call it: on a real consumer where what is found matters, on a canned one where
//! the shape of an answer does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    Site,
    canned::Canned,
    otlp::{self, error, id_hex, logs, pair, record, span, spans, trace_hex},
    real::Real,
};
use http::{Method, StatusCode};
use log_tracer_dashboard::Config;
use log_tracer_proto::{
    json::traces_to_json,
    otlp::trace::{Span, span::SpanKind},
    v1::{GraphEdge, GraphNode, NodeKind, Rate, ServiceGraphResponse},
};
use serde_json::{Value, json};

fn kind(span: Span, kind: SpanKind) -> Span {
    Span {
        kind: kind.into(),
        ..span
    }
}

/// Two traces of a web service that calls a cart, and a log record in the first.
async fn shop() -> Real {
    let real = Real::start().await;
    let call = Span {
        attributes: vec![pair("http.route", "/cart"), pair("note", "a b")],
        ..kind(span(1, 2, 1, (10, 50)), SpanKind::Client)
    };
    let answer = kind(
        error(span(1, 3, 2, (20, 40)), "out of stock"),
        SpanKind::Server,
    );
    real.send(
        vec![
            spans(
                "web",
                vec![kind(span(1, 1, 0, (0, 100)), SpanKind::Server), call],
            ),
            spans("shop/cart", vec![answer]),
            spans(
                "web",
                vec![kind(span(2, 1, 0, (1_000, 1_005)), SpanKind::Server)],
            ),
        ],
        vec![
            logs("shop/cart", vec![record(1, 3, 30, 17, "no cups left")]),
            logs(
                "quiet",
                vec![record(0, 0, 30, 9, "a service without spans")],
            ),
        ],
    )
    .await;
    real
}

fn ids(answer: &Value) -> Vec<&str> {
    let traces = answer["data"].as_array().unwrap();
    traces
        .iter()
        .map(|trace| trace["traceID"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn services_and_operations_are_those_that_sent_spans() {
    let real = shop().await;
    let site = &real.site;
    assert_eq!(
        site.get("/api/services").await.json(),
        json!({"data": ["shop/cart", "web"], "total": 2, "limit": 0, "offset": 0, "errors": null})
    );
    assert_eq!(
        site.get("/api/services/shop%2Fcart/operations")
            .await
            .json()["data"],
        json!(["operation 3"])
    );
    assert_eq!(
        site.get("/api/operations?service=web&spanKind=client")
            .await
            .json()["data"],
        json!([{"name": "operation 2", "spanKind": "client"}])
    );
    assert_eq!(
        site.get("/api/v3/services").await.json(),
        json!({"services": ["shop/cart", "web"]})
    );
    assert_eq!(
        site.get("/api/v3/operations?service=web").await.json(),
        json!({"operations": [
            {"name": "operation 1", "spanKind": "server"},
            {"name": "operation 2", "spanKind": "client"},
        ]})
    );
    // A service that nobody knows has none, and is no fault.
    assert_eq!(
        site.get("/api/services/nobody/operations").await.json()["data"],
        json!([])
    );
}

#[tokio::test]
async fn a_search_finds_traces_by_everything_that_its_form_has() {
    let real = shop().await;
    let find = async |query: &str| {
        let answer = real.site.get(&format!("/api/traces?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        answer.json()
    };
    let (first, second) = (trace_hex(1), trace_hex(2));
    let all = find("service=web&lookback=1h").await;
    assert_eq!(ids(&all), [second.as_str(), first.as_str()]);
    assert_eq!(
        (&all["total"], &all["limit"], &all["errors"]),
        (&json!(2), &json!(100), &Value::Null)
    );
    assert_eq!(all["data"][1]["spans"].as_array().unwrap().len(), 3);
    for query in [
        "service=shop%2Fcart",
        "service=web&operation=operation+2",
        "service=web&tags=%7B%22http.route%22%3A%22%2Fcart%22%7D",
        "service=web&tag=note%3Aa+b",
        "service=web&tags=note%3D%22a+b%22",
        "tags=%7B%22error%22%3A%22true%22%7D",
        "service=web&minDuration=50ms",
        "operation=operation+3&maxDuration=20ms",
        "service=web&tag=span.kind%3Aclient",
    ] {
        assert_eq!(ids(&find(query).await), [first.as_str()], "{query}");
    }
    assert_eq!(
        ids(&find("service=web&maxDuration=6ms").await),
        [second.as_str()]
    );
    assert_eq!(ids(&find("service=web&limit=1").await), [second.as_str()]);
    // The route belongs to a client span, so no one span has both.
    for query in [
        "service=web&tag=http.route%3A%2Fcart&tag=span.kind%3Aserver",
        "service=WEB",
        "service=nobody",
    ] {
        assert_eq!(find(query).await["data"], json!([]), "{query}");
    }
    let micros = otlp::epoch() / 1_000;
    let (start, end) = (micros - 1_000_000, micros + 500_000);
    assert_eq!(
        ids(&find(&format!("service=web&start={start}&end={end}")).await),
        [first.as_str()]
    );
}

#[tokio::test]
async fn a_trace_has_its_spans_with_their_log_records() {
    let real = shop().await;
    let id = trace_hex(1);
    // Grafana sends times in milliseconds, where Jaeger wants microseconds.
    let millis = otlp::epoch() / 1_000_000;
    let answer = real
        .site
        .get(&format!("/api/traces/{id}?start={millis}&end={millis}"))
        .await
        .json();
    let trace = &answer["data"][0];
    assert_eq!(answer["total"], 1);
    assert_eq!(trace["traceID"], id);
    let spans = trace["spans"].as_array().unwrap();
    let last = &spans[2];
    assert_eq!(last["spanID"], id_hex(3));
    assert_eq!(
        last["references"],
        json!([{"refType": "CHILD_OF", "traceID": id, "spanID": id_hex(2)}])
    );
    assert_eq!(last["duration"], 20_000);
    assert_eq!(
        last["logs"][0]["fields"][1],
        json!({"key": "message", "type": "string", "value": "no cups left"})
    );
    let process = last["processID"].as_str().unwrap();
    assert_eq!(trace["processes"][process]["serviceName"], "shop/cart");
    let pretty = real
        .site
        .get(&format!("/api/traces/{id}?prettyPrint=true"))
        .await;
    assert!(pretty.text().contains("\n  "));
    assert_eq!(pretty.json()["data"], answer["data"]);
}

#[tokio::test]
async fn several_traces_are_asked_for_at_once_and_the_missing_are_named() {
    let real = shop().await;
    let (first, second, third) = (trace_hex(1), trace_hex(2), trace_hex(3));
    let path = format!("/api/traces?traceID={second}&traceID={third}&traceID={first}");
    let answer = real.site.get(&path).await.json();
    assert_eq!(ids(&answer), [second.as_str(), first.as_str()]);
    assert_eq!(
        answer["errors"],
        json!([{"code": 404, "msg": "trace not found", "traceID": third}])
    );
}

#[tokio::test]
async fn a_trace_of_log_records_alone_is_none_for_either_version() {
    let real = Real::start().await;
    let of_web = logs("web", vec![record(1, 2, 5, 9, "no span of mine came")]);
    real.send(Vec::new(), vec![of_web]).await;
    let id = trace_hex(1);
    for (path, words) in [
        (format!("/api/traces/{id}"), "trace not found"),
        (format!("/api/v3/traces/{id}"), "No traces found"),
    ] {
        let answer = real.site.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn faults_have_the_shape_of_their_version() {
    let real = shop().await;
    let missing = real
        .site
        .get(&format!("/api/traces/{}", trace_hex(9)))
        .await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(
        missing.json(),
        json!({"data": null, "total": 0, "limit": 0, "offset": 0,
            "errors": [{"code": 404, "msg": "trace not found"}]})
    );
    let missing = real
        .site
        .get(&format!("/api/v3/traces/{}", trace_hex(9)))
        .await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(
        missing.json(),
        json!({"error": {"grpcCode": 5, "httpCode": 404, "message": "No traces found", "httpStatus": "Not Found"}})
    );
    for (path, code) in [
        ("/api/traces/zz", 400),
        ("/api/traces?traceID=zz", 400),
        ("/api/traces?limit=x", 400),
        ("/api/operations", 400),
        ("/api/dependencies?endTs=x", 400),
        ("/api/nothing", 404),
    ] {
        let answer = real.site.get(path).await;
        assert_eq!(answer.status.as_u16(), code, "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        let said = &answer.json();
        assert!(
            said["errors"][0]["code"] == code || said["error"]["status"] == code,
            "{path}"
        );
    }
    let answer = real.site.get("/api/v3/trace-summaries").await;
    assert_eq!(answer.json()["error"]["httpCode"], 400);
    // The log record of a service without spans is no trace.
    assert_eq!(
        real.site.get("/api/traces?service=quiet").await.json()["data"],
        json!([])
    );
}

#[tokio::test]
async fn version_3_answers_otlp_and_summaries() {
    let real = shop().await;
    let id = trace_hex(1);
    let answer = real
        .site
        .get(&format!(
            "/api/v3/traces/{id}?startTime=2026-01-01T00:00:00Z"
        ))
        .await;
    let groups = answer.json()["result"]["resourceSpans"]
        .as_array()
        .unwrap()
        .clone();
    let names: Vec<&str> = groups
        .iter()
        .flat_map(|group| group["scopeSpans"].as_array().unwrap())
        .flat_map(|scoped| scoped["spans"].as_array().unwrap())
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 3);
    let range =
        "query.startTimeMin=2020-01-01T00:00:00.000Z&query.startTimeMax=2100-01-01T00:00:00.000Z";
    let found = real
        .site
        .get(&format!("/api/v3/traces?{range}&query.serviceName=web"))
        .await
        .json();
    let traces: Vec<String> = found["result"]["resourceSpans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            group["scopeSpans"][0]["spans"][0]["traceId"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(traces.contains(&trace_hex(1)) && traces.contains(&trace_hex(2)));
    let none = real
        .site
        .get(&format!("/api/v3/traces?{range}&query.serviceName=nobody"))
        .await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);

    let path =
        format!("/api/v3/trace-summaries?{range}&query.attributes=%7B%22error%22%3A%22true%22%7D");
    let start = otlp::epoch();
    assert_eq!(
        real.site.get(&path).await.json(),
        json!({"summaries": [{
            "traceId": id,
            "rootServiceName": "web",
            "rootOperationName": "operation 1",
            "minStartTimeUnixNano": start.to_string(),
            "maxEndTimeUnixNano": (start + 100 * otlp::MS).to_string(),
            "spanCount": 3,
            "errorSpanCount": 1,
            "orphanSpanCount": 0,
            "services": [
                {"name": "web", "spanCount": 2, "errorSpanCount": 0},
                {"name": "shop/cart", "spanCount": 1, "errorSpanCount": 1},
            ],
        }]})
    );
    let none = real
        .site
        .get(&format!(
            "/api/v3/trace-summaries?{range}&query.serviceName=nobody"
        ))
        .await;
    assert_eq!((none.status, none.json()), (StatusCode::OK, json!({})));
}

fn edge(caller: (NodeKind, &str), callee: (NodeKind, &str), count: u64) -> GraphEdge {
    let node = |(kind, name): (NodeKind, &str)| {
        Some(GraphNode {
            kind: kind.into(),
            name: name.to_owned(),
        })
    };
    GraphEdge {
        caller: node(caller),
        callee: node(callee),
        calls: Some(Rate {
            count,
            ..Rate::default()
        }),
    }
}

#[tokio::test]
async fn dependencies_are_the_calls_between_services() {
    use NodeKind::{Database, Service, Unknown};
    let canned = Canned {
        graph: ServiceGraphResponse {
            edges: vec![
                edge((Service, "web"), (Service, "cart"), 5),
                edge((Service, "cart"), (Database, "redis"), 9),
                edge((Unknown, ""), (Service, "web"), 3),
                edge((Service, "web"), (Service, "cart"), 2),
                GraphEdge::default(),
            ],
            ..ServiceGraphResponse::default()
        },
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let answer = site
        .get("/api/dependencies?endTs=1772373787000&lookback=604800000")
        .await
        .json();
    assert_eq!(
        answer["data"],
        json!([{"parent": "web", "child": "cart", "callCount": 7}])
    );
    let other = site.get("/api/dependencies?service=redis").await.json();
    assert_eq!(other["data"], json!([]));
}

#[tokio::test]
async fn dependencies_are_found_among_what_was_sent() {
    let real = shop().await;
    let answer = real.site.get("/api/dependencies").await.json();
    assert_eq!(
        answer["data"],
        json!([{"parent": "web", "child": "shop/cart", "callCount": 1}])
    );
}

#[tokio::test]
async fn spans_are_transformed_without_being_kept() {
    let real = Real::start().await;
    let otlp = traces_to_json(&[spans(
        "web",
        vec![span(1, 1, 0, (0, 1)), span(2, 1, 0, (0, 1))],
    )]);
    let answer = real
        .site
        .post("/api/transform", "text/plain", otlp)
        .await
        .json();
    assert_eq!(ids(&answer), [trace_hex(1), trace_hex(2)]);
    let bad = real
        .site
        .post(
            "/api/transform",
            "application/json",
            "{\"resourceSpans\":{}}",
        )
        .await;
    assert_eq!(
        (bad.status, &bad.json()["errors"][0]["code"]),
        (StatusCode::BAD_REQUEST, &json!(400))
    );
    let answer = real.site.get("/api/transform").await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, "POST")
    );
    assert_eq!(
        real.site.get("/api/services").await.json()["data"],
        json!([])
    );
}

#[tokio::test]
async fn an_answer_that_was_cut_off_does_not_look_whole() {
    use http_body_util::BodyExt;
    let canned = Canned {
        pieces: vec![log_tracer_proto::v1::GetTraceResponse {
            resource_spans: vec![spans("web", vec![span(1, 1, 0, (0, 1))])],
            ..Default::default()
        }],
        cut_off: true,
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let answer = site
        .send(
            Method::GET,
            &format!("/api/v3/traces/{}", trace_hex(1)),
            &[],
        )
        .await;
    assert!(answer.into_body().collect().await.is_err());
    // Version 1 says it in the trace.
    let answer = site
        .get(&format!("/api/traces/{}", trace_hex(1)))
        .await
        .json();
    assert!(
        answer["data"][0]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("broke off")
    );
}

#[tokio::test]
async fn pages_of_other_origins_read_it_only_when_they_are_configured() {
    let config = Config {
        allowed_origins: vec!["https://grafana.example".to_owned()],
        ..Config::default()
    };
    let site = Site::with(config, Canned::default().serve().await, None).await;
    let ask = async |method, path, origin| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("sec-fetch-site", "cross-site"),
        ];
        let answer = site.request(method, path, &headers).await;
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin").to_owned(),
        )
    };
    let friend = "https://grafana.example";
    assert_eq!(
        ask(Method::GET, "/api/services", friend).await,
        (200, friend.to_owned())
    );
    assert_eq!(
        ask(Method::GET, "/api/v1/services", friend).await,
        (200, friend.to_owned())
    );
    assert_eq!(
        ask(Method::OPTIONS, "/api/transform", friend).await,
        (204, friend.to_owned())
    );
    assert_eq!(
        ask(Method::GET, "/traces", friend).await,
        (200, String::new())
    );
    assert_eq!(
        ask(Method::POST, "/sample", friend).await,
        (403, String::new())
    );
    let stranger = "https://evil.example";
    assert_eq!(
        ask(Method::GET, "/api/services", stranger).await,
        (200, String::new())
    );
    assert_eq!(ask(Method::OPTIONS, "/api/services", stranger).await.1, "");
    assert_eq!(
        ask(Method::POST, "/api/transform", stranger).await,
        (403, String::new())
    );
    let answer = site
        .request(Method::GET, "/api/services", &[("origin", friend)])
        .await;
    assert_eq!(
        answer.header("cross-origin-resource-policy"),
        "cross-origin"
    );
    let answer = site.get("/api/services").await;
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
}
