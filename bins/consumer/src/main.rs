//! `log-tracer-consumer`: reads partitions of a log into a store of its own, and answers questions about it.
//!
//! ```text
//! Fluvio or NATS JetStream --deliveries--> log-tracer-consumer <--QueryService-- log-tracer-dashboard
//! ```
//!
//! Each has a name and a store of its own. Consumers of different partitions share the load; consumers of the same
//! partitions are replicas of each other.

// The futures of an engine's client within those of a server are deeper than the compiler goes by itself.
#![recursion_limit = "256"]

mod config;
mod process;

use std::{env, process::ExitCode};

use log_tracer_runtime::role;

fn main() -> ExitCode {
    role::run::<process::Consumer>(env::args_os(), env::vars_os())
}
