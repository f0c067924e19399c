//! What the log and the store take on disk, beside their limits.

use log_tracer_proto::v1::{StorageStatus, TransportStatus};
use serde::Serialize;

use super::READY;
use crate::{
    charts,
    units::{age, bytes, clip, count, duration, percent},
};

/// A part of the pipeline that has limits.
#[derive(Debug, Serialize)]
pub(super) struct PartView {
    health: String,
    healthy: bool,
    place: String,
    gauges: Vec<Gauge>,
    facts: Vec<Fact>,
}

/// Something that is filled up to a limit.
#[derive(Debug, Serialize)]
struct Gauge {
    name: &'static str,
    words: String,
    share: String,
    width: String,
    tone: &'static str,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

/// The share of a limit from which a person should know.
const NEARLY_FULL: f64 = 0.9;

impl Gauge {
    fn new(name: &'static str, used: u64, limit: u64) -> Self {
        Self {
            name,
            words: format!("{} of {}", bytes(used), bytes(limit)),
            share: percent(used, limit),
            width: charts::percent(used as f64, limit as f64),
            tone: match used as f64 >= limit as f64 * NEARLY_FULL {
                true => "warn",
                false => "good",
            },
        }
    }
}

fn fact(name: &'static str, value: impl Into<String>) -> Fact {
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
    let gauges = transport
        .bytes_max
        .map(|limit| Gauge::new("Log", used, limit));
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
        gauges: gauges.into_iter().collect(),
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
