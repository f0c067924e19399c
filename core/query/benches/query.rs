//! What reading a query costs, and what asking it of a record costs.
#![allow(missing_docs)] // criterion's macros make public functions

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use log_tracer_query::{Field, Intrinsic, Query, Record, Value, parse};

const QUERIES: &[(&str, &str)] = &[
    ("empty", ""),
    ("service", "service:checkout"),
    ("status_code", "http.response.status_code>=500"),
    ("word", "refused"),
    ("phrase", "\"connection refused\""),
    ("regex", "/conn\\w+ refused/"),
    ("glob", "http.route:*cart*"),
    (
        "mixed",
        "service:checkout severity>=warn \"connection refused\" http.response.status_code>=500 \
         -name:health (user.id:42 OR user.id:43)",
    ),
];

/// A log record as a person might send it.
struct Log {
    body: &'static str,
    attributes: Vec<(Field, Value<'static>)>,
}

impl Record for Log {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        self.attributes
            .iter()
            .any(|(key, value)| key == field && visit(*value))
    }

    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        visit(self.body)
            || self
                .attributes
                .iter()
                .any(|(key, value)| match (key, value) {
                    (Field::Attribute(_), Value::Str(text)) => visit(text),
                    _ => false,
                })
    }
}

fn log() -> Log {
    let attribute = |key: &str, value| (Field::Attribute(key.to_owned()), value);
    Log {
        body: "Order 4711 for customer anna@example.com could not be paid: card issuer asked to try again in 30 s",
        attributes: vec![
            (Field::Intrinsic(Intrinsic::Service), Value::Str("checkout")),
            (Field::Intrinsic(Intrinsic::Severity), Value::Int(17)),
            attribute("http.request.method", Value::Str("POST")),
            attribute("http.route", Value::Str("/api/v1/orders/{id}/payment")),
            attribute("http.response.status_code", Value::Int(502)),
            attribute("user.id", Value::Str("42")),
            attribute(
                "server.address",
                Value::Str("payment-7f9c4d-x2k1p.shop.svc.cluster.local"),
            ),
            attribute("retry", Value::Bool(false)),
        ],
    }
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, text) in QUERIES {
        group.bench_with_input(BenchmarkId::from_parameter(name), text, |bencher, text| {
            bencher.iter(|| parse(black_box(text)));
        });
    }
    let list: Vec<String> = (0..500).map(|number| format!("v{number}")).collect();
    let list = format!("user.id:({})", list.join(" OR "));
    group.throughput(Throughput::Bytes(list.len() as u64));
    group.bench_function("list of 500", |bencher| {
        bencher.iter(|| parse(black_box(&list)))
    });
    group.finish();
}

fn asking(criterion: &mut Criterion) {
    let record = log();
    let mut group = criterion.benchmark_group("match");
    group.throughput(Throughput::Elements(1));
    for (name, text) in QUERIES {
        let query: Query = parse(text).unwrap_or_default();
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &query,
            |bencher, query| {
                bencher.iter(|| query.matches(black_box(&record)));
            },
        );
    }
    group.finish();
}

fn needing(criterion: &mut Criterion) {
    let query = QUERIES
        .last()
        .and_then(|(_, text)| parse(text).ok())
        .unwrap_or_default();
    criterion.bench_function("needs", |bencher| {
        bencher.iter(|| black_box(&query).needs())
    });
}

criterion_group!(benches, reading, asking, needing);
criterion_main!(benches);
