//! What the two kinds of OTLP export requests have in common for the pipeline, and where their records go.

use std::num::NonZeroU16;

use log_tracer_record::{
    otlp::{collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest},
    split::RouteKey,
    wire::{Logs, Signal, Spans},
};
use log_tracer_transport::{Kind, partition_of_service, partition_of_trace};
use prost::Message;

/// An export request of one signal.
pub(super) trait Export: Signal {
    /// What the payload of its envelopes is called.
    const KIND: Kind;
    /// The request as prost decodes it.
    type Message: Message + Default;
}

impl Export for Spans {
    const KIND: Kind = Kind::Traces;
    type Message = ExportTraceServiceRequest;
}

impl Export for Logs {
    const KIND: Kind = Kind::Logs;
    type Message = ExportLogsServiceRequest;
}

/// The partition of a record.
pub(super) fn partition_of(key: RouteKey<'_>, partitions: NonZeroU16) -> u16 {
    match key {
        RouteKey::Trace(trace_id) => partition_of_trace(trace_id.as_bytes(), partitions).0,
        RouteKey::Service(service) => partition_of_service(service, partitions).0,
    }
}

/// Finds out whether all records of a request go to one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routes {
    partitions: NonZeroU16,
    /// Of the first record.
    first: Option<u16>,
    has_others: bool,
}

impl Routes {
    pub(super) fn new(partitions: NonZeroU16) -> Self {
        Self {
            partitions,
            first: None,
            has_others: false,
        }
    }

    pub(super) fn see(&mut self, key: RouteKey<'_>) {
        let partition = match self.partitions {
            NonZeroU16::MIN => 0,
            // Once there are two, a third changes nothing.
            _ if self.has_others => return,
            partitions => partition_of(key, partitions),
        };
        self.has_others = *self.first.get_or_insert(partition) != partition;
    }

    /// The partition of all records; `None` when there are several, or no records.
    pub(super) fn only(&self) -> Option<u16> {
        self.first.filter(|_| !self.has_others)
    }
}
