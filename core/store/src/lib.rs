//! Recent spans and log records in memory, as columns, and every question that is asked of them.
//!
//! A [`Store`] has two tables, spans and logs. A table is a row of **chunks** in the order of arrival: a few thousand rows
//! each, as arrow columns, immutable, and shared by reference. New rows go into a builder, the **open chunk**, which is
//! frozen when it is full. A search takes a **snapshot** (the chunks and a copy of the open one, made once until the next
//! row) and then reads without a lock. When a table reaches its bound of bytes, its oldest chunk leaves.
//!
//! | module | what it does |
//! |---|---|
//! | `table` | appends, seals, evicts, counts bytes, takes snapshots |
//! | `evicted` | remembers which times have left |
//! | `chunk` | rows to columns and back without a loss; what each chunk knows of its traces, services and operations |
//! | `fields` | what the query language sees of a span or a log record |
//! | `search` | one module for each kind of question |
//!
//! # What an answer covers
//!
//! Every answer has a [`Coverage`]: whether records may be missing that were asked for, and why. They may when rows of
//! that time were evicted, when the search was stopped ([`Stop`]), or when a limit of counting was reached.
//!
//! # What is not here
//!
//! No I/O, no async, no clock but for deadlines, no broker. The store does not know whether an envelope was applied
//! before. Answers are its own structs; who sends them somewhere maps them to messages.

mod block;
mod chunk;
mod config;
mod engine;
mod evicted;
mod faults;
mod fields;
mod key;
mod mark;
mod part;
mod search;
mod stop;
mod store;
mod table;

pub use config::{Config, ConfigError};
pub use engine::{CatalogError, DurableStats, OpenError, Problem, SealError, StoreCheck, check};
pub use fields::{LogFields, SpanFields};
pub use key::{Origin, RecordKey, TimeRange};
pub use mark::{Mark, Restored, SeenBatch};
pub use search::{
    Facet, FacetSpec, FacetValue, Facets, Histogram, HistogramError, HistogramGroup,
    HistogramSeries, HistogramSpec, Hit, LogHit, LogResults, LogSearch, OperationInfo, Operations,
    RecordResults, RecordSearch, STEPS_MAX, ServiceCount, ServiceInfo, Services, Signal, SpanHit,
    SpanResults, SpanSearch, Trace, TraceCursor, TraceLimits, TraceOrder, TraceResults,
    TraceSearch, TraceSummary,
};
pub use stop::{Coverage, Stop};
pub use store::{Stats, Store, TableStats};
