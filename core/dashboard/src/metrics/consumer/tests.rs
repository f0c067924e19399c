//! A status as samples.

use log_tracer_proto::v1::{
    ConsumerRole, ConsumerStatus, PartitionStatus, Signal, StatusResponse, StorageStatus,
    StoreStatus, TransportStatus,
};

use super::*;
use crate::metrics::write::{Format, tests::samples};

fn status() -> StatusResponse {
    StatusResponse {
        name: "c\"1".to_owned(),
        version: "1.2".to_owned(),
        started_unix_nano: 1_500_000_000,
        health: "ready".to_owned(),
        duplicate_envelopes: 7,
        transport: Some(TransportStatus {
            kind: "disk".to_owned(),
            log_id: "l".to_owned(),
            health: "full".to_owned(),
            bytes: Some(5),
            ..TransportStatus::default()
        }),
        partitions: vec![PartitionStatus {
            partition: 3,
            applied_next: 10,
            log_end: 14,
            health: "ready".to_owned(),
            ..PartitionStatus::default()
        }],
        stores: vec![
            StoreStatus {
                signal: Signal::Spans.into(),
                rows: 11,
                ..StoreStatus::default()
            },
            StoreStatus {
                signal: Signal::Logs.into(),
                newest_unix_nano: 2_000_000_000,
                ..StoreStatus::default()
            },
        ],
        consumers: vec![
            ConsumerStatus {
                address: "http://10.0.0.5:4319".to_owned(),
                role: ConsumerRole::Asked.into(),
                lag: 6,
                latency_us: 1_500,
                ..ConsumerStatus::default()
            },
            ConsumerStatus {
                address: "http://10.0.0.6:4319".to_owned(),
                role: ConsumerRole::Away.into(),
                ..ConsumerStatus::default()
            },
        ],
        storage: Some(StorageStatus {
            expired_rows_by_age: 9,
            health: "ready".to_owned(),
            ..StorageStatus::default()
        }),
        ..StatusResponse::default()
    }
}

#[test]
fn a_status_becomes_samples_in_base_units() {
    for format in [Format::Text, Format::OpenMetrics] {
        let mut page = Page::new(format);
        write(&status(), &mut page);
        let samples = samples(&page.finish(), format);
        for (name, want) in [
            (
                "log_tracer_consumer_info{consumer=\"c\\\"1\",version=\"1.2\",transport=\"disk\",log_id=\"l\"}",
                1.0,
            ),
            ("log_tracer_consumer_healthy", 1.0),
            (
                "log_tracer_consumer_member_up{address=\"http://10.0.0.6:4319\"}",
                0.0,
            ),
            (
                "log_tracer_consumer_member_lag_envelopes{address=\"http://10.0.0.5:4319\"}",
                6.0,
            ),
            (
                "log_tracer_consumer_member_latency_seconds{address=\"http://10.0.0.5:4319\"}",
                0.0015,
            ),
            ("log_tracer_consumer_start_time_seconds", 1.5),
            ("log_tracer_consumer_duplicate_envelopes_total", 7.0),
            ("log_tracer_transport_healthy{transport=\"disk\"}", 0.0),
            ("log_tracer_transport_log_bytes{transport=\"disk\"}", 5.0),
            ("log_tracer_partition_lag_envelopes{partition=\"3\"}", 4.0),
            ("log_tracer_store_rows{signal=\"spans\"}", 11.0),
            (
                "log_tracer_store_newest_timestamp_seconds{signal=\"logs\"}",
                2.0,
            ),
            ("log_tracer_storage_expired_rows_total{reason=\"age\"}", 9.0),
        ] {
            assert_eq!(samples.get(name), Some(&want), "{name}");
        }
    }
}

#[test]
fn what_is_not_known_is_left_away() {
    let mut page = Page::new(Format::Text);
    write(&status(), &mut page);
    let text = page.finish();
    for name in [
        "log_tracer_transport_log_max_bytes",
        "log_tracer_storage_disk_free_bytes",
        "log_tracer_storage_last_flush_timestamp_seconds",
    ] {
        assert!(!text.contains(name), "{name}");
    }
    let mut page = Page::new(Format::Text);
    write(&StatusResponse::default(), &mut page);
    samples(&page.finish(), Format::Text);
}
