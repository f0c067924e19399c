//! How a log on NATS is configured.

use std::{num::NonZeroU16, path::PathBuf, time::Duration};

use async_nats::ServerAddr;
use log_tracer_transport::Envelope;
use serde::{Deserialize, Serialize};

/// The longest name of a log in bytes; the names of its streams are a little longer.
const NAME_BYTES_MAX: usize = 64;
/// JetStream keeps no more copies.
const REPLICAS_MAX: usize = 5;
/// Bytes of a message beside the envelope: its headers, which are two ids at most.
pub(crate) const MESSAGE_HEADER_BYTES: usize = 512;

/// Where the servers are, how the log lies on them, and what its limits are. Empty texts and paths mean "none".
///
/// In memory it takes `queue_bytes_max` for what is being published, and for each subscription twice
/// `read_ahead_bytes_max`. On each server that holds a copy it takes `retained_bytes_max`. Secrets are named by files, so
/// that a configuration can be shown to anybody; the files are read whenever it connects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The addresses of the servers, as "nats://host:4222", or "tls://host:4222" where TLS is needed. All servers of a
    /// cluster should be named: only these are connected to, in turn. "nats://127.0.0.1:4222" by default.
    pub servers: Vec<String>,
    /// The name of the log, of letters, digits, "-" and "_", 64 at most. "log-tracer" by default. Its streams are
    /// "NAME-p00", "NAME-p01" and so on and "NAME-groups", their subjects "NAME.p00" and so on.
    pub name: String,
    /// The JetStream domain that the log is in; empty by default, for that of the servers themselves.
    pub domain: String,
    /// Partitions, each a stream of its own; 1 by default. Fixed once the log was made.
    pub partitions: NonZeroU16,
    /// Servers that each keep a copy of the log: 1, 3 or 5; 1 by default. From 3 on, an acknowledged envelope survives
    /// the loss of a server.
    pub replicas: usize,
    /// What `sync_interval` of the servers' `jetstream` section says, which no client can read: "always", "periodic" or
    /// "unknown", the default. Only with "always" does the log claim that what it acknowledged survives a loss of power.
    pub sync_interval: SyncInterval,
    /// Bytes that all partitions may take together on each server that holds a copy, in equal shares, as the server
    /// counts them. 8 GiB by default. What happens beyond is said by `when_full`.
    pub retained_bytes_max: u64,
    /// What happens when there is no more room. Refusing by default.
    pub when_full: WhenFull,
    /// Percent of its share that a partition may fill before what every group has committed is forgotten, from 0 to 100;
    /// 75 by default. What is kept below it is there for a reader that starts later.
    pub purge_above_percent: u8,
    /// Milliseconds within which the servers recognise an envelope that is published again, from 100 on; 120,000 by
    /// default. The servers keep about 100 bytes of memory for each envelope of that time.
    pub dedupe_window_ms: u64,
    /// The largest encoded envelope in bytes; 1 MiB by default. What the server's `max_payload` leaves beside 512 bytes
    /// of headers counts when it is less.
    pub envelope_bytes_max: usize,
    /// Bytes of the publishes under way, waiting or sent. One that would go beyond is refused at once as busy, except
    /// that a single one always goes. 64 MiB by default.
    pub queue_bytes_max: usize,
    /// Bytes that are sent and not acknowledged at a time; 16 MiB by default. An envelope that is larger goes alone.
    pub inflight_bytes_max: usize,
    /// Envelopes that are sent and not acknowledged at a time; 512 by default.
    pub inflight_envelopes_max: usize,
    /// Bytes that a subscription asks for ahead of its reader, in equal shares for its partitions, and at least one
    /// largest message for each; 8 MiB by default.
    pub read_ahead_bytes_max: usize,
    /// Envelopes that a subscription asks for ahead of its reader in each partition, up to 4096; 1024 by default.
    pub read_ahead_envelopes_max: usize,
    /// Milliseconds that connecting to one server may take, and that opening may take beyond that; 5,000 by default.
    pub connect_timeout_ms: u64,
    /// Milliseconds until a request that was not answered is made again; 5,000 by default.
    pub request_timeout_ms: u64,
    /// Milliseconds of silence after which a server is asked for a sign of life; after the third without one it counts
    /// as lost. 2,000 by default.
    pub ping_interval_ms: u64,
    /// Milliseconds between two attempts to connect at most; 2,000 by default. They start at 50 and double.
    pub reconnect_delay_max_ms: u64,
    /// Milliseconds between two looks at the state of the streams, for health and usage; 2,000 by default.
    pub look_interval_ms: u64,
    /// Whether to refuse a connection without TLS; off by default. A "tls://" address and a server that asks for TLS get
    /// it in any case.
    pub tls_required: bool,
    /// Whether TLS starts before the server says anything, as servers with `handshake_first` want it; off by default.
    pub tls_first: bool,
    /// A PEM file with the certificates of the authorities that are trusted. Without it those of the system are.
    pub tls_ca_file: PathBuf,
    /// A PEM file with the certificate to show to the server, with `tls_key_file`.
    pub tls_certificate_file: PathBuf,
    /// A PEM file with the key of that certificate.
    pub tls_key_file: PathBuf,
    /// A credentials file as `nsc generate creds` writes it.
    pub credentials_file: PathBuf,
    /// A file with the seed of an nkey.
    pub nkey_seed_file: PathBuf,
    /// A file with a token.
    pub token_file: PathBuf,
    /// A user's name, with `password_file`.
    pub user: String,
    /// A file with the password of `user`.
    pub password_file: PathBuf,
}

/// What happens to a publish when there is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It waits for the groups to commit, and is refused at its deadline.
    Reject,
    /// The oldest envelopes leave, also those that no group has committed.
    DropOldest,
}

/// When the servers make durable what they have acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncInterval {
    /// Nobody has said.
    Unknown,
    /// Some time later: two minutes by default.
    Periodic,
    /// Before the acknowledgement.
    Always,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".into()],
            name: "log-tracer".into(),
            domain: String::new(),
            partitions: NonZeroU16::MIN,
            replicas: 1,
            sync_interval: SyncInterval::Unknown,
            retained_bytes_max: 8 << 30,
            when_full: WhenFull::Reject,
            purge_above_percent: 75,
            dedupe_window_ms: 120_000,
            envelope_bytes_max: 1 << 20,
            queue_bytes_max: 64 << 20,
            inflight_bytes_max: 16 << 20,
            inflight_envelopes_max: 512,
            read_ahead_bytes_max: 8 << 20,
            read_ahead_envelopes_max: 1024,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 5_000,
            ping_interval_ms: 2_000,
            reconnect_delay_max_ms: 2_000,
            look_interval_ms: 2_000,
            tls_required: false,
            tls_first: false,
            tls_ca_file: PathBuf::new(),
            tls_certificate_file: PathBuf::new(),
            tls_key_file: PathBuf::new(),
            credentials_file: PathBuf::new(),
            nkey_seed_file: PathBuf::new(),
            token_file: PathBuf::new(),
            user: String::new(),
            password_file: PathBuf::new(),
        }
    }
}

impl Config {
    /// Checks what the types alone do not say.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and what was expected.
    pub fn validate(&self) -> Result<(), String> {
        self.validate_addresses()?;
        self.validate_sizes()?;
        self.validate_times()?;
        self.validate_credentials()
    }

    /// Bytes that the stream of a partition may take.
    pub(crate) fn partition_bytes_max(&self) -> u64 {
        self.retained_bytes_max / u64::from(self.partitions.get())
    }

    /// Bytes of a partition from which on what was committed is forgotten.
    pub(crate) fn purge_above_bytes(&self) -> u64 {
        (self.partition_bytes_max() / 100).saturating_mul(u64::from(self.purge_above_percent))
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    pub(crate) fn look_interval(&self) -> Duration {
        Duration::from_millis(self.look_interval_ms)
    }

    pub(crate) fn dedupe_window(&self) -> Duration {
        Duration::from_millis(self.dedupe_window_ms)
    }

    fn validate_addresses(&self) -> Result<(), String> {
        if self.servers.is_empty() {
            return Err("servers is empty, expected at least one address".into());
        }
        for server in &self.servers {
            // The address itself is not repeated: it may hold a password.
            let address = server
                .parse::<ServerAddr>()
                .map_err(|error| format!("servers has an address that is none: {error}"))?;
            if address.has_user_pass() {
                return Err(format!(
                    "servers has a user or a password in the address of {}, expected them in user and password_file, or in token_file",
                    address.host()
                ));
            }
            if !matches!(address.scheme(), "nats" | "tls") {
                return Err(format!(
                    "servers has an address that starts with {}://, expected nats:// or tls://",
                    address.scheme()
                ));
            }
        }
        let plain = |text: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            text.bytes().all(allowed) && text.len() <= NAME_BYTES_MAX
        };
        for (key, text) in [("name", &self.name), ("domain", &self.domain)] {
            if !plain(text) {
                return Err(format!(
                    "{key} is {text:?}, expected letters, digits, - and _, {NAME_BYTES_MAX} at most"
                ));
            }
        }
        match self.name.is_empty() {
            true => Err("name is empty, expected the name of the log".into()),
            false => Ok(()),
        }
    }

    fn validate_sizes(&self) -> Result<(), String> {
        if self.replicas.is_multiple_of(2) || self.replicas > REPLICAS_MAX {
            return Err(format!("replicas is {}, expected 1, 3 or 5", self.replicas));
        }
        if self.envelope_bytes_max < Envelope::HEADER_BYTES {
            return Err(format!(
                "envelope_bytes_max is {}, expected at least the {} bytes of an empty envelope",
                self.envelope_bytes_max,
                Envelope::HEADER_BYTES
            ));
        }
        let needed = (self.envelope_bytes_max + MESSAGE_HEADER_BYTES) as u64;
        let share = self.partition_bytes_max();
        if share < needed || share > i64::MAX as u64 {
            return Err(format!(
                "retained_bytes_max is {}, expected at least {}: one envelope of envelope_bytes_max for each partition",
                self.retained_bytes_max,
                needed.saturating_mul(u64::from(self.partitions.get()))
            ));
        }
        if self.purge_above_percent > 100 {
            return Err(format!(
                "purge_above_percent is {}, expected 0 to 100",
                self.purge_above_percent
            ));
        }
        for (key, value, max) in [
            (
                "inflight_bytes_max",
                self.inflight_bytes_max,
                u32::MAX as usize,
            ),
            ("inflight_envelopes_max", self.inflight_envelopes_max, 8192),
            (
                "read_ahead_envelopes_max",
                self.read_ahead_envelopes_max,
                4096,
            ),
        ] {
            if value == 0 || value > max {
                return Err(format!("{key} is {value}, expected 1 to {max}"));
            }
        }
        Ok(())
    }

    fn validate_times(&self) -> Result<(), String> {
        for (key, value, least) in [
            ("dedupe_window_ms", self.dedupe_window_ms, 100),
            ("connect_timeout_ms", self.connect_timeout_ms, 1),
            ("request_timeout_ms", self.request_timeout_ms, 1),
            ("ping_interval_ms", self.ping_interval_ms, 100),
            ("reconnect_delay_max_ms", self.reconnect_delay_max_ms, 1),
            ("look_interval_ms", self.look_interval_ms, 10),
        ] {
            // A day is longer than anybody waits, and no sum of such times overflows.
            if value < least || value > 86_400_000 {
                return Err(format!("{key} is {value}, expected {least} to 86400000"));
            }
        }
        Ok(())
    }

    fn validate_credentials(&self) -> Result<(), String> {
        let empty = |path: &PathBuf| path.as_os_str().is_empty();
        if empty(&self.tls_certificate_file) != empty(&self.tls_key_file) {
            return Err(
                "tls_certificate_file and tls_key_file belong together, and one of them is empty"
                    .into(),
            );
        }
        if self.user.is_empty() != empty(&self.password_file) {
            return Err("user and password_file belong together, and one of them is empty".into());
        }
        let ways = [
            !empty(&self.credentials_file),
            !empty(&self.nkey_seed_file),
            !empty(&self.token_file),
            !self.user.is_empty(),
        ];
        match ways.iter().filter(|way| **way).count() {
            0 | 1 => Ok(()),
            _ => Err("credentials_file, nkey_seed_file, token_file and user are four ways to log in, expected one of them at most".into()),
        }
    }
}
