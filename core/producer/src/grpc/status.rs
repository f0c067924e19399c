//! How the producer is: what it took in and what it refused.

use std::sync::Arc;

use log_tracer_proto::v1::{
    ProducerStatusRequest, ProducerStatusResponse, RefusalCount,
    producer_service_server::{ProducerService, ProducerServiceServer},
};
use log_tracer_transport::Health;
use tonic::{Request, Response, Status, async_trait};

use crate::ingest::Ingest;

pub(super) fn service(ingest: Arc<Ingest>) -> ProducerServiceServer<Told> {
    ProducerServiceServer::new(Told { ingest })
}

/// Tells it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    ingest: Arc<Ingest>,
}

#[async_trait]
impl ProducerService for Told {
    async fn producer_status(
        &self,
        _request: Request<ProducerStatusRequest>,
    ) -> Result<Response<ProducerStatusResponse>, Status> {
        let ingest = &self.ingest;
        let now = ingest.metrics.snapshot();
        let refused = now.refused.iter().map(|(reason, count)| RefusalCount {
            reason: reason.label().to_owned(),
            count: *count,
            retryable: reason.is_retryable(),
        });
        Ok(Response::new(ProducerStatusResponse {
            started_unix_nano: ingest.started_unix_nano,
            health: match ingest.outlet.health() {
                Health::Ready => "ready".to_owned(),
                Health::Degraded(why) => format!("degraded: {why}"),
                Health::Full => "full: requests are refused until there is room again".to_owned(),
                Health::Failed(why) => format!("failed: {why}"),
            },
            requests_stored: now.requests_stored,
            spans_accepted: now.spans_accepted,
            logs_accepted: now.logs_accepted,
            spans_rejected: now.spans_rejected,
            logs_rejected: now.logs_rejected,
            bytes_received: now.bytes_received,
            inflight_bytes: now.inflight_bytes,
            inflight_bytes_max: ingest.config.inflight_bytes_max as u64,
            connections_open: now.connections_open,
            connections_refused: now.connections_refused,
            connections_max: ingest.config.connections_max as u64,
            refused: refused.collect(),
            recent: ingest.recent.messages(),
        }))
    }
}
