//! The gRPC server: QueryService, health and reflection on any stream of connections.

use std::{io, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use log_tracer_proto::FILE_DESCRIPTOR_SET;
use slog::warn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};

use crate::{ServeError, pipe::Cuttable, shared::Shared};

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
    let routes = routes(&shared, &shutdown).await?;
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
        () = overdue => {
            warn!(shared.log, "calls were cut off at shutdown"; "after_ms" => drain.as_millis());
            Ok(())
        }
    }
}

async fn routes(shared: &Arc<Shared>, shutdown: &CancellationToken) -> Result<Routes, ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_service_status("", tonic_health::ServingStatus::Serving)
        .await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let _ = (shared, shutdown);
    Ok(Routes::new(health_service).add_service(reflection))
}
