//! What the producer does to an ordinary request between its socket and its transport: 512 spans with ten attributes
//! each, which is what an SDK's batch processor sends at a time.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{hint::black_box, num::NonZeroU16};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use log_tracer_producer::{
    ByteLimit, Encoding,
    pipeline::{Content, Request, Rules, prepare},
};
use log_tracer_proto::otlp::{
    collector_trace::ExportTraceServiceRequest,
    common::{AnyValue, KeyValue, any_value::Value},
    resource::Resource,
    trace::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;

const SPANS: u64 = 512;

fn attribute(key: String, value: String) -> KeyValue {
    KeyValue {
        key,
        value: Some(AnyValue {
            value: Some(Value::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

fn span(number: u64) -> Span {
    // Eight spans a trace.
    let trace = u128::from(number / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let attributes = (0..10).map(|key| {
        attribute(
            format!("http.request.header.{key}"),
            format!("value {}", number * key),
        )
    });
    Span {
        trace_id: Bytes::copy_from_slice(&trace.to_be_bytes()),
        span_id: Bytes::copy_from_slice(&(number + 1).to_be_bytes()),
        name: "GET /items/{id}".to_owned(),
        start_time_unix_nano: 1_700_000_000_000_000_000 + number,
        end_time_unix_nano: 1_700_000_000_005_000_000 + number,
        attributes: attributes.collect(),
        ..Span::default()
    }
}

fn request() -> Vec<u8> {
    let service = attribute("service.name".to_owned(), "shop".to_owned());
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![service],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: (0..SPANS).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec()
}

fn pipeline(criterion: &mut Criterion) {
    let plain = request();
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let mut group = criterion.benchmark_group("512 spans to envelopes");
    group.throughput(Throughput::Elements(SPANS));
    for (name, encoding, bytes, partitions) in [
        ("one partition", Encoding::Identity, &plain, 1),
        ("one partition, zstd", Encoding::Zstd, &zstd, 1),
        ("eight partitions", Encoding::Identity, &plain, 8),
    ] {
        let request = Request {
            content: Content::Traces,
            encoding,
            bytes: bytes.clone().into(),
            idempotency_key: None,
            received_unix_nano: 1,
        };
        let rules = Rules {
            partitions: NonZeroU16::new(partitions).unwrap(),
            payload_bytes_max: 8 << 20,
            request_bytes_max: 64 << 20,
        };
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| prepare(black_box(&request), &rules, &mut ByteLimit(64 << 20)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
