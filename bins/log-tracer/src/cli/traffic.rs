//! `log-tracer demo` and `log-tracer bench`: commands that send traffic.

use std::{
    fmt::Display,
    io::{self, Write},
};

use log_tracer_runtime::{
    exit::{Code, Exit},
    shutdown,
};
use serde::Serialize;
use slog::{Discard, Logger, o};

use super::{Failure, progress::Progress};
use crate::{
    bench::{self, BenchError, LedgerError},
    demo::{self, DemoError},
    otlp_client::ConnectError,
};

pub(super) fn demo(options: &demo::Options) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let stop = shutdown::on_signals(Logger::root(Discard, o!()))
            .map_err(|error| Failure::new(Code::Transient, error.to_string()))?;
        let sent = demo::run(options, stop).await?;
        print(&format!("{sent}\n"))
    })
}

pub(super) fn bench(options: &bench::Options) -> Result<(), Failure> {
    let runtime = runtime()?;
    let mut line = Progress::new();
    let mut progress = |what: &str| line.show(|| what.to_owned());
    match &options.command {
        None => {
            let report = runtime.block_on(bench::table(&options.table, &mut progress))?;
            drop(line);
            show(&report, options.table.json)
        }
        Some(bench::Command::Load(options)) => {
            let report = runtime.block_on(bench::load(options, &mut progress))?;
            drop(line);
            show(&report, options.json)
        }
        Some(bench::Command::Verify(options)) => {
            let verdict = runtime.block_on(bench::verify(options, &mut progress))?;
            drop(line);
            show(&verdict, options.json)?;
            if verdict.is_whole() {
                return Ok(());
            }
            let message = format!("{} things are missing or doubled", verdict.faults);
            Err(Failure::new(Code::Internal, message))
        }
        Some(bench::Command::Curves(options)) => {
            let report = runtime.block_on(bench::curves(options, &mut progress))?;
            drop(line);
            show(&report, options.json)
        }
        Some(bench::Command::Mixed(options)) => {
            let report = runtime.block_on(bench::mixed(options, &mut progress))?;
            drop(line);
            show(&report, options.json)
        }
        Some(bench::Command::Pages(options)) => {
            let report = runtime.block_on(bench::pages(options, &mut progress))?;
            drop(line);
            show(&report, options.json)
        }
        Some(bench::Command::Users(options)) => {
            let report = runtime.block_on(bench::users(options, &mut progress))?;
            drop(line);
            show(&report, options.json)
        }
        Some(bench::Command::Against(options)) => {
            let report = runtime.block_on(bench::against(options, &mut progress))?;
            drop(line);
            show(&report, options.json)?;
            let grown = report.grown(options.fail_above.unwrap_or(f64::INFINITY));
            if grown.is_empty() {
                return Ok(());
            }
            let message = format!("it costs more than allowed: {}", grown.join(", "));
            Err(Failure::new(Code::Internal, message))
        }
    }
}

/// Prints figures as a table or as JSON.
fn show(figures: &(impl Display + Serialize), is_json: bool) -> Result<(), Failure> {
    let text = if is_json {
        serde_json::to_string(figures)
            .map_err(|error| Failure::new(Code::Internal, error.to_string()))?
    } else {
        figures.to_string()
    };
    print(&format!("{}\n", text.trim_end()))
}

impl Exit for DemoError {
    fn exit_code(&self) -> Code {
        match self {
            Self::Connect(ConnectError::Address { .. }) => Code::Usage,
            Self::Connect(ConnectError::Unreachable { .. }) | Self::Send(_) => Code::Transient,
        }
    }
}

impl Exit for BenchError {
    fn exit_code(&self) -> Code {
        match self {
            Self::Endpoint(_) | Self::NoProcess(_) => Code::Usage,
            Self::Wrong(_)
            | Self::Generator(_)
            | Self::Addresses(_)
            | Self::Encode(_)
            | Self::Corpus(_)
            | Self::Histogram(_)
            | Self::Ledger(LedgerError::Unreadable { .. }) => Code::Internal,
            Self::Start(_)
            | Self::Unreachable { .. }
            | Self::NothingAcked(_)
            | Self::Ledger(LedgerError::Io { .. })
            | Self::Build(_)
            | Self::Picture { .. }
            | Self::Directory(_)
            | Self::Connect(_)
            | Self::Transport(_)
            | Self::Refused(_) => Code::Transient,
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            let message = format!("the threads of the program cannot be started: {error}");
            Failure::new(Code::Transient, message)
        })
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| {
        Failure::new(
            Code::Transient,
            format!("the result cannot be written: {error}"),
        )
    })
}
