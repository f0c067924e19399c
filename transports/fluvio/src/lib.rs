//! A log on a topic of a Fluvio cluster.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` | where the cluster is, and the limits |
//! | `transport.rs` | the contract: what waits for what, closing |
//! | `writer.rs`, `job.rs` | the writer of a partition, and what a publish asks of it |
//! | `reader.rs`, `subscription.rs` | the reader of a partition, and a reader of several |
//! | `ledger.rs`, `state.rs` | the topic beside the topic: which log it is, how far its groups are |
//! | `topic.rs` | topics are made, and checked |
//! | `link.rs`, `wire.rs` | connections to the controller (SC) and the storage units (SPU), each call with a deadline |
//! | `record.rs` | envelopes as Fluvio's records, to the byte |
//! | `troubles.rs` | what does not work at the moment |
//! | `error.rs` | what can go wrong, and which decision of the caller it is |
//! | `cluster.rs` | a cluster of one's own on this machine (feature `cluster`) |
//!
//! # What Fluvio gives, and what not
//!
//! Read in the sources of Fluvio 0.18 (SPU, storage) and seen on a real cluster.
//!
//! | | |
//! |---|---|
//! | an ack means | written to the file of the leader, and with `replication` of 2 and more to those of all copies; nothing is ever synced |
//! | survives the end of a process | yes, ours and theirs |
//! | survives the loss of power | no: what was acked last is in the page cache |
//! | survives the loss of a machine | with `replication` of 2 and more; and then, while one SPU is down, its partitions acknowledge nothing |
//! | a call is atomic | no: only what goes to a partition in one request is |
//! | repeats are recognised | no: the reader has to |
//! | when it is full | the oldest segments leave, by bytes and by age, looked at every ten seconds; commits hold nothing back |
//! | when its disk is full | publishes are refused as full, and after a failed write until the SPU is restarted |
//! | watermarks | exact: the leader is asked |
//!
//! # Why the data does not go through the `fluvio` crate
//!
//! The controller is asked through it. Its producer and its consumer do not fit the contract, and so requests to the
//! SPUs are ours, made of the same crates that it is made of (`fluvio-protocol`, `fluvio-spu-schema`, `fluvio-socket`):
//!
//! - its consumer skips records whenever a response ends inside a batch, and moves on silently where retention has
//!   passed by;
//! - its producer keeps an error until it is cleared, reconnects without end, repeats requests on its own, so that an
//!   order can change, and does not say which outcome is unknown;
//! - its codec copies a record several times, byte by byte.
//!
//! It asks for no more of the protocol than that client does: produce, stream fetch, fetch, fetch offsets, update offsets.
//!
//! # Threads
//!
//! The sockets of these crates live on the threads of `async-global-executor` and `async-io`, which start once in a
//! process and stay. Everything of ours is tasks of the caller's tokio runtime, and ends with [`FluvioTransport`].

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
