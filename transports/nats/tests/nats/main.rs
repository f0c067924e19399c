//! On real servers: the suite that every transport passes, what is lost on the way, what is killed, what leads elsewhere,
//! and who may come in. `NATS_SERVER` names the program; otherwise it is looked for.
//!
//! `NATS_LOAD_BYTES` is how much goes through a log where much does, 30 million by default.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod catch_up;
mod conformance;
mod crash;
mod faults;
mod load;
mod log;
mod security;
mod support;
