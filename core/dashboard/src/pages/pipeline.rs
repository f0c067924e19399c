//! The page about the pipeline: what the transport promises, how far the consumer is, and how full the store is.

mod consumers;
mod disk;
mod history;
mod producers;

use http::StatusCode;
use log_tracer_proto::v1::{
    PartitionStatus, QuarantinedEnvelope, Signal, StatusResponse, StoreStatus,
};
use serde::Serialize;
use warp::reply::Response;

use crate::{
    app::App,
    charts,
    clock::{self, Moment},
    fault::Fault,
    reply,
    units::{age, bytes, clip, count, percent, plural},
    views::Shell,
    visitor::Visitor,
};

/// What a healthy part says of itself.
const READY: &str = "ready";

/// Answers `/pipeline`.
pub(crate) async fn page(app: &App, visitor: &Visitor) -> Result<Response, Fault> {
    let now = clock::now();
    let (status, history, producers) = tokio::join!(
        app.ask.status(),
        app.ask.status_history(),
        producers::ask(app, now)
    );
    let status = status?;
    let mut view = view(&status, now);
    match history {
        Ok(history) => view.history = history::view(&history, &status, now),
        // The page is for when something does not work; it says so and shows the rest.
        Err(fault) => view.no_history = clip(fault.message(), 300),
    }
    view.producers = producers;
    let shell = Shell {
        title: "Pipeline",
        section: "pipeline",
        refresh_s: None,
    };
    Ok(reply::html(
        StatusCode::OK,
        app.views.page("pipeline.html", &shell, visitor, &view)?,
    ))
}

/// The state of the pipeline in a line.
#[derive(Debug, Serialize)]
pub(crate) struct Vitals {
    /// "good", "warn" or "bad".
    tone: &'static str,
    /// "Everything that was acknowledged can be found."
    words: String,
    /// What an acknowledgement is worth.
    durability: String,
    transport: String,
}

impl Vitals {
    pub(crate) fn new(status: &StatusResponse) -> Self {
        let transport = status.transport.clone().unwrap_or_default();
        let lag: u64 = status.partitions.iter().map(lag).sum();
        let lost: u64 = status
            .partitions
            .iter()
            .map(|partition| partition.lost_offsets)
            .sum();
        let storage = status.storage.as_ref();
        let storage = storage.map_or(READY, |storage| storage.health.as_str());
        let troubles: Vec<&str> = [status.health.as_str(), transport.health.as_str(), storage]
            .into_iter()
            .chain(
                status
                    .partitions
                    .iter()
                    .map(|partition| partition.health.as_str()),
            )
            .filter(|health| !health.is_empty() && *health != READY)
            .collect();
        let (tone, words) = match troubles.first() {
            Some(trouble) => ("bad", clip(trouble, 200)),
            None if lost > 0 => (
                "bad",
                format!(
                    "{} left the log before they were read",
                    plural(lost, "envelope", "envelopes")
                ),
            ),
            None if consumers::away(status).is_some() => {
                ("warn", consumers::away(status).unwrap_or_default())
            }
            None if !status.replaying.is_empty() => ("warn", clip(&status.replaying, 200)),
            None if lag > 0 => ("warn", behind(lag)),
            None => ("good", "Everything acknowledged can be found".to_owned()),
        };
        Self {
            tone,
            words,
            durability: clip(&transport.durability, 300),
            transport: clip(&transport.kind, 40),
        }
    }
}

/// How far the consumer is behind the log, in the words of all pages.
pub(crate) fn behind(envelopes: u64) -> String {
    match envelopes {
        0 => "no lag".to_owned(),
        envelopes => format!("{} behind", plural(envelopes, "envelope", "envelopes")),
    }
}

fn lag(partition: &PartitionStatus) -> u64 {
    partition.log_end.saturating_sub(partition.applied_next)
}

#[derive(Debug, Serialize)]
struct View {
    vitals: Vitals,
    /// "consumer 0.1.0", "2 consumers 0.1.0".
    who: String,
    started: Moment,
    up: String,
    log_id: String,
    health: String,
    promises: Vec<Promise>,
    history: history::HistoryView,
    /// Why there is no history; empty when there is.
    no_history: String,
    producers: Vec<producers::ProducerView>,
    memory: Option<disk::PartView>,
    /// Whether the log keeps what consumers have not committed.
    retention_waits: bool,
    log: Option<disk::PartView>,
    storage: Option<disk::PartView>,
    partitions: Vec<PartitionView>,
    stores: Vec<StoreView>,
    duplicates: String,
    queries: String,
    tails: String,
    quarantined: String,
    quarantine: Vec<QuarantineView>,
    /// Each of several consumers; empty when there is one.
    consumers: Vec<consumers::ConsumerView>,
    /// What is wrong with how they fit together.
    faults: Vec<String>,
}

/// Something that acknowledged records survive, or do not.
#[derive(Debug, Serialize)]
struct Promise {
    what: &'static str,
    kept: bool,
}

#[derive(Debug, Serialize)]
struct PartitionView {
    number: u32,
    health: String,
    healthy: bool,
    lag: String,
    lags: bool,
    applied: String,
    durable: String,
    /// What the log may forget, as the slowest consumer told it, and for whom it keeps what follows.
    committed: String,
    held: String,
    first: String,
    end: String,
    bytes: String,
    lost: String,
    gaps: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StoreView {
    name: &'static str,
    rows: String,
    bytes: String,
    bytes_max: String,
    share: String,
    width: String,
    oldest: Option<Moment>,
    oldest_age: String,
    newest_age: String,
    applied: String,
    evicted: String,
    disk_rows: String,
    disk_bytes: String,
    blocks: String,
}

#[derive(Debug, Serialize)]
struct QuarantineView {
    place: String,
    signal: &'static str,
    reason: String,
    bytes: String,
    records: String,
    age: String,
    kept: bool,
}

fn view(status: &StatusResponse, now: u64) -> View {
    let transport = status.transport.clone().unwrap_or_default();
    View {
        vitals: Vitals::new(status),
        who: who(status),
        history: history::HistoryView::default(),
        no_history: String::new(),
        producers: Vec::new(),
        memory: disk::memory(status),
        retention_waits: transport.retention_waits,
        started: Moment::new(status.started_unix_nano),
        up: age(now, status.started_unix_nano),
        log_id: clip(&transport.log_id, 64),
        health: clip(&transport.health, 200),
        promises: vec![
            Promise {
                what: "a crash of the process",
                kept: transport.survives_process_crash,
            },
            Promise {
                what: "a loss of power",
                kept: transport.survives_os_crash,
            },
            Promise {
                what: "the loss of a machine",
                kept: transport.survives_node_loss,
            },
        ],
        log: disk::log(&transport),
        storage: status
            .storage
            .as_ref()
            .map(|storage| disk::storage(storage, now)),
        partitions: status
            .partitions
            .iter()
            .map(|partition| partition_view(partition, status))
            .collect(),
        stores: status
            .stores
            .iter()
            .map(|store| store_view(store, now))
            .collect(),
        duplicates: count(status.duplicate_envelopes),
        queries: format!(
            "{} of {}",
            count(status.running_queries.into()),
            count(status.running_queries_max.into())
        ),
        tails: count(status.tail_readers.into()),
        quarantined: count(status.quarantined_envelopes),
        quarantine: status
            .quarantine
            .iter()
            .take(50)
            .map(|envelope| quarantine_view(envelope, now))
            .collect(),
        consumers: consumers::consumers(status, now),
        faults: status
            .faults
            .iter()
            .take(20)
            .map(|fault| clip(fault, 400))
            .collect(),
    }
}

/// Which consumer says all this, and of which version.
fn who(status: &StatusResponse) -> String {
    let name = match status.consumers.as_slice() {
        [] | [_] if status.name.starts_with("consumer") => clip(&status.name, 80),
        [] | [_] => format!("consumer {}", clip(&status.name, 80)),
        all => format!("{} consumers", all.len()),
    };
    match status.version.is_empty() {
        true => name,
        false => format!("{name} {}", clip(&status.version, 40)),
    }
}

/// Who lets the log forget least of a partition, and up to where: none when nobody has told it.
fn floor<'a>(partition: u32, status: &'a StatusResponse) -> Option<(&'a str, u64)> {
    let members = status
        .consumers
        .iter()
        .filter_map(|one| one.status.as_ref());
    let all = match status.consumers.is_empty() {
        true => vec![status],
        false => members.collect(),
    };
    let committed = |one: &'a StatusResponse| {
        let own = one.partitions.iter();
        let own = own.filter(|own| own.partition == partition);
        let next = own.filter_map(|own| own.committed_next).min()?;
        Some((one.name.as_str(), next))
    };
    all.into_iter()
        .filter_map(committed)
        .min_by_key(|(_, next)| *next)
}

fn partition_view(partition: &PartitionStatus, status: &StatusResponse) -> PartitionView {
    let behind = lag(partition);
    let floor = floor(partition.partition, status);
    PartitionView {
        committed: floor.map_or_else(|| "–".to_owned(), |(_, next)| count(next)),
        held: floor.map_or_else(String::new, |(name, next)| {
            let kept = partition.log_end.saturating_sub(next);
            match kept {
                0 => String::new(),
                kept => format!(
                    "{} for {}",
                    plural(kept, "envelope", "envelopes"),
                    clip(name, 60)
                ),
            }
        }),
        number: partition.partition,
        healthy: partition.health.is_empty() || partition.health == READY,
        health: clip(
            if partition.health.is_empty() {
                READY
            } else {
                &partition.health
            },
            200,
        ),
        lag: plural(behind, "envelope", "envelopes"),
        lags: behind > 0,
        applied: count(partition.applied_next),
        durable: partition.durable_next.map_or_else(|| "–".to_owned(), count),
        first: count(partition.log_start),
        end: count(partition.log_end),
        bytes: bytes(partition.log_bytes),
        lost: if partition.lost_offsets == 0 {
            String::new()
        } else {
            count(partition.lost_offsets)
        },
        gaps: partition
            .gaps
            .iter()
            .take(8)
            .map(|gap| {
                format!(
                    "{} to {}",
                    count(gap.first),
                    count(gap.end.saturating_sub(1))
                )
            })
            .collect(),
    }
}

fn store_view(store: &StoreStatus, now: u64) -> StoreView {
    let kept = store.rows > 0;
    StoreView {
        name: match store.signal() {
            Signal::Spans => "Spans",
            Signal::Logs => "Log records",
            Signal::Unspecified => "Other",
        },
        rows: count(store.rows),
        bytes: bytes(store.bytes),
        bytes_max: bytes(store.bytes_max),
        share: percent(store.bytes, store.bytes_max),
        width: charts::percent(store.bytes as f64, store.bytes_max as f64),
        oldest: kept.then(|| Moment::new(store.oldest_unix_nano)),
        oldest_age: if kept {
            age(now, store.oldest_unix_nano)
        } else {
            "–".to_owned()
        },
        newest_age: if kept {
            age(now, store.newest_unix_nano)
        } else {
            "–".to_owned()
        },
        applied: count(store.applied_rows),
        evicted: count(store.evicted_rows),
        disk_rows: count(store.disk_rows),
        disk_bytes: bytes(store.disk_bytes),
        blocks: plural(store.blocks, "block", "blocks"),
    }
}

fn quarantine_view(envelope: &QuarantinedEnvelope, now: u64) -> QuarantineView {
    let position = envelope.position.clone().unwrap_or_default();
    QuarantineView {
        place: format!("{} : {}", position.partition, count(position.offset)),
        signal: match envelope.signal() {
            Signal::Spans => "spans",
            Signal::Logs => "logs",
            Signal::Unspecified => "–",
        },
        reason: clip(&envelope.reason, 300),
        bytes: bytes(envelope.bytes),
        records: count(envelope.records.into()),
        age: age(now, envelope.received_unix_nano),
        kept: envelope.kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(applied_next: u64, lost_offsets: u64, health: &str) -> StatusResponse {
        StatusResponse {
            health: health.to_owned(),
            partitions: vec![PartitionStatus {
                applied_next,
                log_end: 10,
                lost_offsets,
                ..PartitionStatus::default()
            }],
            ..StatusResponse::default()
        }
    }

    #[test]
    fn the_line_says_the_worst_first() {
        assert_eq!(Vitals::new(&status(10, 0, "ready")).tone, "good");
        assert_eq!(
            Vitals::new(&status(8, 0, "ready")).words,
            "2 envelopes behind"
        );
        assert_eq!(Vitals::new(&status(8, 3, "ready")).tone, "bad");
        let broken = Vitals::new(&status(8, 3, "the log is gone"));
        assert_eq!(
            (broken.tone, broken.words.as_str()),
            ("bad", "the log is gone")
        );
    }

    #[test]
    fn a_consumer_is_named_once() {
        let named = |name: &str, consumers: usize| StatusResponse {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            consumers: vec![log_tracer_proto::v1::ConsumerStatus::default(); consumers],
            ..StatusResponse::default()
        };
        assert_eq!(who(&named("consumer", 0)), "consumer 0.1.0");
        assert_eq!(who(&named("consumer-1", 1)), "consumer-1 0.1.0");
        assert_eq!(who(&named("east", 0)), "consumer east 0.1.0");
        assert_eq!(who(&named("a, b", 2)), "2 consumers 0.1.0");
    }

    #[test]
    fn the_slowest_consumer_holds_the_log_back() {
        let of = |name: &str, committed: Option<u64>| log_tracer_proto::v1::ConsumerStatus {
            status: Some(StatusResponse {
                name: name.to_owned(),
                partitions: vec![PartitionStatus {
                    partition: 3,
                    committed_next: committed,
                    ..PartitionStatus::default()
                }],
                ..StatusResponse::default()
            }),
            ..Default::default()
        };
        let mut status = StatusResponse {
            consumers: vec![of("a", Some(90)), of("b", Some(40)), of("c", None)],
            ..StatusResponse::default()
        };
        assert_eq!(floor(3, &status), Some(("b", 40)));
        assert_eq!(floor(4, &status), None);
        let partition = PartitionStatus {
            partition: 3,
            log_end: 100,
            ..PartitionStatus::default()
        };
        assert_eq!(
            partition_view(&partition, &status).held,
            "60 envelopes for b"
        );
        status.consumers.clear();
        assert_eq!(floor(3, &status), None);
    }
}
