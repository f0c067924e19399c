//! The process that is measured: this same program, or another one, as it runs by default, but on free ports.

use std::{
    io,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use log_tracer_proto::v1::{Signal, StatusRequest};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{
    BenchError,
    process::{self, Usage},
    questions::{self, Client},
};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to end when it is asked to.
#[cfg(target_os = "linux")]
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long writing the last rows may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may work in the background, merging, before its CPU is read.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// What the stores may hold in memory, so that nothing leaves while it is measured.
const STORE_BYTES_MAX: &str = "8589934592";

/// So that what was sent last is on disk, too, before it is counted.
const FLUSH_SOON: &str = "consumer.store.flush_age_max_ms=3000";

/// What can be said of a server that is measured.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServerOptions {
    /// Where the server that is measured keeps its data, on the disk to be measured: a directory is made there, and is
    /// removed afterwards [default: among the temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,
    /// A setting of the server that is measured, such as consumer.store.retention_bytes_max=1000000000; may be given
    /// again
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ServerOptions {
    pub(super) fn setup(&self) -> Setup {
        Setup {
            data_dir: self.data_dir.clone(),
            settings: self.set.clone(),
            ..Setup::default()
        }
    }
}

/// How to start it.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    /// The program; none is this one.
    pub(super) program: Option<PathBuf>,
    /// Keep nothing on disk.
    pub(super) in_memory: bool,
    /// Where a directory is made for its data; none is among the temporary files.
    pub(super) data_dir: Option<PathBuf>,
    /// `key=value`.
    pub(super) settings: Vec<String>,
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    setup: Setup,
    child: Child,
    pid: u32,
    addresses: Addresses,
    /// None when it keeps nothing on disk.
    data: Option<TempDir>,
}

/// What it prints once it is ready.
#[derive(Debug, Deserialize)]
struct Addresses {
    otlp_grpc: String,
    query_grpc: String,
    /// None of an older program that is compared with.
    #[serde(default)]
    dashboard: String,
}

/// What is on disk of one kind of record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Server {
    pub(super) async fn start(setup: Setup) -> Result<Self, BenchError> {
        let data = match (&setup.data_dir, setup.in_memory) {
            (_, true) => None,
            (None, false) => Some(TempDir::new()),
            (Some(parent), false) => Some(TempDir::new_in(parent)),
        };
        let data = data.transpose().map_err(BenchError::Directory)?;
        let (child, pid, addresses) = spawn(&setup, data.as_ref()).await?;
        Ok(Self {
            setup,
            child,
            pid,
            addresses,
            data,
        })
    }

    /// Kills it, and starts another one on the same data.
    pub(super) async fn kill_and_start(&mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(BenchError::Start)?;
        self.start_again().await
    }

    async fn start_again(&mut self) -> Result<(), BenchError> {
        (self.child, self.pid, self.addresses) = spawn(&self.setup, self.data.as_ref()).await?;
        Ok(())
    }

    /// Asks it to end, drops its files from the page cache, and starts another one on the same data.
    #[cfg(target_os = "linux")]
    pub(super) async fn restart_cold(&mut self) -> Result<(), BenchError> {
        use nix::{
            sys::signal::{Signal, kill},
            unistd::Pid,
        };
        let pid = i32::try_from(self.pid).map_err(|_| BenchError::NoProcess(self.pid))?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|_| BenchError::NoProcess(self.pid))?;
        timeout(STOP_TIMEOUT, self.child.wait())
            .await
            .map_err(|_| BenchError::Wrong(format!("it does not end within {STOP_TIMEOUT:?}")))?
            .map_err(BenchError::Start)?;
        if let Some(data) = &self.data {
            evict(data.path()).map_err(BenchError::Directory)?;
        }
        self.start_again().await
    }

    pub(super) fn otlp_grpc(&self) -> &str {
        &self.addresses.otlp_grpc
    }

    pub(super) fn query_grpc(&self) -> &str {
        &self.addresses.query_grpc
    }

    /// Where its pages are.
    pub(super) fn dashboard(&self) -> &str {
        &self.addresses.dashboard
    }

    pub(super) async fn query(&self) -> Result<Client, BenchError> {
        questions::connect(self.query_grpc()).await
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has used so far; `None` where there is no /proc.
    pub(super) fn usage(&self) -> Option<Usage> {
        process::usage(self.pid)
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
        process::settle(self.pid, SETTLE_MAX).await;
    }

    pub(super) async fn stop(&mut self) {
        // It holds nothing that outlives it.
        self.child.kill().await.ok();
    }
}

/// Drops the pages of all files below a directory from the page cache; what is not on disk yet is written first.
#[cfg(target_os = "linux")]
fn evict(directory: &std::path::Path) -> io::Result<()> {
    use rustix::fs::{Advice, fadvise};
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            evict(&entry.path())?;
            continue;
        }
        let file = std::fs::File::open(entry.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

async fn spawn(
    setup: &Setup,
    data: Option<&TempDir>,
) -> Result<(Child, u32, Addresses), BenchError> {
    let program = match &setup.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(BenchError::Start)?,
    };
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
    for setting in &setup.settings {
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
