//! Every transport of this build in one table, each beside the plain client of its engine:
//! `cargo bench -p log-tracer-transports --bench transports`.
//!
//! Channel and disk are always measured. An engine is when its address is given: `NATS_URL`, for instance
//! `nats://127.0.0.1:4222`, with `NATS_BENCH_REPLICAS` (1 by default); `FLUVIO_ADDRESS`, the controller's, for instance
//! `127.0.0.1:9003`. `NATS_PID` and `FLUVIO_PID` (of the storage unit) add what the server itself costs.
//! `TRANSPORTS_BENCH_BYTES` are published in each row (100 million by default), `TRANSPORTS_BENCH_DIRECTORY` is where the
//! journal lies (the directory for temporary files by default).
//!
//! 64 writers publish one envelope each and wait for its ack, in one partition; then one reader reads all of it. MB and GB
//! are a million and a billion bytes of payload; CPU is user and system, of this process and of the server.
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
    println!(
        "| transport | payload | publish MB/s | CPU s/GB | of the server | read MB/s | CPU s/GB | of the server |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for payload in PAYLOADS {
        let count = bytes / payload as u64;
        runtime.block_on(async {
            measure("channel", channel(bytes), None, payload, count).await;
            let directory = env::var("TRANSPORTS_BENCH_DIRECTORY");
            let directory = directory.map_or_else(|_| tempfile::tempdir(), tempfile::tempdir_in);
            let directory = directory.unwrap();
            measure("disk", disk(&directory), None, payload, count).await;
            #[cfg(feature = "nats")]
            nats::measure_both(payload, count).await;
            #[cfg(feature = "fluvio")]
            fluvio::measure_both(payload, count).await;
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
    /// The server's process and what it had used.
    server: Option<(u32, f64)>,
}

impl Meter {
    fn start(server: Option<u32>) -> Self {
        Self {
            start: Instant::now(),
            cpu: cpu_seconds(),
            server: server.map(|id| (id, cpu_seconds_of(id))),
        }
    }

    /// MB a second, and CPU seconds for a GB, of this process and of the server.
    fn read(&self, bytes: u64) -> String {
        let (seconds, cpu) = (self.start.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        let bytes = bytes as f64;
        let server = self.server.map_or_else(String::new, |(id, before)| {
            format!("{:.2}", (cpu_seconds_of(id) - before) / bytes * 1e9)
        });
        format!(
            "{:.1} | {:.2} | {server}",
            bytes / 1e6 / seconds,
            cpu / bytes * 1e9
        )
    }
}

/// The server's process id, when the variable gives it.
fn server_id(variable: &str) -> Option<u32> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// proc(5): fields 14 and 15 of stat, in hundredths of a second; the second field is in parentheses and may hold anything.
fn cpu_seconds_of(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks = fields.skip(11).take(2);
    ticks
        .map(|field| field.parse::<f64>().unwrap() / 100.0)
        .sum()
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
        is_checked: false,
    }
}

fn payload_of(bytes: usize) -> Bytes {
    (0..bytes).map(|at| at as u8).collect()
}

/// One transport, through the contract.
async fn measure(
    name: &str,
    config: TransportConfig,
    server: Option<u32>,
    payload: usize,
    count: u64,
) {
    let transport = open(&config).await.unwrap();
    assert_eq!(transport.partitions(), NonZeroU16::MIN);
    let bytes = count * payload as u64;
    let meter = Meter::start(server);
    publish(&transport, payload, count).await;
    let published = meter.read(bytes);
    let meter = Meter::start(server);
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
    use tokio::task::JoinSet;

    use super::{Meter, WRITERS, config, measure, payload_of, report, server_id};

    /// More than any row publishes.
    const RETAINED_BYTES_MAX: u64 = 8 << 30;

    pub(super) async fn measure_both(payload: usize, count: u64) {
        let Ok(url) = env::var("NATS_URL") else {
            println!("| nats: not measured, NATS_URL is not set | {payload} | | | | | | |");
            return;
        };
        let replicas =
            env::var("NATS_BENCH_REPLICAS").map_or(1_usize, |text| text.parse().unwrap());
        let client = async_nats::connect(&url).await.unwrap();
        let context = jetstream::new(client);
        let name = format!("bench{:016x}", rand::random::<u64>());
        let config = config(&format!(
            "kind = \"nats\"\nservers = [{url:?}]\nname = {name:?}\nreplicas = {replicas}\nretained_bytes_max = {RETAINED_BYTES_MAX}"
        ));
        let label = format!("nats, {replicas} replicas");
        measure(&label, config, server_id("NATS_PID"), payload, count).await;
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
        let meter = Meter::start(server_id("NATS_PID"));
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
        let meter = Meter::start(server_id("NATS_PID"));
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

/// Fluvio, and its plain client.
#[cfg(feature = "fluvio")]
mod fluvio {
    use std::{
        env,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use fluvio::{
        Fluvio, FluvioClusterConfig, Offset, RecordKey, TopicProducerConfigBuilder,
        consumer::{ConsumerConfigExtBuilder, RetryMode},
        metadata::topic::TopicSpec,
    };
    use futures_util::StreamExt;
    use tokio::task::JoinSet;

    use super::{Meter, WRITERS, config, measure, payload_of, report, server_id};

    pub(super) async fn measure_both(payload: usize, count: u64) {
        let Ok(address) = env::var("FLUVIO_ADDRESS") else {
            println!("| fluvio: not measured, FLUVIO_ADDRESS is not set | {payload} | | | | | | |");
            return;
        };
        let topic = format!("bench-{:016x}", rand::random::<u64>());
        let config = config(&format!(
            "kind = \"fluvio\"\naddress = {address:?}\ntopic = {topic:?}\npartitions = 1"
        ));
        measure("fluvio", config, server_id("FLUVIO_PID"), payload, count).await;
        let fluvio = Fluvio::connect_with_config(&FluvioClusterConfig::new(&address))
            .await
            .unwrap();
        let admin = fluvio.admin().await;
        for topic in [topic.clone(), format!("{topic}-ledger")] {
            admin.delete::<TopicSpec>(topic).await.unwrap();
        }
        measure_client(&fluvio, payload, count).await;
    }

    /// The same load with nothing of ours. Waiting records go together, up to a megabyte, and nothing lingers.
    async fn measure_client(fluvio: &Fluvio, payload_bytes: usize, count: u64) {
        let topic = format!("bench-{:016x}", rand::random::<u64>());
        let admin = fluvio.admin().await;
        let spec = TopicSpec::new_computed(1, 1, None);
        admin.create(topic.clone(), false, spec).await.unwrap();
        // The controller answers before the storage unit knows of the topic.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let settings = TopicProducerConfigBuilder::default()
            .batch_size(1 << 20)
            .max_request_size(8 << 20)
            .linger(Duration::ZERO)
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let producer = fluvio.topic_producer_with_config(&topic, settings).await;
        let producer = Arc::new(producer.unwrap());
        let (bytes, payload) = (count * payload_bytes as u64, payload_of(payload_bytes));
        let meter = Meter::start(server_id("FLUVIO_PID"));
        let numbers = Arc::new(AtomicU64::new(0));
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let (producer, payload) = (Arc::clone(&producer), payload.clone());
            let numbers = Arc::clone(&numbers);
            writers.spawn(async move {
                while numbers.fetch_add(1, Ordering::Relaxed) < count {
                    let sent = producer.send(RecordKey::NULL, payload.to_vec()).await;
                    sent.unwrap().wait().await.unwrap();
                }
            });
        }
        writers.join_all().await;
        let published = meter.read(bytes);
        let meter = Meter::start(server_id("FLUVIO_PID"));
        let skipped = read_all(fluvio, &topic, count).await;
        let label = match skipped {
            0 => "  fluvio's client alone".to_owned(),
            _ => format!("  fluvio's client alone, which skipped {skipped} of {count}"),
        };
        report(&label, payload_bytes, &published, &meter.read(bytes));
        admin.delete::<TopicSpec>(topic).await.unwrap();
    }

    /// Reads to the end, and says how many records were not among those that came.
    async fn read_all(fluvio: &Fluvio, topic: &str, count: u64) -> u64 {
        let settings = ConsumerConfigExtBuilder::default()
            .topic(topic)
            .partition(0)
            .offset_start(Offset::beginning())
            .max_bytes(16 << 20)
            .retry_mode(RetryMode::Disabled)
            .build()
            .unwrap();
        let mut records = fluvio.consumer_with_config(settings).await.unwrap();
        let (mut read, mut next) = (0, 0);
        while next < count as i64 {
            next = records.next().await.unwrap().unwrap().offset + 1;
            read += 1;
        }
        count - read
    }
}
