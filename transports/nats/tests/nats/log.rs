//! What a log is on the servers: made once, checked, and noticed when it is another.

use std::time::Duration;

use log_tracer_transport::{
    Cursor, Group, Health, Offset, OpenError, Partition, PublishError, Transport,
};
use log_tracer_transport_nats::{Config, NatsTransport, WhenFull};
use tokio::time::{Instant, sleep};

use crate::{
    load::{Load, PATIENCE},
    support::{Servers, Sync},
};

#[tokio::test]
#[ignore = "needs nats-server: cargo make test-live"]
async fn a_log_that_is_not_what_is_configured_is_refused_with_the_command_that_changes_it() {
    let servers = Servers::single(Sync::Periodic).await;
    let config = Config {
        partitions: 2.try_into().unwrap(),
        ..servers.config()
    };
    let made = NatsTransport::open(&config).await.unwrap();
    made.close(Instant::now() + PATIENCE).await.unwrap();
    let changed: [(&str, &str, Config); 5] = [
        (
            "partitions",
            "set partitions = 2",
            Config {
                partitions: 1.try_into().unwrap(),
                ..config.clone()
            },
        ),
        (
            "partitions",
            "set partitions = 2",
            Config {
                partitions: 3.try_into().unwrap(),
                ..config.clone()
            },
        ),
        (
            "retained_bytes_max",
            "--max-bytes=268435456",
            Config {
                retained_bytes_max: 512 << 20,
                ..config.clone()
            },
        ),
        (
            "when_full",
            "--discard=old",
            Config {
                when_full: WhenFull::DropOldest,
                ..config.clone()
            },
        ),
        (
            "dedupe_window_ms",
            "--dupe-window=1000ms",
            Config {
                dedupe_window_ms: 1000,
                ..config.clone()
            },
        ),
    ];
    for (key, command, config) in changed {
        let refused = NatsTransport::open(&config).await.map(|log| log.log_id());
        assert!(
            matches!(&refused, Err(OpenError::Invalid(why)) if why.contains(key) && why.contains(command)),
            "{key}: {refused:?}"
        );
    }
    let alone = Config {
        replicas: 3,
        name: format!("{}x", config.name),
        ..config.clone()
    };
    let refused = NatsTransport::open(&alone).await.map(|log| log.log_id());
    assert!(
        matches!(&refused, Err(OpenError::Failed(why)) if why.to_string().contains("replicas")),
        "{refused:?}"
    );
    delete(&config, "p01").await;
    let refused = NatsTransport::open(&config).await.map(|log| log.log_id());
    assert!(
        matches!(&refused, Err(OpenError::Failed(why)) if why.to_string().contains("-p01 is missing")),
        "{refused:?}"
    );
}

#[tokio::test]
#[ignore = "needs nats-server: cargo make test-live"]
async fn a_log_that_was_deleted_and_made_anew_has_another_id_and_the_old_one_has_failed() {
    let servers = Servers::single(Sync::Periodic).await;
    let config = Config {
        look_interval_ms: 50,
        ..servers.config()
    };
    let old = NatsTransport::open(&config).await.unwrap();
    delete(&config, "p00").await;
    sleep(Duration::from_millis(5)).await;
    let new = NatsTransport::open(&config).await.unwrap();
    assert_ne!(old.log_id(), new.log_id());
    let give_up = Instant::now() + PATIENCE;
    while !matches!(old.health(), Health::Failed(_)) {
        assert!(Instant::now() < give_up, "{:?}", old.health());
        sleep(Duration::from_millis(20)).await;
    }
    let load = Load::new(&std::sync::Arc::new(new));
    let refused = old
        .publish(vec![load.envelope(1)], Instant::now() + PATIENCE)
        .await;
    assert!(
        matches!(refused, Err(PublishError::Failed(_))),
        "{refused:?}"
    );
    load.publish_until_acked(vec![load.envelope(1)]).await;
}

#[tokio::test]
#[ignore = "needs nats-server: cargo make test-live"]
async fn what_every_group_has_committed_stays_until_its_room_is_needed() {
    let servers = Servers::single(Sync::Periodic).await;
    let config = Config {
        retained_bytes_max: 1 << 20,
        envelope_bytes_max: 64 << 10,
        ..servers.config()
    };
    let transport = std::sync::Arc::new(NatsTransport::open(&config).await.unwrap());
    let load = Load::new(&transport);
    let group = Group("reader".into());
    let mut kept_all_until = 0;
    for number in 0..60 {
        load.publish_until_acked(vec![load.envelope(30_000)]).await;
        let upto = Cursor {
            partition: Partition(0),
            next: Offset(number + 1),
        };
        transport.commit(&group, &[upto]).await.unwrap();
        let first = transport.watermarks().await.unwrap()[0].start.unwrap();
        if first == Offset(0) {
            kept_all_until = number;
        }
    }
    // Three quarters of a megabyte are 25 of them.
    assert!((22..28).contains(&kept_all_until), "{kept_all_until}");
}

async fn delete(config: &Config, stream: &str) {
    let client = async_nats::connect(config.servers.clone()).await.unwrap();
    let subject = format!("$JS.API.STREAM.DELETE.{}-{stream}", config.name);
    client.request(subject, "".into()).await.unwrap();
}
