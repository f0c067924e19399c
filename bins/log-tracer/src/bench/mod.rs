//! `log-tracer bench`: starts log-tracer as a process of its own, sends it spans and logs over gRPC, asks it
//! questions, and prints what that cost: CPU seconds of the server by the operating system's account, latencies as the
//! client saw them. Times on a shared machine are noise; CPU seconds are what to compare.
//!
//! - `server`: the process that is measured;
//! - `load`: requests made from the shop's traffic, sent in a closed loop over several connections;
//! - `latency`: how long until a record can be found after its ack;
//! - `queries`: a few questions of each kind over what was sent;
//! - `restart`: how soon everything can be found again after `kill -9`;
//! - `report`: the figures, as a table or as JSON.

mod latency;
mod load;
mod queries;
mod report;
mod restart;
mod server;

use std::{io, path::PathBuf};

use crate::otlp_client::ConnectError;

pub use report::Report;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Spans to send, and then as many log records
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub records: u64,
    /// Spans or log records in one request, about
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub batch: u64,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// How often each question is asked
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeats: u32,
    /// Keep nothing on disk
    #[arg(long, conflicts_with = "data_dir")]
    pub in_memory: bool,
    /// Where the server that is measured keeps its data, on the disk to be measured; it must be empty, and is emptied
    /// afterwards [default: a new one among the temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,
    /// A setting of the server that is measured, such as consumer.store.retention_bytes_max=1000000000; may be given
    /// again
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Makes the same traffic as another run with this number
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The process to be measured did not start.
    #[error("cannot start the server to be measured: {0}")]
    Start(#[source] io::Error),
    /// There is no place for its data.
    #[error("cannot use a directory for the data: {0}")]
    Directory(#[source] io::Error),
    /// It started, and said something else than its addresses.
    #[error("the server to be measured did not print its addresses: {0}")]
    Addresses(String),
    /// It cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It cannot be reached by gRPC.
    #[error("cannot reach the server to be measured: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// It refused a request.
    #[error("the server refused: {} ({:?})", .0.message(), .0.code())]
    Refused(Box<tonic::Status>),
    /// What it answered is not what was sent.
    #[error("wrong answer: {0}")]
    Wrong(String),
    /// A part of the benchmark itself ended early.
    #[error("the load generator failed: {0}")]
    Generator(#[from] tokio::task::JoinError),
}

impl From<tonic::Status> for BenchError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// Measures, telling `progress` what is being done.
///
/// # Errors
/// When the server does not start, refuses, or answers something else than what was sent.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Result<Report, BenchError> {
    let mut server = server::Server::start(options).await?;
    let result = measure(options, &mut server, progress).await;
    server.stop().await;
    result
}

async fn measure(
    options: &Options,
    server: &mut server::Server,
    progress: impl Fn(&str),
) -> Result<Report, BenchError> {
    let mut report = Report::new(options);
    report.idle_bytes = server.usage().map(|usage| usage.resident_bytes);

    progress("sending spans");
    report.spans = Some(load::send(options, server, load::Signal::Spans).await?);
    progress("sending log records");
    report.logs = Some(load::send(options, server, load::Signal::Logs).await?);
    progress("measuring how soon a record is found");
    report.visibility = Some(latency::measure(server).await?);
    progress("asking questions");
    report.queries = queries::ask(options, server).await?;
    report.peak_bytes = server.usage().map(|usage| usage.peak_resident_bytes);
    if !options.in_memory {
        progress("starting again after kill -9");
        report.restart = Some(restart::measure(options, server).await?);
    }
    Ok(report)
}
