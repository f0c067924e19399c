//! A producer, a consumer and the transport between them, with a dashboard in front.

use std::sync::Arc;

use log_tracer_consumer::Consumer;
use log_tracer_dashboard::Config;
use log_tracer_producer::Listeners;
use log_tracer_proto::otlp::{
    collector_logs::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    collector_trace::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    logs::ResourceLogs,
    trace::ResourceSpans,
};
use log_tracer_proto::v1::{
    Position, WaitForPositionRequest, query_service_client::QueryServiceClient,
};
use log_tracer_transport::Transport;
use log_tracer_transport_channel::{ChannelTransport, Config as ChannelConfig};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{Site, log};

/// Everything in one process, as in `log-tracer run`.
pub struct Real {
    pub site: Site,
    pub consumer: Consumer,
    ingest: Channel,
    /// Where the producer takes in OTLP over gRPC.
    pub otlp_grpc: std::net::SocketAddr,
    _stop: DropGuard,
}

impl Real {
    pub async fn start() -> Self {
        Self::with(Config::default(), Default::default()).await
    }

    pub async fn with(config: Config, of_consumer: log_tracer_consumer::Config) -> Self {
        let transport: Arc<dyn Transport> =
            Arc::new(ChannelTransport::open(&ChannelConfig::default()).unwrap());
        let consumer = Consumer::start(of_consumer, Arc::clone(&transport), log())
            .await
            .unwrap();
        let listeners = Listeners {
            grpc: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            http: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let otlp_grpc = listeners.grpc.local_addr().unwrap();
        let endpoint = format!("http://{otlp_grpc}");
        let stop = CancellationToken::new();
        let producing = log_tracer_producer::serve(
            Default::default(),
            listeners,
            transport,
            log(),
            stop.clone(),
        );
        tokio::spawn(producing);
        let ingest = Endpoint::from_shared(endpoint).unwrap().connect_lazy();
        let site = Site::with(config, consumer.connect_in_process(), Some(ingest.clone())).await;
        Self {
            site,
            consumer,
            ingest,
            otlp_grpc,
            _stop: stop.drop_guard(),
        }
    }

    /// Sends, and waits until it can be found.
    pub async fn send(&self, resource_spans: Vec<ResourceSpans>, resource_logs: Vec<ResourceLogs>) {
        let mut positions = Vec::new();
        if !resource_spans.is_empty() {
            let mut client = TraceServiceClient::new(self.ingest.clone());
            let stored = client
                .export(ExportTraceServiceRequest { resource_spans })
                .await
                .unwrap();
            positions.extend(stored_at(stored.metadata()));
        }
        if !resource_logs.is_empty() {
            let mut client = LogsServiceClient::new(self.ingest.clone());
            let stored = client
                .export(ExportLogsServiceRequest { resource_logs })
                .await
                .unwrap();
            positions.extend(stored_at(stored.metadata()));
        }
        let mut client = QueryServiceClient::new(self.consumer.connect_in_process());
        client
            .wait_for_position(WaitForPositionRequest { positions })
            .await
            .unwrap();
    }
}

fn stored_at(metadata: &MetadataMap) -> Vec<Position> {
    let header = metadata.get(log_tracer_producer::POSITIONS_HEADER).unwrap();
    header
        .to_str()
        .unwrap()
        .split(',')
        .map(|position| {
            let parts: Vec<&str> = position.split(':').collect();
            Position {
                log_id: parts[0].to_owned(),
                partition: parts[1].parse().unwrap(),
                offset: parts[2].parse().unwrap(),
            }
        })
        .collect()
}
