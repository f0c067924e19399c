//! The built program: how it starts, what it prints, how it stops, and with which code.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Process, command, run};

const FREE_PORTS: [&str; 8] = [
    "--grpc-listen",
    "127.0.0.1:0",
    "--http-listen",
    "127.0.0.1:0",
    "--dashboard-listen",
    "127.0.0.1:0",
    "--query-listen",
    "127.0.0.1:0",
];

fn in_memory(extra: &[&str]) -> (Process, Value) {
    let args = [&["run", "--in-memory"], extra].concat();
    let process = Process::start(&args);
    let ready = serde_json::from_str(&process.line()).unwrap();
    (process, ready)
}

/// Arguments that run it as it runs by default, but on free ports and in a directory of its own.
fn on_disk<'a>(data: &'a tempfile::TempDir, extra: &[&'a str]) -> Vec<&'a str> {
    let data_dir = ["run", "--data-dir", data.path().to_str().unwrap()];
    [&data_dir[..], &FREE_PORTS[..], extra].concat()
}

fn address(ready: &Value, key: &str) -> String {
    let url = ready[key].as_str().unwrap();
    url.strip_prefix("http://").unwrap().to_owned()
}

#[test]
fn in_memory_prints_one_line_of_json_serves_and_ends_with_0_on_sigterm() {
    let (process, ready) = in_memory(&[]);
    let keys = ["otlp_grpc", "otlp_http", "dashboard", "query_grpc"];
    for key in keys {
        TcpStream::connect(address(&ready, key)).unwrap();
    }
    assert!(ready["pid"].as_u64().unwrap() > 0);
    process.signal(Signal::SIGTERM);
    let ended = process.ended();
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert_eq!(ended.stdout, [""; 0], "one line and no more");
    assert_eq!(ended.stderr, [""; 0], "and quiet otherwise");
    for key in keys {
        assert!(TcpStream::connect(address(&ready, key)).is_err(), "{key}");
    }
}

#[test]
fn run_prints_where_it_listens_what_to_paste_and_what_an_ack_is_worth() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&on_disk(&data, &[]));
    let text = process.lines_until("Ctrl-C").join("\n");
    for expected in [
        "dashboard   http://127.0.0.1:",
        "OTLP gRPC   http://127.0.0.1:",
        "OTLP HTTP   http://127.0.0.1:",
        "queries     http://127.0.0.1:",
        "export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:",
        "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        "acked data is on disk and survives a power failure",
    ] {
        assert!(text.contains(expected), "no `{expected}` in\n{text}");
    }
    process.signal(Signal::SIGINT);
    process.until_log("SIGINT");
    for part in [
        "dashboard",
        "producer",
        "query service",
        "consumer",
        "transport",
    ] {
        process.until_log(&format!("stopped, part: {part}"));
    }
    assert_eq!(process.ended().status.code(), Some(0));
}

#[test]
fn a_directory_that_is_in_use_ends_it_with_75_and_says_which() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(&on_disk(&data, &["--json"]));
    first.line();
    let ended = run(&on_disk(&data, &[]));
    assert_eq!(ended.status.code(), Some(75), "{:?}", ended.stderr);
    let last = ended.stderr.last().unwrap();
    assert!(last.contains(data.path().to_str().unwrap()), "{last}");
    first.signal(Signal::SIGTERM);
    assert_eq!(first.ended().status.code(), Some(0));
}

#[test]
fn a_journal_that_does_not_belong_to_the_store_is_refused_with_78_and_the_way_out() {
    let data = tempfile::tempdir().unwrap();
    let run_once = || {
        let process = Process::start(&on_disk(&data, &["--json"]));
        let ready: Value = serde_json::from_str(&process.line()).unwrap();
        let mut stream = TcpStream::connect(address(&ready, "otlp_http")).unwrap();
        let body = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","body":{"stringValue":"one"}}]}]}]}"#;
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        process.signal(Signal::SIGTERM);
        assert_eq!(process.ended().status.code(), Some(0));
    };
    run_once();
    fs::rename(data.path().join("journal"), data.path().join("away")).unwrap();
    let ended = run(&on_disk(&data, &[]));
    assert_eq!(ended.status.code(), Some(78), "{:?}", ended.stderr);
    let last = ended.stderr.last().unwrap();
    assert!(last.contains("move the store away"), "{last}");

    fs::rename(data.path().join("store"), data.path().join("old-store")).unwrap();
    run_once();
}

#[test]
fn a_second_signal_ends_it_at_once_while_a_request_is_under_way() {
    let (process, ready) = in_memory(&[
        "--log-level",
        "info",
        "--set",
        "producer.drain_deadline_ms=600000",
        "--set",
        "producer.receive_deadline_ms=600000",
        "--set",
        "stop_deadline_ms=600000",
    ]);
    let _under_way = half_a_request(&address(&ready, "otlp_http"));
    process.signal(Signal::SIGTERM);
    process.until_log("a second signal ends the process at once");
    process.until_log("stopped, part: dashboard");
    process.signal(Signal::SIGTERM);
    let ended = process.ended();
    assert_eq!(ended.status.code(), Some(128 + 15), "{:?}", ended.stderr);
    assert_eq!(ended.status.signal(), None);
}

#[test]
fn what_is_still_under_way_at_the_deadline_is_cut_off_and_said() {
    let (process, ready) = in_memory(&[
        "--set",
        "producer.drain_deadline_ms=600000",
        "--set",
        "producer.receive_deadline_ms=600000",
        "--set",
        "stop_deadline_ms=100",
    ]);
    let _under_way = half_a_request(&address(&ready, "otlp_http"));
    process.signal(Signal::SIGTERM);
    let ended = process.ended();
    assert_eq!(ended.status.code(), Some(75), "{:?}", ended.stderr);
    let last = ended.stderr.last().unwrap();
    assert!(last.contains("producer: cut off at the deadline"), "{last}");
}

/// Sends the head of a request, which the server must have begun to serve when this returns.
fn half_a_request(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body once it reads it.
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    stream
}

#[test]
fn it_ends_when_its_standard_input_ends_if_asked_to() {
    let (mut process, _) = in_memory(&["--exit-with-parent"]);
    drop(process.stdin());
    assert_eq!(process.ended().status.code(), Some(0));

    let (mut process, _) = in_memory(&[]);
    drop(process.stdin());
    assert!(process.is_running());
    process.signal(Signal::SIGTERM);
    assert_eq!(process.ended().status.code(), Some(0));
}

#[test]
fn a_port_in_use_ends_it_with_78_and_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(&["run", "--in-memory", "--dashboard-listen", &address]);
    assert_eq!(ended.status.code(), Some(78));
    assert_eq!(
        ended.stderr,
        [format!(
            "log-tracer: {address} (dashboard.listen) is in use: stop the program that listens there, or choose another address with --set dashboard.listen=127.0.0.1:0 (a free port)"
        )]
    );
    assert_eq!(ended.stdout, [""; 0]);
}

#[test]
fn an_unknown_key_ends_it_with_78_and_the_nearest_known_one() {
    let ended = run(&["run", "--set", "producer.grpc_lisen=127.0.0.1:1"]);
    assert_eq!(ended.status.code(), Some(78));
    assert_eq!(
        ended.stderr,
        [
            "log-tracer: --set producer.grpc_lisen: unknown key `producer.grpc_lisen`, did you mean `producer.grpc_listen`?"
        ]
    );

    let ended = Process::of(command(&["run"]).env("LOG_TRACER__DASHBORD__LISTEN", "x")).ended();
    assert_eq!(ended.status.code(), Some(78));
    assert_eq!(
        ended.stderr,
        [
            "log-tracer: environment variable LOG_TRACER__DASHBORD__LISTEN: unknown key `dashbord`, did you mean `dashboard`?"
        ]
    );
}

#[test]
fn every_mistake_in_a_file_gets_a_line_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(
        &directory,
        "wrong.toml",
        "stop_deadline_ms = 0\n[producer]\ngrpc_listen = \"nowhere\"\nstream_requests_max = 0\n",
    );
    let ended = run(&["run", "--config", &file]);
    assert_eq!(ended.status.code(), Some(78));
    assert_eq!(
        ended.stderr,
        [format!(
            "log-tracer: {file}:3:15: `producer.grpc_listen`: expected an IP address and a port such as 127.0.0.1:4317 (the default is \"127.0.0.1:4317\")"
        )]
    );
    // What the types alone allow is looked at once they are right.
    fs::write(
        &file,
        "stop_deadline_ms = 0\n[producer]\nstream_requests_max = 0\n",
    )
    .unwrap();
    let ended = run(&["run", "--config", &file]);
    assert_eq!(ended.status.code(), Some(78));
    assert_eq!(
        ended.stderr,
        [
            format!("log-tracer: {file}:3:23: producer.stream_requests_max: must be at least 1"),
            format!("log-tracer: {file}:1:20: stop_deadline_ms must be at least 1"),
        ]
    );
}

#[test]
fn a_wrong_command_line_ends_it_with_64() {
    for wrong in [
        &["rum"][..],
        &["run", "--in-memry"],
        &["run", "--grpc-listen", "nowhere"],
        &["run", "--set", "novalue"],
    ] {
        let ended = run(wrong);
        assert_eq!(ended.status.code(), Some(64), "{wrong:?}");
        assert_eq!(ended.stdout, [""; 0]);
    }
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

#[test]
fn an_address_that_others_can_reach_is_warned_of() {
    let (process, ready) = in_memory(&["--http-listen", "0.0.0.0:0"]);
    process.until_log("producer.http_listen");
    assert!(address(&ready, "otlp_http").starts_with("127.0.0.1:"));
}

#[test]
fn the_printed_configuration_names_each_origin_and_is_a_configuration_file() {
    let directory = tempfile::tempdir().unwrap();
    let printed = Process::of(
        command(&["config", "--set", "dashboard.listen=127.0.0.1:9"])
            .env("LOG_TRACER__LOGGING__LEVEL", "debug"),
    )
    .ended();
    assert_eq!(printed.status.code(), Some(0), "{:?}", printed.stderr);
    let line = |start: &str| {
        let found = printed.stdout.iter().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start}")).clone()
    };
    assert!(line("listen = \"127.0.0.1:9\"").ends_with("# --set dashboard.listen"));
    assert!(line("level = ").ends_with("# environment variable LOG_TRACER__LOGGING__LEVEL"));
    assert!(line("stop_deadline_ms = 15000").ends_with("# default"));

    let file = write(&directory, "printed.toml", &printed.stdout.join("\n"));
    let json = run(&["config", "--json", "--config", &file]);
    assert_eq!(json.status.code(), Some(0), "{:?}", json.stderr);
    let json: Value = serde_json::from_str(&json.stdout.join("\n")).unwrap();
    assert_eq!(json["dashboard.listen"]["value"], "127.0.0.1:9");
}

#[test]
fn completions_are_printed_for_the_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]);
        assert_eq!(ended.status.code(), Some(0));
        assert!(ended.stdout.iter().any(|line| line.contains("in-memory")));
    }
}

#[test]
fn the_log_as_json_is_json_on_every_line() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&on_disk(&data, &["--log-format", "json"]));
    process.lines_until("Ctrl-C");
    process.signal(Signal::SIGTERM);
    let ended = process.ended();
    assert!(!ended.stderr.is_empty());
    for line in ended.stderr {
        let record: Value = serde_json::from_str(&line).unwrap();
        assert!(record["msg"].is_string(), "{line}");
    }
}

#[test]
fn records_of_libraries_are_written_with_their_origin_when_they_are_asked_for() {
    let (process, ready) = in_memory(&["--set", "logging.libraries_level=debug"]);
    // The preface of an HTTP/2 connection with empty settings: its library tells of each frame.
    let mut stream = TcpStream::connect(address(&ready, "otlp_grpc")).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    process.until_log("library: h2::");
    process.signal(Signal::SIGTERM);
    drop(stream);
    assert_eq!(process.ended().status.code(), Some(0));
}

fn write(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path: PathBuf = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
