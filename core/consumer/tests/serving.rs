//! Servers: pipes and TCP, health and reflection, limits, cancellation, and how all of it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{
    Harness, bodies, eventually, log, log_envelope, logs, one_log, record, span, span_envelope,
    spans, trace_id,
};
use log_tracer_consumer::{Config, Consumer, Health};
use log_tracer_proto::v1::{self, query_service_client::QueryServiceClient};
use log_tracer_transport::Transport;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

/// Serves on a free port of this machine; the channel to it, and what stops it.
async fn serve_tcp(
    consumer: &Consumer,
) -> (
    Channel,
    CancellationToken,
    tokio::task::JoinHandle<Result<(), log_tracer_consumer::ServeError>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = consumer.serve(TcpListenerStream::new(listener), shutdown.clone());
    let server = tokio::spawn(server);
    let channel = Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    (channel, shutdown, server)
}

async fn health(channel: Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let response = HealthClient::new(channel).check(request).await.unwrap();
    response.into_inner().status()
}

#[tokio::test]
async fn the_same_answers_come_over_tcp_and_over_pipes() {
    let mut harness = Harness::start().await;
    harness.write(vec![one_log(1, "a", 0)]).await;
    let (channel, shutdown, server) = serve_tcp(&harness.consumer).await;
    let mut over_tcp = QueryServiceClient::new(channel);
    assert_eq!(bodies(&mut over_tcp).await, harness.bodies().await);
    shutdown.cancel();
    server.await.unwrap().unwrap();
    assert_eq!(harness.bodies().await, ["a"], "the pipes go on");
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    let harness = Harness::start().await;
    let channel = harness.consumer.connect_in_process();
    for service in ["", "logtracer.v1.QueryService"] {
        assert_eq!(
            health(channel.clone(), service).await,
            ServingStatus::Serving
        );
    }

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut stream = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let response = stream.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else {
        panic!("{response:?}")
    };
    let names: Vec<_> = list.service.iter().map(|one| one.name.as_str()).collect();
    for expected in ["logtracer.v1.QueryService", "grpc.health.v1.Health"] {
        assert!(names.contains(&expected), "{names:?}");
    }
}

#[tokio::test]
async fn a_consumer_that_reads_nothing_any_more_is_not_serving() {
    use common::scripted::{Script, Scripted, Step};
    let failed = log_tracer_transport::ReadError::Failed(Arc::from(Box::from("gone")));
    let transport = Scripted::new(1, vec![Script::Steps(vec![Step::Fail(failed)])]);
    let consumer = Consumer::start(Config::default(), transport, log())
        .await
        .unwrap();
    let channel = consumer.connect_in_process();
    eventually(async || health(channel.clone(), "").await == ServingStatus::NotServing).await;
    assert!(matches!(consumer.health(), Health::Failed(_)));
}

#[tokio::test]
async fn an_answer_stays_below_its_limit_and_the_rest_is_on_the_next_page() {
    let mut config = Config::default();
    config.query.answer_bytes_max = 64 << 10;
    config.query.piece_bytes_max = 32 << 10;
    let mut harness = Harness::with(config, 1).await;
    let padding = "x".repeat(10_000);
    let records: Vec<_> = (0..30)
        .map(|n| record(&format!("{n:02} {padding}"), n))
        .collect();
    harness
        .write(vec![log_envelope(1, vec![logs("shop", records)])])
        .await;
    let mut found = Vec::new();
    let mut after = None;
    let mut pages = 0;
    for _ in 0..50 {
        let page = harness
            .client
            .search_logs(v1::SearchLogsRequest {
                after,
                ..v1::SearchLogsRequest::default()
            })
            .await
            .unwrap()
            .into_inner();
        assert!(prost::Message::encoded_len(&page) <= 64 << 10);
        assert!(!page.coverage.unwrap().partial);
        pages += 1;
        found.extend(
            page.hits
                .iter()
                .map(|hit| common::body(hit.record.as_ref().unwrap())[..2].to_owned()),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..30).rev().map(|n| format!("{n:02}")).collect();
    assert_eq!(found, expected);
    assert!(pages > 5, "{pages}");
}

#[tokio::test]
async fn a_record_that_fits_into_no_answer_is_left_out_and_said() {
    let mut config = Config::default();
    config.query.answer_bytes_max = 64 << 10;
    config.query.piece_bytes_max = 32 << 10;
    let mut harness = Harness::with(config, 1).await;
    let mut large = span(1, 2, 1, &"n".repeat(100 << 10), 1, 1);
    large.attributes = vec![common::attribute("a", "b")];
    let small = span(1, 1, 0, "small", 0, 5);
    harness
        .write(vec![
            span_envelope(1, vec![spans("shop", vec![small.clone(), large])]),
            one_log(2, &"x".repeat(100 << 10), 1),
            one_log(3, "small", 2),
        ])
        .await;

    let request = v1::GetTraceRequest {
        trace_id: trace_id(1),
        ..v1::GetTraceRequest::default()
    };
    let mut stream = harness
        .client
        .get_trace(request)
        .await
        .unwrap()
        .into_inner();
    let piece = stream.message().await.unwrap().unwrap();
    assert_eq!(piece.resource_spans, [spans("shop", vec![small])]);
    assert_eq!(
        piece.coverage.unwrap().reasons,
        ["1 spans or log records did not fit into a message and were left out"]
    );
    assert!(stream.message().await.unwrap().is_none());

    let found = harness
        .client
        .search_logs(v1::SearchLogsRequest {
            oldest_first: true,
            limit: 1,
            ..v1::SearchLogsRequest::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert!(found.hits.is_empty());
    assert!(found.coverage.unwrap().partial);
    let rest = harness
        .client
        .search_logs(v1::SearchLogsRequest {
            oldest_first: true,
            after: found.next,
            ..v1::SearchLogsRequest::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(rest.hits.len(), 1, "paging goes on behind it");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let mut harness = Harness::start().await;
    let refused = harness
        .client
        .search_logs(v1::SearchLogsRequest {
            query: "x".repeat(2 << 20),
            ..v1::SearchLogsRequest::default()
        })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
}

/// A consumer with many logs, one query at a time, and a query that takes a while.
async fn busy(deadline_ms: u64) -> (Harness, v1::SearchLogsRequest) {
    let mut config = Config::default();
    config.query.queries_max = 1;
    config.query.queries_waiting_max = 0;
    config.query.deadline_ms = deadline_ms;
    let mut harness = Harness::with(config, 1).await;
    for batch in 0..40_u64 {
        let records: Vec<_> = (0..500)
            .map(|n| record(&format!("{n} some words in a line"), n))
            .collect();
        harness
            .write(vec![log_envelope(
                u128::from(batch),
                vec![logs("shop", records)],
            )])
            .await;
    }
    // Matches nothing, and has to look at everything to know.
    let query = "/(a|b|c)*nothing.*of.*the.*kind$/".replace('/', "");
    let request = v1::SearchLogsRequest {
        query: format!("body:/{query}/"),
        ..v1::SearchLogsRequest::default()
    };
    (harness, request)
}

#[tokio::test]
async fn a_query_whose_client_went_away_stops_and_leaves_its_turn() {
    let (mut harness, slow) = busy(30_000).await;
    for _ in 0..5 {
        let mut client = harness.client.clone();
        let request = slow.clone();
        let query = tokio::spawn(async move { client.search_logs(request).await });
        tokio::time::sleep(Duration::from_millis(5)).await;
        query.abort();
    }
    // Its turn is free again as soon as the scan saw it.
    harness.until(|status| status.running_queries == 0).await;
    harness.client.search_logs(slow).await.unwrap();
}

#[tokio::test]
async fn more_queries_than_allowed_are_refused_and_may_be_asked_again() {
    let (harness, slow) = busy(30_000).await;
    let ask = || {
        let (mut client, request) = (harness.client.clone(), slow.clone());
        tokio::spawn(async move { client.search_logs(request).await })
    };
    let asked: Vec<_> = (0..8).map(|_| ask()).collect();
    let (mut answered, mut refused) = (0, 0);
    for one in asked {
        match one.await.unwrap() {
            Ok(_) => answered += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                assert!(tonic_types::StatusExt::get_details_retry_info(&status).is_some());
                refused += 1;
            }
        }
    }
    assert!(answered >= 1);
    assert!(refused >= 1, "all of {answered} found a turn");
}

#[tokio::test]
async fn at_the_deadline_the_answer_is_partial_and_says_why() {
    let (mut harness, slow) = busy(1).await;
    let answer = harness.client.search_logs(slow).await.unwrap();
    let coverage = answer.into_inner().coverage.unwrap();
    assert!(coverage.partial);
    let [reason] = coverage.reasons.as_slice() else {
        panic!("{:?}", coverage.reasons);
    };
    assert!(reason.starts_with("the search stopped after "), "{reason}");
    assert!(
        reason.ends_with(" s: narrow the range or the query"),
        "{reason}"
    );
    assert!(coverage.scanned < 20_000, "{}", coverage.scanned);
}

#[tokio::test]
async fn a_trace_that_nobody_reads_gives_its_turn_back_at_the_deadline() {
    let mut config = Config::default();
    config.query.queries_max = 1;
    config.query.deadline_ms = 200;
    config.query.piece_bytes_max = 64 << 10;
    let mut harness = Harness::with(config, 1).await;
    let padding = "x".repeat(10_000);
    for batch in 0..8_u8 {
        let many = (0..100)
            .map(|n| {
                let mut one = span(1, 1, 0, &padding, n, 1);
                let id = u64::from(batch) * 1_000 + n + 1;
                one.span_id = id.to_be_bytes().to_vec().into();
                one
            })
            .collect();
        harness
            .write(vec![span_envelope(
                u128::from(batch),
                vec![spans("shop", many)],
            )])
            .await;
    }
    let request = v1::GetTraceRequest {
        trace_id: trace_id(1),
        ..v1::GetTraceRequest::default()
    };
    let mut stream = harness
        .client
        .get_trace(request)
        .await
        .unwrap()
        .into_inner();
    harness.until(|status| status.running_queries == 0).await;
    // What is read too late ends with an error and does not look whole.
    let end = loop {
        match stream.message().await {
            Ok(Some(piece)) => assert!(piece.coverage.is_none()),
            other => break other,
        }
    };
    assert_eq!(end.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn stopping_applies_what_the_log_holds_and_then_answers_no_more() {
    let mut harness = Harness::start().await;
    let envelopes = (0..500).map(|n| one_log(n, "x", n as u64)).collect();
    harness.publish(envelopes).await;
    harness.transport.close(common::soon()).await.unwrap();
    harness.consumer.stop(common::soon()).await.unwrap();
    harness.consumer.stop(common::soon()).await.unwrap();
    let refused = harness
        .client
        .status(v1::StatusRequest {})
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
}

#[tokio::test]
async fn stopping_while_the_log_is_open_ends_and_lets_nothing_run() {
    let mut harness = Harness::start().await;
    harness
        .publish((0..500).map(|n| one_log(n, "x", n as u64)).collect())
        .await;
    let group = log_tracer_transport::Group("consumer".to_owned());
    harness.consumer.stop(common::soon()).await.unwrap();
    // Everything was applied, and the log was told.
    let committed = harness.transport.committed(&group).await.unwrap();
    assert_eq!(committed[0].next.0, 500);
    assert!(harness.client.status(v1::StatusRequest {}).await.is_err());
}

#[tokio::test]
async fn a_dropped_consumer_leaves_no_task() {
    let before = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let transport = common::channel(2);
    let consumer = Consumer::start(Config::default(), transport, log())
        .await
        .unwrap();
    let mut client = QueryServiceClient::new(consumer.connect_in_process());
    client.status(v1::StatusRequest {}).await.unwrap();
    drop(client);
    drop(consumer);
    let metrics = tokio::runtime::Handle::current().metrics();
    eventually(async || metrics.num_alive_tasks() == before).await;
}

#[tokio::test]
async fn calls_that_do_not_end_are_cut_at_the_deadline_of_the_server() {
    let mut config = Config::default();
    config.query.drain_deadline_ms = 50;
    let mut harness = Harness::with(config, 1).await;
    let padding = "x".repeat(100 << 10);
    let records = (0..80).map(|n| record(&padding, n)).collect();
    harness
        .write(vec![log_envelope(1, vec![logs("shop", records)])])
        .await;
    let (channel, shutdown, server) = serve_tcp(&harness.consumer).await;
    // A tail that has more to send than its reader takes.
    let mut stuck = QueryServiceClient::new(channel)
        .tail(v1::TailRequest {
            signal: v1::Signal::Logs as i32,
            query: String::new(),
            backlog: 100,
        })
        .await
        .unwrap()
        .into_inner();
    shutdown.cancel();
    server.await.unwrap().unwrap();
    let end = loop {
        match stuck.message().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(end.is_err(), "{end:?}");
}

#[tokio::test]
async fn traces_that_do_not_fit_are_on_the_next_page() {
    let mut config = Config::default();
    config.query.answer_bytes_max = 64 << 10;
    config.query.piece_bytes_max = 32 << 10;
    let mut harness = Harness::with(config, 1).await;
    // The fourth is larger than any answer, the others are a third of one.
    let name = |trace: u8| "n".repeat(if trace == 4 { 80 << 10 } else { 15 << 10 });
    let many = (1..=9).map(|trace| span(trace, 1, 0, &name(trace), u64::from(trace), 1));
    harness
        .write(vec![span_envelope(1, vec![spans("shop", many.collect())])])
        .await;
    let (mut ids, mut partial, mut after) = (Vec::new(), 0, None);
    for _ in 0..50 {
        let request = v1::SearchTracesRequest {
            after,
            ..v1::SearchTracesRequest::default()
        };
        let page = harness
            .client
            .search_traces(request)
            .await
            .unwrap()
            .into_inner();
        assert!(prost::Message::encoded_len(&page) <= 64 << 10);
        assert!(page.traces.len() <= 3);
        ids.extend(page.traces.iter().map(|trace| trace.trace_id[0]));
        partial += usize::from(page.coverage.unwrap().partial);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(ids, [9, 8, 7, 6, 5, 3, 2, 1]);
    assert_eq!(partial, 1);

    let request = v1::SearchTracesRequest {
        order: v1::TraceOrder::Longest as i32,
        ..v1::SearchTracesRequest::default()
    };
    let page = harness
        .client
        .search_traces(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.traces.len(), 3);
    assert_eq!(
        page.coverage.unwrap().reasons,
        ["6 traces did not fit into a message and were left out"]
    );
}
