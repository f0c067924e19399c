//! OTLP over HTTP in JSON.

use log_tracer_proto::{json, otlp::common::any_value::Value};

use crate::support::{Running, records};

const TRACE: &str = r#"{"resourceSpans": [{"resource": {"attributes": [
    {"key": "service.name", "value": {"stringValue": "shop"}}]},
    "scopeSpans": [{"spans": [{
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174",
        "name": "GET /", "kind": 2, "unknownField": {"a": [1, null]},
        "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000,
        "attributes": [{"key": "n", "value": {"intValue": "9007199254740993"}},
                       {"key": "b", "value": {"bytesValue": "AAE="}}]}]}]}]}"#;

#[tokio::test]
async fn json_is_stored_and_answered_in_json() {
    let server = Running::start().await;
    let reply = server.client().json("/v1/traces", TRACE).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json(), serde_json::json!({}));
    let spans = records::spans_in(&server.transport.traces());
    assert_eq!(spans[0].name, "GET /");
    let logs = json::logs_to_json(&records::logs(2).resource_logs);
    assert_eq!(server.client().json("/v1/logs", &logs).await.status, 200);
    assert_eq!(server.transport.logs(), vec![records::logs(2)]);
}

#[tokio::test]
async fn ids_are_hexadecimal_integers_exact_and_bytes_base64() {
    let server = Running::start().await;
    server.client().json("/v1/traces", TRACE).await;
    let span = &records::spans_in(&server.transport.traces())[0];
    assert_eq!(span.trace_id[..2], [0x5b, 0x8e]);
    assert_eq!(span.start_time_unix_nano, 1_544_712_660_000_000_000);
    assert_eq!(span.end_time_unix_nano, 1_544_712_661_000_000_000);
    let value = |index: usize| span.attributes[index].value.clone().unwrap().value.unwrap();
    assert_eq!(value(0), Value::IntValue(9_007_199_254_740_993));
    assert_eq!(value(1), Value::BytesValue(vec![0, 1].into()));
}

#[tokio::test]
async fn wrong_json_is_400_and_says_where() {
    let server = Running::start().await;
    let client = server.client();
    for (body, expected) in [
        ("{", "line 1"),
        ("[]", "line 1"),
        (
            &TRACE.replace("\"kind\": 2", "\"kind\": \"SPAN_KIND_SERVER\""),
            "kind",
        ),
        (
            &TRACE.replace("eee19b7ec3c1b174", "xyz"),
            "resourceSpans[0].scopeSpans[0].spans[0].spanId",
        ),
    ] {
        let reply = client.json("/v1/traces", body).await;
        assert_eq!(reply.status, 400, "{body}");
        let json = reply.json();
        let message = json["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
        assert_eq!(json["code"], 3);
        assert_eq!(
            json["details"][0]["@type"],
            "type.googleapis.com/google.rpc.BadRequest"
        );
    }
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn names_in_snake_case_are_unknown_and_so_ignored() {
    let server = Running::start().await;
    let reply = server
        .client()
        .json("/v1/traces", r#"{"resource_spans": [{}]}"#)
        .await;
    assert_eq!(reply.status, 200);
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn partial_success_in_json_counts_in_a_string() {
    let server = Running::start().await;
    let invalid = TRACE.replace("eee19b7ec3c1b174", "eee1");
    let reply = server.client().json("/v1/traces", &invalid).await;
    assert_eq!(reply.status, 200);
    let partial = &reply.json()["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], "1");
    assert!(
        partial["errorMessage"]
            .as_str()
            .unwrap()
            .contains("span id")
    );
}

#[tokio::test]
async fn compressed_json_and_a_charset_are_taken() {
    let server = Running::start().await;
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("content-encoding", "gzip"),
    ];
    let body = records::gzip(TRACE.as_bytes());
    assert_eq!(
        server
            .client()
            .post("/v1/traces", &headers, body)
            .await
            .status,
        200
    );
    assert_eq!(server.transport.records(), 1);
}

#[tokio::test]
async fn a_retry_in_json_has_the_same_batch_id() {
    let server = Running::start().await;
    server.client().json("/v1/traces", TRACE).await;
    server.client().json("/v1/traces", TRACE).await;
    let stored = server.transport.stored();
    assert_eq!(stored[0].batch, stored[1].batch);
}
