//! The command line.
//!
//! Answers go to the standard output, the log and errors to the standard error. Exit codes are those of
//! [`log_tracer_runtime::exit::Code`].

mod banner;
mod check;
mod completions;
mod progress;
mod register_spu;
mod run;
mod search;
mod show;
mod topology;
mod traffic;
mod with_parent;

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use log_tracer_runtime::env::Environment;

use crate::{bench, demo};

pub use log_tracer_runtime::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  log-tracer                                        start everything on this machine
  log-tracer run --config etc/standalone.toml       the same with a configuration file
  log-tracer run --set dashboard.listen=127.0.0.1:9000
  log-tracer run --in-memory                        for tests: free ports, one line of JSON
  log-tracer demo                                   send the traffic of a made-up shop to it
  log-tracer logs 'severity>=warn' --follow         watch its log records
  log-tracer config                                 show every setting and where it comes from

Every setting can also be given in the environment: LOG_TRACER__DASHBOARD__LISTEN=127.0.0.1:9000";

/// Traces and logs of your services on one page, without a broker, a database or a collector.
///
/// Without a command, it runs everything: `log-tracer run`.
#[derive(Debug, Parser)]
#[command(name = "log-tracer", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(flatten)]
    run: run::Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take traces and logs in, keep them, and show them
    Run(run::Options),
    /// Search log records of a running log-tracer
    Logs(search::LogsOptions),
    /// Search its traces
    Traces(search::TracesOptions),
    /// Show one of its traces with the logs of it
    Trace(search::TraceOptions),
    /// Show how much its services do, how often they fail, and how long they take
    Services(search::ServicesOptions),
    /// Show which of its services calls which
    Graph(search::GraphOptions),
    /// Show how each of its consumers is
    Status(search::StatusOptions),
    /// Write everything that matches to a file, as OTLP in JSON or as Parquet
    Export(search::ExportOptions),
    /// Run the roles as processes of their own on NATS JetStream or Fluvio, all on this machine
    Topology(topology::Options),
    /// Send the traffic of a made-up shop, to have something to look at
    Demo(demo::Options),
    /// Measure what taking records in and answering questions costs on this machine
    Bench(bench::Options),
    /// Read everything that a stopped log-tracer keeps on disk, and say what is wrong with it
    Check(check::Options),
    /// Show every setting of `run` and where its value comes from
    Config(show::Options),
    /// Print the completions of a shell
    Completions(completions::Options),
    /// Tell a Fluvio controller of a storage unit, as the containers of compose.yml do
    RegisterSpu(register_spu::Options),
    #[command(hide = true)]
    WithParent(with_parent::Options),
}

impl Cli {
    /// Reads the arguments of the process, the first of which is its name.
    ///
    /// # Errors
    /// The command line is wrong, or asked for help or the version: [`Failure::code`] tells which.
    pub fn of_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        Self::try_parse_from(args).map_err(Failure::of_usage)
    }

    /// Does what was asked for.
    ///
    /// # Errors
    /// What went wrong, with the exit code for it.
    pub fn execute(self, environment: &Environment) -> Result<(), Failure> {
        match self.command {
            None => run::run(&self.run, environment),
            Some(Command::Run(options)) => run::run(&options, environment),
            Some(Command::Logs(options)) => search::logs(&options),
            Some(Command::Traces(options)) => search::traces(&options),
            Some(Command::Trace(options)) => search::trace(&options),
            Some(Command::Services(options)) => search::services(&options),
            Some(Command::Graph(options)) => search::graph(&options),
            Some(Command::Status(options)) => search::status(&options),
            Some(Command::Export(options)) => search::export(&options),
            Some(Command::Topology(options)) => topology::run(&options, environment),
            Some(Command::Demo(options)) => traffic::demo(&options),
            Some(Command::Bench(options)) => traffic::bench(&options),
            Some(Command::Check(options)) => check::check(&options, environment),
            Some(Command::Config(options)) => show::show(&options, environment),
            Some(Command::Completions(options)) => completions::print(&options),
            Some(Command::RegisterSpu(options)) => register_spu::register(&options),
            Some(Command::WithParent(options)) => with_parent::become_program(&options),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use log_tracer_runtime::exit::Code;

    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, Failure> {
        let args = ["log-tracer"].iter().chain(args).map(OsString::from);
        Cli::of_args(args)
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_run_with_its_options() {
        assert!(parse(&[]).unwrap().command.is_none());
        assert!(parse(&["--in-memory"]).is_ok());
        assert!(parse(&["run", "--in-memory"]).is_ok());
    }

    #[test]
    fn what_is_no_command_line_is_a_usage_error_and_help_is_none() {
        for wrong in [
            &["rum"][..],
            &["run", "--in-memry"],
            &["run", "--grpc-listen", "nowhere"],
            &["--set", "novalue"],
        ] {
            assert_eq!(parse(wrong).unwrap_err().code(), Code::Usage, "{wrong:?}");
        }
        assert_eq!(parse(&["--help"]).unwrap_err().code(), Code::Ok);
        assert_eq!(parse(&["--version"]).unwrap_err().code(), Code::Ok);
    }
}
