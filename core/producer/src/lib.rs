//! Ingestion: OTLP over gRPC and HTTP, and LogService, become envelopes that a transport stores before the reply.
//!
//! | module | what it does |
//! |---|---|
//! | `listen` | accepts connections, limits them, ends them |
//! | `grpc` | the port of gRPC: framing, methods, the stream of LogService, health, reflection |
//! | `http` | the port of HTTP: paths, content types, CORS |
//! | `body` | reads bodies under the limits |
//! | `ingest` | one request from its bytes to its acknowledgement, whatever the protocol |
//! | `outlet` | the way to the log, which may have to be waited for |
//! | [`pipeline`] | from bytes to envelopes, without sockets or a transport |
//! | `compression` | decompresses up to a limit |
//! | `budget` | the memory of all requests |
//! | `refusal`, `reply` | what senders are told |
//! | `metrics` | what is counted |
//! | `recent`, `peer` | the newest refusals, and from where they came |
//!
//! # What a reply says
//!
//! Success says that the transport has acknowledged every envelope of the request, with the durability that it
//! declares, and nothing less: `publish` returned `Ok` before the reply was written. Records that were left out are
//! counted in the partial success. A refusal says whether the same request may be sent again; the one table for that is
//! in [`Reason`]. After UNAVAILABLE or 503 some of it may be stored, and a retry with the same bytes is recognised, also
//! when another producer of the same log gets it.
//!
//! When the transport cannot tell whether it stored an envelope, the producer itself publishes the same envelopes again
//! until the deadline of the request: with the same batch ids, so that the reader applies them once. A client sees an
//! error only when that did not help.
//!
//! # How memory is bounded
//!
//! All requests under way share [`Config::inflight_bytes_max`]. A request is read only once there is room for as many
//! bytes as it declares, and becomes something else only once there is room for that: first decompressed, at most to
//! [`Config::request_bytes_max`], then decoded, with the size of the decoded structs found out beforehand from the wire
//! bytes, and with the copies that splitting makes. Who finds no room before the deadline is refused and may retry; what
//! can never fit is too large. The memory is held until the transport has answered, or until the client has gone and
//! the work on its request has stopped. A transport that goes on with a publish whose caller has gone pays from its own
//! bound.
//!
//! Outside of this budget are, at most:
//! - for each connection, of both ports [`Config::connections_max`]: [`Config::connection_window_bytes`] that HTTP/2
//!   may send ahead, or 64 KiB that HTTP/1 reads ahead; and of each request on it, of which there are
//!   [`Config::connection_streams_max`], a head of 16 KiB;
//! - for each thread of the runtime, and as many again as the machine runs at a time, since large requests are decoded
//!   on threads of their own: the state of one decompressor, 8 MiB for zstd at the most.
//!
//! Sizes of decoded structs count lists as they grow and 16 bytes for each allocation; what an allocator keeps back
//! beyond that is not counted.
#![doc = include_str!("rules.md")]

mod body;
mod budget;
mod compression;
mod config;
mod grpc;
mod http;
mod ingest;
mod listen;
mod metrics;
mod outlet;
mod peer;
pub mod pipeline;
mod recent;
mod refusal;
mod reply;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use log_tracer_transport::Transport;
use slog::{Logger, info, warn};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use budget::{ByteLimit, Memory, NoRoom};
pub use compression::Encoding;
pub use config::{Config, ConfigError};
pub use metrics::{Metrics, Snapshot};
pub use outlet::Outlet;
pub use refusal::{Reason, Refusal};

use grpc::GrpcPort;
use http::HttpPort;
use ingest::Ingest;
use listen::Connections;

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

/// Why a producer cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener is not usable.
    #[error("a listener is not usable: {0}")]
    Listener(#[from] io::Error),
    /// The descriptions of the services cannot be served.
    #[error("reflection is not usable: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `shutdown` is cancelled; see [`Producer::serve`].
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
    Producer::new(config, transport, log)?
        .serve(listeners, shutdown)
        .await
}

/// A producer that does not listen yet.
#[derive(Debug)]
pub struct Producer {
    ingest: Arc<Ingest>,
    log: Logger,
}

impl Producer {
    /// A producer that publishes to `transport`.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(
        config: Config,
        transport: Arc<dyn Transport>,
        log: Logger,
    ) -> Result<Self, ConfigError> {
        let producer = Self::without_transport(config, log)?;
        producer.outlet().open(transport);
        Ok(producer)
    }

    /// A producer that refuses requests until its [`outlet`](Self::outlet) is opened, with a status that lets clients try
    /// again; meanwhile its health is NOT_SERVING.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn without_transport(config: Config, log: Logger) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            ingest: Arc::new(Ingest::new(config, log.clone())),
            log,
        })
    }

    /// Where it publishes to, to be opened and closed while it serves.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        self.ingest.outlet.clone()
    }

    /// Its counters, which stay readable while it serves and after.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.ingest.metrics)
    }

    /// Serves until `shutdown` is cancelled, then accepts no more connections and requests, finishes the requests under
    /// way within [`Config::drain_deadline_ms`], ends what is left, and returns; no task of it goes on. The transport
    /// stays open: it belongs to the caller.
    ///
    /// # Errors
    /// Before anything is served, when a listener cannot work.
    pub async fn serve(
        self,
        listeners: Listeners,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        let grpc_address = listeners.grpc.local_addr()?;
        let http_address = listeners.http.local_addr()?;
        let connections = Connections {
            ingest: Arc::clone(&self.ingest),
            log: self.log.clone(),
            tasks: TaskTracker::new(),
            drain: shutdown,
            abort: CancellationToken::new(),
        };
        let grpc = GrpcPort::new(
            Arc::clone(&self.ingest),
            connections.tasks.clone(),
            connections.drain.clone(),
            http_address,
        )?;
        let http = HttpPort::new(Arc::clone(&self.ingest), grpc_address);
        info!(self.log, "taking traces and logs"; "grpc" => grpc_address, "http" => http_address);

        let answer_grpc = move |request| {
            let port = grpc.clone();
            async move { port.call(request).await }
        };
        let answer_http = move |request| {
            let port = http.clone();
            async move { port.call(request).await }
        };
        tokio::join!(
            connections.serve(listeners.grpc, "grpc", answer_grpc),
            connections.serve(listeners.http, "http", answer_http),
        );
        self.finish(&connections).await;
        Ok(())
    }

    async fn finish(&self, connections: &Connections) {
        let Connections { tasks, abort, .. } = connections;
        tasks.close();
        let deadline = Duration::from_millis(self.ingest.config.drain_deadline_ms);
        if timeout(deadline, tasks.wait()).await.is_err() {
            warn!(self.log, "requests were still under way at the deadline"; "tasks" => tasks.len());
            abort.cancel();
            tasks.wait().await;
        }
        info!(self.log, "taking no more traces and logs");
    }
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
