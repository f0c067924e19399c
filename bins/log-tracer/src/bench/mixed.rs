//! `log-tracer bench mixed`: records come in at a rate while questions of all kinds are asked at another, on a server of
//! its own. Both are open loops: latencies count from when a request or a question was due.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::{
    BenchError,
    ingest::{self, Amount},
    load::{self, Percentiles, Signals, tally},
    process::{MemoryPoint, Watch},
    questions::{self, Answered, Client, Question},
    server::{Server, ServerOptions},
    units,
};

const EXAMPLES: &str = "\
Examples:
  log-tracer bench mixed --duration 10m --rate 20000 --queries 20
  log-tracer bench mixed --duration 1m --rate 5000 --queries 5 --json";

/// Questions under way at most; one that is due meanwhile waits, and its waiting counts.
const UNDER_WAY_MAX: usize = 64;
/// Kinds of errors that are told apart.
const ERRORS_MAX: usize = 20;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Options {
    /// How long
    #[arg(long, default_value = "1m", value_parser = units::duration)]
    pub duration: Duration,
    /// Spans and log records a second, together
    #[arg(long, default_value_t = 20_000.0, value_parser = units::rate)]
    pub rate: f64,
    /// Questions a second, of all kinds in turn
    #[arg(long, default_value_t = 20.0, value_parser = units::rate)]
    pub queries: f64,
    /// Records that are there before it begins, so that there is something to ask for
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(20_000..))]
    pub before: u64,
    /// Records in a request
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch: u32,
    /// Connections
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
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

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct MixedReport {
    /// Records a second that were asked for.
    pub rate: f64,
    /// Records acknowledged, and those that were not.
    pub acked: u64,
    /// See `acked`.
    pub not_acked: u64,
    /// From when a request was due until its ack.
    pub ack: Percentiles,
    /// From an ack until its records could be found.
    pub visible: Percentiles,
    /// The questions.
    pub queries: Vec<MixedQuery>,
    /// Errors of queries and refusals of requests, by their text.
    pub errors: BTreeMap<String, u64>,
    /// CPU of the server in cores, over the whole time; none where there is no /proc.
    pub cores: Option<f64>,
    /// Resident memory of the server at the start, in the middle, at the end, and the most, in bytes.
    pub memory: [u64; 4],
    /// Resident memory over time.
    pub memory_curve: Vec<MemoryPoint>,
}

/// A kind of question.
#[derive(Clone, Debug, Serialize)]
pub struct MixedQuery {
    /// What was asked.
    pub name: String,
    /// CPU of the server in milliseconds that an answer may cost on a server with nothing else to do.
    pub budget_cpu_ms: Option<f64>,
    /// From when it was due until its answer.
    pub latency: Percentiles,
    /// Answers that may lack something.
    pub partial: u64,
    /// Questions without an answer.
    pub errors: u64,
}

/// Measures.
///
/// # Errors
/// When the server does not start, or what is asked for cannot be found in what was sent first.
pub async fn run(
    options: &Options,
    mut progress: impl FnMut(&str) + Send,
) -> Result<MixedReport, BenchError> {
    let mut server = Server::start(options.server.setup()).await?;
    let result = measure(options, &server, &mut progress).await;
    server.stop().await;
    result
}

async fn measure(
    options: &Options,
    server: &Server,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<MixedReport, BenchError> {
    let first = Amount {
        signals: Signals::Both,
        records: options.before,
        batch: options.batch,
        connections: 4,
        seed: options.seed.wrapping_add(1),
    };
    ingest::acked(server, &first, progress).await?;
    let client = server.query().await?;
    let all = questions::all(&mut client.clone()).await?;
    let load = load::Options {
        rate: Some(options.rate),
        duration: Some(options.duration),
        batch: options.batch,
        connections: options.connections,
        seed: Some(options.seed),
        log_tracer_query: Some(server.query_grpc().to_owned()),
        ..load::Options::to(server.otlp_grpc())
    };
    let before = server.usage();
    let watch = Watch::start(server.pid());
    let asking = ask(all, client, options.queries, options.duration);
    let (outcome, asked) = tokio::join!(load::send(&load, progress), asking);
    let (outcome, asked) = (outcome?, asked?);
    let cpu = before.zip(server.usage());
    let points = watch.points();
    let counts = &outcome.counts;
    let mut errors = counts.refusals.clone();
    for (error, count) in asked.errors {
        *errors.entry(error).or_default() += count;
    }
    let at = |index: usize| points.get(index).map_or(0, |point| point.bytes);
    Ok(MixedReport {
        rate: options.rate,
        acked: counts.acked(),
        not_acked: counts.refused + counts.spans.unknown + counts.logs.unknown,
        ack: Percentiles::of(&counts.ack),
        visible: Percentiles::of(&counts.visible),
        queries: asked.queries,
        errors,
        cores: cpu.map(|(before, after)| {
            after.cpu.saturating_sub(before.cpu).as_secs_f64() / outcome.took.as_secs_f64()
        }),
        memory: [
            at(0),
            at(points.len() / 2),
            at(points.len().saturating_sub(1)),
            points.iter().map(|point| point.bytes).max().unwrap_or(0),
        ],
        memory_curve: points,
    })
}

struct Asked {
    queries: Vec<MixedQuery>,
    errors: BTreeMap<String, u64>,
}

/// Asks the questions in turn when they are due.
async fn ask(
    all: Vec<Question>,
    client: Client,
    per_s: f64,
    duration: Duration,
) -> Result<Asked, BenchError> {
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    let mut asked = Asking::new(&all)?;
    for number in 0_u32.. {
        let Ok(after) = Duration::try_from_secs_f64(f64::from(number) / per_s) else {
            break;
        };
        let index = number as usize % all.len().max(1);
        let Some(question) = all.get(index).cloned().filter(|_| after < duration) else {
            break;
        };
        let due = start + after;
        tokio::time::sleep_until(due).await;
        let Ok(turn) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        let mut client = client.clone();
        under_way.spawn(async move {
            let answered = questions::ask(&mut client, &question.kind).await;
            drop(turn);
            (index, due.elapsed(), answered)
        });
        while let Some(answered) = under_way.try_join_next() {
            asked.count(answered?);
        }
    }
    while let Some(answered) = under_way.join_next().await {
        asked.count(answered?);
    }
    Ok(asked.done())
}

/// Counts answers as they come.
struct Asking {
    queries: Vec<(MixedQuery, tally::Micros)>,
    errors: BTreeMap<String, u64>,
}

impl Asking {
    fn new(all: &[Question]) -> Result<Self, BenchError> {
        let queries = all.iter().map(|question| {
            let query = MixedQuery {
                name: question.name.to_owned(),
                budget_cpu_ms: question.budget_cpu_ms,
                latency: Percentiles::default(),
                partial: 0,
                errors: 0,
            };
            Ok((query, tally::micros()?))
        });
        Ok(Self {
            queries: queries.collect::<Result<_, BenchError>>()?,
            errors: BTreeMap::new(),
        })
    }

    fn count(&mut self, (index, took, answered): (usize, Duration, Result<Answered, BenchError>)) {
        let Some((query, latency)) = self.queries.get_mut(index) else {
            return;
        };
        match answered {
            Ok(answered) => {
                tally::record(latency, took);
                query.partial += u64::from(answered.is_partial);
            }
            Err(error) => {
                query.errors += 1;
                let text = format!("{}: {error}", query.name);
                if self.errors.len() < ERRORS_MAX || self.errors.contains_key(&text) {
                    *self.errors.entry(text).or_default() += 1;
                }
            }
        }
    }

    fn done(self) -> Asked {
        let queries = self.queries.into_iter().map(|(query, latency)| MixedQuery {
            latency: Percentiles::of(&latency),
            ..query
        });
        Asked {
            queries: queries.collect(),
            errors: self.errors,
        }
    }
}

impl fmt::Display for MixedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} records acked at {} records/s, {} not acked; {} cores of the server\n",
            units::count(self.acked),
            self.rate,
            units::count(self.not_acked),
            self.cores
                .map_or("-".to_owned(), |cores| format!("{cores:.2}")),
        )?;
        writeln!(
            f,
            "{:<36} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "milliseconds", "p50", "p90", "p99", "p99.9", "max"
        )?;
        writeln!(f, "{:<36} {}", "due to ack", self.ack)?;
        writeln!(f, "{:<36} {}\n", "ack to found", self.visible)?;
        writeln!(
            f,
            "{:<36} {:>7} {:>9} {:>9} {:>9} {:>13} {:>8} {:>7}",
            "query", "asked", "p50 ms", "p99 ms", "max ms", "budget CPU ms", "partial", "errors"
        )?;
        for query in &self.queries {
            let budget = query
                .budget_cpu_ms
                .map_or(String::new(), |ms| ms.to_string());
            writeln!(
                f,
                "{:<36} {:>7} {:>9.2} {:>9.2} {:>9.2} {budget:>13} {:>8} {:>7}",
                query.name,
                query.latency.count + query.errors,
                query.latency.p50_ms,
                query.latency.p99_ms,
                query.latency.max_ms,
                query.partial,
                query.errors,
            )?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "{count} x {error}")?;
        }
        let [start, middle, end, most] = self.memory.map(units::bytes);
        writeln!(
            f,
            "\nresident: {start} at the start, {middle} in the middle, {end} at the end, {most} at most  {}",
            units::sparkline(self.memory_curve.iter().map(|point| point.bytes))
        )
    }
}
