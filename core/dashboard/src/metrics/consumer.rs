//! What a consumer says about itself, its store and its transport.

use log_tracer_proto::v1::{
    ConsumerRole, ConsumerStatus, PartitionStatus, Signal, StatusResponse, StorageStatus,
    StoreStatus, TransportStatus,
};

use super::{
    own::seconds,
    write::{Kind, Label, Page},
};

/// What a part says when nothing is wrong.
const READY: &str = "ready";

/// A family with a sample for each item, and what it is of an item; none leaves the item out.
type Row<T> = (&'static str, Kind, &'static str, fn(&T) -> Option<f64>);

/// Writes everything that is in a status.
pub(super) fn write(status: &StatusResponse, page: &mut Page) {
    consumer(status, page);
    if let Some(transport) = &status.transport {
        let kind = [("transport", transport.kind.as_str())];
        rows(&TRANSPORT, &[transport], |_| kind.to_vec(), page);
    }
    let numbers: Vec<String> = status
        .partitions
        .iter()
        .map(|partition| partition.partition.to_string())
        .collect();
    let partitions: Vec<(&PartitionStatus, &str)> = status
        .partitions
        .iter()
        .zip(numbers.iter().map(String::as_str))
        .collect();
    for (name, kind, help, value) in &PARTITIONS {
        page.family(name, *kind, help);
        for (partition, number) in &partitions {
            if let Some(value) = value(partition) {
                page.sample(&[("partition", number)], value);
            }
        }
    }
    let stores: Vec<&StoreStatus> = status.stores.iter().collect();
    rows(
        &STORES,
        &stores,
        |store| vec![("signal", signal(store))],
        page,
    );
    if let Some(storage) = &status.storage {
        rows(&STORAGE, &[storage], |_| Vec::new(), page);
        page.family(
            "log_tracer_storage_expired_rows",
            Kind::Counter,
            "Rows that retention let go of since the store was made.",
        );
        page.sample(&[("reason", "age")], storage.expired_rows_by_age);
        page.sample(&[("reason", "bytes")], storage.expired_rows_by_bytes);
    }
}

fn consumer(status: &StatusResponse, page: &mut Page) {
    let transport = status.transport.as_ref();
    page.single(
        "log_tracer_consumer_info",
        Kind::Gauge,
        "The consumer's name and version, and the log that it reads; always 1.",
        &[
            ("consumer", &status.name),
            ("version", &status.version),
            (
                "transport",
                transport.map_or("", |transport| &transport.kind),
            ),
            (
                "log_id",
                transport.map_or("", |transport| &transport.log_id),
            ),
        ],
        1_u64,
    );
    rows(&CONSUMER, &[status], |_| Vec::new(), page);
    let members: Vec<&ConsumerStatus> = status.consumers.iter().collect();
    rows(
        &MEMBERS,
        &members,
        |member| vec![("address", member.address.as_str())],
        page,
    );
}

fn rows<'a, T>(
    families: &[Row<T>],
    items: &[&'a T],
    labels: impl Fn(&'a T) -> Vec<Label<'a>>,
    page: &mut Page,
) {
    for (name, kind, help, value) in families {
        let known: Vec<(&'a T, f64)> = items
            .iter()
            .filter_map(|item| Some((*item, value(item)?)))
            .collect();
        if known.is_empty() {
            continue;
        }
        page.family(name, *kind, help);
        for (item, value) in known {
            page.sample(&labels(item), value);
        }
    }
}

fn signal(store: &StoreStatus) -> &'static str {
    match store.signal() {
        Signal::Spans => "spans",
        Signal::Logs => "logs",
        Signal::Unspecified => "unspecified",
    }
}

fn truth(value: bool) -> Option<f64> {
    Some(if value { 1.0 } else { 0.0 })
}

fn time(unix_nano: u64) -> Option<f64> {
    (unix_nano > 0).then(|| seconds(unix_nano))
}

fn number(value: impl Into<u64>) -> Option<f64> {
    Some(value.into() as f64)
}

const CONSUMER: [Row<StatusResponse>; 9] = [
    (
        "log_tracer_consumer_faults",
        Kind::Gauge,
        "What is wrong with how several consumers fit together: how many sentences the status has about it.",
        |s| Some(s.faults.len() as f64),
    ),
    (
        "log_tracer_consumer_healthy",
        Kind::Gauge,
        "Whether nothing is wrong with the consumer.",
        |s| truth(s.health == READY),
    ),
    (
        "log_tracer_consumer_start_time_seconds",
        Kind::Gauge,
        "When the consumer started, since 1970.",
        |s| time(s.started_unix_nano),
    ),
    (
        "log_tracer_consumer_replaying",
        Kind::Gauge,
        "Whether what the log held at the start is still being applied.",
        |s| truth(!s.replaying.is_empty()),
    ),
    (
        "log_tracer_consumer_duplicate_envelopes",
        Kind::Counter,
        "Envelopes that were skipped because they had been applied already.",
        |s| number(s.duplicate_envelopes),
    ),
    (
        "log_tracer_consumer_quarantined_envelopes",
        Kind::Counter,
        "Envelopes that could not be decoded and were set aside.",
        |s| number(s.quarantined_envelopes),
    ),
    (
        "log_tracer_consumer_running_queries",
        Kind::Gauge,
        "Queries that run.",
        |s| number(s.running_queries),
    ),
    (
        "log_tracer_consumer_running_queries_max",
        Kind::Gauge,
        "Queries that may run at the same time.",
        |s| number(s.running_queries_max),
    ),
    (
        "log_tracer_consumer_tail_readers",
        Kind::Gauge,
        "Readers of a tail.",
        |s| number(s.tail_readers),
    ),
];

/// Of each of several consumers that are asked as one.
const MEMBERS: [Row<ConsumerStatus>; 4] = [
    (
        "log_tracer_consumer_member_up",
        Kind::Gauge,
        "Whether one of several consumers answers.",
        |m| truth(m.role() != ConsumerRole::Away),
    ),
    (
        "log_tracer_consumer_member_asked",
        Kind::Gauge,
        "Whether questions go to one of several consumers.",
        |m| truth(m.role() == ConsumerRole::Asked),
    ),
    (
        "log_tracer_consumer_member_lag_envelopes",
        Kind::Gauge,
        "Envelopes that one of several consumers has not applied yet.",
        |m| number(m.lag),
    ),
    (
        "log_tracer_consumer_member_latency_seconds",
        Kind::Gauge,
        "How long the answers of one of several consumers took lately: the median.",
        |m| (m.latency_us > 0).then(|| m.latency_us as f64 / 1e6),
    ),
];

const TRANSPORT: [Row<TransportStatus>; 8] = [
    (
        "log_tracer_transport_healthy",
        Kind::Gauge,
        "Whether nothing is wrong with the transport.",
        |t| truth(t.health == READY),
    ),
    (
        "log_tracer_transport_partitions",
        Kind::Gauge,
        "Partitions of the log.",
        |t| number(t.partitions),
    ),
    (
        "log_tracer_transport_envelope_max_bytes",
        Kind::Gauge,
        "The largest envelope that the log takes.",
        |t| number(t.envelope_bytes_max),
    ),
    (
        "log_tracer_transport_segments",
        Kind::Gauge,
        "Files of the log.",
        |t| number(t.segments?),
    ),
    (
        "log_tracer_transport_log_bytes",
        Kind::Gauge,
        "What the log takes with all overhead.",
        |t| number(t.bytes?),
    ),
    (
        "log_tracer_transport_log_max_bytes",
        Kind::Gauge,
        "What the log may take.",
        |t| number(t.bytes_max?),
    ),
    (
        "log_tracer_transport_disk_free_bytes",
        Kind::Gauge,
        "Free on the file system of the log.",
        |t| number(t.disk_free_bytes?),
    ),
    (
        "log_tracer_transport_disk_reserve_bytes",
        Kind::Gauge,
        "What must stay free there.",
        |t| number(t.disk_reserve_bytes?),
    ),
];

const PARTITIONS: [Row<PartitionStatus>; 8] = [
    (
        "log_tracer_partition_healthy",
        Kind::Gauge,
        "Whether the partition is read.",
        |p| truth(p.health == READY),
    ),
    (
        "log_tracer_partition_applied_next_offset",
        Kind::Gauge,
        "The next offset to apply.",
        |p| number(p.applied_next),
    ),
    (
        "log_tracer_partition_durable_next_offset",
        Kind::Gauge,
        "The first offset that a restart would apply again.",
        |p| number(p.durable_next?),
    ),
    (
        "log_tracer_partition_log_start_offset",
        Kind::Gauge,
        "The first offset that the log still has.",
        |p| number(p.log_start),
    ),
    (
        "log_tracer_partition_log_end_offset",
        Kind::Gauge,
        "The offset of what is published next.",
        |p| number(p.log_end),
    ),
    (
        "log_tracer_partition_lag_envelopes",
        Kind::Gauge,
        "Envelopes that are published and not applied.",
        |p| number(p.log_end.saturating_sub(p.applied_next)),
    ),
    (
        "log_tracer_partition_log_bytes",
        Kind::Gauge,
        "What the partition takes in the log.",
        |p| number(p.log_bytes),
    ),
    (
        "log_tracer_partition_lost_offsets",
        Kind::Counter,
        "Offsets that left the log before they were applied.",
        |p| number(p.lost_offsets),
    ),
];

const STORES: [Row<StoreStatus>; 10] = [
    (
        "log_tracer_store_rows",
        Kind::Gauge,
        "Rows that are kept.",
        |s| number(s.rows),
    ),
    (
        "log_tracer_store_memory_bytes",
        Kind::Gauge,
        "Memory that rows take.",
        |s| number(s.bytes),
    ),
    (
        "log_tracer_store_memory_max_bytes",
        Kind::Gauge,
        "Memory that rows may take.",
        |s| number(s.bytes_max),
    ),
    (
        "log_tracer_store_disk_rows",
        Kind::Gauge,
        "Rows on disk.",
        |s| number(s.disk_rows),
    ),
    (
        "log_tracer_store_disk_bytes",
        Kind::Gauge,
        "Bytes on disk.",
        |s| number(s.disk_bytes),
    ),
    (
        "log_tracer_store_blocks",
        Kind::Gauge,
        "Blocks on disk.",
        |s| number(s.blocks),
    ),
    (
        "log_tracer_store_applied_rows",
        Kind::Counter,
        "Rows applied since the consumer started.",
        |s| number(s.applied_rows),
    ),
    (
        "log_tracer_store_evicted_rows",
        Kind::Counter,
        "Rows that left because a limit was reached, since the consumer started.",
        |s| number(s.evicted_rows),
    ),
    (
        "log_tracer_store_oldest_timestamp_seconds",
        Kind::Gauge,
        "The time of the oldest row, since 1970.",
        |s| time(s.oldest_unix_nano),
    ),
    (
        "log_tracer_store_newest_timestamp_seconds",
        Kind::Gauge,
        "The time of the newest row, since 1970.",
        |s| time(s.newest_unix_nano),
    ),
];

const STORAGE: [Row<StorageStatus>; 12] = [
    (
        "log_tracer_storage_healthy",
        Kind::Gauge,
        "Whether nothing is wrong with the store on disk.",
        |s| truth(s.health == READY),
    ),
    (
        "log_tracer_storage_disk_bytes",
        Kind::Gauge,
        "Bytes of all blocks.",
        |s| number(s.disk_bytes),
    ),
    (
        "log_tracer_storage_disk_max_bytes",
        Kind::Gauge,
        "Bytes of blocks that retention keeps at most.",
        |s| number(s.disk_bytes_max),
    ),
    (
        "log_tracer_storage_age_max_seconds",
        Kind::Gauge,
        "How long retention keeps a record.",
        |s| Some(s.age_max_ms as f64 / 1e3),
    ),
    (
        "log_tracer_storage_disk_free_bytes",
        Kind::Gauge,
        "Free on the file system of the store.",
        |s| number(s.disk_free_bytes?),
    ),
    (
        "log_tracer_storage_disk_reserve_bytes",
        Kind::Gauge,
        "Below this the store warns.",
        |s| number(s.disk_reserve_bytes),
    ),
    (
        "log_tracer_storage_flushes_waiting",
        Kind::Gauge,
        "Handed over to be written and not written yet.",
        |s| number(s.flushes_waiting),
    ),
    (
        "log_tracer_storage_flushes",
        Kind::Counter,
        "Blocks written from memory since the consumer started.",
        |s| number(s.flushes),
    ),
    (
        "log_tracer_storage_merges",
        Kind::Counter,
        "Blocks made of smaller ones since the consumer started.",
        |s| number(s.merges),
    ),
    (
        "log_tracer_storage_last_flush_timestamp_seconds",
        Kind::Gauge,
        "When a block was last written, since 1970.",
        |s| time(s.last_flush_unix_nano),
    ),
    (
        "log_tracer_storage_seen_batches",
        Kind::Gauge,
        "Batches that are remembered to recognise a repeat.",
        |s| number(s.seen_batches),
    ),
    (
        "log_tracer_storage_failed_reads",
        Kind::Counter,
        "Reads that failed since the consumer started.",
        |s| number(s.failed_reads),
    ),
];

#[cfg(test)]
mod tests;
