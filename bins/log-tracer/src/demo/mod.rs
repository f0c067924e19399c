//! `log-tracer demo`: sends the traffic of a made-up shop, first some minutes of the past so that the charts have
//! something to show, then a few traces a second as they would happen.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio_util::sync::CancellationToken;

use crate::{
    otlp_client::{ConnectError, OtlpClient, SendError, Sent},
    workload::{Shop, Traffic},
};

/// Spans that are sent in one request at most while the past is filled in; a trace is never cut.
const BACKFILL_SPANS_PER_REQUEST: usize = 2_000;
/// How often the traffic of the present is sent.
const TICK: Duration = Duration::from_millis(200);

/// What to send, and where to.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// OTLP gRPC address to send to
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        default_value = "http://127.0.0.1:4317"
    )]
    pub endpoint: String,
    /// Traces per second, as an average
    #[arg(long, default_value_t = 5.0, value_parser = rate)]
    pub rate: f64,
    /// Minutes of the past to fill in first, at the same rate; 0 starts with the present
    #[arg(long, default_value_t = 15)]
    pub backfill_minutes: u32,
    /// Stop after so many seconds of the present; without it, goes on until Ctrl-C
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Makes the same traffic as another run with this number
    #[arg(long)]
    pub seed: Option<u64>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1_000.0 => Ok(rate),
        _ => Err("expected traces per second, more than 0 and at most 1000".to_owned()),
    }
}

/// Why the demo stopped early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Nothing to send to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refused for good, or for too long.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Sends until it is told to stop, or `seconds` have passed. Returns what was acknowledged.
///
/// # Errors
/// When nothing answers at the endpoint, or what was sent was refused.
pub async fn run(options: &Options, stop: CancellationToken) -> Result<Sent, DemoError> {
    let mut client = OtlpClient::connect(&options.endpoint).await?;
    let mut shop = Shop::new(options.seed.unwrap_or_else(rand::random));
    let mut progress = Progress::new();
    let finished = stop
        .run_until_cancelled(async {
            fill_in_the_past(options, &mut client, &mut shop, &mut progress).await?;
            follow_the_present(options, &mut client, &mut shop, &mut progress).await
        })
        .await;
    progress.finish();
    match finished {
        Some(Err(error)) => Err(error),
        Some(Ok(())) | None => Ok(progress.sent),
    }
}

async fn fill_in_the_past(
    options: &Options,
    client: &mut OtlpClient,
    shop: &mut Shop,
    progress: &mut Progress,
) -> Result<(), DemoError> {
    let past_nano = u64::from(options.backfill_minutes) * 60 * 1_000_000_000;
    let step_nano = (1e9 / options.rate) as u64;
    let now = unix_nano();
    let mut end = now.saturating_sub(past_nano);
    let mut batch = Traffic::default();
    while end < now {
        batch.extend(trace_that_ends_at(shop, end));
        if batch.spans.len() >= BACKFILL_SPANS_PER_REQUEST {
            progress.add(client.send(std::mem::take(&mut batch)).await?);
        }
        end += step_nano.max(1);
    }
    progress.add(client.send(batch).await?);
    Ok(())
}

async fn follow_the_present(
    options: &Options,
    client: &mut OtlpClient,
    shop: &mut Shop,
    progress: &mut Progress,
) -> Result<(), DemoError> {
    let stop_at = options
        .seconds
        .map(|seconds| tokio::time::Instant::now() + Duration::from_secs(seconds));
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Fractions of a trace that are owed, so that a low rate is met, too.
    let mut owed = 0.0;
    while stop_at.is_none_or(|at| tokio::time::Instant::now() < at) {
        ticks.tick().await;
        owed += options.rate * TICK.as_secs_f64();
        let now = unix_nano();
        let mut batch = Traffic::default();
        while owed >= 1.0 {
            owed -= 1.0;
            batch.extend(trace_that_ends_at(shop, now));
        }
        progress.add(client.send(batch).await?);
    }
    Ok(())
}

fn trace_that_ends_at(shop: &mut Shop, end_unix_nano: u64) -> Traffic {
    let mut traffic = shop.next_trace(0);
    let length = traffic.end_unix_nano();
    traffic.shift_by(end_unix_nano.saturating_sub(length));
    traffic
}

fn unix_nano() -> u64 {
    // 64 bits of nanoseconds last until the year 2554.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}

/// One line on a terminal that counts up; silent elsewhere.
#[derive(Debug)]
struct Progress {
    sent: Sent,
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            sent: Sent::default(),
            terminal: io::stderr().is_terminal(),
        }
    }

    fn add(&mut self, sent: Sent) {
        self.sent += sent;
        if self.terminal {
            // Progress is a courtesy: a closed terminal must not stop the traffic.
            write!(io::stderr(), "\r{}  (Ctrl-C stops)\x1b[K", self.sent).ok();
        }
    }

    fn finish(&self) {
        if self.terminal {
            writeln!(io::stderr()).ok();
        }
    }
}
