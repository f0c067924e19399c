//! `log-tracer bench curves`: how cost grows. Three curves, each point measured on a server that is quiet before:
//! against the records that are stored already (one server that fills up, asked at each point), against connections,
//! and against the size of a batch (a fresh server for each point).
//!
//! - `svg`: the picture.

mod svg;

use std::{fmt, fs, path::PathBuf};

use serde::Serialize;

use super::{
    BenchError,
    ingest::{self, Amount, Ingest},
    load::Signals,
    process::Watch,
    queries::{self, Query},
    server::{Server, ServerOptions},
    units,
};

const EXAMPLES: &str = "\
Examples:
  log-tracer bench curves --svg curves.svg
  log-tracer bench curves --only stored --points 1000000,10000000,50000000
  log-tracer bench curves --only batch --batches 1,512,8192 --json";

/// Records of the smallest point.
const RECORDS_MIN: u64 = 20_000;

/// What the cost is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Against {
    /// Records that are stored.
    Stored,
    /// Connections.
    Connections,
    /// Records in a request.
    Batch,
}

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Options {
    /// Measure only these curves
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "stored,connections,batch"
    )]
    pub only: Vec<Against>,
    /// Records stored at each point of the first curve, ascending; spans and log records together
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000,50000000",
          value_parser = clap::value_parser!(u64).range(RECORDS_MIN..))]
    pub points: Vec<u64>,
    /// Connections at each point of the second
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64,256",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: Vec<u16>,
    /// Records in a request at each point of the third
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,512,4096,8192",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batches: Vec<u32>,
    /// Records sent at each point of the second and the third
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(RECORDS_MIN..))]
    pub records: u64,
    /// How often each question is asked at a point of the first
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeats: u32,
    /// Draw the curves into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
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
pub struct CurvesReport {
    /// The curves.
    pub curves: Vec<Curve>,
}

/// One curve.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// Against what.
    pub against: Against,
    /// Ascending.
    pub points: Vec<Point>,
}

/// A point of a curve.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Records stored, connections, or records in a request.
    pub x: u64,
    /// What taking records in cost at this point.
    pub ingest: Ingest,
    /// The most resident memory while they were taken in and asked for, in bytes; none where there is no /proc.
    pub resident_bytes: Option<u64>,
    /// What questions cost; only against the records stored.
    pub queries: Vec<Query>,
}

impl Options {
    fn amount(&self) -> Amount {
        Amount {
            signals: Signals::Both,
            records: self.records,
            batch: 512,
            connections: 4,
            seed: self.seed,
        }
    }
}

/// Measures, and draws the picture.
///
/// # Errors
/// When a server does not start, refuses, or answers something else than what was sent; when the picture cannot be
/// written.
pub async fn run(
    options: &Options,
    mut progress: impl FnMut(&str) + Send,
) -> Result<CurvesReport, BenchError> {
    let mut curves = Vec::new();
    for against in &options.only {
        let points = match against {
            Against::Stored => stored(options, &mut progress).await?,
            Against::Connections => {
                let amounts = options.connections.iter().map(|connections| Amount {
                    connections: *connections,
                    ..options.amount()
                });
                let amounts = amounts.map(|amount| (u64::from(amount.connections), amount));
                fresh(options, amounts.collect(), &mut progress).await?
            }
            Against::Batch => {
                let amounts = options.batches.iter().map(|batch| Amount {
                    batch: *batch,
                    ..options.amount()
                });
                let amounts = amounts.map(|amount| (u64::from(amount.batch), amount));
                fresh(options, amounts.collect(), &mut progress).await?
            }
        };
        curves.push(Curve {
            against: *against,
            points,
        });
    }
    let report = CurvesReport { curves };
    if let Some(path) = &options.svg {
        fs::write(path, svg::draw(&report)).map_err(|source| BenchError::Picture {
            path: path.display().to_string(),
            source,
        })?;
    }
    Ok(report)
}

async fn stored(
    options: &Options,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Point>, BenchError> {
    let mut server = Server::start(options.server.setup()).await?;
    let result = fill(options, &server, progress).await;
    server.stop().await;
    result
}

async fn fill(
    options: &Options,
    server: &Server,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Point>, BenchError> {
    let mut wanted = options.points.clone();
    wanted.sort_unstable();
    wanted.dedup();
    let mut points: Vec<Point> = Vec::new();
    let mut stored = 0;
    for (index, x) in (0..).zip(wanted) {
        let amount = Amount {
            records: x.saturating_sub(stored).max(1),
            seed: options.seed.wrapping_add(index),
            ..options.amount()
        };
        let mut told = |what: &str| progress(&format!("{} stored: {what}", units::count(x)));
        let watch = Watch::start(server.pid());
        let ingest = ingest::send(server, &amount, &mut told).await?;
        stored += ingest.records;
        let queries = queries::ask(server, options.repeats, &mut told).await?;
        points.push(Point {
            x,
            ingest,
            resident_bytes: most(&watch),
            queries,
        });
    }
    Ok(points)
}

async fn fresh(
    options: &Options,
    amounts: Vec<(u64, Amount)>,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Point>, BenchError> {
    let mut points = Vec::new();
    for (x, amount) in amounts {
        let mut server = Server::start(options.server.setup()).await?;
        let watch = Watch::start(server.pid());
        let mut told = |what: &str| {
            let (connections, batch) = (amount.connections, amount.batch);
            progress(&format!(
                "{connections} connections, {batch} records a request: {what}"
            ));
        };
        let ingest = ingest::send(&server, &amount, &mut told).await;
        let resident_bytes = most(&watch);
        drop(watch);
        server.stop().await;
        points.push(Point {
            x,
            ingest: ingest?,
            resident_bytes,
            queries: Vec::new(),
        });
    }
    Ok(points)
}

fn most(watch: &Watch) -> Option<u64> {
    watch.points().iter().map(|point| point.bytes).max()
}

impl Against {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Stored => "records stored",
            Self::Connections => "connections",
            Self::Batch => "records a request",
        }
    }
}

impl fmt::Display for CurvesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for curve in &self.curves {
            writeln!(
                f,
                "{:>18} {:>10} {:>12} {:>11} {:>11} {:>13} {:>13}",
                curve.against.title(),
                "CPU s/1M",
                "acked/s",
                "ack p50 ms",
                "ack p99 ms",
                "found p50 ms",
                "resident MiB"
            )?;
            for point in &curve.points {
                let cpu = point.ingest.cpu_s_per_million;
                let resident = point.resident_bytes.map(|bytes| bytes >> 20);
                writeln!(
                    f,
                    "{:>18} {:>10} {:>12} {:>11.2} {:>11.2} {:>13.2} {:>13}",
                    units::count(point.x),
                    cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.2}")),
                    units::count(point.ingest.records_per_s as u64),
                    point.ingest.ack.p50_ms,
                    point.ingest.ack.p99_ms,
                    point.ingest.visible.p50_ms,
                    resident.map_or("-".to_owned(), |mebibytes| mebibytes.to_string()),
                )?;
            }
            writeln!(f)?;
            write_queries(f, curve)?;
        }
        Ok(())
    }
}

/// A line for each question, with two columns for each point.
fn write_queries(f: &mut fmt::Formatter<'_>, curve: &Curve) -> fmt::Result {
    let Some(first) = curve
        .points
        .first()
        .filter(|point| !point.queries.is_empty())
    else {
        return Ok(());
    };
    write!(f, "{:<36}", "CPU ms / p50 ms at records stored")?;
    for point in &curve.points {
        write!(f, " {:>19}", units::count(point.x))?;
    }
    writeln!(f)?;
    for query in &first.queries {
        write!(f, "{:<36}", query.name)?;
        for point in &curve.points {
            let at = point.queries.iter().find(|other| other.name == query.name);
            let text = at.map_or("-".to_owned(), |at| {
                let cpu = at.cpu_ms.map_or("-".to_owned(), |cpu| format!("{cpu:.1}"));
                format!("{cpu} / {:.1}", at.latency.p50_ms)
            });
            write!(f, " {text:>19}")?;
        }
        writeln!(f)?;
    }
    writeln!(f)
}
