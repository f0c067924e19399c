//! Tails: nothing is missed, nothing comes twice, and what a slow reader loses is counted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    Harness, body, failed, log_envelope, logs, one_log, record, resource, scope, span,
    span_envelope, spans,
};
use log_tracer_consumer::Config;
use log_tracer_proto::v1;
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

async fn tail(
    harness: &mut Harness,
    signal: v1::Signal,
    query: &str,
    backlog: u32,
) -> Streaming<v1::TailResponse> {
    let request = v1::TailRequest {
        signal: signal as i32,
        query: query.to_owned(),
        backlog,
    };
    harness.client.tail(request).await.unwrap().into_inner()
}

/// Reads messages until so many records came or were dropped; their bodies, and how many were dropped.
async fn read(tail: &mut Streaming<v1::TailResponse>, records: u64) -> (Vec<String>, u64) {
    let (mut bodies, mut dropped) = (Vec::new(), 0);
    while bodies.len() as u64 + dropped < records {
        let message = tokio::time::timeout_at(common::soon(), tail.message()).await;
        let message = message.expect("nothing comes").unwrap().unwrap();
        dropped += message.dropped;
        for hit in message.hits {
            bodies.push(body(&hit.record.unwrap()));
        }
    }
    (bodies, dropped)
}

#[tokio::test]
async fn matching_logs_arrive_with_what_they_belong_to() {
    let mut harness = Harness::start().await;
    let mut tail = tail(&mut harness, v1::Signal::Logs, "service:shop", 0).await;
    let acks = harness
        .write(vec![log_envelope(
            1,
            vec![
                logs("other", vec![record("not for this tail", 0)]),
                logs("shop", vec![record("for this tail", 1)]),
            ],
        )])
        .await;
    let message = tail.message().await.unwrap().unwrap();
    assert_eq!(message.dropped, 0);
    assert_eq!(message.hits.len(), 1);
    let hit = &message.hits[0];
    assert_eq!(hit.record, Some(record("for this tail", 1)));
    let key = hit.key.unwrap();
    assert_eq!(
        (key.partition, key.offset, key.index),
        (0, acks[0].offset.0, 1)
    );
    assert_eq!(
        message.resources[hit.resource as usize].resource,
        Some(resource("shop"))
    );
    assert_eq!(message.scopes[hit.scope as usize].scope, Some(scope()));
    assert!(message.spans.is_empty());
}

#[tokio::test]
async fn a_tail_of_spans_sees_spans_alone() {
    let mut harness = Harness::start().await;
    let mut tail = tail(&mut harness, v1::Signal::Spans, "status:error", 0).await;
    let bad = failed(span(1, 2, 1, "charge", 1, 1), "declined");
    harness
        .write(vec![
            one_log(1, "a log", 0),
            span_envelope(
                2,
                vec![spans(
                    "shop",
                    vec![span(1, 1, 0, "fine", 0, 9), bad.clone()],
                )],
            ),
        ])
        .await;
    let message = tail.message().await.unwrap().unwrap();
    assert!(message.hits.is_empty());
    let received: Vec<_> = message
        .spans
        .into_iter()
        .map(|hit| hit.span.unwrap())
        .collect();
    assert_eq!(received, [bad]);
}

#[tokio::test]
async fn the_backlog_comes_first_and_oldest_first() {
    let mut harness = Harness::start().await;
    let old = (0..5)
        .map(|n| one_log(n, &format!("old {n}"), n as u64))
        .collect();
    harness.write(old).await;
    let mut tail = tail(&mut harness, v1::Signal::Logs, "", 3).await;
    harness.publish(vec![one_log(10, "new", 10)]).await;
    let (bodies, dropped) = read(&mut tail, 4).await;
    assert_eq!(bodies, ["old 2", "old 3", "old 4", "new"]);
    assert_eq!(dropped, 0);
}

#[tokio::test]
async fn a_tail_that_begins_amid_writes_misses_nothing_and_repeats_nothing() {
    let mut harness = Harness::start().await;
    let transport = std::sync::Arc::clone(&harness.transport);
    let writer = tokio::spawn(async move {
        for n in 0..300_u64 {
            let envelope = one_log(u128::from(n), &format!("{n:03}"), n);
            log_tracer_transport::Transport::publish(&*transport, vec![envelope], common::soon())
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
    });
    // Several, so that some begin at awkward moments.
    let mut tails = Vec::new();
    for _ in 0..10 {
        tails.push(tail(&mut harness, v1::Signal::Logs, "", 1_000).await);
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    let all: Vec<String> = (0..300).map(|n| format!("{n:03}")).collect();
    for mut tail in tails {
        assert_eq!(read(&mut tail, 300).await, (all.clone(), 0));
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_exactly_how_much_it_lost_and_a_fast_one_loses_nothing() {
    let mut config = Config::default();
    config.tail.queue_records_max = 50;
    config.query.piece_bytes_max = 4 << 10;
    let mut harness = Harness::with(config, 1).await;
    let mut slow = tail(&mut harness, v1::Signal::Logs, "service:shop", 0).await;
    let mut fast = tail(&mut harness, v1::Signal::Logs, "service:rare", 0).await;

    // Far more than the queue and all buffers of the connection hold, while nobody reads.
    let padding = "x".repeat(1_000);
    let mut written = 0;
    for batch in 0..20_u64 {
        let mut records: Vec<_> = (0..200)
            .map(|n| record(&format!("{:05} {padding}", batch * 200 + n), n))
            .collect();
        written += records.len() as u64;
        let rare = logs("rare", vec![records.remove(0)]);
        written -= 1;
        harness
            .write(vec![log_envelope(
                u128::from(batch),
                vec![rare, logs("shop", records)],
            )])
            .await;
    }
    let (bodies, dropped) = read(&mut slow, written).await;
    assert!(dropped > 0);
    assert_eq!(bodies.len() as u64 + dropped, written);
    assert!(bodies.is_sorted(), "what came is in order");
    let (bodies, dropped) = read(&mut fast, 20).await;
    assert_eq!((bodies.len(), dropped), (20, 0));

    // A loss is told once.
    harness.publish(vec![one_log(1_000, "afterwards", 0)]).await;
    assert_eq!(read(&mut slow, 1).await, (vec!["afterwards".to_owned()], 0));
}

#[tokio::test]
async fn a_record_that_no_message_can_carry_is_counted_as_lost() {
    let mut config = Config::default();
    config.query.answer_bytes_max = 64 << 10;
    config.query.piece_bytes_max = 16 << 10;
    let mut harness = Harness::with(config, 1).await;
    let mut tail = tail(&mut harness, v1::Signal::Logs, "", 0).await;
    harness
        .write(vec![
            one_log(1, &"x".repeat(100 << 10), 0),
            one_log(2, "small", 1),
        ])
        .await;
    assert_eq!(read(&mut tail, 2).await, (vec!["small".to_owned()], 1));
}

#[tokio::test]
async fn a_quiet_tail_shows_that_it_is_alive() {
    let mut config = Config::default();
    config.tail.alive_ms = 10;
    let mut harness = Harness::with(config, 1).await;
    let mut tail = tail(&mut harness, v1::Signal::Logs, "", 0).await;
    for _ in 0..3 {
        let message = tail.message().await.unwrap().unwrap();
        assert_eq!(message, v1::TailResponse::default());
    }
}

#[tokio::test]
async fn tails_end_in_good_order_when_the_consumer_stops() {
    let mut harness = Harness::start().await;
    let mut tail = tail(&mut harness, v1::Signal::Logs, "", 0).await;
    harness.publish(vec![one_log(1, "the last", 0)]).await;
    let consumer = harness.consumer.clone();
    let stopping = tokio::spawn(async move { consumer.stop(common::soon()).await });
    assert_eq!(read(&mut tail, 1).await.0, ["the last"]);
    while let Some(message) = tail.message().await.unwrap() {
        assert_eq!(message, v1::TailResponse::default());
    }
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn readers_are_bounded_and_a_reader_that_left_makes_room() {
    let mut config = Config::default();
    config.tail.readers_max = 2;
    let mut harness = Harness::with(config, 1).await;
    let first = tail(&mut harness, v1::Signal::Logs, "", 0).await;
    let _second = tail(&mut harness, v1::Signal::Logs, "", 0).await;
    let request = v1::TailRequest {
        signal: v1::Signal::Logs as i32,
        ..v1::TailRequest::default()
    };
    let refused = harness.client.tail(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.get_details_retry_info().is_some());
    assert_eq!(harness.status().await.tail_readers, 2);

    drop(first);
    harness.until(|status| status.tail_readers == 1).await;
    harness.client.tail(request).await.unwrap();
}
