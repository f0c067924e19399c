//! Blocks for benchmarks, and for tests that open the files with other tools. No part of the interface of the store.

use std::{path::Path, sync::Arc};

use log_tracer_query::Query;
use log_tracer_record::{LogRow, SpanRow};

use super::{Arrival, Block, BlockCache, BlockId, Columns, Options, Settings, merge, write};
use crate::{
    Origin, Stop,
    chunk::{Chunk, ChunkBuilder, LogChunk, SpanChunk},
};

/// What can be tried out; see `Settings`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Tuning {
    pub piece_rows: usize,
    pub page_rows: usize,
    pub dictionary_page_rows: usize,
    pub zstd_level: i32,
    pub body_zstd_level: i32,
    pub needle_check_bits: u32,
    pub extent_bytes: u32,
    pub dictionary_bytes_max: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            piece_rows: settings.piece_rows,
            page_rows: settings.page_rows,
            dictionary_page_rows: settings.dictionary_page_rows,
            zstd_level: settings.zstd_level,
            body_zstd_level: settings.body_zstd_level,
            needle_check_bits: settings.needle_check_bits,
            extent_bytes: settings.extent_bytes,
            dictionary_bytes_max: settings.dictionary_bytes_max,
        }
    }
}

impl Tuning {
    fn options(&self) -> Options {
        const CACHE_BYTES: u64 = 64 << 20;
        let mut options = Options::new(&BlockCache::new(CACHE_BYTES));
        options.settings = Settings {
            piece_rows: self.piece_rows,
            page_rows: self.page_rows,
            dictionary_page_rows: self.dictionary_page_rows,
            zstd_level: self.zstd_level,
            body_zstd_level: self.body_zstd_level,
            needle_check_bits: self.needle_check_bits,
            extent_bytes: self.extent_bytes,
            dictionary_bytes_max: self.dictionary_bytes_max,
            ..options.settings
        };
        options
    }
}

macro_rules! bench_table {
    ($rows:ident, $block:ident, $chunk:ty, $row:ty) => {
        /// Rows in memory.
        #[derive(Debug, Default)]
        pub struct $rows {
            chunks: Vec<Arc<$chunk>>,
            open: <$chunk as Chunk>::Builder,
        }

        impl $rows {
            /// Adds the rows of an envelope.
            pub fn add(&mut self, origin: Origin, rows: &[$row]) {
                const CHUNK_ROWS: u32 = 8192;
                for (index, row) in (0..).zip(rows) {
                    self.open.append(origin, index, row);
                }
                self.open.release();
                if self.open.rows() >= CHUNK_ROWS {
                    self.seal();
                }
            }

            /// No row is added any more.
            pub fn seal(&mut self) {
                if self.open.rows() > 0 {
                    self.chunks
                        .push(Arc::new(std::mem::take(&mut self.open).freeze()));
                }
            }

            /// Writes them as a block.
            ///
            /// # Errors
            /// In words.
            pub fn write(
                &self,
                directory: &Path,
                id: u64,
                tuning: &Tuning,
            ) -> Result<$block, String> {
                let (id, arrival) = (BlockId(id), Arrival::default());
                let block = write(directory, id, &self.chunks, arrival, &tuning.options());
                block
                    .map(|block| $block(Arc::new(block)))
                    .map_err(|error| error.to_string())
            }
        }

        /// A block.
        #[derive(Clone, Debug)]
        pub struct $block(Arc<Block<$chunk>>);

        impl $block {
            /// Its rows.
            pub fn rows(&self) -> u64 {
                self.0.info().rows
            }

            /// Bytes of the Parquet file, and of both.
            pub fn bytes(&self) -> (u64, u64) {
                let rows = std::fs::metadata(self.0.rows_path()).map_or(0, |file| file.len());
                (rows, self.0.info().bytes)
            }

            /// Bytes of each column.
            ///
            /// # Errors
            /// In words.
            pub fn columns(&self) -> Result<Vec<(String, u64)>, String> {
                let footer = self.0.verified().and_then(|file| self.0.footer(&file));
                footer
                    .map(|footer| footer.column_bytes())
                    .map_err(|error| error.to_string())
            }

            /// Bytes of each section of the index.
            pub fn sections(&self) -> Vec<(u32, u64)> {
                self.0.section_bytes()
            }

            /// The rows of a trace, read whole; how many there are.
            ///
            /// # Errors
            /// In words.
            pub fn take_trace(&self, id: u128) -> Result<usize, String> {
                let rows = self.0.rows_of_trace(id);
                let chunk = rows.and_then(|rows| self.0.take(&rows, &Columns::all()));
                chunk
                    .map(|chunk| chunk.rows())
                    .map_err(|error| error.to_string())
            }

            /// Some rows read whole.
            ///
            /// # Errors
            /// In words.
            pub fn take(&self, rows: &[u32]) -> Result<usize, String> {
                let chunk = self.0.take(rows, &Columns::all());
                chunk
                    .map(|chunk| chunk.rows())
                    .map_err(|error| error.to_string())
            }

            /// The rows of a piece, with what a query looks at or whole.
            ///
            /// # Errors
            /// In words.
            pub fn read(&self, piece: usize, query: Option<&Query>) -> Result<usize, String> {
                let columns =
                    query.map_or_else(Columns::all, |query| Columns::of_query(&query.needs()));
                let chunk = self.0.read(piece, &columns);
                chunk
                    .map(|chunk| chunk.rows())
                    .map_err(|error| error.to_string())
            }

            /// How many pieces there are.
            pub fn pieces(&self) -> usize {
                self.0.pieces().len()
            }

            /// How many pieces a query leaves.
            ///
            /// # Errors
            /// In words.
            pub fn admitted(&self, query: &Query) -> Result<usize, String> {
                let needs = query.needs();
                let admitted = self.0.admitted(&needs);
                Ok(admitted.map_err(|error| error.to_string())?.iter().count())
            }

            /// All traces; how many there are.
            ///
            /// # Errors
            /// In words.
            pub fn traces(&self) -> Result<usize, String> {
                let traces = self.0.traces();
                traces
                    .map(|traces| traces.len())
                    .map_err(|error| error.to_string())
            }

            /// Merges blocks.
            ///
            /// # Errors
            /// In words.
            pub fn merge(
                directory: &Path,
                id: u64,
                blocks: &[Self],
                tuning: &Tuning,
            ) -> Result<Self, String> {
                let blocks: Vec<_> = blocks.iter().map(|block| Arc::clone(&block.0)).collect();
                let (id, options) = (BlockId(id), tuning.options());
                let merged = merge(directory, id, &blocks, &options, &Stop::never());
                let merged = merged.map_err(|error| error.to_string())?;
                let merged = merged.ok_or_else(|| "it was stopped".to_owned())?;
                Ok(Self(Arc::new(merged)))
            }
        }
    };
}

bench_table!(SpansInMemory, SpanBlock, SpanChunk, SpanRow);
bench_table!(LogsInMemory, LogBlock, LogChunk, LogRow);
