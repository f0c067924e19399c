//! `log-tracer-dashboard`: the web pages as a process of their own, for a consumer that runs elsewhere.
//!
//! ```text
//! browsers --> log-tracer-dashboard --QueryService--> consumer
//! ```

mod cli;
mod config;
mod process;

use std::{env, process::ExitCode};

use log_tracer_runtime::{env::Environment, exit::Code};

fn main() -> ExitCode {
    let environment = Environment::of_variables(env::vars_os());
    let result = cli::Cli::of_args(env::args_os()).and_then(|cli| cli.execute(&environment));
    match result {
        Ok(()) => Code::Ok.into(),
        Err(failure) => {
            failure.print();
            failure.code.into()
        }
    }
}
