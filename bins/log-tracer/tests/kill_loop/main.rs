//! The built program under load, killed again and again at random moments: while it starts, takes requests in, writes
//! blocks, merges them, lets old ones go. A ledger outside of it remembers what was acked; at the end, and now and then
//! before, everything that was acked is there, once, and as it was sent.
//!
//! `KILLS=1000 SEED=7 cargo test -p log-tracer --test kill_loop -- --nocapture`, or `cargo make kill-loop`. The seed is
//! that of the load and of the moments; what the machine makes of them is different every time.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by them, and a loop of hours says how far it is"
)]

mod ledger;
mod life;
mod load;
#[allow(dead_code, reason = "the other loop uses more of it")]
mod verify;

use std::{env, sync::Arc, time::Duration};

use ledger::Ledger;
use life::{Addresses, Life};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::watch;

/// Kills when nothing else is asked for: enough to see that the loop itself works.
const KILLS_DEFAULT: u64 = 12;
/// Lives between two looks at everything that was acked.
const LIVES_PER_LOOK: u64 = 25;
/// Clients that send at the same time.
const CLIENTS: u64 = 6;

fn number(name: &str, default: u64) -> u64 {
    let given = env::var(name).ok();
    given.map_or(default, |text| text.parse().expect(name))
}

#[test]
fn what_was_acked_is_there_once_whatever_moment_the_process_is_killed_at() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run());
}

async fn run() {
    let kills = number("KILLS", KILLS_DEFAULT);
    let seed = number("SEED", rand::random());
    println!("{kills} kills, SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::default());
    let (targets, _) = watch::channel(None);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| load::start(client, seed, Arc::clone(&ledger), targets.subscribe()))
        .collect();

    let mut done = Done::default();
    for kill in 1..=kills {
        let mut life = Life::begin(directory.path());
        match random.random_range(0..8) {
            // Dies before it is ready, somewhere in its recovery.
            0 => {
                tokio::time::sleep(Duration::from_millis(random.random_range(0..120))).await;
                done.starts += u64::from(!life.is_ready());
            }
            // Takes in what is older than retention keeps, and nothing else: whole blocks expire.
            1 => {
                let address = life.ready().await;
                load::send_old(&address.otlp_grpc, kill).await;
                tokio::time::sleep(Duration::from_millis(random.random_range(200..900))).await;
                done.look(&address).await;
            }
            _ => {
                let address = life.ready().await;
                targets.send_replace(Some(vec![address.otlp_grpc.clone()]));
                tokio::time::sleep(Duration::from_millis(random.random_range(20..900))).await;
                done.look(&address).await;
            }
        }
        targets.send_replace(None);
        life.kill();
        if kill % LIVES_PER_LOOK == 0 {
            look(directory.path(), &ledger, kill).await;
        }
    }
    for client in clients {
        client.stop().await;
    }
    look(directory.path(), &ledger, kills).await;
    println!("what the lives did: {done:?}");
    assert!(
        kills < 100 || done.is_everything(),
        "the load did not make it flush, merge, expire and die in a start"
    );
}

/// What the processes did before they were killed.
#[derive(Debug, Default)]
struct Done {
    /// Kills that hit a start.
    starts: u64,
    flushes: u64,
    merges: u64,
    expired_rows: u64,
}

impl Done {
    async fn look(&mut self, addresses: &Addresses) {
        if let Some(storage) = verify::storage(&addresses.query_grpc).await {
            self.flushes += storage.flushes;
            self.merges += storage.merges;
            self.expired_rows += storage.expired_rows_by_age;
        }
    }

    fn is_everything(&self) -> bool {
        self.starts > 0 && self.flushes > 0 && self.merges > 0 && self.expired_rows > 0
    }
}

/// Compares the ledger with what a new process answers; that one is stopped in good order.
async fn look(directory: &std::path::Path, ledger: &Ledger, kill: u64) {
    let mut life = Life::begin(directory);
    let addresses = life.ready().await;
    let seen = verify::compare(&addresses.query_grpc, ledger).await;
    println!("after {kill} kills: {seen}");
    life.stop();
}
