//! A network that fails between us and the SPU: what was acked is there, what was not can be tried again, nothing
//! hangs, and nothing grows without bound.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use log_tracer_fault_proxy::{Fault, FaultProxy, Faults};
use log_tracer_transport::{Acked, Health, PublishError, Transport};
use log_tracer_transport_fluvio::{Config, FluvioTransport, cluster::Cluster};
use support::{
    traffic::{check, envelope, read_all, soon},
    until,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// A cluster whose SPU is behind a proxy.
struct Stage {
    cluster: Cluster,
    proxy: FaultProxy,
    config: Config,
    _directory: TempDir,
}

impl Stage {
    async fn new() -> Self {
        // The port of the SPU is known only when it is there.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let proxy = FaultProxy::start(nowhere).await.unwrap();
        let (directory, mut options) = support::options(1);
        options.advertise = vec![proxy.address()];
        let cluster = Cluster::start(options).await.unwrap();
        proxy.redirect(cluster.spu_address(0).unwrap());
        let config = Config {
            request_timeout_ms: 800,
            idle_probe_ms: 500,
            ..support::config(&cluster.address().to_string())
        };
        Self {
            cluster,
            proxy,
            config,
            _directory: directory,
        }
    }
}

/// Publishes one call after the other, each until it is acked, and checks that every attempt keeps its deadline.
async fn publish_through(transport: Arc<FluvioTransport>, count: u64, bytes: usize) -> Vec<Acked> {
    let patience = Duration::from_millis(1_500);
    let mut acked = Vec::new();
    let mut attempts = 0;
    for number in 0..count {
        loop {
            attempts += 1;
            assert!(attempts < 20 * count, "it does not get through");
            let start = Instant::now();
            let batch = vec![envelope(number, bytes)];
            let answer = transport.publish(batch, start + patience).await;
            let took = start.elapsed();
            assert!(
                took < patience + Duration::from_millis(500),
                "a publish took {took:?}: {answer:?}"
            );
            match answer {
                Ok(acks) => {
                    acked.extend(acks);
                    break;
                }
                Err(PublishError::Busy | PublishError::OutcomeUnknown(_)) => {}
                Err(error) => panic!("a network that fails is no reason for: {error}"),
            }
        }
        sleep(Duration::from_millis(2)).await;
    }
    acked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn whatever_the_network_does_what_was_acked_is_there_and_in_order() {
    const COUNT: u64 = 200;
    let stage = Stage::new().await;
    let slow = Faults {
        to_server: Fault::Delay(Duration::from_millis(30)),
        to_client: Fault::Delay(Duration::from_millis(30)),
        ..Faults::NONE
    };
    let refusing = Faults {
        refuse: true,
        ..Faults::NONE
    };
    let mute = Faults {
        to_client: Fault::Drop,
        ..Faults::NONE
    };
    let faults = [
        ("slow", slow),
        ("reset before the reply", Faults::RESET_BEFORE_REPLY),
        ("a black hole", Faults::BLACK_HOLE),
        ("half-open", Faults::HALF_OPEN),
        ("replies that do not arrive", mute),
        ("refusing", refusing),
    ];
    let transport = Arc::new(FluvioTransport::open(&stage.config).await.unwrap());
    let publisher = tokio::spawn(publish_through(Arc::clone(&transport), COUNT, 10 << 10));
    let reader = {
        let transport = Arc::clone(&transport);
        tokio::spawn(async move { read_all(&*transport, COUNT as usize).await })
    };
    let mut rounds = 0;
    while !publisher.is_finished() {
        let (name, fault) = faults[rounds % faults.len()];
        stage.proxy.set(fault);
        sleep(Duration::from_millis(1_000)).await;
        stage.proxy.set(Faults::NONE);
        if rounds % 2 == 1 {
            stage.proxy.cut();
        }
        println!("{name}: {:?}", stage.proxy.counts());
        sleep(Duration::from_millis(300)).await;
        rounds += 1;
    }
    let acked = publisher.await.unwrap();
    let seen = reader.await.unwrap();
    let again = check(&seen, &acked);
    println!("{rounds} faults, {again} envelopes stored again");
    assert!(rounds >= faults.len(), "it was over after {rounds} faults");
    until("it is well again", Duration::from_secs(10), async || {
        transport.health() == Health::Ready
    })
    .await;
    transport.close(soon()).await.unwrap();
    stage.cluster.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn a_reply_that_is_cut_off_leaves_the_outcome_unknown_and_a_retry_completes_it() {
    let stage = Stage::new().await;
    let transport = FluvioTransport::open(&stage.config).await.unwrap();
    transport
        .publish(vec![envelope(0, 100)], soon())
        .await
        .unwrap();
    stage.proxy.set(Faults::RESET_BEFORE_REPLY);
    let cut_off = transport.publish(vec![envelope(1, 100)], soon()).await;
    assert!(
        matches!(&cut_off, Err(PublishError::OutcomeUnknown(_))),
        "{cut_off:?}"
    );
    stage.proxy.set(Faults::NONE);
    let acks = transport
        .publish(vec![envelope(1, 100)], soon())
        .await
        .unwrap();
    let seen = read_all(&transport, 2).await;
    // It had arrived before the reply was cut off.
    assert_eq!(seen.numbers, [0, 1, 1]);
    assert_eq!(acks[0].offset.0, 2);
    transport.close(soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn what_waits_for_a_network_that_is_gone_is_bounded_and_answered_in_time() {
    let stage = Stage::new().await;
    let queue = 1 << 20;
    let config = Config {
        queue_bytes_max: queue,
        request_timeout_ms: 60_000,
        ..stage.config.clone()
    };
    let transport = Arc::new(FluvioTransport::open(&config).await.unwrap());
    transport
        .publish(vec![envelope(0, 100)], soon())
        .await
        .unwrap();
    for faults in [Faults::BLACK_HOLE, Faults::HALF_OPEN] {
        stage.proxy.set(faults);
        let start = Instant::now();
        let publishing: Vec<_> = (1..60)
            .map(|number| {
                let transport = Arc::clone(&transport);
                let batch = vec![envelope(number, 100 << 10)];
                let deadline = start + Duration::from_secs(2);
                tokio::spawn(async move { transport.publish(batch, deadline).await })
            })
            .collect();
        sleep(Duration::from_millis(500)).await;
        let queued = transport.usage().queued_bytes.unwrap();
        assert!(
            queued > 0 && queued <= queue as u64,
            "{queued} bytes are queued"
        );
        for answer in publishing {
            let answer = answer.await.unwrap();
            assert!(
                matches!(
                    &answer,
                    Err(PublishError::Busy | PublishError::OutcomeUnknown(_))
                ),
                "{answer:?}"
            );
        }
        assert!(
            start.elapsed() < Duration::from_millis(2_500),
            "{:?}",
            start.elapsed()
        );
        stage.proxy.set(Faults::NONE);
        stage.proxy.cut();
        transport
            .publish(vec![envelope(0, 100)], soon())
            .await
            .unwrap();
    }
    // Closing does not wait for what cannot be answered either.
    stage.proxy.set(Faults::BLACK_HOLE);
    let waiting = {
        let transport = Arc::clone(&transport);
        tokio::spawn(async move { transport.publish(vec![envelope(9, 100)], soon()).await })
    };
    sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    let closed = transport.close(start + Duration::from_millis(500)).await;
    assert!(closed.is_err(), "a publish without an answer was under way");
    assert!(
        start.elapsed() < Duration::from_millis(1_000),
        "{:?}",
        start.elapsed()
    );
    let answer = waiting.await.unwrap();
    assert!(
        matches!(&answer, Err(PublishError::OutcomeUnknown(_))),
        "{answer:?}"
    );
}
