//! The roles apart on a real engine: two producers, two consumers with two partitions each, one dashboard, each a process
//! of its own, killed again and again at random moments under the load of clients that send what was not acked to the
//! other producer. A ledger outside of them remembers what was acked; now and then and at the end, everything that was
//! acked is there, once, and as it was sent, as the dashboard's QueryService sees it.
//!
//! `KILLS=100 SEED=7 NATS_SERVER=… cargo test -p log-tracer --test apart -- --ignored --nocapture`. The seed is that of
//! the load and of the moments; what the machine makes of them is different every time.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by them, and a loop of hours says how far it is"
)]

mod engine;
#[path = "../kill_loop/ledger.rs"]
mod ledger;
#[path = "../kill_loop/load.rs"]
#[allow(dead_code, reason = "the other loop uses more of it")]
mod load;
mod process;
mod replica;
mod topology;
#[path = "../kill_loop/verify.rs"]
#[allow(dead_code, reason = "the other loop uses more of it")]
mod verify;

use std::{collections::BTreeMap, env, sync::Arc, time::Duration};

use engine::Engine;
use ledger::Ledger;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::watch;
use topology::Topology;

/// Kills when nothing else is asked for.
const KILLS_DEFAULT: u64 = 20;
/// Kills between two looks at everything that was acked.
const KILLS_PER_LOOK: u64 = 25;
/// Clients that send at the same time.
const CLIENTS: u64 = 6;

fn number(name: &str, default: u64) -> u64 {
    let given = env::var(name).ok();
    given.map_or(default, |text| text.parse().expect(name))
}

fn run(test: impl Future<Output = ()>) {
    log_tracer_runtime::crypto::install();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

#[test]
#[ignore = "needs nats-server, from NATS_SERVER or PATH, and the programs of the roles: cargo make test-live"]
fn on_nats_what_was_acked_is_there_once_whatever_process_is_killed_when() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::nats(directory.path()).await;
        kill_loop(directory.path(), engine).await;
    });
}

#[test]
#[ignore = "needs nats-server, from NATS_SERVER or PATH, and the programs of the roles: cargo make test-live"]
fn on_nats_a_consumer_that_is_gone_is_named_and_its_replica_makes_answers_whole() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::nats(directory.path()).await;
        replica::is_missed_and_replaced(directory.path(), engine).await;
    });
}

#[cfg(feature = "fluvio")]
#[test]
#[ignore = "needs fluvio-run, from FLUVIO_RUN or PATH, and the programs of the roles: cargo make test-live"]
fn on_fluvio_what_was_acked_is_there_once_whatever_process_is_killed_when() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::fluvio(directory.path()).await;
        kill_loop(directory.path(), engine).await;
    });
}

async fn kill_loop(directory: &std::path::Path, engine: Engine) {
    let kills = number("KILLS", KILLS_DEFAULT);
    let seed = number("SEED", rand::random());
    println!("{kills} kills, SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let ledger = Arc::new(Ledger::default());
    let mut topology = Topology::start(directory, engine).await;
    topology.ready().await;
    let (targets, _) = watch::channel(Some(topology.targets()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| load::start(client, seed, Arc::clone(&ledger), targets.subscribe()))
        .collect();

    let mut killed: BTreeMap<String, u64> = BTreeMap::new();
    for kill in 1..=kills {
        let alive = Duration::from_millis(random.random_range(20..1_200));
        tokio::time::sleep(alive).await;
        let which = random.random_range(0..topology.len());
        let name = topology.kill(which);
        *killed.entry(name).or_default() += 1;
        let dead = Duration::from_millis(random.random_range(0..400));
        tokio::time::sleep(dead).await;
        topology.restart(which).await;
        if kill % KILLS_PER_LOOK == 0 {
            targets.send_replace(None);
            look(&mut topology, &ledger, kill).await;
            targets.send_replace(Some(topology.targets()));
        }
    }
    // What is under way is acked before the clients stop.
    topology.ready().await;
    for client in clients {
        client.stop().await;
    }
    look(&mut topology, &ledger, kills).await;
    println!("killed: {killed:?}");
    assert!(
        kills < 50 || killed.len() == topology.len(),
        "not every process was killed: {killed:?}"
    );
    topology.stop().await;
}

/// Compares the ledger with what the dashboard's QueryService answers.
async fn look(topology: &mut Topology, ledger: &Ledger, kill: u64) {
    topology.ready().await;
    let seen = verify::compare_in_time(&topology.query(), ledger).await;
    println!("after {kill} kills: {seen}");
}
