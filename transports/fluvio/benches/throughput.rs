//! What the transport makes of a storage unit, beside the client of the `fluvio` crate:
//! `FLUVIO_RUN=… cargo bench -p log-tracer-transport-fluvio --bench throughput`, with megabytes for each line as
//! `FLUVIO_BENCH_MB` (400 by default).
//!
//! A cluster of one controller and one storage unit is started for it, in a temporary directory. In each line, 64
//! publishers send one envelope each to one partition and wait for its ack, until everything is sent; then everything is
//! read from the start. Both clients send the same bytes. MB is a million bytes; CPU is seconds per 1,000 MB, user and
//! system: of this process, the load generator included, and of the storage unit. Times are those of a machine that does
//! other things as well; CPU says more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

use std::{
    env, fs,
    num::{NonZeroU16, NonZeroU32},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fluvio::{
    Fluvio, FluvioClusterConfig, RecordKey, TopicProducerConfigBuilder,
    consumer::{ConsumerConfigExtBuilder, RetryMode},
    metadata::topic::TopicSpec,
};
use futures_util::StreamExt;
use log_tracer_transport::{
    BatchId, Envelope, Kind, Part, Partition, ReadOptions, Start, Transport,
};
use log_tracer_transport_fluvio::{
    Config, FluvioTransport,
    cluster::{Cluster, Options, find_program},
};
use nix::sys::resource::{UsageWho, getrusage};

const PUBLISHERS: u64 = 64;
const FAR: Duration = Duration::from_secs(120);

fn main() {
    // `cargo test` runs benches as well, to see whether they can be.
    let Some(program) = find_program().filter(|_| env::args().any(|word| word == "--bench")) else {
        println!("needs fluvio-run on the PATH or named by FLUVIO_RUN, and `cargo bench`");
        return;
    };
    let megabytes = env::var("FLUVIO_BENCH_MB").map_or(400, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            program,
            directory: directory.path().to_owned(),
            spus: 1,
            first_port: None,
            advertise: Vec::new(),
            launcher: Vec::new(),
        };
        let cluster = Cluster::start(options).await.unwrap();
        let meter = Meter {
            spu: cluster.spu_id(0).unwrap(),
        };
        let address = cluster.address().to_string();
        println!(
            "{megabytes} MB a line, {PUBLISHERS} publishers of one envelope at a time, one partition, one storage unit\n"
        );
        println!("| envelope | client | publish MB/s | CPU s/GB | of the unit | read MB/s | CPU s/GB | of the unit |");
        println!("|---|---|---|---|---|---|---|---|");
        for (name, bytes) in [("1 KB", 1_000), ("8 KB", 8_000), ("150 KB", 150_000)] {
            let count = megabytes * 1_000_000 / bytes as u64;
            let row = ours(&address, &meter, bytes, count).await;
            println!("| {name} | ours | {row} |");
            let row = theirs(&address, &meter, bytes, count).await;
            println!("| {name} | fluvio 0.50 | {row} |");
        }
        cluster.stop(Duration::from_secs(10)).await.unwrap();
    });
}

/// What has the CPU seconds of.
struct Meter {
    spu: u32,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    client: f64,
    unit: f64,
}

impl Meter {
    fn read(&self) -> Reading {
        let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        let client = [usage.user_time(), usage.system_time()];
        let client = client.map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6);
        // Fields 14 and 15, in hundredths of a second; the second field is in parentheses and may hold anything.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.spu)).unwrap();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let ticks: f64 = [11, 12]
            .map(|field| fields[field].parse::<f64>().unwrap())
            .iter()
            .sum();
        Reading {
            at: Instant::now(),
            client: client.iter().sum(),
            unit: ticks / 100.0,
        }
    }

    /// Throughput and CPU since a reading.
    fn since(&self, before: Reading, bytes: u64) -> String {
        let now = self.read();
        let gigabytes = bytes as f64 / 1e9;
        format!(
            "{:.0} | {:.2} | {:.2}",
            bytes as f64 / 1e6 / now.at.duration_since(before.at).as_secs_f64(),
            (now.client - before.client) / gigabytes,
            (now.unit - before.unit) / gigabytes
        )
    }
}

fn envelope(payload: &Bytes, number: u64) -> Envelope {
    Envelope {
        partition: Partition(0),
        kind: Kind::Traces,
        batch: BatchId(u128::from(number)),
        part: Part::WHOLE,
        records: 1,
        received_unix_nano: number,
        payload: payload.clone(),
        is_checked: false,
    }
}

async fn ours(address: &str, meter: &Meter, bytes: usize, count: u64) -> String {
    let config = Config {
        address: address.to_owned(),
        topic: format!("ours-{bytes}"),
        partitions: NonZeroU16::MIN,
        segment_bytes: NonZeroU32::new(512 << 20).unwrap(),
        ..Config::default()
    };
    let transport = Arc::new(FluvioTransport::open(&config).await.unwrap());
    let payload = Bytes::from(vec![7; bytes - Envelope::HEADER_BYTES]);
    let before = meter.read();
    let next = Arc::new(AtomicU64::new(0));
    let publishing: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let (transport, payload, next) =
                (Arc::clone(&transport), payload.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let deadline = tokio::time::Instant::now() + FAR;
                    let batch = vec![envelope(&payload, number)];
                    transport.publish(batch, deadline).await.unwrap();
                }
            })
        })
        .collect();
    for publisher in publishing {
        publisher.await.unwrap();
    }
    let published = meter.since(before, count * bytes as u64);

    let before = meter.read();
    let from = vec![(Partition(0), Start::Earliest)];
    let mut reader = transport
        .subscribe(from, ReadOptions::default())
        .await
        .unwrap();
    let mut read = 0;
    while read < count {
        read += reader.next().await.unwrap().unwrap().items.len() as u64;
    }
    let row = format!("{published} | {}", meter.since(before, read * bytes as u64));
    drop(reader);
    transport
        .close(tokio::time::Instant::now() + FAR)
        .await
        .unwrap();
    row
}

async fn theirs(address: &str, meter: &Meter, bytes: usize, count: u64) -> String {
    let topic = format!("theirs-{bytes}");
    let fluvio = Fluvio::connect_with_config(&FluvioClusterConfig::new(address))
        .await
        .unwrap();
    let admin = fluvio.admin().await;
    let spec = TopicSpec::new_computed(1, 1, None);
    admin.create(topic.clone(), false, spec).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // As ours: what waits goes together, up to a megabyte, and nothing lingers.
    let config = TopicProducerConfigBuilder::default()
        .batch_size(1 << 20)
        .max_request_size(8 << 20)
        .linger(Duration::ZERO)
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    let producer = Arc::new(
        fluvio
            .topic_producer_with_config(&topic, config)
            .await
            .unwrap(),
    );
    let payload = Bytes::from(vec![7; bytes - Envelope::HEADER_BYTES]);
    let before = meter.read();
    let next = Arc::new(AtomicU64::new(0));
    let publishing: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let (producer, payload, next) =
                (Arc::clone(&producer), payload.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let value = envelope(&payload, number).encode().to_vec();
                    let sent = producer.send(RecordKey::NULL, value).await.unwrap();
                    sent.wait().await.unwrap();
                }
            })
        })
        .collect();
    for publisher in publishing {
        publisher.await.unwrap();
    }
    let published = meter.since(before, count * bytes as u64);

    let before = meter.read();
    let config = ConsumerConfigExtBuilder::default()
        .topic(topic)
        .partition(0)
        .offset_start(fluvio::Offset::beginning())
        .max_bytes(16 << 20)
        .retry_mode(RetryMode::Disabled)
        .build()
        .unwrap();
    let mut stream = fluvio.consumer_with_config(config).await.unwrap();
    let (mut read, mut last) = (0, -1);
    while last + 1 < count as i64 {
        let record = stream.next().await.unwrap().unwrap();
        Envelope::decode(Partition(0), Bytes::copy_from_slice(record.value())).unwrap();
        last = record.offset;
        read += 1;
    }
    let missing = count - read;
    let row = format!("{published} | {}", meter.since(before, read * bytes as u64));
    match missing {
        0 => row,
        _ => format!("{row} ({missing} of {count} skipped)"),
    }
}
