//! What a consumer holds, how far it is, and what its transport promises.

use std::{sync::atomic::Ordering, time::Duration};

use log_tracer_proto::v1;
use log_tracer_store::{DurableStats, Stats, TableStats};
use log_tracer_transport::{
    Capabilities, FullPolicy, Health as TransportHealth, Partition, Watermark,
};

use super::export;
use crate::{
    Health, process,
    progress::{PartitionProgress, Progress},
    shared::Shared,
};

/// Quarantined envelopes in a status: the newest few.
const QUARANTINE_SHOWN: usize = 20;
/// A status tells what is wrong, so it does not wait for a transport that hangs.
const WATERMARKS_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) async fn status(shared: &Shared) -> v1::StatusResponse {
    let watermarks = watermarks(shared).await;
    if let Ok(ends) = &watermarks {
        shared.learn_replay(ends);
    }
    let memory = process::memory();
    let committed = shared.committed.borrow().clone();
    let progress = shared.progress.borrow().clone();
    let durable = shared.store.durable_cursors();
    let partitions = progress.iter().map(|(partition, one)| {
        let watermark = watermarks.as_ref().ok();
        let mut of_partition = watermark.into_iter().flatten();
        let watermark = of_partition.find(|mark| mark.partition == partition);
        let durable = durable.get(&partition.0).copied();
        let mut status = partition_status(partition, one, watermark, durable);
        let mut committed = committed.iter();
        status.committed_next = committed
            .find(|cursor| cursor.partition == partition)
            .map(|cursor| cursor.next.0);
        status
    });
    let store = shared.store.stats();
    let quarantine = shared.quarantine();
    let newest = quarantine.entries().rev().take(QUARANTINE_SHOWN);
    v1::StatusResponse {
        name: shared.config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_nano: shared.started_unix_nano,
        transport: Some(transport_status(
            shared,
            watermarks.as_ref().err().map(String::as_str),
        )),
        partitions: partitions.collect(),
        stores: vec![
            store_status(v1::Signal::Spans, &store.spans),
            store_status(v1::Signal::Logs, &store.logs),
        ],
        duplicate_envelopes: shared.duplicate_envelopes.load(Ordering::Relaxed),
        quarantined_envelopes: quarantine.total(),
        quarantine: newest
            .map(|one| export::message(one, shared.log_id))
            .collect(),
        health: health_text(&progress),
        running_queries: saturate(shared.gate.running()),
        running_queries_max: saturate(shared.config.query.queries_max),
        tail_readers: saturate(shared.tails.reader_count()),
        storage: store
            .durable
            .as_ref()
            .map(|durable| storage_status(shared, &store, durable)),
        replaying: shared.replaying().unwrap_or_default(),
        former_partitions: shared
            .former_partitions
            .iter()
            .copied()
            .map(u32::from)
            .collect(),
        process_bytes: memory.bytes,
        process_bytes_max: memory.bytes_max,
        applied_bytes: shared.applied_bytes.load(Ordering::Relaxed),
        ..v1::StatusResponse::default()
    }
}

/// Where the log begins and ends, or why that cannot be told now.
pub(crate) async fn watermarks(shared: &Shared) -> Result<Vec<Watermark>, String> {
    match tokio::time::timeout(WATERMARKS_TIMEOUT, shared.transport.watermarks()).await {
        Ok(Ok(watermarks)) => Ok(watermarks),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err("it does not say where its log begins and ends".to_owned()),
    }
}

fn partition_status(
    partition: Partition,
    one: &PartitionProgress,
    watermark: Option<&Watermark>,
    durable_next: Option<u64>,
) -> v1::PartitionStatus {
    let log_start = watermark.and_then(|mark| mark.start).map_or(0, |at| at.0);
    // Before the first envelope the reader stands where the log begins.
    let applied_next = one.next.map_or(log_start, |next| next.0);
    let gaps = one.gaps.iter().map(|gap| v1::OffsetRange {
        first: gap.start,
        end: gap.end,
    });
    v1::PartitionStatus {
        partition: u32::from(partition.0),
        applied_next,
        log_start,
        // Without an answer from the transport, at least so much is there.
        log_end: watermark.map_or(applied_next, |mark| mark.end.0),
        log_bytes: watermark.and_then(|mark| mark.bytes).unwrap_or(0),
        health: one.reading.text(),
        lost_offsets: one.lost_offsets,
        gaps: gaps.collect(),
        durable_next,
        first_applied: one.first.map(|first| first.0),
        committed_next: None,
    }
}

fn store_status(signal: v1::Signal, table: &TableStats) -> v1::StoreStatus {
    v1::StoreStatus {
        signal: i32::from(signal),
        rows: table.rows_kept(),
        bytes: table.bytes,
        bytes_max: table.bytes_max,
        oldest_unix_nano: table.oldest_unix_nano.unwrap_or(0),
        newest_unix_nano: table.newest_unix_nano.unwrap_or(0),
        applied_rows: table.applied_rows,
        evicted_rows: table.evicted_rows,
        disk_rows: table.block_rows,
        disk_bytes: table.block_bytes,
        blocks: table.block_count,
    }
}

/// Unreadable blocks that are named; their number is always said.
const UNREADABLE_SHOWN: usize = 3;

fn storage_status(shared: &Shared, store: &Stats, durable: &DurableStats) -> v1::StorageStatus {
    let directory = shared.config.store_directory.as_ref();
    let sum = |count: fn(&TableStats) -> u64| count(&store.spans) + count(&store.logs);
    v1::StorageStatus {
        directory: directory.map_or_else(String::new, |path| path.display().to_string()),
        disk_bytes: durable.disk_bytes,
        disk_bytes_max: durable.disk_bytes_max,
        age_max_ms: durable.retention_age_max_ms,
        disk_free_bytes: durable.disk_free_bytes,
        disk_reserve_bytes: durable.disk_reserve_bytes,
        flushes_waiting: u32::try_from(durable.generations_waiting).unwrap_or(u32::MAX),
        flushes: durable.flushes,
        merges: durable.compactions,
        expired_rows_by_age: sum(|table| table.expired_rows_by_age),
        expired_rows_by_bytes: sum(|table| table.expired_rows_by_bytes),
        last_flush_unix_nano: durable.last_flush_unix_nano.unwrap_or(0),
        seen_batches: durable.seen_batches,
        failed_reads: sum(|table| table.failed_reads),
        health: storage_health(durable, shared.store.last_read_error()),
    }
}

/// The worst first.
fn storage_health(durable: &DurableStats, read_error: Option<String>) -> String {
    if let Some(why) = &durable.failing {
        return format!("nothing is written at the moment, and is tried again: {why}");
    }
    let unreadable = durable.unreadable.len();
    if unreadable > 0 {
        let named = durable.unreadable.iter().take(UNREADABLE_SHOWN);
        let named: Vec<&str> = named.map(String::as_str).collect();
        return format!("{unreadable} blocks cannot be read: {}", named.join("; "));
    }
    if let Some(why) = read_error {
        return format!("reads of blocks have failed since the start, the last one: {why}");
    }
    if let Some(why) = &durable.last_error {
        return why.clone();
    }
    match durable.disk_free_bytes {
        Some(free) if free < durable.disk_reserve_bytes => format!(
            "the disk is nearly full: {free} bytes are free, {} have to stay so; the oldest blocks leave early",
            durable.disk_reserve_bytes
        ),
        _ => "ready".to_owned(),
    }
}

fn transport_status(shared: &Shared, error: Option<&str>) -> v1::TransportStatus {
    let capabilities = shared.transport.capabilities();
    let usage = shared.transport.usage();
    let health = match (shared.transport.health(), error) {
        (TransportHealth::Ready, None) => "ready".to_owned(),
        (TransportHealth::Ready, Some(error)) => error.to_owned(),
        (TransportHealth::Degraded(why), _) => format!("degraded: {why}"),
        (TransportHealth::Full, _) => {
            "full: publishes are refused until there is room again".to_owned()
        }
        (TransportHealth::Failed(why), _) => format!("failed: {why}"),
    };
    v1::TransportStatus {
        kind: capabilities.kind.to_owned(),
        log_id: shared.log_id.to_string(),
        durability: durability(capabilities).to_owned(),
        survives_process_crash: capabilities.survives_process_crash,
        survives_os_crash: capabilities.survives_os_crash,
        survives_node_loss: capabilities.survives_node_loss,
        health,
        partitions: u32::from(shared.transport.partitions().get()),
        envelope_bytes_max: capabilities.envelope_bytes_max as u64,
        when_full: when_full(capabilities.when_full).to_owned(),
        segments: usage.segments,
        bytes: usage.bytes,
        bytes_max: usage.bytes_max,
        disk_free_bytes: usage.disk_free_bytes,
        disk_reserve_bytes: usage.disk_reserve_bytes,
        queued_bytes: usage.queued_bytes,
        queued_bytes_max: usage.queued_bytes_max,
        retention_waits: capabilities.retention_waits_for_groups,
    }
}

fn when_full(policy: FullPolicy) -> &'static str {
    match policy {
        FullPolicy::Reject => {
            "When it is full, requests are refused with a status that clients retry."
        }
        FullPolicy::DropOldest => "When it is full, the oldest envelopes leave, also unread ones.",
    }
}

/// What an ack is worth.
fn durability(capabilities: &Capabilities) -> &'static str {
    let Capabilities {
        survives_process_crash: process,
        survives_os_crash: os,
        survives_node_loss: node,
        ..
    } = *capabilities;
    match (process, os, node) {
        (false, _, _) => "An acked record is in memory only: it is gone when the process ends.",
        (true, false, false) => {
            "An acked record survives a crash of the process, but not a loss of power."
        }
        (true, true, false) => {
            "An acked record is on disk: it survives a crash of the process and a loss of power."
        }
        (true, false, true) => {
            "An acked record is on several machines: it survives the loss of one, but not a loss of power of all."
        }
        (true, true, true) => {
            "An acked record is on the disks of several machines: it survives the loss of one and a loss of power."
        }
    }
}

fn health_text(progress: &Progress) -> String {
    match progress.health() {
        Health::Ready => "ready".to_owned(),
        Health::Degraded(why) => format!("degraded: {why}"),
        Health::Failed(why) => format!("failed: {why}"),
    }
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
