//! A server that is killed under load.

use std::{sync::Arc, time::Duration};

use log_tracer_transport::{Group, Health, Transport};
use log_tracer_transport_nats::{Config, NatsTransport, SyncInterval};
use tokio::time::{Instant, sleep};

use crate::{
    load::{Load, PATIENCE, compare, read},
    support::{Servers, Sync},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn a_server_that_syncs_always_and_is_killed_under_load_loses_and_doubles_nothing() {
    let servers = Servers::single(Sync::Always).await;
    let config = Config {
        partitions: 2.try_into().unwrap(),
        sync_interval: SyncInterval::Always,
        ..servers.config()
    };
    let transport = Arc::new(NatsTransport::open(&config).await.unwrap());
    assert!(transport.capabilities().survives_os_crash);
    let load = Load::new(&transport);
    let killing = async {
        for _ in 0..3 {
            sleep(Duration::from_millis(1500)).await;
            servers.the().kill();
            sleep(Duration::from_millis(300)).await;
            servers.the().start();
        }
        sleep(Duration::from_secs(1)).await;
        load.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (acked, ()) = tokio::join!(load.publish(&[2_000], u64::MAX), killing);
    assert!(acked.len() > 10, "{}", acked.len());
    println!("{} envelopes", acked.len());
    let before = read(&transport, acked.len()).await;
    compare(&acked, &before);
    let log_id = transport.log_id();
    transport.close(Instant::now() + PATIENCE).await.unwrap();

    // The same again for one who comes later.
    let transport = NatsTransport::open(&config).await.unwrap();
    assert_eq!(transport.log_id(), log_id);
    compare(&acked, &read(&transport, acked.len()).await);
    transport.close(Instant::now() + PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn without_a_server_everything_ends_in_time_and_goes_on_when_it_is_back() {
    let servers = Servers::single(Sync::Periodic).await;
    let config = Config {
        request_timeout_ms: 500,
        ..servers.config()
    };
    let transport = Arc::new(NatsTransport::open(&config).await.unwrap());
    let load = Load::new(&transport);
    load.publish_until_acked(vec![load.envelope(10)]).await;
    servers.the().kill();

    let start = Instant::now();
    let deadline = start + Duration::from_secs(1);
    let refused = transport.publish(vec![load.envelope(10)], deadline).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(transport.watermarks().await.is_err());
    let group = Group("reader".into());
    assert!(transport.committed(&group).await.is_err());
    assert!(transport.commit(&group, &[]).await.is_err());
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
    let health = transport.health();
    assert!(
        matches!(&health, Health::Degraded(why) if why.contains("no server is connected")),
        "{health:?}"
    );

    servers.the().start();
    load.publish_until_acked(vec![load.envelope(10)]).await;
    assert!(transport.watermarks().await.is_ok());
    // It looks for itself every two seconds, and the first look may have met a server that was not ready.
    let give_up = Instant::now() + PATIENCE;
    while transport.health() != Health::Ready {
        assert!(Instant::now() < give_up, "{:?}", transport.health());
        sleep(Duration::from_millis(20)).await;
    }
    servers.the().kill();
    // Also when nobody is there to say goodbye to.
    let start = Instant::now();
    transport.close(start + PATIENCE).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
}
