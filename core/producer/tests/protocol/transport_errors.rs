//! An ack only after the transport's, and its errors as what their senders can act on.

use std::time::Duration;

use log_tracer_producer::{Config, Reason};
use log_tracer_transport::PublishError;
use prost::Message;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::support::{
    Behaviour, Client, Double, Running, double::publish_errors, raw_grpc::frame, records,
};

/// What each error is told as: gRPC's code, HTTP's status, whether it may be retried, and its counter.
fn told(error: &PublishError) -> (Code, u16, bool, Reason) {
    match error {
        PublishError::Busy => (Code::ResourceExhausted, 429, true, Reason::Busy),
        PublishError::Full(_) => (Code::ResourceExhausted, 429, true, Reason::Full),
        PublishError::TooLarge { .. } => (Code::ResourceExhausted, 413, false, Reason::TooLarge),
        PublishError::Invalid(_) => (Code::Internal, 500, false, Reason::Internal),
        PublishError::Draining => (Code::Unavailable, 503, true, Reason::Draining),
        PublishError::OutcomeUnknown(_) => (Code::Unavailable, 503, true, Reason::OutcomeUnknown),
        PublishError::Failed(_) => (Code::Unavailable, 503, true, Reason::TransportFailed),
    }
}

/// Gives up before a publish is tried again.
fn hasty() -> Config {
    Config {
        publish_deadline_ms: 40,
        ..Running::config()
    }
}

#[tokio::test]
async fn a_publish_whose_reply_is_lost_is_published_again_as_the_same_batch() {
    let server = Running::with(Running::config(), Double::that(Behaviour::LoseReplies(3))).await;
    let mut client = server.traces().await;
    client.export(records::traces(1)).await.unwrap();
    let batches: Vec<_> = server
        .transport
        .stored()
        .iter()
        .map(|one| one.batch)
        .collect();
    assert_eq!(batches, [batches[0]; 4]);
    assert_eq!(server.metrics.snapshot().publishes_again, 3);
}

#[tokio::test]
async fn a_publish_whose_outcome_stays_unknown_is_refused_by_its_deadline_and_may_be_retried() {
    let config = Config {
        publish_deadline_ms: 300,
        ..Running::config()
    };
    let server = Running::with(config, Double::that(Behaviour::LoseReplies(usize::MAX))).await;
    let mut client = server.traces().await;
    let call = client.export(records::traces(1));
    let status = timeout(Duration::from_secs(20), call)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
    assert!(server.transport.stored().len() > 1);
}

#[tokio::test]
async fn without_a_transport_requests_are_refused_and_may_be_retried_until_there_is_one() {
    let server = Running::start().await;
    let mut client = server.traces().await;
    server.outlet.close("the broker is away");
    let status = client.export(records::traces(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("the broker is away"), "{status}");
    assert!(status.get_details_retry_info().is_some());
    let http = server.client();
    let reply = http.protobuf("/v1/traces", &records::traces(1)).await;
    assert_eq!(reply.status, 503);
    let mut health = HealthClient::new(server.channel().await);
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.get_ref().status(), ServingStatus::NotServing);

    server.outlet.open(server.transport.clone());
    client.export(records::traces(1)).await.unwrap();
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    assert_eq!(server.transport.records(), 1);
}

#[tokio::test]
async fn no_ack_before_the_transport_has_stored() {
    let server = Running::with(Running::config(), Double::that(Behaviour::Block)).await;
    let mut client = server.traces().await;
    let mut call = tokio::spawn(async move { client.export(records::traces(1)).await });
    while server.transport.publishing() == 0 {
        tokio::task::yield_now().await;
    }
    let early = timeout(Duration::from_millis(100), &mut call).await;
    assert!(early.is_err(), "answered before it was stored");
    server.transport.behave(Behaviour::Store);
    call.await.unwrap().unwrap();
    assert_eq!(server.transport.records(), 1);
}

#[tokio::test]
async fn no_transport_error_is_ever_acked_over_grpc() {
    let server = Running::with(hasty(), Double::default()).await;
    for error in publish_errors() {
        let (code, _, retry, reason) = told(&error);
        server.transport.behave(Behaviour::Fail(error));
        let before = server.refused(reason);
        let status = server
            .traces()
            .await
            .export(records::traces(1))
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{reason}");
        let delay = status
            .get_details_retry_info()
            .map(|info| info.retry_delay.unwrap());
        assert_eq!(delay, retry.then_some(Duration::from_secs(1)), "{reason}");
        assert_eq!(server.refused(reason), before + 1);
    }
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn no_transport_error_is_ever_acked_over_http() {
    let server = Running::with(hasty(), Double::default()).await;
    for error in publish_errors() {
        let (code, http, retry, reason) = told(&error);
        server.transport.behave(Behaviour::Fail(error));
        let reply = server
            .client()
            .protobuf("/v1/traces", &records::traces(1))
            .await;
        assert_eq!(reply.status, http, "{reason}");
        assert_eq!(
            reply.header("retry-after"),
            retry.then_some("1"),
            "{reason}"
        );
        assert_eq!(reply.error().code, i32::from(code), "{reason}");
    }
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn a_transport_without_room_is_waited_for_until_the_deadline() {
    let config = Config {
        publish_deadline_ms: 100,
        retry_delay_ms: 2_500,
        ..Running::config()
    };
    let server = Running::with(config, Double::that(Behaviour::Block)).await;
    let status = server
        .traces()
        .await
        .export(records::traces(1))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let delay = status
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert_eq!(delay, Duration::from_millis(2_500));
    let reply = server
        .client()
        .protobuf("/v1/traces", &records::traces(1))
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("retry-after")),
        (429, Some("3"))
    );
}

#[tokio::test]
async fn a_shorter_deadline_of_the_client_counts_instead() {
    let config = Config {
        publish_deadline_ms: 60_000,
        ..Running::config()
    };
    let server = Running::with(config, Double::that(Behaviour::Block)).await;
    let status = unary_headers(&server, &[("grpc-timeout", "50m")]).await;
    assert_eq!(status, i32::from(Code::ResourceExhausted));
}

/// Makes a call without a client of gRPC, which would give up by itself.
async fn unary_headers(server: &Running, headers: &[(&str, &str)]) -> i32 {
    let mut all = vec![("content-type", "application/grpc"), ("te", "trailers")];
    all.extend(headers);
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let body = frame(&records::traces(1).encode_to_vec());
    let reply = Client::new(server.grpc).post_http2(path, &all, body).await;
    reply.header("grpc-status").unwrap().parse().unwrap()
}
