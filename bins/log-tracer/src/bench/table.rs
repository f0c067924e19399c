//! The table: starts log-tracer as a process of its own, sends it spans and logs over gRPC, asks it questions, kills it,
//! starts it again, and says what all that cost beside what it may cost.

use super::{
    BenchError,
    ingest::{self, Amount},
    latency,
    load::Signals,
    queries,
    report::Report,
    restart,
    server::{Server, ServerOptions, Setup},
};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Spans to send, and then as many log records
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub records: u64,
    /// Spans or log records in one request
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch: u32,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// How often each question is asked
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeats: u32,
    /// Keep nothing on disk
    #[arg(long, conflicts_with = "data_dir")]
    pub in_memory: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Makes the same traffic as another run with this number
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

impl Options {
    fn setup(&self) -> Setup {
        Setup {
            in_memory: self.in_memory,
            ..self.server.setup()
        }
    }

    pub(super) const fn amount(&self, signals: Signals) -> Amount {
        // Logs come from other traces than the spans before, so that the two do not depend on each other.
        let seed = match signals {
            Signals::Logs => self.seed.wrapping_add(1),
            Signals::Traces | Signals::Both => self.seed,
        };
        Amount {
            signals,
            records: self.records,
            batch: self.batch,
            connections: self.connections,
            seed,
        }
    }
}

/// Measures, telling `progress` what is being done.
///
/// # Errors
/// When the server does not start, refuses, or answers something else than what was sent.
pub async fn run(
    options: &Options,
    mut progress: impl FnMut(&str) + Send,
) -> Result<Report, BenchError> {
    let mut server = Server::start(options.setup()).await?;
    let result = measure(options, &mut server, &mut progress).await;
    server.stop().await;
    result
}

async fn measure(
    options: &Options,
    server: &mut Server,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Report, BenchError> {
    let mut report = Report::new(options);
    report.idle_bytes = server.usage().map(|usage| usage.resident_bytes);

    let spans = options.amount(Signals::Traces);
    report.spans = Some(ingest::send(server, &spans, progress).await?);
    let logs = options.amount(Signals::Logs);
    report.logs = Some(ingest::send(server, &logs, progress).await?);
    progress("measuring how soon a record is found");
    report.visibility = Some(latency::measure(server).await?);
    report.queries = queries::ask(server, options.repeats, progress).await?;
    report.peak_bytes = server.usage().map(|usage| usage.peak_resident_bytes);
    if !options.in_memory {
        report.cold = queries::ask_cold(server, progress).await?;
        report.restart = Some(restart::measure(options, server, progress).await?);
    }
    Ok(report)
}
