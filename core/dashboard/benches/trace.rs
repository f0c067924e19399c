//! What the page of a trace costs, of one with 100 spans and of one with 100,000.
//!
//! `decode` reads what the consumer sends, `arrange` makes the rows of it, and each view is made and written as HTML from
//! that. A page load is the sum of the three. The bytes of the HTML are printed before.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr
)]

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use log_tracer_dashboard::bench::{Pages, arrange};
use log_tracer_proto::{
    otlp::{
        common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
    },
    v1::GetTraceResponse,
};
use prost::Message;

const ID: &str = "01010101010101010101010101010101";
const START: u64 = 1_767_225_600_000_000_000;
const MS: u64 = 1_000_000;
const SERVICES: u32 = 10;
/// Spans of a piece of the consumer's answer.
const PIECE: usize = 5_000;

/// The views, by what stands in the address.
const VIEWS: [(&str, &str); 9] = [
    ("timeline", ""),
    ("filtered", "f=status:error"),
    ("zoomed", "zoom=10ms..60ms"),
    ("spans", "tab=spans"),
    ("spans by self time", "tab=spans&sort=self"),
    ("operations", "tab=operations"),
    ("by an attribute", "tab=operations&by=http.route"),
    ("logs", "tab=logs"),
    ("one span", "span=0000000000000002"),
];

fn text(key: &str, text: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(text)),
        }),
        ..KeyValue::default()
    }
}

fn id(number: u32) -> Bytes {
    u64::from(number + 1).to_be_bytes().to_vec().into()
}

/// A span of a tree in which every span has up to eight below it, each in its time.
fn span(number: u32) -> Span {
    let (mut depth, mut at) = (0, number);
    while at > 0 {
        (depth, at) = (depth + 1, (at - 1) / 8);
    }
    let start = START + u64::from(number) * 7_919 % 50 * MS + depth * 1_000;
    Span {
        trace_id: vec![1; 16].into(),
        span_id: id(number),
        parent_span_id: if number == 0 {
            Bytes::new()
        } else {
            id((number - 1) / 8)
        },
        name: format!("GET /products/{}", number % 23),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + (100 - 10 * depth.min(9)) * MS,
        attributes: vec![
            text("http.request.method", "GET".to_owned()),
            text("http.route", format!("/products/{}", number % 23)),
            text("user.id", format!("user-{}", number * 7 % 10_007)),
            text("server.address", "shop.example".to_owned()),
        ],
        status: number.is_multiple_of(997).then(|| Status {
            message: "the shelf is empty".to_owned(),
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

fn record(number: u32) -> LogRecord {
    LogRecord {
        time_unix_nano: span(number).start_time_unix_nano + MS,
        severity_number: 9,
        body: Some(AnyValue {
            value: Some(Value::StringValue(format!("looked at shelf {number}"))),
        }),
        trace_id: vec![1; 16].into(),
        span_id: id(number),
        attributes: vec![text("shelf.id", number.to_string())],
        ..LogRecord::default()
    }
}

/// The consumer's answer as it comes over the wire; every tenth span has a log record.
fn pieces(spans: u32) -> Vec<Bytes> {
    let scope = Some(InstrumentationScope {
        name: "bench".to_owned(),
        ..InstrumentationScope::default()
    });
    let mut pieces = Vec::new();
    for service in 0..SERVICES {
        let resource = Some(Resource {
            attributes: vec![text("service.name", format!("service-{service}"))],
            ..Resource::default()
        });
        let own: Vec<u32> = (0..spans)
            .filter(|number| number % SERVICES == service)
            .collect();
        for chunk in own.chunks(PIECE) {
            let logs = chunk.iter().filter(|number| *number % 100 < 10);
            pieces.push(GetTraceResponse {
                resource_spans: vec![ResourceSpans {
                    resource: resource.clone(),
                    scope_spans: vec![ScopeSpans {
                        scope: scope.clone(),
                        spans: chunk.iter().map(|number| span(*number)).collect(),
                        ..ScopeSpans::default()
                    }],
                    ..ResourceSpans::default()
                }],
                resource_logs: vec![ResourceLogs {
                    resource: resource.clone(),
                    scope_logs: vec![ScopeLogs {
                        scope: scope.clone(),
                        log_records: logs.map(|number| record(*number)).collect(),
                        ..ScopeLogs::default()
                    }],
                    ..ResourceLogs::default()
                }],
                ..GetTraceResponse::default()
            });
        }
    }
    pieces
        .into_iter()
        .map(|piece| piece.encode_to_vec().into())
        .collect()
}

fn decode(pieces: &[Bytes]) -> Vec<GetTraceResponse> {
    pieces
        .iter()
        .map(|piece| GetTraceResponse::decode(piece.clone()).unwrap())
        .collect()
}

fn trace(criterion: &mut Criterion) {
    let pages = Pages::new().unwrap();
    for spans in [100_u32, 100_000] {
        let encoded = pieces(spans);
        let mut group = criterion.benchmark_group("trace");
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(4));
        group.bench_function(BenchmarkId::new("decode", spans), |bench| {
            bench.iter(|| black_box(decode(&encoded)));
        });
        let decoded = decode(&encoded);
        group.bench_function(BenchmarkId::new("arrange", spans), |bench| {
            bench.iter_batched(|| decoded.clone(), arrange, BatchSize::PerIteration);
        });
        let arranged = arrange(decoded);
        for (name, query) in VIEWS {
            let page = pages.trace(&arranged, ID, query).unwrap();
            eprintln!("{name}, {spans} spans: {} bytes of HTML", page.len());
            group.bench_function(BenchmarkId::new(name, spans), |bench| {
                bench.iter(|| black_box(pages.trace(&arranged, ID, query).unwrap()));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, trace);
criterion_main!(benches);
