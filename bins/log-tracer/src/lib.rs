//! All roles in one process, the command line, and the test mode.
//!
//! | module | what it is |
//! |---|---|
//! | [`standalone`] | producer, consumer and dashboard in one process: starts and stops them in order |
//! | [`config`] | the settings of all of them |
//! | [`topology`] | the roles as processes of their own, with an engine between them |
//! | [`testing`] | the same inside a Rust test |
//! | [`client`] | asks a running one |
//! | [`cli`] | the command line, `run` and the other commands |
//! | [`demo`], [`mod@bench`] | two of the commands: traffic to look at, traffic to measure |
//! | [`workload`], [`otlp_client`] | the traffic of a made-up shop, and how an SDK would send it |

pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod otlp_client;
pub mod standalone;
pub mod testing;
mod text;
pub mod topology;
mod tree;
pub mod workload;

pub use config::Config;
pub use standalone::Standalone;
