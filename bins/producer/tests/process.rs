//! The built program, without an engine: what it does until there is one, and how it ends.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use log_tracer_proto::v1::{LogEntry, SubmitRequest, log_service_client::LogServiceClient};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tonic::Code;
use tonic_types::StatusExt;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_log-tracer-producer"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("LOG_TRACER_CONFIG");
    command
}

/// An address that nobody listens on.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A process that is killed when the test ends.
struct Producer {
    child: Child,
    address: Value,
}

impl Producer {
    fn start(args: &[&str]) -> Self {
        let free = [
            "--grpc-listen",
            "127.0.0.1:0",
            "--http-listen",
            "127.0.0.1:0",
            "--json",
        ];
        let mut child = command(&free).args(args).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = serde_json::from_str(&line).unwrap();
        Self { child, address }
    }

    fn stop(mut self) -> Option<i32> {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn ended(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(args).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_it_listens_refuses_in_a_way_that_is_retried_and_ends_with_0() {
    let servers = format!("transport.servers=nats://{}", nobody());
    let producer = Producer::start(&["--transport", "nats", "--set", &servers]);
    let grpc = producer.address["otlp_grpc"].as_str().unwrap().to_owned();
    let mut client = LogServiceClient::connect(grpc.clone()).await.unwrap();
    let request = SubmitRequest {
        entries: vec![LogEntry::default()],
        ..SubmitRequest::default()
    };
    let status = client.submit(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.get_details_retry_info().is_some());

    let listen = grpc.trim_start_matches("http://");
    let (code, stderr) = ended(&["healthcheck", "--help"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stderr) = ended(&["--grpc-listen", listen, "healthcheck"]);
    assert_eq!(code, Some(75), "{stderr}");
    assert!(stderr.contains("NOT_SERVING"), "{stderr}");
    assert_eq!(producer.stop(), Some(0));
}

#[test]
fn mistakes_end_it_with_the_code_for_them_and_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let cases = [
        (
            &["--grpc-listen", taken.as_str()][..],
            78,
            "(producer.grpc_listen) is in use",
        ),
        (
            &["--set", "producer.grpc_listem=1"],
            78,
            "did you mean `producer.grpc_listen`?",
        ),
        (&["--transport", "disk"], 78, "log-tracer run"),
        (&["--sat"], 64, "unexpected argument '--sat'"),
    ];
    for (args, code, expected) in cases {
        let (status, stderr) = ended(args);
        assert_eq!(status, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
}

#[test]
fn the_settings_of_its_services_in_compose_yml_are_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose.yml");
    let text = std::fs::read_to_string(path).unwrap();
    let compose: Value = serde_saphyr::from_str(&text).unwrap();
    let mut checked = 0;
    for (name, service) in compose["services"].as_object().unwrap() {
        let image = service["image"].as_str().unwrap();
        if !image.starts_with("log-tracer-producer:") {
            continue;
        }
        let variables: BTreeMap<String, String> =
            serde_json::from_value(service["environment"].clone()).unwrap();
        assert!(!variables.is_empty());
        let Output { status, stderr, .. } = command(&["--check-config"])
            .envs(&variables)
            .output()
            .unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{name}: {stderr}");
        checked += 1;
    }
    assert_eq!(checked, 4);
}
