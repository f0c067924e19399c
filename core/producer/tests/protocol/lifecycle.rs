//! Health, reflection, start and stop.

use std::time::Duration;

use futures_util::StreamExt;
use log_tracer_producer::{Config, Listeners, ServeError};
use log_tracer_transport::Health;
use tokio::{net::TcpStream, time::timeout};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::support::{Behaviour, Double, Running, records};

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn health_is_that_of_the_transport() {
    let server = Running::start().await;
    let mut client = HealthClient::new(server.channel().await);
    for (health, expected) in [
        (Health::Ready, ServingStatus::Serving),
        (Health::Degraded("slow".to_owned()), ServingStatus::Serving),
        (Health::Full, ServingStatus::NotServing),
        (Health::Failed("disk".to_owned()), ServingStatus::NotServing),
    ] {
        server.transport.set_health(health);
        for service in ["", "logtracer.v1.LogService"] {
            let reply = client.check(check(service)).await.unwrap().into_inner();
            assert_eq!(reply.status(), expected);
        }
    }
    let status = client.check(check("no.Such")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_watcher_sees_changes_and_that_the_producer_stops() {
    let server = Running::start().await;
    let mut client = HealthClient::new(server.channel().await);
    let mut changes = client.watch(check("")).await.unwrap().into_inner();
    let mut unknown = client.watch(check("no.Such")).await.unwrap().into_inner();
    let first = changes.next().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let first = unknown.next().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    server.transport.set_health(Health::Full);
    let change = changes.next().await.unwrap().unwrap();
    assert_eq!(change.status(), ServingStatus::NotServing);
    server.transport.set_health(Health::Ready);
    let change = changes.next().await.unwrap().unwrap();
    assert_eq!(change.status(), ServingStatus::Serving);
    server.shutdown.cancel();
    let last = changes.next().await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert!(changes.next().await.is_none());
    // Sooner than its deadline for draining.
    timeout(Duration::from_secs(2), server.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    let server = Running::start().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let ask = |question: MessageRequest| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let questions = vec![
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "logtracer.v1.LogService".to_owned(),
        )),
    ];
    let replies = client
        .server_reflection_info(futures_util::stream::iter(questions))
        .await
        .unwrap();
    let replies: Vec<_> = replies
        .into_inner()
        .map(|reply| reply.unwrap().message_response.unwrap())
        .collect()
        .await;
    let MessageResponse::ListServicesResponse(list) = &replies[0] else {
        panic!("{replies:?}");
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for expected in [
        "opentelemetry.proto.collector.trace.v1.TraceService",
        "opentelemetry.proto.collector.logs.v1.LogsService",
        "logtracer.v1.LogService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&expected), "{names:?}");
    }
    assert!(!names.contains(&"logtracer.v1.QueryService"), "{names:?}");
    assert!(matches!(
        &replies[1],
        MessageResponse::FileDescriptorResponse(_)
    ));
}

#[tokio::test]
async fn stopping_finishes_requests_under_way_in_both_protocols() {
    let server = Running::with(Running::config(), Double::that(Behaviour::Block)).await;
    let mut grpc = server.traces().await;
    let http = server.client();
    let grpc = tokio::spawn(async move { grpc.export(records::traces(1)).await });
    let http = tokio::spawn(async move { http.protobuf("/v1/traces", &records::traces(1)).await });
    while server.transport.publishing() < 2 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(
        TcpStream::connect(server.http).await.is_err(),
        "still accepts"
    );
    server.transport.behave(Behaviour::Store);
    grpc.await.unwrap().unwrap();
    assert_eq!(http.await.unwrap().status, 200);
    server.stop().await;
}

#[tokio::test]
async fn resting_connections_and_open_calls_do_not_hold_up_the_stop() {
    let server = Running::start().await;
    let client = server.client();
    client.protobuf("/v1/traces", &records::traces(1)).await;
    let channel = server.channel().await;
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let silent = futures_util::stream::pending();
    let call = tokio::spawn(async move { reflection.server_reflection_info(silent).await });
    let _quiet = TcpStream::connect(server.grpc).await.unwrap();
    while server.metrics.snapshot().connections_open < 3 {
        tokio::task::yield_now().await;
    }
    timeout(Duration::from_secs(2), server.stop())
        .await
        .unwrap();
    call.abort();
}

#[tokio::test]
async fn what_is_not_finished_at_the_deadline_is_ended() {
    let config = Config {
        drain_deadline_ms: 100,
        publish_deadline_ms: 60_000,
        ..Running::config()
    };
    let server = Running::with(config, Double::that(Behaviour::Block)).await;
    let mut client = server.traces().await;
    let call = tokio::spawn(async move { client.export(records::traces(1)).await });
    while server.transport.publishing() == 0 {
        tokio::task::yield_now().await;
    }
    timeout(Duration::from_secs(5), server.stop())
        .await
        .unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_ne!(status.code(), Code::Ok);
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_key_and_address() {
    let server = Running::start().await;
    let config = Config {
        http_listen: server.http,
        ..Running::config()
    };
    let error = Listeners::bind(&config).await.unwrap_err();
    assert_eq!((error.key, error.address), ("http_listen", server.http));
    assert!(error.to_string().contains(&server.http.to_string()));
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_before_anything_is_served() {
    let config = Config {
        request_bytes_max: 0,
        ..Running::config()
    };
    let listeners = Listeners::bind(&config).await.unwrap();
    let served = log_tracer_producer::serve(
        config,
        listeners,
        std::sync::Arc::new(Double::default()),
        slog::Logger::root(slog::Discard, slog::o!()),
        tokio_util::sync::CancellationToken::new(),
    );
    let error = served.await.unwrap_err();
    assert!(matches!(error, ServeError::Config(error) if error.key == "request_bytes_max"));
}
