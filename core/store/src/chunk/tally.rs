//! What a chunk holds by service and by operation, counted once when it is frozen: an eviction takes its counts along.

use hashbrown::HashMap;
use log_tracer_record::otlp::trace::span::SpanKind;

use super::{Chunk, SpanChunk};
use crate::block::ServiceCount;

/// The rows of one service in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceTally {
    /// The number of a resource of the service.
    pub(crate) resource: usize,
    pub(crate) row_count: u64,
    pub(crate) error_count: u64,
    pub(crate) last_seen_unix_nano: u64,
}

/// The spans of one operation in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OperationTally {
    /// The number of a resource of the service.
    pub(crate) resource: usize,
    /// The number of the name among the labels.
    pub(crate) name: u32,
    pub(crate) kind: SpanKind,
    pub(crate) span_count: u64,
}

/// The services and operations of a chunk of spans.
#[derive(Debug, Default)]
pub(crate) struct SpanTally {
    pub(crate) services: Vec<ServiceTally>,
    pub(crate) operations: Vec<OperationTally>,
}

impl SpanTally {
    /// At most so many bytes does a span add.
    pub(super) const ROW_BYTES_MAX: usize = size_of::<ServiceTally>() + size_of::<OperationTally>();

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.services.as_slice()) + size_of_val(self.operations.as_slice())
    }
}

/// The tallies of services by name.
pub(super) fn named<C: Chunk>(chunk: &C, tallies: &[ServiceTally]) -> Vec<ServiceCount> {
    let count = |tally: &ServiceTally| {
        let resource = chunk.resources().all().get(tally.resource)?;
        Some(ServiceCount {
            service: resource.service().to_owned(),
            row_count: tally.row_count,
            error_count: tally.error_count,
            last_seen_unix_nano: tally.last_seen_unix_nano,
        })
    };
    tallies.iter().filter_map(count).collect()
}

/// Counts the rows of each service.
pub(super) fn tally_services<C: Chunk>(chunk: &C) -> Vec<ServiceTally> {
    let first_of_service = first_of_services(chunk);
    let none = |resource| ServiceTally {
        resource,
        row_count: 0,
        error_count: 0,
        last_seen_unix_nano: 0,
    };
    let mut tallies: Vec<ServiceTally> = (0..first_of_service.len()).map(none).collect();
    for row in 0..chunk.rows() {
        let first = first_of_service.get(chunk.resources().number(row));
        if let Some(tally) = first.and_then(|first| tallies.get_mut(*first)) {
            tally.row_count += 1;
            tally.error_count += u64::from(chunk.is_error(row));
            tally.last_seen_unix_nano = tally.last_seen_unix_nano.max(chunk.time(row));
        }
    }
    tallies.retain(|tally| tally.row_count > 0);
    tallies.shrink_to_fit();
    tallies
}

/// Counts the spans of each service and of each operation.
pub(super) fn tally_spans(chunk: &SpanChunk) -> SpanTally {
    let first_of_service = first_of_services(chunk);
    let mut counts: HashMap<(usize, u32, SpanKind), u64> = HashMap::new();
    for row in 0..chunk.rows() {
        let resource = chunk.resources().number(row);
        let first = first_of_service.get(resource).copied().unwrap_or(resource);
        *counts
            .entry((first, chunk.names().number(row), chunk.kind(row)))
            .or_default() += 1;
    }
    let tally = |((resource, name, kind), span_count)| OperationTally {
        resource,
        name,
        kind,
        span_count,
    };
    SpanTally {
        services: tally_services(chunk),
        operations: counts.into_iter().map(tally).collect(),
    }
}

/// For each resource the first one of the same service.
fn first_of_services<C: Chunk>(chunk: &C) -> Vec<usize> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    let resources = chunk.resources().all().iter().enumerate();
    resources
        .map(|(number, resource)| *first.entry(resource.service()).or_insert(number))
        .collect()
}
