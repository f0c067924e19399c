//! `log-tracer demo` and `log-tracer bench`: commands that send traffic.

use std::io::{self, Write};

use log_tracer_runtime::{
    exit::{Code, Exit},
    shutdown,
};
use slog::{Discard, Logger, o};

use super::Failure;
use crate::{
    bench::{self, BenchError},
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
    let progress = |what: &str| {
        // Progress is a courtesy: a closed terminal must not stop the measurement.
        writeln!(io::stderr(), "{what} ...").ok();
    };
    let report = runtime()?.block_on(bench::run(options, progress))?;
    let text = if options.json {
        serde_json::to_string(&report)
            .map_err(|error| Failure::new(Code::Internal, error.to_string()))?
    } else {
        report.to_string()
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
            Self::Wrong(_) | Self::Generator(_) | Self::Addresses(_) => Code::Internal,
            Self::Start(_)
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
