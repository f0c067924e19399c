//! The producer as its clients see it: real sockets, real clients, and those who do not play by the rules.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod bad_input;
mod concurrency;
mod connections;
mod cors;
mod grpc;
mod http;
mod json;
mod lifecycle;
mod limits;
mod log_service;
mod rules;
mod status;
mod support;
mod transport_errors;
mod wrong_port;
