//! Rows from a request, a request cut into parts, and OTLP's JSON.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use log_tracer_proto::json;
use log_tracer_record::{
    arbitrary,
    otlp::collector_trace::ExportTraceServiceRequest,
    span_rows,
    split::{self, RouteKey},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

/// At least 512 spans of the shapes that the property tests use, the same in each run.
fn request() -> ExportTraceServiceRequest {
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

fn record(c: &mut Criterion) {
    let request = request();
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
    let by_first_byte = |key: RouteKey<'_>| match key {
        RouteKey::Trace(id) => u16::from(id.as_bytes()[0] % 4),
        RouteKey::Service(_) => 0,
    };
    group.bench_function("split into 4 partitions", |b| {
        b.iter_batched(
            || request.clone(),
            |request| split::spans(request, 1 << 20, by_first_byte),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("split for 1 partition", |b| {
        b.iter_batched(
            || request.clone(),
            |request| split::spans(request, 16 << 20, |_| 0),
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

criterion_group!(benches, record);
criterion_main!(benches);
