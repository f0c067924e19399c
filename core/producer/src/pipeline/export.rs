//! What the two kinds of OTLP export requests have in common for the pipeline.

use log_tracer_record::{
    Rejected,
    batch::Timed,
    otlp::{collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest},
    split::{self, RouteKey, Split},
    validate,
};
use log_tracer_transport::Kind;
use prost::Message;

/// An export request of one signal.
pub(super) trait Export: Message + Default + Timed {
    const KIND: Kind;

    /// Removes what must not be stored.
    fn reject_invalid(&mut self) -> Rejected;

    /// Cuts into parts of at most `part_bytes_max`.
    fn split(
        self,
        part_bytes_max: usize,
        partition_of: impl Fn(RouteKey<'_>) -> u16,
    ) -> Split<Self>;
}

impl Export for ExportTraceServiceRequest {
    const KIND: Kind = Kind::Traces;

    fn reject_invalid(&mut self) -> Rejected {
        validate::spans(self)
    }

    fn split(
        self,
        part_bytes_max: usize,
        partition_of: impl Fn(RouteKey<'_>) -> u16,
    ) -> Split<Self> {
        split::spans(self, part_bytes_max, partition_of)
    }
}

impl Export for ExportLogsServiceRequest {
    const KIND: Kind = Kind::Logs;

    /// Nothing: a log record with an invalid id belongs to no trace, and is kept.
    fn reject_invalid(&mut self) -> Rejected {
        Rejected::default()
    }

    fn split(
        self,
        part_bytes_max: usize,
        partition_of: impl Fn(RouteKey<'_>) -> u16,
    ) -> Split<Self> {
        split::logs(self, part_bytes_max, partition_of)
    }
}
