//! `log-tracer bench verify`: compares a ledger with what a server answers. Every acked record has to be there, once.
//!
//! - with log-tracer's QueryService (`log_tracer`): all records of the run are counted, by service; each trace of the
//!   sample is read whole; each of its rare words is searched for;
//! - with the API of Jaeger (`jaeger`), which others speak, too: the spans of each trace of the sample.

mod jaeger;
mod log_tracer;

use std::{fmt, path::PathBuf, time::Duration};

use serde::Serialize;

use super::{
    BenchError,
    ledger::{Ledger, Total, Trace},
    units,
};

const EXAMPLES: &str = "\
Examples:
  log-tracer bench verify run.json
  log-tracer bench verify run.json --query http://127.0.0.1:4319 --json
  log-tracer bench verify run.json --jaeger http://127.0.0.1:16686

Exit code 0 when everything that was acked is there once, 70 when not.";

/// Faults that are named; of more, the number is told.
const NAMED_MAX: usize = 50;

/// What to compare with what.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// What `log-tracer bench load --verify-file` wrote
    pub file: PathBuf,
    /// QueryService of a log-tracer
    #[arg(long, default_value = "http://127.0.0.1:4319", value_name = "ADDRESS")]
    pub query: String,
    /// Ask this Jaeger API instead
    #[arg(long, conflicts_with = "query", value_name = "ADDRESS")]
    pub jaeger: Option<String>,
    /// How long to wait until what was acked has been applied
    #[arg(long, default_value = "10m", value_parser = units::duration)]
    pub wait: Duration,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// The run, as its records name it.
    pub run: String,
    /// Spans that were acked, and that are there; none where they cannot be counted.
    pub spans: Option<Found>,
    /// The same of log records.
    pub logs: Option<Found>,
    /// Traces that were looked at one by one.
    pub traces: u64,
    /// Rare words that were looked for.
    pub words: u64,
    /// How many things are wrong.
    pub faults: u64,
    /// The first of them, in words.
    pub named: Vec<String>,
}

/// Records of one kind.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Found {
    /// Acked.
    pub acked: u64,
    /// Of requests of which nobody knows whether they were taken.
    pub unknown: u64,
    /// There.
    pub found: u64,
}

/// Compares.
///
/// # Errors
/// When the ledger cannot be read, or the server cannot be asked or answers less than the whole; what is missing or
/// doubled is no error, but stands in the verdict.
pub async fn run(
    options: &Options,
    mut progress: impl FnMut(&str) + Send,
) -> Result<Verdict, BenchError> {
    let ledger = Ledger::read(&options.file)?;
    match &options.jaeger {
        Some(address) => jaeger::compare(&ledger, address, &mut progress).await,
        None => compare(&ledger, &options.query, options.wait, &mut progress).await,
    }
}

pub(super) use log_tracer::{applied, verified as compare};

impl Verdict {
    fn of(ledger: &Ledger) -> Self {
        Self {
            run: ledger.run.clone(),
            ..Self::default()
        }
    }

    /// Whether everything is there, once.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.faults == 0
    }

    fn fault(&mut self, text: String) {
        self.faults += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(text);
        }
    }

    /// So many are there; of what nobody knows, any number may be.
    fn count(&mut self, what: &str, found: u64, acked: u64, unknown: u64) {
        if found < acked {
            self.fault(format!(
                "{what}: {} of {acked} acked are missing",
                acked - found
            ));
        } else if found > acked + unknown {
            self.fault(format!(
                "{what}: {} too many: {acked} were acked, and {found} are there",
                found - acked
            ));
        }
    }

    /// The totals of a kind of record, by service.
    fn total(
        &mut self,
        kind: &str,
        total: &Total,
        found: &std::collections::BTreeMap<String, u64>,
    ) -> Found {
        let services: std::collections::BTreeSet<_> =
            total.by_service.keys().chain(found.keys()).collect();
        for service in services {
            let count = |counts: &std::collections::BTreeMap<String, u64>| {
                counts.get(service).copied().unwrap_or(0)
            };
            self.count(
                &format!("{kind} of {service}"),
                count(found),
                count(&total.by_service),
                total.unknown,
            );
        }
        let all = found.values().sum();
        let named: u64 = total.by_service.values().sum();
        if named != total.acked {
            self.fault(format!(
                "{kind}: the ledger contradicts itself: {} acked, {named} by service",
                total.acked
            ));
        }
        self.count(kind, all, total.acked, total.unknown);
        Found {
            acked: total.acked,
            unknown: total.unknown,
            found: all,
        }
    }

    /// The spans of a trace: how many, and how many different ids.
    fn spans_of(&mut self, trace: &Trace, spans: u64, distinct: u64, missing_parents: &[String]) {
        let what = format!("spans of trace {}", trace.id);
        self.count(&what, spans, trace.spans, trace.unknown);
        if distinct < spans {
            self.fault(format!("{what}: {} are there twice", spans - distinct));
        }
        if spans < trace.spans && !missing_parents.is_empty() {
            self.fault(format!(
                "{what}: named as parents and missing: {}",
                missing_parents.join(", ")
            ));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, found) in [("spans", self.spans), ("log records", self.logs)] {
            if let Some(found) = found {
                writeln!(
                    f,
                    "{kind}: {} acked, {} unknown, {} there",
                    units::count(found.acked),
                    units::count(found.unknown),
                    units::count(found.found)
                )?;
            }
        }
        writeln!(
            f,
            "{} traces and {} rare words of {} looked at one by one",
            self.traces, self.words, self.run
        )?;
        for fault in &self.named {
            writeln!(f, "WRONG {fault}")?;
        }
        match self.faults {
            0 => writeln!(f, "nothing is missing, nothing is there twice"),
            faults => writeln!(f, "{faults} things are wrong"),
        }
    }
}
