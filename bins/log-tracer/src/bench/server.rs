//! The process that is measured: this same program, in its in-memory mode.

use std::{
    fs, io,
    process::Stdio,
    time::{Duration, Instant},
};

use log_tracer_proto::v1::query_service_client::QueryServiceClient;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tonic::transport::Channel;

use super::BenchError;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What the stores may hold, so that nothing leaves while it is measured.
const STORE_BYTES_MAX: &str = "8589934592";

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pid: u32,
    addresses: Addresses,
}

/// What the in-memory mode prints once it is ready.
#[derive(Debug, Deserialize)]
struct Addresses {
    otlp_grpc: String,
    query_grpc: String,
}

/// What the operating system says about the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) resident_bytes: u64,
    pub(super) peak_resident_bytes: u64,
}

impl Server {
    pub(super) async fn start() -> Result<Self, BenchError> {
        let program = std::env::current_exe().map_err(BenchError::Start)?;
        let mut child = Command::new(program)
            .args(["run", "--in-memory"])
            .args([
                "--set",
                &format!("consumer.store.spans_bytes_max={STORE_BYTES_MAX}"),
            ])
            .args([
                "--set",
                &format!("consumer.store.logs_bytes_max={STORE_BYTES_MAX}"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(BenchError::Start)?;
        let pid = child
            .id()
            .ok_or_else(|| BenchError::Start(io::Error::other("it ended at once")))?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| BenchError::Start(io::Error::other("its output is not piped")))?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(output).read_line(&mut line))
            .await
            .map_err(|_| BenchError::Addresses(format!("nothing within {START_TIMEOUT:?}")))?
            .map_err(BenchError::Start)?;
        let addresses = serde_json::from_str(&line)
            .map_err(|error| BenchError::Addresses(format!("{error} in `{}`", line.trim())))?;
        Ok(Self {
            child,
            pid,
            addresses,
        })
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

/// User and system time of all threads, from /proc/PID/stat, fields 14 and 15 in ticks of 1/100 s.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
