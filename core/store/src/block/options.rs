//! How blocks are written and read.
//!
//! # Measured
//!
//! 524,288 rows of `benches/store/data.rs`: twelve services at once, sixteen traces of 40 spans interleaved, eleven
//! attributes a span, five of them with nearly as many values as rows; lines of 100 bytes. Written by
//! `cargo bench -p log-tracer-store --bench blocks -- sweep` on two busy cores of a virtual machine, in November 2026:
//! a difference of less than a tenth is noise. Writing is processor time and includes sorting, filters and checksums;
//! reading is the least of 50 runs, in milliseconds.
//!
//! | spans | write s/1M | B/row | of it index | trace of 40 | piece | 3 fields | pieces for one order |
//! |---|---|---|---|---|---|---|---|
//! | the default | 2.4 | 48.6 | 6.6 | 0.74 | 2.4 | 0.24 | 1 of 128 |
//! | pieces of 2,048 rows | 2.4 | 48.9 | 6.8 | 0.74 | 1.3 | 0.17 | 3 of 256 |
//! | pieces of 8,192 rows | 2.4 | 48.2 | 6.2 | 0.73 | 4.2 | 0.45 | 1 of 64 |
//! | pages of 1,024 rows | 2.5 | 49.6 | 6.6 | 0.65 | 2.5 | 0.25 | |
//! | pages of 4,096 rows | 2.4 | 48.0 | 6.6 | 0.95 | 2.3 | 0.23 | |
//! | dictionary pages of 4,096 or 16,384 rows | 2.5 | 48.7 | 6.6 | 0.75 | 2.3 | 0.24 | |
//! | dictionaries of 16 or 128 KiB | 2.4 | 48.6 | 6.6 | 0.8 | 2.4 | 0.24 | |
//! | Zstandard level 3 | 2.6 | 48.7 | 6.6 | 0.73 | 2.3 | 0.23 | |
//! | filters of 4 bits | 2.5 | 46.6 | 4.5 | | | | 7 of 128 |
//! | filters of 8 bits | 2.4 | 49.3 | 7.2 | | | | 1 of 128 |
//! | extents of 4 KiB | 2.5 | 48.7 | 6.6 | 0.68 | 2.2 | 0.23 | |
//! | extents of 64 KiB | 2.5 | 48.6 | 6.5 | 0.94 | 2.5 | 0.28 | |
//!
//! | log records | write s/1M | B/row | of it index | 20 neighbours | piece | its texts | pieces for a rare word |
//! |---|---|---|---|---|---|---|---|
//! | the default | 1.9 | 46.7 | 4.5 | 0.52 | 1.3 | 0.78 | 1 of 128 |
//! | pieces of 2,048 rows | 2.0 | 47.1 | 4.9 | 0.51 | 0.74 | 0.42 | 2 of 256 |
//! | pieces of 8,192 rows | 1.9 | 46.4 | 4.2 | 0.52 | 2.5 | 1.5 | 1 of 64 |
//! | pages of 1,024 rows | 2.0 | 47.2 | 4.5 | 0.39 | 1.5 | 0.85 | |
//! | pages of 4,096 rows | 1.9 | 45.7 | 4.5 | 0.73 | 1.2 | 0.73 | |
//! | Zstandard level 3 | 2.1 | 45.1 | 4.5 | 0.47 | 1.2 | 0.72 | |
//! | filters of 4 bits | 2.0 | 45.6 | 3.3 | | | | 7 of 128 |
//! | filters of 8 bits | 2.0 | 47.1 | 4.9 | | | | 1 of 128 |
//!
//! Of a span, the two ids take 13 bytes, a random session id of 16 digits takes 8. Of the index, the traces take 1.7 bytes
//! a row and the filters the rest. The checksums of extents stay in memory: with extents of 4 KiB they would be a
//! thousandth of the disk.

use std::sync::Arc;

use super::BlockCache;
use crate::rollup;

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
    /// Of the bodies of log records, which gain more by a higher level than anything else.
    pub(crate) body_zstd_level: i32,
    /// Of 2^n needles that a block does not have, about one is affirmed of a piece, which is then read in vain; 1 to 6.
    pub(crate) needle_check_bits: u32,
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
    /// The bounds of its rollups.
    pub(crate) rollup: rollup::Settings,
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
            body_zstd_level: 2,
            needle_check_bits: 6,
            extent_bytes: 16 << 10,
            promote_one_in: 64,
            attribute_columns_max: 256,
            dictionary_bytes_max: 32 << 10,
            dictionary_repeats: 4,
            rollup: rollup::Settings::default(),
        }
    }
}
