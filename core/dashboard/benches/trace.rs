//! What the pages of a trace cost: the time of the processor of dashboard, consumer and store together, of traces with 100,
//! 10,000 and 100,000 spans, in memory and in blocks.
//!
//! Everything runs in this process, as in `log-tracer run`, and is asked over HTTP. The time is that of all threads, so that
//! what else the machine does counts little; it has the client's part in it, which is small. Of several loads it is the
//! median. The bytes are those of the HTML.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{env, time::Duration};

use bytes::Bytes;
use common::real::Real;
use log_tracer_consumer::Config as ConsumerConfig;
use log_tracer_dashboard::Config;
use log_tracer_proto::otlp::{
    common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::{LogRecord, ResourceLogs, ScopeLogs},
    resource::Resource,
    trace::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use nix::time::{ClockId, clock_gettime};

const ID: &str = "01010101010101010101010101010101";
const START: u64 = 1_767_225_600_000_000_000;
const MS: u64 = 1_000_000;
const SERVICES: u32 = 10;
/// Spans of a request.
const REQUEST: usize = 5_000;

/// The views, by what stands in the address.
const VIEWS: [(&str, &str); 11] = [
    ("timeline", ""),
    ("filtered", "f=status:error"),
    ("zoomed", "zoom=10ms..60ms"),
    ("spans", "tab=spans"),
    ("spans by self time", "tab=spans&sort=self"),
    ("operations", "tab=operations"),
    ("by an attribute", "tab=operations&group=http.route"),
    ("flame graph", "tab=flame"),
    ("graph", "tab=graph"),
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

/// Sends a trace; every tenth span has a log record.
async fn send(real: &Real, spans: u32) {
    let scope = Some(InstrumentationScope {
        name: "bench".to_owned(),
        ..InstrumentationScope::default()
    });
    for service in 0..SERVICES {
        let resource = Some(Resource {
            attributes: vec![text("service.name", format!("service-{service}"))],
            ..Resource::default()
        });
        let own: Vec<u32> = (0..spans)
            .filter(|number| number % SERVICES == service)
            .collect();
        for chunk in own.chunks(REQUEST) {
            let logs = chunk.iter().filter(|number| *number % 100 < 10);
            let of_spans = ResourceSpans {
                resource: resource.clone(),
                scope_spans: vec![ScopeSpans {
                    scope: scope.clone(),
                    spans: chunk.iter().map(|number| span(*number)).collect(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            };
            let of_logs = ResourceLogs {
                resource: resource.clone(),
                scope_logs: vec![ScopeLogs {
                    scope: scope.clone(),
                    log_records: logs.map(|number| record(*number)).collect(),
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            };
            real.send(vec![of_spans], vec![of_logs]).await;
        }
    }
}

/// The time of the processor that this process took.
fn cpu() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap())
}

/// Waits until nothing is written or merged any more.
async fn until_quiet() {
    loop {
        let before = cpu();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if cpu() - before < Duration::from_millis(20) {
            return;
        }
    }
}

async fn measure(place: &str, spans: u32, config: ConsumerConfig) {
    let real = Real::with(Config::default(), config).await;
    send(&real, spans).await;
    until_quiet().await;
    let only = env::var("VIEW").unwrap_or_default();
    for (name, query) in VIEWS.iter().filter(|(name, _)| name.contains(&only)) {
        let address = format!("/trace/{ID}?{query}");
        let bytes = real.site.page(&address).await.len();
        let mut loads = Vec::new();
        for _ in 0..7 {
            let before = cpu();
            real.site.page(&address).await;
            loads.push(cpu() - before);
        }
        loads.sort();
        let millis = loads[loads.len() / 2].as_secs_f64() * 1e3;
        println!("| {place} | {spans} | {name} | {millis:.1} | {bytes} |");
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    println!("| where | spans | view | CPU ms | bytes |\n|---|---|---|---|---|");
    let sizes = env::var("SPANS").map_or(vec![100, 10_000, 100_000], |spans| {
        vec![spans.parse().unwrap()]
    });
    for spans in sizes {
        measure("memory", spans, ConsumerConfig::default()).await;
        let directory = tempfile::tempdir().unwrap();
        let mut config = ConsumerConfig {
            store_directory: Some(directory.path().join("store")),
            ..ConsumerConfig::default()
        };
        // All rows go to blocks at once, however old they are.
        config.store.flush_rows_max = 1;
        config.store.retention_age_max_ms = u64::MAX;
        config.store.disk_reserve_bytes = 0;
        measure("blocks", spans, config).await;
    }
}
