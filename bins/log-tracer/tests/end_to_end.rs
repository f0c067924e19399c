//! From a sender to an answer: what went in comes out, value by value.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use log_tracer::testing::TestTracer;
use log_tracer_proto::{
    otlp::{
        collector_logs::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        collector_trace::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
        common::{
            AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
        },
        logs::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
        resource::Resource,
        trace::{
            ResourceSpans, ScopeSpans, Span, Status,
            span::{Event, Link, SpanKind},
            status::StatusCode,
        },
    },
    v1::{
        GetTraceRequest, Level, LogEntry, Position, SearchLogsRequest, SubmitRequest,
        WaitForPositionRequest, log_service_client::LogServiceClient,
    },
};
use prost::Message;

const START: u64 = 1_700_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn string(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        ..KeyValue::default()
    }
}

/// Every type of value, and values that are easily bent on the way.
fn attributes() -> Vec<KeyValue> {
    let list = ArrayValue {
        values: vec![
            any(Value::IntValue(-1)),
            any(string("x")),
            AnyValue::default(),
        ],
    };
    let map = KeyValueList {
        values: vec![
            pair("inner.key", Value::BoolValue(false)),
            pair("inner", Value::ArrayValue(list.clone())),
        ],
    };
    vec![
        pair(
            "text",
            string("grüße \"quoted\" <script>alert(1)</script>\n\u{1f980}"),
        ),
        pair("int.beyond.2^53", Value::IntValue(i64::MAX)),
        pair("int.min", Value::IntValue(i64::MIN)),
        pair("double", Value::DoubleValue(0.1 + 0.2)),
        pair("double.whole", Value::DoubleValue(1.0)),
        pair("double.small", Value::DoubleValue(5e-324)),
        pair("bool", Value::BoolValue(true)),
        pair("bytes", Value::BytesValue(vec![0, 255, 128].into())),
        pair("list", Value::ArrayValue(list)),
        pair("map", Value::KvlistValue(map)),
        pair("key with \"quotes\" and.dots", string("v")),
        pair("twice", string("first")),
        pair("twice", Value::IntValue(2)),
        pair("empty", string("")),
    ]
}

fn resource(service: &str) -> Resource {
    Resource {
        attributes: vec![
            pair("service.name", string(service)),
            pair("host.cpus", Value::IntValue(8)),
        ],
        dropped_attributes_count: 3,
        ..Resource::default()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "shop".to_owned(),
        version: "1.2.3".to_owned(),
        attributes: vec![pair("scope.key", string("scope value"))],
        dropped_attributes_count: 4,
    }
}

fn server_span(trace: [u8; 16]) -> Span {
    Span {
        trace_id: trace.to_vec().into(),
        span_id: vec![1; 8].into(),
        name: "POST /pay".to_owned(),
        kind: SpanKind::Server.into(),
        trace_state: "vendor=value".to_owned(),
        flags: 0x301,
        start_time_unix_nano: START,
        end_time_unix_nano: START + 250 * MILLISECOND,
        attributes: attributes(),
        dropped_attributes_count: 5,
        events: vec![Event {
            time_unix_nano: START + 3,
            name: "exception".to_owned(),
            attributes: attributes(),
            dropped_attributes_count: 6,
        }],
        dropped_events_count: 7,
        links: vec![Link {
            trace_id: vec![9; 16].into(),
            span_id: vec![8; 8].into(),
            trace_state: "a=b".to_owned(),
            attributes: attributes(),
            dropped_attributes_count: 8,
            flags: 0x100,
        }],
        dropped_links_count: 9,
        status: Some(Status {
            code: StatusCode::Error.into(),
            message: "card refused".to_owned(),
        }),
        ..Span::default()
    }
}

fn child_span(trace: [u8; 16]) -> Span {
    Span {
        trace_id: trace.to_vec().into(),
        span_id: vec![2; 8].into(),
        parent_span_id: vec![1; 8].into(),
        name: "charge".to_owned(),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: START + 10 * MILLISECOND,
        end_time_unix_nano: START + 200 * MILLISECOND,
        ..Span::default()
    }
}

fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource("checkout")),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans,
                schema_url: "https://opentelemetry.io/schemas/1.27.0".to_owned(),
            }],
            schema_url: "https://opentelemetry.io/schemas/1.26.0".to_owned(),
        }],
    }
}

fn log(trace: [u8; 16]) -> LogRecord {
    LogRecord {
        time_unix_nano: START + 20 * MILLISECOND,
        observed_time_unix_nano: START + 21 * MILLISECOND,
        severity_number: SeverityNumber::Warn2.into(),
        severity_text: "WARNING".to_owned(),
        body: Some(any(string("the card was refused"))),
        attributes: attributes(),
        dropped_attributes_count: 2,
        flags: 1,
        trace_id: trace.to_vec().into(),
        span_id: vec![2; 8].into(),
        event_name: "card.refused".to_owned(),
    }
}

fn logs(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource("payment")),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope()),
                log_records,
                schema_url: "https://opentelemetry.io/schemas/1.27.0".to_owned(),
            }],
            schema_url: String::new(),
        }],
    }
}

/// A POST with a body, and the answer as status and body.
fn post(url: &str, path: &str, content_type: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let status = std::str::from_utf8(&answer[9..12])
        .unwrap()
        .parse()
        .unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    (status, answer[end + 4..].to_vec())
}

async fn assert_whole(tracer: &TestTracer, id: [u8; 16]) {
    let trace = tracer.wait_for_spans(id, 2).await.unwrap();
    tracer.wait_for_logs("refused", 1).await.unwrap();
    let request = trace.root();
    assert_eq!(request.span, server_span(id));
    assert_eq!(trace.span("charge").span, child_span(id));
    for span in &trace.spans {
        assert_eq!(span.resource.resource, resource("checkout"));
        assert_eq!(
            span.resource.schema_url,
            "https://opentelemetry.io/schemas/1.26.0"
        );
        assert_eq!(span.scope.scope, Some(scope()));
        assert_eq!(
            span.scope.schema_url,
            "https://opentelemetry.io/schemas/1.27.0"
        );
    }

    let trace = tracer.wait_for_trace(id).await.unwrap();
    assert_eq!(trace.logs.len(), 1);
    let line = trace.log("refused").in_span(trace.span("charge"));
    assert_eq!(line.record, log(id));
    assert_eq!(line.resource.resource, resource("payment"));
    assert_eq!(line.scope.scope, Some(scope()));
}

#[tokio::test]
async fn what_is_sent_over_grpc_is_found_value_by_value() {
    let tracer = TestTracer::start().await.unwrap();
    let id = [0x5b; 16];
    let mut client = TraceServiceClient::connect(tracer.otlp_grpc())
        .await
        .unwrap();
    client
        .export(traces(vec![server_span(id), child_span(id)]))
        .await
        .unwrap();
    let mut client = LogsServiceClient::connect(tracer.otlp_grpc())
        .await
        .unwrap();
    client.export(logs(vec![log(id)])).await.unwrap();
    assert_whole(&tracer, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_over_http_as_protobuf_is_found_value_by_value() {
    let tracer = TestTracer::start().await.unwrap();
    let id = [0x5c; 16];
    let protobuf = "application/x-protobuf";
    let request = traces(vec![server_span(id), child_span(id)]).encode_to_vec();
    let (status, body) = post(&tracer.otlp_http(), "/v1/traces", protobuf, &request);
    assert_eq!((status, body), (200, Vec::new()));
    let request = logs(vec![log(id)]).encode_to_vec();
    let (status, body) = post(&tracer.otlp_http(), "/v1/logs", protobuf, &request);
    assert_eq!((status, body), (200, Vec::new()));
    assert_whole(&tracer, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_over_http_as_json_is_found() {
    let tracer = TestTracer::start().await.unwrap();
    let body = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"by-hand"}}]},
        "scopeSpans":[{"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","name":"typed",
        "kind":2,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000",
        "attributes":[{"key":"big","value":{"intValue":"9223372036854775807"}}]}]}]}]}"#;
    let (status, answer) = post(
        &tracer.otlp_http(),
        "/v1/traces",
        "application/json",
        body.as_bytes(),
    );
    assert_eq!((status, answer.as_slice()), (200, &b"{}"[..]));
    let trace = tracer
        .wait_for_trace("5b8efff798038103d269b633813fc60c")
        .await
        .unwrap();
    let span = trace.root().named("typed").of_service("by-hand");
    span.with_attribute("big", i64::MAX);
    assert_eq!(span.duration_nano(), 1_000_000_000);
    assert_eq!(span.kind(), SpanKind::Server);
}

#[tokio::test]
async fn a_log_without_an_sdk_is_found_at_the_position_of_its_ack() {
    let tracer = TestTracer::start().await.unwrap();
    let mut client = LogServiceClient::connect(tracer.otlp_grpc()).await.unwrap();
    let entry = LogEntry {
        time_unix_nano: START,
        level: Level::Error.into(),
        service: "cron".to_owned(),
        message: "backup failed".to_owned(),
        trace_id: "5b8efff798038103d269b633813fc60c".to_owned(),
        span_id: "eee19b7ec3c1b174".to_owned(),
        attributes: vec![pair("disk.free", Value::IntValue(0))],
    };
    let request = SubmitRequest {
        entries: vec![entry],
        ..SubmitRequest::default()
    };
    let positions = client.submit(request).await.unwrap().into_inner().positions;
    assert_eq!(positions.len(), 1);

    // Read your own write: no waiting in the test itself.
    let mut query = tracer.query().unwrap();
    query
        .wait_for_position(WaitForPositionRequest { positions })
        .await
        .unwrap();
    let found = query
        .search_logs(SearchLogsRequest {
            query: "service:cron severity>=error \"backup failed\" disk.free:0".to_owned(),
            ..SearchLogsRequest::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.hits.len(), 1);
    let record = found.hits[0].record.as_ref().unwrap();
    assert_eq!(record.time_unix_nano, START);
    assert_eq!(record.severity_number, i32::from(SeverityNumber::Error));
    assert_eq!(record.body, Some(any(string("backup failed"))));
    assert_eq!(found.resources[0].service, "cron");
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_stored_once() {
    let tracer = TestTracer::start().await.unwrap();
    let id = [0x5d; 16];
    let request = traces(vec![server_span(id), child_span(id)]);
    let mut client = TraceServiceClient::connect(tracer.otlp_grpc())
        .await
        .unwrap();
    let mut last = Vec::new();
    for _ in 0..3 {
        let reply = client.export(request.clone()).await.unwrap();
        let positions = reply.metadata().get("log-tracer-positions").unwrap();
        last.extend(positions.to_str().unwrap().split(',').map(position));
    }
    let mut query = tracer.query().unwrap();
    query
        .wait_for_position(WaitForPositionRequest { positions: last })
        .await
        .unwrap();
    let trace = tracer.wait_for_trace(id).await.unwrap();
    assert_eq!(trace.spans.len(), 2, "{trace}");
}

/// `<log id>:<partition>:<offset>`
fn position(text: &str) -> Position {
    let mut parts = text.split(':');
    Position {
        log_id: parts.next().unwrap().to_owned(),
        partition: parts.next().unwrap().parse().unwrap(),
        offset: parts.next().unwrap().parse().unwrap(),
    }
}

#[tokio::test]
async fn queries_find_what_they_describe_and_nothing_else() {
    let tracer = TestTracer::start().await.unwrap();
    let (failed, fine) = ([0x61; 16], [0x62; 16]);
    let mut client = TraceServiceClient::connect(tracer.otlp_grpc())
        .await
        .unwrap();
    let mut quick = child_span(fine);
    quick.parent_span_id = bytes::Bytes::new();
    quick.end_time_unix_nano = quick.start_time_unix_nano + MILLISECOND;
    client
        .export(traces(vec![server_span(failed), child_span(failed)]))
        .await
        .unwrap();
    client.export(traces(vec![quick])).await.unwrap();
    tracer.wait_for_spans(failed, 2).await.unwrap();
    tracer.wait_for_spans(fine, 1).await.unwrap();

    for (query, expected) in [
        ("", vec![failed, fine]),
        ("status:error", vec![failed]),
        ("duration>=250ms", vec![failed]),
        ("name:charge duration<2ms", vec![fine]),
        ("service:checkout kind:client", vec![failed, fine]),
        ("scope.key:\"scope value\" -status:error name:POST*", vec![]),
        ("service:other", vec![]),
    ] {
        let found = tracer.traces_of(query).await.unwrap();
        let mut found: Vec<_> = found.iter().map(|trace| *trace.id.as_bytes()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn a_trace_that_nobody_sent_is_not_found() {
    let tracer = TestTracer::start().await.unwrap();
    let mut query = tracer.query().unwrap();
    let request = GetTraceRequest {
        trace_id: vec![7; 16].into(),
        ..GetTraceRequest::default()
    };
    let status = match query.get_trace(request).await {
        Ok(pieces) => pieces.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    };
    assert_eq!(status.code(), tonic::Code::NotFound);
}
