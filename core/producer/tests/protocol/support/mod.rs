//! A producer on free ports with a transport that does what a test says, and clients for it.

#![allow(
    missing_debug_implementations,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

pub(crate) mod double;
pub(crate) mod http;
pub(crate) mod raw_grpc;
pub(crate) mod records;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use log_tracer_producer::{Config, Listeners, Metrics, Outlet, Producer, ServeError};
use log_tracer_proto::{
    otlp::{
        collector_logs::logs_service_client::LogsServiceClient,
        collector_trace::trace_service_client::TraceServiceClient,
    },
    v1::log_service_client::LogServiceClient,
};
use slog::{Discard, Logger, o};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

pub(crate) use double::{Behaviour, Double};
pub(crate) use http::Client;

/// A producer that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) transport: Arc<Double>,
    pub(crate) outlet: Outlet,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    /// With small limits, and deadlines that a busy machine keeps.
    pub(crate) fn config() -> Config {
        Config {
            grpc_listen: "127.0.0.1:0".parse().unwrap(),
            http_listen: "127.0.0.1:0".parse().unwrap(),
            request_bytes_max: 1 << 20,
            inflight_bytes_max: 32 << 20,
            publish_deadline_ms: 20_000,
            drain_deadline_ms: 3_000,
            ..Config::default()
        }
    }

    pub(crate) async fn start() -> Self {
        Self::with(Self::config(), Double::default()).await
    }

    pub(crate) async fn with(config: Config, transport: Double) -> Self {
        let listeners = Listeners::bind(&config).await.unwrap();
        let grpc = listeners.grpc.local_addr().unwrap();
        let http = listeners.http.local_addr().unwrap();
        let transport = Arc::new(transport);
        let log = Logger::root(Discard, o!());
        let producer = Producer::without_transport(config, log).unwrap();
        let outlet = producer.outlet();
        outlet.open(transport.clone());
        let metrics = producer.metrics();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(producer.serve(listeners, shutdown.clone()));
        Self {
            grpc,
            http,
            transport,
            outlet,
            metrics,
            shutdown,
            task,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.endpoint().connect().await.unwrap()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.grpc))
            .unwrap()
            .timeout(Duration::from_secs(60))
    }

    pub(crate) async fn traces(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::new(self.channel().await)
    }

    pub(crate) async fn logs(&self) -> LogsServiceClient<Channel> {
        LogsServiceClient::new(self.channel().await)
    }

    pub(crate) async fn log_service(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel().await)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.http)
    }

    /// Sends an ordinary trace and sees it stored: the process survives.
    pub(crate) async fn assert_alive(&self) {
        let before = self.transport.records();
        let request = records::traces(1);
        self.traces().await.export(request.clone()).await.unwrap();
        let reply = self.client().protobuf("/v1/traces", &request).await;
        assert_eq!(reply.status, 200);
        assert_eq!(self.transport.records(), before + 2);
    }

    /// How often a reason was counted.
    pub(crate) fn refused(&self, reason: log_tracer_producer::Reason) -> u64 {
        let refused = self.metrics.snapshot().refused;
        let found = refused.iter().find(|(found, _)| *found == reason);
        found.map_or(0, |(_, count)| *count)
    }
}
