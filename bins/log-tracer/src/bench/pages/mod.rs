//! `log-tracer bench pages`: what every page of the dashboard costs the server and how large it is, over more and more
//! records. `log-tracer bench users`: many visitors and live tails at once while records come in.
//!
//! - `list`: the pages; `web`: who asks for them; `users`: the visitors.

mod list;
mod users;
mod web;

use std::fmt;

use serde::Serialize;

pub use self::users::{Options as UsersOptions, UsersReport, run as users};
use self::{list::Page, web::Web};
use super::{
    BenchError,
    ingest::{self, Amount},
    load::{Percentiles, Signals, tally},
    process,
    server::{Server, ServerOptions},
    units,
};

/// CPU of the server that a page may cost.
const BUDGET_CPU_MS: f64 = 100.0;
/// Bytes of HTML that a page may have before it is compressed.
const BUDGET_HTML_BYTES: usize = 100_000;

const EXAMPLES: &str = "\
Examples:
  log-tracer bench pages
  log-tracer bench pages --records 10000,1000000,10000000 --repeats 10
  log-tracer bench pages --records 1000000 --json";

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Options {
    /// Spans and log records together that are there; every page is asked for at each of these
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000", value_parser = clap::value_parser!(u64).range(1_000..))]
    pub records: Vec<u64>,
    /// How often each page is asked for
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeats: u32,
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
pub struct PagesReport {
    /// A row for each page.
    pub pages: Vec<PageReport>,
    /// Records that were there, in the order of the figures of a page.
    pub records: Vec<u64>,
}

/// One page.
#[derive(Clone, Debug, Serialize)]
pub struct PageReport {
    /// What it is.
    pub name: &'static str,
    /// Its address the last time.
    pub path: String,
    /// What it cost over each number of records.
    pub figures: Vec<PageFigures>,
}

/// What a page cost over so many records.
#[derive(Clone, Debug, Serialize)]
pub struct PageFigures {
    /// Bytes before compression.
    pub html_bytes: usize,
    /// Bytes on the wire.
    pub gzip_bytes: usize,
    /// CPU of the server for one of them, compression included; none where there is no /proc.
    pub cpu_ms: Option<f64>,
    /// From the request until the last byte.
    pub latency: Percentiles,
}

/// Measures.
///
/// # Errors
/// When the server does not start, or a page is not what it should be.
pub async fn run(
    options: &Options,
    mut progress: impl FnMut(&str) + Send,
) -> Result<PagesReport, BenchError> {
    let mut server = Server::start(options.server.setup()).await?;
    let result = measure(options, &server, &mut progress).await;
    server.stop().await;
    result
}

async fn measure(
    options: &Options,
    server: &Server,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<PagesReport, BenchError> {
    let mut report = PagesReport {
        pages: Vec::new(),
        records: Vec::new(),
    };
    let mut steps = options.records.clone();
    steps.sort_unstable();
    let mut sent = 0;
    for (step, records) in steps.into_iter().enumerate() {
        let amount = Amount {
            signals: Signals::Both,
            records: records.saturating_sub(sent).max(1),
            batch: 512,
            connections: 4,
            seed: options.seed.wrapping_add(step as u64),
        };
        let ledger = ingest::send(server, &amount, progress).await?;
        sent += ledger.records;
        report.records.push(sent);
        let pages = list::all(&mut server.query().await?).await?;
        for (index, page) in pages.into_iter().enumerate() {
            progress(&format!("{sent} records: {}", page.name));
            let figures = ask(server, &page, options.repeats).await?;
            match report.pages.get_mut(index) {
                Some(known) => {
                    known.path = page.path;
                    known.figures.push(figures);
                }
                None => report.pages.push(PageReport {
                    name: page.name,
                    path: page.path,
                    figures: vec![figures],
                }),
            }
        }
    }
    Ok(report)
}

async fn ask(server: &Server, page: &Page, repeats: u32) -> Result<PageFigures, BenchError> {
    let web = Web::new(server.dashboard());
    // The first answer reads what the others find in memory.
    let plain = web.page(&page.path, false).await?;
    if !plain.status.is_success() {
        return Err(BenchError::Wrong(format!(
            "{}: {}",
            page.path, plain.status
        )));
    }
    let mut took = tally::micros()?;
    let mut gzip_bytes = 0;
    let before = process::cpu(server.pid());
    for _ in 0..repeats {
        let got = web.page(&page.path, true).await?;
        tally::record(&mut took, got.took);
        gzip_bytes = got.bytes;
    }
    let cpu = before.zip(process::cpu(server.pid()));
    let cpu = cpu.map(|(before, after)| after.saturating_sub(before) / repeats.max(1));
    Ok(PageFigures {
        html_bytes: plain.bytes,
        gzip_bytes,
        cpu_ms: cpu.map(|cpu| cpu.as_secs_f64() * 1e3),
        latency: Percentiles::of(&took),
    })
}

impl PageFigures {
    /// Whether it costs more than a page may.
    fn is_over(&self) -> bool {
        self.html_bytes > BUDGET_HTML_BYTES || self.cpu_ms.is_some_and(|ms| ms > BUDGET_CPU_MS)
    }
}

impl fmt::Display for PagesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<26}", "page")?;
        for records in &self.records {
            write!(
                f,
                " | {:>36}",
                format!("{} records", units::count(*records))
            )?;
        }
        write!(f, "\n{:<26}", "")?;
        for _ in &self.records {
            write!(
                f,
                " | {:>9} {:>8} {:>8} {:>8}",
                "HTML KB", "gzip KB", "CPU ms", "p99 ms"
            )?;
        }
        writeln!(f)?;
        for page in &self.pages {
            write!(f, "{:<26}", page.name)?;
            for figures in &page.figures {
                let cpu = figures
                    .cpu_ms
                    .map_or("-".to_owned(), |ms| format!("{ms:.1}"));
                write!(
                    f,
                    " | {:>9.1} {:>8.1} {cpu:>8} {:>7.1}{}",
                    figures.html_bytes as f64 / 1e3,
                    figures.gzip_bytes as f64 / 1e3,
                    figures.latency.p99_ms,
                    if figures.is_over() { "!" } else { " " },
                )?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "\nA page may cost {BUDGET_CPU_MS} ms of CPU and have {} KB of HTML; ! marks what is over.",
            BUDGET_HTML_BYTES / 1000
        )
    }
}
