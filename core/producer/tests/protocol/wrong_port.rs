//! OTLP on the port of the other protocol gets an answer that says where to go.

use bytes::Bytes;
use http::Method;
use log_tracer_producer::Reason;
use prost::Message;
use tonic::{Code, transport::Endpoint};

use crate::support::{
    Client, Running,
    http::{JSON, PROTOBUF, raw},
    raw_grpc, records,
};

#[tokio::test]
async fn http_on_the_grpc_port_is_told_the_http_port() {
    let server = Running::start().await;
    let client = Client::new(server.grpc);
    let body = records::traces(1).encode_to_vec();
    for content_type in [PROTOBUF, JSON] {
        let headers = [("content-type", content_type)];
        let replies = [
            client.post("/v1/traces", &headers, body.clone()).await,
            client
                .post_http2("/v1/traces", &headers, body.clone())
                .await,
        ];
        for reply in replies {
            assert_eq!(reply.status, 400);
            assert_eq!(reply.header("content-type"), Some(content_type));
            let message = reply.error().message;
            assert!(message.contains(&server.http.to_string()), "{message}");
            assert!(message.contains("/v1/traces"), "{message}");
        }
    }
    assert_eq!(server.refused(Reason::WrongPort), 4);
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn a_browser_on_the_grpc_port_can_read_the_answer() {
    let server = Running::start().await;
    let reply = Client::new(server.grpc)
        .request(Method::GET, "/", &[])
        .await;
    assert!(reply.json()["message"].as_str().unwrap().contains("gRPC"));
}

#[tokio::test]
async fn grpc_on_the_http_port_is_told_the_grpc_port() {
    let server = Running::start().await;
    let channel = Endpoint::from_shared(format!("http://{}", server.http))
        .unwrap()
        .connect()
        .await
        .unwrap();
    for path in [
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "/grpc.health.v1.Health/Check",
    ] {
        let status = raw_grpc::call(channel.clone(), path, Bytes::new())
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(
            status.message().contains(&server.grpc.to_string()),
            "{status}"
        );
    }
}

#[tokio::test]
async fn grpc_over_http_1_is_told_to_use_http_2() {
    let server = Running::start().await;
    let headers = [("content-type", "application/grpc")];
    let reply = Client::new(server.grpc).post("/a/B", &headers, "").await;
    assert_eq!(reply.status, 400);
    assert!(reply.error().message.contains("HTTP/2"));
}

#[tokio::test]
async fn tls_on_either_port_is_closed_at_once() {
    let server = Running::start().await;
    // How a ClientHello starts.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    for address in [server.grpc, server.http] {
        assert!(raw(address, &hello).await.is_empty());
    }
    assert_eq!(server.refused(Reason::WrongPort), 2);
    server.assert_alive().await;
}

#[tokio::test]
async fn a_large_upload_to_the_wrong_port_hears_the_answer() {
    let server = Running::start().await;
    let headers = [("content-type", PROTOBUF)];
    let body = vec![0; 1 << 20];
    let reply = Client::new(server.grpc)
        .post("/v1/traces", &headers, body)
        .await;
    assert_eq!(reply.status, 400);
}
