//! Where a cluster is, and how its topic is used.

use std::{
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use log_tracer_transport::Envelope;
use serde::{Deserialize, Serialize};

use crate::record;

/// No SPU takes a request, and so no batch, beyond this (`STORAGE_MAX_REQUEST_SIZE` of Fluvio 0.18).
const SPU_REQUEST_BYTES_MAX: usize = 32 << 20;
/// What a request says beside its records: the names of the client and of the topic.
const REQUEST_OVERHEAD_BYTES: usize = 4 << 10;
/// The longest name of a topic that leaves room for that of the ledger.
const TOPIC_BYTES_MAX: usize = 56;
/// The shortest retention that Fluvio takes.
const RETENTION_SECONDS_MIN: u32 = 10;
/// The smallest segment that Fluvio takes.
const SEGMENT_BYTES_MIN: u32 = 1024;

/// How a Fluvio cluster is reached, which topic carries the envelopes, and the limits.
///
/// The memory of a transport is at most `queue_bytes_max`, for each partition `requests_in_flight_max` times
/// `request_bytes_max`, and for each partition that is read three times `read_bytes_max`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The public address of the cluster's controller (SC). "127.0.0.1:9003" by default. The storage units (SPU) are
    /// found through it, at the public addresses that they are registered with.
    pub address: String,
    /// The topic: lower case letters, digits and hyphens, 56 bytes at most. "log-tracer" by default. A second topic of
    /// that name and `-ledger` keeps the id of the log and the cursors of groups.
    pub topic: String,
    /// Whether missing topics are created. True by default; without it, opening says the commands.
    pub create_topic: bool,
    /// Partitions, 4 by default. Fixed once the topic was made.
    pub partitions: NonZeroU16,
    /// Copies of every partition, each on another SPU; 1 by default. From 2 on an envelope is acked, and can be read,
    /// only when every copy has it: it survives the loss of a machine, and while one of the SPUs is down, its partitions
    /// acknowledge nothing.
    pub replication: NonZeroU16,
    /// Seconds that a segment is kept after its last write; 604,800 (a week) by default, at least 10. Fluvio's retention
    /// does not wait for those who read.
    pub retention_seconds: u32,
    /// Bytes that a partition takes on the disk of an SPU before its oldest segments leave, whoever still wants them.
    /// 8 GiB by default, at least `segment_bytes`. Fluvio looks every ten seconds, so that a partition may be larger
    /// in between.
    pub partition_bytes_max: u64,
    /// The size of a segment, in which a partition leaves piece by piece. 256 MiB by default.
    pub segment_bytes: NonZeroU32,
    /// The largest encoded envelope in bytes. 4 MiB by default; less than a segment and than the 32 MiB of an SPU's
    /// requests.
    pub envelope_bytes_max: usize,
    /// Bytes of the envelopes that are sent to a partition in one request; a larger envelope goes alone. 1 MiB by default.
    pub request_bytes_max: usize,
    /// Envelopes that are sent to a partition in one request. 4096 by default.
    pub request_envelopes_max: usize,
    /// Requests that are under way to a partition at a time. 2 by default: while the SPU writes one, it receives the next.
    pub requests_in_flight_max: usize,
    /// Bytes of the publishes that may wait at a time. The next one waits for room until its deadline, and is then
    /// refused as busy. 64 MiB by default.
    pub queue_bytes_max: usize,
    /// Bytes that a reader of a partition fetches at a time. 16 MiB by default; at least four times
    /// `envelope_bytes_max`, since what is cut off at the end of a fetch is fetched again.
    pub read_bytes_max: usize,
    /// Milliseconds after which a request without an answer is given up, and its connection with it. 5,000 by default.
    pub request_timeout_ms: u64,
    /// Milliseconds after which a reader that nothing came to asks whether there is anything, and so notices a
    /// connection that is dead. 2,000 by default.
    pub idle_probe_ms: u64,
    /// Milliseconds that opening may take, with everything that is created for it. 30,000 by default.
    pub open_timeout_ms: u64,
    /// TLS, to the controller and to the SPUs. None by default.
    pub tls: Option<Tls>,
}

/// The certificates of a client, all in PEM files. Fluvio knows clients by their certificate, so that all three are
/// needed. The certificate of an SPU must be valid for its name in the cluster below `domain`, as in
/// `custom-spu-5001.fluvio.example`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The name that the controller's certificate is for.
    pub domain: String,
    /// Certificates that those of the cluster are signed by.
    pub ca_certificate: PathBuf,
    /// The client's certificate.
    pub certificate: PathBuf,
    /// The client's key.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:9003".into(),
            topic: "log-tracer".into(),
            create_topic: true,
            partitions: NonZeroU16::MIN.saturating_add(3),
            replication: NonZeroU16::MIN,
            retention_seconds: 7 * 24 * 3600,
            partition_bytes_max: 8 << 30,
            segment_bytes: NonZeroU32::MIN.saturating_add((256 << 20) - 1),
            envelope_bytes_max: 4 << 20,
            request_bytes_max: 1 << 20,
            request_envelopes_max: 4096,
            requests_in_flight_max: 2,
            queue_bytes_max: 64 << 20,
            read_bytes_max: 16 << 20,
            request_timeout_ms: 5_000,
            idle_probe_ms: 2_000,
            open_timeout_ms: 30_000,
            tls: None,
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
        if !self.address.contains(':') {
            return Err(format!(
                "address is {:?}, expected the host and port of the controller, as in \"127.0.0.1:9003\"",
                self.address
            ));
        }
        self.validate_topic()?;
        if self.retention_seconds < RETENTION_SECONDS_MIN {
            return Err(format!(
                "retention_seconds is {}, expected at least {RETENTION_SECONDS_MIN}",
                self.retention_seconds
            ));
        }
        let segment = self.segment_bytes.get();
        if segment < SEGMENT_BYTES_MIN {
            return Err(format!(
                "segment_bytes is {segment}, expected at least {SEGMENT_BYTES_MIN}"
            ));
        }
        if self.partition_bytes_max < u64::from(segment) {
            return Err(format!(
                "partition_bytes_max is {}, expected at least segment_bytes, which is {segment}",
                self.partition_bytes_max
            ));
        }
        self.validate_envelopes()?;
        for (key, value) in [
            ("request_bytes_max", self.request_bytes_max as u64),
            ("request_envelopes_max", self.request_envelopes_max as u64),
            ("requests_in_flight_max", self.requests_in_flight_max as u64),
            ("queue_bytes_max", self.queue_bytes_max as u64),
            ("request_timeout_ms", self.request_timeout_ms),
            ("idle_probe_ms", self.idle_probe_ms),
            ("open_timeout_ms", self.open_timeout_ms),
        ] {
            if value == 0 {
                return Err(format!("{key} is 0, expected at least 1"));
            }
        }
        Ok(())
    }

    fn validate_topic(&self) -> Result<(), String> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let topic = self.topic.as_str();
        if topic.is_empty()
            || topic.len() > TOPIC_BYTES_MAX
            || !topic.bytes().all(allowed)
            || topic.starts_with('-')
            || topic.ends_with('-')
        {
            return Err(format!(
                "topic is {topic:?}, expected 1 to {TOPIC_BYTES_MAX} lower case letters, digits and hyphens, with a letter or digit at both ends"
            ));
        }
        Ok(())
    }

    fn validate_envelopes(&self) -> Result<(), String> {
        let envelope = self.envelope_bytes_max;
        if envelope < Envelope::HEADER_BYTES {
            return Err(format!(
                "envelope_bytes_max is {envelope}, expected at least the {} bytes of an empty envelope",
                Envelope::HEADER_BYTES
            ));
        }
        let most = self.request_limit();
        let room = most.saturating_sub(record::overhead_bytes(1));
        if envelope > room {
            return Err(format!(
                "envelope_bytes_max is {envelope}, expected at most {room}, so that it fits a segment of segment_bytes and a request to an SPU"
            ));
        }
        if self.read_bytes_max < envelope.saturating_mul(4) {
            return Err(format!(
                "read_bytes_max is {}, expected at least {}: four times envelope_bytes_max",
                self.read_bytes_max,
                envelope.saturating_mul(4)
            ));
        }
        if i32::try_from(self.read_bytes_max).is_err() {
            return Err(format!(
                "read_bytes_max is {}, expected at most {}",
                self.read_bytes_max,
                i32::MAX
            ));
        }
        Ok(())
    }

    /// Bytes of a batch that a segment and an SPU take at most.
    pub(crate) fn request_limit(&self) -> usize {
        let segment = usize::try_from(self.segment_bytes.get()).unwrap_or(usize::MAX);
        segment.min(SPU_REQUEST_BYTES_MAX - REQUEST_OVERHEAD_BYTES)
    }

    /// The name of the topic beside the topic.
    pub(crate) fn ledger_topic(&self) -> String {
        format!("{}-ledger", self.topic)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) fn idle_probe(&self) -> Duration {
        Duration::from_millis(self.idle_probe_ms)
    }

    pub(crate) fn open_timeout(&self) -> Duration {
        Duration::from_millis(self.open_timeout_ms)
    }
}
