//! What asking several consumers as one costs beside asking one: the newest log records and a histogram, of the same
//! 20,000 records on one consumer, on two replicas (one set, passed on as it is), and spread over two and four.
//!
//! The consumers are in the process and scan on the same cores, so the sum of their work is in each figure.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{
    Client, Cluster,
    records::{EPOCH, SECOND, log_envelope, logs, record},
};
use criterion::{Criterion, criterion_group, criterion_main};
use log_tracer_fanout::Config;
use log_tracer_proto::v1;
use log_tracer_transport::Partition;
use tokio::runtime::Runtime;

const RECORDS: u64 = 20_000;
const OF_ENVELOPE: u64 = 200;
const PARTITIONS: u16 = 4;

async fn filled(owned: &[&[u16]]) -> Cluster {
    let mut cluster = Cluster::start(PARTITIONS, owned, Config::default()).await;
    for first in (0..RECORDS).step_by(OF_ENVELOPE as usize) {
        let records = (first..first + OF_ENVELOPE)
            .map(|number| record(&format!("the order {number} was paid for"), number))
            .collect();
        let mut envelope = log_envelope(first.into(), vec![logs("shop", records)]);
        envelope.partition = Partition((first / OF_ENVELOPE % u64::from(PARTITIONS)) as u16);
        cluster.write(vec![envelope]).await;
    }
    cluster
}

fn newest(runtime: &Runtime, client: &mut Client, limit: u32) {
    let request = v1::SearchLogsRequest {
        limit,
        ..v1::SearchLogsRequest::default()
    };
    let answer = runtime.block_on(client.search_logs(request)).unwrap();
    assert_eq!(answer.into_inner().hits.len(), limit as usize);
}

fn histogram(runtime: &Runtime, client: &mut Client) {
    let request = v1::HistogramRequest {
        signal: v1::Signal::Logs.into(),
        range: Some(v1::TimeRange {
            start_unix_nano: EPOCH,
            end_unix_nano: EPOCH + 60 * SECOND,
        }),
        step_nano: SECOND,
        group: v1::HistogramGroup::Level.into(),
        ..v1::HistogramRequest::default()
    };
    let answer = runtime.block_on(client.histogram(request)).unwrap();
    assert_eq!(answer.into_inner().series.len(), 1);
}

fn merge(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let spreads: [(&str, &[&[u16]]); 3] = [
        ("two replicas", &[&[0, 1, 2, 3], &[0, 1, 2, 3]]),
        ("two", &[&[0, 1], &[2, 3]]),
        ("four", &[&[0], &[1], &[2], &[3]]),
    ];
    for (name, owned) in spreads {
        let mut cluster = runtime.block_on(filled(owned));
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20);
        for (asked, client) in [("one", &mut cluster.whole), ("merged", &mut cluster.merged)] {
            for limit in [100, 2_000] {
                group.bench_function(format!("newest {limit}, {asked}"), |bencher| {
                    bencher.iter(|| newest(&runtime, client, limit));
                });
            }
            group.bench_function(format!("histogram, {asked}"), |bencher| {
                bencher.iter(|| histogram(&runtime, client));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, merge);
criterion_main!(benches);
