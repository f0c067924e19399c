//! What leaves and when, what is remembered of it, and whose log it is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use log_tracer_transport::{Offset, OpenError, PublishError, ReadError, Start, Transport};
use log_tracer_transport_disk::{Config, DiskTransport, WhenFull};
use support::{close, commit, config, envelope, eventually, fake::FakeFiles, open, publish};

/// Envelopes of which four or five fit into a segment.
const PAYLOAD: usize = 700;

async fn fill(transport: &DiskTransport, numbers: std::ops::Range<u64>) {
    for number in numbers {
        publish(transport, vec![envelope(0, number, PAYLOAD)])
            .await
            .unwrap();
    }
}

async fn start(transport: &DiskTransport) -> u64 {
    transport.watermarks().await.unwrap()[0].start.unwrap().0
}

/// Where the log starts after what might leave, wrongly, has had the time to.
async fn start_later(transport: &DiskTransport) -> u64 {
    tokio::time::sleep(Duration::from_millis(50)).await;
    start(transport).await
}

/// Waits until the log starts beyond an offset.
async fn starts_beyond(transport: &DiskTransport, offset: u64) {
    for _ in 0..5000 {
        if start(transport).await > offset {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the log never starts beyond {offset}");
}

#[tokio::test]
async fn what_was_committed_leaves_as_soon_as_its_segment_is_full() {
    let files = FakeFiles::default();
    let transport = open(&files, &config()).await.unwrap();
    fill(&transport, 0..20).await;
    assert_eq!(start_later(&transport).await, 0);
    commit(&transport, 0, 10).await;
    starts_beyond(&transport, 5).await;
    let first = start_later(&transport).await;
    assert!(first <= 10, "{first}");
    // Its files are gone as well, but for one that is kept to be used again.
    let segments = || transport.usage().segments.unwrap();
    eventually("the files are removed", || {
        let names = files.disk().names(support::DIRECTORY.as_ref());
        names
            .iter()
            .filter(|name| name.ends_with(".segment"))
            .count() as u64
            <= segments() + 1
    })
    .await;
    assert_eq!(transport.usage().bytes, Some(segments() * (4 << 10)));
    close(&transport).await;
    let reopened = open(&files, &config()).await.unwrap();
    assert_eq!(start(&reopened).await, first);
}

#[tokio::test]
async fn bytes_to_be_kept_stay_although_they_are_committed() {
    let config = Config {
        retention_bytes: 5 * (4 << 10),
        ..config()
    };
    let transport = open(&FakeFiles::default(), &config).await.unwrap();
    fill(&transport, 0..60).await;
    commit(&transport, 0, 60).await;
    eventually("five segments are left", || {
        transport.usage().segments == Some(5)
    })
    .await;
    start_later(&transport).await;
    assert_eq!(transport.usage().segments, Some(5));
}

#[tokio::test]
async fn room_that_is_needed_is_taken_from_what_is_kept_although_committed() {
    let config = Config {
        retention_age_seconds: 3600,
        retained_bytes_max: 10 * (4 << 10),
        envelope_bytes_max: 1 << 10,
        ..config()
    };
    let transport = open(&FakeFiles::default(), &config).await.unwrap();
    for number in 0..100 {
        publish(&transport, vec![envelope(0, number, PAYLOAD)])
            .await
            .unwrap();
        commit(&transport, 0, number + 1).await;
    }
    assert!(transport.usage().segments >= Some(9));
    assert_eq!(transport.usage().dropped_envelopes, Some(0));
}

#[tokio::test]
async fn age_is_measured_by_a_clock_that_does_not_jump() {
    let files = FakeFiles::default();
    let config = Config {
        retention_age_seconds: 3600,
        ..config()
    };
    let transport = open(&files, &config).await.unwrap();
    fill(&transport, 0..20).await;
    commit(&transport, 0, 20).await;
    // The time of day jumps to and fro, and nothing has become older.
    for hours in [100, -300, 200] {
        files.jump(hours * 3_600_000);
        fill(&transport, 20..21).await;
        assert_eq!(start_later(&transport).await, 0);
    }
    files.pass(Duration::from_secs(3601));
    starts_beyond(&transport, 10).await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_before_a_restart_keeps_nothing_for_years() {
    let files = FakeFiles::default();
    let config = Config {
        retention_age_seconds: 3600,
        ..config()
    };
    files.jump(1000 * 3_600_000);
    let transport = open(&files, &config).await.unwrap();
    fill(&transport, 0..20).await;
    close(&transport).await;
    files.jump(-1000 * 3_600_000);
    let transport = open(&files, &config).await.unwrap();
    commit(&transport, 0, 20).await;
    assert_eq!(start_later(&transport).await, 0);
    files.pass(Duration::from_secs(3601));
    starts_beyond(&transport, 10).await;
}

#[tokio::test]
async fn what_is_dropped_before_it_was_committed_is_counted() {
    let config = Config {
        when_full: WhenFull::DropOldest,
        retained_bytes_max: 10 * (4 << 10),
        envelope_bytes_max: 1 << 10,
        ..config()
    };
    let transport = open(&FakeFiles::default(), &config).await.unwrap();
    fill(&transport, 0..10).await;
    commit(&transport, 0, 4).await;
    fill(&transport, 10..100).await;
    // The thread that keeps house may still be making room for the next segment.
    loop {
        let first = start(&transport).await;
        let dropped = transport.usage().dropped_envelopes;
        let from = vec![(log_tracer_transport::Partition(0), Start::At(Offset(4)))];
        let read = transport
            .subscribe(from, log_tracer_transport::ReadOptions::default())
            .await;
        if start(&transport).await == first {
            assert!(first > 10, "{first}");
            assert_eq!(dropped, Some(first - 4));
            assert!(
                matches!(read, Err(ReadError::Evicted { first: found, .. }) if found.0 == first)
            );
            break;
        }
    }
}

#[tokio::test]
async fn a_batch_is_recognised_after_restarts_and_after_it_has_left() {
    let files = FakeFiles::default();
    let mut transport = open(&files, &config()).await.unwrap();
    for number in 0..60 {
        publish(&transport, vec![envelope(0, number, PAYLOAD)])
            .await
            .unwrap();
        commit(&transport, 0, number + 1).await;
    }
    for cleanly in [true, false, true] {
        if cleanly {
            close(&transport).await;
        }
        drop(transport);
        transport = open(&files, &config()).await.unwrap();
        assert!(start(&transport).await > 50);
        // 64 are remembered.
        for number in [0, 30, 59] {
            let acked = publish(&transport, vec![envelope(0, number, PAYLOAD)])
                .await
                .unwrap()[0];
            assert_eq!(
                (acked.offset, acked.duplicate),
                (Offset(number), true),
                "{cleanly}"
            );
        }
    }
    publish(
        &transport,
        (100..164).map(|number| envelope(0, number, 10)).collect(),
    )
    .await
    .unwrap();
    let acked = publish(&transport, vec![envelope(0, 59, PAYLOAD)])
        .await
        .unwrap()[0];
    assert!(!acked.duplicate);
}

#[tokio::test]
async fn a_call_larger_than_a_segment_is_stored_as_one() {
    let files = FakeFiles::default();
    let transport = open(&files, &config()).await.unwrap();
    fill(&transport, 0..3).await;
    let large: Vec<_> = (100..130)
        .map(|number| envelope(1, number, PAYLOAD))
        .collect();
    let acks = publish(&transport, large.clone()).await.unwrap();
    assert_eq!(acks.len(), 30);
    fill(&transport, 3..6).await;
    drop(transport);
    let reopened = open(&files, &config()).await.unwrap();
    let read = support::read_all(&reopened).await.unwrap();
    assert_eq!(read[&0].len(), 6);
    let found: Vec<_> = read[&1].iter().map(|(_, one)| one.clone()).collect();
    assert_eq!(found, large);
}

#[tokio::test]
async fn a_call_that_can_never_fit_is_a_fault_of_the_caller() {
    let transport = open(&FakeFiles::default(), &config()).await.unwrap();
    let batch = (0..20).map(|number| envelope(0, number, 10_000)).collect();
    let refused = publish(&transport, batch).await;
    assert!(
        matches!(&refused, Err(PublishError::Invalid(why)) if why.contains("retained_bytes_max")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_with_what_to_do() {
    let files = FakeFiles::default();
    let transport = open(&files, &config()).await.unwrap();
    let log_id = transport.log_id();
    close(&transport).await;
    let three = Config {
        partitions: NonZeroU16::new(3).unwrap(),
        ..config()
    };
    let refused = DiskTransport::open_with(&three, Arc::new(files.clone())).await;
    let Err(OpenError::Failed(error)) = refused else {
        panic!("{refused:?}");
    };
    let error = error.to_string();
    assert!(
        error.contains("partitions = 2") && error.contains("another directory"),
        "{error}"
    );
    assert_eq!(open(&files, &config()).await.unwrap().log_id(), log_id);
    // Without its directory it is another log.
    let new = open(&FakeFiles::default(), &three).await.unwrap();
    assert_ne!(new.log_id(), log_id);
}

#[tokio::test]
async fn a_journal_that_crashes_again_and_again_does_not_grow() {
    let files = FakeFiles::default();
    let mut transport = open(&files, &config()).await.unwrap();
    fill(&transport, 0..7).await;
    for _ in 0..20 {
        drop(transport);
        transport = open(&files, &config()).await.unwrap();
    }
    assert!(
        transport.usage().segments <= Some(4),
        "{:?}",
        transport.usage()
    );
    assert_eq!(support::read_all(&transport).await.unwrap()[&0].len(), 7);
}

#[tokio::test]
async fn other_sizes_of_segments_can_be_configured_for_a_journal_that_is_there() {
    let files = FakeFiles::default();
    for (round, bytes) in [4 << 10, 16 << 10, 8 << 10].into_iter().enumerate() {
        let config = Config {
            segment_bytes: bytes,
            ..config()
        };
        let transport = open(&files, &config).await.unwrap();
        let first = round as u64 * 100;
        fill(&transport, first..first + 30).await;
        if round != 1 {
            close(&transport).await;
        }
    }
    let transport = open(&files, &config()).await.unwrap();
    assert_eq!(support::read_all(&transport).await.unwrap()[&0].len(), 90);
}
