//! OTLP over HTTP in protobuf.

use bytes::Bytes;
use http::{Method, Version};
use log_tracer_producer::{POSITIONS_HEADER, Reason};
use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceResponse, collector_trace::ExportTraceServiceResponse,
    trace::Span,
};
use prost::Message;
use tonic_types::pb;

use crate::support::{Running, http::PROTOBUF, records};

const TYPE: (&str, &str) = ("content-type", PROTOBUF);

#[tokio::test]
async fn traces_and_logs_in_protobuf_are_stored_and_answered_in_protobuf() {
    let server = Running::start().await;
    let client = server.client();
    let reply = client.protobuf("/v1/traces", &records::traces(3)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.version),
        (200, Version::HTTP_11)
    );
    assert_eq!(
        reply
            .message::<ExportTraceServiceResponse>()
            .partial_success,
        None
    );
    let reply = client.protobuf("/v1/logs", &records::logs(2)).await;
    assert_eq!(
        reply.message::<ExportLogsServiceResponse>().partial_success,
        None
    );
    assert_eq!(server.transport.traces(), vec![records::traces(3)]);
    assert_eq!(server.transport.logs(), vec![records::logs(2)]);
    assert_eq!(server.metrics.snapshot().requests_http, 2);
}

#[tokio::test]
async fn http_2_without_tls_is_served_too() {
    let server = Running::start().await;
    let body = records::traces(1).encode_to_vec();
    let reply = server
        .client()
        .post_http2("/v1/traces", &[TYPE], body)
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.version),
        (200, Version::HTTP_2)
    );
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_also_after_a_refusal() {
    let server = Running::start().await;
    let client = server.client();
    for _ in 0..3 {
        client.protobuf("/v1/traces", &records::traces(1)).await;
        client.post("/v1/traces", &[TYPE], "not protobuf").await;
        client.post("/nowhere", &[TYPE], "unread").await;
    }
    assert_eq!(server.metrics.snapshot().connections_open, 1);
}

#[tokio::test]
async fn every_content_encoding_is_taken_in_any_case() {
    let server = Running::start().await;
    let client = server.client();
    let plain = records::traces(4).encode_to_vec();
    let deflate = {
        use std::io::Write;
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    for (name, body) in [
        ("gzip", records::gzip(&plain)),
        ("GZIP", records::gzip(&plain)),
        ("zstd", records::zstd(&plain)),
        ("deflate", deflate),
        ("identity", plain.clone()),
    ] {
        let headers = [TYPE, ("content-encoding", name)];
        let reply = client.post("/v1/traces", &headers, body).await;
        assert_eq!(reply.status, 200, "{name}");
    }
    assert_eq!(server.transport.traces(), vec![records::traces(4); 5]);
    assert!(
        server
            .transport
            .stored()
            .iter()
            .all(|envelope| envelope.payload == plain)
    );
}

#[tokio::test]
async fn an_unknown_content_encoding_is_415_and_says_which_are_known() {
    let server = Running::start().await;
    for name in ["br", "gzip, gzip"] {
        let headers = [TYPE, ("content-encoding", name)];
        let reply = server.client().post("/v1/traces", &headers, "?").await;
        assert_eq!(reply.status, 415);
        assert!(reply.header("accept-encoding").unwrap().contains("zstd"));
        assert!(reply.error().message.contains("gzip"));
    }
}

#[tokio::test]
async fn partial_success_is_200_with_count_and_reason() {
    let server = Running::start().await;
    let invalid = Span {
        trace_id: Bytes::new(),
        ..records::span(1)
    };
    let request = records::traces_of(vec![records::span(0), invalid]);
    let reply = server.client().protobuf("/v1/traces", &request).await;
    assert_eq!(reply.status, 200);
    let partial = reply
        .message::<ExportTraceServiceResponse>()
        .partial_success
        .unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("trace id"));
}

#[tokio::test]
async fn an_empty_body_is_an_empty_request_and_succeeds() {
    let server = Running::start().await;
    let reply = server.client().post("/v1/logs", &[TYPE], "").await;
    assert_eq!(reply.status, 200);
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn undecodable_data_is_400_with_a_status_and_details() {
    let server = Running::start().await;
    let client = server.client();
    let gzip = [TYPE, ("content-encoding", "gzip")];
    let zstd = [TYPE, ("content-encoding", "zstd")];
    for (headers, body) in [
        (&[TYPE][..], &b"\xff\xff\xff"[..]),
        (&gzip, b"not gzip"),
        (&zstd, b"not zstd"),
    ] {
        let reply = client.post("/v1/traces", headers, body).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.header("content-type"), Some(PROTOBUF));
        let error = reply.error();
        assert!(!error.message.is_empty());
        assert!(error.details[0].type_url.ends_with("google.rpc.BadRequest"));
        let details = pb::BadRequest::decode(error.details[0].value.as_slice()).unwrap();
        assert_eq!(details.field_violations[0].description, error.message);
        assert_eq!(reply.header("retry-after"), None);
    }
    assert!(server.transport.stored().is_empty());
    assert_eq!(server.refused(Reason::Malformed), 3);
}

#[tokio::test]
async fn every_refusal_has_a_status_in_the_encoding_of_the_request() {
    let server = Running::start().await;
    let client = server.client();
    for content_type in [PROTOBUF, "application/json", "text/plain"] {
        for path in ["/nowhere", "/v1/metrics"] {
            let headers = [("content-type", content_type)];
            let reply = client.post(path, &headers, "").await;
            assert_eq!(reply.status, 404);
            let expected = if content_type == PROTOBUF {
                PROTOBUF
            } else {
                "application/json"
            };
            assert_eq!(reply.header("content-type"), Some(expected));
            assert!(!reply.error().message.is_empty());
        }
    }
}

#[tokio::test]
async fn another_path_is_404_and_lists_the_paths() {
    let server = Running::start().await;
    let client = server.client();
    for path in [
        "/",
        "/v1",
        "/v1/traces/",
        "/v1/traces/v1/traces",
        "//v1/traces",
    ] {
        let reply = client.request(Method::GET, path, &[]).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.error().message.contains("/v1/traces and /v1/logs"));
    }
}

#[tokio::test]
async fn metrics_are_404_and_told_that_traces_and_logs_are_taken() {
    let server = Running::start().await;
    let reply = server.client().post("/v1/metrics", &[TYPE], "").await;
    assert_eq!(reply.status, 404);
    let message = reply.error().message;
    assert!(message.contains("traces and logs"), "{message}");
    assert!(message.contains("OTEL_METRICS_EXPORTER=none"), "{message}");
}

#[tokio::test]
async fn another_method_is_405_with_allow() {
    let server = Running::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let reply = server.client().request(method, "/v1/traces", &[]).await;
        assert_eq!(reply.status, 405);
        assert_eq!(reply.header("allow"), Some("POST, OPTIONS"));
    }
}

#[tokio::test]
async fn another_content_type_is_415_and_says_which_are_taken() {
    let server = Running::start().await;
    let client = server.client();
    for headers in [&[("content-type", "text/plain")][..], &[]] {
        let reply = client.post("/v1/traces", headers, "hello").await;
        assert_eq!(reply.status, 415);
        assert!(reply.error().message.contains("application/x-protobuf"));
    }
    let with_parameter = [("content-type", "Application/X-Protobuf; v=1")];
    let body = records::traces(1).encode_to_vec();
    assert_eq!(
        client
            .post("/v1/traces", &with_parameter, body)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_response_says_where_the_records_are() {
    let server = Running::start().await;
    let reply = server
        .client()
        .protobuf("/v1/traces", &records::traces(1))
        .await;
    let expected = format!("{:032x}:0:0", 0x1d);
    assert_eq!(reply.header(POSITIONS_HEADER), Some(expected.as_str()));
    let reply = server.client().post("/v1/traces", &[TYPE], "").await;
    assert_eq!(reply.header(POSITIONS_HEADER), None);
}

#[tokio::test]
async fn the_same_request_over_grpc_and_http_is_one_batch() {
    let server = Running::start().await;
    server
        .traces()
        .await
        .export(records::traces(2))
        .await
        .unwrap();
    let body = records::gzip(&records::traces(2).encode_to_vec());
    let headers = [TYPE, ("content-encoding", "gzip")];
    server.client().post("/v1/traces", &headers, body).await;
    let stored = server.transport.stored();
    assert_eq!(stored[0].batch, stored[1].batch);
}

#[tokio::test]
async fn an_idempotency_key_makes_a_batch_of_its_own() {
    let server = Running::start().await;
    let client = server.client();
    let body = records::traces(1).encode_to_vec();
    for key in ["one", "one", "two"] {
        let headers = [TYPE, ("idempotency-key", key)];
        client.post("/v1/traces", &headers, body.clone()).await;
    }
    let stored = server.transport.stored();
    assert_eq!(stored[0].batch, stored[1].batch);
    assert_ne!(stored[1].batch, stored[2].batch);
}
