//! What the engine does, in numbers.

use std::collections::HashSet;

use super::{Engine, Tables, catalog::MarkCounts};
use crate::block::BlockId;

/// What a store with a directory does, beside what [`crate::TableStats`] tells of each table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurableStats {
    /// Generations that wait to be written, the one that is being written included.
    pub generations_waiting: u64,
    /// Generations that were written since the store was opened.
    pub flushes: u64,
    /// When the last one was; nanoseconds since 1970-01-01T00:00:00Z.
    pub last_flush_unix_nano: Option<u64>,
    /// Flushes that failed since the store was opened.
    pub failed_flushes: u64,
    /// Why nothing is written at the moment; none when all is well. Names the file.
    pub failing: Option<String>,
    /// The last thing that failed and did not keep rows from being written: a merge, a deletion.
    pub last_error: Option<String>,
    /// Merges of blocks since the store was opened.
    pub compactions: u64,
    /// Bytes on disk of all blocks.
    pub disk_bytes: u64,
    /// Bytes on disk that they may take.
    pub disk_bytes_max: u64,
    /// How long records are kept, in milliseconds.
    pub retention_age_max_ms: u64,
    /// Bytes that are free in the file system; none when it does not tell.
    pub disk_free_bytes: Option<u64>,
    /// Bytes that are to stay free. Less than this is free: the disk is nearly full.
    pub disk_reserve_bytes: u64,
    /// Batches that are remembered as applied.
    pub seen_batches: u64,
    /// Envelopes that were set aside and are kept.
    pub set_aside: u64,
    /// Their bytes.
    pub set_aside_bytes: u64,
    /// Files that were deleted when the store was opened: what a flush or a merge left that did not come to its end.
    pub deleted_files: u64,
    /// Blocks that could not be opened, in words; what stands in them is missing from every answer.
    pub unreadable: Vec<String>,
}

/// What is counted since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) flushes: u64,
    pub(super) failed_flushes: u64,
    pub(super) last_flush_unix_nano: Option<u64>,
    pub(super) compactions: u64,
    pub(super) strays: u64,
    pub(super) maintain_error: Option<String>,
    pub(super) disk_free_bytes: Option<u64>,
    pub(super) marks: MarkCounts,
    /// Blocks that are corrupt, which no merge may touch.
    pub(super) unmergeable: HashSet<BlockId>,
}

impl Counts {
    pub(super) fn flushed(&mut self, now: u64) {
        self.flushes += 1;
        self.last_flush_unix_nano = Some(now);
    }

    pub(super) fn flush_failed(&mut self) {
        self.failed_flushes += 1;
    }
}

impl Engine {
    pub(crate) fn stats(&self, tables: Tables<'_>) -> DurableStats {
        let (generations_waiting, failing) = self.queue.status();
        let counts = self.counts();
        let (spans, logs) = (tables.spans.stats(), tables.logs.stats());
        let mut unreadable = tables.spans.unreadable();
        unreadable.extend(tables.logs.unreadable());
        DurableStats {
            generations_waiting,
            flushes: counts.flushes,
            last_flush_unix_nano: counts.last_flush_unix_nano,
            failed_flushes: counts.failed_flushes,
            failing,
            last_error: counts.maintain_error.clone(),
            compactions: counts.compactions,
            disk_bytes: spans.block_bytes + logs.block_bytes,
            disk_bytes_max: self.config.retention_bytes_max,
            retention_age_max_ms: self.config.retention_age_max_ms,
            disk_free_bytes: counts.disk_free_bytes,
            disk_reserve_bytes: self.config.disk_reserve_bytes,
            seen_batches: counts.marks.seen,
            set_aside: counts.marks.set_aside,
            set_aside_bytes: counts.marks.set_aside_bytes,
            deleted_files: counts.strays,
            unreadable,
        }
    }
}
