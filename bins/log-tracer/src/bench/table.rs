//! The table: starts log-tracer as a process of its own, sends it spans and logs over gRPC, asks it questions, and says
//! what that cost.

use std::path::PathBuf;

use super::{BenchError, closed, latency, queries, report::Report, restart, server};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
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
    report.spans = Some(closed::send(options, server, closed::Signal::Spans).await?);
    progress("sending log records");
    report.logs = Some(closed::send(options, server, closed::Signal::Logs).await?);
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
