//! A log of envelopes in the memory of one process: for tests, for the in-memory mode, and as the plainest example of
//! [`log_tracer_transport::Transport`].
//!
//! It is no easier than the others on those who use it: it keeps *encoded* envelopes and decodes them for every reader,
//! its memory is bounded in bytes, it refuses with the same errors, and it passes the same suite.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` | the limits |
//! | `transport.rs` | the contract: waiting for room, closing |
//! | `subscription.rs` | a reader and its position |
//! | `log.rs` | partitions, eviction, groups: plain data, no waiting |
//! | `recent.rs` | which batches were stored lately |
//! | `error.rs` | what can go wrong, and which decision of the caller it is |
//!
//! # When it is full
//!
//! What every group of a partition has committed may leave, the oldest first, and leaves only when room is needed: a
//! reader can go back as far as memory allows. A partition that no group has committed anything for keeps everything.
//! If nothing may leave, a publish waits until its deadline. With [`WhenFull::DropOldest`] the oldest envelopes leave
//! whoever still wants them, and a reader that did sees `Evicted`.

mod config;
mod error;
mod log;
mod recent;
mod subscription;
mod transport;

pub use config::{Config, WhenFull};
pub use transport::ChannelTransport;
