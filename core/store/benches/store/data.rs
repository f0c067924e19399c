//! Records as a shop with twelve services sends them: traces of 40 spans with 11 attributes each, and lines of some 120
//! bytes. The same records in every run.

// Each benchmark and test has its own copy, and none uses all of it.
#![allow(dead_code)]

use std::sync::Arc;

use bytes::Bytes;
use log_tracer_record::{
    LogRow, ResourceContext, ScopeContext, SpanRow, TraceId,
    otlp::{
        common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        logs::LogRecord,
        resource::Resource,
        trace::{Span, Status, span::Event},
    },
};

/// Rows of a batch, as an SDK sends them by default.
pub(crate) const BATCH_ROWS: u64 = 512;

pub(crate) const SPANS_PER_TRACE: u64 = 40;
const START_UNIX_NANO: u64 = 1_700_000_000_000_000_000;
/// A record each 20 microseconds: 50,000 a second.
const STEP_NANO: u64 = 20_000;
const SERVICES: [&str; 12] = [
    "frontend", "cart", "checkout", "payment", "stock", "shipping", "mail", "search", "account",
    "currency", "quote", "ads",
];
const WORDS: [&str; 16] = [
    "request", "order", "cart", "item", "user", "session", "payment", "accepted", "queued",
    "retry", "cache", "hit", "miss", "stored", "loaded", "updated",
];

/// The word that stands in every line, and the one that stands in one line of a million.
pub(crate) const COMMON_WORD: &str = "handled";
pub(crate) const RARE_WORD: &str = "zephyr";

/// Spans from `first` on, as one envelope has them: of one service.
pub(crate) fn spans(first: u64) -> Vec<SpanRow> {
    let shared = Shared::of(first / BATCH_ROWS);
    (first..first + BATCH_ROWS)
        .map(|number| shared.span(number))
        .collect()
}

/// Log records from `first` on, as one envelope has them.
pub(crate) fn logs(first: u64) -> Vec<LogRow> {
    let shared = Shared::of(first / BATCH_ROWS);
    (first..first + BATCH_ROWS)
        .map(|number| shared.log(number))
        .collect()
}

/// Services that send at once, and traces that are under way at once, in [`mixed_spans`] and [`mixed_logs`].
const SERVICES_AT_ONCE: u64 = 12;
const TRACES_AT_ONCE: u64 = 16;

/// The numbers of the records of an envelope when many services send at once, each with the number that decides its
/// time.
fn mixed(batch: u64) -> impl Iterator<Item = (u64, u64)> {
    const TURN: u64 = TRACES_AT_ONCE * SPANS_PER_TRACE;
    let (round, service) = (batch / SERVICES_AT_ONCE, batch % SERVICES_AT_ONCE);
    (0..BATCH_ROWS).map(move |row| {
        let at = (round * BATCH_ROWS + row) * SERVICES_AT_ONCE + service;
        let (turn, in_turn) = (at / TURN * TURN, at % TURN);
        let trace = in_turn % TRACES_AT_ONCE;
        (
            turn + trace * SPANS_PER_TRACE + in_turn / TRACES_AT_ONCE,
            at,
        )
    })
}

/// Spans as one envelope of many has them: those of a trace are of many services, and stand among those of others.
pub(crate) fn mixed_spans(batch: u64) -> Vec<SpanRow> {
    let shared = Shared::of(batch);
    let span = |(number, at)| {
        let mut row = shared.span(number);
        let (was, is) = (time_of(number), time_of(at));
        row.span.start_time_unix_nano = is;
        row.span.end_time_unix_nano = row.span.end_time_unix_nano - was + is;
        for event in &mut row.span.events {
            event.time_unix_nano = event.time_unix_nano - was + is;
        }
        row
    };
    mixed(batch).map(span).collect()
}

/// Log records likewise.
pub(crate) fn mixed_logs(batch: u64) -> Vec<LogRow> {
    let shared = Shared::of(batch);
    let log = |(number, at)| {
        let mut row = shared.log(number);
        row.record.time_unix_nano = time_of(at);
        row.record.observed_time_unix_nano = time_of(at) + 1000 + mix(at) % 1_000_000;
        row
    };
    mixed(batch).map(log).collect()
}

/// The trace that a record belongs to.
pub(crate) fn trace_of(number: u64) -> TraceId {
    let trace = number / SPANS_PER_TRACE + 1;
    let id = (u128::from(mix(trace)) << 64) | u128::from(mix(!trace));
    TraceId::from_bytes(&id.to_be_bytes()).expect("not zero")
}

pub(crate) fn time_of(number: u64) -> u64 {
    START_UNIX_NANO + number * STEP_NANO
}

/// What the records of an envelope share.
struct Shared {
    resource: Arc<ResourceContext>,
    scope: Arc<ScopeContext>,
}

impl Shared {
    fn of(batch: u64) -> Self {
        let service = pick(&SERVICES, mix(batch));
        let pod = format!("{service}-7d9f{}", batch % 3);
        let attributes = vec![
            text("service.name", service),
            text("service.version", "1.14.2"),
            text("service.instance.id", &pod),
            text("host.name", &format!("node-{}", batch % 5)),
            text("k8s.pod.name", &pod),
            text("deployment.environment.name", "production"),
        ];
        let resource = Resource {
            attributes,
            ..Resource::default()
        };
        let scope = InstrumentationScope {
            name: "io.opentelemetry.contrib.http".to_owned(),
            version: "2.1.0".to_owned(),
            ..InstrumentationScope::default()
        };
        Self {
            resource: Arc::new(ResourceContext::new(resource, String::new())),
            scope: Arc::new(ScopeContext {
                scope: Some(scope),
                schema_url: String::new(),
            }),
        }
    }

    fn span(&self, number: u64) -> SpanRow {
        let random = mix(number);
        let in_trace = number % SPANS_PER_TRACE;
        let root = number - in_trace;
        let parent = if in_trace == 0 {
            Bytes::new()
        } else {
            span_id(root + mix(number) % in_trace)
        };
        let route = pick(
            &["/", "/cart", "/checkout", "/item/{id}", "/search"],
            random,
        );
        let is_error = random.is_multiple_of(50);
        let status = if is_error { 500 } else { 200 };
        let attributes = vec![
            text("http.request.method", pick(&["GET", "POST"], random >> 3)),
            text("http.route", route),
            int("http.response.status_code", status),
            text(
                "url.full",
                &format!("https://shop.example.com{route}?page={}", random % 100),
            ),
            text("server.address", "shop.example.com"),
            int("server.port", 443),
            text(
                "client.address",
                &format!("10.1.{}.{}", random % 256, random / 256 % 256),
            ),
            text("user.id", &format!("user-{}", random % 50_000)),
            text("session.id", &format!("{random:016x}")),
            text("app.order.id", &format!("order-{number}")),
            pair(
                "app.amount",
                Value::DoubleValue((random % 10_000) as f64 / 100.0),
            ),
        ];
        let event = Event {
            time_unix_nano: time_of(number) + 500,
            name: "cache.lookup".to_owned(),
            attributes: vec![text("cache.key", &format!("item-{}", random % 1000))],
            ..Event::default()
        };
        let start = time_of(number);
        let span = Span {
            trace_id: trace_of(number).to_bytes(),
            span_id: span_id(number),
            parent_span_id: parent,
            flags: 0x101,
            name: format!("GET {route}"),
            kind: 1 + (random % 5) as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: start + random % 20_000_000,
            attributes,
            events: if random.is_multiple_of(5) {
                vec![event]
            } else {
                Vec::new()
            },
            status: is_error.then(|| Status {
                code: 2,
                message: "upstream failed".to_owned(),
            }),
            ..Span::default()
        };
        SpanRow {
            resource: Arc::clone(&self.resource),
            scope: Arc::clone(&self.scope),
            span,
        }
    }

    fn log(&self, number: u64) -> LogRow {
        let random = mix(number);
        let mut body = String::with_capacity(160);
        for shift in 0..12 {
            body.push_str(pick(&WORDS, random >> (4 * shift)));
            body.push(' ');
        }
        body.push_str(COMMON_WORD);
        body.push_str(&format!(" order-{number} in {} ms", random % 1000));
        if number % 1_000_000 == 123_456 {
            body.push(' ');
            body.push_str(RARE_WORD);
        }
        let attributes = vec![
            text(
                "code.function.name",
                pick(&["handle", "load", "store"], random),
            ),
            text("thread.name", &format!("worker-{}", random % 16)),
            int("http.response.status_code", 200),
            text("user.id", &format!("user-{}", random % 50_000)),
        ];
        let record = LogRecord {
            time_unix_nano: time_of(number),
            observed_time_unix_nano: time_of(number) + 1000,
            severity_number: if random.is_multiple_of(50) { 17 } else { 9 },
            severity_text: "INFO".to_owned(),
            body: Some(AnyValue {
                value: Some(Value::StringValue(body)),
            }),
            attributes,
            trace_id: trace_of(number).to_bytes(),
            span_id: span_id(number),
            ..LogRecord::default()
        };
        LogRow {
            resource: Arc::clone(&self.resource),
            scope: Arc::clone(&self.scope),
            record,
        }
    }
}

fn span_id(number: u64) -> Bytes {
    Bytes::copy_from_slice(&(mix(number) | 1).to_be_bytes())
}

/// SplitMix64: the numbers of a row look random and are always the same.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn pick<'a>(choices: &[&'a str], random: u64) -> &'a str {
    choices[random as usize % choices.len()]
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}
