//! What the producer can be told, with its defaults.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Settings of the producer. Every limit is in the unit that ends its name; `MiB` below is 1,048,576 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where OTLP over gRPC, LogService, health and reflection listen. Default `127.0.0.1:4317`.
    pub grpc_listen: SocketAddr,
    /// Where OTLP over HTTP listens. Default `127.0.0.1:4318`.
    pub http_listen: SocketAddr,
    /// The largest request, on the wire and again after decompression. Default 64 MiB, which is what OTLP recommends.
    pub request_bytes_max: usize,
    /// The largest response before compression. Default 4 MiB, which is what OTLP recommends.
    pub response_bytes_max: usize,
    /// Memory for all requests under way together: as received, decompressed, decoded and as envelopes. A request that
    /// finds no room before its deadline is refused and may be retried. At least twice `request_bytes_max`; a request
    /// whose decoded form cannot fit at all is refused as too large. Default 512 MiB.
    pub inflight_bytes_max: usize,
    /// How long a request waits for memory, and then again for the transport, in milliseconds; a shorter `grpc-timeout`
    /// of the client counts instead. Default 4,000: two of them stay under the 10 s after which exporters give up.
    pub publish_deadline_ms: u64,
    /// How long the body of a request may take to arrive, in milliseconds. Default 30,000.
    pub receive_deadline_ms: u64,
    /// The delay that a refused client is asked to keep before it tries again, in milliseconds; HTTP rounds it up to
    /// seconds. Default 1,000.
    pub retry_delay_ms: u64,
    /// Connections of one port at a time; more are closed at once. Default 1,024.
    pub connections_max: usize,
    /// Requests at a time on one HTTP/2 connection. Default 128.
    pub connection_streams_max: u32,
    /// Bytes that one HTTP/2 connection may send ahead of what was read, from 65,535 on. Default 256 KiB: with
    /// requests of 512 records on one machine, 64 KiB to 4 MiB differ neither in CPU nor in latency by more than noise.
    pub connection_window_bytes: u32,
    /// How long a new connection may take to its first complete request head, in milliseconds. Default 10,000.
    pub header_deadline_ms: u64,
    /// How long an HTTP/1 connection may rest between two requests, in milliseconds. Default 120,000: longer than the
    /// pauses of exporters.
    pub idle_deadline_ms: u64,
    /// How long requests under way may take to finish when the producer stops, in milliseconds. Default 10,000.
    pub drain_deadline_ms: u64,
    /// Requests of one LogService stream that are stored at the same time; the next one is read after a reply.
    /// Default 16.
    pub stream_requests_max: usize,
    /// Refusals that are remembered, the newest, so that the status of the producer can show them; about 1 KiB each. 0
    /// remembers none. Default 50.
    pub refusals_kept_max: usize,
    /// Which pages' scripts may send OTLP over HTTP: origins such as `https://shop.example`, with `:*` for any port, or
    /// `*` alone for all. A browser's request from another origin is refused. Default: any port of this machine's own
    /// names.
    pub cors_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grpc_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4317)),
            http_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4318)),
            request_bytes_max: 64 << 20,
            response_bytes_max: 4 << 20,
            inflight_bytes_max: 512 << 20,
            publish_deadline_ms: 4_000,
            receive_deadline_ms: 30_000,
            retry_delay_ms: 1_000,
            connections_max: 1_024,
            connection_streams_max: 128,
            connection_window_bytes: 256 << 10,
            header_deadline_ms: 10_000,
            idle_deadline_ms: 120_000,
            drain_deadline_ms: 10_000,
            stream_requests_max: 16,
            refusals_kept_max: 50,
            cors_origins: ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]
                .map(String::from)
                .to_vec(),
        }
    }
}

impl Config {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Names the first key whose value cannot work, and says why.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, zero) in [
            ("request_bytes_max", self.request_bytes_max == 0),
            ("response_bytes_max", self.response_bytes_max == 0),
            ("publish_deadline_ms", self.publish_deadline_ms == 0),
            ("receive_deadline_ms", self.receive_deadline_ms == 0),
            ("connections_max", self.connections_max == 0),
            ("connection_streams_max", self.connection_streams_max == 0),
            ("header_deadline_ms", self.header_deadline_ms == 0),
            ("idle_deadline_ms", self.idle_deadline_ms == 0),
            ("stream_requests_max", self.stream_requests_max == 0),
        ] {
            check(!zero, key, || "must be at least 1".to_owned())?;
        }
        check(self.refusals_kept_max <= 1_000, "refusals_kept_max", || {
            "must be at most 1000".to_owned()
        })?;
        // The length of a gRPC message is 32 bits on the wire.
        check(
            u32::try_from(self.request_bytes_max).is_ok(),
            "request_bytes_max",
            || format!("must be at most {}", u32::MAX),
        )?;
        let twice = self.request_bytes_max.saturating_mul(2);
        check(
            self.inflight_bytes_max >= twice,
            "inflight_bytes_max",
            || format!("must be at least twice request_bytes_max, {twice}"),
        )?;
        // RFC 9113, section 6.5.2: the first is the window that every connection starts with, the second the largest.
        check(
            (65_535..=0x7fff_ffff).contains(&self.connection_window_bytes),
            "connection_window_bytes",
            || "must be from 65535 to 2147483647".to_owned(),
        )?;
        for origin in &self.cors_origins {
            check(origin_is_well_formed(origin), "cors_origins", || {
                format!(
                    "{origin:?} is not an origin: write \"https://host\", \"http://host:port\", \"http://host:*\" or \"*\""
                )
            })?;
        }
        Ok(())
    }
}

/// Why a configuration cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ConfigError {
    /// The key, as it is written in the configuration.
    pub key: &'static str,
    /// What was expected.
    pub reason: String,
}

fn check(
    holds: bool,
    key: &'static str,
    reason: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError {
            key,
            reason: reason(),
        })
    }
}

fn origin_is_well_formed(origin: &str) -> bool {
    if origin == "*" {
        return true;
    }
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    !scheme.is_empty() && !host.is_empty() && !host.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_zero_limit_is_refused_by_its_key() {
        let config = Config {
            stream_requests_max: 0,
            ..Config::default()
        };
        assert_eq!(config.validate().unwrap_err().key, "stream_requests_max");
    }

    #[test]
    fn memory_must_hold_the_largest_request_twice() {
        let config = Config {
            inflight_bytes_max: 100,
            request_bytes_max: 51,
            ..Config::default()
        };
        let error = config.validate().unwrap_err();
        assert_eq!(error.key, "inflight_bytes_max");
        assert!(error.reason.contains("102"), "{error}");
    }

    #[test]
    fn an_origin_with_a_path_or_without_a_scheme_is_refused() {
        for origin in ["localhost", "http://a/b", "http://", "://a", ""] {
            let config = Config {
                cors_origins: vec![origin.to_owned()],
                ..Config::default()
            };
            assert_eq!(
                config.validate().unwrap_err().key,
                "cors_origins",
                "{origin}"
            );
        }
    }
}
