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
//! | `candidates` | the traces with a span that matches, the newest first |
//!
//! One part is in memory at a time, and what is kept for the answer has a bound.

mod candidates;
mod facets;
mod filter;
mod histogram;
mod pace;
mod records;
mod rows_of_trace;
mod services;
mod sight;
mod source;
mod spans_of_trace;
mod summary;
#[cfg(test)]
mod tests;
mod trace;
mod traces;
mod units;
mod walk;

pub(crate) use facets::count_values;
pub use facets::{Facet, FacetSpec, FacetValue, Facets};
pub(crate) use histogram::count_over_time;
pub use histogram::{
    Histogram, HistogramError, HistogramGroup, HistogramSeries, HistogramSpec, STEPS_MAX,
};
pub(crate) use records::search_records;
pub use records::{
    Hit, LogHit, LogResults, LogSearch, RecordResults, RecordSearch, SpanHit, SpanResults,
    SpanSearch,
};
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
