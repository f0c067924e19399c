//! A log of envelopes on the disk of one machine: durable before the ack, with nothing else to run.
//!
//! All partitions share one journal. Everything that waits to be published is written as one group with one fsync, and
//! only then acked and shown to readers. The journal consists of segment files of one size that were filled with zeros
//! before they are used, and are used again: writing needs no new blocks of the file system, and an fsync is cheap.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` | where it is and what its limits are |
//! | `transport.rs` | the contract: who waits for what, and how it ends |
//! | `subscription.rs` | a reader and its position |
//! | `log.rs` | what is known in memory: segments, ends, groups, what may leave. Plain data |
//! | `ring.rs` | the newest envelopes, for readers that keep up |
//! | `recent.rs` | which batches were stored lately |
//! | `queue.rs`, `admission.rs` | what waits, and what goes into the next group |
//! | `writer.rs` | the thread that writes and makes durable |
//! | `keeper.rs` | the thread that prepares, writes beside, and removes |
//! | `frame.rs`, `base.rs`, `segment.rs`, `index.rs` | what stands in the files, each with its layout |
//! | `small.rs`, `manifest.rs`, `cursors.rs` | the small files, likewise |
//! | `group.rs`, `scan.rs` | writes and reads frames |
//! | `opening.rs`, `recovery.rs` | takes a directory over and finds out what is valid in it |
//! | `check.rs` | looks at a journal that nobody has open |
//! | `files.rs`, `names.rs` | what is asked of a file system, and what the files are called |
//! | `shared.rs` | what the threads share |
//! | `error.rs` | what can go wrong, and which decision of the caller it is |
//!
//! # The directory
//!
//! | name | what | when it is lost |
//! |---|---|---|
//! | `manifest` | what the log is | it cannot be opened |
//! | `00000000000000000001.segment` | envelopes | they are lost, and that is noticed |
//! | `00000000000000000001.index` | where they are | it is made again |
//! | `cursors` | what the groups have committed | they start anew |
//! | `recent` | which batches were stored lately | as many are remembered as are in the segments |
//! | `lock` | who has it open | it is made again |
//! | `spare`, `building`, `ballast`, `*.tmp` | nothing | it is made again |
//!
//! Removing the whole directory makes a new log, with a new id.
//!
//! # When something goes wrong
//!
//! - **The process or the machine crashes.** What was acked is there when it is opened again. A group that was not
//!   finished is there as a whole or not at all.
//! - **A write or an fsync fails.** Nobody can know what is on the disk then. Those who were being served are told so,
//!   nothing is written any more, and the journal has to be opened again, which trusts nothing that only the memory of
//!   the system knows.
//! - **Bytes change on the disk.** Every read verifies checksums. Reading says `Corrupt`; opening is refused, with the
//!   file and the byte.
//! - **The disk is full.** Publishes are refused as full, before the last room is gone; reading and committing go on.
//! - **The journal is full.** What every group of a partition has committed leaves as soon as the segment that it is in
//!   is full, unless it is to be kept. If nothing may leave, a publish waits until its deadline. With
//!   [`WhenFull::DropOldest`] the oldest segments leave whoever still wants them, and a reader that did sees `Evicted`.

mod admission;
mod base;
mod check;
mod config;
mod cursors;
mod error;
pub mod files;
mod frame;
mod group;
mod index;
mod keeper;
mod log;
mod manifest;
mod names;
mod opening;
mod queue;
mod recent;
mod recovery;
mod ring;
mod scan;
mod segment;
mod shared;
mod small;
mod subscription;
mod transport;
mod writer;

pub use check::{CheckError, CheckReport, PartitionReport, check, check_with};
pub use config::{Config, WhenFull};
pub use error::Damage;
pub use transport::DiskTransport;
