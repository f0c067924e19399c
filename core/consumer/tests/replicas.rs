//! What a consumer says of itself so that others can be asked in its place: where it began, what it holds of partitions
//! that it does not own any more, whether it replays, and when the backlog of a tail is done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::{path::Path, sync::Arc};

use common::{
    Harness, channel, log, one_log,
    scripted::{Script, Scripted, Step, deliver},
    soon, status, until,
};
use log_tracer_consumer::{Config, Consumer};
use log_tracer_proto::v1::{self, query_service_client::QueryServiceClient};
use log_tracer_transport::{Partition, ReadError, Transport};
use tokio::sync::Notify;
use tonic::transport::Channel;

fn config(directory: &Path) -> Config {
    let mut config = Config {
        store_directory: Some(directory.join("store")),
        ..Config::default()
    };
    // The records of the tests are of 2023.
    config.store.retention_age_max_ms = u64::MAX;
    config.store.disk_reserve_bytes = 0;
    config
}

async fn start(
    config: Config,
    transport: Arc<dyn Transport>,
) -> (Consumer, QueryServiceClient<Channel>) {
    let consumer = Consumer::start(config, transport, log()).await.unwrap();
    let client = QueryServiceClient::new(consumer.connect_in_process());
    (consumer, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_says_where_it_began_and_remembers_it() {
    let directory = tempfile::tempdir().unwrap();
    for (first, end) in [(40, 42), (42, 43)] {
        let envelopes = (first..end).map(|n| one_log(n.into(), "line", n));
        let delivery = deliver(0, first, envelopes.collect());
        let transport = Scripted::new(1, vec![Script::Steps(vec![delivery, Step::Wait])]);
        transport.set_end(end);
        let (consumer, mut client) = start(config(directory.path()), transport as _).await;
        let is_applied = |status: &v1::StatusResponse| status.partitions[0].applied_next == end;
        let status = until(&mut client, is_applied).await;
        assert_eq!(status.partitions[0].first_applied, Some(40));
        consumer.stop(soon()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_it_owned_before_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(2);
    let mut of_one = one_log(2, "moves", 2);
    of_one.partition = Partition(1);
    let owning = |partitions: &[u16]| Config {
        partitions: partitions.to_vec(),
        ..config(directory.path())
    };
    let (consumer, mut client) = start(owning(&[0, 1]), Arc::clone(&transport) as _).await;
    let envelopes = vec![one_log(1, "stays", 1), of_one];
    transport.publish(envelopes, soon()).await.unwrap();
    let are_applied = |status: &v1::StatusResponse| {
        let mut all = status.partitions.iter();
        all.all(|one| one.applied_next == 1)
    };
    let before = until(&mut client, are_applied).await;
    assert!(before.former_partitions.is_empty());
    consumer.stop(soon()).await.unwrap();

    let (consumer, mut client) = start(owning(&[0]), Arc::clone(&transport) as _).await;
    let after = status(&mut client).await;
    assert_eq!(after.former_partitions, [1]);
    let owned: Vec<u32> = after.partitions.iter().map(|one| one.partition).collect();
    assert_eq!(owned, [0]);
    consumer.stop(soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_does_not_say_where_it_ends_nobody_knows_what_is_missing() {
    let delivery = deliver(0, 0, vec![one_log(1, "line", 0)]);
    let transport = Scripted::new(1, vec![Script::Steps(vec![delivery, Step::Wait])]);
    let (_consumer, mut client) = start(Config::default(), Arc::clone(&transport) as _).await;
    let is_applied = |status: &v1::StatusResponse| status.partitions[0].applied_next == 1;
    let unknown = until(&mut client, is_applied).await;
    assert!(
        unknown.replaying.contains("has not said yet"),
        "{unknown:?}"
    );
    transport.set_end(1);
    let known = status(&mut client).await;
    assert_eq!(known.replaying, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_interrupted_is_not_over() {
    let broken = ReadError::Transient(Arc::from(Box::from("the connection broke")));
    let first = vec![
        deliver(0, 0, vec![one_log(1, "first", 0)]),
        Step::Fail(broken),
    ];
    let held = Arc::new(Notify::new());
    let second = deliver(0, 1, vec![one_log(2, "second", 1)]);
    let second = vec![Step::Hold(Arc::clone(&held)), second, Step::Wait];
    let transport = Scripted::new(1, vec![Script::Steps(first), Script::Steps(second)]);
    transport.set_end(2);
    let (_consumer, mut client) = start(Config::default(), Arc::clone(&transport) as _).await;
    until(&mut client, |status| {
        // Each look at the status is a chance to forget it.
        assert!(!status.replaying.is_empty(), "{status:?}");
        transport.subscribed.lock().unwrap().len() == 2
    })
    .await;
    let still = status(&mut client).await;
    assert!(still.replaying.contains("1 envelopes"), "{still:?}");
    held.notify_one();
    until(&mut client, |status| status.replaying.is_empty()).await;
}

#[tokio::test]
async fn a_tail_says_when_its_backlog_is_done_also_of_an_empty_one() {
    let mut harness = Harness::start().await;
    let ask = |backlog| v1::TailRequest {
        signal: v1::Signal::Logs.into(),
        backlog,
        ..v1::TailRequest::default()
    };
    let mut empty = harness.client.tail(ask(5)).await.unwrap().into_inner();
    let first = empty.message().await.unwrap().unwrap();
    assert!(first.backlog_done && first.hits.is_empty());

    harness
        .write(vec![one_log(1, "old", 0), one_log(2, "older", 1)])
        .await;
    let mut with_backlog = harness.client.tail(ask(5)).await.unwrap().into_inner();
    let mut without = harness.client.tail(ask(0)).await.unwrap().into_inner();
    let first = with_backlog.message().await.unwrap().unwrap();
    assert_eq!((first.hits.len(), first.backlog_done), (2, true));
    harness.publish(vec![one_log(3, "new", 2)]).await;
    for tail in [&mut with_backlog, &mut without, &mut empty] {
        let next = tail.message().await.unwrap().unwrap();
        assert!(!next.backlog_done && !next.hits.is_empty());
    }
}
