//! How blocks are written and read.
//!
//! # Measured
//!
//! 131,072 rows of `benches/store/data.rs`, a full flush: twelve services at once, sixteen traces of 40 spans interleaved,
//! eleven attributes a span, five of them with nearly as many values as rows; lines of 100 bytes. Written by
//! `cargo bench -p log-tracer-store --bench blocks -- sweep` on two cores of a virtual machine that others kept busy, in
//! November 2026: a difference of less than a tenth is noise, and all times are too long. Writing is processor time and
//! includes sorting, needles and checksums; reading is the least of 50 runs, in milliseconds.
//!
//! | spans | write s/1M | B/row | of it index | trace of 40 | piece | 3 fields |
//! |---|---|---|---|---|---|---|
//! | the default | 2.9-3.3 | 51.0 | 8.8 | 0.76 | 2.7 | 0.28 |
//! | pieces of 2,048 rows | 3.1 | 51.8 | 9.6 | 0.74 | 1.5 | 0.22 |
//! | pieces of 8,192 rows | 3.0 | 50.2 | 8.0 | 0.75 | 4.9 | 0.46 |
//! | pages of 1,024 rows | 3.1 | 52.0 | 8.8 | 0.73 | 2.9 | 0.27 |
//! | pages of 4,096 rows | 2.9 | 50.5 | 8.8 | 0.90 | 2.4 | 0.27 |
//! | dictionary pages of 4,096 or 16,384 rows | 2.9 | 51.1 | 8.8 | 0.78 | 2.8 | 0.27 |
//! | dictionaries of 16 or 128 KiB | 3.1 | 51.0 | 8.8 | 0.76 | 2.9 | 0.27 |
//! | 5 check bits | 2.9 | 50.4 | 8.2 | | | |
//!
//! | log records | write s/1M | B/row | of it index | 20 neighbours | piece | its texts |
//! |---|---|---|---|---|---|---|
//! | the default | 2.4 | 45.4 | 5.3 | 0.42 | 1.2 | 0.77 |
//! | delays until observed with Zstandard, not as deltas, as in all that follows | 2.3 | 46.1 | 5.3 | 0.46 | 1.3 | 0.78 |
//! | pieces of 2,048 rows | 2.4 | 46.5 | 5.7 | 0.46 | 0.76 | 0.41 |
//! | pieces of 8,192 rows | 2.2 | 45.6 | 4.8 | 0.47 | 2.6 | 1.5 |
//! | pages of 1,024 rows | 2.4 | 48.2 | 5.3 | 0.38 | 1.5 | 0.94 |
//! | pages of 4,096 rows | 2.2 | 47.4 | 5.3 | 0.75 | 1.3 | 0.79 |
//! | bodies with Zstandard level 1 | 2.2 | 47.6 | 5.3 | 0.51 | 1.4 | 0.81 |
//! | bodies with Zstandard level 3 | 2.5 | 46.3 | 5.3 | 0.46 | 1.3 | 0.78 |
//! | 5 check bits | 2.3 | 45.8 | 5.0 | | | |
//!
//! Of a log record, the body takes 23 bytes, the id of its span 8, the needles 3.5, a user id of 50,000 3.5, the delay until
//! it was observed 2.7 (up to a millisecond, at random; with Zstandard 3.4), its trace 1.8 in the index.
//! Of a span, the two ids take 13 bytes, a random session id of 16 digits takes 8. Of the index, the traces take 1.7 bytes
//! a row and the needles the rest: some 2.4 a log record and 4.3 a span, at the bits of a place and the check bits, and a
//! quarter more. Before there was one map of needles for a block, filters of 7 bits for each piece took 4.8 bytes a span
//! and 2.7 a log record. A word that no record has was then looked for in vain in one of 128 pieces; with five check bits
//! it is in one of about 31 blocks, with six in one of 62, of 32 pieces each. Every such piece costs about a millisecond.
//! Of a log record of the bench's shop, 400,000 of them with about two of a trace in a block, 42.5 bytes: the index has
//! 9.9 (16 for the id of each trace, and which rows it has), the id of the span 8.0, that of the trace 7.6, the body 5.5, the
//! time 3.4, the index in its envelope 1.3, all else 6.8. With errors, start and end of each trace the index had 14.4.
//! The checksums of extents stay in memory: with extents of 4 KiB they would be a thousandth of the disk.

use std::sync::Arc;

use super::BlockCache;
use crate::rollup;

/// Rows of a page, unless settings say otherwise: what is read of a column without a dictionary is read by so many.
pub(crate) const PAGE_ROWS: usize = 2048;

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
            page_rows: PAGE_ROWS,
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
