//! The built program against a running log-tracer.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use log_tracer::testing::TestTracer;
use log_tracer_proto::v1::{LogEntry, SubmitRequest, log_service_client::LogServiceClient};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_log-tracer-dashboard"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("LOG_TRACER_CONFIG");
    command
}

/// A process that is killed when the test ends.
struct Dashboard {
    child: Child,
    address: String,
}

impl Dashboard {
    fn start(query: &str) -> Self {
        let query = format!("query=[\"{query}\"]");
        let mut child = command(&["--set", "dashboard.listen=127.0.0.1:0", "--set", &query])
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (_, address) = line.trim().split_once("http://").unwrap();
        let address = address.to_owned();
        Self { child, address }
    }

    /// The status line and the rest of the answer to a GET.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn stop(mut self) -> Option<i32> {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dashboard {
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
async fn it_shows_what_a_consumer_elsewhere_holds_and_ends_with_0() {
    let tracer = TestTracer::start().await.unwrap();
    let mut ingest = LogServiceClient::connect(tracer.otlp_grpc()).await.unwrap();
    let entry = LogEntry {
        service: "elsewhere".to_owned(),
        message: "seen from another process".to_owned(),
        ..LogEntry::default()
    };
    let request = SubmitRequest {
        entries: vec![entry],
        ..SubmitRequest::default()
    };
    ingest.submit(request).await.unwrap();
    tracer.wait_for_logs("service:elsewhere", 1).await.unwrap();

    let dashboard = Dashboard::start(&tracer.query_grpc().unwrap());
    let page = dashboard.get("/logs?q=service%3Aelsewhere");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("seen from another process"), "{page}");
    assert_eq!(dashboard.stop(), Some(0));
}

#[test]
fn it_serves_while_its_consumer_is_away() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let dashboard = Dashboard::start(&address);
    let page = dashboard.get("/logs");
    assert!(page.starts_with("HTTP/1.1 503"), "{page}");
    assert_eq!(dashboard.stop(), Some(0));
}

#[test]
fn mistakes_end_it_with_the_code_for_them_and_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("dashboard.listen={}", listener.local_addr().unwrap());
    let cases = [
        (
            &["--set", taken.as_str()][..],
            78,
            "(dashboard.listen) is in use",
        ),
        (
            &["--set", "qery=[]"],
            78,
            "unknown key `qery`, did you mean `query`?",
        ),
        (
            &["--set", "query=[]"],
            78,
            "query must hold at least one address",
        ),
        (&["--sat"], 64, "unexpected argument '--sat'"),
    ];
    for (args, code, expected) in cases {
        let (status, stderr) = ended(args);
        assert_eq!(status, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
}
