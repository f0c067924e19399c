//! The life of the process: bind, serve, wait, stop.

use std::{
    io::{self, Write},
    time::Duration,
};

use log_tracer_dashboard::{About, ServeError};
use log_tracer_runtime::{config::Loaded, exit::Code, listen, logging, shutdown};
use slog::{Logger, info, warn};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::{cli::Failure, config::Config};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that carries nothing is tried this often, so that a consumer that vanished is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long tasks that were cut off may take to notice, before the process ends without them.
const LAST_TASKS: Duration = Duration::from_secs(1);

pub(crate) fn run(loaded: &Loaded<Config>) -> Result<(), Failure> {
    let (log, _written_last) = logging::init(&loaded.config.logging)
        .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| transient("the threads of the program cannot be started", &error))?;
    let result = runtime.block_on(serve(loaded, &log));
    runtime.shutdown_timeout(LAST_TASKS);
    result
}

async fn serve(loaded: &Loaded<Config>, log: &Logger) -> Result<(), Failure> {
    let config = &loaded.config;
    for (key, address) in loaded.exposed() {
        warn!(log, "other machines can reach this address, and whoever does may read everything: there is no authentication";
            "key" => key, "address" => %address);
    }
    let shutdown = shutdown::on_signals(log.clone())
        .map_err(|error| transient("signals cannot be watched", &error))?;
    let listener = listen::bind("dashboard.listen", config.dashboard.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| transient("the listening socket is unusable", &error))?;

    // Connections are made when they are used: a consumer may start later, and may go and come back.
    let query = channel(config.query.first().map_or("", String::as_str))?;
    let ingest = config.otlp_grpc.as_deref().map(channel).transpose()?;
    let about = About {
        otlp_grpc: config.otlp_grpc.clone().unwrap_or_default(),
        otlp_http: config.otlp_http.clone().unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let serving = log_tracer_dashboard::serve(
        config.dashboard.clone(),
        listener,
        query,
        ingest,
        about,
        log.clone(),
        shutdown.clone(),
    );
    info!(log, "ready"; "dashboard" => format!("http://{address}"), "query" => config.query.join(" "));
    if let Err(error) = writeln!(
        io::stdout(),
        "log-tracer-dashboard is ready: http://{address}"
    ) {
        warn!(log, "the address cannot be printed"; "error" => %error);
    }
    stopped_in_time(
        serving,
        &shutdown,
        Duration::from_millis(config.stop_deadline_ms),
    )
    .await?;
    info!(log, "stopped cleanly");
    Ok(())
}

/// Serves until it is told to stop, and from then on for `patience` at most.
async fn stopped_in_time(
    serving: impl Future<Output = Result<(), ServeError>>,
    shutdown: &CancellationToken,
    patience: Duration,
) -> Result<(), Failure> {
    tokio::pin!(serving);
    let result = tokio::select! {
        result = &mut serving => result,
        () = shutdown.cancelled() => tokio::time::timeout(patience, serving).await.map_err(|_| {
            Failure::new(Code::Transient, "cut off at the deadline with requests under way")
        })?,
    };
    result.map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    if shutdown.is_cancelled() {
        Ok(())
    } else {
        Err(Failure::new(
            Code::Internal,
            "the dashboard ended although nobody asked it to",
        ))
    }
}

fn channel(address: &str) -> Result<Channel, Failure> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|error| Failure::new(Code::Config, format!("`{address}`: {error}")))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .connect_lazy())
}

fn transient(what: &str, error: &io::Error) -> Failure {
    Failure::new(Code::Transient, format!("{what}: {error}"))
}
