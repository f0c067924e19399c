//! A log of envelopes on NATS JetStream: for those who run NATS already, and for more than one machine.
//!
//! Each partition is a stream of its own, an envelope is a message, its offset the message's sequence less one. Servers
//! from 2.10 on are needed.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` | where the servers are, how the log lies on them, and what its limits are |
//! | `transport.rs` | the contract: who waits for what, and how it ends |
//! | `publish.rs` | sends envelopes, many at once and in order, and again until it is known what became of them |
//! | `queue.rs` | how much may be under way |
//! | `subscription.rs`, `reader.rs` | a reader and its partitions |
//! | `source.rs`, `delivered.rs` | what a reader gets from the servers |
//! | `groups.rs` | what the groups have committed |
//! | `streams.rs` | the streams of a log: made, checked, looked at, purged |
//! | `keeper.rs` | looks at the streams now and then |
//! | `link.rs` | the connection: how it is made, lost and made again |
//! | `shared.rs` | what all of them share |
//! | `names.rs` | what streams, subjects and messages are called |
//! | `error.rs` | what can go wrong, and which decision of the caller it is |
//!
//! # Configuration
//!
//! ```toml
//! [transport]
//! kind = "nats"
//! # The addresses of the servers, all of a cluster; "tls://host:4222" where TLS is needed.
//! servers = ["nats://127.0.0.1:4222"]
//! # The name of the log; its streams are NAME-p00 and so on, and NAME-groups.
//! name = "log-tracer"
//! # The JetStream domain that the log is in; empty for that of the servers themselves.
//! domain = ""
//! # Fixed once the log was made.
//! partitions = 1
//! # Servers that each keep a copy: 1, 3 or 5.
//! replicas = 1
//! # What the servers' jetstream section says: "always", "periodic" or "unknown".
//! sync_interval = "unknown"
//! # Bytes of all partitions together on each server that holds a copy.
//! retained_bytes_max = 8589934592
//! # "reject" or "drop-oldest".
//! when_full = "reject"
//! # Percent of its share that a partition may fill before what every group has committed is forgotten.
//! purge_above_percent = 75
//! # Milliseconds within which the servers recognise an envelope that is published again.
//! dedupe_window_ms = 120000
//! # The largest encoded envelope in bytes; the server's max_payload less 512 counts when it is less.
//! envelope_bytes_max = 1048576
//! # Bytes of the publishes under way; more are refused as busy.
//! queue_bytes_max = 67108864
//! # Bytes and envelopes that are sent and not acknowledged at a time.
//! inflight_bytes_max = 16777216
//! inflight_envelopes_max = 512
//! # Bytes that a subscription asks for ahead of its reader, and envelopes in each partition.
//! read_ahead_bytes_max = 8388608
//! read_ahead_envelopes_max = 1024
//! # Milliseconds: to connect, until a request is made again, between signs of life, between attempts to connect,
//! # between looks at the streams.
//! connect_timeout_ms = 5000
//! request_timeout_ms = 5000
//! ping_interval_ms = 2000
//! reconnect_delay_max_ms = 2000
//! look_interval_ms = 2000
//! # TLS: asked for in any case, before the server's greeting, trusted authorities, our certificate and its key.
//! tls_required = false
//! tls_first = false
//! tls_ca_file = ""
//! tls_certificate_file = ""
//! tls_key_file = ""
//! # One way to log in at most. Secrets stand in files, which are read whenever it connects.
//! credentials_file = ""
//! nkey_seed_file = ""
//! token_file = ""
//! user = ""
//! password_file = ""
//! ```
//!
//! # What it promises
//!
//! | | one server | `replicas = 3` |
//! |---|---|---|
//! | a server process is killed | nothing that was acknowledged is lost | likewise, and it goes on |
//! | power is lost | only with `sync_interval: always` in the servers' configuration and here | likewise on every machine that loses it |
//! | a machine is gone for good | its log is | nothing that was acknowledged is lost |
//!
//! A client cannot read `sync_interval`, so that the operator declares it, and what was declared is shown wherever the
//! promise is. The servers' own default is two minutes. With `always` a server syncs every message by itself; large
//! envelopes are then worth more than many.
//!
//! # When something goes wrong
//!
//! - **A connection is lost, a server dies, a leader moves.** Publishes go on by themselves until their deadline, with the
//!   same message ids, and in order (`publish.rs` says why); readers go on where they were. Past its deadline a publish
//!   is `Busy` if nothing was sent, and unknown otherwise.
//! - **An answer does not come.** A connection without a sign of life counts as lost after three times
//!   `ping_interval_ms`; a request is made again after `request_timeout_ms`.
//! - **There is no room.** What every group has committed is forgotten first. Then a publish waits until its deadline and
//!   is `Full`. A group that is gone for good holds everything back; `nats stream purge NAME-groups` forgets all groups, and
//!   those that are there commit again within seconds.
//! - **The streams were deleted and made anew.** The log has failed and has to be opened again; its id is another one.
//! - **An envelope is missing or damaged.** It is read again, and then `Corrupt`; a gap is never passed on. Streams are
//!   made so that no message in the middle can be deleted.

mod config;
mod delivered;
mod error;
mod groups;
mod keeper;
mod link;
mod names;
mod publish;
mod queue;
mod reader;
mod shared;
mod source;
mod streams;
mod subscription;
mod transport;

pub use config::{Config, SyncInterval, WhenFull};
pub use transport::NatsTransport;
