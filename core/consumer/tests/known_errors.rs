//! What each error of a transport does to a consumer, and where it can be seen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{
    bodies, eventually, log, one_log,
    scripted::{LOG, Script, Scripted, Step, deliver},
    until,
};
use log_tracer_consumer::{Config, Consumer, Health, StartError};
use log_tracer_proto::v1::{self, query_service_client::QueryServiceClient};
use log_tracer_transport::{CommitError, LogId, Offset, Partition, ReadError, Start};
use tokio::sync::Notify;
use tonic::{Code, Request, transport::Channel};

struct Running {
    transport: Arc<Scripted>,
    consumer: Consumer,
    client: QueryServiceClient<Channel>,
}

async fn run(partitions: u16, scripts: Vec<Script>) -> Running {
    let transport = Scripted::new(partitions, scripts);
    // Nothing is to be replayed.
    transport.set_end(0);
    let mut config = Config::default();
    config.apply.retry_delay_min_ms = 1;
    config.apply.retry_delay_max_ms = 4;
    let consumer = Consumer::start(config, Arc::clone(&transport) as _, log())
        .await
        .unwrap();
    let client = QueryServiceClient::new(consumer.connect_in_process());
    Running {
        transport,
        consumer,
        client,
    }
}

impl Running {
    async fn until(&mut self, wanted: impl Fn(&v1::StatusResponse) -> bool) -> v1::StatusResponse {
        until(&mut self.client, wanted).await
    }

    async fn coverage(&mut self) -> v1::Coverage {
        let request = v1::ListServicesRequest {};
        let response = self.client.list_services(request).await.unwrap();
        response.into_inner().coverage.unwrap()
    }

    async fn wait_for(&mut self, partition: u32, offset: u64) -> Result<(), tonic::Status> {
        let mut request = Request::new(v1::WaitForPositionRequest {
            positions: vec![v1::Position {
                log_id: LOG.to_string(),
                partition,
                offset,
            }],
        });
        request.set_timeout(Duration::from_secs(5));
        self.client.wait_for_position(request).await.map(drop)
    }

    fn starts(&self) -> Vec<Vec<(u16, Start)>> {
        let subscribed = self.transport.subscribed.lock().unwrap();
        let one = |from: &Vec<(Partition, Start)>| from.iter().map(|(p, s)| (p.0, *s)).collect();
        subscribed.iter().map(one).collect()
    }
}

fn transient() -> ReadError {
    ReadError::Transient(Arc::from(Box::from("connection refused")))
}

fn at(offset: u64) -> Start {
    Start::At(Offset(offset))
}

#[tokio::test]
async fn a_transient_error_is_tried_again_from_the_own_cursor_until_it_passes() {
    let mut running = run(
        1,
        vec![
            Script::Refuse(transient()),
            Script::Steps(vec![
                deliver(0, 0, vec![one_log(1, "a", 0)]),
                Step::Fail(transient()),
            ]),
            Script::Refuse(transient()),
            Script::Refuse(transient()),
            Script::Steps(vec![deliver(0, 1, vec![one_log(2, "b", 1)])]),
        ],
    )
    .await;
    running
        .until(|status| status.partitions[0].applied_next == 2)
        .await;
    assert_eq!(bodies(&mut running.client).await, ["a", "b"]);
    let earliest = vec![(0, Start::Earliest)];
    let second = vec![(0, at(1))];
    assert_eq!(
        running.starts(),
        [
            earliest.clone(),
            earliest,
            second.clone(),
            second.clone(),
            second
        ]
    );
    assert_eq!(running.consumer.health(), Health::Ready);
}

#[tokio::test]
async fn while_reading_is_interrupted_answers_say_so() {
    let refusals = vec![Script::Refuse(transient()); 10_000];
    let mut running = run(1, refusals).await;
    let status = running.until(|status| status.health != "ready").await;
    assert_eq!(
        status.health,
        "degraded: partition 0 is not being read: connection refused"
    );
    assert_eq!(
        status.partitions[0].health,
        "interrupted, will be tried again: connection refused"
    );
    let coverage = running.coverage().await;
    assert!(coverage.partial);
    assert_eq!(
        coverage.reasons,
        ["partition 0 is not being read: connection refused"]
    );
}

#[tokio::test]
async fn an_eviction_is_a_counted_gap_and_reading_goes_on_after_it() {
    let evicted = ReadError::Evicted {
        partition: Partition(0),
        wanted: Offset(1),
        first: Offset(41),
    };
    let mut running = run(
        1,
        vec![
            Script::Steps(vec![
                deliver(0, 0, vec![one_log(1, "a", 0)]),
                Step::Fail(evicted),
            ]),
            Script::Steps(vec![deliver(0, 41, vec![one_log(2, "b", 1)])]),
        ],
    )
    .await;
    let status = running
        .until(|status| status.partitions[0].applied_next == 42)
        .await;
    assert_eq!(running.starts()[1], [(0, at(41))]);
    assert_eq!(bodies(&mut running.client).await, ["a", "b"]);
    assert_eq!(status.partitions[0].lost_offsets, 40);
    assert_eq!(
        status.partitions[0].gaps,
        [v1::OffsetRange { first: 1, end: 41 }]
    );
    assert_eq!(status.partitions[0].health, "ready");
    let reason = "partition 0: up to 40 envelopes left the log before they were applied";
    assert_eq!(status.health, format!("degraded: {reason}"));
    assert_eq!(running.coverage().await.reasons, [reason]);

    // Whoever waits for one of them learns that it will not come.
    assert_eq!(
        running.wait_for(0, 40).await.unwrap_err().code(),
        Code::DataLoss
    );
    running.wait_for(0, 41).await.unwrap();
    running.wait_for(0, 0).await.unwrap();
}

#[tokio::test]
async fn an_eviction_that_makes_no_sense_moves_nothing() {
    let evicted = ReadError::Evicted {
        partition: Partition(0),
        wanted: Offset(1),
        first: Offset(1),
    };
    let mut running = run(
        1,
        vec![
            Script::Steps(vec![
                deliver(0, 0, vec![one_log(1, "a", 0)]),
                Step::Fail(evicted),
            ]),
            Script::Steps(vec![deliver(0, 1, vec![one_log(2, "b", 1)])]),
        ],
    )
    .await;
    let status = running
        .until(|status| status.partitions[0].applied_next == 2)
        .await;
    assert_eq!(status.partitions[0].lost_offsets, 0);
    assert_eq!(running.starts()[1], [(0, at(1))]);
}

#[tokio::test]
async fn a_log_that_became_shorter_stops_its_partition_and_no_other() {
    let ahead = ReadError::Ahead {
        partition: Partition(0),
        wanted: Offset(1),
        end: Offset(0),
    };
    let mut running = run(
        2,
        vec![
            Script::Steps(vec![
                deliver(0, 0, vec![one_log(1, "a", 0)]),
                Step::Fail(ahead),
            ]),
            Script::Steps(vec![deliver(1, 0, vec![one_log(2, "b", 1)])]),
        ],
    )
    .await;
    let status = running
        .until(|status| status.partitions[1].applied_next == 1)
        .await;
    assert_eq!(running.starts()[1], [(1, Start::Earliest)]);
    assert_eq!(bodies(&mut running.client).await, ["a", "b"]);
    assert_eq!(
        status.partitions[0].health,
        "stopped: partition 0: offset 1 lies beyond the end of the log at 0"
    );
    assert_eq!(status.partitions[1].health, "ready");
    assert!(matches!(running.consumer.health(), Health::Degraded(_)));
    assert!(running.coverage().await.partial);
    let refused = running.wait_for(0, 5).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("beyond the end"), "{refused}");
}

#[tokio::test]
async fn a_corrupt_partition_stops_and_when_all_have_stopped_the_consumer_has_failed() {
    let corrupt = |partition| ReadError::Corrupt {
        partition: Partition(partition),
        at: Offset(0),
        reason: "checksum".to_owned(),
    };
    let mut running = run(
        2,
        vec![
            Script::Steps(vec![Step::Fail(corrupt(1))]),
            Script::Steps(vec![Step::Fail(corrupt(0))]),
        ],
    )
    .await;
    let status = running
        .until(|status| status.health.starts_with("failed"))
        .await;
    assert_eq!(
        status.health,
        "failed: partition 0 has stopped: partition 0: the envelope at offset 0 is corrupt: checksum; \
         partition 1 has stopped: partition 1: the envelope at offset 0 is corrupt: checksum"
    );
    assert!(matches!(running.consumer.health(), Health::Failed(_)));
    assert_eq!(running.starts().len(), 2, "it is not tried again");
}

#[tokio::test]
async fn a_failed_transport_stops_everything_and_what_was_applied_can_still_be_read() {
    let failed = ReadError::Failed(Arc::from(Box::from("fsync")));
    let mut running = run(
        2,
        vec![Script::Steps(vec![
            deliver(0, 0, vec![one_log(1, "a", 0)]),
            Step::Fail(failed),
        ])],
    )
    .await;
    let status = running
        .until(|status| status.health.starts_with("failed"))
        .await;
    assert!(
        status.health.contains("the transport has failed: fsync"),
        "{}",
        status.health
    );
    assert_eq!(bodies(&mut running.client).await, ["a"]);
}

#[tokio::test]
async fn a_closed_log_is_an_end_in_good_order() {
    for step in [Step::End, Step::Fail(ReadError::Closed)] {
        let steps = vec![deliver(0, 0, vec![one_log(1, "a", 0)]), step];
        let mut running = run(1, vec![Script::Steps(steps)]).await;
        let status = running
            .until(|status| status.partitions[0].health == "the log was closed")
            .await;
        assert_eq!(status.health, "ready");
        assert_eq!(bodies(&mut running.client).await, ["a"]);
        assert!(!running.coverage().await.partial);
        running.consumer.stop(common::soon()).await.unwrap();
    }
}

#[tokio::test]
async fn a_jump_in_contiguous_offsets_is_not_passed_on() {
    let steps = vec![
        deliver(0, 0, vec![one_log(1, "a", 0)]),
        deliver(0, 2, vec![one_log(3, "c", 2)]),
    ];
    let mut running = run(1, vec![Script::Steps(steps)]).await;
    let status = running
        .until(|status| status.health.starts_with("failed"))
        .await;
    assert_eq!(
        status.partitions[0].health,
        "stopped: the transport declares contiguous offsets and delivered 2 where 1 was due"
    );
    assert_eq!(status.partitions[0].applied_next, 1);
    assert_eq!(bodies(&mut running.client).await, ["a"]);
}

#[tokio::test]
async fn another_log_under_the_same_address_is_refused() {
    let replaced = Arc::new(Notify::new());
    let steps = vec![
        deliver(0, 0, vec![one_log(1, "a", 0)]),
        Step::Hold(Arc::clone(&replaced)),
        Step::Fail(transient()),
    ];
    let mut running = run(1, vec![Script::Steps(steps)]).await;
    *running.transport.log_id.lock().unwrap() = LogId(0xdef);
    replaced.notify_one();
    let status = running
        .until(|status| status.health.starts_with("failed"))
        .await;
    let expected = format!(
        "the log was replaced: it is {} now and was {LOG}",
        LogId(0xdef)
    );
    assert!(status.health.contains(&expected), "{}", status.health);
    assert_eq!(running.transport.subscribed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_consumer_does_not_start_on_what_will_not_pass() {
    let start = |partitions: Vec<u16>, script| async move {
        let config = Config {
            partitions,
            ..Config::default()
        };
        Consumer::start(config, Scripted::new(2, vec![script]), log())
            .await
            .unwrap_err()
    };
    let refused = start(vec![], Script::Refuse(ReadError::Closed)).await;
    assert!(matches!(refused, StartError::Read(ReadError::Closed)));
    let refused = start(vec![2], Script::Steps(vec![])).await;
    assert_eq!(
        refused.to_string(),
        "partitions: the log has partitions 0 to 1, not 2"
    );
    let refused = start(vec![1, 1], Script::Steps(vec![])).await;
    assert!(matches!(refused, StartError::Config(_)), "{refused}");
}

#[tokio::test]
async fn only_the_owned_partitions_are_read() {
    let transport = Scripted::new(4, vec![]);
    let config = Config {
        partitions: vec![3, 1],
        ..Config::default()
    };
    let consumer = Consumer::start(config, Arc::clone(&transport) as _, log())
        .await
        .unwrap();
    let mut from = transport.subscribed.lock().unwrap()[0].clone();
    from.sort_by_key(|(partition, _)| *partition);
    assert_eq!(
        from,
        [
            (Partition(1), Start::Earliest),
            (Partition(3), Start::Earliest)
        ]
    );
    drop(consumer);
}

#[tokio::test]
async fn a_failed_commit_stops_no_reading() {
    let steps = vec![
        deliver(0, 0, vec![one_log(1, "a", 0)]),
        deliver(0, 1, vec![one_log(2, "b", 1)]),
    ];
    let transport = Scripted::new(1, vec![Script::Steps(steps)]);
    transport
        .commit_errors
        .lock()
        .unwrap()
        .extend([CommitError::Transient(Arc::from(Box::from("busy")))]);
    let mut config = Config::default();
    config.apply.retry_delay_min_ms = 1;
    config.apply.retry_delay_max_ms = 1;
    let consumer = Consumer::start(config, Arc::clone(&transport) as _, log())
        .await
        .unwrap();
    let mut client = QueryServiceClient::new(consumer.connect_in_process());
    until(&mut client, |status| status.partitions[0].applied_next == 2).await;
    let committed = || {
        transport
            .committed
            .lock()
            .unwrap()
            .first()
            .map(|one| one.next)
    };
    eventually(async || committed() == Some(Offset(2))).await;
    assert_eq!(consumer.health(), Health::Ready);
}

#[tokio::test]
async fn a_transport_without_cursors_is_asked_once() {
    let steps = vec![
        deliver(0, 0, vec![one_log(1, "a", 0)]),
        deliver(0, 1, vec![one_log(2, "b", 1)]),
    ];
    let transport = Scripted::new(1, vec![Script::Steps(steps)]);
    let unsupported = vec![CommitError::Unsupported; 100];
    transport.commit_errors.lock().unwrap().extend(unsupported);
    let consumer = Consumer::start(Config::default(), Arc::clone(&transport) as _, log())
        .await
        .unwrap();
    let mut client = QueryServiceClient::new(consumer.connect_in_process());
    until(&mut client, |status| status.partitions[0].applied_next == 2).await;
    consumer.stop(common::soon()).await.unwrap();
    assert_eq!(*transport.commits.lock().unwrap(), 1);
}
