//! The built program asks a running one: `logs`, `traces`, `trace`, `services`, `graph` and `status`.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::time::Duration;

use log_tracer::testing::TestTracer;
use log_tracer_proto::{
    json,
    v1::{
        Level, LogEntry, StatusRequest, SubmitRequest, log_service_client::LogServiceClient,
        query_service_client::QueryServiceClient,
    },
};
use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Ended, Process, run};

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
/// 2023-11-14T22:13:20Z
const START: u64 = 1_700_000_000_000_000_000;

/// The program with arguments against a tracer.
fn ask(tracer: &TestTracer, args: &[&str]) -> Ended {
    let server = tracer.query_grpc().unwrap();
    run(&[args, &["--server", &server]].concat())
}

async fn submit(tracer: &TestTracer, number: u64, level: Level, message: &str) {
    let mut client = LogServiceClient::connect(tracer.otlp_grpc()).await.unwrap();
    let entry = LogEntry {
        time_unix_nano: START + number,
        level: level.into(),
        service: "cron".to_owned(),
        message: message.to_owned(),
        trace_id: TRACE.to_owned(),
        ..LogEntry::default()
    };
    let request = SubmitRequest {
        entries: vec![entry],
        ..SubmitRequest::default()
    };
    client.submit(request).await.unwrap();
}

async fn with_three_logs() -> TestTracer {
    let tracer = TestTracer::start().await.unwrap();
    submit(&tracer, 1_000, Level::Info, "backup begun").await;
    submit(&tracer, 2_000, Level::Error, "backup failed\u{1b}[2J").await;
    submit(&tracer, 3_000, Level::Info, "backup ended").await;
    tracer.wait_for_logs("backup", 3).await.unwrap();
    tracer
}

#[tokio::test]
async fn logs_prints_a_line_for_each_record_the_newest_last_and_nothing_that_moves_a_terminal() {
    let tracer = with_three_logs().await;
    let ended = ask(&tracer, &["logs"]);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert_eq!(
        ended.stdout,
        [
            "2023-11-14T22:13:20.000001Z INFO cron: backup begun",
            "2023-11-14T22:13:20.000002Z ERROR cron: backup failed\\u{1b}[2J",
            "2023-11-14T22:13:20.000003Z INFO cron: backup ended",
        ]
    );
    let ended = ask(&tracer, &["logs", "severity>=error"]);
    assert_eq!(ended.stdout.len(), 1);
    let ended = ask(&tracer, &["logs", "--limit", "1"]);
    assert!(
        ended.stdout[0].ends_with("backup ended"),
        "{:?}",
        ended.stdout
    );
    // All of them are from 2023.
    assert_eq!(ask(&tracer, &["logs", "--since", "1h"]).stdout, [""; 0]);
}

#[tokio::test]
async fn logs_as_json_are_otlp_json_one_record_a_line() {
    let tracer = with_three_logs().await;
    let ended = ask(&tracer, &["logs", "failed", "--json"]);
    assert_eq!(ended.stdout.len(), 1);
    let request = json::decode_logs(ended.stdout[0].as_bytes()).unwrap();
    let scope_logs = &request.resource_logs[0].scope_logs[0];
    assert_eq!(scope_logs.log_records[0].time_unix_nano, START + 2_000);
}

#[tokio::test]
async fn logs_that_arrive_are_followed() {
    let tracer = with_three_logs().await;
    let server = tracer.query_grpc().unwrap();
    let follower = Process::start(&["logs", "--follow", "--limit", "1", "--server", &server]);
    assert!(follower.line().ends_with("backup ended"));
    submit(&tracer, 4_000, Level::Warn, "backup late").await;
    assert!(follower.line().ends_with("WARN cron: backup late"));
    follower.signal(Signal::SIGTERM);
    follower.ended();
}

#[tokio::test]
async fn a_follower_ends_with_75_when_the_server_stops() {
    let tracer = with_three_logs().await;
    let server = tracer.query_grpc().unwrap();
    let follower = Process::start(&["logs", "--follow", "--limit", "1", "--server", &server]);
    follower.line();
    drop(tracer);
    let ended = follower.ended();
    assert_eq!(ended.status.code(), Some(75), "{:?}", ended.stderr);
    assert_eq!(ended.stderr.len(), 1, "{:?}", ended.stderr);
}

#[tokio::test]
async fn traces_and_trace_show_what_is_there() {
    let tracer = TestTracer::start().await.unwrap();
    let demo = run(&[
        "demo",
        "--endpoint",
        &tracer.otlp_grpc(),
        "--seconds",
        "0",
        "--backfill-minutes",
        "1",
        "--rate",
        "1",
        "--seed",
        "1",
    ]);
    assert_eq!(demo.status.code(), Some(0), "{:?}", demo.stderr);

    everything_applied(&tracer).await;
    let lines = ask(&tracer, &["traces", "--limit", "5"]);
    assert_eq!(lines.stdout.len(), 5, "{:?}", lines.stderr);
    let objects = ask(&tracer, &["traces", "--limit", "1", "--json"]);
    let summary: Value = serde_json::from_str(&objects.stdout[0]).unwrap();
    let id = summary["traceId"].as_str().unwrap();
    assert!(lines.stdout[4].contains(id), "the newest is the last line");

    let spans = summary["spans"].as_u64().unwrap();
    let tree = ask(&tracer, &["trace", id]);
    let of_spans = tree
        .stdout
        .iter()
        .skip(1)
        .filter(|line| !line.contains('·'));
    assert_eq!(of_spans.count() as u64, spans, "{:#?}", tree.stdout);

    let whole = ask(&tracer, &["trace", id, "--json"]);
    assert_eq!(whole.stdout.len(), 2);
    let traces = json::decode_traces(whole.stdout[0].as_bytes()).unwrap();
    let scopes = traces.resource_spans.iter().flat_map(|r| &r.scope_spans);
    assert_eq!(scopes.map(|s| s.spans.len() as u64).sum::<u64>(), spans);
    json::decode_logs(whole.stdout[1].as_bytes()).unwrap();
}

/// A demo's minute of traffic; and what is answered once something is.
async fn with_a_minute_of_traffic() -> TestTracer {
    let tracer = TestTracer::start().await.unwrap();
    let endpoint = tracer.otlp_grpc();
    let ago = "--backfill-minutes";
    let demo = run(&[
        "demo",
        "--endpoint",
        &endpoint,
        "--seconds",
        "0",
        ago,
        "1",
        "--rate",
        "1",
        "--seed",
        "1",
    ]);
    assert_eq!(demo.status.code(), Some(0), "{:?}", demo.stderr);
    everything_applied(&tracer).await;
    tracer
}

/// What was acked can be found a moment later.
async fn everything_applied(tracer: &TestTracer) {
    let address = tracer.query_grpc().unwrap();
    let mut client = QueryServiceClient::connect(address).await.unwrap();
    for _ in 0..500 {
        let status = client.status(StatusRequest {}).await.unwrap().into_inner();
        let mut partitions = status.partitions.iter();
        if partitions.all(|partition| partition.applied_next == partition.log_end) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not everything is applied");
}

#[tokio::test]
async fn services_and_graph_show_what_the_services_do() {
    let tracer = with_a_minute_of_traffic().await;
    let table = ask(&tracer, &["services", "--since", "15m"]);
    assert_eq!(table.status.code(), Some(0), "{:?}", table.stderr);
    assert!(
        table.stdout[0].starts_with("service "),
        "{:?}",
        table.stdout
    );
    assert!(table.stdout[0].ends_with("p99"));
    assert!(
        table.stdout.iter().any(|line| line.starts_with("payment ")),
        "{:#?}",
        table.stdout
    );

    let objects = ask(
        &tracer,
        &["services", "--operations", "--service", "payment", "--json"],
    );
    assert!(!objects.stdout.is_empty());
    for line in &objects.stdout {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["service"], "payment");
        assert!(object["operation"].is_string());
        assert!(object["count"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    }

    let edges = ask(&tracer, &["graph", "--json"]);
    assert_eq!(edges.status.code(), Some(0), "{:?}", edges.stderr);
    let edges: Vec<Value> = edges
        .stdout
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let calls =
        |edge: &&Value| edge["caller"]["kind"] == "service" && edge["callee"]["name"] == "payment";
    assert!(edges.iter().any(|edge| calls(&edge)), "{edges:#?}");
    let graph = ask(&tracer, &["graph", "--format", "dot"]);
    assert_eq!(graph.stdout[0], "digraph services {");
    assert_eq!(ask(&tracer, &["graph"]).stdout.len(), edges.len() + 1);
}

#[tokio::test]
async fn a_mistake_is_answered_with_the_code_for_it_and_one_line() {
    let tracer = TestTracer::start().await.unwrap();
    let query = ask(&tracer, &["logs", "severity>="]);
    assert_eq!(query.status.code(), Some(64));
    assert_eq!(query.stderr.len(), 1, "{:?}", query.stderr);
    assert!(query.stderr[0].contains("column 11"), "{:?}", query.stderr);

    let missing = ask(&tracer, &["trace", TRACE]);
    assert_eq!(missing.status.code(), Some(75));
    assert_eq!(
        missing.stderr,
        [format!("log-tracer: there is no trace {TRACE}")]
    );

    drop(tracer);
    let nobody = run(&["traces", "--server", "http://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(75));
    assert_eq!(
        nobody.stderr,
        [
            "log-tracer: nothing answers at http://127.0.0.1:1: start log-tracer first, or name another address with --server"
        ]
    );
    assert_eq!(run(&["trace", "xyz"]).status.code(), Some(64));
    assert_eq!(run(&["logs", "--since", "soon"]).status.code(), Some(64));
}

#[tokio::test]
async fn several_servers_are_asked_as_one_and_the_status_shows_each() {
    let tracer = with_three_logs().await;
    let server = tracer.query_grpc().unwrap();
    // Nobody listens at this one; all partitions are with the other.
    let away = "http://127.0.0.1:1";
    let both = format!("{server},{away}");
    let ended = run(&["logs", "--server", &both]);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert_eq!(ended.stdout.len(), 3);

    let ended = run(&["status", "--server", &server, "--server", away]);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert_eq!(ended.stdout.len(), 3, "{:?}", ended.stdout);
    assert!(ended.stdout[1].contains(&server) && ended.stdout[1].contains("asked"));
    assert!(ended.stdout[2].contains(away) && ended.stdout[2].contains("away"));
    let ended = run(&["status", "--json", "--server", &server]);
    let status: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    assert_eq!(
        (&status["role"], &status["health"]),
        (&"asked".into(), &"ready".into())
    );

    // Of two logs, one is asked, and the other one is named.
    let other = with_three_logs().await;
    let both = format!("{server},{}", other.query_grpc().unwrap());
    let ended = run(&["logs", "--server", &both]);
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(0), 3));
    assert!(
        ended
            .stderr
            .iter()
            .any(|line| line.contains("reads the log")),
        "{:?}",
        ended.stderr
    );
    let ended = run(&["status", "--server", &both]);
    assert_eq!(ended.status.code(), Some(75), "{:?}", ended.stderr);
    let ended = run(&["logs", "--server", "http://127.0.0.1:1,http://127.0.0.1:2"]);
    assert_eq!(ended.status.code(), Some(75));
    assert!(
        ended.stderr[0].contains("nothing answers at"),
        "{:?}",
        ended.stderr
    );
}
