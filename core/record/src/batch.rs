//! Whether a retry of a request can be told from a second request with the same content.
//!
//! A batch is recognised by the hash of its request. Two requests that say the same are one request sent twice if each
//! record carries a time of its own; without one, a program that logs the same line twice would lose one of them.

use crate::otlp::{
    collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
};

/// A request whose records may carry times.
pub trait Timed {
    /// Whether each record carries a time that its sender gave it.
    fn every_record_has_a_time(&self) -> bool;
}

impl Timed for ExportTraceServiceRequest {
    fn every_record_has_a_time(&self) -> bool {
        let scopes = self
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans);
        scopes
            .flat_map(|scope| &scope.spans)
            .all(|span| span.start_time_unix_nano != 0)
    }
}

impl Timed for ExportLogsServiceRequest {
    fn every_record_has_a_time(&self) -> bool {
        let scopes = self
            .resource_logs
            .iter()
            .flat_map(|resource| &resource.scope_logs);
        scopes
            .flat_map(|scope| &scope.log_records)
            .all(|record| record.time_unix_nano != 0 || record.observed_time_unix_nano != 0)
    }
}

/// Whether each record of a request carries a time that its sender gave it: the start of a span; the time or the
/// observed time of a log record; the time of a log entry. True of a request without records.
///
/// For log entries, ask before they are converted: the conversion gives each of them an observed time.
#[must_use]
pub fn every_record_has_a_time(request: &impl Timed) -> bool {
    request.every_record_has_a_time()
}
