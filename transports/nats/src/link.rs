//! The connection to the servers: which one there is, how it ends, and how the next one is made.
//!
//! A connection of the client library lives once here. The library would connect again on its own and send then what it
//! still had queued; whoever waits for an answer would hear nothing of the loss until a timeout. So a connection that was
//! lost is thrown away as a whole, everybody who waits on it is told at once, and the next one is made from the
//! configuration: from the next address, and with files of secrets as they are now.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event, client::RequestErrorKind, jetstream::response::Response, rustls,
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{Config, config::MESSAGE_HEADER_BYTES, error::Error};

/// The oldest servers that keep what a stream says of itself, and that sync as often as they are told.
const SERVER_VERSION_MIN: (i64, i64, i64) = (2, 10, 0);
const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(50);
/// Messages that may wait for a subscription of the library: more than it ever asks for, with those that are no
/// envelopes.
const SUBSCRIPTION_MESSAGES_MAX: usize = 8192;
/// Commands that may wait for the library's own task.
const COMMANDS_MAX: usize = 4096;

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) client: Client,
    /// Cancelled once the connection is lost.
    pub(crate) lost: CancellationToken,
    /// Closed once the library's tasks have ended.
    ended: watch::Receiver<()>,
}

impl Life {
    /// Asks a server and understands its answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        doing: &str,
        subject: String,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|source| Error::Nonsense {
            doing: doing.to_owned(),
            source: Arc::new(source),
        })?;
        let asked = self.client.request(subject, Bytes::from(body));
        let answer = tokio::select! {
            () = self.lost.cancelled() => return Err(Error::Lost { doing: doing.to_owned() }),
            answer = asked => answer.map_err(|source| Error::unanswered(doing, source))?,
        };
        understand(doing, &answer.payload)
    }

    /// The largest envelope that the server takes, in bytes.
    pub(crate) fn envelope_bytes_max(&self) -> usize {
        self.client
            .max_payload()
            .saturating_sub(MESSAGE_HEADER_BYTES)
    }

    /// Tells the library's task that nobody needs it any more, also when it is connecting again; a reader that was not
    /// asked since would otherwise keep it.
    async fn abandon(&self) {
        let told = timeout(Duration::from_millis(10), self.client.drain()).await;
        if !matches!(told, Ok(Ok(()))) {
            log::debug!("a connection to NATS that was lost takes no more commands");
        }
    }

    /// Ends the connection and waits until nothing is left of it.
    pub(crate) async fn end(self) {
        let Self {
            client,
            lost,
            mut ended,
        } = self;
        // The library's task may be busy with connecting again and take no command; it then gives up by itself.
        let drained = timeout(Duration::from_secs(1), client.drain()).await;
        if !matches!(drained, Ok(Ok(()))) {
            log::debug!("a connection to NATS ends while it is not connected");
        }
        lost.cancel();
        drop(client);
        while ended.changed().await.is_ok() {}
    }
}

/// The answer of JetStream to a request or a publish.
pub(crate) fn understand<T: DeserializeOwned>(doing: &str, payload: &[u8]) -> Result<T, Error> {
    match serde_json::from_slice(payload) {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(Error::Refused {
            doing: doing.to_owned(),
            source: Arc::new(error),
        }),
        Err(source) => Err(Error::Nonsense {
            doing: doing.to_owned(),
            source: Arc::new(source),
        }),
    }
}

/// The connection that there is at the moment.
#[derive(Debug)]
pub(crate) struct Link {
    current: watch::Sender<Option<Life>>,
    /// Why there is none.
    trouble: Mutex<String>,
}

impl Link {
    pub(crate) fn new(life: Life) -> Self {
        Self {
            current: watch::Sender::new(Some(life)),
            trouble: Mutex::new(String::new()),
        }
    }

    /// A connection, waiting for one until the deadline.
    pub(crate) async fn life(&self, deadline: Instant) -> Result<Life, Error> {
        let mut current = self.current.subscribe();
        let usable =
            |life: &Option<Life>| life.as_ref().is_some_and(|life| !life.lost.is_cancelled());
        let found = timeout_at(deadline, current.wait_for(usable)).await;
        match found {
            Ok(Ok(life)) => life.clone().ok_or(Error::Closed),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::NotConnected(self.trouble().clone())),
        }
    }

    /// Why nothing is connected, or `None` while something is.
    pub(crate) fn why_not_connected(&self) -> Option<String> {
        match &*self.current.borrow() {
            Some(life) if !life.lost.is_cancelled() => None,
            _ => Some(self.trouble().clone()),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection until `closed`, and then ends it.
pub(crate) async fn keep_connected(
    link: &Link,
    config: &Config,
    mut life: Life,
    closed: &CancellationToken,
) {
    loop {
        tokio::select! {
            () = closed.cancelled() => break,
            () = life.lost.cancelled() => {}
        }
        *link.trouble() = "the connection was lost".into();
        link.current.send_replace(None);
        log::warn!("log {}: the connection to NATS was lost", config.name);
        life.abandon().await;
        let next = tokio::select! {
            () = closed.cancelled() => break,
            next = connect_again(link, config) => next,
        };
        // The old one is dropped here, and its tasks with it.
        life = next;
        log::info!("log {}: connected to NATS again", config.name);
        link.current.send_replace(Some(life.clone()));
    }
    link.current.send_replace(None);
    life.end().await;
}

async fn connect_again(link: &Link, config: &Config) -> Life {
    let mut delay = RECONNECT_DELAY_MIN;
    loop {
        match connect(config).await {
            Ok(life) => return life,
            Err(error) => *link.trouble() = error.to_string(),
        }
        // Not all at the same time, after a server went away that many were connected to.
        sleep(delay.mul_f64(rand::random_range(0.5..1.0))).await;
        delay = (delay * 2).min(Duration::from_millis(config.reconnect_delay_max_ms));
    }
}

/// Connects to the first server that answers, beginning with any of them.
pub(crate) async fn connect(config: &Config) -> Result<Life, Error> {
    let first = rand::random_range(0..config.servers.len().max(1));
    let mut trouble = Error::Config("servers is empty".into());
    let in_turn = config.servers.iter().cycle().skip(first);
    for server in in_turn.take(config.servers.len()) {
        match connect_to(server, config).await {
            Ok(life) => return Ok(life),
            // A file that cannot be read is the same for every server.
            Err(error @ (Error::File { .. } | Error::Config(_))) => return Err(error),
            Err(error) => trouble = error,
        }
    }
    Err(trouble)
}

async fn connect_to(server: &str, config: &Config) -> Result<Life, Error> {
    let lost = CancellationToken::new();
    let (alive, ended) = watch::channel(());
    let options = options(config, server).await?.event_callback({
        let lost = lost.clone();
        move |event| {
            // It lives as long as the task that calls this.
            let _ = &alive;
            match event {
                Event::Disconnected | Event::Closed => lost.cancel(),
                // Such as a subject that the user may not use; whoever waits for an answer hears only a timeout.
                Event::ServerError(error) => log::warn!("NATS: the server says: {error}"),
                other => log::debug!("NATS: {other}"),
            }
            std::future::ready(())
        }
    });
    let client = options
        .connect(server)
        .await
        .map_err(|source| Error::Connect {
            server: server.to_owned(),
            source: Arc::new(source),
        })?;
    let life = Life {
        client,
        lost,
        ended,
    };
    let (major, minor, patch) = SERVER_VERSION_MIN;
    if !life.client.is_server_compatible(major, minor, patch) {
        let version = life.client.server_info().version;
        life.end().await;
        return Err(Error::Unusable(format!(
            "the server {server} has version {version}, expected {major}.{minor} or later"
        )));
    }
    Ok(life)
}

async fn options(config: &Config, server: &str) -> Result<ConnectOptions, Error> {
    let mut options = ConnectOptions::new()
        .name(format!("log-tracer {}", config.name))
        .connection_timeout(config.connect_timeout())
        .request_timeout(Some(config.request_timeout()))
        .ping_interval(config.ping_interval())
        .subscription_capacity(SUBSCRIPTION_MESSAGES_MAX)
        .client_capacity(COMMANDS_MAX)
        .read_buffer_capacity(u16::MAX)
        // The library cannot be told never to try again; once is the least, and what it finds is not used.
        .max_reconnects(1)
        .ignore_discovered_servers()
        .retain_servers_order()
        .reconnect_delay_callback(|_| Duration::ZERO);
    let path = |path: &Path| (!path.as_os_str().is_empty()).then(|| path.to_owned());
    if let Some(file) = path(&config.credentials_file) {
        let credentials = read(&file).await?;
        options = options
            .credentials(&credentials)
            .map_err(|source| Error::File {
                path: file,
                source: Arc::new(source),
            })?;
    }
    if let Some(file) = path(&config.nkey_seed_file) {
        options = options.nkey(read(&file).await?.trim().to_owned());
    }
    if let Some(file) = path(&config.token_file) {
        options = options.token(read(&file).await?.trim().to_owned());
    }
    if let Some(file) = path(&config.password_file) {
        let password = read(&file).await?.trim_end_matches(['\r', '\n']).to_owned();
        options = options.user_and_password(config.user.clone(), password);
    }
    let files = [
        path(&config.tls_ca_file),
        path(&config.tls_certificate_file),
    ];
    let uses_tls = config.tls_required
        || config.tls_first
        || server.starts_with("tls:")
        || files.iter().any(Option::is_some);
    if !uses_tls {
        return Ok(options);
    }
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(Error::Unusable(
            "no provider of TLS was installed in this process: it has to be the first thing that a program does".into(),
        ));
    }
    let [authorities, certificate] = files;
    if let Some(file) = authorities {
        read(&file).await?;
        options = options.add_root_certificates(file);
    }
    if let Some(file) = certificate {
        read(&file).await?;
        read(&config.tls_key_file).await?;
        options = options.add_client_certificate(file, config.tls_key_file.clone());
    }
    if config.tls_first {
        options = options.tls_first();
    }
    Ok(options.require_tls(true))
}

/// A file of the configuration, named when it cannot be read.
async fn read(path: &Path) -> Result<String, Error> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|source| Error::File {
            path: path.to_owned(),
            source: Arc::new(source),
        })
}

/// Whether a request surely did not reach anybody.
pub(crate) fn reached_nobody(error: &async_nats::RequestError) -> bool {
    matches!(
        error.kind(),
        RequestErrorKind::NoResponders
            | RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded
    )
}
