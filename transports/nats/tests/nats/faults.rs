//! What goes wrong between us and a server: acked is never lost, unacked can be retried, nothing hangs past its deadline,
//! memory stays bounded.

use std::{sync::Arc, time::Duration};

use log_tracer_fault_proxy::{Fault, FaultProxy, Faults};
use log_tracer_transport::{Group, Health, PublishError, Transport};
use log_tracer_transport_nats::{Config, NatsTransport};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    load::{Load, PATIENCE, compare, read},
    support::{Servers, Sync},
};

/// A little more than a deadline, on a machine that is busy.
const SOON: Duration = Duration::from_secs(2);

struct Stage {
    servers: Servers,
    proxy: FaultProxy,
    load: Load,
}

impl Stage {
    async fn new() -> Self {
        let servers = Servers::single(Sync::Periodic).await;
        let proxy = FaultProxy::start(servers.the().address).await.unwrap();
        let config = Config {
            servers: vec![format!("nats://{}", proxy.address())],
            queue_bytes_max: 4 << 20,
            inflight_bytes_max: 2 << 20,
            ping_interval_ms: 300,
            request_timeout_ms: 1_000,
            connect_timeout_ms: 3_000,
            look_interval_ms: 300,
            ..servers.config()
        };
        let transport = Arc::new(NatsTransport::open(&config).await.unwrap());
        let mut load = Load::new(&transport);
        load.patience = Duration::from_secs(2);
        Self {
            servers,
            proxy,
            load,
        }
    }

    /// Publishes while something is wrong, and heals it after a while; then all of it must be there, once.
    async fn publish_through(&self, faults: Faults, how_long: Duration) {
        let batch = vec![self.load.envelope(3_000)];
        let number = batch[0].received_unix_nano;
        self.proxy.set(faults);
        let healing = async {
            sleep(how_long).await;
            self.proxy.set(Faults::NONE);
        };
        let (acks, ()) = tokio::join!(self.load.publish_until_acked(batch), healing);
        let read = read(&self.load.transport, number as usize).await;
        assert_eq!(
            read.get(&number),
            Some(&(acks[0].partition, acks[0].offset))
        );
        assert_eq!(read.len(), number as usize, "each once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn what_is_delayed_dropped_cut_off_or_refused_is_stored_once_when_it_is_over() {
    let stage = Stage::new().await;
    let delay = Fault::Delay(Duration::from_millis(150));
    let slow = Faults {
        to_server: delay,
        to_client: delay,
        refuse: false,
    };
    let refused = Faults {
        refuse: true,
        ..Faults::RESET_BEFORE_REPLY
    };
    for (faults, how_long) in [
        (slow, 1_000),
        (Faults::RESET_BEFORE_REPLY, 500),
        (refused, 1_500),
        (Faults::BLACK_HOLE, 2_500),
        (Faults::HALF_OPEN, 2_500),
        (
            Faults {
                to_client: Fault::Drop,
                ..Faults::NONE
            },
            2_500,
        ),
    ] {
        stage
            .publish_through(faults, Duration::from_millis(how_long))
            .await;
    }
    let transport = &stage.load.transport;
    transport.close(Instant::now() + PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn nothing_hangs_past_its_deadline_while_nothing_comes_back() {
    for faults in [Faults::BLACK_HOLE, Faults::HALF_OPEN] {
        let stage = Stage::new().await;
        let transport = &stage.load.transport;
        stage
            .load
            .publish_until_acked(vec![stage.load.envelope(10)])
            .await;
        stage.proxy.set(faults);
        let start = Instant::now();
        let deadline = start + Duration::from_millis(500);
        let unknown = transport
            .publish(vec![stage.load.envelope(10)], deadline)
            .await;
        assert!(
            matches!(unknown, Err(PublishError::OutcomeUnknown(_))),
            "{unknown:?}"
        );
        assert!(deadline.elapsed() < SOON, "{:?}", deadline.elapsed());

        // Once the connection counts as lost, nothing is sent any more, and that is known.
        let give_up = Instant::now() + PATIENCE;
        while !matches!(transport.health(), Health::Degraded(_)) {
            assert!(Instant::now() < give_up, "{:?}", transport.health());
            sleep(Duration::from_millis(50)).await;
        }
        let deadline = Instant::now() + Duration::from_millis(200);
        let busy = transport
            .publish(vec![stage.load.envelope(10)], deadline)
            .await;
        assert!(matches!(busy, Err(PublishError::Busy)), "{busy:?}");
        let start = Instant::now();
        assert!(transport.watermarks().await.is_err());
        assert!(transport.committed(&Group("g".into())).await.is_err());
        assert!(start.elapsed() < SOON * 4, "{:?}", start.elapsed());
        let deadline = Instant::now() + Duration::from_secs(1);
        let _ = transport.close(deadline).await;
        assert!(deadline.elapsed() < SOON, "{:?}", deadline.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn memory_is_bounded_while_a_server_takes_nothing() {
    let stage = Stage::new().await;
    let transport = &stage.load.transport;
    stage.proxy.set(Faults::HALF_OPEN);
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut publishes = JoinSet::new();
    for _ in 0..64 {
        let (transport, envelope) = (Arc::clone(transport), stage.load.envelope(500_000));
        publishes.spawn(async move { transport.publish(vec![envelope], deadline).await });
    }
    let mut most = 0;
    let mut outcomes = Vec::new();
    while !publishes.is_empty() {
        most = most.max(transport.usage().queued_bytes.unwrap());
        if let Some(outcome) = publishes.try_join_next() {
            outcomes.push((outcome.unwrap(), Instant::now()));
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert!(most > 3_000_000 && most <= 4 << 20, "{most}");
    let early = outcomes.iter().filter(|(outcome, at)| {
        matches!(outcome, Err(PublishError::Busy)) && *at < deadline - Duration::from_secs(1)
    });
    assert!(early.count() > 50, "{outcomes:?}");
    assert!(outcomes.iter().all(|(_, at)| *at < deadline + SOON));
    assert_eq!(transport.usage().queued_bytes, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn under_a_storm_of_faults_every_acked_envelope_is_there_once_and_in_order() {
    let stage = Stage::new().await;
    let load = &stage.load;
    let storm = async {
        let faults = [
            Faults::RESET_BEFORE_REPLY,
            Faults::BLACK_HOLE,
            Faults::HALF_OPEN,
            Faults {
                to_server: Fault::Reset,
                ..Faults::NONE
            },
            Faults {
                to_client: Fault::Delay(Duration::from_millis(80)),
                ..Faults::NONE
            },
        ];
        for fault in faults.iter().cycle().take(10) {
            stage.proxy.set(*fault);
            sleep(Duration::from_millis(400)).await;
            stage.proxy.set(Faults::NONE);
            sleep(Duration::from_millis(400)).await;
            stage.proxy.cut();
        }
        load.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let frozen = async {
        sleep(Duration::from_secs(4)).await;
        stage.servers.the().freeze();
        sleep(Duration::from_secs(2)).await;
        stage.servers.the().thaw();
    };
    let (acked, (), ()) = tokio::join!(load.publish(&[1_000], u64::MAX), storm, frozen);
    assert!(acked.len() > 100, "{}", acked.len());
    println!("{} envelopes", acked.len());
    compare(&acked, &read(&load.transport, acked.len()).await);
    load.transport
        .close(Instant::now() + PATIENCE)
        .await
        .unwrap();
}
