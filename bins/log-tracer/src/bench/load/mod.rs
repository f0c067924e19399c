//! `log-tracer bench load`: sends traces and logs to any OTLP endpoint, as fast as it takes them or at a rate, and says
//! what came of it.
//!
//! - `target`: the endpoint; `wire`: a connection to it;
//! - `pace`: when requests are due, and why that matters for latencies;
//! - `drive`: the senders;
//! - `tally`: counts, latencies, the sample for the ledger;
//! - `visible`: how soon after its ack a trace can be found;
//! - `report`: the figures.

pub(crate) mod drive;
mod pace;
mod report;
pub(crate) mod tally;
mod target;
mod visible;
mod wire;

use std::{
    num::NonZeroU64,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use self::{
    drive::{Drive, Shared, Times, drive, unix_nano_now},
    pace::Pace,
    tally::{Counts, Tally},
    target::Target,
    wire::Connection,
};
use super::{BenchError, process, units};
use crate::workload::encoded::{Corpus, Shape, Source, mix};

use report::ServerReport;
pub(crate) use report::per_million;
pub use report::{LoadReport, Percentiles};
use target::Protocol;

/// Traces that the sample of a ledger holds at most, unless told otherwise.
const SAMPLE_TRACES: usize = 1_000;
/// How long the server is waited for to come to rest, before its CPU and its disk are read.
const SETTLE_MAX: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  log-tracer bench load --endpoint http://127.0.0.1:4317 --records 1000000
  log-tracer bench load --endpoint http://127.0.0.1:4318 --signals logs --gzip --duration 30s
  log-tracer bench load --rate 20000 --duration 10m --connections 16
  log-tracer bench load --pid $(pidof log-tracer) --data-dir data --json
  log-tracer bench load --verify-file run.json && log-tracer bench verify run.json
  log-tracer bench load --endpoint http://127.0.0.1:9428/insert/opentelemetry --signals logs   (VictoriaLogs)";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Signals {
    /// Spans only.
    Traces,
    /// Log records only.
    Logs,
    /// Spans and the log records of the same traces, side by side.
    Both,
}

/// What to send, where to, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// OTLP address: gRPC, or HTTP with protobuf when the port is 4318 or the address has a path
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        default_value = "http://127.0.0.1:4317"
    )]
    pub endpoint: String,
    /// How OTLP is spoken, where the address does not tell
    #[arg(long)]
    pub(crate) protocol: Option<Protocol>,
    /// What to send
    #[arg(long, default_value = "both")]
    pub signals: Signals,
    /// Compress requests
    #[arg(long)]
    pub gzip: bool,
    /// Connections
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// Requests under way on a connection; over HTTP/1.1, connections for each connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub in_flight: u16,
    /// Records a second, sent when they are due whatever the server does; latencies count from then. Without it, each
    /// sender sends when its request before was answered
    #[arg(long, value_parser = units::rate)]
    pub rate: Option<f64>,
    /// How long to send, such as 30s or 10m [default: until --records; 10s when that is not given either]
    #[arg(long, value_parser = units::duration)]
    pub duration: Option<Duration>,
    /// Spans and log records to send together, rounded up to whole requests
    #[arg(long)]
    pub records: Option<NonZeroU64>,
    /// Records in a request
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch: u32,
    /// Spread the records' times over so long a time before now, such as 1h [default: they happen now]; needs --records
    #[arg(long, value_parser = units::duration, requires = "records")]
    pub spread: Option<Duration>,
    /// Makes the same data as another run with this number; on one server, each number can be used once
    /// [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// How long an answer is waited for
    #[arg(long, default_value = "30s", value_parser = units::duration)]
    pub timeout: Duration,
    /// How long a request is tried again that was refused with a status that allows it, or was not answered
    #[arg(long, default_value = "60s", value_parser = units::duration)]
    pub retry_for: Duration,
    /// Write what was acked to a file, for `log-tracer bench verify`
    #[arg(long, value_name = "FILE")]
    pub verify_file: Option<PathBuf>,
    /// Traces in that file at most; totals are exact in any case
    #[arg(long, default_value_t = SAMPLE_TRACES, value_name = "TRACES")]
    pub verify_sample: usize,
    /// The server's process on this machine: adds its CPU, memory and disk writes
    #[arg(long)]
    pub pid: Option<u32>,
    /// Where it keeps its data: adds the bytes on disk
    #[arg(long, value_name = "DIRECTORY", requires = "pid")]
    pub data_dir: Option<PathBuf>,
    /// QueryService of a log-tracer: adds how soon after its ack a trace can be found
    #[arg(long, value_name = "ADDRESS")]
    pub log_tracer_query: Option<String>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// As on the command line without any option but the address.
    pub(crate) fn to(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            protocol: Some(Protocol::Grpc),
            signals: Signals::Both,
            gzip: false,
            connections: 4,
            in_flight: 1,
            rate: None,
            duration: None,
            records: None,
            batch: 512,
            spread: None,
            seed: None,
            timeout: Duration::from_secs(30),
            retry_for: Duration::from_secs(60),
            verify_file: None,
            verify_sample: SAMPLE_TRACES,
            pid: None,
            data_dir: None,
            log_tracer_query: None,
            json: false,
        }
    }
}

/// Sends, telling `progress` how far it is.
///
/// # Errors
/// When nothing answers at the endpoint, nothing at all was acknowledged, or the ledger cannot be written.
pub async fn run(
    options: &Options,
    progress: impl FnMut(&str) + Send,
) -> Result<LoadReport, BenchError> {
    let before = options.pid.map(|pid| Server::before(options, pid));
    let before = before.transpose()?;
    let outcome = send(options, progress).await?;
    if let Some(path) = &options.verify_file {
        outcome.ledger().write(path)?;
    }
    let server = match before {
        Some(server) => Some(server.after(options, outcome.counts.acked()).await),
        None => None,
    };
    if outcome.counts.acked() == 0 {
        let refusals = outcome.counts.refusals.keys().next();
        return Err(BenchError::NothingAcked(
            refusals
                .cloned()
                .unwrap_or_else(|| "nothing was sent".to_owned()),
        ));
    }
    Ok(LoadReport::new(options, &outcome, server))
}

/// What was sent and answered.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    /// From the first request until the last answer.
    pub(crate) took: Duration,
    /// Of this process, for making and sending the requests and reading the answers.
    pub(crate) own_cpu: Option<Duration>,
    pub(crate) run: String,
    pub(crate) seed: u64,
}

impl Outcome {
    pub(crate) fn ledger(&self) -> super::ledger::Ledger {
        self.counts.ledger(self.run.clone(), self.seed)
    }
}

/// Sends and accounts for it.
pub(crate) async fn send(
    options: &Options,
    mut progress: impl FnMut(&str) + Send,
) -> Result<Outcome, BenchError> {
    let target = Arc::new(Target::parse(
        &options.endpoint,
        options.protocol,
        options.gzip,
    )?);
    progress("making the data");
    let seed = options
        .seed
        .unwrap_or_else(|| mix(unix_nano_now() ^ u64::from(std::process::id())));
    let shape = Shape {
        seed,
        batch: options.batch as usize,
        spans: options.signals != Signals::Logs,
        logs: options.signals != Signals::Traces,
    };
    let corpus = tokio::task::spawn_blocking(move || Corpus::new(shape)).await?;
    let corpus = corpus.map_err(|error| BenchError::Corpus(error.to_string()))?;
    let drive_as = how(options, &corpus);
    let run = corpus.run();
    let wires = connect(options, &target).await?;
    let (follow, acks) = mpsc::channel(visible::WAITING_MAX);
    let is_followed = options.log_tracer_query.is_some();
    let shared = Arc::new(Shared {
        source: Source::new(Arc::new(corpus)),
        tally: Tally::new(options.verify_sample)?,
        drive: drive_as,
        follow: Mutex::new(is_followed.then_some(follow)),
    });
    let follower = match &options.log_tracer_query {
        Some(query) => Some(visible::start(query, acks, Arc::clone(&shared)).await?),
        None => None,
    };
    let before = process::own_cpu();
    let started = Instant::now();
    let sending = drive(&shared, &wires);
    tokio::pin!(sending);
    let took = loop {
        tokio::select! {
            took = &mut sending => break took?,
            () = tokio::time::sleep(Duration::from_millis(250)) => {
                progress(&line(&shared, started.elapsed()));
            }
        }
    };
    let own_cpu = before.zip(process::own_cpu());
    if let Some(follower) = follower {
        shared.stop_following();
        follower.finish().await?;
    }
    let counts = std::mem::replace(&mut *shared.tally.lock(), Tally::new(0)?.into_counts());
    Ok(Outcome {
        counts,
        took,
        own_cpu: own_cpu.map(|(before, after)| after.saturating_sub(before)),
        run,
        seed,
    })
}

fn how(options: &Options, corpus: &Corpus) -> Drive {
    let pace = match options.rate {
        Some(records_per_s) => Pace::Open { records_per_s },
        None => Pace::Closed,
    };
    let records = options.records.map(NonZeroU64::get);
    let duration_max = match (options.duration, records) {
        (None, None) => Some(Duration::from_secs(10)),
        (duration, _) => duration,
    };
    let times = match (options.spread, records) {
        (Some(spread), Some(records)) => {
            let spread = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
            let traces = corpus.traces() as f64 * records as f64 / corpus.records().max(1) as f64;
            Times::Spread {
                first_unix_nano: unix_nano_now().saturating_sub(spread),
                step: (spread as f64 / traces.max(1.0)) as u64,
            }
        }
        _ => Times::Now,
    };
    Drive {
        pace,
        in_flight: options.in_flight,
        records_max: pace.records_max(records, duration_max),
        duration_max,
        retry_for: options.retry_for,
        times,
    }
}

async fn connect(
    options: &Options,
    target: &Arc<Target>,
) -> Result<Vec<Arc<Connection>>, BenchError> {
    // Over HTTP/1.1 a connection carries one request at a time, so that each of its senders needs one of its own.
    let connections = match target.protocol {
        Protocol::Grpc => u32::from(options.connections),
        Protocol::Http => u32::from(options.connections) * u32::from(options.in_flight),
    };
    let mut wires = Vec::new();
    for _ in 0..connections {
        let wire = Connection::new(Arc::clone(target), options.timeout);
        wire.connect()
            .await
            .map_err(|reason| BenchError::Unreachable {
                endpoint: target.to_string(),
                reason,
            })?;
        wires.push(Arc::new(wire));
    }
    Ok(wires)
}

fn line(shared: &Shared, elapsed: Duration) -> String {
    let counts = shared.tally.lock();
    let acked = counts.acked();
    let of = shared
        .drive
        .records_max
        .map_or(String::new(), |max| format!(" of {}", units::count(max)));
    format!(
        "{} records acked{of}, {}/s, {} refusals",
        units::count(acked),
        units::count((acked as f64 / elapsed.as_secs_f64().max(0.001)) as u64),
        counts.refusals.values().sum::<u64>(),
    )
}

/// The process of the server, as it was before the load.
#[derive(Debug)]
struct Server {
    pid: u32,
    before: process::Usage,
    disk_bytes: Option<u64>,
    watch: process::Watch,
}

impl Server {
    fn before(options: &Options, pid: u32) -> Result<Self, BenchError> {
        Ok(Self {
            pid,
            before: process::usage(pid).ok_or(BenchError::NoProcess(pid))?,
            disk_bytes: options.data_dir.as_deref().map(process::directory_bytes),
            watch: process::Watch::start(pid),
        })
    }

    async fn after(self, options: &Options, records: u64) -> ServerReport {
        process::settle(self.pid, SETTLE_MAX).await;
        let after = process::usage(self.pid);
        let disk = options.data_dir.as_deref().map(process::directory_bytes);
        let disk_bytes = self
            .disk_bytes
            .zip(disk)
            .map(|(before, after)| after.saturating_sub(before));
        ServerReport::new(records, self.before, after, disk_bytes, self.watch.points())
    }
}
