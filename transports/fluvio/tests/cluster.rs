//! What the suite does not try: much data, a cluster that fails, and topics that somebody else made.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod support;

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use fluvio::{Fluvio, FluvioClusterConfig, metadata::topic::TopicSpec};
use log_tracer_transport::{
    Cursor, Group, Health, Offset, OpenError, Partition, PublishError, ReadError, ReadOptions,
    Start, Transport,
};
use log_tracer_transport_fluvio::{Config, FluvioTransport, cluster::Cluster};
use support::{
    traffic::{check, envelope, publish_until_acked, read_all, soon},
    until,
};
use tokio::time::{Instant, sleep, timeout};

/// Bytes of a test with much data.
const MUCH: usize = 300 << 20;

/// Publishes `MUCH` bytes in envelopes of that size, of which a reader from the start on catches up while they come.
async fn catch_up(transport: Arc<FluvioTransport>, bytes: usize, in_a_call: usize) -> usize {
    let count = MUCH / bytes;
    let publisher = {
        let transport = Arc::clone(&transport);
        async move |numbers: std::ops::Range<usize>| {
            let mut acked = Vec::new();
            let numbers: Vec<u64> = numbers.map(|number| number as u64).collect();
            for call in numbers.chunks(in_a_call) {
                let batch = call.iter().map(|number| envelope(*number, bytes));
                acked.extend(publish_until_acked(&*transport, batch.collect()).await);
            }
            acked
        }
    };
    let mut acked = publisher(0..count / 2).await;
    let rest = tokio::spawn(async move { publisher(count / 2..count).await });
    let seen = read_all(&*transport, count).await;
    acked.extend(rest.await.unwrap());
    assert!(seen.bytes >= count * bytes);
    check(&seen, &acked)
}

macro_rules! catches_up {
    ($($name:ident: $bytes:expr, $in_a_call:expr;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
        async fn $name() {
            let config = support::config(&support::shared_cluster());
            let transport = Arc::new(FluvioTransport::open(&config).await.unwrap());
            let again = catch_up(Arc::clone(&transport), $bytes, $in_a_call).await;
            assert_eq!(again, 0, "something was stored twice");
            transport.close(soon()).await.unwrap();
        }
    )+};
}

catches_up! {
    every_envelope_of_1_kb_is_read_once_and_in_order: 1 << 10, 512;
    every_envelope_of_150_kb_is_read_once_and_in_order: 150 << 10, 8;
    every_envelope_of_the_largest_size_is_read_once_and_in_order: 4 << 20, 2;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn nothing_is_lost_or_out_of_order_when_the_spu_is_killed_meanwhile() {
    let (_directory, options) = support::options(1);
    let mut cluster = Cluster::start(options).await.unwrap();
    let config = Config {
        request_timeout_ms: 2_000,
        ..support::config(&cluster.address().to_string())
    };
    for (bytes, in_a_call) in [(1 << 10, 512), (150 << 10, 8), (4 << 20, 2)] {
        let config = Config {
            topic: support::new_topic(),
            ..config.clone()
        };
        let transport = Arc::new(FluvioTransport::open(&config).await.unwrap());
        let work = tokio::spawn(catch_up(Arc::clone(&transport), bytes, in_a_call));
        let mut kills = 0;
        while !work.is_finished() {
            sleep(Duration::from_millis(1_500)).await;
            if kills < 3 && !work.is_finished() {
                cluster.kill_spu(0).unwrap();
                kills += 1;
                sleep(Duration::from_millis(300)).await;
                cluster.start_spu(0).await.unwrap();
            }
        }
        let again = work.await.unwrap();
        println!("envelopes of {bytes} bytes: {kills} kills, {again} stored again");
        assert!(kills > 0, "it was over before anything was killed");
        transport.close(soon()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn a_waiting_reader_does_not_wait_for_delayed_acknowledgements() {
    let config = support::config(&support::shared_cluster());
    let transport = FluvioTransport::open(&config).await.unwrap();
    let from = vec![(Partition(0), Start::Earliest)];
    let options = ReadOptions::default();
    let mut reader = transport.subscribe(from, options).await.unwrap();
    let mut fastest = Duration::MAX;
    for number in 0..20 {
        let batch = vec![envelope(number, 1 << 10)];
        transport.publish(batch, soon()).await.unwrap();
        let acked = Instant::now();
        reader.next().await.unwrap().unwrap();
        fastest = fastest.min(acked.elapsed());
    }
    // They are delayed by 40 ms.
    assert!(fastest < Duration::from_millis(30), "{fastest:?}");
    transport.close(soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn while_the_spu_is_down_every_call_keeps_its_deadline_and_afterwards_all_goes_on() {
    let (_directory, options) = support::options(1);
    let mut cluster = Cluster::start(options).await.unwrap();
    let config = Config {
        request_timeout_ms: 1_000,
        ..support::config(&cluster.address().to_string())
    };
    let transport = FluvioTransport::open(&config).await.unwrap();
    let publish = |number| transport.publish(vec![envelope(number, 100)], soon());
    publish(0).await.unwrap();
    let from = vec![(Partition(0), Start::Earliest)];
    let mut reader = transport
        .subscribe(from.clone(), ReadOptions::default())
        .await
        .unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().next, Offset(1));

    cluster.kill_spu(0).unwrap();
    for patience in [50, 500, 1_500] {
        let start = Instant::now();
        let deadline = start + Duration::from_millis(patience);
        let refused = transport.publish(vec![envelope(9, 100)], deadline).await;
        assert!(
            matches!(
                &refused,
                Err(PublishError::Busy | PublishError::OutcomeUnknown(_))
            ),
            "{refused:?}"
        );
        assert!(
            start.elapsed() < Duration::from_millis(patience + 250),
            "{:?}",
            start.elapsed()
        );
    }
    until(
        "it says that it is degraded",
        Duration::from_secs(10),
        async || matches!(transport.health(), Health::Degraded(_)),
    )
    .await;
    for outcome in [
        timeout(Duration::from_secs(5), transport.watermarks())
            .await
            .map(|w| w.map(drop)),
        timeout(
            Duration::from_secs(5),
            transport.subscribe(from, ReadOptions::default()),
        )
        .await
        .map(|s| s.map(drop)),
    ] {
        let outcome = outcome.expect("it hangs");
        assert!(
            matches!(&outcome, Err(ReadError::Transient(_))),
            "{outcome:?}"
        );
    }

    cluster.start_spu(0).await.unwrap();
    let acked = publish_until_acked(&transport, vec![envelope(1, 100)]).await;
    // What was acked before it was killed is there, and what had no outcome is there or is not.
    let mut next = Offset(1);
    while next <= acked[0].offset {
        let delivery = timeout(support::traffic::PATIENCE, reader.next())
            .await
            .expect("the reader hangs");
        next = delivery.unwrap().unwrap().next;
    }
    until("it is well again", Duration::from_secs(10), async || {
        transport.health() == Health::Ready
    })
    .await;
    transport.close(soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn while_the_controller_is_down_publishing_and_reading_go_on() {
    let (_directory, options) = support::options(1);
    let mut cluster = Cluster::start(options).await.unwrap();
    let config = Config {
        request_timeout_ms: 1_000,
        open_timeout_ms: 3_000,
        ..support::config(&cluster.address().to_string())
    };
    let transport = FluvioTransport::open(&config).await.unwrap();
    transport
        .publish(vec![envelope(0, 100)], soon())
        .await
        .unwrap();
    cluster.kill_controller().unwrap();

    for number in 1..20 {
        transport
            .publish(vec![envelope(number, 100)], soon())
            .await
            .unwrap();
    }
    let group = Group("reader".into());
    let upto = [Cursor {
        partition: Partition(0),
        next: Offset(7),
    }];
    transport.commit(&group, &upto).await.unwrap();
    assert_eq!(transport.committed(&group).await.unwrap(), upto);
    let seen = read_all(&transport, 20).await;
    assert_eq!(seen.numbers, (0..20).collect::<Vec<_>>());
    let opened = FluvioTransport::open(&config).await;
    assert!(
        matches!(&opened, Err(OpenError::Transient(_))),
        "{opened:?}"
    );

    cluster.start_controller().await.unwrap();
    let again = FluvioTransport::open(&config).await.unwrap();
    assert_eq!(again.log_id(), transport.log_id());
    assert_eq!(again.committed(&group).await.unwrap(), upto);
    again.close(soon()).await.unwrap();
    transport.close(soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn a_topic_that_was_deleted_and_made_anew_is_another_log() {
    let config = support::config(&support::shared_cluster());
    let before = FluvioTransport::open(&config).await.unwrap();
    for number in 0..3 {
        before
            .publish(vec![envelope(number, 100)], soon())
            .await
            .unwrap();
    }
    let from = vec![(Partition(0), Start::At(Offset(3)))];
    let mut reader = before
        .subscribe(from, ReadOptions::default())
        .await
        .unwrap();
    let group = Group("reader".into());
    let upto = [Cursor {
        partition: Partition(0),
        next: Offset(3),
    }];
    before.commit(&group, &upto).await.unwrap();

    let admin = Fluvio::connect_with_config(&FluvioClusterConfig::new(&config.address)).await;
    let admin = admin.unwrap().admin().await;
    admin
        .delete::<TopicSpec>(config.topic.clone())
        .await
        .unwrap();
    until("the topic is gone", Duration::from_secs(20), async || {
        let topics = admin.all::<TopicSpec>().await.unwrap();
        topics.iter().all(|topic| topic.name != config.topic)
    })
    .await;
    let after = FluvioTransport::open(&config).await.unwrap();
    assert_ne!(after.log_id(), before.log_id());
    assert_eq!(after.committed(&group).await.unwrap(), []);
    let watermarks = after.watermarks().await.unwrap();
    assert_eq!(watermarks[0].end, Offset(0));
    for number in 10..20 {
        after
            .publish(vec![envelope(number, 100)], soon())
            .await
            .unwrap();
    }

    // Who has it open still notices, and mixes nothing.
    let read = timeout(support::traffic::PATIENCE, reader.next())
        .await
        .expect("the reader hangs");
    assert!(
        matches!(&read, Err(ReadError::Failed(_) | ReadError::Ahead { .. })),
        "{read:?}"
    );
    let written = before.publish(vec![envelope(3, 100)], soon()).await;
    assert!(
        matches!(&written, Err(PublishError::Failed(_))),
        "{written:?}"
    );
    let committed = before.commit(&group, &upto).await;
    assert!(committed.is_err(), "{committed:?}");
    assert!(matches!(before.health(), Health::Failed(_)));
    assert_eq!(
        read_all(&after, 10).await.numbers,
        (10..20).collect::<Vec<_>>()
    );

    let once_more = FluvioTransport::open(&config).await.unwrap();
    assert_eq!(once_more.log_id(), after.log_id());
    for transport in [before, after, once_more] {
        transport.close(soon()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn those_that_open_a_new_log_at_the_same_time_open_the_same_one() {
    let config = support::config(&support::shared_cluster());
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move { FluvioTransport::open(&config).await })
        })
        .collect();
    let mut ids = Vec::new();
    for opened in opening {
        let transport = opened.await.unwrap().unwrap();
        ids.push(transport.log_id());
        transport.close(soon()).await.unwrap();
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn a_topic_that_is_not_as_configured_is_refused_with_what_mends_it() {
    let config = support::config(&support::shared_cluster());
    let transport = FluvioTransport::open(&config).await.unwrap();
    transport.close(soon()).await.unwrap();
    let other = Config {
        partitions: NonZeroU16::new(2).unwrap(),
        ..config.clone()
    };
    let refused = FluvioTransport::open(&other).await.unwrap_err();
    let expected = format!(
        "topic {}: partitions is 2 and the topic has 1. Set the keys to what the topic has",
        config.topic
    );
    assert!(
        matches!(&refused, OpenError::Invalid(text) if text.starts_with(&expected) && text.contains("fluvio topic create")),
        "{refused}"
    );

    let missing = Config {
        topic: support::new_topic(),
        create_topic: false,
        ..config
    };
    let refused = FluvioTransport::open(&missing).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::Invalid(text) if text.contains("fluvio topic create")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn with_two_copies_an_ack_waits_for_both() {
    let (_directory, options) = support::options(2);
    let mut cluster = Cluster::start(options).await.unwrap();
    let config = Config {
        replication: NonZeroU16::new(2).unwrap(),
        partitions: NonZeroU16::new(1).unwrap(),
        request_timeout_ms: 1_000,
        ..support::config(&cluster.address().to_string())
    };
    let transport = FluvioTransport::open(&config).await.unwrap();
    assert!(transport.capabilities().survives_node_loss);
    for number in 0..100 {
        transport
            .publish(vec![envelope(number, 100)], soon())
            .await
            .unwrap();
    }
    assert_eq!(read_all(&transport, 100).await.numbers.len(), 100);

    for spu in 0..2 {
        cluster.kill_spu(spu).unwrap();
        let deadline = Instant::now() + Duration::from_secs(2);
        let refused = transport.publish(vec![envelope(100, 100)], deadline).await;
        assert!(
            matches!(
                &refused,
                Err(PublishError::Busy | PublishError::OutcomeUnknown(_))
            ),
            "an ack without its copy: {refused:?}"
        );
        cluster.start_spu(spu).await.unwrap();
        publish_until_acked(&transport, vec![envelope(100, 100)]).await;
    }
    let seen = read_all(&transport, 101).await;
    assert_eq!(seen.numbers[..100], (0..100).collect::<Vec<_>>());
    transport.close(soon()).await.unwrap();
}
