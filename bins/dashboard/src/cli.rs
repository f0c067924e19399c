//! The command line.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Parser, error::ErrorKind};
use log_tracer_runtime::{
    config::{self, Override},
    env::Environment,
    exit::{Code, Exit},
};

use crate::{config::Config, process};

/// The web pages of log-tracer, for a consumer that runs elsewhere.
#[derive(Debug, Parser)]
#[command(
    name = "log-tracer-dashboard",
    version,
    after_help = "\
Examples:
  log-tracer-dashboard --set 'query=[\"http://10.0.0.5:4319\"]'
  log-tracer-dashboard --config etc/dashboard.toml

Every setting can also be given in the environment: LOG_TRACER__DASHBOARD__LISTEN=127.0.0.1:9000"
)]
pub(crate) struct Cli {
    /// A file with settings; etc/dashboard.toml shows all of them
    #[arg(long, value_name = "FILE", env = "LOG_TRACER_CONFIG")]
    config: Option<PathBuf>,
    /// One setting, such as dashboard.listen=127.0.0.1:9000; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = Override::set)]
    set: Vec<Override>,
    /// Show every setting and where its value comes from, and end
    #[arg(long)]
    print_config: bool,
}

/// Why the process ended other than by being done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: Message,
}

#[derive(Debug)]
enum Message {
    Text(String),
    /// Clap knows where its help and its errors go, and in which colours.
    Usage(Box<clap::Error>),
}

impl Cli {
    pub(crate) fn of_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        Self::try_parse_from(args).map_err(|error| {
            let code = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Ok,
                _ => Code::Usage,
            };
            Failure {
                code,
                message: Message::Usage(Box::new(error)),
            }
        })
    }

    pub(crate) fn execute(self, environment: &Environment) -> Result<(), Failure> {
        let variables = environment.variables.iter().cloned();
        let mut loaded = config::load::<Config>(self.config.as_deref(), variables, &self.set)?;
        loaded.validate(Config::problems)?;
        if self.print_config {
            let shown = io::stdout().write_all(loaded.to_toml().as_bytes());
            return shown.map_err(|error| {
                Failure::new(
                    Code::Transient,
                    format!("the configuration cannot be written: {error}"),
                )
            });
        }
        environment.apply_to(&mut loaded.config.logging);
        process::run(&loaded)
    }
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Message::Text(message.into()),
        }
    }

    pub(crate) fn print(&self) {
        // A user who closed the terminal cannot be told; the exit code still does.
        match &self.message {
            Message::Usage(error) => error.print().ok(),
            Message::Text(text) => text
                .lines()
                .try_for_each(|line| writeln!(io::stderr(), "log-tracer-dashboard: {line}"))
                .ok(),
        };
    }
}

impl<E: Exit> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}
