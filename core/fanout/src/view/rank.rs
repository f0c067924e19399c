//! Which of several replicas is asked first.

use log_tracer_proto::v1::{PartitionStatus, StatusResponse};

use super::Seen;

/// What a healthy part says of itself.
pub(crate) const READY: &str = "ready";

/// Envelopes of lag that count as none: what is under way while it is asked.
const LAG_TOLERATED: u64 = 16;

const HOUR_NANO: u64 = 3_600_000_000_000;

/// What speaks against a replica, in the order of its weight; the least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    is_failed: bool,
    is_replaying: bool,
    is_degraded: bool,
    /// Envelopes that left the log before it began, or before it could read them.
    missing_envelopes: u64,
    /// How often its lag can be halved until it counts as none.
    lag_doublings: u32,
    /// The hour of its oldest record.
    oldest_hour: u64,
    /// How often its latency can be halved until it is a millisecond.
    latency_doublings: u32,
}

pub(super) fn rank(seen: &Seen) -> Rank {
    let none = StatusResponse::default();
    let status = seen.status().unwrap_or(&none);
    let missing = |one: &PartitionStatus| {
        let before = one.first_applied.unwrap_or(0);
        before.saturating_add(one.lost_offsets)
    };
    let oldest = status.stores.iter().filter(|store| store.rows > 0);
    let oldest = oldest.map(|store| store.oldest_unix_nano).min();
    let lag = status.partitions.iter().map(lag).sum::<u64>();
    Rank {
        is_failed: is_failed(&status.health),
        is_replaying: !status.replaying.is_empty(),
        is_degraded: status.health != READY,
        missing_envelopes: status.partitions.iter().map(missing).sum(),
        lag_doublings: doublings(lag / LAG_TOLERATED),
        oldest_hour: oldest.unwrap_or(u64::MAX) / HOUR_NANO,
        latency_doublings: doublings(seen.latency_us / 1_000),
    }
}

/// Whether a consumer says of itself that it reads nothing any more.
fn is_failed(health: &str) -> bool {
    health.starts_with("failed")
}

/// Envelopes of a partition that are in the log and not applied yet.
pub(crate) fn lag(partition: &PartitionStatus) -> u64 {
    partition.log_end.saturating_sub(partition.applied_next)
}

fn doublings(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}
