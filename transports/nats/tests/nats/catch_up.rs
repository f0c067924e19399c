//! A reader that starts from the beginning of much while more arrives.

use std::{sync::Arc, time::Duration};

use log_tracer_transport::{Envelope, Partition, Transport};
use log_tracer_transport_nats::{Config, NatsTransport};
use tokio::time::{Instant, sleep};

use crate::{
    load::{Load, PATIENCE, compare, load_bytes, read},
    support::{Servers, Sync},
};

const SMALL: usize = 1_000;
const LARGE: usize = 150_000;

async fn open(servers: &Servers) -> (Config, Arc<NatsTransport>) {
    let config = Config {
        partitions: 2.try_into().unwrap(),
        retained_bytes_max: 4 << 30,
        ..servers.config()
    };
    let transport = NatsTransport::open(&config).await.unwrap();
    (config, Arc::new(transport))
}

fn sizes(transport: &NatsTransport) -> [usize; 3] {
    let largest = transport.capabilities().envelope_bytes_max - Envelope::HEADER_BYTES;
    [SMALL, LARGE, largest]
}

/// Half before the reader starts, half while it reads and something happens.
async fn catch_up(transport: &Arc<NatsTransport>, disturbance: impl Future<Output = ()>) {
    let load = Load::new(transport);
    let sizes = sizes(transport);
    let start = Instant::now();
    let mut acked = load.publish(&sizes, load_bytes() / 2).await;
    let half = acked.len();
    let per_size = |bytes: u64| {
        let count = |size: &usize| bytes / sizes.len() as u64 / *size as u64;
        sizes.iter().map(count).sum::<u64>() as usize
    };
    assert_eq!(half, per_size(load_bytes() / 2));
    let count = half * 2;
    let (more, read, ()) = tokio::join!(
        load.publish(&sizes, load_bytes() / 2),
        read(transport, count),
        disturbance,
    );
    acked.extend(more);
    compare(&acked, &read);
    println!(
        "{count} envelopes, {} bytes in {:?}",
        load_bytes(),
        start.elapsed()
    );
    transport.close(Instant::now() + PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn all_sizes_are_caught_up_on_one_server_while_more_arrive() {
    let servers = Servers::single(Sync::Periodic).await;
    let (_, transport) = open(&servers).await;
    catch_up(&transport, async {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn all_sizes_are_caught_up_on_a_cluster_while_a_node_dies_and_leaders_move() {
    let servers = Servers::cluster(Sync::Periodic).await;
    let (config, transport) = open(&servers).await;
    catch_up(&transport, async {
        sleep(Duration::from_millis(300)).await;
        move_leader(&config, Partition(0)).await;
        let leader = leader_of(&config, Partition(1)).await;
        let server = &servers.servers[leader];
        server.kill();
        sleep(Duration::from_secs(3)).await;
        server.start();
        sleep(Duration::from_secs(1)).await;
        move_leader(&config, Partition(1)).await;
    })
    .await;
}

/// The parts of large batches, which go as one call to one partition, while leaders move all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn calls_of_many_envelopes_keep_their_order_while_leaders_move() {
    let servers = Servers::cluster(Sync::Periodic).await;
    let config = servers.config();
    let transport = Arc::new(NatsTransport::open(&config).await.unwrap());
    let load = Load::new(&transport);
    let publishing = async {
        let mut acked = Vec::new();
        for call in 0..60 {
            let batch: Vec<_> = (0..20).map(|_| load.envelope(500 + call)).collect();
            let numbers: Vec<_> = batch.iter().map(|one| one.received_unix_nano).collect();
            let acks = load.publish_until_acked(batch).await;
            assert!(
                acks.is_sorted_by(|one, other| one.offset < other.offset),
                "{acks:?}"
            );
            acked.extend(
                numbers
                    .into_iter()
                    .zip(acks.into_iter().map(|ack| (ack.partition, ack.offset))),
            );
            sleep(Duration::from_millis(50)).await;
        }
        acked
    };
    let moving = async {
        loop {
            sleep(Duration::from_millis(400)).await;
            move_leader(&config, Partition(0)).await;
        }
    };
    let acked = tokio::select! {
        acked = publishing => acked,
        () = moving => unreachable!(),
    };
    let read = read(&transport, acked.len()).await;
    compare(&acked.into_iter().collect(), &read);
    transport.close(Instant::now() + PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo make test-live"]
async fn a_cluster_that_lost_one_of_three_goes_on_and_one_that_lost_two_refuses_in_time() {
    let servers = Servers::cluster(Sync::Periodic).await;
    let config = servers.config();
    let transport = Arc::new(NatsTransport::open(&config).await.unwrap());
    let mut load = Load::new(&transport);
    load.patience = Duration::from_secs(2);
    assert!(transport.capabilities().survives_node_loss);
    servers.servers[0].kill();
    let first = load.envelope(100);
    load.publish_until_acked(vec![first.clone()]).await;
    servers.servers[1].kill();
    // Two are needed to store anything; the one that is left may not have noticed at once.
    sleep(Duration::from_secs(1)).await;
    let second = load.envelope(100);
    let start = Instant::now();
    let refused = transport
        .publish(vec![second.clone()], start + Duration::from_secs(2))
        .await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    servers.servers[0].start();
    servers.servers[1].start();
    load.publish_until_acked(vec![second]).await;
    let read = read(&transport, 2).await;
    assert_eq!(read.len(), 2);
    transport.close(Instant::now() + PATIENCE).await.unwrap();
}

/// Which server leads the stream of a partition.
async fn leader_of(config: &Config, partition: Partition) -> usize {
    let client = async_nats::connect(config.servers.clone()).await.unwrap();
    let subject = format!("$JS.API.STREAM.INFO.{}-p{:02}", config.name, partition.0);
    let give_up = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < give_up, "nobody leads");
        if let Ok(answer) = client.request(subject.clone(), "".into()).await {
            let info: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
            if let Some(leader) = info["cluster"]["leader"].as_str() {
                return leader.trim_start_matches('n').parse::<usize>().unwrap() - 1;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn move_leader(config: &Config, partition: Partition) {
    let client = async_nats::connect(config.servers.clone()).await.unwrap();
    let stream = format!("{}-p{:02}", config.name, partition.0);
    // While there is no leader nobody answers.
    let _ = client
        .request(
            format!("$JS.API.STREAM.LEADER.STEPDOWN.{stream}"),
            "".into(),
        )
        .await;
}
