//! gRPC health: the transport's own, until the producer stops.

use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use log_tracer_transport::Health as TransportHealth;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use super::SERVICES;
use crate::Outlet;

/// How often a watched state is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn service(outlet: Outlet, drain: CancellationToken) -> HealthServer<ProducerHealth> {
    HealthServer::new(ProducerHealth { outlet, drain })
}

/// Every service is as healthy as the transport that they all need.
#[derive(Clone, Debug)]
pub(super) struct ProducerHealth {
    outlet: Outlet,
    drain: CancellationToken,
}

impl ProducerHealth {
    fn status(&self) -> ServingStatus {
        if self.drain.is_cancelled() {
            return ServingStatus::NotServing;
        }
        match self.outlet.health() {
            TransportHealth::Ready | TransportHealth::Degraded(_) => ServingStatus::Serving,
            TransportHealth::Full | TransportHealth::Failed(_) => ServingStatus::NotServing,
        }
    }

    /// The status of a service, which stays the same if there is no such service.
    fn status_of(&self, is_known: bool) -> ServingStatus {
        if is_known {
            self.status()
        } else {
            ServingStatus::ServiceUnknown
        }
    }

    /// Waits until the status is another one, or `None` once the producer stops with no more to say.
    async fn change_from(
        &self,
        last: Option<ServingStatus>,
        is_known: bool,
    ) -> Option<ServingStatus> {
        loop {
            let status = self.status_of(is_known);
            if Some(status) != last {
                return Some(status);
            }
            if self.drain.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = sleep(WATCH_INTERVAL) => {}
                () = self.drain.cancelled() => {}
            }
        }
    }
}

#[async_trait]
impl Health for ProducerHealth {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service"));
        }
        Ok(Response::new(response(self.status())))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = is_known(&request.get_ref().service);
        let changes = stream::unfold((self.clone(), None), move |(health, last)| async move {
            let status = health.change_from(last, is_known).await?;
            Some((Ok(response(status)), (health, Some(status))))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

/// The empty name stands for the whole server.
fn is_known(service: &str) -> bool {
    service.is_empty() || SERVICES.contains(&service)
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
