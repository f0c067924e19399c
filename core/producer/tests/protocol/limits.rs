//! Sizes: of requests as they come and decompressed, of records, of responses, and of memory.

use std::time::Duration;

use bytes::Bytes;
use log_tracer_producer::{Config, Reason};
use log_tracer_proto::otlp::{
    collector_trace::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_client::TraceServiceClient,
    },
    common::KeyValue,
    trace::Span,
};
use prost::Message;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic::{Code, codec::CompressionEncoding};
use tonic_types::StatusExt;

use crate::support::{Behaviour, Double, Running, http::PROTOBUF, records};

const TYPE: (&str, &str) = ("content-type", PROTOBUF);
const LIMIT: usize = 100_000;

async fn limited() -> Running {
    let config = Config {
        request_bytes_max: LIMIT,
        ..Running::config()
    };
    Running::with(config, Double::default()).await
}

/// A valid request of exactly so many bytes.
fn request_of(bytes: usize) -> ExportTraceServiceRequest {
    let about = records::traces_of_bytes(bytes - 300);
    let missing = bytes - about.encoded_len();
    let request = records::traces_of_bytes(bytes - 300 + missing);
    assert_eq!(request.encoded_len(), bytes);
    request
}

#[tokio::test]
async fn a_request_of_the_limit_is_taken_and_one_byte_more_is_not() {
    let server = limited().await;
    let exact = request_of(LIMIT);
    server.traces().await.export(exact.clone()).await.unwrap();
    assert_eq!(
        server.client().protobuf("/v1/traces", &exact).await.status,
        200
    );

    let more = request_of(LIMIT + 1);
    let status = server
        .traces()
        .await
        .export(more.clone())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_none());
    assert!(status.message().contains("100000"), "{status}");
    let reply = server.client().protobuf("/v1/traces", &more).await;
    assert_eq!(reply.status, 413);
    assert_eq!(reply.header("retry-after"), None);
    assert!(reply.error().message.contains("100000"));
    assert_eq!(server.transport.stored().len(), 2);
    assert_eq!(server.refused(Reason::TooLarge), 2);
}

#[tokio::test]
async fn a_bomb_is_refused_in_every_compression_and_protocol() {
    let server = limited().await;
    let bomb = records::traces_of_bytes(900_000);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let client = TraceServiceClient::new(server.channel().await);
        let mut client = client.send_compressed(encoding);
        let status = client.export(bomb.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.get_details_retry_info().is_none());
        assert!(status.message().contains("decompresses"), "{status}");
    }
    let bomb = bomb.encode_to_vec();
    for (name, body) in [
        ("gzip", records::gzip(&bomb)),
        ("zstd", records::zstd(&bomb)),
    ] {
        assert!(body.len() < LIMIT / 10);
        let headers = [TYPE, ("content-encoding", name)];
        let reply = server.client().post("/v1/traces", &headers, body).await;
        assert_eq!(reply.status, 413);
        assert!(reply.error().message.contains("decompresses"));
    }
    assert!(server.transport.stored().is_empty());
    server.assert_alive().await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_stopped_at_the_limit() {
    let server = limited().await;
    let mut socket = TcpStream::connect(server.http).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..6 {
        socket.write_all(chunk.as_bytes()).await.unwrap();
    }
    socket.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = first_line(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn what_decodes_to_more_memory_than_there_is_is_refused_before_it_is_decoded() {
    let config = Config {
        request_bytes_max: 1 << 20,
        inflight_bytes_max: 8 << 20,
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    // Half a million attributes that say nothing: 1 MB on the wire, some 40 MB decoded.
    let hollow = Span {
        attributes: vec![KeyValue::default(); 500_000],
        ..records::span(0)
    };
    let request = records::traces_of(vec![hollow]);
    assert!(request.encoded_len() <= 1 << 20);
    let status = server
        .traces()
        .await
        .export(request.clone())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_none());
    assert!(status.message().contains("memory"), "{status}");
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        vec!["{}"; 300_000].join(",")
    );
    let reply = server.client().json("/v1/traces", &json).await;
    assert_eq!(reply.status, 413);
    assert!(server.transport.stored().is_empty());
    server.assert_alive().await;
}

#[tokio::test]
async fn a_request_is_split_into_envelopes_that_the_transport_carries() {
    let server = Running::with(Running::config(), Double::new(3, 4_000)).await;
    let request = records::traces(300);
    let reply = server.traces().await.export(request.clone()).await.unwrap();
    assert_eq!(reply.into_inner().partial_success, None);
    let stored = server.transport.stored();
    assert!(stored.len() > 3);
    assert!(
        stored
            .iter()
            .all(|envelope| envelope.encoded_len() <= 4_000)
    );
    let mut found = records::spans_in(&server.transport.traces());
    found.sort_by_key(|span| span.start_time_unix_nano);
    assert_eq!(found, records::spans_in(&[request]));
    for partition in 0..3 {
        let parts: Vec<_> = stored
            .iter()
            .filter(|envelope| envelope.partition.0 == partition)
            .map(|envelope| envelope.part)
            .collect();
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(
                (part.index as usize, part.count as usize),
                (index, parts.len())
            );
        }
    }
}

#[tokio::test]
async fn a_record_larger_than_an_envelope_is_rejected_alone_and_told_the_limit() {
    let server = Running::with(Running::config(), Double::new(1, 4_000)).await;
    let large = Span {
        attributes: vec![records::attribute("padding", &"x".repeat(5_000))],
        ..records::span(1)
    };
    let request = records::traces_of(vec![records::span(0), large, records::span(2)]);
    let reply = server.traces().await.export(request).await.unwrap();
    let partial = reply.into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    let counted = server.metrics.snapshot();
    assert_eq!((counted.spans_rejected, counted.records_too_large), (1, 1));
    let payload_max = 4_000 - log_tracer_transport::Envelope::HEADER_BYTES;
    assert!(
        partial.error_message.contains(&payload_max.to_string()),
        "{}",
        partial.error_message
    );
    assert_eq!(
        records::spans_in(&server.transport.traces()),
        vec![records::span(0), records::span(2)]
    );
}

#[tokio::test]
async fn a_response_over_its_limit_is_shortened_and_then_fails_for_good() {
    let invalid = records::traces_of(vec![Span {
        trace_id: Bytes::new(),
        ..records::span(0)
    }]);
    for (response_bytes_max, fits) in [(30, true), (3, false)] {
        let config = Config {
            response_bytes_max,
            ..Running::config()
        };
        let server = Running::with(config, Double::default()).await;
        let grpc = server.traces().await.export(invalid.clone()).await;
        let http = server.client().protobuf("/v1/traces", &invalid).await;
        if fits {
            let partial = grpc.unwrap().into_inner().partial_success.unwrap();
            assert_eq!(partial.rejected_spans, 1);
            assert!(http.body.len() <= response_bytes_max);
            let http = http.message::<ExportTraceServiceResponse>();
            assert_eq!(http.partial_success.unwrap().rejected_spans, 1);
        } else {
            let status = grpc.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert!(status.get_details_retry_info().is_none());
            assert_eq!(http.status, 500);
        }
    }
}

#[tokio::test]
async fn without_memory_until_the_deadline_a_request_may_be_retried_and_the_process_lives_on() {
    let config = Config {
        request_bytes_max: 1 << 20,
        inflight_bytes_max: 2 << 20,
        publish_deadline_ms: 200,
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    // Declares a request of the largest size, and sends nothing of it.
    let mut greedy = TcpStream::connect(server.http).await.unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        1 << 20
    );
    greedy.write_all(head.as_bytes()).await.unwrap();
    while server.metrics.snapshot().inflight_bytes < 1 << 20 {
        tokio::task::yield_now().await;
    }
    let status = server
        .traces()
        .await
        .export(records::traces(1))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
    let reply = server
        .client()
        .protobuf("/v1/traces", &records::traces(1))
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(server.refused(Reason::Memory), 2);
    drop(greedy);
    while server.metrics.snapshot().inflight_bytes > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn memory_is_held_until_the_transport_answers_and_then_given_back() {
    let server = Running::with(Running::config(), Double::that(Behaviour::Block)).await;
    let mut client = server.traces().await;
    let call = tokio::spawn(async move { client.export(records::traces_of_bytes(500_000)).await });
    while server.transport.publishing() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(server.metrics.snapshot().inflight_bytes >= 500_000);
    server.transport.behave(Behaviour::Store);
    call.await.unwrap().unwrap();
    assert_eq!(server.metrics.snapshot().inflight_bytes, 0);
}

/// The status line of an answer.
async fn first_line(socket: &mut TcpStream) -> String {
    use tokio::io::AsyncReadExt;
    let mut answer = vec![0; 1_000];
    let len = socket.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}
