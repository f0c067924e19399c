//! The process that is measured: this same program, as it runs by default, but on free ports.

use std::{
    fs, io,
    process::Stdio,
    time::{Duration, Instant},
};

use log_tracer_proto::v1::{Signal, StatusRequest, query_service_client::QueryServiceClient};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tonic::transport::Channel;

use super::{BenchError, table::Options};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long writing the last rows may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What the stores may hold, so that nothing leaves while it is measured.
const STORE_BYTES_MAX: &str = "8589934592";

/// So that what was sent last is on disk, too, before it is counted.
const FLUSH_SOON: &str = "consumer.store.flush_age_max_ms=3000";

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pid: u32,
    addresses: Addresses,
    /// None when it keeps nothing on disk.
    data: Option<TempDir>,
    settings: Vec<String>,
}

/// What it prints once it is ready.
#[derive(Debug, Deserialize)]
struct Addresses {
    otlp_grpc: String,
    query_grpc: String,
}

/// What is on disk of one kind of record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// What the operating system says about the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) resident_bytes: u64,
    pub(super) peak_resident_bytes: u64,
}

impl Server {
    pub(super) async fn start(options: &Options) -> Result<Self, BenchError> {
        let data = match (&options.data_dir, options.in_memory) {
            (_, true) => None,
            (None, false) => Some(TempDir::new()),
            (Some(parent), false) => Some(TempDir::new_in(parent)),
        };
        let data = data.transpose().map_err(BenchError::Directory)?;
        let settings = options.set.clone();
        let (child, pid, addresses) = spawn(data.as_ref(), &settings).await?;
        Ok(Self {
            child,
            pid,
            addresses,
            data,
            settings,
        })
    }

    /// Kills it, and starts another one on the same data.
    pub(super) async fn kill_and_start(&mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(BenchError::Start)?;
        (self.child, self.pid, self.addresses) = spawn(self.data.as_ref(), &self.settings).await?;
        Ok(())
    }

    pub(super) fn otlp_grpc(&self) -> &str {
        &self.addresses.otlp_grpc
    }

    pub(super) async fn query(&self) -> Result<QueryServiceClient<Channel>, BenchError> {
        let channel = Channel::from_shared(self.addresses.query_grpc.clone())
            .map_err(|error| BenchError::Addresses(error.to_string()))?
            .connect()
            .await?;
        Ok(QueryServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
    }

    /// What it has used so far; `None` where there is no /proc.
    pub(super) fn usage(&self) -> Option<Usage> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let kilobytes = |name: &str| -> Option<u64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some(Usage {
            cpu: cpu_time(self.pid)?,
            resident_bytes: kilobytes("VmRSS:")? * 1024,
            peak_resident_bytes: kilobytes("VmHWM:")? * 1024,
        })
    }

    /// Waits until all rows are in blocks; answers the bytes and rows of spans, and of log records. `None` when it keeps
    /// nothing on disk.
    pub(super) async fn written(&self) -> Result<Option<[Stored; 2]>, BenchError> {
        let mut client = self.query().await?;
        let give_up = Instant::now() + WRITE_TIMEOUT;
        loop {
            let status = client.status(StatusRequest {}).await?.into_inner();
            if status.storage.is_none() {
                return Ok(None);
            }
            let stored = |signal| {
                let store = status.stores.iter().find(|store| store.signal() == signal);
                store.map_or_else(Stored::default, |store| Stored {
                    rows: store.disk_rows,
                    bytes: store.disk_bytes,
                })
            };
            let is_written = status
                .stores
                .iter()
                .all(|store| store.rows == store.disk_rows);
            if is_written || Instant::now() > give_up {
                return Ok(Some([stored(Signal::Spans), stored(Signal::Logs)]));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the process has used no CPU for a while, so that work in the background is counted.
    pub(super) async fn settle(&self) {
        let give_up = Instant::now() + Duration::from_secs(30);
        let mut before = cpu_time(self.pid);
        while Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = cpu_time(self.pid);
            if now == before {
                return;
            }
            before = now;
        }
    }

    pub(super) async fn stop(&mut self) {
        // It holds nothing that outlives it.
        self.child.kill().await.ok();
    }
}

async fn spawn(
    data: Option<&TempDir>,
    settings: &[String],
) -> Result<(Child, u32, Addresses), BenchError> {
    let program = std::env::current_exe().map_err(BenchError::Start)?;
    let mut command = Command::new(program);
    match data {
        None => {
            let limit = |table| format!("consumer.store.{table}_bytes_max={STORE_BYTES_MAX}");
            command.args(["run", "--in-memory"]);
            command.args(["--set", &limit("spans"), "--set", &limit("logs")]);
        }
        Some(data) => {
            command
                .args(["run", "--json", "--data-dir"])
                .arg(data.path());
            for listen in [
                "--grpc-listen",
                "--http-listen",
                "--dashboard-listen",
                "--query-listen",
            ] {
                command.args([listen, "127.0.0.1:0"]);
            }
            command.args(["--set", "logging.level=warn", "--set", FLUSH_SOON]);
        }
    }
    for setting in settings {
        command.args(["--set", setting]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(BenchError::Start)?;
    let ended = || BenchError::Start(io::Error::other("it ended at once"));
    let pid = child.id().ok_or_else(ended)?;
    let output = child.stdout.take().ok_or_else(ended)?;
    let mut line = String::new();
    timeout(START_TIMEOUT, BufReader::new(output).read_line(&mut line))
        .await
        .map_err(|_| BenchError::Addresses(format!("nothing within {START_TIMEOUT:?}")))?
        .map_err(BenchError::Start)?;
    let addresses = serde_json::from_str(&line)
        .map_err(|error| BenchError::Addresses(format!("{error} in `{}`", line.trim())))?;
    Ok((child, pid, addresses))
}

/// User and system time of all threads, from /proc/PID/stat, fields 14 and 15 in ticks of 1/100 s.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
