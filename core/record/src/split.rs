//! Cuts a request into parts: one for each partition that its records go to, and more where a part would be too large.
//!
//! The cut depends on nothing but the request, the partition of each record and the size limit, so that a retry of the
//! same request is cut into the same parts. Records keep their order within a partition; parts are in the order of
//! their partitions, those of one partition in the order of their records.

use std::collections::BTreeMap;

use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
};

use crate::{Place, Rejected, TraceId, context::service_of};

mod builder;
mod signal;

use builder::{Header, PartBuilder, TooLarge};
use signal::Signal;

/// By what a record is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKey<'a> {
    /// A span, or a log record of a trace: all of a trace goes together.
    Trace(TraceId),
    /// A record without a valid trace id: by the name of its service.
    Service(&'a str),
}

/// What a request was cut into.
#[derive(Clone, Debug, PartialEq)]
pub struct Split<M> {
    /// Every record that was not rejected is in exactly one part; no part is empty.
    pub parts: Vec<Part<M>>,
    /// Records that alone, with their resource and scope, are larger than a part may be.
    pub rejected: Rejected,
}

/// Records for one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<M> {
    /// Where it goes.
    pub partition: u16,
    /// How many records it holds, at least 1.
    pub records: u32,
    /// Whether it is the request itself, uncut: the bytes that the client sent may then be used as they are.
    pub is_whole: bool,
    /// The records as a request of their own.
    pub request: M,
}

/// Cuts a request of spans so that no part is larger than `part_bytes_max` in protobuf.
///
/// A request that goes to one partition and is small enough is its only part, not copied. Otherwise spans are moved
/// and resources and scopes are copied.
pub fn spans(
    request: ExportTraceServiceRequest,
    part_bytes_max: usize,
    partition_of: impl Fn(RouteKey<'_>) -> u16,
) -> Split<ExportTraceServiceRequest> {
    split(request, part_bytes_max, partition_of)
}

/// Cuts a request of log records; see [`spans`].
pub fn logs(
    request: ExportLogsServiceRequest,
    part_bytes_max: usize,
    partition_of: impl Fn(RouteKey<'_>) -> u16,
) -> Split<ExportLogsServiceRequest> {
    split(request, part_bytes_max, partition_of)
}

fn split<M: Signal>(
    request: M,
    part_bytes_max: usize,
    partition_of: impl Fn(RouteKey<'_>) -> u16,
) -> Split<M> {
    let mut rejected = Rejected::default();
    let Some(sole) = sole_partition(&request, &partition_of) else {
        let parts = cut(request, part_bytes_max, partition_of, &mut rejected);
        return Split { parts, rejected };
    };
    if sole.records > 0 && request.encoded_len() > part_bytes_max {
        let parts = cut(request, part_bytes_max, |_| sole.partition, &mut rejected);
        return Split { parts, rejected };
    }
    let whole = (sole.records > 0).then(|| Part {
        partition: sole.partition,
        records: sole.records,
        is_whole: true,
        request,
    });
    Split {
        parts: whole.into_iter().collect(),
        rejected,
    }
}

struct Sole {
    partition: u16,
    records: u32,
}

/// The partition of all records, or `None` when there are several.
fn sole_partition<M: Signal>(
    request: &M,
    partition_of: impl Fn(RouteKey<'_>) -> u16,
) -> Option<Sole> {
    let mut sole = Sole {
        partition: 0,
        records: 0,
    };
    for key in request.routes() {
        let partition = partition_of(key);
        if sole.records > 0 && partition != sole.partition {
            return None;
        }
        sole = Sole {
            partition,
            records: sole.records.saturating_add(1),
        };
    }
    Some(sole)
}

fn cut<M: Signal>(
    request: M,
    part_bytes_max: usize,
    partition_of: impl Fn(RouteKey<'_>) -> u16,
    rejected: &mut Rejected,
) -> Vec<Part<M>> {
    let mut builders: BTreeMap<u16, PartBuilder<M>> = BTreeMap::new();
    for (resource_index, mut resource) in request.into_groups().into_iter().enumerate() {
        let scopes = std::mem::take(&mut resource.scopes);
        let service = service_of(resource.resource.as_ref()).to_owned();
        for (scope_index, mut scope) in scopes.into_iter().enumerate() {
            let records = std::mem::take(&mut scope.records);
            let header = Header::new((resource_index, &resource), (scope_index, &scope));
            for (record_index, record) in records.into_iter().enumerate() {
                let partition = partition_of(M::route(&record, &service));
                let builder = builders.entry(partition).or_default();
                if let Err(TooLarge { bytes }) = builder.add(&header, record, part_bytes_max) {
                    let place = Place {
                        resource: resource_index,
                        scope: scope_index,
                        record: record_index,
                    };
                    rejected.add(place, || {
                        format!(
                            "{bytes} bytes with its resource and scope are more than the \
                             {part_bytes_max} that can be stored as one"
                        )
                    });
                }
            }
        }
    }
    let finish = |(partition, builder): (u16, PartBuilder<M>)| builder.finish(partition);
    builders.into_iter().flat_map(finish).collect()
}
