//! x
mod clock;
#[cfg(feature = "cluster")]
pub mod cluster;
mod config;
mod error;
mod job;
mod ledger;
mod link;
mod reader;
mod record;
mod state;
mod subscription;
mod topic;
mod transport;
mod troubles;
mod wire;
mod writer;
pub use config::{Config, Tls};
pub use transport::FluvioTransport;
