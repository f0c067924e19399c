//! `log-tracer run`: load, bind, start, wait, stop.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use log_tracer_runtime::{
    config::{self, ConfigError, Loaded, Override},
    env::Environment,
    exit::Code,
    logging, shutdown,
};
use slog::{Logger, info, warn};
use tokio::time::Instant;

use super::{Failure, banner};
use crate::{
    Config,
    standalone::{Listeners, Standalone},
};

/// How long tasks that were cut off may take to notice, before the process ends without them.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// Where settings come from besides the environment.
#[derive(Debug, clap::Args)]
pub(super) struct Sources {
    /// A file with settings; etc/standalone.toml shows all of them
    #[arg(long, value_name = "FILE", env = "LOG_TRACER_CONFIG")]
    config: Option<PathBuf>,
    /// One setting, such as dashboard.listen=127.0.0.1:9000; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = Override::set)]
    set: Vec<Override>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    sources: Sources,
    /// For tests: free ports, nothing on disk, one line of JSON with the addresses once it is ready
    #[arg(long)]
    in_memory: bool,
    /// Where everything is kept that outlives the process [default: data]
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "in_memory")]
    data_dir: Option<PathBuf>,
    /// One line of JSON with the addresses once it is ready, for programs that start it
    #[arg(long)]
    json: bool,
    /// Stop when the standard input ends, as it does when the program that started this one ends
    #[arg(long)]
    exit_with_parent: bool,
    /// OTLP over gRPC [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDRESS")]
    grpc_listen: Option<SocketAddr>,
    /// OTLP over HTTP [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Option<SocketAddr>,
    /// The web pages [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    dashboard_listen: Option<SocketAddr>,
    /// QueryService over gRPC [default: 127.0.0.1:4319]
    #[arg(long, value_name = "ADDRESS")]
    query_listen: Option<SocketAddr>,
    /// off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// terminal or json [default: terminal]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Options {
    fn flags(&self) -> Vec<Override> {
        let address = |value: Option<SocketAddr>| value.map(|value| value.to_string());
        let flags = [
            (
                "--grpc-listen",
                "producer.grpc_listen",
                address(self.grpc_listen),
            ),
            (
                "--http-listen",
                "producer.http_listen",
                address(self.http_listen),
            ),
            (
                "--dashboard-listen",
                "dashboard.listen",
                address(self.dashboard_listen),
            ),
            (
                "--query-listen",
                "consumer.query_listen",
                address(self.query_listen),
            ),
            (
                "--data-dir",
                "data_directory",
                self.data_dir
                    .as_ref()
                    .map(|path| path.to_string_lossy().into_owned()),
            ),
            ("--log-level", "logging.level", self.log_level.clone()),
            ("--log-format", "logging.format", self.log_format.clone()),
        ];
        flags
            .into_iter()
            .filter_map(|(flag, key, value)| Some(Override::flag(flag, key, &value?)))
            .collect()
    }
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let defaults = if options.in_memory {
        Config::in_memory()
    } else {
        Config::default()
    };
    let mut loaded = load(&defaults, &options.sources, options.flags(), environment)?;
    environment.apply_to(&mut loaded.config.logging);
    let (log, _written_last) = logging::init(&loaded.config.logging)
        .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| transient("the threads of the program cannot be started", &error))?;
    let result = runtime.block_on(serve(options, &loaded, &log));
    runtime.shutdown_timeout(LAST_TASKS);
    result
}

pub(super) fn load(
    defaults: &Config,
    sources: &Sources,
    flags: Vec<Override>,
    environment: &Environment,
) -> Result<Loaded<Config>, ConfigError> {
    let overrides: Vec<_> = flags.into_iter().chain(sources.set.clone()).collect();
    let loaded = config::load_over(
        defaults,
        sources.config.as_deref(),
        environment.variables.iter().cloned(),
        &overrides,
    )?;
    loaded.validate(Config::problems)?;
    Ok(loaded)
}

async fn serve(options: &Options, loaded: &Loaded<Config>, log: &Logger) -> Result<(), Failure> {
    let config = loaded.config.clone();
    let stop_deadline = Duration::from_millis(config.stop_deadline_ms);
    for (key, address) in loaded.exposed() {
        warn!(log, "other machines can reach this address, and whoever does may read and write: there is no authentication";
            "key" => key, "address" => %address);
    }
    let shutdown = shutdown::on_signals(log.clone())
        .map_err(|error| transient("signals cannot be watched", &error))?;

    let listeners = Listeners::bind(&config).await?;
    let standalone = Standalone::start(config, listeners, log.clone()).await?;
    let endpoints = standalone.endpoints();
    info!(log, "ready";
        "otlp_grpc" => endpoints.otlp_grpc(), "otlp_http" => endpoints.otlp_http(),
        "dashboard" => endpoints.dashboard(), "query_grpc" => endpoints.query_grpc());
    let ready = if options.in_memory || options.json {
        banner::json(&standalone)
    } else {
        banner::text(&standalone)
    };
    if let Err(error) = banner::print(&ready) {
        warn!(log, "the addresses cannot be printed"; "error" => %error);
    }
    if options.exit_with_parent {
        shutdown::on_end_of(io::stdin(), shutdown.clone(), log.clone())
            .map_err(|error| transient("the standard input cannot be watched", &error))?;
    }

    tokio::select! {
        () = shutdown.cancelled() => {}
        () = standalone.ended() => warn!(log, "stopping, a part has ended by itself"),
    }
    standalone.stop(Instant::now() + stop_deadline).await?;
    info!(log, "stopped cleanly");
    Ok(())
}

fn transient(what: &str, error: &io::Error) -> Failure {
    Failure::new(Code::Transient, format!("{what}: {error}"))
}
