//! The life of the process: bind, open the log, serve, open it anew when it has failed, stop.
//!
//! The addresses are bound first. Until the log is open, and whenever it has failed for good and is opened anew, requests
//! are refused with a status that lets clients retry, and health is NOT_SERVING.

use std::{convert::Infallible, sync::Arc, time::Duration};

use log_tracer_producer::{Listeners, Outlet, ServeError};
use log_tracer_runtime::{
    alive,
    config::Loaded,
    exit::Code,
    failure::Failure,
    listen, logging,
    role::{Flag, Host, Role},
};
use log_tracer_transport::{Health, OpenError, Transport};
use log_tracer_transports::open_patiently;
use serde_json::json;
use slog::{Logger, info, warn};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// How often the transport is looked at for whether it has failed for good.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two openings of a transport that fails soon after it was opened.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// The producer as a process.
pub(crate) struct Producer;

impl Role for Producer {
    type Config = Config;

    const NAME: &'static str = "log-tracer-producer";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str =
        "Takes traces and logs in over OTLP, and publishes them to Fluvio or NATS JetStream";
    const EXAMPLES: &'static str = "\
Examples:
  log-tracer-producer --config etc/producer.toml
  log-tracer-producer --transport nats --set transport.servers=nats://10.0.0.5:4222
  log-tracer-producer --grpc-listen 0.0.0.0:4317 --http-listen 0.0.0.0:4318
  log-tracer-producer healthcheck

Every setting can also be given in the environment: LOG_TRACER__PRODUCER__GRPC_LISTEN=0.0.0.0:4317";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "grpc-listen",
            value: "ADDRESS",
            key: "producer.grpc_listen",
            help: "OTLP over gRPC and LogService",
        },
        Flag {
            name: "http-listen",
            value: "ADDRESS",
            key: "producer.http_listen",
            help: "OTLP over HTTP",
        },
        Flag::TRANSPORT,
        Flag::LOG_LEVEL,
        Flag::LOG_FORMAT,
    ];

    fn problems(config: &Config) -> Vec<(String, String)> {
        config.problems()
    }

    fn logging(config: &mut Config) -> &mut logging::Config {
        &mut config.logging
    }

    async fn serve(loaded: &Loaded<Config>, host: &Host) -> Result<(), Failure> {
        let config = &loaded.config;
        let listeners = bind(config).await?;
        let unusable = |error| Failure::transient("a listening socket is unusable", &error);
        let grpc = format!(
            "http://{}",
            alive::reachable(listeners.grpc.local_addr().map_err(unusable)?)
        );
        let http = format!(
            "http://{}",
            alive::reachable(listeners.http.local_addr().map_err(unusable)?)
        );
        let log = &host.log;
        let producer =
            log_tracer_producer::Producer::without_transport(config.producer.clone(), log.clone())
                .map_err(|error| Failure::new(Code::Config, format!("producer.{error}")))?;
        let outlet = producer.outlet();
        host.announce(
            &format!("log-tracer-producer listens: OTLP gRPC {grpc}, OTLP HTTP {http}"),
            &json!({ "otlp_grpc": grpc, "otlp_http": http, "pid": std::process::id() }),
        );

        let stop = CancellationToken::new();
        // A task, so that it goes on while the log is opened; it ends when the token is dropped.
        let mut serving = tokio::spawn(producer.serve(listeners, stop.clone()));
        let _stop_on_drop = stop.clone().drop_guard();
        let mut transport = None;
        let result = tokio::select! {
            ended = &mut serving => return Err(ended_early(ended)),
            () = host.shutdown.cancelled() => Ok(()),
            error = keep_open(config, &outlet, &mut transport, log) => match error {
                Ok(never) => match never {},
                Err(error) => Err(refused(&error)),
            },
        };
        stop.cancel();
        let deadline = Instant::now() + Duration::from_millis(config.stop_deadline_ms);
        stopped(serving, transport, deadline, log).await?;
        result
    }

    async fn health(config: &Config) -> Result<(), String> {
        alive::grpc(config.producer.grpc_listen).await
    }
}

async fn bind(config: &Config) -> Result<Listeners, Failure> {
    Ok(Listeners {
        grpc: listen::bind("producer.grpc_listen", config.producer.grpc_listen).await?,
        http: listen::bind("producer.http_listen", config.producer.http_listen).await?,
    })
}

/// Opens the log, and opens it anew whenever it has failed for good. `current` is what is open.
async fn keep_open(
    config: &Config,
    outlet: &Outlet,
    current: &mut Option<Arc<dyn Transport>>,
    log: &Logger,
) -> Result<Infallible, OpenError> {
    loop {
        // On the heap: the futures of engines' clients are large.
        let transport = Box::pin(open_patiently(&config.transport, log)).await?;
        let promises = transport.capabilities();
        info!(log, "publishing"; "transport" => promises.kind, "partitions" => transport.partitions().get(),
            "log" => %transport.log_id(), "survives_process_crash" => promises.survives_process_crash,
            "survives_os_crash" => promises.survives_os_crash, "survives_node_loss" => promises.survives_node_loss);
        outlet.open(Arc::clone(&transport));
        *current = Some(Arc::clone(&transport));
        let why = failed(transport.as_ref()).await;
        warn!(log, "the log has failed and is opened anew"; "error" => &why);
        outlet.close(&why);
        *current = None;
        // Publishes that are under way answer by themselves; there is nothing else to finish.
        if let Err(error) = transport.close(Instant::now() + REOPEN_AFTER).await {
            warn!(log, "the failed log was not closed in order"; "error" => %error);
        }
        sleep(REOPEN_AFTER).await;
    }
}

/// Returns when the transport is of no more use.
async fn failed(transport: &dyn Transport) -> String {
    loop {
        sleep(LOOK_INTERVAL).await;
        if let Health::Failed(why) = transport.health() {
            return why;
        }
    }
}

/// Waits for what is under way: first the requests, then the log.
async fn stopped(
    mut serving: tokio::task::JoinHandle<Result<(), ServeError>>,
    transport: Option<Arc<dyn Transport>>,
    deadline: Instant,
    log: &Logger,
) -> Result<(), Failure> {
    let cut_off = |what: &str| Failure::new(Code::Transient, format!("{what} at the deadline"));
    match timeout_at(deadline, &mut serving).await {
        Ok(Ok(Ok(()))) => info!(log, "stopped"; "part" => "producer"),
        Ok(ended) => return Err(ended_early(ended)),
        Err(_) => {
            serving.abort();
            return Err(cut_off("requests were cut off"));
        }
    }
    if let Some(transport) = transport {
        transport
            .close(deadline)
            .await
            .map_err(|error| Failure::new(Code::Transient, format!("transport: {error}")))?;
        info!(log, "stopped"; "part" => "transport");
    }
    Ok(())
}

fn ended_early(ended: Result<Result<(), ServeError>, tokio::task::JoinError>) -> Failure {
    let why = match ended {
        Ok(Ok(())) => "the producer ended although nobody asked it to".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic.to_string(),
    };
    Failure::new(Code::Internal, why)
}

fn refused(error: &OpenError) -> Failure {
    let code = match error {
        OpenError::Invalid(_) => Code::Config,
        OpenError::Transient(_) => Code::Transient,
        OpenError::Failed(_) => Code::Internal,
    };
    Failure::new(code, format!("transport: {error}"))
}

#[cfg(test)]
mod tests {
    use log_tracer_runtime::role;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        role::command::<Producer>().debug_assert();
    }

    #[test]
    fn every_flag_stands_for_a_setting_that_exists() {
        let known = role::keys::<Producer>();
        for flag in Producer::FLAGS {
            assert!(known.contains(&flag.key.to_owned()), "{}", flag.key);
        }
    }

    #[test]
    fn tls_finds_its_one_provider() {
        log_tracer_runtime::crypto::install();
        let roots = rustls::RootCertStore::empty();
        let _config = rustls::ClientConfig::builder().with_root_certificates(roots);
    }
}
