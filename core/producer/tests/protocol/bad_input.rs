//! Bytes that no client should send. Each is answered or dropped, nothing of it is stored, and the process lives on.

use std::time::Duration;

use bytes::Bytes;
use log_tracer_producer::Reason;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::support::{Client, Running, http::raw, raw_grpc::frame, records};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

fn head(rest: &str) -> Vec<u8> {
    format!("POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n{rest}\r\n\r\n")
        .into_bytes()
}

/// Makes a call whose body is these bytes, and gives code and message.
async fn call(server: &Running, headers: &[(&str, &str)], body: Vec<u8>) -> (i32, String) {
    let mut all = vec![("content-type", "application/grpc"), ("te", "trailers")];
    all.extend(headers);
    let reply = Client::new(server.grpc)
        .post_http2(TRACES, &all, body)
        .await;
    assert_eq!(reply.status, 200);
    let message = reply.header("grpc-message").unwrap_or_default().to_owned();
    (
        reply.header("grpc-status").unwrap().parse().unwrap(),
        message,
    )
}

#[tokio::test]
async fn garbage_on_a_socket_is_dropped() {
    let server = Running::start().await;
    let mut noise = vec![0_u8; 4_096];
    for (index, byte) in noise.iter_mut().enumerate() {
        *byte = (index as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
    }
    let garbage: [&[u8]; 9] = [
        b"",
        b"\0",
        b"\xff\xff\xff\xff",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        &noise,
    ];
    for bytes in garbage {
        for address in [server.grpc, server.http] {
            raw(address, bytes).await;
        }
    }
    assert!(server.transport.stored().is_empty());
    server.assert_alive().await;
}

#[tokio::test]
async fn http_2_garbage_after_the_preface_is_dropped() {
    let server = Running::start().await;
    let garbage: [&[u8]; 6] = [
        b"",
        // A frame that is longer than it may be.
        b"\xff\xff\xff\0\0\0\0\0\0",
        // DATA on stream 0; HEADERS without a table entry; SETTINGS with an odd length; an endless CONTINUATION.
        b"\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0\0x",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\xff",
        b"\0\0\x05\x04\0\0\0\0\0hello",
        b"\0\0\0\x04\0\0\0\0\0\0\0\0\x09\0\0\0\0\x01",
    ];
    for bytes in garbage {
        for address in [server.grpc, server.http] {
            raw(address, &[PREFACE, bytes].concat()).await;
            // Half of the preface, and then something else.
            raw(address, &[&PREFACE[..10], bytes].concat()).await;
        }
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn a_body_that_ends_before_its_content_length_stores_nothing() {
    let server = Running::start().await;
    let body = records::traces(1).encode_to_vec();
    let mut bytes = head(&format!("content-length: {}", body.len() + 10));
    bytes.extend(&body);
    raw(server.http, &bytes).await;
    // Two requests in one body.
    let mut bytes = head(&format!("content-length: {}", body.len() - 10));
    bytes.extend(&body);
    raw(server.http, &bytes).await;
    assert!(server.transport.stored().is_empty());
    server.assert_alive().await;
}

#[tokio::test]
async fn a_content_length_beyond_all_limits_is_refused_before_the_body() {
    let server = Running::start().await;
    // The second is more than HTTP itself can do.
    for (bytes, expected) in [(999_999_999_999, "413"), (u64::MAX, "431")] {
        let mut socket = TcpStream::connect(server.http).await.unwrap();
        let request = head(&format!("content-length: {bytes}\r\nexpect: 100-continue"));
        socket.write_all(&request).await.unwrap();
        let mut answer = vec![0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            format!("HTTP/1.1 {expected}")
        );
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn broken_chunks_store_nothing() {
    let server = Running::start().await;
    for chunks in [
        "zz\r\nab\r\n",
        "5\r\nab",
        "ffffffffffffffffff\r\nab\r\n0\r\n\r\n",
    ] {
        let mut bytes = head("transfer-encoding: chunked");
        bytes.extend(chunks.as_bytes());
        raw(server.http, &bytes).await;
    }
    assert!(server.transport.stored().is_empty());
    server.assert_alive().await;
}

#[tokio::test]
async fn a_request_head_beyond_its_limit_is_refused() {
    let server = Running::start().await;
    let long = head(&format!("x-long: {}", "x".repeat(200_000)));
    for address in [server.grpc, server.http] {
        let answer = raw(address, &long).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"));
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn messages_that_break_the_framing_of_grpc_are_invalid() {
    let server = Running::start().await;
    let message = records::traces(1).encode_to_vec();
    let whole = frame(&message);
    let twice = [whole.clone(), whole.clone()].concat();
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 1);
    let mut flagged = whole.clone();
    flagged[0] = 1;
    let mut foreign = whole.clone();
    foreign[0] = b'{';
    for body in [vec![], vec![0, 0], twice, cut, flagged, foreign] {
        let (code, message) = call(&server, &[], body).await;
        assert_eq!(code, i32::from(Code::InvalidArgument), "{message}");
    }
    assert!(server.transport.stored().is_empty());
    assert_eq!(server.refused(Reason::Malformed), 6);
    server.assert_alive().await;
}

#[tokio::test]
async fn a_compressed_message_that_is_not_compressed_is_invalid() {
    let server = Running::start().await;
    for encoding in ["gzip", "zstd", "deflate"] {
        let mut body = frame(b"plain");
        body[0] = 1;
        let (code, message) = call(&server, &[("grpc-encoding", encoding)], body).await;
        assert_eq!(code, i32::from(Code::InvalidArgument));
        assert!(message.contains(encoding), "{message}");
    }
}

#[tokio::test]
async fn a_declared_message_of_4_gib_is_refused_without_memory_for_it() {
    let server = Running::start().await;
    let body = vec![0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
    let (code, _) = call(&server, &[], body).await;
    assert_eq!(code, i32::from(Code::ResourceExhausted));
    assert_eq!(server.metrics.snapshot().inflight_bytes, 0);
    server.assert_alive().await;
}

#[tokio::test]
async fn endless_nesting_is_malformed_in_protobuf_and_json() {
    let server = Running::start().await;
    // An attribute value in a list in a list, as deep as fits.
    let mut value: Vec<u8> = Vec::new();
    for _ in 0..5_000 {
        for tag in [0x0a, 0x2a] {
            let mut outer = vec![tag];
            prost::encoding::encode_varint(value.len() as u64, &mut outer);
            outer.extend(&value);
            value = outer;
        }
    }
    for tag in [0x12_u8, 0x0a, 0x0a, 0x0a] {
        let mut outer = vec![tag];
        prost::encoding::encode_varint(value.len() as u64, &mut outer);
        outer.extend(&value);
        value = outer;
    }
    let headers = [("content-type", "application/x-protobuf")];
    let reply = server.client().post("/v1/logs", &headers, value).await;
    assert_eq!(reply.status, 400);
    let json = format!(
        "{}{}",
        r#"{"resourceLogs":["#.repeat(1_000),
        "]}".repeat(1_000)
    );
    let reply = server.client().json("/v1/logs", &json).await;
    assert!(matches!(reply.status.as_u16(), 200 | 400));
    assert!(server.transport.stored().is_empty());
    server.assert_alive().await;
}

#[tokio::test]
async fn clients_that_go_away_in_the_middle_cost_nothing() {
    let server = Running::start().await;
    for _ in 0..20 {
        let mut socket = TcpStream::connect(server.http).await.unwrap();
        let mut bytes = head("content-length: 100000");
        bytes.extend([b'x'; 1_000]);
        socket.write_all(&bytes).await.unwrap();
        drop(socket);
    }
    let channel = server.channel().await;
    let stuck = tokio::spawn(async move {
        let body = Bytes::from(vec![0; 300_000]);
        crate::support::raw_grpc::call(channel, TRACES, body).await
    });
    stuck.abort();
    let snapshot = || server.metrics.snapshot();
    while snapshot().inflight_bytes > 0 || snapshot().connections_open > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(server.transport.stored().is_empty());
    server.assert_alive().await;
}
