//! The web pages and the JSON interface, rendered on the server.
//!
//! The dashboard knows no store and no transport: it asks a consumer through the generated QueryService client, in the
//! same process over an in-memory pipe or on another machine, and there is no second path.
//!
//! A request takes these steps, each a module of its own:
//!
//! 1. `server` accepts connections with limits; `guard` checks where a request comes from and puts the security
//!    headers and gzip on every answer, whichever route gave it.
//! 2. `routes` is the table of addresses.

mod api;
mod app;
mod ask;
mod assets;
mod body;
mod charts;
mod clock;
mod complete;
mod config;
mod counting;
mod fault;
mod fit;
mod graph;
mod guard;
mod jaeger;
mod lines;
mod metrics;
mod pages;
mod palette;
mod params;
mod patterns;
mod producers;
mod range;
mod red;
mod reply;
mod routes;
mod sample;
mod search;
mod server;
mod sorting;
mod trace;
mod units;
mod uploads;
mod value;
mod views;
mod visitor;
mod window;

use slog::Logger;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub use config::Config;

/// What the home page says about the process around the dashboard.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Where OTLP over gRPC is taken in, as a client writes it: `http://127.0.0.1:4317`. Empty when not known.
    pub otlp_grpc: String,
    /// Where OTLP over HTTP is taken in: `http://127.0.0.1:4318`. Empty when not known.
    pub otlp_http: String,
    /// The version of the program.
    pub version: String,
    /// Producers that are asked what they refused, on the Pipeline page. When empty, the one that `ingest` leads to.
    pub producers: Vec<Producer>,
}

/// A producer that can be asked how it is.
#[derive(Clone, Debug)]
pub struct Producer {
    /// Where it is, as it was configured.
    pub address: String,
    /// Leads to its port of gRPC; may connect lazily.
    pub channel: Channel,
}

/// Why the dashboard could not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting is wrong.
    #[error("invalid dashboard configuration: {0}")]
    Config(String),
    /// A template is wrong, which is a fault of the program.
    #[error("the dashboard's templates do not compile: {0}")]
    Templates(String),
    /// The listener is of no use any more.
    #[error("the dashboard's listener failed: {0}")]
    Listener(#[source] std::io::Error),
}

/// Serves the pages until `shutdown`, then finishes the answers under way.
///
/// `query` leads to a consumer's QueryService; it may connect lazily, and while the consumer is away pages say so and
/// answer 503. `ingest` leads to a producer's OTLP services and is needed for "send a sample trace" only.
///
/// # Errors
///
/// [`ServeError`] when the configuration is invalid or the listener fails.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    query: Channel,
    ingest: Option<Channel>,
    about: About,
    log: Logger,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    config.validate().map_err(ServeError::Config)?;
    let app = app::App::new(config, query, ingest, about, log, shutdown)?;
    server::run(app, listener).await
}
