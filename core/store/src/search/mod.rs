//! What can be asked, and what is answered. Each kind of question has a module of its own. What they share:
//!
//! | module | what it does |
//! |---|---|
//! | `filter` | a query and a range, and what they rule out |
//! | `walk`, `pace` | goes through chunks and pieces of blocks in the order of time, wave by wave, past those that cannot matter |
//! | `sight` | rows as columns, for questions that count: which match, their times, levels and services |
//! | `units` | what a question that counts has to read, in stretches that can be read at the same time |
//! | `source` | what is known of a chunk or a block without reading its rows; says what cannot be read |
//! | `rows_of_trace`, `spans_of_trace` | the rows of one trace from all places, in order |
//! | `trace`, `selected`, `outline` | one trace whole, some of its records, or a few columns of all of them |
//! | `candidates` | the traces with a span that matches, the newest first |
//! | `by_kind` | what the service and the grade of rows tell of a query |
//! | `tables` | all traces, with what the tables of traces know of them |
//!
//! Each thread has one stretch of rows in memory at a time, and what is kept for the answer has a bound.
//!
//! # Measured
//!
//! Milliseconds of processor, a million records of each kind on disk in blocks of 131,072 rows, by
//! `cargo bench -p log-tracer-store --bench store -- "on disk"` on two cores that others kept very busy, in November
//! 2026. Before and after ran side by side, so that they compare; on a quiet machine both take about half. "Before" put
//! rows together piece by piece on one thread, looked for a word twice, and counted events by whole rows.
//!
//! | question | before | after |
//! |---|---|---|
//! | newest 100 log records; of a common word | 0.68; 0.84 | 0.66; 0.81 |
//! | a rare word | 2.2 | 1.6 |
//! | newest 100 of a user | 14 | 12 |
//! | 100 of a word of half, deep in the pages; the oldest first | 2.0; 1.9 | 1.5; 1.4 |
//! | an expression that nothing matches | 367 | 225 |
//! | newest 100 spans of one in ten thousand, without a needle | 52 | 47 |
//! | newest 20 traces with an error | 6.5 | 6.5 |
//! | longest 20 traces with an error; of a service | 64; 52 | 28; 21 |
//! | histogram of a word of all; of half | 311; 260 | 242; 230 |
//! | facets of spans; of failed spans | 190; 147 | 116; 53 |
//! | facets of log records; of a word of half | 41; 278 | 38; 245 |
//!
//! What is left of a page of scattered records is to read them whole, each from pages of its own; of a word that many
//! have, to decompress the texts.

mod by_kind;
mod candidates;
mod facets;
mod filter;
mod heatmap;
mod histogram;
mod outline;
mod pace;
mod records;
mod rows_of_trace;
mod selected;
mod services;
mod sight;
mod source;
mod spans_of_trace;
mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod trace;
mod traces;
mod units;
mod walk;

pub(crate) use facets::count_values;
pub use facets::{Facet, FacetSpec, FacetValue, Facets};
pub(crate) use heatmap::count_durations;
pub use heatmap::{HEATMAP_CELLS_MAX, Heatmap, HeatmapError, HeatmapOf, HeatmapSpec, HeatmapStep};
pub(crate) use histogram::count_over_time;
pub use histogram::{
    Histogram, HistogramError, HistogramGroup, HistogramSeries, HistogramSpec, STEPS_MAX,
};
pub(crate) use outline::find_outline;
pub use outline::{OutlineLog, OutlineSpan, OutlineSpec, TraceOutline};
pub(crate) use records::search_records;
pub use records::{
    Hit, LogHit, LogResults, LogSearch, RecordResults, RecordSearch, SpanHit, SpanResults,
    SpanSearch,
};
pub use selected::TraceSelection;
pub(crate) use selected::find_selected;
pub use services::{OperationInfo, Operations, ServiceInfo, Services};
pub(crate) use services::{list_operations, list_services};
pub use summary::{ServiceCount, TraceSummary};
pub(crate) use trace::find_trace;
pub use trace::{Trace, TraceLimits};
pub(crate) use traces::search_traces;
pub use traces::{TraceCursor, TraceOrder, TraceResults, TraceSearch};
pub(crate) use units::Asking;

/// Which of the two tables a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Spans,
    /// Log records.
    Logs,
}
