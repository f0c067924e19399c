//! Every record is applied once, however often and in whatever order its envelope comes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::{collections::BTreeSet, sync::Arc};

use common::{
    Harness, bodies, eventually, log, one_log,
    scripted::{Script, Scripted, Step, deliver},
    until,
};
use log_tracer_consumer::{Config, Consumer};
use log_tracer_proto::v1::query_service_client::QueryServiceClient;
use log_tracer_transport::{Cursor, Envelope, Offset, Part, Partition, ReadError, Start};
use proptest::prelude::*;
use tonic::transport::Channel;

/// Waits until the cursor of partition 0 is at least this.
async fn reach(client: &mut QueryServiceClient<Channel>, next: u64) {
    until(client, |status| status.partitions[0].applied_next >= next).await;
}

async fn scripted(steps: Vec<Script>) -> (Arc<Scripted>, Consumer, QueryServiceClient<Channel>) {
    let transport = Scripted::new(1, steps);
    let consumer = Consumer::start(Config::default(), Arc::clone(&transport) as _, log())
        .await
        .unwrap();
    let client = QueryServiceClient::new(consumer.connect_in_process());
    (transport, consumer, client)
}

#[tokio::test]
async fn a_batch_that_is_published_again_is_applied_once_and_counted() {
    let mut harness = Harness::start().await;
    harness
        .write(vec![one_log(1, "first", 0), one_log(2, "second", 1)])
        .await;
    let again = harness
        .write(vec![one_log(1, "first", 0), one_log(3, "third", 2)])
        .await;
    assert_eq!(again[0].offset, Offset(2), "the log stored it again");

    assert_eq!(harness.bodies().await, ["first", "second", "third"]);
    let status = harness.status().await;
    assert_eq!(status.duplicate_envelopes, 1);
    assert_eq!(status.partitions[0].applied_next, 4);
    assert_eq!(status.stores[1].applied_rows, 3);
}

#[tokio::test]
async fn the_parts_of_a_batch_are_told_apart() {
    let mut harness = Harness::start().await;
    let part = |index, body: &str| Envelope {
        part: Part { index, count: 2 },
        ..one_log(7, body, u64::from(index))
    };
    harness
        .write(vec![part(0, "first part"), part(1, "second part")])
        .await;
    harness.write(vec![part(1, "second part")]).await;
    assert_eq!(harness.bodies().await, ["first part", "second part"]);
    assert_eq!(harness.status().await.duplicate_envelopes, 1);
}

#[tokio::test]
async fn the_same_batch_in_two_partitions_is_two_batches() {
    let mut harness = Harness::with(Config::default(), 2).await;
    let in_second = Envelope {
        partition: Partition(1),
        ..one_log(1, "in the second partition", 1)
    };
    harness
        .write(vec![one_log(1, "in the first partition", 0), in_second])
        .await;
    assert_eq!(
        harness.bodies().await,
        ["in the first partition", "in the second partition"]
    );
    assert_eq!(harness.status().await.duplicate_envelopes, 0);
}

#[tokio::test]
async fn beyond_the_bound_a_batch_is_forgotten() {
    let mut config = Config::default();
    config.apply.seen_batches_max = 2;
    let mut harness = Harness::with(config, 1).await;
    let batches = vec![one_log(1, "a", 0), one_log(2, "b", 1), one_log(3, "c", 2)];
    harness.write(batches).await;
    harness
        .write(vec![one_log(3, "c", 2), one_log(1, "a", 0)])
        .await;
    assert_eq!(harness.bodies().await, ["a", "a", "b", "c"]);
    assert_eq!(harness.status().await.duplicate_envelopes, 1);
}

#[tokio::test]
async fn offsets_below_the_cursor_are_skipped() {
    // New batch ids, so that only the offsets tell that they were applied.
    let steps = vec![
        deliver(0, 0, vec![one_log(1, "a", 0), one_log(2, "b", 1)]),
        deliver(0, 1, vec![one_log(12, "b again", 1), one_log(3, "c", 2)]),
        deliver(0, 0, vec![one_log(11, "a again", 0)]),
    ];
    let (_, consumer, mut client) = scripted(vec![Script::Steps(steps)]).await;
    reach(&mut client, 3).await;
    until(&mut client, |status| status.duplicate_envelopes == 2).await;
    assert_eq!(bodies(&mut client).await, ["a", "b", "c"]);
    assert_eq!(
        common::status(&mut client).await.partitions[0].applied_next,
        3
    );
    drop(consumer);
}

#[tokio::test]
async fn reading_goes_on_from_the_own_cursor_and_commits_after_the_apply() {
    let broken = ReadError::Transient(Arc::from(Box::from("connection reset")));
    let scripts = vec![
        Script::Steps(vec![
            deliver(0, 5, vec![one_log(1, "a", 0), one_log(2, "b", 1)]),
            Step::Fail(broken),
        ]),
        Script::Steps(vec![deliver(0, 7, vec![one_log(3, "c", 2)])]),
    ];
    let (transport, consumer, mut client) = scripted(scripts).await;
    reach(&mut client, 8).await;
    assert_eq!(bodies(&mut client).await, ["a", "b", "c"]);
    assert_eq!(
        *transport.subscribed.lock().unwrap(),
        [
            vec![(Partition(0), Start::Earliest)],
            vec![(Partition(0), Start::At(Offset(7)))],
        ]
    );
    let all = Cursor {
        partition: Partition(0),
        next: Offset(8),
    };
    eventually(async || *transport.committed.lock().unwrap() == [all]).await;
    drop(consumer);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 16, ..ProptestConfig::default() })]

    /// A log that was read again and again from anywhere, in deliveries of any length.
    #[test]
    fn any_interleaving_of_redelivered_envelopes_gives_the_same_store(
        batches in proptest::collection::vec(0_u8..12, 1..24),
        again in proptest::collection::vec((any::<prop::sample::Index>(), 1_usize..5), 0..12),
    ) {
        let envelope = |batch: &u8| one_log(u128::from(*batch), &format!("{batch:02}"), u64::from(*batch));
        let log: Vec<Envelope> = batches.iter().map(envelope).collect();
        let mut steps = Vec::new();
        let mut read = 0;
        for (from, length) in &again {
            // From somewhere that was read before, or right where the cursor stands.
            let first = from.index(read + 1);
            let end = (first + length).min(log.len());
            steps.push(deliver(0, first as u64, log[first..end].to_vec()));
            read = read.max(end);
        }
        steps.push(deliver(0, read as u64, log[read..].to_vec()));
        // A delivery is never empty.
        steps.retain(|step| !matches!(step, Step::Deliver(delivery) if delivery.items.is_empty()));

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let found = runtime.block_on(async {
            let (_, _consumer, mut client) = scripted(vec![Script::Steps(steps)]).await;
            reach(&mut client, log.len() as u64).await;
            bodies(&mut client).await
        });
        let once: BTreeSet<String> = batches.iter().map(|batch| format!("{batch:02}")).collect();
        prop_assert_eq!(found, once.into_iter().collect::<Vec<_>>());
    }
}
