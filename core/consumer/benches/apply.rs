//! What an envelope costs from the log to rows that can be found.
//!
//! `apply`: the work on the blocking thread alone, `in place` as it is done, and `by rows` as for envelopes that are not
//! plain, for comparison. `through the consumer`: published on the channel
//! transport until its position is reached, hand-overs between tasks and threads included. `hand over`: a blocking
//! thread and back with nothing to do, which every delivery pays once.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use log_tracer_consumer::{Config, Consumer};
use log_tracer_proto::{
    otlp::{
        collector_trace::ExportTraceServiceRequest,
        common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span},
    },
    v1::{self, query_service_client::QueryServiceClient},
};
use log_tracer_record::{span_rows, wire};
use log_tracer_store::{Origin, Store};
use log_tracer_transport::{BatchId, Envelope, Kind, Part, Partition, Transport};
use log_tracer_transport_channel::{ChannelTransport, Config as ChannelConfig};
use prost::Message;
use slog::{Discard, Logger, o};
use tokio::time::Instant;

const SPANS: u64 = 512;
/// Applied to one store: 32,768 spans, four chunks.
const ENVELOPES: u64 = 64;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn span(index: u64) -> Span {
    let start = 1_700_000_000_000_000_000 + index * 1_000;
    let text = |text: &str| Value::StringValue(text.to_owned());
    Span {
        trace_id: Bytes::from(u128::from(index / 8 + 1).to_be_bytes().to_vec()),
        span_id: Bytes::from((index + 1).to_be_bytes().to_vec()),
        parent_span_id: Bytes::from((index / 8 * 8 + 1).to_be_bytes().to_vec()),
        name: format!("GET /products/{}", index % 20),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 5_000_000,
        attributes: vec![
            attribute("http.request.method", text("GET")),
            attribute("http.route", text("/products/{id}")),
            attribute("http.response.status_code", Value::IntValue(200)),
            attribute("server.address", text("shop.example")),
            attribute("user.id", text(&format!("user-{}", index * 7919 % 10_007))),
            attribute("network.protocol.version", text("1.1")),
        ],
        ..Span::default()
    }
}

fn envelope(batch: u128) -> Envelope {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute(
                    "service.name",
                    Value::StringValue("shop".to_owned()),
                )],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope::default()),
                spans: (0..SPANS).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    Envelope {
        partition: Partition(0),
        kind: Kind::Traces,
        batch: BatchId(batch),
        part: Part::WHOLE,
        records: u32::try_from(SPANS).unwrap(),
        received_unix_nano: 0,
        payload: request.encode_to_vec().into(),
        is_checked: false,
    }
}

fn apply(c: &mut Criterion) {
    let envelope = envelope(1);
    let mut offset = 0;
    let mut origin = || {
        offset += 1;
        Origin {
            partition: 0,
            offset,
        }
    };
    let mut group = c.benchmark_group("apply 512 spans");
    group.throughput(Throughput::Elements(SPANS * ENVELOPES));
    // As in a durable store, rows leave by becoming blocks: a store with room for all of them, made anew now and then.
    let store = || Store::new(log_tracer_store::Config::default()).unwrap();
    group.bench_function("in place", |b| {
        b.iter_batched_ref(
            store,
            |store| {
                for _ in 0..ENVELOPES {
                    let request = wire::Request::check(&envelope.payload).unwrap();
                    store.apply_span_request(origin(), black_box(&request));
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("by rows", |b| {
        b.iter_batched_ref(
            store,
            |store| {
                for _ in 0..ENVELOPES {
                    let payload = envelope.payload.clone();
                    let request = ExportTraceServiceRequest::decode(payload).unwrap();
                    let rows = span_rows(request.resource_spans);
                    store.apply_spans(origin(), black_box(&rows));
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn through_the_consumer(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let transport = Arc::new(ChannelTransport::open(&ChannelConfig::default()).unwrap());
    let (consumer, client) = runtime.block_on(async {
        let log = Logger::root(Discard, o!());
        let consumer = Consumer::start(Config::default(), Arc::clone(&transport) as _, log)
            .await
            .unwrap();
        let client = QueryServiceClient::new(consumer.connect_in_process());
        (consumer, client)
    });
    let template = envelope(0);
    let mut batch = 0;
    let mut group = c.benchmark_group("through the consumer");
    group.throughput(Throughput::Elements(SPANS));
    group.bench_function("512 spans, published and waited for", |b| {
        b.iter(|| {
            batch += 1;
            let envelope = Envelope {
                batch: BatchId(batch),
                ..template.clone()
            };
            let mut client = client.clone();
            runtime.block_on(async {
                let deadline = Instant::now() + Duration::from_secs(10);
                let acks = transport.publish(vec![envelope], deadline).await.unwrap();
                let positions = acks.iter().map(|ack| v1::Position {
                    log_id: transport.log_id().to_string(),
                    partition: u32::from(ack.partition.0),
                    offset: ack.offset.0,
                });
                let positions = positions.collect();
                let request = v1::WaitForPositionRequest { positions };
                client.wait_for_position(request).await.unwrap();
            });
        });
    });
    group.finish();
    runtime.block_on(async {
        let deadline = Instant::now() + Duration::from_secs(10);
        consumer.stop(deadline).await.unwrap();
    });
}

fn hand_over(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    c.bench_function("hand over to a blocking thread and back", |b| {
        b.iter(|| {
            runtime.block_on(async { tokio::task::spawn_blocking(|| black_box(1)).await.unwrap() })
        });
    });
}

criterion_group!(benches, apply, through_the_consumer, hand_over);
criterion_main!(benches);
