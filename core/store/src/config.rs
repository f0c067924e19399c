//! The limits of a store.

use serde::{Deserialize, Serialize};

use crate::rollup;

/// The limits of a [`crate::Store`], each for the life of the store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of memory that spans may take, everything that belongs to them included (256 MiB). The oldest chunks
    /// leave before it is exceeded. A store with a directory goes by `flush_bytes_max` instead.
    pub spans_bytes_max: u64,
    /// Bytes of memory that log records may take, likewise (256 MiB).
    pub logs_bytes_max: u64,
    /// Rows of a chunk (8,192), and of a piece of a block at most. A smaller chunk makes a search right after an apply
    /// cheaper and every other search dearer. At most 1,048,576.
    pub chunk_rows_max: u32,
    /// Bytes of the values in a chunk (8 MiB), the unit of eviction. From 64 KiB to 256 MiB, and at most a sixteenth of
    /// both limits.
    pub chunk_bytes_max: u64,
    /// Bytes that one answer may take for counting: the cells of a histogram, the distinct values of facets, the traces
    /// of a search (64 MiB). An answer that would need more is partial, and says so.
    pub answer_bytes_max: u64,
    /// Threads that read for questions at the same time, over all of them (0: one for each core). Beside the caller's own,
    /// a question that has much to read gets some for as long as it lasts. At most 256.
    pub scan_threads: u32,
    /// Bytes that may be kept of what was read of blocks on disk: their footers, filters, resources (64 MiB). At least
    /// 1 MiB. A store in memory only has none.
    pub cache_bytes_max: u64,
    /// Rows of one table in memory that are enough to write them to disk (131,072). This and what follows is about a
    /// store with a directory; one in memory only does not look at it.
    pub flush_rows_max: u64,
    /// Bytes of memory of the rows of both tables that are enough to write them to disk (48 MiB). Memory is bounded by
    /// this times one more than `generations_max`, and one delivery.
    pub flush_bytes_max: u64,
    /// The longest that a row stays in memory only, in milliseconds (60,000): what was applied and not yet written is
    /// read from the log again after a crash, and the log cannot let go of it.
    pub flush_age_max_ms: u64,
    /// Generations, which are the rows that are written to disk together, that may wait to be written (2); a seal waits
    /// beyond that.
    pub generations_max: u32,
    /// Rows of a block that is made by merging smaller ones (262,144). One with at least half of it is left as it is: with
    /// the defaults, what a flush of `flush_rows_max` writes is never rewritten. Larger blocks are a little smaller for
    /// each record, and each record is then written twice.
    pub block_rows_max: u64,
    /// Bytes on disk of a block that is made by merging, likewise (64 MiB). A merge holds so many bytes in memory.
    pub block_bytes_max: u64,
    /// Series of the rollups of a block (4,096): services, operations, kinds and statuses that occur together. Those beyond
    /// are counted as "(other)". At most 1,048,576.
    pub rollup_series_max: u32,
    /// Calls of a block that are kept one by one because their other end is in another block, of either end (8,192).
    /// What is more is counted with an unknown caller. At most 1,048,576.
    pub rollup_links_max: u32,
    /// How long records are kept, in milliseconds (604,800,000: 7 days). A block leaves as a whole, once its newest
    /// record is older; of records that claim to be of the future counts when they arrived.
    pub retention_age_max_ms: u64,
    /// Bytes on disk of the blocks of both tables (20 GiB). What arrived first leaves first.
    pub retention_bytes_max: u64,
    /// Bytes of the file system that are to stay free (1 GiB). Below that it is said so, and the oldest blocks leave
    /// early, down to 256 MiB of them.
    pub disk_reserve_bytes: u64,
    /// Batches of each partition that are remembered as applied (100,000). The owner of the store sets it, not a file.
    #[serde(skip)]
    pub seen_batches_max: u64,
    /// Bytes of what was set aside that are kept (16 MiB); the oldest leave. The owner of the store sets it, not a file.
    #[serde(skip)]
    pub set_aside_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            spans_bytes_max: 256 << 20,
            logs_bytes_max: 256 << 20,
            chunk_rows_max: 8192,
            chunk_bytes_max: 8 << 20,
            answer_bytes_max: 64 << 20,
            scan_threads: 0,
            cache_bytes_max: 64 << 20,
            flush_rows_max: 131_072,
            flush_bytes_max: 48 << 20,
            flush_age_max_ms: 60_000,
            generations_max: 2,
            block_rows_max: 262_144,
            block_bytes_max: 64 << 20,
            rollup_series_max: 4096,
            rollup_links_max: 8_192,
            retention_age_max_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes_max: 20 << 30,
            disk_reserve_bytes: 1 << 30,
            seen_batches_max: 100_000,
            set_aside_bytes_max: 16 << 20,
        }
    }
}

/// Why a [`Config`] cannot be used; names the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}: {expected}")]
pub struct ConfigError {
    /// The key at fault.
    pub key: &'static str,
    /// Its value.
    pub value: u64,
    /// What would be right.
    pub expected: String,
}

/// Rows are numbered in 32 bits, and so are the bytes of a column: these keep a chunk far below both.
const CHUNK_ROWS_CEILING: u32 = 1 << 20;
const CHUNK_BYTES_CEILING: u64 = 256 << 20;

/// Below this, a chunk is more overhead than rows.
const CHUNK_BYTES_FLOOR: u64 = 64 << 10;

/// Rows of a block are numbered in 32 bits.
const FLUSH_ROWS_CEILING: u64 = 1 << 24;
const BLOCK_ROWS_CEILING: u64 = 1 << 24;

/// What a rollup counts is numbered in 32 bits, and its bounds are multiplied.
const ROLLUP_CEILING: u64 = 1 << 20;

/// How many chunks a limit must have room for, so that what is evicted at once is a small part of what is kept.
const CHUNKS_MIN: u64 = 16;

impl Config {
    /// Checks that the limits can be kept.
    ///
    /// # Errors
    /// The first key that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |key, value, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            let expected = format!("expected {low} to {high}");
            Err(ConfigError {
                key,
                value,
                expected,
            })
        };
        let rows = u64::from(self.chunk_rows_max);
        check("chunk_rows_max", rows, 1, u64::from(CHUNK_ROWS_CEILING))?;
        check(
            "chunk_bytes_max",
            self.chunk_bytes_max,
            CHUNK_BYTES_FLOOR,
            CHUNK_BYTES_CEILING,
        )?;
        let low = self.chunk_bytes_max * CHUNKS_MIN;
        check("spans_bytes_max", self.spans_bytes_max, low, u64::MAX)?;
        check("logs_bytes_max", self.logs_bytes_max, low, u64::MAX)?;
        check("answer_bytes_max", self.answer_bytes_max, 1 << 20, u64::MAX)?;
        check("scan_threads", self.scan_threads.into(), 0, 256)?;
        check("cache_bytes_max", self.cache_bytes_max, 1 << 20, u64::MAX)?;
        check("flush_rows_max", self.flush_rows_max, 1, FLUSH_ROWS_CEILING)?;
        check("flush_bytes_max", self.flush_bytes_max, 1 << 10, 4 << 30)?;
        check("flush_age_max_ms", self.flush_age_max_ms, 1, u64::MAX)?;
        let generations = u64::from(self.generations_max);
        check("generations_max", generations, 1, 64)?;
        check("block_rows_max", self.block_rows_max, 2, BLOCK_ROWS_CEILING)?;
        check("block_bytes_max", self.block_bytes_max, 1 << 10, 1 << 30)?;
        let rollups = [
            ("rollup_series_max", self.rollup_series_max),
            ("rollup_links_max", self.rollup_links_max),
        ];
        for (key, value) in rollups {
            check(key, u64::from(value), 1, ROLLUP_CEILING)?;
        }
        check(
            "retention_age_max_ms",
            self.retention_age_max_ms,
            1,
            u64::MAX,
        )?;
        check("retention_bytes_max", self.retention_bytes_max, 1, u64::MAX)
    }

    pub(crate) fn rollup_settings(&self) -> rollup::Settings {
        rollup::Settings {
            series_max: self.rollup_series_max,
            links_max: self.rollup_links_max,
            with_edges: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn a_limit_without_room_for_chunks_is_refused_by_name() {
        let config = Config {
            logs_bytes_max: 1 << 20,
            ..Config::default()
        };
        let error = config.validate().unwrap_err();
        assert_eq!(error.key, "logs_bytes_max");
        assert!(
            error.to_string().contains("expected 134217728 to"),
            "{error}"
        );
    }

    #[test]
    fn a_chunk_of_no_rows_is_refused() {
        let config = Config {
            chunk_rows_max: 0,
            ..Config::default()
        };
        assert_eq!(config.validate().unwrap_err().key, "chunk_rows_max");
    }
}
