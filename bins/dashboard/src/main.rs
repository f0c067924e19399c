//! `log-tracer-dashboard`: the web pages as a process of their own, for consumers that run elsewhere.
//!
//! ```text
//! browsers --> log-tracer-dashboard --QueryService--> one consumer, or several as one
//! ```

mod config;
mod process;

use std::{env, process::ExitCode};

use log_tracer_runtime::role;

fn main() -> ExitCode {
    role::run::<process::Dashboard>(env::args_os(), env::vars_os())
}
