//! `log-tracer bench against REV`: the server of another revision and this one, measured in turn with the same data, so
//! that a regression is seen although the machine is shared and its speed changes.
//!
//! The other revision is built in a git worktree of its own below `target/bench-against`, with the profile and the
//! settings that the environment gives to cargo. Each round measures both, on fresh data; compared are the CPU seconds
//! of the two servers within each round, and, where `perf` may count them, their instructions.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Serialize;
use tokio::process::{Child, Command};

use super::{
    BenchError,
    ingest::{self, Amount},
    load::Signals,
    server::{Server, Setup},
};

const EXAMPLES: &str = "\
Examples:
  log-tracer bench against HEAD~1
  log-tracer bench against main --rounds 10 --records 2000000
  cargo make bench-against main";

/// What to compare with.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Options {
    /// A revision that git knows
    pub revision: String,
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Spans, and then as many log records, in each
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub records: u64,
    /// Records in a request
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch: u32,
    /// Connections
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// Both take in the data of this number
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Ends with an error when the median of a CPU figure grew by more than so many percent
    #[arg(long, value_name = "PERCENT")]
    pub fail_above: Option<f64>,
    /// Where the worktree and the build of the other revision go
    #[arg(long, default_value = "target/bench-against", value_name = "DIRECTORY")]
    pub work_dir: PathBuf,
    /// A program that was built already, instead of building the revision
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct AgainstReport {
    /// The other revision.
    pub revision: String,
    /// Each figure.
    pub figures: Vec<Compared>,
}

/// A figure of both in each round.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// What was measured, with its unit.
    pub name: String,
    /// Of the other revision, a round each.
    pub base: Vec<f64>,
    /// Of this one.
    pub this: Vec<f64>,
    /// How much more this one took, in percent: the median of the rounds, the least, the most.
    pub change_percent: Option<[f64; 3]>,
}

/// Builds the other revision and measures both.
///
/// # Errors
/// When it cannot be built, or a server does not do what it should.
pub async fn run(
    options: &Options,
    mut progress: impl FnMut(&str) + Send,
) -> Result<AgainstReport, BenchError> {
    let base = match &options.program {
        Some(program) => program.clone(),
        None => build(options, &mut progress).await?,
    };
    let mut figures: Vec<Compared> = Vec::new();
    for round in 1..=options.rounds {
        for (is_base, program) in [(true, Some(&base)), (false, None)] {
            let who = if is_base {
                options.revision.as_str()
            } else {
                "this"
            };
            let mut told = |what: &str| {
                progress(&format!(
                    "round {round} of {}, {who}: {what}",
                    options.rounds
                ));
            };
            for (name, value) in measure(options, program, &mut told).await? {
                let index = figures.iter().position(|figure| figure.name == name);
                let index = index.unwrap_or_else(|| {
                    figures.push(Compared::new(name));
                    figures.len() - 1
                });
                if let Some(figure) = figures.get_mut(index) {
                    let values = if is_base {
                        &mut figure.base
                    } else {
                        &mut figure.this
                    };
                    values.push(value);
                }
            }
        }
    }
    for figure in &mut figures {
        figure.change_percent = change(&figure.base, &figure.this);
    }
    Ok(AgainstReport {
        revision: options.revision.clone(),
        figures,
    })
}

impl AgainstReport {
    /// The CPU figures whose median grew by more than so many percent.
    #[must_use]
    pub fn grown(&self, percent: f64) -> Vec<&str> {
        let cpu = self
            .figures
            .iter()
            .filter(|figure| figure.name.contains("CPU"));
        cpu.filter(|figure| {
            let change = figure.change_percent;
            change.is_some_and(|[median, ..]| median > percent)
        })
        .map(|figure| figure.name.as_str())
        .collect()
    }
}

impl Compared {
    fn new(name: String) -> Self {
        Self {
            name,
            base: Vec::new(),
            this: Vec::new(),
            change_percent: None,
        }
    }
}

/// Median, least and most of the changes within each round, in percent.
fn change(base: &[f64], this: &[f64]) -> Option<[f64; 3]> {
    let mut changes: Vec<f64> = base
        .iter()
        .zip(this)
        .filter(|(base, _)| **base > 0.0)
        .map(|(base, this)| (this / base - 1.0) * 100.0)
        .collect();
    changes.sort_by(f64::total_cmp);
    let median = median(&changes)?;
    Some([median, *changes.first()?, *changes.last()?])
}

fn median(sorted: &[f64]) -> Option<f64> {
    let (low, high) = (
        sorted.get((sorted.len().checked_sub(1)?) / 2)?,
        sorted.get(sorted.len() / 2)?,
    );
    Some(f64::midpoint(*low, *high))
}

async fn measure(
    options: &Options,
    program: Option<&PathBuf>,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<(String, f64)>, BenchError> {
    let mut server = Server::start(Setup {
        program: program.cloned(),
        ..Setup::default()
    })
    .await?;
    let result = ingest_both(options, &server, progress).await;
    server.stop().await;
    result
}

async fn ingest_both(
    options: &Options,
    server: &Server,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<(String, f64)>, BenchError> {
    let mut figures = Vec::new();
    for (name, signals, seed) in [
        ("spans", Signals::Traces, options.seed),
        ("log records", Signals::Logs, options.seed.wrapping_add(1)),
    ] {
        let amount = Amount {
            signals,
            records: options.records,
            batch: options.batch,
            connections: options.connections,
            seed,
        };
        let counter = Counter::start(server.pid());
        let ingest = ingest::send(server, &amount, progress).await?;
        if let Some(cpu) = ingest.cpu_s_per_million {
            figures.push((format!("{name}: CPU s/1M"), cpu));
        }
        if let Some(instructions) = counter.stop().await {
            let each = instructions as f64 / ingest.records.max(1) as f64;
            figures.push((format!("{name}: instructions a record"), each));
        }
        if let Some(bytes) = ingest.bytes_per_record {
            figures.push((format!("{name}: bytes on disk"), bytes));
        }
    }
    Ok(figures)
}

/// Counts the instructions of a process with `perf`, where there is one that may.
struct Counter(Option<Child>);

impl Counter {
    fn start(pid: u32) -> Self {
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "instructions:u", "-p"])
            .arg(pid.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        // Without perf there is one figure less.
        Self(perf.ok())
    }

    /// What it counted; none when it could not.
    async fn stop(self) -> Option<u64> {
        let perf = self.0?;
        interrupt(perf.id()?)?;
        let output = perf.wait_with_output().await.ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("instructions"))?;
        line.split(',').next()?.parse().ok()
    }
}

#[cfg(target_os = "linux")]
fn interrupt(pid: u32) -> Option<()> {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    kill(Pid::from_raw(i32::try_from(pid).ok()?), Signal::SIGINT).ok()
}

#[cfg(not(target_os = "linux"))]
fn interrupt(_pid: u32) -> Option<()> {
    None
}

/// Builds the program of the revision, and answers where it is.
async fn build(
    options: &Options,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<PathBuf, BenchError> {
    let commit = output(
        Command::new("git")
            .args(["rev-parse", "--verify", "--end-of-options"])
            .arg(format!("{}^{{commit}}", options.revision)),
    )
    .await?;
    std::fs::create_dir_all(&options.work_dir).map_err(BenchError::Directory)?;
    let work_dir = std::path::absolute(&options.work_dir).map_err(BenchError::Directory)?;
    let tree = work_dir.join("tree");
    progress(&format!(
        "checking out {} in {}",
        options.revision,
        tree.display()
    ));
    if tree.join(".git").exists() {
        output(
            Command::new("git")
                .arg("-C")
                .arg(&tree)
                .args(["checkout", "--quiet", "--force", "--detach", &commit]),
        )
        .await?;
    } else {
        output(Command::new("git").args(["worktree", "prune"])).await?;
        output(
            Command::new("git")
                .args(["worktree", "add", "--quiet", "--detach"])
                .arg(&tree)
                .arg(&commit),
        )
        .await?;
    }
    progress(&format!("building {}", options.revision));
    let target = work_dir.join("target");
    cargo(&tree, &target).await?;
    let built = target.join("release/log-tracer");
    Ok(built)
}

async fn cargo(tree: &Path, target: &Path) -> Result<(), BenchError> {
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", "log-tracer"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .status()
        .await
        .map_err(|error| BenchError::Build(format!("cargo cannot be run: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(BenchError::Build(format!(
        "cargo build in {} ended with {status}",
        tree.display()
    )))
}

async fn output(command: &mut Command) -> Result<String, BenchError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| BenchError::Build(format!("git cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BenchError::Build(said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl fmt::Display for AgainstReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.figures.first().map_or(0, |figure| figure.base.len());
        writeln!(f, "{rounds} rounds, medians; changes within a round\n")?;
        writeln!(
            f,
            "{:<36} {:>12} {:>12} {:>9} {:>20}",
            "", self.revision, "this", "change", "least .. most"
        )?;
        for figure in &self.figures {
            let of = |values: &[f64]| {
                let mut values = values.to_vec();
                values.sort_by(f64::total_cmp);
                median(&values).map_or("-".to_owned(), |value| format!("{value:.2}"))
            };
            let (change, spread) = figure.change_percent.map_or_else(
                || ("-".to_owned(), String::new()),
                |[median, least, most]| {
                    (
                        format!("{median:+.1} %"),
                        format!("{least:+.1} .. {most:+.1} %"),
                    )
                },
            );
            writeln!(
                f,
                "{:<36} {:>12} {:>12} {change:>9} {spread:>20}",
                figure.name,
                of(&figure.base),
                of(&figure.this)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_is_the_median_of_the_rounds_with_its_spread() {
        // A machine that slows down in the third round slows both.
        let change = change(&[10.0, 10.0, 20.0], &[11.0, 10.5, 22.2]).unwrap();
        let rounded = change.map(|percent| percent.round());
        assert_eq!(rounded, [10.0, 5.0, 11.0]);
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn only_cpu_that_grew_by_more_than_allowed_is_a_regression() {
        let figure = |name: &str, median: f64| Compared {
            change_percent: Some([median, 0.0, 0.0]),
            ..Compared::new(name.to_owned())
        };
        let report = AgainstReport {
            revision: "main".to_owned(),
            figures: vec![
                figure("spans: CPU s/1M", 6.0),
                figure("log records: CPU s/1M", 4.0),
                figure("spans: bytes on disk", 50.0),
            ],
        };
        assert_eq!(report.grown(5.0), ["spans: CPU s/1M"]);
    }
}
