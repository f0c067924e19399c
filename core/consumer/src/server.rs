//! The gRPC server: QueryService, health and reflection on any stream of connections.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use log_tracer_proto::{FILE_DESCRIPTOR_SET, v1::query_service_server::QueryServiceServer};
use slog::warn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{ServeError, pipe::Cuttable, progress::Progress, service::Queries, shared::Shared};

/// Calls at the same time on one connection; more wait at the client.
const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// A connection whose peer does not answer a ping of this interval in time is closed, with its tails.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// After a failed accept, so that running out of file descriptors does not become a busy loop.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then lets calls finish for the configured time, then cuts them.
pub(crate) async fn serve<IO>(
    shared: Arc<Shared>,
    incoming: impl Stream<Item = io::Result<IO>> + Send,
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let cut = CancellationToken::new();
    // Connections are tasks of their own: without this they would outlive a future that is dropped.
    let _cut_on_drop = cut.clone().drop_guard();

    let log = shared.log.clone();
    let incoming = incoming.then(|connection| {
        let (log, cut) = (log.clone(), cut.clone());
        async move {
            match connection {
                Ok(io) => Ok(Cuttable::new(io, cut)),
                Err(error) => {
                    warn!(log, "a connection could not be accepted"; "error" => %error);
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    Err(error)
                }
            }
        }
    });
    let (health, health_service) = tonic_health::server::health_reporter();
    let routes = routes(&shared, &shutdown)?.add_service(health_service);
    let served = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());

    let drain = Duration::from_millis(shared.config.query.drain_deadline_ms);
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        result = served => Ok(result?),
        never = report_health(&shared, &health, &shutdown) => match never {},
        () = overdue => {
            warn!(shared.log, "calls were cut off at shutdown"; "after_ms" => drain.as_millis());
            Ok(())
        }
    }
}

fn routes(shared: &Arc<Shared>, shutdown: &CancellationToken) -> Result<Routes, ServeError> {
    let limits = &shared.config.query;
    let queries = Queries::new(Arc::clone(shared), shutdown.clone());
    let queries = QueryServiceServer::new(queries)
        .max_decoding_message_size(limits.request_bytes_max)
        .max_encoding_message_size(limits.answer_bytes_max);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(Routes::new(queries).add_service(reflection))
}

/// A consumer serves until none of its partitions is read any more, or the server shuts down: what it still answers
/// grows old then, and another one should be asked.
async fn report_health(
    shared: &Shared,
    health: &HealthReporter,
    shutdown: &CancellationToken,
) -> Infallible {
    health.set_serving::<QueryServiceServer<Queries>>().await;
    let mut progress = shared.progress.subscribe();
    tokio::select! {
        _ = progress.wait_for(Progress::has_failed) => {}
        () = shutdown.cancelled() => {}
    }
    health
        .set_not_serving::<QueryServiceServer<Queries>>()
        .await;
    health
        .set_service_status("", ServingStatus::NotServing)
        .await;
    std::future::pending().await
}
