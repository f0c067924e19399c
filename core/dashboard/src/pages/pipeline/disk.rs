//! What the log and the store take on disk, beside their limits.

use log_tracer_proto::v1::{Signal, StatusResponse, StorageStatus, TransportStatus};
use serde::Serialize;

use super::READY;
use crate::{
    charts,
    units::{age, bytes, clip, count, duration, percent},
};

/// A part of the pipeline that has limits.
#[derive(Debug, Serialize)]
pub(super) struct PartView {
    pub(super) health: String,
    pub(super) healthy: bool,
    pub(super) place: String,
    pub(super) gauges: Vec<Gauge>,
    pub(super) facts: Vec<Fact>,
}

/// Something that is filled up to a limit.
#[derive(Debug, Serialize)]
pub(super) struct Gauge {
    name: &'static str,
    words: String,
    share: String,
    width: String,
    tone: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Fact {
    name: &'static str,
    value: String,
}

/// The share of a limit from which a person should know.
const NEARLY_FULL: f64 = 0.9;

impl Gauge {
    /// Of bytes.
    pub(super) fn new(name: &'static str, used: u64, limit: u64) -> Self {
        Self::with(name, used, limit, bytes)
    }

    /// Of things.
    pub(super) fn counted(name: &'static str, used: u64, limit: u64) -> Self {
        Self::with(name, used, limit, count)
    }

    fn with(name: &'static str, used: u64, limit: u64, words: fn(u64) -> String) -> Self {
        Self {
            name,
            words: format!("{name}: {} of {}", words(used), words(limit)),
            share: percent(used, limit),
            width: charts::percent(used as f64, limit as f64),
            tone: match used as f64 >= limit as f64 * NEARLY_FULL {
                true => "warn",
                false => "good",
            },
        }
    }
}

pub(super) fn fact(name: &'static str, value: impl Into<String>) -> Fact {
    Fact {
        name,
        value: value.into(),
    }
}

/// What is free on a file system, beside what has to stay free.
fn free(facts: &mut Vec<Fact>, free_bytes: Option<u64>, reserve_bytes: u64) {
    facts.extend(free_bytes.map(|free| fact("Free on its disk", bytes(free))));
    if reserve_bytes > 0 {
        facts.push(fact("Has to stay free", bytes(reserve_bytes)));
    }
}

/// The log between producers and consumers; none for one that cannot tell what it takes.
pub(super) fn log(transport: &TransportStatus) -> Option<PartView> {
    let used = transport.bytes?;
    let queue = transport.queued_bytes.zip(transport.queued_bytes_max);
    let gauges = transport
        .bytes_max
        .map(|limit| Gauge::new("Log", used, limit))
        .into_iter()
        .chain(queue.map(|(used, limit)| Gauge::new("Queue of publishes", used, limit)));
    let mut facts = vec![fact("Partitions", count(transport.partitions.into()))];
    facts.extend(
        transport
            .segments
            .map(|files| fact("Segments", count(files))),
    );
    facts.push(fact(
        "Largest envelope",
        bytes(transport.envelope_bytes_max),
    ));
    free(
        &mut facts,
        transport.disk_free_bytes,
        transport.disk_reserve_bytes.unwrap_or(0),
    );
    Some(PartView {
        healthy: transport.health == READY,
        health: clip(&transport.health, 300),
        place: clip(&transport.when_full, 200),
        gauges: gauges.collect(),
        facts,
    })
}

/// Memory of the process, and what it may fill.
pub(super) fn memory(status: &StatusResponse) -> Option<PartView> {
    let used = status.process_bytes?;
    let mut gauges = Vec::new();
    let mut facts = Vec::new();
    match status.process_bytes_max {
        Some(limit) => gauges.push(Gauge::new("Process", used, limit)),
        None => facts.push(fact("Process, without a limit of the system", bytes(used))),
    }
    for store in &status.stores {
        let name = match store.signal() {
            Signal::Spans => "Spans in memory",
            Signal::Logs => "Log records in memory",
            Signal::Unspecified => continue,
        };
        // Where rows are written to disk, the memory before that has no limit that is told.
        match store.bytes_max {
            0 => facts.push(fact(name, bytes(store.bytes))),
            limit => gauges.push(Gauge::new(name, store.bytes, limit)),
        }
    }
    let queries = u64::from(status.running_queries);
    let queries_max = u64::from(status.running_queries_max);
    gauges.push(Gauge::counted("Queries", queries, queries_max));
    facts.push(fact("Live tails", count(status.tail_readers.into())));
    facts.push(fact("Applied since start", bytes(status.applied_bytes)));
    Some(PartView {
        healthy: true,
        health: match status.consumers.len() {
            0 | 1 => "of the consumer's process".to_owned(),
            all => format!("of {all} consumers together"),
        },
        place: String::new(),
        gauges,
        facts,
    })
}

/// The blocks of the store.
pub(super) fn storage(storage: &StorageStatus, now: u64) -> PartView {
    let mut facts = vec![
        fact(
            "Kept for",
            duration(storage.age_max_ms.saturating_mul(1_000_000)),
        ),
        fact("Rows that grew too old", count(storage.expired_rows_by_age)),
        fact("Rows that made room", count(storage.expired_rows_by_bytes)),
        fact(
            "Last written",
            match storage.last_flush_unix_nano {
                0 => "–".to_owned(),
                then => age(now, then),
            },
        ),
        fact(
            "Waiting to be written",
            count(storage.flushes_waiting.into()),
        ),
        fact("Written since start", count(storage.flushes)),
        fact("Merged since start", count(storage.merges)),
        fact("Batches remembered", count(storage.seen_batches)),
    ];
    if storage.failed_reads > 0 {
        facts.push(fact("Failed reads", count(storage.failed_reads)));
    }
    free(
        &mut facts,
        storage.disk_free_bytes,
        storage.disk_reserve_bytes,
    );
    PartView {
        healthy: storage.health == READY,
        health: clip(&storage.health, 300),
        place: clip(&storage.directory, 200),
        gauges: vec![Gauge::new(
            "Blocks",
            storage.disk_bytes,
            storage.disk_bytes_max,
        )],
        facts,
    }
}
