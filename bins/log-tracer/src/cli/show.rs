//! `log-tracer config`: every setting, and where its value comes from.

use std::io::{self, Write};

use log_tracer_runtime::{env::Environment, exit::Code};

use super::{
    Failure,
    run::{Sources, load},
};
use crate::Config;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The output is a configuration file itself:\n  log-tracer config > my.toml && log-tracer run --config my.toml"
)]
pub(super) struct Options {
    #[command(flatten)]
    sources: Sources,
    /// One JSON object instead of TOML
    #[arg(long)]
    json: bool,
}

pub(super) fn show(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let loaded = load(
        &Config::default(),
        &options.sources,
        Vec::new(),
        environment,
    )?;
    let text = if options.json {
        loaded.to_json() + "\n"
    } else {
        loaded.to_toml()
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| {
        Failure::new(
            Code::Transient,
            format!("the configuration cannot be written: {error}"),
        )
    })
}
