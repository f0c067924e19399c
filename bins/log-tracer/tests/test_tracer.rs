//! The test mode in Rust: where it runs, what it says, and that nothing of it stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{net::TcpStream, time::Duration};

use log_tracer::testing::{Options, StartError, TestTracer, WaitError};
use log_tracer_proto::{
    otlp::{
        collector_trace::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
        trace::{ResourceSpans, ScopeSpans, Span},
    },
    v1::{LogEntry, SubmitRequest, log_service_client::LogServiceClient},
};
use tokio::runtime::{Builder, Handle};

fn request(trace: [u8; 16], names: &[&str]) -> ExportTraceServiceRequest {
    let spans = names.iter().zip(1_u8..).map(|(name, number)| Span {
        trace_id: trace.to_vec().into(),
        span_id: vec![number; 8].into(),
        name: (*name).to_owned(),
        start_time_unix_nano: 1_700_000_000_000_000_000 + u64::from(number),
        end_time_unix_nano: 1_700_000_000_000_000_100,
        ..Span::default()
    });
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

async fn send(tracer: &TestTracer, trace: [u8; 16], names: &[&str]) {
    let mut client = TraceServiceClient::connect(tracer.otlp_grpc())
        .await
        .unwrap();
    client.export(request(trace, names)).await.unwrap();
}

async fn submit(tracer: &TestTracer, messages: &[&str]) {
    let mut client = LogServiceClient::connect(tracer.otlp_grpc()).await.unwrap();
    let entries = messages.iter().map(|message| LogEntry {
        service: "test".to_owned(),
        message: (*message).to_owned(),
        ..LogEntry::default()
    });
    let request = SubmitRequest {
        entries: entries.collect(),
        ..SubmitRequest::default()
    };
    client.submit(request).await.unwrap();
}

fn impatient() -> Options {
    Options {
        wait: Duration::from_secs(1),
        ..Options::default()
    }
}

/// Starts, sends, asks, drops; returns the addresses that were served.
async fn a_whole_life() -> [String; 3] {
    let tracer = TestTracer::start().await.unwrap();
    send(&tracer, [1; 16], &["root"]).await;
    tracer.wait_for_trace([1; 16]).await.unwrap();
    let client = tracer.query().unwrap();
    drop(client);
    [tracer.otlp_grpc(), tracer.otlp_http(), tracer.dashboard()]
}

/// Waits until the tasks of this test's own connections have ended too.
async fn only_these_tasks_are_alive(expected: usize) {
    for _ in 0..2_000 {
        if Handle::current().metrics().num_alive_tasks() == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!(
        "{} tasks are alive and not {expected}",
        Handle::current().metrics().num_alive_tasks()
    );
}

async fn nothing_stays_behind() {
    let before = Handle::current().metrics().num_alive_tasks();
    let addresses = a_whole_life().await;
    for address in addresses {
        let address = address.strip_prefix("http://").unwrap();
        assert!(TcpStream::connect(address).is_err(), "{address}");
    }
    only_these_tasks_are_alive(before).await;
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_stays_behind_in_a_runtime_of_one_thread() {
    nothing_stays_behind().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stays_behind_in_a_runtime_of_several_threads() {
    nothing_stays_behind().await;
}

#[tokio::test]
async fn every_task_of_its_own_runtime_ends_by_itself_when_it_is_stopped() {
    let tracer = TestTracer::start().await.unwrap();
    send(&tracer, [1; 16], &["root"]).await;
    submit(&tracer, &["hello"]).await;
    tracer.wait_for_trace([1; 16]).await.unwrap();
    tracer.wait_for_logs("hello", 1).await.unwrap();
    tracer.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_tracer_does_not_wait_for_a_client_that_stays() {
    let tracer = TestTracer::start().await.unwrap();
    // On this same thread, so it cannot react while the drop is waiting.
    let mut client = TraceServiceClient::connect(tracer.otlp_grpc())
        .await
        .unwrap();
    client.export(request([1; 16], &["root"])).await.unwrap();
    drop(tracer);
    assert!(client.export(request([1; 16], &["root"])).await.is_err());
}

#[test]
fn it_starts_and_answers_without_a_runtime() {
    let tracer = TestTracer::start_blocking().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(send(&tracer, [2; 16], &["root", "child"]));
    drop(runtime);
    let trace = tracer.blocking().wait_for_spans([2; 16], 2).unwrap();
    assert_eq!(trace.spans.len(), 2);
    assert_eq!(tracer.blocking().traces_of("name:root").unwrap().len(), 1);
    assert_eq!(tracer.blocking().logs_of("").unwrap().len(), 0);
}

#[test]
fn it_needs_neither_the_timer_nor_the_network_of_the_runtime_it_is_used_in() {
    let bare = Builder::new_current_thread().build().unwrap();
    bare.block_on(async {
        let tracer = TestTracer::start_with(impatient()).await.unwrap();
        assert!(tracer.wait_for_trace([3; 16]).await.is_err());
        assert!(tracer.blocking().logs_of("").unwrap().is_empty());
        tracer.stop().await.unwrap();
    });
}

#[tokio::test]
async fn tracers_of_one_process_do_not_see_each_other() {
    let (one, other) =
        tokio::try_join!(TestTracer::start(), TestTracer::start_with(impatient())).unwrap();
    send(&one, [4; 16], &["root"]).await;
    one.wait_for_trace([4; 16]).await.unwrap();
    assert!(other.wait_for_trace([4; 16]).await.is_err());
}

#[tokio::test]
async fn a_timeout_says_what_is_there_instead() {
    let tracer = TestTracer::start_with(impatient()).await.unwrap();
    let nothing = tracer
        .wait_for_trace([5; 16])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        nothing.starts_with("trace 05050505050505050505050505050505 has 0 spans and not 1 after 1s; it holds no trace at all"),
        "{nothing}"
    );

    send(&tracer, [6; 16], &["root", "child"]).await;
    let other = tracer
        .wait_for_spans([6; 16], 3)
        .await
        .unwrap_err()
        .to_string();
    assert!(other.contains("has 2 spans and not 3"), "{other}");
    assert!(
        other.contains("\n  06060606060606060606060606060606 unknown_service: root (2 spans)"),
        "{other}"
    );

    let logs = tracer
        .wait_for_logs("error", 1)
        .await
        .unwrap_err()
        .to_string();
    assert!(logs.starts_with("0 logs match `error` and not 1"), "{logs}");
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused_at_once() {
    let tracer = TestTracer::start().await.unwrap();
    let error = tracer.wait_for_logs("severity>=", 1).await.unwrap_err();
    assert!(matches!(error, WaitError::Query(_)), "{error}");
    assert!(error.to_string().contains("InvalidArgument"), "{error}");
}

#[tokio::test]
async fn a_trace_id_that_is_none_is_refused_at_once() {
    let tracer = TestTracer::start().await.unwrap();
    let error = tracer.wait_for_trace("5b8e").await.unwrap_err();
    assert!(matches!(error, WaitError::TraceId(_)), "{error}");
}

#[tokio::test]
async fn logs_come_the_oldest_first_and_beyond_one_page() {
    let tracer = TestTracer::start().await.unwrap();
    let messages: Vec<_> = (0..450).map(|number| format!("message {number}")).collect();
    let messages: Vec<_> = messages.iter().map(String::as_str).collect();
    submit(&tracer, &messages).await;
    let logs = tracer.wait_for_logs("service:test", 450).await.unwrap();
    let texts: Vec<_> = logs.iter().map(|log| log.text()).collect();
    assert_eq!(texts, messages);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_their_key() {
    let mut options = Options::default();
    options.config.producer.stream_requests_max = 0;
    let error = TestTracer::start_with(options).await.unwrap_err();
    assert!(matches!(error, StartError::Config(_)));
    assert!(
        error.to_string().contains("producer.stream_requests_max"),
        "{error}"
    );
}

#[tokio::test]
async fn an_address_in_use_is_an_error_and_not_a_hang() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = Options::default();
    options.config.dashboard.listen = taken.local_addr().unwrap();
    let error = TestTracer::start_with(options).await.unwrap_err();
    assert!(matches!(error, StartError::Bind(_)), "{error}");
}
