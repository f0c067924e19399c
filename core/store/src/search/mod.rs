//! What can be asked, and what is answered. Each kind of question has a module of its own.

mod candidates;
mod facets;
mod filter;
mod histogram;
mod records;
mod rows_of_trace;
mod services;
mod source;
mod spans_of_trace;
mod summary;
#[cfg(test)]
mod tests;
mod trace;
mod traces;
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

/// Which of the two tables a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Spans,
    /// Log records.
    Logs,
}
