//! OTLP over gRPC.

use bytes::Bytes;
use log_tracer_producer::{POSITIONS_HEADER, Reason};
use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceRequest,
    collector_trace::ExportTraceServiceRequest,
    logs::LogRecord,
    trace::{ResourceSpans, Span},
};
use prost::Message;
use tonic::{Code, Request, codec::CompressionEncoding};
use tonic_types::StatusExt;

use crate::support::{Double, Running, records};

#[tokio::test]
async fn traces_and_logs_are_stored_before_the_reply() {
    let server = Running::start().await;
    let (traces, logs) = (records::traces(3), records::logs(2));
    server.traces().await.export(traces.clone()).await.unwrap();
    server.logs().await.export(logs.clone()).await.unwrap();
    assert_eq!(server.transport.traces(), vec![traces]);
    assert_eq!(server.transport.logs(), vec![logs]);
    let counted = server.metrics.snapshot();
    assert_eq!((counted.spans_accepted, counted.logs_accepted), (3, 2));
    assert_eq!((counted.requests_grpc, counted.requests_stored), (2, 2));
    assert_eq!(counted.envelopes_published, 2);
}

#[tokio::test]
async fn full_success_leaves_partial_success_unset() {
    let server = Running::start().await;
    let reply = server
        .traces()
        .await
        .export(records::traces(1))
        .await
        .unwrap();
    assert_eq!(reply.into_inner().partial_success, None);
    let reply = server.logs().await.export(records::logs(1)).await.unwrap();
    assert_eq!(reply.into_inner().partial_success, None);
}

#[tokio::test]
async fn gzip_and_zstd_and_no_compression_are_taken() {
    let server = Running::start().await;
    let channel = server.channel().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let client =
            log_tracer_proto::otlp::collector_trace::trace_service_client::TraceServiceClient::new(
                channel.clone(),
            );
        let mut client = client.send_compressed(encoding).accept_compressed(encoding);
        client.export(records::traces(5)).await.unwrap();
    }
    server
        .traces()
        .await
        .export(records::traces(5))
        .await
        .unwrap();
    assert_eq!(server.transport.traces(), vec![records::traces(5); 3]);
}

#[tokio::test]
async fn an_unknown_compression_is_unimplemented_and_says_which_are_known() {
    let server = Running::start().await;
    let mut request = Request::new(records::traces(1));
    let encoding = "br".parse().unwrap();
    request.metadata_mut().insert("grpc-encoding", encoding);
    let status = server.traces().await.export(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let accepted = status.metadata().get("grpc-accept-encoding").unwrap();
    assert!(accepted.to_str().unwrap().contains("zstd"));
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn invalid_spans_are_rejected_one_by_one_and_the_others_stored() {
    let server = Running::start().await;
    let span = records::span;
    let invalid = [
        Span {
            trace_id: Bytes::new(),
            ..span(1)
        },
        Span {
            trace_id: Bytes::from_static(&[0; 16]),
            ..span(2)
        },
        Span {
            trace_id: Bytes::from_static(&[1; 15]),
            ..span(3)
        },
        Span {
            span_id: Bytes::from_static(&[0; 8]),
            ..span(4)
        },
        Span {
            span_id: Bytes::from_static(&[1; 9]),
            ..span(5)
        },
    ];
    let mut spans = vec![span(0)];
    spans.extend(invalid);
    spans.push(span(6));
    let reply = server
        .traces()
        .await
        .export(records::traces_of(spans))
        .await
        .unwrap();
    let partial = reply.into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 5);
    assert!(
        partial
            .error_message
            .contains("record 3: the trace id has 15 bytes"),
        "{}",
        partial.error_message
    );
    assert_eq!(
        records::spans_in(&server.transport.traces()),
        vec![span(0), span(6)]
    );
    let counted = server.metrics.snapshot();
    assert_eq!((counted.spans_accepted, counted.spans_rejected), (2, 5));
}

#[tokio::test]
async fn a_request_of_invalid_spans_alone_stores_nothing_and_succeeds_in_part() {
    let server = Running::start().await;
    let invalid = Span {
        span_id: Bytes::new(),
        ..records::span(0)
    };
    let reply = server
        .traces()
        .await
        .export(records::traces_of(vec![invalid]))
        .await
        .unwrap();
    assert!(reply.metadata().get(POSITIONS_HEADER).is_none());
    assert_eq!(
        reply.into_inner().partial_success.unwrap().rejected_spans,
        1
    );
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn logs_with_invalid_ids_are_kept_as_they_are() {
    let server = Running::start().await;
    let odd = LogRecord {
        trace_id: Bytes::from_static(&[1; 5]),
        span_id: Bytes::from_static(&[0; 8]),
        ..records::log(0)
    };
    let reply = server
        .logs()
        .await
        .export(records::logs_of(vec![odd.clone()]))
        .await
        .unwrap();
    assert_eq!(reply.into_inner().partial_success, None);
    assert_eq!(records::logs_in(&server.transport.logs()), vec![odd]);
}

#[tokio::test]
async fn unusual_but_valid_spans_are_kept_as_they_are() {
    let server = Running::start().await;
    let spans = vec![
        // Ends before it starts, has every flag set, a kind of tomorrow, and the same attribute twice.
        Span {
            end_time_unix_nano: 1,
            flags: u32::MAX,
            kind: 77,
            attributes: vec![records::attribute("a", "1"), records::attribute("a", "2")],
            ..records::span(0)
        },
        Span {
            parent_span_id: Bytes::from_static(&[0; 8]),
            ..records::span(1)
        },
    ];
    server
        .traces()
        .await
        .export(records::traces_of(spans.clone()))
        .await
        .unwrap();
    assert_eq!(records::spans_in(&server.transport.traces()), spans);
}

#[tokio::test]
async fn empty_requests_succeed_without_publishing() {
    let server = Running::start().await;
    let mut client = server.traces().await;
    let empty = ExportTraceServiceRequest::default();
    let hollow = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans::default()],
    };
    for request in [empty, hollow] {
        let reply = client.export(request).await.unwrap().into_inner();
        assert_eq!(reply.partial_success, None);
    }
    let empty = ExportLogsServiceRequest::default();
    server.logs().await.export(empty).await.unwrap();
    assert!(server.transport.stored().is_empty());
    assert_eq!(server.metrics.snapshot().requests_stored, 3);
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_stay_in_the_payload() {
    let server = Running::start().await;
    let mut bytes = records::traces(1).encode_to_vec();
    // Field 1000, a string.
    bytes.extend([0xc2, 0x3e, 2, b'h', b'i']);
    let channel = server.channel().await;
    raw_call(channel, TRACES, bytes.clone().into())
        .await
        .unwrap();
    assert_eq!(server.transport.stored()[0].payload, bytes);
    assert_eq!(server.transport.traces(), vec![records::traces(1)]);
}

#[tokio::test]
async fn undecodable_requests_are_invalid_with_details_and_store_nothing() {
    let server = Running::start().await;
    let mut not_utf8 = records::traces(1);
    not_utf8.resource_spans[0].schema_url = "ab".to_owned();
    let mut not_utf8 = not_utf8.encode_to_vec();
    let at = not_utf8.windows(2).rposition(|pair| pair == b"ab").unwrap();
    not_utf8[at] = 0xff;
    let mut cut = records::traces(2).encode_to_vec();
    cut.truncate(cut.len() - 3);
    for bytes in [not_utf8, cut, b"\xff\xff\xff".to_vec()] {
        let channel = server.channel().await;
        let status = raw_call(channel, TRACES, bytes.into()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(!status.message().is_empty());
        let details = status.get_details_bad_request().unwrap();
        assert!(!details.field_violations[0].description.is_empty());
    }
    assert!(server.transport.stored().is_empty());
    assert_eq!(server.refused(Reason::Malformed), 3);
}

#[tokio::test]
async fn many_calls_run_at_the_same_time_on_one_connection() {
    let transport = Double::that(crate::support::Behaviour::Block);
    let server = Running::with(Running::config(), transport).await;
    let client = server.traces().await;
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move { client.export(records::traces(number + 1)).await })
        })
        .collect();
    while server.transport.publishing() < 20 {
        tokio::task::yield_now().await;
    }
    server.transport.behave(crate::support::Behaviour::Store);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.transport.stored().len(), 20);
}

#[tokio::test]
async fn the_reply_says_where_the_records_are() {
    let server = Running::start().await;
    let mut client = server.traces().await;
    for offset in 0..2 {
        let reply = client.export(records::traces(1)).await.unwrap();
        let positions = reply.metadata().get(POSITIONS_HEADER).unwrap();
        let expected = format!("{:032x}:0:{offset}", 0x1d);
        assert_eq!(positions.to_str().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_retry_has_the_same_batch_id_and_another_request_has_not() {
    let server = Running::start().await;
    let mut client = server.traces().await;
    client.export(records::traces(2)).await.unwrap();
    client.export(records::traces(2)).await.unwrap();
    client.export(records::traces(3)).await.unwrap();
    let ids: Vec<_> = server
        .transport
        .stored()
        .iter()
        .map(|envelope| envelope.batch)
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test]
async fn records_without_times_are_recognised_only_by_an_idempotency_key() {
    let server = Running::start().await;
    let mut client = server.logs().await;
    let timeless = LogRecord {
        time_unix_nano: 0,
        ..records::log(0)
    };
    let request = records::logs_of(vec![timeless]);
    for key in [None, None, Some("a"), Some("a"), Some("b")] {
        let mut request = Request::new(request.clone());
        if let Some(key) = key {
            request
                .metadata_mut()
                .insert("idempotency-key", key.parse().unwrap());
        }
        client.export(request).await.unwrap();
    }
    let ids: Vec<_> = server
        .transport
        .stored()
        .iter()
        .map(|envelope| envelope.batch)
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[2], ids[3]);
    assert_ne!(ids[3], ids[4]);
}

#[tokio::test]
async fn the_payload_is_the_clients_own_bytes_when_one_partition_takes_them_all() {
    let server = Running::start().await;
    // The resource after the scopes: valid, but not as we would write it.
    let whole = records::traces(2);
    let [resource, scopes] = [
        ResourceSpans {
            scope_spans: vec![],
            ..whole.resource_spans[0].clone()
        },
        ResourceSpans {
            resource: None,
            ..whole.resource_spans[0].clone()
        },
    ]
    .map(|part| part.encode_to_vec());
    let body = [scopes, resource].concat();
    let mut bytes = vec![0x0a];
    prost::encoding::encode_varint(body.len() as u64, &mut bytes);
    bytes.extend(body);
    assert_ne!(bytes, whole.encode_to_vec());
    raw_call(server.channel().await, TRACES, bytes.clone().into())
        .await
        .unwrap();
    assert_eq!(server.transport.stored()[0].payload, bytes);
    assert_eq!(server.transport.traces(), vec![whole]);
}

#[tokio::test]
async fn a_trace_goes_to_one_partition_and_traces_are_spread() {
    let server = Running::with(Running::config(), Double::new(4, 1 << 20)).await;
    let mut spans: Vec<_> = (0..40).map(records::span).collect();
    for number in 0..40 {
        let again = Span {
            span_id: Bytes::from_static(&[9; 8]),
            ..records::span(number)
        };
        spans.push(again);
    }
    let reply = server
        .traces()
        .await
        .export(records::traces_of(spans))
        .await
        .unwrap();
    let stored = server.transport.stored();
    assert_eq!(stored.len(), 4);
    for span in (0..40).map(records::span) {
        let holders = stored.iter().filter(|envelope| {
            let request = ExportTraceServiceRequest::decode(envelope.payload.clone()).unwrap();
            records::spans_in(&[request])
                .iter()
                .any(|other| other.trace_id == span.trace_id)
        });
        assert_eq!(holders.count(), 1);
    }
    let positions = reply.metadata().get(POSITIONS_HEADER).unwrap();
    assert_eq!(positions.to_str().unwrap().split(',').count(), 4);
}

#[tokio::test]
async fn metrics_are_unimplemented_with_a_hint_and_so_is_an_unknown_method() {
    let server = Running::start().await;
    let metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    let status = raw_call(server.channel().await, metrics, Bytes::new())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(
        status.message().contains("OTEL_METRICS_EXPORTER=none"),
        "{status}"
    );
    let status = raw_call(server.channel().await, "/no.Such/Method", Bytes::new())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("log-tracer"), "{status}");
}

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Calls a method with bytes as its message.
async fn raw_call(
    channel: tonic::transport::Channel,
    path: &'static str,
    message: Bytes,
) -> Result<Bytes, tonic::Status> {
    crate::support::raw_grpc::call(channel, path, message).await
}
