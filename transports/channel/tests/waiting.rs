//! Who waits for room, in which order and how many; and what leaves to make it. The obligations that every transport has
//! are in `conformance.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use log_tracer_transport::{
    Acked, BatchId, CommitError, Cursor, Envelope, Group, Kind, Offset, Part, Partition,
    PublishError, ReadError, ReadOptions, Start, Transport,
};
use log_tracer_transport_channel::{ChannelTransport, Config};
use tokio::{
    spawn,
    task::{JoinHandle, yield_now},
    time::Instant,
};

/// An envelope of which exactly ten fit into the logs of this file.
const PAYLOAD_BYTES: usize = 1000 - Envelope::HEADER_BYTES - 128;

fn config() -> Config {
    Config {
        retained_bytes_max: 10_000,
        envelope_bytes_max: 9_000,
        ..Config::default()
    }
}

fn open(config: &Config) -> Arc<ChannelTransport> {
    Arc::new(ChannelTransport::open(config).unwrap())
}

fn envelope(batch: u128) -> Envelope {
    Envelope {
        partition: Partition(0),
        kind: Kind::Logs,
        batch: BatchId(batch),
        part: Part::WHOLE,
        records: 1,
        received_unix_nano: 1,
        payload: Bytes::from(vec![7; PAYLOAD_BYTES]),
        is_checked: false,
    }
}

fn envelopes(batches: std::ops::Range<u128>) -> Vec<Envelope> {
    batches.map(envelope).collect()
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

type Publishing = JoinHandle<Result<Vec<Acked>, PublishError>>;

/// Starts a publish and lets it get as far as it can.
async fn start(transport: &Arc<ChannelTransport>, batch: Vec<Envelope>) -> Publishing {
    let transport = Arc::clone(transport);
    let publishing = spawn(async move { transport.publish(batch, far()).await });
    for _ in 0..10 {
        yield_now().await;
    }
    publishing
}

async fn commit(transport: &ChannelTransport, next: u64) {
    let upto = Cursor {
        partition: Partition(0),
        next: Offset(next),
    };
    let group = Group("reader".into());
    transport.commit(&group, &[upto]).await.unwrap();
}

async fn kept(transport: &ChannelTransport) -> std::ops::Range<u64> {
    let watermark = transport.watermarks().await.unwrap()[0];
    watermark.start.unwrap().0..watermark.end.0
}

#[tokio::test(start_paused = true)]
async fn a_log_holds_as_many_bytes_as_configured_and_no_envelope_more() {
    let transport = open(&config());
    transport.publish(envelopes(0..10), far()).await.unwrap();
    let more = transport.publish(envelopes(10..11), Instant::now()).await;
    assert!(matches!(more, Err(PublishError::Busy)), "{more:?}");
    assert_eq!(kept(&transport).await, 0..10);
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_stays_until_its_room_is_needed() {
    let transport = open(&config());
    transport.publish(envelopes(0..10), far()).await.unwrap();
    commit(&transport, 10).await;
    assert_eq!(kept(&transport).await, 0..10);
    transport.publish(envelopes(10..13), far()).await.unwrap();
    assert_eq!(kept(&transport).await, 3..13);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_what_is_stored_needs_no_room() {
    let transport = open(&config());
    let stored = transport.publish(envelopes(0..10), far()).await.unwrap();
    let waiting = start(&transport, envelopes(10..11)).await;
    let retried = transport.publish(envelopes(4..6), Instant::now()).await;
    let duplicates: Vec<Acked> = stored[4..6]
        .iter()
        .map(|acked| Acked {
            duplicate: true,
            ..*acked
        })
        .collect();
    assert_eq!(retried.unwrap(), duplicates);
    assert!(!waiting.is_finished());
}

#[tokio::test(start_paused = true)]
async fn an_envelope_that_has_left_is_still_recognised() {
    let transport = open(&config());
    for batch in 0..30 {
        transport
            .publish(envelopes(batch..batch + 1), far())
            .await
            .unwrap();
        commit(&transport, batch as u64 + 1).await;
    }
    assert_eq!(kept(&transport).await, 20..30);
    let acked = transport.publish(envelopes(3..4), far()).await.unwrap()[0];
    assert_eq!((acked.offset, acked.duplicate), (Offset(3), true));
}

#[tokio::test(start_paused = true)]
async fn only_as_many_batches_are_remembered_as_configured() {
    let transport = open(&Config {
        dedupe_batches_max: 2,
        ..config()
    });
    transport.publish(envelopes(0..3), far()).await.unwrap();
    let acks = transport
        .publish(vec![envelope(2), envelope(1), envelope(0)], far())
        .await
        .unwrap();
    let duplicates: Vec<bool> = acks.iter().map(|acked| acked.duplicate).collect();
    assert_eq!(duplicates, [true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_large_publish_is_not_overtaken_by_small_ones() {
    let transport = open(&config());
    transport.publish(envelopes(0..10), far()).await.unwrap();
    let large = start(&transport, envelopes(10..15)).await;
    let small = start(&transport, envelopes(15..16)).await;
    commit(&transport, 1).await;
    yield_now().await;
    assert!(!large.is_finished() && !small.is_finished());
    commit(&transport, 6).await;
    assert_eq!(large.await.unwrap().unwrap()[0].offset, Offset(10));
    assert_eq!(small.await.unwrap().unwrap()[0].offset, Offset(15));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_and_more_is_refused_at_once() {
    let transport = open(&Config {
        queue_bytes_max: 3_000,
        ..config()
    });
    transport.publish(envelopes(0..10), far()).await.unwrap();
    let waiting = start(&transport, envelopes(10..12)).await;
    let also_waiting = start(&transport, envelopes(12..13)).await;
    let before = Instant::now();
    let refused = transport.publish(envelopes(13..14), far()).await;
    assert!(matches!(refused, Err(PublishError::Busy)), "{refused:?}");
    assert_eq!(before.elapsed(), Duration::ZERO);

    // One that is dropped gives its place to the next.
    also_waiting.abort();
    assert!(also_waiting.await.unwrap_err().is_cancelled());
    let next = start(&transport, envelopes(13..14)).await;
    assert!(!next.is_finished() && !waiting.is_finished());
    commit(&transport, 10).await;
    assert_eq!(waiting.await.unwrap().unwrap()[0].offset, Offset(10));
    assert_eq!(next.await.unwrap().unwrap()[0].offset, Offset(12));
}

#[tokio::test(start_paused = true)]
async fn one_publish_may_always_wait_however_large_it_is() {
    let transport = open(&Config {
        queue_bytes_max: 0,
        ..config()
    });
    transport.publish(envelopes(0..10), far()).await.unwrap();
    let waiting = start(&transport, envelopes(10..15)).await;
    assert!(!waiting.is_finished());
    commit(&transport, 10).await;
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_can_never_fit_is_a_fault_of_the_caller() {
    let transport = open(&config());
    let refused = transport.publish(envelopes(0..11), far()).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "invalid publish: a publish of 11000 bytes never fits the 10000 of retained_bytes_max"
    );
    assert_eq!(kept(&transport).await, 0..0);
}

#[tokio::test(start_paused = true)]
async fn groups_are_bounded_and_those_that_are_there_go_on() {
    let transport = open(&config());
    let group = |number: u32| Group(format!("group-{number}"));
    for number in 0..1024 {
        transport.commit(&group(number), &[]).await.unwrap();
    }
    let refused = transport.commit(&group(1024), &[]).await;
    assert!(
        matches!(refused, Err(CommitError::Invalid(_))),
        "{refused:?}"
    );
    transport.commit(&group(7), &[]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_a_dropped_transport_reads_what_is_there_and_is_told_then() {
    let transport = open(&config());
    transport.publish(envelopes(0..5), far()).await.unwrap();
    let from = vec![(Partition(0), Start::Earliest)];
    let mut reader = transport
        .subscribe(from, ReadOptions::default())
        .await
        .unwrap();
    drop(transport);
    let rest = reader.next().await.unwrap().unwrap();
    assert_eq!(rest.items.len(), 5);
    assert!(matches!(reader.next().await, Err(ReadError::Closed)));
}
