//! `log-tracer-producer`: takes traces and logs in, and publishes them to a log that consumers elsewhere read.
//!
//! ```text
//! SDKs --OTLP--> log-tracer-producer --envelopes--> Fluvio or NATS JetStream
//! ```
//!
//! Any number of them may publish to one log; a client that got no answer from one may retry on another.

mod config;
mod process;

use std::{env, process::ExitCode};

use log_tracer_runtime::role;

fn main() -> ExitCode {
    role::run::<process::Producer>(env::args_os(), env::vars_os())
}
