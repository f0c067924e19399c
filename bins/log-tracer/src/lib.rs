//! All roles in one process.

pub mod bench;
pub mod demo;
pub mod otlp_client;
pub mod workload;
