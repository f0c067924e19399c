//! How blocks are written and read.

use std::sync::Arc;

use super::BlockCache;

/// What writing a block needs beside its rows.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The cache that the block will be read with.
    pub(crate) cache: Arc<BlockCache>,
    /// The form of the files; a block that was written with any can be read with any.
    pub(crate) settings: Settings,
}

impl Options {
    pub(crate) fn new(cache: &Arc<BlockCache>) -> Self {
        Self {
            cache: Arc::clone(cache),
            settings: Settings::default(),
        }
    }
}

/// The form of the files of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Rows of a piece at most.
    pub(crate) piece_rows: usize,
    /// Bytes of the values of a piece at most, unless it has one row only.
    pub(crate) piece_bytes: usize,
    /// Rows of a page of a column without a dictionary, and of one with.
    pub(crate) page_rows: usize,
    pub(crate) dictionary_page_rows: usize,
    /// Rows that the Parquet writer looks at before it asks whether a page is full.
    pub(crate) write_batch_rows: usize,
    pub(crate) zstd_level: i32,
    /// Bits of the fingerprints in the filters, 1 to 8.
    pub(crate) filter_bits: u32,
    /// Bytes of the Parquet file that have one checksum.
    pub(crate) extent_bytes: u32,
    /// An attribute that at least one row of so many has is a column of its own.
    pub(crate) promote_one_in: u32,
    /// Columns of attributes at most; the most frequent are chosen.
    pub(crate) attribute_columns_max: usize,
    /// Bytes of the different values of a sample at most for a column to have a dictionary, which every read of a few
    /// rows has to read whole.
    pub(crate) dictionary_bytes_max: u64,
    /// How often a value of such a column stands in the sample at least, on average.
    pub(crate) dictionary_repeats: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            piece_rows: 4096,
            piece_bytes: 32 << 20,
            page_rows: 2048,
            dictionary_page_rows: 8192,
            write_batch_rows: 2048,
            zstd_level: 1,
            filter_bits: 7,
            extent_bytes: 16 << 10,
            promote_one_in: 64,
            attribute_columns_max: 256,
            dictionary_bytes_max: 32 << 10,
            dictionary_repeats: 4,
        }
    }
}
