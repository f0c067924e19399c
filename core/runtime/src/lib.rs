//! What every process of log-tracer needs before and after its roles run: configuration, logging, listening sockets,
//! shutdown and exit codes.
//!
//! The crate knows none of ours. It reads TOML and nothing else: the environment and the command line reach it as
//! values, from the binaries, so that a test can pass its own and two configurations can live in one process.
//!
//! - [`config`]: defaults < file < environment < flags, strict, with the place of every mistake.
//! - [`mod@env`]: what the environment of the process says.
//! - [`logging`]: slog to a terminal or as JSON, with the records of libraries bridged in.
//! - [`listen`]: binds a socket, or says which address of which key is taken and what to do.
//! - [`shutdown`]: the first signal asks, the second insists.
//! - [`exit`], [`failure`]: what the process tells the shell, and the user.
//! - [`mod@role`]: all of these together, for a process that runs one role.
//! - [`alive`]: asks such a process whether it serves.
//! - [`crypto`]: the one provider of cryptography for TLS.

pub mod alive;
pub mod config;
pub mod crypto;
pub mod env;
pub mod exit;
pub mod failure;
pub mod listen;
pub mod logging;
pub mod role;
pub mod shutdown;
