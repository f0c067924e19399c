//! `log-tracer bench users`: visitors who search and live tails that listen, all at once, while records come in at a
//! rate. What they see is counted: pages and how long they took, refusals, lines and what was left out of them.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::{
    list::{self, Page},
    web::{Heard, Web},
};
use crate::bench::{
    BenchError,
    ingest::{self, Amount},
    load::{self, Percentiles, Signals, tally},
    process::{MemoryPoint, Watch},
    server::{Server, ServerOptions},
    units,
};

const EXAMPLES: &str = "\
Examples:
  log-tracer bench users
  log-tracer bench users --tails 50 --users 50 --rate 5000 --duration 1m --json";

/// What tails listen to, in turn.
const TAILS: [&str; 4] = [
    "/logs/tail",
    "/logs/tail?level=warn",
    "/logs/tail?service=payment",
    "/logs/tail?q=order",
];
/// How long a tail that was refused or ended waits, as browsers do.
const RECONNECT_AFTER: Duration = Duration::from_secs(3);
/// Reports that wait to be counted.
const WAITING_MAX: usize = 4_096;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Options {
    /// Live tails
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub tails: u16,
    /// Visitors, each of whom opens one page after the other
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub users: u16,
    /// How long a visitor looks at a page before the next one
    #[arg(long, default_value = "5s", value_parser = units::duration)]
    pub think: Duration,
    /// Spans and log records a second, together
    #[arg(long, default_value_t = 5_000.0, value_parser = units::rate)]
    pub rate: f64,
    /// How long
    #[arg(long, default_value = "1m", value_parser = units::duration)]
    pub duration: Duration,
    /// Records that are there before it begins
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(20_000..))]
    pub before: u64,
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
pub struct UsersReport {
    /// How many listened.
    pub tails: u16,
    /// How many looked at pages.
    pub users: u16,
    /// Records acknowledged, and those that were not.
    pub acked: u64,
    /// See `acked`.
    pub not_acked: u64,
    /// From when a request was due until its ack.
    pub ack: Percentiles,
    /// From the request for a page until its last byte.
    pub pages: Percentiles,
    /// The same for each page.
    pub by_page: BTreeMap<&'static str, Percentiles>,
    /// Pages by the status of their answer; 0 is none at all.
    pub statuses: BTreeMap<u16, u64>,
    /// Lines that tails received, and those that they were told are left out.
    pub lines: u64,
    /// See `lines`.
    pub dropped: u64,
    /// Bytes that tails received.
    pub tail_bytes: u64,
    /// Tails that were refused or ended early, and connected again.
    pub reconnects: u64,
    /// CPU of the server in cores; none where there is no /proc.
    pub cores: Option<f64>,
    /// Resident memory of the server at the start and at most, in bytes.
    pub memory: [u64; 2],
    /// Resident memory over time.
    pub memory_curve: Vec<MemoryPoint>,
}

/// What a visitor or a tail has to say.
enum Word {
    Page(&'static str, u16, Duration),
    Heard(Heard),
    Reconnect,
}

/// Measures.
///
/// # Errors
/// When the server does not start, or what was sent first cannot be found.
pub async fn run(
    options: &Options,
    mut progress: impl FnMut(&str) + Send,
) -> Result<UsersReport, BenchError> {
    let mut server = Server::start(options.server.setup()).await?;
    let result = measure(options, &server, &mut progress).await;
    server.stop().await;
    result
}

async fn measure(
    options: &Options,
    server: &Server,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<UsersReport, BenchError> {
    let first = Amount {
        signals: Signals::Both,
        records: options.before,
        batch: 512,
        connections: 4,
        seed: options.seed.wrapping_add(1),
    };
    ingest::acked(server, &first, progress).await?;
    let pages = list::all(&mut server.query().await?).await?;
    let load = load::Options {
        rate: Some(options.rate),
        duration: Some(options.duration),
        batch: 128,
        seed: Some(options.seed),
        ..load::Options::to(server.otlp_grpc())
    };
    let before = server.usage();
    let watch = Watch::start(server.pid());
    let (say, words) = mpsc::channel(WAITING_MAX);
    let until = Instant::now() + options.duration;
    let mut crowd = JoinSet::new();
    for number in 0..options.tails {
        let path = TAILS.get(usize::from(number) % TAILS.len());
        let path = path.copied().unwrap_or_default();
        crowd.spawn(listen(
            Web::new(server.dashboard()),
            path,
            say.clone(),
            until,
        ));
    }
    for number in 0..options.users {
        // One after the other, so that they do not all ask at once.
        let start = options.think * u32::from(number) / u32::from(options.users);
        let visitor = Visitor {
            web: Web::new(server.dashboard()),
            pages: pages.clone(),
            next: usize::from(number),
            think: options.think,
        };
        crowd.spawn(visitor.look(start, say.clone(), until));
    }
    drop(say);
    let (outcome, counted) = tokio::join!(load::send(&load, progress), count(words));
    let (outcome, counted) = (outcome?, counted?);
    while let Some(done) = crowd.join_next().await {
        done?;
    }
    let cpu = before.zip(server.usage());
    Ok(counted.report(options, &outcome, cpu, &watch))
}

/// Listens, and connects again when the tail ends.
async fn listen(web: Web, path: &'static str, say: mpsc::Sender<Word>, until: Instant) {
    loop {
        let heard = |heard: Heard| {
            // Whoever counts is faster than the network; if not, figures are missing and not the server's.
            say.try_send(Word::Heard(heard)).ok();
        };
        if timeout_at(until, web.tail(path, heard)).await.is_err() {
            return;
        }
        say.send(Word::Reconnect).await.ok();
        sleep(RECONNECT_AFTER).await;
    }
}

/// Someone who looks at one page after the other.
struct Visitor {
    web: Web,
    pages: Vec<Page>,
    next: usize,
    think: Duration,
}

impl Visitor {
    async fn look(mut self, start: Duration, say: mpsc::Sender<Word>, until: Instant) {
        sleep(start).await;
        while Instant::now() < until {
            let Some(page) = self.pages.get(self.next % self.pages.len().max(1)) else {
                return;
            };
            self.next += 1;
            let asked = Instant::now();
            let got = self.web.page(&page.path, true).await;
            let word = match got {
                Ok(got) => Word::Page(page.name, got.status.as_u16(), got.took),
                Err(_) => Word::Page(page.name, 0, asked.elapsed()),
            };
            say.send(word).await.ok();
            sleep(self.think).await;
        }
    }
}

struct Counted {
    pages: tally::Micros,
    by_page: BTreeMap<&'static str, tally::Micros>,
    statuses: BTreeMap<u16, u64>,
    heard: Heard,
    reconnects: u64,
}

async fn count(mut words: mpsc::Receiver<Word>) -> Result<Counted, BenchError> {
    let mut counted = Counted {
        pages: tally::micros()?,
        by_page: BTreeMap::new(),
        statuses: BTreeMap::new(),
        heard: Heard::default(),
        reconnects: 0,
    };
    while let Some(word) = words.recv().await {
        match word {
            Word::Page(name, status, took) => {
                tally::record(&mut counted.pages, took);
                let own = match counted.by_page.entry(name) {
                    std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::btree_map::Entry::Vacant(new) => new.insert(tally::micros()?),
                };
                tally::record(own, took);
                *counted.statuses.entry(status).or_default() += 1;
            }
            Word::Heard(heard) => {
                counted.heard.lines += heard.lines;
                counted.heard.bytes += heard.bytes;
                counted.heard.dropped += heard.dropped;
            }
            Word::Reconnect => counted.reconnects += 1,
        }
    }
    Ok(counted)
}

impl Counted {
    fn report(
        self,
        options: &Options,
        outcome: &load::Outcome,
        cpu: Option<(crate::bench::process::Usage, crate::bench::process::Usage)>,
        watch: &Watch,
    ) -> UsersReport {
        let counts = &outcome.counts;
        let points = watch.points();
        let by_page = self.by_page.iter();
        UsersReport {
            tails: options.tails,
            users: options.users,
            acked: counts.acked(),
            not_acked: counts.refused + counts.spans.unknown + counts.logs.unknown,
            ack: Percentiles::of(&counts.ack),
            pages: Percentiles::of(&self.pages),
            by_page: by_page
                .map(|(name, took)| (*name, Percentiles::of(took)))
                .collect(),
            statuses: self.statuses,
            lines: self.heard.lines,
            dropped: self.heard.dropped,
            tail_bytes: self.heard.bytes,
            reconnects: self.reconnects,
            cores: cpu.map(|(before, after)| {
                after.cpu.saturating_sub(before.cpu).as_secs_f64() / outcome.took.as_secs_f64()
            }),
            memory: [
                points.first().map_or(0, |point| point.bytes),
                points.iter().map(|point| point.bytes).max().unwrap_or(0),
            ],
            memory_curve: points,
        }
    }
}

impl fmt::Display for UsersReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} tails, {} users; {} records acked, {} not; {} cores of the server\n",
            self.tails,
            self.users,
            units::count(self.acked),
            units::count(self.not_acked),
            self.cores
                .map_or("-".to_owned(), |cores| format!("{cores:.2}")),
        )?;
        writeln!(
            f,
            "{:<28} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "milliseconds", "p50", "p90", "p99", "p99.9", "max"
        )?;
        writeln!(f, "{:<28} {}", "due to ack", self.ack)?;
        writeln!(f, "{:<28} {}", "all pages", self.pages)?;
        for (name, took) in &self.by_page {
            writeln!(f, "{name:<28} {took}")?;
        }
        writeln!(f)?;
        for (status, count) in &self.statuses {
            match status {
                0 => writeln!(f, "{count} pages without an answer")?,
                status => writeln!(f, "{count} pages with status {status}")?,
            }
        }
        let [start, most] = self.memory.map(units::bytes);
        writeln!(
            f,
            "tails: {} lines, {}, {} said to be left out, {} reconnects\nresident: {start} at the start, {most} at most  {}",
            units::count(self.lines),
            units::bytes(self.tail_bytes),
            units::count(self.dropped),
            self.reconnects,
            units::sparkline(self.memory_curve.iter().map(|point| point.bytes))
        )
    }
}
