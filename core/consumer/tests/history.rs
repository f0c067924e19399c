//! How the pipeline went: samples at equal times, bounded in number, of what was applied and what is behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::time::Duration;

use common::{Harness, one_log};
use log_tracer_consumer::Config;
use log_tracer_proto::v1::{StatusHistoryRequest, StatusHistoryResponse, StatusRequest};

async fn history(harness: &mut Harness) -> StatusHistoryResponse {
    let answer = harness.client.status_history(StatusHistoryRequest {}).await;
    answer.unwrap().into_inner()
}

fn config(history_samples_max: usize) -> Config {
    Config {
        history_step_ms: 100,
        history_samples_max,
        ..Config::default()
    }
}

#[tokio::test]
async fn what_was_applied_is_in_exactly_one_sample() {
    let mut harness = Harness::with(config(1_000), 2).await;
    harness
        .write(vec![one_log(1, "a", 0), one_log(2, "b", 1)])
        .await;
    let sum = |answer: &StatusHistoryResponse| -> u64 {
        answer.samples.iter().map(|one| one.applied_logs).sum()
    };
    let mut answer = history(&mut harness).await;
    while sum(&answer) < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = history(&mut harness).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = history(&mut harness).await;
    assert_eq!((sum(&answer), answer.step_ms), (2, 100));
    let bytes: u64 = answer.samples.iter().map(|one| one.applied_bytes).sum();
    let status = harness.client.status(StatusRequest {}).await.unwrap();
    assert_eq!(bytes, status.into_inner().applied_bytes);
    let last = answer.samples.last().unwrap();
    let lags: Vec<(u32, u64)> = last
        .lags
        .iter()
        .map(|lag| (lag.partition, lag.envelopes))
        .collect();
    assert_eq!(lags, [(0, 0), (1, 0)]);
    for pair in answer.samples.windows(2) {
        assert!(pair[0].time_unix_nano < pair[1].time_unix_nano);
        assert_eq!(pair[0].time_unix_nano % 100_000_000, 0);
    }
}

#[tokio::test]
async fn the_oldest_samples_leave() {
    let mut harness = Harness::with(config(3), 1).await;
    let mut answer = history(&mut harness).await;
    while answer.samples.len() < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = history(&mut harness).await;
    }
    let first = answer.samples[0].time_unix_nano;
    while answer.samples[0].time_unix_nano == first {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = history(&mut harness).await;
    }
    assert_eq!(answer.samples.len(), 3);
}

#[tokio::test]
async fn status_tells_what_the_log_may_forget() {
    let mut harness = Harness::start().await;
    harness.write(vec![one_log(1, "a", 0)]).await;
    loop {
        let status = harness.client.status(StatusRequest {}).await.unwrap();
        let status = status.into_inner();
        if status.partitions[0].committed_next == Some(1) {
            assert!(status.transport.unwrap().queued_bytes_max.is_some());
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
