//! The built program against a running log-tracer.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use log_tracer::testing::TestTracer;
use log_tracer_proto::v1::{
    LogEntry, StatusRequest, SubmitRequest, log_service_client::LogServiceClient,
    query_service_client::QueryServiceClient,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

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
        Self::with(&[query], &[])
    }

    fn with(query: &[&str], args: &[&str]) -> Self {
        let query = format!("query={query:?}");
        let first = ["--set", "dashboard.listen=127.0.0.1:0", "--set", &query];
        let mut child = command(&[&first, args].concat()).spawn().unwrap();
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

/// An address at which nobody listens: only the system's own programs may take so low a port.
const NOBODY: &str = "http://127.0.0.1:1";

/// An address that is free. Its port lies below those that the system hands out to others meanwhile.
fn free_address() -> SocketAddr {
    let ports = (0..20_000).map(|number| 10_000 + (std::process::id() * 100 + number) % 20_000);
    let mut addresses = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16)));
    addresses
        .find(|address| TcpListener::bind(address).is_ok())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_several_consumers_as_one_and_lets_others_ask_them_so() {
    let tracer = TestTracer::start().await.unwrap();
    let listen = free_address();
    let dashboard = Dashboard::with(
        &[&tracer.query_grpc().unwrap(), NOBODY],
        &["--set", &format!("query_listen={listen}")],
    );
    // All partitions are answered, so that whoever is away is not missed; the pipeline names it.
    let page = dashboard.get("/logs");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(!page.contains("This is not everything"), "{page}");
    let page = dashboard.get("/pipeline");
    for expected in ["asked first", NOBODY, "2 consumers"] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let mut client = QueryServiceClient::connect(format!("http://{listen}"))
        .await
        .unwrap();
    let status = client.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.consumers.len(), 2);
    assert_eq!(dashboard.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_together_is_named_on_the_page() {
    let (one, other) = (TestTracer::start().await, TestTracer::start().await);
    let (one, other) = (one.unwrap(), other.unwrap());
    let (first, second) = (one.query_grpc().unwrap(), other.query_grpc().unwrap());
    let dashboard = Dashboard::with(&[&first, &second], &[]);
    for path in ["/logs", "/pipeline"] {
        let page = dashboard.get(path);
        let text = format!("at {second} is not asked: it reads the log");
        assert!(
            page.contains(&text.replace('/', "&#x2F;")) || page.contains(&text),
            "{page}"
        );
    }
    assert_eq!(dashboard.stop(), Some(0));
}

#[test]
fn it_serves_while_its_consumer_is_away() {
    let dashboard = Dashboard::start(NOBODY);
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

#[test]
fn the_settings_of_its_services_in_compose_yml_are_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose.yml");
    let text = std::fs::read_to_string(path).unwrap();
    let compose: Value = serde_saphyr::from_str(&text).unwrap();
    let mut checked = 0;
    for (name, service) in compose["services"].as_object().unwrap() {
        let image = service["image"].as_str().unwrap();
        if !image.starts_with("log-tracer-dashboard:") {
            continue;
        }
        let variables: BTreeMap<String, String> =
            serde_json::from_value(service["environment"].clone()).unwrap();
        let Output { status, stderr, .. } = command(&["--check-config"])
            .envs(&variables)
            .output()
            .unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{name}: {stderr}");
        checked += 1;
    }
    assert_eq!(checked, 2);
}
