//! Which partition a record goes to. Frozen: a change would send the spans of one trace to two partitions.

use std::num::NonZeroU16;

use xxhash_rust::xxh3::xxh3_64;

use crate::Partition;

/// The partition of a trace and of the logs that belong to it: xxh3-64 of the 16 bytes of its id, modulo the number of
/// partitions.
#[must_use]
pub fn partition_of_trace(trace_id: &[u8; 16], partitions: NonZeroU16) -> Partition {
    partition_of(trace_id, partitions)
}

/// The partition of logs without a trace: the same function of the service's name in UTF-8.
#[must_use]
pub fn partition_of_service(service: &str, partitions: NonZeroU16) -> Partition {
    partition_of(service.as_bytes(), partitions)
}

fn partition_of(key: &[u8], partitions: NonZeroU16) -> Partition {
    let remainder = xxh3_64(key) % u64::from(partitions.get());
    // A remainder of a u16 fits one.
    Partition(u16::try_from(remainder).unwrap_or(0))
}
