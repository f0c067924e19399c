//! What live tests have in common: one cluster for all tests of a process, and the logs on it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub(crate) mod traffic;

use std::{
    io,
    num::{NonZeroU16, NonZeroU32},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use log_tracer_transport_fluvio::{
    Config,
    cluster::{Cluster, Options, find_program},
};
use tokio::runtime::Runtime;

/// A name that no other log of this process has, within the letters of a topic.
pub(crate) fn new_topic() -> String {
    static TOPICS: AtomicU32 = AtomicU32::new(0);
    format!("live-{}", TOPICS.fetch_add(1, Ordering::Relaxed))
}

/// How a cluster of a test's own is started.
pub(crate) fn options(spus: u16) -> (tempfile::TempDir, Options) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        program: find_program().expect("fluvio-run on the PATH, or named by FLUVIO_RUN"),
        directory: directory.path().to_owned(),
        spus,
        first_port: None,
        advertise: Vec::new(),
        launcher: Vec::new(),
    };
    (directory, options)
}

/// The address of the cluster that the tests of this process share. It ends with the process, however that ends.
pub(crate) fn shared_cluster() -> String {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| start_shared().unwrap()).clone()
}

fn start_shared() -> io::Result<String> {
    let (directory, options) = options(1);
    // On a thread of its own, as tests have runtimes of their own.
    let started = thread::spawn(|| Runtime::new().unwrap().block_on(Cluster::start(options)));
    let cluster = started.join().unwrap().map_err(io::Error::other)?;
    let ids = [cluster.spu_id(0), cluster.controller_id()];
    // Nothing of ours runs at the end of a test process, so that somebody else has to look.
    Command::new("sh")
        .arg("-c")
        .arg("while kill -0 $1; do sleep 0.2; done; directory=$2; shift 2; kill -9 $*; rm -rf \"$directory\"")
        .arg("sh")
        .arg(std::process::id().to_string())
        .arg(directory.keep())
        .args(ids.into_iter().flatten().map(|id| id.to_string()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let address = cluster.address().to_string();
    // Dropping it would kill it.
    std::mem::forget(cluster);
    Ok(address)
}

/// A log of a few small envelopes, on a topic of its own.
pub(crate) fn config(address: &str) -> Config {
    Config {
        address: address.to_owned(),
        topic: new_topic(),
        partitions: NonZeroU16::MIN,
        partition_bytes_max: 1 << 30,
        segment_bytes: NonZeroU32::new(64 << 20).unwrap(),
        ..Config::default()
    }
}

/// Waits until something is so, and says what it waited for when it is not.
pub(crate) async fn until(what: &str, within: Duration, so: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + within;
    while !so().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} is not so after {within:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
