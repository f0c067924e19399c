//! `log-tracer completions SHELL`.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use log_tracer_runtime::exit::Code;

use super::{Cli, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  source <(log-tracer completions bash)")]
pub(super) struct Options {
    /// The shell to complete for
    shell: Shell,
}

pub(super) fn print(options: &Options) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        options.shell,
        &mut Cli::command(),
        "log-tracer",
        &mut script,
    );
    io::stdout().write_all(&script).map_err(|error| {
        Failure::new(
            Code::Transient,
            format!("the completions cannot be written: {error}"),
        )
    })
}
