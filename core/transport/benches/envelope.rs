//! What the contract itself costs for each batch: encoding, decoding, and finding the partition of a trace.

use std::{hint::black_box, num::NonZeroU16};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use log_tracer_transport::{BatchId, Envelope, Kind, Part, Partition, partition_of_trace};

/// An export request of a quiet service, one of a busy service, one of a collector.
const PAYLOAD_BYTES: [usize; 3] = [1 << 10, 64 << 10, 4 << 20];

fn envelope(payload_bytes: usize) -> Envelope {
    Envelope {
        partition: Partition(0),
        kind: Kind::Traces,
        batch: BatchId(1),
        part: Part::WHOLE,
        records: 1,
        received_unix_nano: 1,
        payload: Bytes::from(vec![0x5a; payload_bytes]),
        is_checked: false,
    }
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("envelope");
    for bytes in PAYLOAD_BYTES {
        let envelope = envelope(bytes);
        let encoded = envelope.encode();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("encode {bytes} bytes"), |bencher| {
            bencher.iter(|| black_box(&envelope).encode());
        });
        group.bench_function(format!("decode {bytes} bytes"), |bencher| {
            bencher.iter(|| Envelope::decode(Partition(0), black_box(&encoded).clone()));
        });
    }
    group.finish();
}

fn routing(criterion: &mut Criterion) {
    let partitions = NonZeroU16::MIN.saturating_add(7);
    let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    criterion.bench_function("partition of a trace", |bencher| {
        bencher.iter(|| partition_of_trace(black_box(&trace_id), partitions));
    });
}

criterion_group!(benches, codec, routing);
criterion_main!(benches);
