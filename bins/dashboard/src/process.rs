//! The life of the process: bind, serve, wait, stop.

use std::time::Duration;

use log_tracer_dashboard::{About, Producer};
use log_tracer_fanout::{Endpoint as Consumer, Fanout};
use log_tracer_runtime::{
    alive,
    config::Loaded,
    exit::Code,
    failure::Failure,
    listen, logging,
    role::{Flag, Host, Role},
};
use serde_json::json;
use slog::{Logger, info};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, server::TcpIncoming};

use crate::config::Config;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that carries nothing is tried this often, so that a consumer that vanished is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// The dashboard as a process.
pub(crate) struct Dashboard;

impl Role for Dashboard {
    type Config = Config;

    const NAME: &'static str = "log-tracer-dashboard";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "The web pages of log-tracer, for consumers that run elsewhere";
    const EXAMPLES: &'static str = "\
Examples:
  log-tracer-dashboard --query http://10.0.0.5:4319,http://10.0.0.6:4319
  log-tracer-dashboard --config etc/dashboard.toml
  log-tracer-dashboard healthcheck

Every setting can also be given in the environment: LOG_TRACER__DASHBOARD__LISTEN=127.0.0.1:9000";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "query",
            value: "ADDRESSES",
            key: "query",
            help: "Where QueryService is, of each consumer",
        },
        Flag {
            name: "query-listen",
            value: "ADDRESS",
            key: "query_listen",
            help: "QueryService of all consumers together",
        },
        Flag {
            name: "listen",
            value: "ADDRESS",
            key: "dashboard.listen",
            help: "Where the pages are served",
        },
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
        let listener = listen::bind("dashboard.listen", config.dashboard.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|error| Failure::transient("the listening socket is unusable", &error))?;
        let url = format!("http://{}", alive::reachable(address));

        let fanout = fanout(config, &host.log)?;
        let answering = answering(config, &fanout, &host.shutdown).await?;
        let ingest = config.otlp_grpc.as_deref().map(channel).transpose()?;
        let about = About {
            otlp_grpc: config.otlp_grpc.clone().unwrap_or_default(),
            otlp_http: config.otlp_http.clone().unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            producers: producers(config)?,
        };
        let serving = log_tracer_dashboard::serve(
            config.dashboard.clone(),
            listener,
            fanout.connect(),
            ingest,
            about,
            host.log.clone(),
            host.shutdown.clone(),
        );
        info!(host.log, "ready"; "dashboard" => &url, "query" => config.query.join(" "));
        host.announce(
            &format!("log-tracer-dashboard is ready: {url}"),
            &json!({ "dashboard": url, "pid": std::process::id() }),
        );
        let patience = Duration::from_millis(config.stop_deadline_ms);
        // On the heap: the futures of all the servers are large.
        let serving = Box::pin(async {
            match answering {
                None => serving.await.map_err(|error| internal(&error)),
                Some(answering) => tokio::try_join!(
                    async { serving.await.map_err(|error| internal(&error)) },
                    async { answering.await.map_err(|error| internal(&error)) }
                )
                .map(drop),
            }
        });
        stopped_in_time(serving, &host.shutdown, patience).await
    }

    async fn health(config: &Config) -> Result<(), String> {
        alive::http(config.dashboard.listen, "/healthz").await
    }
}

/// All consumers as one. Connections are made when they are used: a consumer may start later, and may go and come back.
fn fanout(config: &Config, log: &Logger) -> Result<Fanout, Failure> {
    let endpoint = |address: &String| {
        Ok(Consumer {
            address: address.clone(),
            channel: channel(address)?,
        })
    };
    let endpoints = config.query.iter().map(endpoint);
    let endpoints = endpoints.collect::<Result<Vec<_>, Failure>>()?;
    Ok(Fanout::new(endpoints, config.fanout.clone(), log.clone()))
}

/// Those that are asked what they refused. One that is away is said on the page.
fn producers(config: &Config) -> Result<Vec<Producer>, Failure> {
    let producer = |address: &String| {
        Ok(Producer {
            address: address.clone(),
            channel: channel(address)?,
        })
    };
    config.producers.iter().map(producer).collect()
}

/// Serves the QueryService of all consumers together, where that is wanted.
async fn answering(
    config: &Config,
    fanout: &Fanout,
    shutdown: &CancellationToken,
) -> Result<Option<impl Future<Output = Result<(), log_tracer_fanout::ServeError>>>, Failure> {
    let Some(address) = config.query_listen else {
        return Ok(None);
    };
    let listener = listen::bind("query_listen", address).await?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(Some(fanout.serve(incoming, shutdown.clone())))
}

fn internal(error: &impl ToString) -> Failure {
    Failure::new(Code::Internal, error.to_string())
}

/// Serves until it is told to stop, and from then on for `patience` at most.
async fn stopped_in_time(
    serving: impl Future<Output = Result<(), Failure>>,
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
    result?;
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

#[cfg(test)]
mod tests {
    use log_tracer_runtime::role;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        role::command::<Dashboard>().debug_assert();
    }

    #[test]
    fn every_flag_stands_for_a_setting_that_exists() {
        let known = role::keys::<Dashboard>();
        for flag in Dashboard::FLAGS {
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
