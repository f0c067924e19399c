//! Cuts a request into parts: one for each partition that its records go to, and more where a part would be too large.
//!
//! The cut depends on nothing but the request, the partition of each record and the size limit, so that a retry of the
//! same request is cut into the same parts. Records keep their order within a partition; parts are in the order of
//! their partitions, those of one partition in the order of their records.
//!
//! Nothing is decoded: resources, scopes and records are copied as the ranges of bytes that they are, and only the
//! lengths around them are new. What stands beside them and is unknown to OTLP is left out.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    Place, Rejected, TraceId,
    wire::{Request, Signal, route},
};

mod builder;

use builder::{Header, PartBuilder, TooLarge};

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
pub struct Split {
    /// Every record that was not rejected is in exactly one part; no part is empty.
    pub parts: Vec<Part>,
    /// Records that alone, with their resource and scope, are larger than a part may be.
    pub rejected: Rejected,
}

/// Records for one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where it goes.
    pub partition: u16,
    /// How many records it holds, at least 1.
    pub records: u32,
    /// The records as a request of their own.
    pub payload: Bytes,
}

/// What cutting takes for each record while it goes on, in bytes: a place in a list that grows by doubling.
pub const CUT_BYTES_PER_RECORD: usize = 3 * size_of::<&[u8]>();

/// Cuts a request so that no part is larger than `part_bytes_max`. Spans that are [rejected](Request::rejected) are in
/// none.
pub fn cut<S: Signal>(
    request: &Request<'_, S>,
    part_bytes_max: usize,
    partition_of: impl Fn(RouteKey<'_>) -> u16,
) -> Split {
    let mut rejected = Rejected::default();
    let mut builders: BTreeMap<u16, PartBuilder<'_>> = BTreeMap::new();
    for (resource_index, resource) in request.resources().enumerate() {
        for (scope_index, scope) in resource.scopes.iter().enumerate() {
            let header = Header::new((resource_index, &resource), (scope_index, &scope));
            for (record_index, record) in scope.records.messages().enumerate() {
                let head = S::head(record);
                if S::is_rejected(&head) {
                    continue;
                }
                let partition = partition_of(route(head.trace_id, || resource.service()));
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
    let finish = |(partition, builder): (u16, PartBuilder<'_>)| builder.finish(partition);
    let parts = builders.into_iter().flat_map(finish).collect();
    Split { parts, rejected }
}
