//! Requests in protobuf: decoded, checked where they lie, shown by views, cut into parts; rows; and OTLP's JSON.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use log_tracer_proto::json;
use log_tracer_record::{
    arbitrary,
    otlp::{
        collector_logs::ExportLogsServiceRequest,
        collector_trace::ExportTraceServiceRequest,
        common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span},
    },
    span_rows,
    split::{self, RouteKey},
    wire::{KeyValueView, Logs, Request, Spans, ValueView},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use prost::Message;

/// What an SDK's batch processor sends at a time.
const RECORDS: u64 = 512;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(text: impl Into<String>) -> Value {
    Value::StringValue(text.into())
}

fn resource() -> Option<Resource> {
    Some(Resource {
        attributes: vec![
            attribute("service.name", text("shop")),
            attribute("service.version", text("2.14.1")),
            attribute("host.name", text("web-17.example")),
        ],
        ..Resource::default()
    })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "io.opentelemetry.tomcat-10.0".to_owned(),
        version: "2.9.0".to_owned(),
        ..InstrumentationScope::default()
    })
}

fn trace_id(number: u64) -> Bytes {
    // Eight records a trace.
    let id = u128::from(number / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Bytes::copy_from_slice(&id.to_be_bytes())
}

fn span(number: u64) -> Span {
    let start = 1_700_000_000_000_000_000 + number * 1_000;
    Span {
        trace_id: trace_id(number),
        span_id: Bytes::copy_from_slice(&(number + 1).to_be_bytes()),
        parent_span_id: Bytes::copy_from_slice(&(number / 8 * 8 + 1).to_be_bytes()),
        name: format!("GET /products/{}", number % 20),
        kind: 2,
        flags: 0x101,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 5_000_000,
        attributes: vec![
            attribute("http.request.method", text("GET")),
            attribute("http.route", text("/products/{id}")),
            attribute("http.response.status_code", Value::IntValue(200)),
            attribute("url.path", text(format!("/products/{}", number % 1_000))),
            attribute("url.scheme", text("https")),
            attribute("server.address", text("shop.example")),
            attribute("server.port", Value::IntValue(443)),
            attribute("user.id", text(format!("user-{}", number * 7_919 % 10_007))),
            attribute(
                "user_agent.original",
                text("Mozilla/5.0 (X11; Linux x86_64)"),
            ),
            attribute("network.protocol.version", text("1.1")),
        ],
        ..Span::default()
    }
}

fn log_record(number: u64) -> LogRecord {
    let time = 1_700_000_000_000_000_000 + number * 1_000;
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time + 10,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue {
            value: Some(text(format!(
                "order {} of user {} was placed and will be shipped to the address that is on file for it",
                number * 31,
                number * 7_919 % 10_007
            ))),
        }),
        attributes: vec![
            attribute("logger.name", text("shop.checkout.OrderService")),
            attribute("thread.name", text("http-nio-8080-exec-7")),
            attribute("thread.id", Value::IntValue(47)),
            attribute("order.id", text(format!("order-{}", number * 31))),
            attribute("user.id", text(format!("user-{}", number * 7_919 % 10_007))),
            attribute("code.lineno", Value::IntValue(218)),
        ],
        trace_id: trace_id(number),
        span_id: Bytes::copy_from_slice(&(number + 1).to_be_bytes()),
        ..LogRecord::default()
    }
}

fn spans() -> Bytes {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(),
            scope_spans: vec![ScopeSpans {
                scope: scope(),
                spans: (0..RECORDS).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}

fn logs() -> Bytes {
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(),
            scope_logs: vec![ScopeLogs {
                scope: scope(),
                log_records: (0..RECORDS).map(log_record).collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    request.encode_to_vec().into()
}

/// Looks at the key and the value of an attribute.
fn look(attribute: KeyValueView<'_>) -> usize {
    let value = match attribute.value.and_then(|value| value.value) {
        Some(ValueView::String(text)) => text.as_str().len(),
        Some(ValueView::Int(number)) => number as usize,
        _ => 0,
    };
    attribute.key.as_bytes().len() + value
}

fn spans_in_protobuf(c: &mut Criterion) {
    let bytes = spans();
    let mut group = c.benchmark_group("512 spans in protobuf");
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("prost", |b| {
        b.iter(|| ExportTraceServiceRequest::decode(bytes.clone()).unwrap());
    });
    group.bench_function("check", |b| {
        b.iter(|| Request::<Spans>::check(black_box(&bytes)).unwrap());
    });
    let request = Request::<Spans>::check(&bytes).unwrap();
    group.bench_function("views", |b| {
        b.iter(|| {
            let scopes = request.resources().flat_map(|it| it.scopes.iter());
            let spans = scopes.flat_map(|it| it.records.iter());
            spans
                .map(|span| span.attributes.iter().map(look).sum::<usize>())
                .sum::<usize>()
        });
    });
    let by_first_byte = |key: RouteKey<'_>| match key {
        RouteKey::Trace(id) => u16::from(id.as_bytes()[0] % 4),
        RouteKey::Service(_) => 0,
    };
    group.bench_function("cut into 4 partitions", |b| {
        b.iter(|| split::cut(black_box(&request), 1 << 20, by_first_byte));
    });
    group.finish();
}

fn logs_in_protobuf(c: &mut Criterion) {
    let bytes = logs();
    let mut group = c.benchmark_group("512 log records in protobuf");
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("prost", |b| {
        b.iter(|| ExportLogsServiceRequest::decode(bytes.clone()).unwrap());
    });
    group.bench_function("check", |b| {
        b.iter(|| Request::<Logs>::check(black_box(&bytes)).unwrap());
    });
    let request = Request::<Logs>::check(&bytes).unwrap();
    group.bench_function("views", |b| {
        b.iter(|| {
            let scopes = request.resources().flat_map(|it| it.scopes.iter());
            let records = scopes.flat_map(|it| it.records.iter());
            records
                .map(|record| record.attributes.iter().map(look).sum::<usize>())
                .sum::<usize>()
        });
    });
    group.finish();
}

/// At least 512 spans of the shapes that the property tests use, the same in each run.
fn odd_request() -> ExportTraceServiceRequest {
    let mut runner = TestRunner::deterministic();
    let mut request = ExportTraceServiceRequest::default();
    let spans =
        |request: &ExportTraceServiceRequest| span_rows(request.resource_spans.clone()).len();
    while spans(&request) < 512 {
        let more = arbitrary::valid_resource_spans()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        request.resource_spans.extend(more);
    }
    request
}

fn rows_and_json(c: &mut Criterion) {
    let request = odd_request();
    let json = json::traces_to_json(&request.resource_spans);
    let spans = span_rows(request.resource_spans.clone()).len() as u64;
    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Elements(spans));
    group.bench_function("span_rows", |b| {
        b.iter_batched(
            || request.resource_spans.clone(),
            span_rows,
            BatchSize::LargeInput,
        );
    });
    group.bench_function("json decode", |b| {
        b.iter(|| json::decode_traces(json.as_bytes()).unwrap())
    });
    group.bench_function("json encode", |b| {
        b.iter(|| json::traces_to_json(&request.resource_spans))
    });
    group.finish();
}

criterion_group!(benches, spans_in_protobuf, logs_in_protobuf, rows_and_json);
criterion_main!(benches);
