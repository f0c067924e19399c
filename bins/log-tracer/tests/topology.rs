//! `log-tracer topology`: everything starts, works, and ends, whatever ends first.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[allow(dead_code, reason = "other tests use more of it")]
mod support;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use log_tracer_proto::v1::{
    LogEntry, SearchLogsRequest, SubmitRequest, log_service_client::LogServiceClient,
    query_service_client::QueryServiceClient,
};
use nix::sys::signal::Signal;
use serde::Deserialize;
use support::Process;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Report {
    dashboard: String,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    processes: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct Producer {
    otlp_grpc: String,
}

#[derive(Deserialize)]
struct Consumer {
    query_grpc: String,
}

struct Topology {
    process: Process,
    report: Report,
    _directory: TempDir,
}

impl Topology {
    fn start(engine: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().to_str().unwrap();
        let arguments = [
            "topology",
            engine,
            "--free-ports",
            "--json",
            "--data-dir",
            data,
        ];
        let process = Process::start(&arguments);
        let line = process.line();
        let report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self {
            process,
            report,
            _directory: directory,
        }
    }

    /// Sends a record through each producer and finds all of them through the consumers.
    async fn works(&self) {
        let message = |index: usize| format!("sent through producer {index}");
        for (index, producer) in self.report.producers.iter().enumerate() {
            let mut client = LogServiceClient::connect(producer.otlp_grpc.clone())
                .await
                .unwrap();
            let entry = |service: usize| LogEntry {
                service: format!("service-{service}"),
                message: message(index),
                ..LogEntry::default()
            };
            let request = SubmitRequest {
                entries: (0..20).map(entry).collect(),
                ..SubmitRequest::default()
            };
            let began = Instant::now();
            while let Err(status) = client.submit(request.clone()).await {
                assert!(began.elapsed() < PATIENCE, "{status}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let expected = self.report.producers.len() * 20;
        let began = Instant::now();
        loop {
            let mut found = Vec::new();
            for consumer in &self.report.consumers {
                found.push(count(&consumer.query_grpc).await);
            }
            if found.iter().sum::<usize>() == expected {
                assert!(found.iter().all(|found| *found > 0), "{found:?}");
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{found:?} of {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until none of its processes is there any more.
    fn leaves_nothing_behind(&self) {
        let began = Instant::now();
        for (name, id) in &self.report.processes {
            while is_running(*id) {
                assert!(began.elapsed() < PATIENCE, "{name} ({id}) is still there");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

async fn count(query: &str) -> usize {
    let Ok(mut client) = QueryServiceClient::connect(query.to_owned()).await else {
        return 0;
    };
    let request = SearchLogsRequest {
        query: "sent through producer".to_owned(),
        limit: 1_000,
        ..SearchLogsRequest::default()
    };
    let answer = client.search_logs(request).await;
    answer.map_or(0, |answer| answer.into_inner().hits.len())
}

/// A process that has ended and that nobody has waited for is not running.
fn is_running(id: u32) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

async fn starts_works_and_stops(engine: &str) {
    let topology = Topology::start(engine);
    assert!(topology.report.dashboard.starts_with("http://127.0.0.1:"));
    topology.works().await;
    topology.process.signal(Signal::SIGTERM);
    topology.leaves_nothing_behind();
    let ended = topology.process.ended();
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nats-server, from NATS_SERVER or PATH, and the programs of the roles: cargo make test-live"]
async fn on_nats_it_starts_works_and_stops_in_order() {
    starts_works_and_stops("nats").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fluvio-run, from FLUVIO_RUN or PATH, and the programs of the roles: cargo make test-live"]
async fn on_fluvio_it_starts_works_and_stops_in_order() {
    starts_works_and_stops("fluvio").await;
}

fn killed_leaves_nothing_behind(engine: &str) {
    let topology = Topology::start(engine);
    topology.process.signal(Signal::SIGKILL);
    topology.leaves_nothing_behind();
}

#[test]
#[ignore = "needs nats-server, from NATS_SERVER or PATH, and the programs of the roles: cargo make test-live"]
fn on_nats_nothing_outlives_it_when_it_is_killed() {
    killed_leaves_nothing_behind("nats");
}

#[test]
#[ignore = "needs fluvio-run, from FLUVIO_RUN or PATH, and the programs of the roles: cargo make test-live"]
fn on_fluvio_nothing_outlives_it_when_it_is_killed() {
    killed_leaves_nothing_behind("fluvio");
}

#[test]
#[ignore = "needs nats-server, from NATS_SERVER or PATH, and the programs of the roles: cargo make test-live"]
fn a_process_that_ends_is_named_and_ends_all_others() {
    for name in ["consumer-2", "nats"] {
        let topology = Topology::start("nats");
        let id = i32::try_from(topology.report.processes[name]).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), Signal::SIGKILL).unwrap();
        topology.leaves_nothing_behind();
        let ended = topology.process.ended();
        assert_eq!(ended.status.code(), Some(70), "{:#?}", ended.stderr);
        let told = format!("log-tracer: {name} ended: signal: 9");
        assert!(
            ended.stderr.iter().any(|line| line.starts_with(&told)),
            "{:#?}",
            ended.stderr
        );
    }
}

#[test]
fn a_topology_without_its_engine_says_where_to_name_it() {
    let directory = tempfile::tempdir().unwrap();
    let ended = support::run(&[
        "topology",
        "nats",
        "--program",
        "/no/such/program",
        "--data-dir",
        directory.path().to_str().unwrap(),
    ]);
    assert_eq!(ended.status.code(), Some(78));
    let text = ended.stderr.join("\n");
    assert!(text.contains("/no/such/program is not there"), "{text}");
    assert!(text.contains("NATS_SERVER"), "{text}");
}
