//! The life of the process: bind, open the log, consume and answer, open the log anew when it has failed, stop.
//!
//! The address is bound first. Until the log is open, questions are answered with UNAVAILABLE and why, and health is
//! NOT_SERVING. A log that fails for good later is opened anew beside the consumer, which goes on answering with what it
//! has; only then does another consumer take over its store.

use std::{io, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use log_tracer_consumer::{Consumer as Running, Health, StartError, StoreError, serve_away};
use log_tracer_runtime::{
    alive,
    config::Loaded,
    exit::Code,
    failure::Failure,
    listen, logging,
    role::{Flag, Host, Role},
};
use log_tracer_transport::{OpenError, ReadError, Transport};
use log_tracer_transports::open_patiently;
use serde_json::json;
use slog::{Logger, info, warn};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, QUERY_LISTEN};

/// How often the consumer is looked at for whether it has failed.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two openings of a log that cannot be read.
const REOPEN_AFTER: Duration = Duration::from_secs(2);

/// The consumer as a process.
pub(crate) struct Consumer;

impl Role for Consumer {
    type Config = Config;

    const NAME: &'static str = "log-tracer-consumer";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str =
        "Reads partitions of a log into a store, and answers questions about what is in it";
    const EXAMPLES: &'static str = "\
Examples:
  log-tracer-consumer --config etc/consumer.toml
  log-tracer-consumer --name c1 --partitions 0,1 --store /var/lib/log-tracer/c1
  log-tracer-consumer --name c1-replica --partitions 0,1 --store /var/lib/log-tracer/c1r --query-listen 127.0.0.1:4329
  log-tracer-consumer healthcheck

Consumers with the same partitions are replicas of each other; each needs a name and a store of its own.
Every setting can also be given in the environment: LOG_TRACER__CONSUMER__PARTITIONS=0,1";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "name",
            value: "NAME",
            key: "consumer.name",
            help: "Which consumer this is; no two have the same name",
        },
        Flag {
            name: "partitions",
            value: "NUMBERS",
            key: "consumer.partitions",
            help: "The partitions that it reads; all when none is named",
        },
        Flag {
            name: "store",
            value: "DIRECTORY",
            key: "consumer.store_directory",
            help: "Where it keeps what it has read",
        },
        Flag {
            name: "query-listen",
            value: "ADDRESS",
            key: "consumer.query_listen",
            help: "QueryService over gRPC",
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
        let address = address(&loaded.config);
        let listener = listen::bind("consumer.query_listen", address).await?;
        let bound = listener
            .local_addr()
            .map_err(|error| Failure::transient("the listening socket is unusable", &error))?;
        let query = format!("http://{}", alive::reachable(bound));
        let name = &loaded.config.consumer.name;
        host.announce(
            &format!("log-tracer-consumer {name} listens: {query}"),
            &json!({ "query_grpc": query, "name": name, "pid": std::process::id() }),
        );
        let process = Process {
            config: &loaded.config,
            listener: &listener,
            log: &host.log,
            shutdown: &host.shutdown,
        };
        Box::pin(process.run()).await
    }

    async fn health(config: &Config) -> Result<(), String> {
        alive::grpc(address(config)).await
    }
}

fn address(config: &Config) -> std::net::SocketAddr {
    config.consumer.query_listen.unwrap_or(QUERY_LISTEN)
}

struct Process<'a> {
    config: &'a Config,
    listener: &'a TcpListener,
    log: &'a Logger,
    shutdown: &'a CancellationToken,
}

/// Why a consumer ends.
enum End {
    Asked,
    /// It has failed, and this is a log that was opened since.
    Replaced(Arc<dyn Transport>),
}

impl Process<'_> {
    async fn run(&self) -> Result<(), Failure> {
        let Some(mut transport) = self.first_transport().await? else {
            return Ok(());
        };
        loop {
            let Some((consumer, opened)) = self.start(transport).await? else {
                return Ok(());
            };
            let end = self.consume(&consumer, opened.as_ref()).await;
            let stopped = self.stop(&consumer, opened.as_ref()).await;
            match end? {
                End::Asked => return stopped,
                End::Replaced(next) => transport = next,
            }
        }
    }

    /// Answers that it waits, until the log is open; `None` when it is to stop before.
    async fn first_transport(&self) -> Result<Option<Arc<dyn Transport>>, Failure> {
        self.away("it was not opened yet", self.open()).await
    }

    /// Does something while every question is answered with why it cannot be answered.
    async fn away<T>(
        &self,
        why: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Option<T>, Failure> {
        let incoming = incoming(self.listener);
        // On the heap, here and below: the futures of servers and of engines' clients are large.
        let serving = Box::pin(serve_away(why, incoming, CancellationToken::new()));
        tokio::select! {
            done = work => done.map(Some),
            () = self.shutdown.cancelled() => Ok(None),
            served = serving => Err(served.map_or_else(
                |error| Failure::new(Code::Internal, error.to_string()),
                |()| ended_early(),
            )),
        }
    }

    async fn open(&self) -> Result<Arc<dyn Transport>, Failure> {
        let transport = Box::pin(open_patiently(&self.config.transport, self.log)).await;
        transport.map_err(|error| refused(&error))
    }

    /// Starts a consumer, on a log that is opened anew for as long as it cannot be read; `None` when it is to stop before.
    async fn start(
        &self,
        mut transport: Arc<dyn Transport>,
    ) -> Result<Option<(Running, Arc<dyn Transport>)>, Failure> {
        loop {
            let config = self.config.consumer.clone();
            let started = Running::start(config, Arc::clone(&transport), self.log.clone());
            let why = match started.await {
                Ok(consumer) => {
                    info!(self.log, "consuming"; "name" => &self.config.consumer.name,
                        "transport" => transport.capabilities().kind, "log" => %transport.log_id());
                    return Ok(Some((consumer, transport)));
                }
                Err(StartError::Read(error @ (ReadError::Failed(_) | ReadError::Closed))) => {
                    error.to_string()
                }
                Err(error) => return Err(not_started(&error)),
            };
            warn!(self.log, "the log cannot be read and is opened anew"; "error" => &why);
            self.close(transport.as_ref(), Instant::now() + REOPEN_AFTER)
                .await;
            let again = async {
                sleep(REOPEN_AFTER).await;
                self.open().await
            };
            match self.away(&why, again).await? {
                Some(opened) => transport = opened,
                None => return Ok(None),
            }
        }
    }

    /// Answers questions until it is to stop, or until the consumer has failed and the log is open anew.
    async fn consume(&self, consumer: &Running, opened: &dyn Transport) -> Result<End, Failure> {
        let stop = CancellationToken::new();
        let serving = consumer.serve(incoming(self.listener), stop.clone());
        tokio::pin!(serving);
        let end = tokio::select! {
            served = &mut serving => {
                return Err(served.map_or_else(
                    |error| Failure::new(Code::Internal, error.to_string()),
                    |()| ended_early(),
                ));
            }
            () = self.shutdown.cancelled() => Ok(End::Asked),
            replaced = self.replacement(consumer, opened) => replaced.map(End::Replaced),
        };
        stop.cancel();
        // It limits itself to its own time for draining.
        if let Err(error) = serving.await {
            warn!(self.log, "serving did not end in order"; "error" => %error);
        }
        end
    }

    /// Waits until the consumer has failed, and then until the log is open anew.
    async fn replacement(
        &self,
        consumer: &Running,
        opened: &dyn Transport,
    ) -> Result<Arc<dyn Transport>, Failure> {
        let why = failed(consumer).await;
        warn!(self.log, "the log is not read any more and is opened anew; what was read can still be found"; "error" => why);
        self.close(opened, Instant::now() + REOPEN_AFTER).await;
        sleep(REOPEN_AFTER).await;
        self.open().await
    }

    async fn close(&self, transport: &dyn Transport, deadline: Instant) {
        if let Err(error) = transport.close(deadline).await {
            warn!(self.log, "the log was not closed in order"; "error" => %error);
        }
    }

    /// Stops the consumer, then the log.
    async fn stop(&self, consumer: &Running, opened: &dyn Transport) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_millis(self.config.stop_deadline_ms);
        let consumer = consumer.stop(deadline).await;
        info!(self.log, "stopped"; "part" => "consumer");
        let transport = opened.close(deadline).await;
        info!(self.log, "stopped"; "part" => "transport");
        consumer.map_err(|error| Failure::transient("consumer", &error))?;
        transport.map_err(|error| Failure::transient("transport", &error))
    }
}

/// Returns when the consumer reads no partition any more.
async fn failed(consumer: &Running) -> String {
    loop {
        sleep(LOOK_INTERVAL).await;
        if let Health::Failed(why) = consumer.health() {
            return why;
        }
    }
}

/// The connections of a listener that is lent.
fn incoming(listener: &TcpListener) -> impl Stream<Item = io::Result<TcpStream>> + Send {
    stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.and_then(|(connection, _)| {
            // Without it a small answer waits for the client's delayed acknowledgement, some 40 ms.
            connection.set_nodelay(true)?;
            Ok(connection)
        });
        Some((accepted, listener))
    })
}

fn ended_early() -> Failure {
    Failure::new(Code::Internal, "serving ended although nobody asked it to")
}

fn not_started(error: &StartError) -> Failure {
    let code = match error {
        StartError::Config(_)
        | StartError::UnknownPartition { .. }
        | StartError::OtherLog { .. }
        | StartError::LogIsBehind { .. } => Code::Config,
        StartError::Store(store) => match store.as_ref() {
            StoreError::Locked { .. } => Code::Transient,
            StoreError::Config(_) => Code::Config,
            _ => Code::Internal,
        },
        _ => Code::Internal,
    };
    Failure::new(code, format!("consumer: {error}"))
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
        role::command::<Consumer>().debug_assert();
    }

    #[test]
    fn every_flag_stands_for_a_setting_that_exists() {
        let known = role::keys::<Consumer>();
        for flag in Consumer::FLAGS {
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
