//! What all consumers hold, added up, with each of them.

use log_tracer_proto::v1::{
    ConsumerRole, ConsumerStatus, PartitionStatus, StatusResponse, StorageStatus, StoreStatus,
};
use tonic::Status;

use crate::{
    fan::{Fan, gaps, nobody},
    view::{READY, Seen, View, lag},
    watch,
};

/// Quarantined envelopes in a status: the newest few.
const QUARANTINE_SHOWN: usize = 20;

/// Asks every consumer how it is.
///
/// # Errors
/// UNAVAILABLE when none of them ever answered.
pub(crate) async fn status(fan: &Fan) -> Result<StatusResponse, Status> {
    watch::refresh(fan).await;
    watch::publish(fan);
    let view = fan.view.borrow().clone();
    if view.seen.iter().all(|one| one.known.status.is_none()) {
        return Err(nobody(gaps(&view, &[]), &[]));
    }
    Ok(compile(&view))
}

fn compile(view: &View) -> StatusResponse {
    let consumers = (0..view.seen.len()).filter_map(|number| consumer(view, number));
    let consumers: Vec<ConsumerStatus> = consumers.collect();
    // Of each set the one that is asked: replicas hold the same.
    let asked: Vec<&StatusResponse> = view
        .sets
        .iter()
        .filter_map(|set| view.seen.get(*set.members.first()?))
        .filter_map(|one| one.known.status.as_deref())
        .collect();
    let answering: Vec<&StatusResponse> = view
        .seen
        .iter()
        .filter(|one| one.is_up())
        .filter_map(|one| one.known.status.as_deref())
        .collect();
    let names: Vec<&str> = answering.iter().map(|one| one.name.as_str()).collect();
    let sum = |count: fn(&StatusResponse) -> u64| answering.iter().map(|one| count(one)).sum();
    let sum32 = |count: fn(&StatusResponse) -> u32| answering.iter().map(|one| count(one)).sum();
    let mut partitions: Vec<PartitionStatus> = asked
        .iter()
        .flat_map(|one| one.partitions.iter().cloned())
        .collect();
    partitions.sort_by_key(|one| one.partition);
    let mut quarantine: Vec<_> = answering
        .iter()
        .flat_map(|one| one.quarantine.iter().cloned())
        .collect();
    quarantine.sort_by_key(|one| std::cmp::Reverse(one.received_unix_nano));
    quarantine.truncate(QUARANTINE_SHOWN);
    let replaying = asked.iter().filter(|one| !one.replaying.is_empty());
    let replaying: Vec<String> = replaying
        .map(|one| format!("{}: {}", one.name, one.replaying))
        .collect();
    StatusResponse {
        name: names.join(", "),
        version: one_or_all(answering.iter().map(|one| one.version.as_str())),
        started_unix_nano: answering
            .iter()
            .map(|one| one.started_unix_nano)
            .min()
            .unwrap_or(0),
        // Of a transport that does not work for one of them, that is told.
        transport: asked
            .iter()
            .filter_map(|one| one.transport.as_ref())
            .max_by_key(|one| one.health != READY)
            .cloned(),
        partitions,
        stores: [1, 2].map(|signal| store(&asked, signal)).to_vec(),
        duplicate_envelopes: sum(|one| one.duplicate_envelopes),
        quarantined_envelopes: sum(|one| one.quarantined_envelopes),
        quarantine,
        health: health(view),
        running_queries: sum32(|one| one.running_queries),
        running_queries_max: sum32(|one| one.running_queries_max),
        tail_readers: sum32(|one| one.tail_readers),
        storage: storage(&asked),
        replaying: replaying.join("; "),
        former_partitions: Vec::new(),
        consumers,
        faults: view.faults.clone(),
        process_bytes: total(&answering, |one| one.process_bytes),
        // Each has a limit of its own, which stands with the consumer.
        process_bytes_max: None,
        applied_bytes: sum(|one| one.applied_bytes),
    }
}

/// The sum of what is known; none when nothing is.
fn total(all: &[&StatusResponse], number: impl Fn(&StatusResponse) -> Option<u64>) -> Option<u64> {
    let known = all.iter().filter_map(|one| number(one));
    known.reduce(u64::saturating_add)
}

fn consumer(view: &View, number: usize) -> Option<ConsumerStatus> {
    let seen = view.seen.get(number)?;
    let status = seen.known.status.as_deref();
    let set = view
        .sets
        .iter()
        .find(|set| set.members.contains(&number) || set.away.contains(&number));
    let others = set.map_or_else(Vec::new, |set| {
        let all = set.members.iter().chain(&set.away);
        all.copied().filter(|one| *one != number).collect()
    });
    let name = |one: usize| {
        let seen: &Seen = view.seen.get(one)?;
        Some(seen.known.status.as_ref()?.name.clone())
    };
    let role = match set.map(|set| set.members.first() == Some(&number)) {
        _ if !seen.is_up() => ConsumerRole::Away,
        None => ConsumerRole::LeftOut,
        Some(true) => ConsumerRole::Asked,
        Some(false) => ConsumerRole::Replica,
    };
    let health = match (seen.is_up(), status) {
        (false, _) => format!("away: {}", seen.why_away()),
        (true, Some(status)) if status.health != READY => status.health.clone(),
        (true, Some(status)) if !status.replaying.is_empty() => status.replaying.clone(),
        (true, _) => READY.to_owned(),
    };
    Some(ConsumerStatus {
        address: seen.address.clone(),
        role: role.into(),
        health,
        lag: status.map_or(0, |status| status.partitions.iter().map(lag).sum()),
        replicas: others.into_iter().filter_map(name).collect(),
        latency_us: seen.latency_us,
        status: status.cloned(),
        status_unix_nano: seen.known.status_unix_nano,
    })
}

/// "ready", or everything that makes answers partial. A consumer that is away and has a replica is told in its own line.
fn health(view: &View) -> String {
    let mut reasons: Vec<String> = view
        .sets
        .iter()
        .filter(|set| set.members.is_empty())
        .map(|set| view.gap(set, &[]))
        .collect();
    reasons.extend(view.unowned.clone());
    reasons.extend(view.faults.iter().cloned());
    for member in view.sets.iter().filter_map(|set| set.members.first()) {
        let seen = view.seen.get(*member);
        let status = seen.and_then(|seen| seen.known.status.as_ref());
        if let Some(status) = status.filter(|status| status.health != READY) {
            reasons.push(format!("{}: {}", view.label(*member), status.health));
        }
    }
    match reasons.is_empty() {
        true => READY.to_owned(),
        false => reasons.join("; "),
    }
}

fn one_or_all<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = texts.collect();
    all.sort_unstable();
    all.dedup();
    all.join(", ")
}

fn store(asked: &[&StatusResponse], signal: i32) -> StoreStatus {
    let mut sum = StoreStatus {
        signal,
        oldest_unix_nano: u64::MAX,
        ..StoreStatus::default()
    };
    let all = asked.iter().flat_map(|one| &one.stores);
    for one in all.filter(|one| one.signal == signal) {
        sum.rows = sum.rows.saturating_add(one.rows);
        sum.bytes = sum.bytes.saturating_add(one.bytes);
        sum.bytes_max = sum.bytes_max.saturating_add(one.bytes_max);
        sum.applied_rows = sum.applied_rows.saturating_add(one.applied_rows);
        sum.evicted_rows = sum.evicted_rows.saturating_add(one.evicted_rows);
        sum.disk_rows = sum.disk_rows.saturating_add(one.disk_rows);
        sum.disk_bytes = sum.disk_bytes.saturating_add(one.disk_bytes);
        sum.blocks = sum.blocks.saturating_add(one.blocks);
        if one.rows > 0 {
            sum.oldest_unix_nano = sum.oldest_unix_nano.min(one.oldest_unix_nano);
            sum.newest_unix_nano = sum.newest_unix_nano.max(one.newest_unix_nano);
        }
    }
    if sum.rows == 0 {
        sum.oldest_unix_nano = 0;
    }
    sum
}

/// All directories together; none when no consumer keeps anything on disk.
fn storage(asked: &[&StatusResponse]) -> Option<StorageStatus> {
    let all: Vec<&StorageStatus> = asked
        .iter()
        .filter_map(|one| one.storage.as_ref())
        .collect();
    let first = *all.first()?;
    if all.len() == 1 {
        return Some(first.clone());
    }
    let sum = |count: fn(&StorageStatus) -> u64| {
        let counts = all.iter().map(|one| count(one));
        counts.fold(0, |sum: u64, count| sum.saturating_add(count))
    };
    let least =
        |count: fn(&StorageStatus) -> Option<u64>| all.iter().filter_map(|one| count(one)).min();
    let unwell = all.iter().find(|one| one.health != READY);
    Some(StorageStatus {
        directory: format!("{} directories", all.len()),
        disk_bytes: sum(|one| one.disk_bytes),
        disk_bytes_max: sum(|one| one.disk_bytes_max),
        // What is older may be kept by some and not by others.
        age_max_ms: all.iter().map(|one| one.age_max_ms).min().unwrap_or(0),
        disk_free_bytes: least(|one| one.disk_free_bytes),
        disk_reserve_bytes: all
            .iter()
            .map(|one| one.disk_reserve_bytes)
            .max()
            .unwrap_or(0),
        flushes_waiting: all.iter().map(|one| one.flushes_waiting).sum(),
        flushes: sum(|one| one.flushes),
        merges: sum(|one| one.merges),
        expired_rows_by_age: sum(|one| one.expired_rows_by_age),
        expired_rows_by_bytes: sum(|one| one.expired_rows_by_bytes),
        last_flush_unix_nano: all
            .iter()
            .map(|one| one.last_flush_unix_nano)
            .max()
            .unwrap_or(0),
        seen_batches: sum(|one| one.seen_batches),
        failed_reads: sum(|one| one.failed_reads),
        health: unwell.map_or_else(|| READY.to_owned(), |one| one.health.clone()),
    })
}
