//! `log-tracer-dashboard`: the web pages as a process of their own, for a consumer that runs elsewhere.
//!
//! ```text
//! browsers --> log-tracer-dashboard --QueryService--> consumer
//! ```

mod config;
mod process;

use std::{env, process::ExitCode};

use log_tracer_runtime::role;

fn main() -> ExitCode {
    role::run::<process::Dashboard>(env::args_os(), env::vars_os())
}
