//! Every transport of this build in one table, each beside the plain client of its engine:
//! `cargo bench -p log-tracer-transports --bench transports`.
//!
//! Channel and disk are always measured. An engine is when its address is given: `NATS_URL`, for instance
//! `nats://127.0.0.1:4222`, with `NATS_BENCH_REPLICAS` (1 by default). `TRANSPORTS_BENCH_BYTES` are published in each row
//! (100 million by default), `TRANSPORTS_BENCH_DIRECTORY` is where the journal lies (the directory for temporary files by
//! default).
//!
//! 64 writers publish one envelope each and wait for its ack, in one partition; then one reader reads all of it. MB and GB
//! are a million and a billion bytes of payload; CPU is that of this process, user and system, and not that of a server.
//! All rows come from one run, so that they can be compared on a machine that is busy with other things.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    env,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use log_tracer_transport::{
    BatchId, Envelope, Kind, Part, Partition, ReadOptions, Start, Transport,
};
use log_tracer_transports::{TransportConfig, open};
use nix::sys::resource::{UsageWho, getrusage};
use tokio::task::JoinSet;

const WRITERS: u64 = 64;
const PAYLOADS: [usize; 2] = [1_000, 150_000];
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let bytes: u64 =
        env::var("TRANSPORTS_BENCH_BYTES").map_or(100_000_000, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    println!("| transport | payload | publish MB/s | CPU s/GB | read MB/s | CPU s/GB |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for payload in PAYLOADS {
        let count = bytes / payload as u64;
        runtime.block_on(async {
            measure("channel", channel(bytes), payload, count).await;
            let directory = env::var("TRANSPORTS_BENCH_DIRECTORY");
            let directory = directory.map_or_else(|_| tempfile::tempdir(), tempfile::tempdir_in);
            let directory = directory.unwrap();
            measure("disk", disk(&directory), payload, count).await;
            #[cfg(feature = "nats")]
            nats::measure_both(payload, count).await;
        });
    }
}

fn channel(bytes: u64) -> TransportConfig {
    // Room for the headers of the smallest, too.
    config(&format!(
        "kind = \"channel\"\nretained_bytes_max = {}",
        bytes * 2
    ))
}

fn disk(directory: &tempfile::TempDir) -> TransportConfig {
    let journal = directory.path().join("journal");
    config(&format!(
        "kind = \"disk\"\nreserve_bytes = 0\ndirectory = {journal:?}"
    ))
}

fn config(text: &str) -> TransportConfig {
    toml::from_str(text).unwrap()
}

/// What was carried, in which time and with how much CPU.
struct Meter {
    start: Instant,
    cpu: f64,
}

impl Meter {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            cpu: cpu_seconds(),
        }
    }

    /// MB a second, and CPU seconds for a GB.
    fn read(&self, bytes: u64) -> String {
        let (seconds, cpu) = (self.start.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        let bytes = bytes as f64;
        format!("{:.1} | {:.2}", bytes / 1e6 / seconds, cpu / bytes * 1e9)
    }
}

fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .iter()
        .sum()
}

fn report(name: &str, payload: usize, publish: &str, read: &str) {
    println!("| {name} | {payload} | {publish} | {read} |");
}

fn envelope(number: u64, payload: &Bytes) -> Envelope {
    Envelope {
        partition: Partition(0),
        kind: Kind::Traces,
        batch: BatchId(u128::from(number)),
        part: Part::WHOLE,
        records: 1,
        received_unix_nano: number,
        payload: payload.clone(),
    }
}

fn payload_of(bytes: usize) -> Bytes {
    (0..bytes).map(|at| at as u8).collect()
}

/// One transport, through the contract.
async fn measure(name: &str, config: TransportConfig, payload: usize, count: u64) {
    let transport = open(&config).await.unwrap();
    assert_eq!(transport.partitions(), NonZeroU16::MIN);
    let bytes = count * payload as u64;
    let meter = Meter::start();
    publish(&transport, payload, count).await;
    let published = meter.read(bytes);
    let meter = Meter::start();
    read(&*transport, count).await;
    report(name, payload, &published, &meter.read(bytes));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    transport.close(deadline).await.unwrap();
}

async fn publish(transport: &Arc<dyn Transport>, payload: usize, count: u64) {
    let payload = payload_of(payload);
    let numbers = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (transport, payload) = (Arc::clone(transport), payload.clone());
        let numbers = Arc::clone(&numbers);
        writers.spawn(async move {
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let deadline = tokio::time::Instant::now() + PATIENCE;
                let batch = vec![envelope(number, &payload)];
                transport.publish(batch, deadline).await.unwrap();
            }
        });
    }
    writers.join_all().await;
}

async fn read(transport: &dyn Transport, count: u64) {
    let from = vec![(Partition(0), Start::Earliest)];
    let mut reader = transport
        .subscribe(from, ReadOptions::default())
        .await
        .unwrap();
    let mut read = 0;
    while read < count {
        read += reader.next().await.unwrap().unwrap().items.len() as u64;
    }
}

/// NATS JetStream, and its plain client.
#[cfg(feature = "nats")]
mod nats {
    use std::{
        env,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    };

    use async_nats::jetstream::{self, consumer::pull::OrderedConfig, stream};
    use futures_util::StreamExt;
    use log_tracer_transports::{TransportConfig, nats::Config};
    use tokio::task::JoinSet;

    use super::{Meter, WRITERS, measure, payload_of, report};

    /// More than any row publishes.
    const RETAINED_BYTES_MAX: u64 = 8 << 30;

    pub(super) async fn measure_both(payload: usize, count: u64) {
        let Ok(url) = env::var("NATS_URL") else {
            println!("| nats: not measured, NATS_URL is not set | {payload} | | | | |");
            return;
        };
        let replicas = env::var("NATS_BENCH_REPLICAS").map_or(1, |text| text.parse().unwrap());
        let client = async_nats::connect(&url).await.unwrap();
        let context = jetstream::new(client);
        let name = format!("bench{:016x}", rand::random::<u64>());
        let config = Config {
            servers: vec![url],
            name: name.clone(),
            replicas,
            retained_bytes_max: RETAINED_BYTES_MAX,
            ..Config::default()
        };
        let label = format!("nats, {replicas} replicas");
        measure(
            &label,
            TransportConfig::Nats(Box::new(config)),
            payload,
            count,
        )
        .await;
        for stream in [format!("{name}-p00"), format!("{name}-groups")] {
            context.delete_stream(stream).await.unwrap();
        }
        measure_client(&context, replicas, payload, count).await;
    }

    /// The same load with nothing of ours: no ids, no checksums, no limits.
    async fn measure_client(
        context: &jetstream::Context,
        replicas: usize,
        payload_bytes: usize,
        count: u64,
    ) {
        let name = format!("bench{:016x}", rand::random::<u64>());
        let stream = context
            .create_stream(stream::Config {
                name: name.clone(),
                num_replicas: replicas,
                ..stream::Config::default()
            })
            .await
            .unwrap();
        let bytes = count * payload_bytes as u64;
        let payload = payload_of(payload_bytes);
        let meter = Meter::start();
        let numbers = Arc::new(AtomicU64::new(0));
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let (context, name, payload) = (context.clone(), name.clone(), payload.clone());
            let numbers = Arc::clone(&numbers);
            writers.spawn(async move {
                while numbers.fetch_add(1, Ordering::Relaxed) < count {
                    let sent = context.publish(name.clone(), payload.clone()).await;
                    sent.unwrap().await.unwrap();
                }
            });
        }
        writers.join_all().await;
        let published = meter.read(bytes);
        let meter = Meter::start();
        let consumer = stream.create_consumer(OrderedConfig::default()).await;
        let mut messages = consumer.unwrap().messages().await.unwrap();
        for _ in 0..count {
            messages.next().await.unwrap().unwrap();
        }
        let label = format!("  async-nats alone, {replicas} replicas");
        report(&label, payload_bytes, &published, &meter.read(bytes));
        context.delete_stream(name).await.unwrap();
    }
}
