//! All roles in one process.
//!
//! ```text
//! SDKs --OTLP--> producer --envelopes--> transport --> consumer <--QueryService-- dashboard <-- browsers
//! ```
//!
//! The dashboard asks the consumer through the same generated client as it would on another machine, over a pipe in
//! memory. What depends on another part starts after it and stops before it:
//!
//! | order of start | part | order of stop |
//! |---|---|---|
//! | 1 | transport | 5 |
//! | 2 | consumer | 4 |
//! | 3 | QueryService on its socket | 3 |
//! | 4 | producer | 2 |
//! | 5 | dashboard | 1 |

mod endpoints;
mod listeners;
mod paced;
mod part;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use log_tracer_consumer::{Consumer, StartError as ConsumerStartError, StoreError};
use log_tracer_dashboard::About;
use log_tracer_proto::v1::query_service_client::QueryServiceClient;
use log_tracer_runtime::exit::{Code, Exit};
use log_tracer_transport::{Capabilities, OpenError, Transport};
use slog::{Logger, info, o};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, Endpoint, server::TcpIncoming};

use crate::Config;

pub use endpoints::Endpoints;
pub use listeners::Listeners;

use paced::Paced;
use part::Part;

/// A running producer, consumer and dashboard with the transport between them.
///
/// Dropping it ends all of them soon, without waiting for what is under way; [`stop`](Self::stop) it instead.
#[derive(Debug)]
pub struct Standalone {
    transport: Arc<dyn Transport>,
    consumer: Consumer,
    /// In the order of their start.
    parts: Vec<Part>,
    endpoints: Endpoints,
    /// None when nothing outlives the process.
    data_directory: Option<PathBuf>,
    /// Cancelled when a part has ended by itself.
    ended: CancellationToken,
    log: Logger,
    _stop_all: DropGuard,
}

impl Standalone {
    /// Starts all parts on sockets that are bound already. When it returns, requests are taken.
    ///
    /// # Errors
    /// The transport cannot be opened, or the consumer cannot read it. Nothing is running then.
    pub async fn start(
        config: Config,
        listeners: Listeners,
        log: Logger,
    ) -> Result<Self, StartError> {
        let config = config.with_directories();
        let endpoints = listeners.endpoints().map_err(StartError::Socket)?;
        let transport = log_tracer_transports::open(&config.transport).await?;
        let consumer = Consumer::start(
            config.consumer,
            Arc::clone(&transport),
            log.new(o!("role" => "consumer")),
        )
        .await?;

        let stop_all = CancellationToken::new();
        let mut starter = Starter {
            parts: Vec::new(),
            stop_all: stop_all.clone(),
            ended: CancellationToken::new(),
        };
        if let Some(listener) = listeners.query {
            // Without it a small answer waits for the client's delayed acknowledgement, some 40 ms.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            starter.start("query service", |stop| consumer.serve(incoming, stop));
        }
        let paced = Paced {
            transport: Arc::clone(&transport),
            consumer: consumer.clone(),
            lag_max: config.ack_lag_envelopes_max,
            wait_max: Duration::from_millis(config.ack_lag_wait_ms),
        };
        starter.start("producer", |stop| {
            log_tracer_producer::serve(
                config.producer,
                listeners.producer,
                Arc::new(paced),
                log.new(o!("role" => "producer")),
                stop,
            )
        });
        let ingest = Endpoint::from_shared(endpoints.otlp_grpc())
            .map_err(StartError::Endpoint)?
            .connect_lazy();
        starter.start("dashboard", |stop| {
            log_tracer_dashboard::serve(
                config.dashboard,
                listeners.dashboard,
                consumer.connect_in_process(),
                Some(ingest),
                about(&endpoints),
                log.new(o!("role" => "dashboard")),
                stop,
            )
        });

        let is_kept = transport.capabilities().survives_process_crash;
        Ok(Self {
            transport,
            consumer,
            parts: starter.parts,
            endpoints,
            data_directory: is_kept.then_some(config.data_directory),
            ended: starter.ended,
            log,
            _stop_all: stop_all.drop_guard(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Below which everything lies that outlives the process; none when nothing does.
    #[must_use]
    pub fn data_directory(&self) -> Option<&Path> {
        self.data_directory.as_deref()
    }

    /// What the transport promises.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        self.transport.capabilities()
    }

    /// A client of QueryService over a pipe in memory. Must be called within a tokio runtime, which then drives it.
    #[must_use]
    pub fn query(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.consumer.connect_in_process())
    }

    /// Returns when a part has ended although nobody asked it to: then all should be stopped, and
    /// [`stop`](Self::stop) says what happened.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Stops all parts, those that depend on others first, all before `deadline`. What is not done by then is cut off.
    ///
    /// # Errors
    /// What was cut off, and what failed. Nothing runs any more all the same.
    pub async fn stop(self, deadline: Instant) -> Result<(), StopError> {
        let mut failures = Vec::new();
        for part in self.parts.into_iter().rev() {
            let name = part.name();
            if let Err(failure) = part.stop(deadline).await {
                failures.push(failure);
            }
            info!(self.log, "stopped"; "part" => name);
        }
        if let Err(error) = self.consumer.stop(deadline).await {
            failures.push(Failure::of("consumer", error.to_string()));
        }
        info!(self.log, "stopped"; "part" => "consumer");
        if let Err(error) = self.transport.close(deadline).await {
            failures.push(Failure::of("transport", error.to_string()));
        }
        info!(self.log, "stopped"; "part" => "transport");
        if failures.is_empty() {
            Ok(())
        } else {
            Err(StopError { failures })
        }
    }
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The transport cannot be opened.
    #[error("transport: {0}")]
    Transport(#[from] OpenError),
    /// The consumer cannot read it.
    #[error("consumer: {0}")]
    Consumer(#[from] ConsumerStartError),
    /// A bound socket does not know its address.
    #[error("a listening socket is unusable: {0}")]
    Socket(#[source] std::io::Error),
    /// The producer's own address is no address: a fault of this program.
    #[error("the producer cannot be reached from the dashboard: {0}")]
    Endpoint(#[source] tonic::transport::Error),
}

impl Exit for StartError {
    fn exit_code(&self) -> Code {
        match self {
            Self::Transport(OpenError::Invalid(_))
            | Self::Consumer(
                ConsumerStartError::Config(_)
                | ConsumerStartError::UnknownPartition { .. }
                | ConsumerStartError::OtherLog { .. }
                | ConsumerStartError::LogIsBehind { .. },
            ) => Code::Config,
            Self::Transport(OpenError::Transient(_)) => Code::Transient,
            Self::Consumer(ConsumerStartError::Store(error)) => match error.as_ref() {
                StoreError::Locked { .. } => Code::Transient,
                StoreError::Config(_) => Code::Config,
                _ => Code::Internal,
            },
            _ => Code::Internal,
        }
    }
}

/// What did not end well.
#[derive(Debug)]
pub struct StopError {
    failures: Vec<Failure>,
}

/// One part that did not end well.
#[derive(Debug)]
struct Failure {
    part: &'static str,
    reason: String,
    /// It failed, and was not just slow to end.
    is_fault: bool,
}

impl Failure {
    fn of(part: &'static str, reason: String) -> Self {
        Self {
            part,
            reason,
            is_fault: false,
        }
    }
}

impl std::fmt::Display for StopError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, failure) in self.failures.iter().enumerate() {
            let gap = if index > 0 { "; " } else { "" };
            write!(f, "{gap}{}: {}", failure.part, failure.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for StopError {}

impl Exit for StopError {
    /// [`Code::Internal`] when a part failed, [`Code::Transient`] when the deadline cut something off.
    fn exit_code(&self) -> Code {
        if self.failures.iter().any(|failure| failure.is_fault) {
            Code::Internal
        } else {
            Code::Transient
        }
    }
}

/// Starts parts that all end when `stop_all` is cancelled, and each of which tells `ended` when it ends by itself.
struct Starter {
    parts: Vec<Part>,
    stop_all: CancellationToken,
    ended: CancellationToken,
}

impl Starter {
    fn start<E, F>(&mut self, name: &'static str, serve: impl FnOnce(CancellationToken) -> F)
    where
        E: std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let stop = self.stop_all.child_token();
        let serving = serve(stop.clone());
        self.parts
            .push(Part::start(name, serving, stop, self.ended.clone()));
    }
}

fn about(endpoints: &Endpoints) -> About {
    About {
        otlp_grpc: endpoints.otlp_grpc(),
        otlp_http: endpoints.otlp_http(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // The producer of this process, which `ingest` leads to.
        producers: Vec::new(),
    }
}
