//! The store: two tables, and the questions that can be asked of them.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use log_tracer_record::{LogRow, SpanRow, TraceId};
use prost::Message;

use crate::{
    Config, ConfigError, FacetSpec, Facets, Histogram, HistogramError, HistogramSpec, LogResults,
    LogSearch, Mark, Operations, Origin, Restored, Services, Signal, SpanResults, SpanSearch, Stop,
    Trace, TraceLimits, TraceResults, TraceSearch,
    block::{BlockCache, BlockId, Options},
    chunk::{LogChunk, SpanChunk},
    search,
    table::Table,
};

/// Recent spans and log records in memory, for any number of threads. An apply and a search wait for one another only
/// while rows are appended or a snapshot is taken; a search then reads without a lock, and sees the rows of one moment.
/// While it runs, it keeps its rows in memory even if they are evicted meanwhile.
#[derive(Debug)]
pub struct Store {
    spans: Table<SpanChunk>,
    logs: Table<LogChunk>,
    answer_bytes_max: u64,
    /// Where its blocks are; none for one that is in memory only.
    directory: Option<PathBuf>,
    next_block: AtomicU64,
    piece_rows_max: usize,
    cache: Arc<BlockCache>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Of spans.
    pub spans: TableStats,
    /// Of log records.
    pub logs: TableStats,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Rows that are kept.
    pub rows: u64,
    /// Bytes of memory that they take.
    pub bytes: u64,
    /// Bytes of memory that they may take.
    pub bytes_max: u64,
    /// The earliest time of a row, nanoseconds since 1970-01-01T00:00:00Z; none without rows.
    pub oldest_unix_nano: Option<u64>,
    /// The latest time of a row.
    pub newest_unix_nano: Option<u64>,
    /// Rows applied since the store was made.
    pub applied_rows: u64,
    /// Rows that left since the store was made, because the limit was reached or because a row alone took more than an
    /// eighth of it.
    pub evicted_rows: u64,
    /// Reads of blocks that failed since the store was opened: [`Store::last_read_error`].
    pub failed_reads: u64,
}

impl Store {
    /// Makes an empty store.
    ///
    /// # Errors
    /// A limit is out of range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            spans: Table::new("spans", config.spans_bytes_max, &config),
            logs: Table::new("log records", config.logs_bytes_max, &config),
            answer_bytes_max: config.answer_bytes_max,
            directory: None,
            next_block: AtomicU64::new(0),
            piece_rows_max: config.chunk_rows_max as usize,
            cache: BlockCache::new(config.cache_bytes_max),
        })
    }

    /// Opens the store in a directory, which is made when it is not there. Answers where its consumer goes on.
    ///
    /// # Errors
    /// What stands in the directory cannot be used.
    pub fn open(config: Config, directory: &Path) -> Result<(Self, Restored), OpenError> {
        let mut store = Self::new(config)?;
        store.directory = Some(directory.to_owned());
        Ok((store, Restored::default()))
    }

    /// Hands the rows that were applied over to be written, with what has to become durable with them.
    pub fn seal(&self, _mark: Mark) {
        let Some(directory) = &self.directory else {
            return;
        };
        let id = || BlockId(self.next_block.fetch_add(1, Ordering::Relaxed));
        let mut options = Options::new(&self.cache);
        options.settings.piece_rows = options.settings.piece_rows.min(self.piece_rows_max);
        let _ = self.spans.flush(directory, id(), 0, &options);
        let _ = self.logs.flush(directory, id(), 0, &options);
    }

    #[cfg(test)]
    pub(crate) fn snapshots(
        &self,
    ) -> (
        crate::table::Snapshot<SpanChunk>,
        crate::table::Snapshot<LogChunk>,
    ) {
        (self.spans.snapshot(), self.logs.snapshot())
    }

    /// Adds the spans of one envelope, in their order. A search that starts when it has returned finds them. The caller
    /// sees to it that an envelope is applied once.
    pub fn apply_spans(&self, origin: Origin, rows: &[SpanRow]) {
        self.spans.apply(origin, rows, SpanRow::start_unix_nano);
    }

    /// Adds the log records of one envelope, likewise.
    pub fn apply_logs(&self, origin: Origin, rows: &[LogRow]) {
        self.logs.apply(origin, rows, LogRow::time_unix_nano);
    }

    /// One trace with its logs; empty when there is no record of it.
    pub fn trace(&self, id: TraceId, limits: TraceLimits, stop: &Stop) -> Trace {
        let (spans, logs) = (self.spans.snapshot(), self.logs.snapshot());
        search::find_trace(&spans, &logs, id, limits, stop)
    }

    /// Traces with a span that matches.
    pub fn search_traces(&self, search: &TraceSearch, stop: &Stop) -> TraceResults {
        let (spans, logs) = (self.spans.snapshot(), self.logs.snapshot());
        search::search_traces(&spans, &logs, search, self.answer_bytes_max, stop)
    }

    /// Spans that match.
    pub fn search_spans(&self, search: &SpanSearch, stop: &Stop) -> SpanResults {
        let encoded_len = |row: &SpanRow| row.span.encoded_len();
        search::search_records(
            &self.spans.snapshot(),
            search,
            self.answer_bytes_max,
            encoded_len,
            stop,
        )
    }

    /// Log records that match.
    pub fn search_logs(&self, search: &LogSearch, stop: &Stop) -> LogResults {
        let encoded_len = |row: &LogRow| row.record.encoded_len();
        search::search_records(
            &self.logs.snapshot(),
            search,
            self.answer_bytes_max,
            encoded_len,
            stop,
        )
    }

    /// Counts over time.
    ///
    /// # Errors
    /// The steps cannot be made as they were asked for.
    pub fn histogram(
        &self,
        spec: &HistogramSpec,
        stop: &Stop,
    ) -> Result<Histogram, HistogramError> {
        match spec.signal {
            Signal::Spans => {
                search::count_over_time(&self.spans.snapshot(), spec, self.answer_bytes_max, stop)
            }
            Signal::Logs => {
                search::count_over_time(&self.logs.snapshot(), spec, self.answer_bytes_max, stop)
            }
        }
    }

    /// The most frequent values of fields.
    pub fn facets(&self, spec: &FacetSpec, stop: &Stop) -> Facets {
        match spec.signal {
            Signal::Spans => {
                search::count_values(&self.spans.snapshot(), spec, self.answer_bytes_max, stop)
            }
            Signal::Logs => {
                search::count_values(&self.logs.snapshot(), spec, self.answer_bytes_max, stop)
            }
        }
    }

    /// Every service that sent a record that is still kept. Looks at no row.
    pub fn services(&self, stop: &Stop) -> Services {
        search::list_services(&self.spans.snapshot(), &self.logs.snapshot(), stop)
    }

    /// The operations of one service, or of all; at most `limit`, those with the most spans. Looks at no row.
    pub fn operations(&self, service: Option<&str>, limit: usize, stop: &Stop) -> Operations {
        search::list_operations(&self.spans.snapshot(), service, limit, stop)
    }

    /// Why a block could not be read the last time that one could not, with the file named; none when all reads went
    /// well since the store was opened.
    pub fn last_read_error(&self) -> Option<String> {
        self.spans.last_fault().or_else(|| self.logs.last_fault())
    }

    /// What it holds; costs next to nothing.
    pub fn stats(&self) -> Stats {
        Stats {
            spans: self.spans.stats(),
            logs: self.logs.stats(),
        }
    }
}
