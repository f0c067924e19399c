//! An envelope that cannot be decoded is set aside whole, can be looked at, and blocks nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use bytes::Bytes;
use common::{EPOCH, Harness, envelope, one_log};
use log_tracer_consumer::{Config, Health};
use log_tracer_proto::v1;
use log_tracer_transport::{Kind, Part};
use tonic::Code;

/// A field of the wrong wire type.
const GARBAGE: &[u8] = &[0x08, 0xff];

async fn export(harness: &mut Harness) -> Vec<(v1::QuarantinedEnvelope, Vec<u8>, usize)> {
    let request = v1::ExportQuarantineRequest {};
    let mut stream = harness
        .client
        .export_quarantine(request)
        .await
        .unwrap()
        .into_inner();
    let mut exported: Vec<(v1::QuarantinedEnvelope, Vec<u8>, usize)> = Vec::new();
    while let Some(piece) = stream.message().await.unwrap() {
        if let Some(envelope) = piece.envelope {
            exported.push((envelope, Vec::new(), 0));
        }
        let (_, data, pieces) = exported.last_mut().unwrap();
        data.extend(piece.data);
        *pieces += 1;
    }
    exported
}

/// Groups are not plain, and prost passes over those that it does not know.
#[tokio::test]
async fn what_is_not_plain_and_can_be_decoded_is_applied() {
    let mut harness = Harness::start().await;
    let mut odd = one_log(1, "odd", 0);
    let mut payload = odd.payload.to_vec();
    payload.extend([0xa3, 0x06, 0xa4, 0x06]);
    odd.payload = payload.into();
    let acks = harness.publish(vec![odd, one_log(2, "plain", 1)]).await;
    harness.wait_for(&acks[1..]).await.unwrap();
    assert_eq!(harness.bodies().await, ["odd", "plain"]);
    assert_eq!(harness.status().await.quarantined_envelopes, 0);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_set_aside_and_what_follows_is_applied() {
    let mut harness = Harness::start().await;
    let mut bad = envelope(0xbad, Kind::Traces, 3, Bytes::from_static(GARBAGE));
    bad.part = Part { index: 1, count: 2 };
    let acks = harness
        .publish(vec![
            one_log(1, "before", 0),
            bad.clone(),
            one_log(2, "after", 1),
        ])
        .await;
    harness.wait_for(&acks[2..]).await.unwrap();
    assert_eq!(harness.bodies().await, ["before", "after"]);

    let status = harness.status().await;
    assert_eq!(status.quarantined_envelopes, 1);
    assert_eq!(status.partitions[0].applied_next, 3);
    assert_eq!(status.quarantine.len(), 1);
    let shown = &status.quarantine[0];
    assert_eq!(shown.position, Some(harness.position(&acks[1])));
    assert_eq!(shown.bytes, GARBAGE.len() as u64);
    assert_eq!(shown.signal(), v1::Signal::Spans);
    assert_eq!(shown.batch_id, format!("{:032x}", 0xbad));
    assert_eq!(
        (shown.part_index, shown.part_count, shown.records),
        (1, 2, 3)
    );
    assert_eq!(shown.received_unix_nano, EPOCH);
    assert!(shown.kept);
    assert!(
        shown.reason.starts_with("not an export request:"),
        "{}",
        shown.reason
    );

    let exported = export(&mut harness).await;
    assert_eq!(exported, [(shown.clone(), GARBAGE.to_vec(), 1)]);

    // It is no fault of the reader, but records are missing from answers.
    assert_eq!(harness.consumer.health(), Health::Ready);
    let services = v1::ListServicesRequest {};
    let services = harness.client.list_services(services).await.unwrap();
    assert_eq!(
        services.into_inner().coverage.unwrap().reasons,
        ["1 envelopes could not be decoded and are in quarantine"]
    );
    let lost = harness.wait_for(&acks[1..2]).await.unwrap_err();
    assert_eq!(lost.code(), Code::DataLoss);
}

#[tokio::test]
async fn fewer_records_than_announced_are_not_taken_for_the_whole() {
    let mut harness = Harness::start().await;
    let mut short = one_log(1, "one of two", 0);
    short.records = 2;
    let acks = harness.publish(vec![short, one_log(2, "after", 1)]).await;
    harness.wait_for(&acks[1..]).await.unwrap();
    assert_eq!(harness.bodies().await, ["after"]);
    let status = harness.status().await;
    assert_eq!(
        status.quarantine[0].reason,
        "2 records were announced and 1 are there"
    );
}

#[tokio::test]
async fn the_same_envelope_again_is_a_duplicate_not_a_second_entry() {
    let mut harness = Harness::start().await;
    let bad = envelope(9, Kind::Logs, 1, Bytes::from_static(GARBAGE));
    let acks = harness
        .publish(vec![bad.clone(), bad, one_log(1, "after", 0)])
        .await;
    harness.wait_for(&acks[2..]).await.unwrap();
    let status = harness.status().await;
    assert_eq!(
        (status.quarantined_envelopes, status.duplicate_envelopes),
        (1, 1)
    );
}

#[tokio::test]
async fn payloads_are_bounded_and_leave_oldest_first() {
    let mut config = Config::default();
    config.apply.quarantine_bytes_max = 5_000;
    config.query.piece_bytes_max = 1_024;
    let mut harness = Harness::with(config, 1).await;
    let bad = |batch: u8| {
        envelope(
            u128::from(batch),
            Kind::Logs,
            1,
            vec![batch | 0x80; 2_000].into(),
        )
    };
    let mut envelopes: Vec<_> = (1..=4).map(bad).collect();
    envelopes.push(envelope(5, Kind::Logs, 1, vec![0xff; 6_000].into()));
    envelopes.push(one_log(100, "after", 0));
    let acks = harness.publish(envelopes).await;
    harness.wait_for(&acks[5..]).await.unwrap();

    let exported = export(&mut harness).await;
    let shown: Vec<_> = exported
        .iter()
        .map(|(envelope, data, pieces)| (envelope.bytes, envelope.kept, data.len(), *pieces))
        .collect();
    assert_eq!(
        shown,
        [
            (2_000, false, 0, 1),
            (2_000, false, 0, 1),
            (2_000, true, 2_000, 2),
            (2_000, true, 2_000, 2),
            (6_000, false, 0, 1),
        ]
    );
    assert_eq!(exported[2].1, vec![3 | 0x80; 2_000]);
    assert_eq!(harness.status().await.quarantined_envelopes, 5);
}
