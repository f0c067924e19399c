//! The gRPC server: QueryService, health and reflection on any stream of connections.

use std::{io, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use log_tracer_proto::{FILE_DESCRIPTOR_SET, v1::query_service_server::QueryServiceServer};
use slog::{error, warn};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};

use crate::{fan::Fan, service::Queries};

/// Calls at the same time on one connection; more wait at the client.
const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// A connection whose peer does not answer a ping of this interval in time is closed, with its tails.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// After a failed accept, so that running out of file descriptors does not become a busy loop.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Why serving ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The descriptors that reflection serves cannot be read: a fault of the build.
    #[error("reflection cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The gRPC server failed.
    #[error("the query server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves the pipes of the process until the future is dropped.
pub(crate) async fn serve_pipes(fan: Arc<Fan>, pipes: mpsc::Receiver<DuplexStream>) {
    let log = fan.log.clone();
    let incoming = ReceiverStream::new(pipes).map(Ok);
    if let Err(cause) = serve(fan, incoming, CancellationToken::new()).await {
        error!(log, "serving in the process failed"; "error" => %cause);
    }
}

/// Serves until `shutdown`, then lets calls finish for the configured time.
pub(crate) async fn serve<IO>(
    fan: Arc<Fan>,
    incoming: impl Stream<Item = io::Result<IO>> + Send,
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let log = fan.log.clone();
    let incoming = incoming.then(|connection| {
        let log = log.clone();
        async move {
            if let Err(error) = &connection {
                warn!(log, "a connection could not be accepted"; "error" => %error);
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
            connection
        }
    });
    let drain = Duration::from_millis(fan.config.drain_deadline_ms);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<QueryServiceServer<Queries>>().await;
    let routes = routes(fan, &shutdown)?.add_service(health_service);
    let served = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        result = served => Ok(result?),
        () = overdue => {
            warn!(log, "calls were cut off at shutdown"; "after_ms" => drain.as_millis());
            Ok(())
        }
    }
}

fn routes(fan: Arc<Fan>, shutdown: &CancellationToken) -> Result<Routes, ServeError> {
    let request_bytes_max = fan.config.request_bytes_max;
    let queries = QueryServiceServer::new(Queries::new(fan, shutdown.clone()))
        .max_decoding_message_size(request_bytes_max)
        .max_encoding_message_size(usize::MAX);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(Routes::new(queries).add_service(reflection))
}
