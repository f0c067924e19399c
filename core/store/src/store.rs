//! The store: two tables, and the questions that can be asked of them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use log_tracer_record::{
    LogRow, SpanRow, TraceId,
    wire::{Logs, Request, Spans},
};
use prost::Message;

use crate::{
    Config, ConfigError, DurableStats, FacetSpec, Facets, GraphSpec, Heatmap, HeatmapError,
    HeatmapSpec, Histogram, HistogramError, HistogramSpec, LogResults, LogSearch, LogVolume, Mark,
    OpenError, Operations, Origin, OutlineSpec, Rates, RatesError, RatesSpec, Restored, SealError,
    ServiceGraph, Services, Signal, SpanResults, SpanSearch, Stop, Trace, TraceLimits,
    TraceOutline, TraceResults, TraceSearch, TraceSelection,
    chunk::{LogChunk, SpanChunk},
    engine::{self, Engine, Options, Tables},
    pool::ScanPool,
    rollup,
    search::{self, Asking},
    table::Table,
};

/// Spans and log records, for any number of threads. An apply and a search wait for one another only
/// while rows are appended or a snapshot is taken; a search then reads without a lock, and sees the rows of one moment.
/// While it runs, it keeps its rows in memory even if they are evicted meanwhile.
#[derive(Debug)]
pub struct Store {
    pub(crate) spans: Table<SpanChunk>,
    pub(crate) logs: Table<LogChunk>,
    answer_bytes_max: u64,
    rollup: rollup::Settings,
    pool: ScanPool,
    flush_rows_max: u64,
    flush_bytes_max: u64,
    flush_age_max: Duration,
    /// None when it is in memory only.
    pub(crate) engine: Option<Engine>,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Of spans.
    pub spans: TableStats,
    /// Of log records.
    pub logs: TableStats,
    /// Of what is on disk; none for a store that is in memory only.
    pub durable: Option<DurableStats>,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Rows that are in memory; [`Self::block_rows`] are on disk, and no row is both.
    pub rows: u64,
    /// Bytes of memory that they take.
    pub bytes: u64,
    /// Bytes of memory that they may take, of a store in memory only; else zero, as they leave by becoming blocks.
    pub bytes_max: u64,
    /// The earliest time of a row, on disk or not, nanoseconds since 1970-01-01T00:00:00Z; none without rows.
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
    /// Blocks on disk.
    pub block_count: u64,
    /// Their rows.
    pub block_rows: u64,
    /// Their bytes on disk.
    pub block_bytes: u64,
    /// Rows that left the disk because of their age, since the directory was made.
    pub expired_rows_by_age: u64,
    /// Blocks that did.
    pub expired_blocks_by_age: u64,
    /// Rows that left the disk to make room, since the directory was made.
    pub expired_rows_by_bytes: u64,
    /// Blocks that did.
    pub expired_blocks_by_bytes: u64,
}

impl TableStats {
    /// Rows that are kept, in memory and on disk.
    #[must_use]
    pub fn rows_kept(&self) -> u64 {
        self.rows + self.block_rows
    }
}

impl Store {
    /// Makes an empty store that is in memory only: its oldest rows leave when a bound of bytes is reached.
    ///
    /// # Errors
    /// A limit is out of range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let spans = Table::new("spans", config.spans_bytes_max, &config);
        let logs = Table::new("log records", config.logs_bytes_max, &config);
        Ok(Self::with(&config, spans, logs, None))
    }

    /// Opens the durable store of a directory, which is made when it is not there. Answers where its consumer goes on.
    /// The rows that were applied and not sealed, or sealed and not yet written, when the store was last open are not in
    /// it: they come after the cursors.
    ///
    /// A block that is missing or cannot be read does not keep the store from being opened: it is reported
    /// ([`DurableStats::unreadable`]), and answers that would need it are partial.
    ///
    /// # Errors
    /// The directory cannot be written, is open already, or holds something that this version cannot use.
    pub fn open(config: Config, directory: &Path) -> Result<(Self, Restored), OpenError> {
        Self::open_with(config, directory, Options::default())
    }

    pub(crate) fn open_with(
        config: Config,
        directory: &Path,
        options: Options,
    ) -> Result<(Self, Restored), OpenError> {
        let opened = engine::open(config.clone(), directory, options)?;
        let store = Self::with(&config, opened.spans, opened.logs, Some(opened.engine));
        Ok((store, opened.restored))
    }

    fn with(
        config: &Config,
        spans: Table<SpanChunk>,
        logs: Table<LogChunk>,
        engine: Option<Engine>,
    ) -> Self {
        Self {
            spans,
            logs,
            answer_bytes_max: config.answer_bytes_max,
            rollup: config.rollup_settings(),
            pool: ScanPool::new(config.scan_threads as usize),
            flush_rows_max: config.flush_rows_max,
            flush_bytes_max: config.flush_bytes_max,
            flush_age_max: Duration::from_millis(config.flush_age_max_ms),
            engine,
        }
    }

    fn asking<'a>(&'a self, stop: &'a Stop) -> Asking<'a> {
        Asking {
            pool: &self.pool,
            answer_bytes_max: self.answer_bytes_max,
            stop,
        }
    }

    pub(crate) fn tables(&self) -> Tables<'_> {
        Tables {
            spans: &self.spans,
            logs: &self.logs,
        }
    }

    /// Whether the rows that are not sealed are as many, as large or as old as they may be. To be asked after every
    /// delivery, and now and then while none comes; costs next to nothing. False for a store in memory only.
    pub fn wants_seal(&self) -> bool {
        if self.engine.is_none() {
            return false;
        }
        let (spans, logs) = (self.spans.open_size(), self.logs.open_size());
        let is_old = |since: std::time::Instant| since.elapsed() >= self.flush_age_max;
        spans.rows >= self.flush_rows_max
            || logs.rows >= self.flush_rows_max
            || spans.bytes + logs.bytes >= self.flush_bytes_max
            || spans.since.is_some_and(is_old)
            || logs.since.is_some_and(is_old)
    }

    /// Hands the rows that were applied since the seal before over to be written, with what has to become durable with
    /// them, all of it or nothing. Returns once they wait to be written; blocks while too many generations do, so it is
    /// not for a thread of an async runtime. [`Self::maintain`] writes them.
    ///
    /// A mark without rows waits for the rows of the next one, for `flush_age_max_ms` at most.
    ///
    /// To be called between two deliveries: what is applied by another thread meanwhile belongs to this mark or to the
    /// next. Does nothing in a store that is in memory only.
    ///
    /// # Errors
    /// The store is closed, or nothing is written any more. The rows stay where they are, can be found, and are read
    /// from the log again after a restart.
    pub fn seal(&self, mark: Mark) -> Result<(), SealError> {
        match &self.engine {
            Some(engine) => engine.seal(self.tables(), mark),
            None => Ok(()),
        }
    }

    /// Writes what was sealed, merges blocks and lets old ones go, until `stop` is cancelled and all that was sealed is
    /// written; or cannot be, which [`Self::stats`] tells. Calls `on_durable` with the cursors of each mark that became
    /// durable: the log may forget what is before them. Returns at once in a store that is in memory only.
    ///
    /// For one thread of its own, which it blocks. While it runs it has a second one, on which blocks are merged, so that
    /// no merge holds up what was sealed; a merge that is under way when it is told to stop is given up.
    pub fn maintain(&self, stop: &Stop, on_durable: &mut dyn FnMut(&BTreeMap<u16, u64>)) {
        if let Some(engine) = &self.engine {
            engine.maintain(self.tables(), stop, on_durable);
        }
    }

    /// Takes no more rows from now on, for a reason that lies outside of the store: [`Self::maintain`] panicked.
    pub fn fail(&self, reason: &str) {
        if let Some(engine) = &self.engine {
            engine.fail(reason);
        }
    }

    /// By partition: the next offset after all that is durable. Empty in a store that is in memory only.
    pub fn durable_cursors(&self) -> BTreeMap<u16, u64> {
        let engine = self.engine.as_ref();
        engine.map_or_else(BTreeMap::new, Engine::durable_cursors)
    }

    /// Closes the directory: nothing is written any more, and once [`Self::maintain`] has returned, another store can
    /// open it. Searches can go on. Dropping the store does the same.
    pub fn close(&self) {
        if let Some(engine) = &self.engine {
            engine.close();
        }
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

    /// Adds the spans of one envelope from where they lie in it; the same as [`Self::apply_spans`] of the rows that they
    /// decode to.
    pub fn apply_span_request(&self, origin: Origin, request: &Request<'_, Spans>) {
        self.spans
            .apply_request(origin, request, |span| span.start_time_unix_nano);
    }

    /// Adds the log records of one envelope, likewise.
    pub fn apply_log_request(&self, origin: Origin, request: &Request<'_, Logs>) {
        self.logs
            .apply_request(origin, request, |record| record.time());
    }

    /// One trace with its logs; empty when there is no record of it.
    pub fn trace(&self, id: TraceId, limits: TraceLimits, stop: &Stop) -> Trace {
        let (spans, logs) = (self.spans.snapshot(), self.logs.snapshot());
        search::find_trace(&spans, &logs, id, limits, stop)
    }

    /// Some spans and log records of one trace; empty when there are none.
    pub fn selected(
        &self,
        id: TraceId,
        selection: &TraceSelection,
        limits: TraceLimits,
        stop: &Stop,
    ) -> Trace {
        let (spans, logs) = (self.spans.snapshot(), self.logs.snapshot());
        search::find_selected(&spans, &logs, id, selection, limits, stop)
    }

    /// One trace in numbers; empty when there is no record of it.
    pub fn outline(&self, spec: &OutlineSpec, stop: &Stop) -> TraceOutline {
        let (spans, logs) = (self.spans.snapshot(), self.logs.snapshot());
        search::find_outline(&spans, &logs, spec, stop)
    }

    /// Traces with a span that matches.
    pub fn search_traces(&self, search: &TraceSearch, stop: &Stop) -> TraceResults {
        let (spans, logs) = (self.spans.snapshot(), self.logs.snapshot());
        search::search_traces(&spans, &logs, search, self.asking(stop))
    }

    /// Spans that match.
    pub fn search_spans(&self, search: &SpanSearch, stop: &Stop) -> SpanResults {
        let encoded_len = |row: &SpanRow| row.span.encoded_len();
        let snapshot = self.spans.snapshot();
        search::search_records(&snapshot, search, encoded_len, self.asking(stop))
    }

    /// Log records that match.
    pub fn search_logs(&self, search: &LogSearch, stop: &Stop) -> LogResults {
        let encoded_len = |row: &LogRow| row.record.encoded_len();
        let snapshot = self.logs.snapshot();
        search::search_records(&snapshot, search, encoded_len, self.asking(stop))
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
                search::count_over_time(&self.spans.snapshot(), spec, self.asking(stop))
            }
            Signal::Logs => search::count_over_time(&self.logs.snapshot(), spec, self.asking(stop)),
        }
    }

    /// Counts of spans or traces by when they start and how long they took.
    ///
    /// # Errors
    /// The cells cannot be made as they were asked for.
    pub fn heatmap(&self, spec: &HeatmapSpec, stop: &Stop) -> Result<Heatmap, HeatmapError> {
        let spans = self.spans.snapshot();
        search::count_durations(&spans, spec, self.rollup, self.asking(stop))
    }

    /// How many spans there are, how many failed and how long they took, by service or operation and over time.
    ///
    /// # Errors
    /// The range or the steps cannot be made as they were asked for.
    pub fn rates(&self, spec: &RatesSpec, stop: &Stop) -> Result<Rates, RatesError> {
        let spans = self.spans.snapshot();
        rollup::rates(&spans, spec, self.rollup, self.answer_bytes_max, stop)
    }

    /// Which service calls which, how often, and how long that takes.
    pub fn service_graph(&self, spec: &GraphSpec, stop: &Stop) -> ServiceGraph {
        let spans = self.spans.snapshot();
        rollup::service_graph(&spans, spec, self.rollup, self.answer_bytes_max, stop)
    }

    /// How many log records there are, by service and level and over time. Looks at the range, the steps and the service
    /// of the question.
    ///
    /// # Errors
    /// The range or the steps cannot be made as they were asked for.
    pub fn log_volume(&self, spec: &RatesSpec, stop: &Stop) -> Result<LogVolume, RatesError> {
        let logs = self.logs.snapshot();
        rollup::log_volume(&logs, spec, self.rollup, self.answer_bytes_max, stop)
    }

    /// The most frequent values of fields.
    pub fn facets(&self, spec: &FacetSpec, stop: &Stop) -> Facets {
        match spec.signal {
            Signal::Spans => search::count_values(&self.spans.snapshot(), spec, self.asking(stop)),
            Signal::Logs => search::count_values(&self.logs.snapshot(), spec, self.asking(stop)),
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
            durable: self
                .engine
                .as_ref()
                .map(|engine| engine.stats(self.tables())),
        }
    }
}
