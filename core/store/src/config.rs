//! The limits of a store.

use serde::{Deserialize, Serialize};

/// The limits of a [`crate::Store`], each for the life of the store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of memory that spans may take, everything that belongs to them included (256 MiB). The oldest chunks
    /// leave before it is exceeded.
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
    /// Bytes that may be kept of what was read of blocks on disk: their footers, filters, resources (64 MiB). At least
    /// 1 MiB.
    pub cache_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            spans_bytes_max: 256 << 20,
            logs_bytes_max: 256 << 20,
            chunk_rows_max: 8192,
            chunk_bytes_max: 8 << 20,
            answer_bytes_max: 64 << 20,
            cache_bytes_max: 64 << 20,
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
        check("cache_bytes_max", self.cache_bytes_max, 1 << 20, u64::MAX)
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
