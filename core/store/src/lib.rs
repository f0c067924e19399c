//! Spans and log records as columns, in memory and on disk, and every question that is asked of them.
//!
//! A [`Store`] has two tables, spans and logs. New rows go to the memory of their table: a row of **chunks** in the order
//! of arrival, a few thousand rows each, as arrow columns, immutable, and shared by reference; the last of them, the
//! **open chunk**, is a builder that is frozen when it is full.
//!
//! A store that was made with [`Store::new`] is in memory only: when a table reaches its bound of bytes, its oldest
//! chunk leaves. One that was opened with [`Store::open`] is durable: its consumer seals the rows of the memory now and
//! then with what has to become durable together with them ([`Store::seal`]), and a loop ([`Store::maintain`]) writes
//! them as **blocks**, merges small blocks into larger ones, and lets old ones go.
//!
//! A search takes a **snapshot** of the chunks (with a copy of the open one, made once until the next row) and of the
//! blocks, and then reads without a lock.
//!
//! | module | what it does |
//! |---|---|
//! | `table` | appends, freezes, evicts, counts bytes, takes snapshots |
//! | `evicted` | remembers which times have left the memory |
//! | `chunk` | rows to columns and back without a loss; what each chunk knows of its traces, services and operations |
//! | `block` | the format of blocks: write, merge, open, read |
//! | `engine` | from memory to disk and what becomes of it there: catalog, flush, merge, retention, recovery |
//! | `pool` | who reads at the same time |
//! | `fields` | what the query language sees of a span or a log record |
//! | `search` | one module for each kind of question |
//! | `rollup` | what is summed up when a block is written, and the questions that it answers |
//!
//! # What an answer covers
//!
//! Every answer has a [`Coverage`]: whether records may be missing that were asked for, and why. They may when rows of
//! that time were evicted or have expired, when a block cannot be read, when the search was stopped ([`Stop`]), or when a
//! limit of counting was reached.
//!
//! # What is not here
//!
//! No async, no thread that outlives a question but the one that merges while [`Store::maintain`] runs, no broker, no log
//! output: what goes wrong is in [`Store::stats`]. The store remembers which batches were applied ([`Mark`]), and leaves
//! it to its consumer to apply each once. Answers are its own structs; who sends them somewhere maps them to messages.

mod block;
mod chunk;
mod config;
mod engine;
mod evicted;
mod faults;
mod fields;
mod key;
mod mark;
pub mod parquet;
mod pool;
mod rollup;
mod search;
mod stop;
mod store;
mod table;

#[doc(hidden)]
pub use block::bench as block_bench;
pub use config::{Config, ConfigError};
pub use engine::{CatalogError, DurableStats, OpenError, Problem, SealError, StoreCheck, check};
pub use fields::{LogFields, SpanFields};
pub use key::{Origin, RecordKey, TimeRange};
pub use log_tracer_sketch::Scale;
pub use mark::{Mark, Restored, SeenBatch};
pub use rollup::{
    GraphEdge, GraphSpec, LogVolume, Node, NodeKind, OTHER_NAME, RELATIVE_ERROR, Rate, RateGroup,
    RateSeries, RateStep, Rates, RatesError, RatesSpec, ServiceGraph, Sketch, SketchError,
    VolumeSeries,
};
pub use search::{
    Facet, FacetSpec, FacetValue, Facets, HEATMAP_CELLS_MAX, Heatmap, HeatmapError, HeatmapOf,
    HeatmapSpec, HeatmapStep, Histogram, HistogramError, HistogramGroup, HistogramSeries,
    HistogramSpec, Hit, LogHit, LogResults, LogSearch, OperationInfo, Operations, OutlineLog,
    OutlineSpan, OutlineSpec, RecordResults, RecordSearch, STEPS_MAX, ServiceCount, ServiceInfo,
    Services, Signal, SpanHit, SpanResults, SpanSearch, Trace, TraceCursor, TraceLimits,
    TraceOrder, TraceOutline, TraceResults, TraceSearch, TraceSelection, TraceSummary,
};
pub use stop::{Coverage, Stop};
pub use store::{Stats, Store, TableStats};
