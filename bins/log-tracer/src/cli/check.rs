//! `log-tracer check`: reads the journal and the store of a data directory, and changes nothing.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use log_tracer_consumer::{StoreCheck, StoreError, check_store};
use log_tracer_runtime::{config::Override, env::Environment, exit::Code};
use log_tracer_transport::LogId;
use log_tracer_transports::{CheckError, CheckReport};
use serde_json::{Value, json};

use super::{
    Failure,
    progress::Progress,
    run::{Sources, load},
};
use crate::Config;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every byte is read and compared with its checksum. A log-tracer that runs has to be stopped first.

Examples:
  log-tracer check
  log-tracer check /var/lib/log-tracer --json | jq .problems

Exit codes: 0 all is well, or will be put right by the next start; 70 something is lost; 75 it is in use."
)]
pub(super) struct Options {
    /// The data directory [default: that of the settings, data]
    #[arg(value_name = "DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: Sources,
}

pub(super) fn check(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let data_dir = options.data_dir.as_ref().map(|path| {
        let path = path.to_string_lossy();
        Override::flag("DATA_DIR", "data_directory", &path)
    });
    let flags = data_dir.into_iter().collect();
    let loaded = load(&Config::default(), &options.sources, flags, environment)?;
    let config = loaded.config.with_directories();

    let mut progress = Progress::new();
    let journal = log_tracer_transports::check(&config.transport, &mut |done, of| {
        progress.show(|| format!("journal: {done} of {of} bytes"));
    });
    let journal = journal.map_err(|error| unreadable_journal(&error))?;
    let store = match &config.consumer.store_directory {
        Some(directory) => {
            let store = check_store(directory, &mut |done, of| {
                progress.show(|| format!("store: {done} of {of} blocks"));
            });
            Some(store.map_err(|error| unreadable_store(&error))?)
        }
        None => None,
    };
    drop(progress);
    let found = Found { journal, store };
    print(&match options.json {
        true => format!("{}\n", found.to_json()),
        false => found.to_text(),
    })?;
    match found
        .problems()
        .iter()
        .filter(|problem| problem.is_loss)
        .count()
    {
        0 => Ok(()),
        lost => Err(Failure::new(
            Code::Internal,
            format!("{lost} of the problems mean that something is lost"),
        )),
    }
}

/// What was found in the parts of a data directory.
struct Found {
    journal: Option<CheckReport>,
    store: Option<StoreCheck>,
}

/// Something that is wrong.
#[derive(serde::Serialize)]
struct Problem {
    part: &'static str,
    text: String,
    is_loss: bool,
}

impl Found {
    fn problems(&self) -> Vec<Problem> {
        let of_journal = self.journal.iter().flat_map(|journal| &journal.problems);
        let of_journal = of_journal.map(|damage| Problem {
            part: "journal",
            text: damage.to_string(),
            is_loss: true,
        });
        let of_store = self.store.iter().flat_map(|store| &store.problems);
        let of_store = of_store.map(|problem| Problem {
            part: "store",
            text: format!("{}: {}", problem.path.display(), problem.text),
            is_loss: problem.is_loss,
        });
        of_journal.chain(of_store).chain(self.misfits()).collect()
    }

    /// Where the two do not belong together.
    fn misfits(&self) -> Vec<Problem> {
        let Some((journal, store)) = self.journal.as_ref().zip(self.store.as_ref()) else {
            return Vec::new();
        };
        let misfit = |text| Problem {
            part: "both",
            text,
            is_loss: true,
        };
        if let Some(of) = store.log_id.map(LogId)
            && of != journal.log_id
        {
            let text = format!(
                "the store is of the log {of}, the journal is the log {}",
                journal.log_id
            );
            return vec![misfit(text)];
        }
        let beyond = journal.partitions.iter().filter_map(|report| {
            let next = *store.cursors.get(&report.partition.0)?;
            (next > report.next.0).then(|| {
                let (partition, end) = (report.partition.0, report.next.0);
                misfit(format!("partition {partition}: the store goes on at offset {next}, and the journal ends at {end}"))
            })
        });
        beyond.collect()
    }

    /// Envelopes that the store has not taken in yet.
    fn to_apply(&self) -> u64 {
        let Some((journal, store)) = self.journal.as_ref().zip(self.store.as_ref()) else {
            return 0;
        };
        let left = |report: &log_tracer_transports::PartitionReport| {
            let next = store.cursors.get(&report.partition.0).copied();
            report.next.0.saturating_sub(next.unwrap_or(report.first.0))
        };
        journal.partitions.iter().map(left).sum()
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(journal) = &self.journal {
            let closed = match journal.closed {
                true => "closed in good order",
                false => "not closed: the next start cuts off what was not finished",
            };
            text += &format!(
                "journal  {} envelopes, {} bytes, {} segments; {closed}\n",
                journal.envelopes, journal.bytes, journal.segments
            );
        }
        if let Some(store) = &self.store {
            text += &format!(
                "store    {} rows, {} bytes, {} blocks; {} envelopes of the journal are still to be applied\n",
                store.rows,
                store.bytes,
                store.blocks,
                self.to_apply()
            );
        }
        let problems = self.problems();
        for problem in &problems {
            let note = match problem.is_loss {
                true => "",
                false => " (no loss)",
            };
            text += &format!("problem  {}: {}{note}\n", problem.part, problem.text);
        }
        if problems.is_empty() {
            text += "no problem was found\n";
        }
        text
    }

    fn to_json(&self) -> Value {
        json!({
            "journal": self.journal.as_ref().map(|journal| json!({
                "log_id": journal.log_id.to_string(),
                "envelopes": journal.envelopes,
                "bytes": journal.bytes,
                "segments": journal.segments,
                "closed": journal.closed,
                "partitions": journal.partitions.iter().map(|report| json!({
                    "partition": report.partition.0,
                    "first": report.first.0,
                    "next": report.next.0,
                })).collect::<Vec<_>>(),
            })),
            "store": self.store.as_ref().map(|store| json!({
                "log_id": store.log_id.map(|id| LogId(id).to_string()),
                "rows": store.rows,
                "bytes": store.bytes,
                "blocks": store.blocks,
                "cursors": store.cursors.iter().map(|(partition, next)| json!({
                    "partition": partition,
                    "next": next,
                })).collect::<Vec<_>>(),
            })),
            "envelopes_to_apply": self.to_apply(),
            "problems": self.problems(),
        })
    }
}

fn unreadable_journal(error: &CheckError) -> Failure {
    let code = match error {
        CheckError::InUse(_) => Code::Transient,
        _ => Code::Internal,
    };
    Failure::new(code, error.to_string())
}

fn unreadable_store(error: &StoreError) -> Failure {
    let code = match error {
        StoreError::Locked { .. } => Code::Transient,
        _ => Code::Internal,
    };
    Failure::new(code, error.to_string())
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| {
        Failure::new(
            Code::Transient,
            format!("the result cannot be written: {error}"),
        )
    })
}
