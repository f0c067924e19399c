//! The settings of the dashboard, checked before anything starts.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The settings of the dashboard.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the pages are served. Default: 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// Host names under which browsers reach the dashboard, without a port. IP addresses and `localhost` need no entry;
    /// any other name does, so that a foreign page cannot have its own name point here and read the answers (DNS
    /// rebinding). `"*"` turns the check off. Default: none.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may read `/api/…` from a browser, as a browser writes them: `https://grafana.example`. `"*"` lets
    /// every page do so, and thereby everyone who can make a visitor's browser open one. Default: none.
    pub allowed_origins: Vec<String>,
    /// Connections served at the same time; further ones wait to be accepted. Default: 512.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request, in milliseconds. Default: 10,000.
    pub header_read_timeout_ms: u64,
    /// How long one question to the consumer may take, in milliseconds. Default: 10,000.
    pub query_deadline_ms: u64,
    /// Questions that the consumer is asked at the same time; further ones wait here, as long as a question may take. A
    /// consumer runs 8 and lets 64 wait by default, and refuses those beyond. Default: 16.
    pub questions_max: usize,
    /// How long "send a sample trace" waits until its trace can be found, in milliseconds. Default: 5,000.
    pub sample_deadline_ms: u64,
    /// The largest single message that is taken from the consumer, in bytes. Default: 16 MiB.
    pub message_bytes_max: usize,
    /// Spans of one trace that are read for its page; of a larger one the earliest are shown and the page says so.
    /// Default: 200,000.
    pub trace_spans_max: u32,
    /// Log records of one trace that are read for its page. Default: 50,000.
    pub trace_logs_max: u32,
    /// Encoded bytes of one trace that are read for its page. Default: 256 MiB.
    pub trace_bytes_max: usize,
    /// Trace pages built at the same time; further ones wait. Bounds the memory together with `trace_bytes_max`.
    /// Default: 4.
    pub trace_pages_max: usize,
    /// Rows of a trace on one page, and fewer when many are folded by hand, since every link repeats which; more are reached
    /// by paging. Default: 150.
    pub trace_rows_max: usize,
    /// Nodes and lines that the service map draws; of more, those with the most calls are drawn and a table has all.
    /// Defaults: 100 and 200.
    pub map_nodes_max: usize,
    /// See `map_nodes_max`.
    pub map_edges_max: usize,
    /// Log records whose messages are grouped into patterns: the newest that match. The consumer may answer fewer, and
    /// the page says how many there were. Default: 5,000.
    pub pattern_records_max: u32,
    /// Records of each consumer that are looked at to count the values beside a list: the newest that can match. The page
    /// says of how many, and has a link that counts all; 0 always counts all. Default: 100,000.
    pub facet_records_max: u64,
    /// Records on the disk of each consumer that are looked at for a histogram, when more can match. Its counts are then
    /// estimates, and the chart says how far they may be off; 0 always counts all. Default: 250,000.
    pub histogram_records_max: u64,
    /// Live tails open at the same time. Default: 64.
    pub tails_max: usize,
    /// Rows of a live page of traces, and traces that are remembered for each of its readers while their spans arrive: the
    /// one that was quiet for longest is forgotten first. About 2 KiB each. Default: 200.
    pub live_traces_max: usize,
    /// Lines of a live page of log records that a browser keeps; the oldest leave. Default: 2,000.
    pub live_lines_max: usize,
    /// Bytes of the rows of a live page that a browser keeps, as they are rendered; the oldest leave. Default: 4 MiB.
    pub live_bytes_max: usize,
    /// The largest file with traces that a visitor may open, and the largest body of `/api/transform`, in bytes.
    /// Default: 32 MiB.
    pub upload_bytes_max: usize,
    /// Bytes of opened files that are kept in memory together; the oldest leave. Default: 64 MiB.
    pub uploads_bytes_max: usize,
    /// Whether `/metrics` has the request rate, errors and durations of every service, too. Default: false.
    pub metrics_of_services: bool,
    /// How long a stop waits for answers that are under way, in milliseconds. Default: 3,000.
    pub drain_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            connections_max: 512,
            header_read_timeout_ms: 10_000,
            query_deadline_ms: 10_000,
            questions_max: 16,
            sample_deadline_ms: 5_000,
            message_bytes_max: 16 << 20,
            trace_spans_max: 200_000,
            trace_logs_max: 50_000,
            trace_bytes_max: 256 << 20,
            trace_pages_max: 4,
            trace_rows_max: 150,
            map_nodes_max: 100,
            map_edges_max: 200,
            pattern_records_max: 5_000,
            facet_records_max: 100_000,
            histogram_records_max: 250_000,
            tails_max: 64,
            live_traces_max: 200,
            live_lines_max: 2_000,
            live_bytes_max: 4 << 20,
            upload_bytes_max: 32 << 20,
            uploads_bytes_max: 64 << 20,
            metrics_of_services: false,
            drain_ms: 3_000,
        }
    }
}

impl Config {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and what it should be.
    pub fn validate(&self) -> Result<(), String> {
        at_least_one("connections_max", self.connections_max)?;
        at_least_one("trace_pages_max", self.trace_pages_max)?;
        at_least_one("map_nodes_max", self.map_nodes_max)?;
        at_least_one("map_edges_max", self.map_edges_max)?;
        at_least_one("pattern_records_max", self.pattern_records_max)?;
        at_least_one("tails_max", self.tails_max)?;
        at_least_one("questions_max", self.questions_max)?;
        at_least_one("live_traces_max", self.live_traces_max)?;
        at_least_one("live_lines_max", self.live_lines_max)?;
        at_least_one("live_bytes_max", self.live_bytes_max)?;
        at_least_one("trace_spans_max", self.trace_spans_max)?;
        at_least_one("trace_logs_max", self.trace_logs_max)?;
        at_least_one("trace_bytes_max", self.trace_bytes_max)?;
        at_least_one("upload_bytes_max", self.upload_bytes_max)?;
        at_least_one("uploads_bytes_max", self.uploads_bytes_max)?;
        at_least_one("header_read_timeout_ms", self.header_read_timeout_ms)?;
        at_least_one("query_deadline_ms", self.query_deadline_ms)?;
        at_least_one("sample_deadline_ms", self.sample_deadline_ms)?;
        if self.message_bytes_max < 64 << 10 {
            return Err(format!(
                "message_bytes_max must be at least {} bytes, not {}",
                64 << 10,
                self.message_bytes_max
            ));
        }
        if !(20..=2000).contains(&self.trace_rows_max) {
            return Err(format!(
                "trace_rows_max must be from 20 to 2000, not {}",
                self.trace_rows_max
            ));
        }
        for host in &self.allowed_hosts {
            if host.is_empty() || host.contains([':', '/', ' ']) {
                return Err(format!(
                    "allowed_hosts must hold host names without a scheme or port, not `{host}`"
                ));
            }
        }
        for origin in &self.allowed_origins {
            let is_origin = origin == "*"
                || origin.split_once("://").is_some_and(|(scheme, authority)| {
                    matches!(scheme, "http" | "https")
                        && !authority.is_empty()
                        && !authority.contains(['/', ' ', '?', '#'])
                });
            if !is_origin {
                return Err(format!(
                    "allowed_origins must hold origins such as `https://grafana.example`, without a path, not `{origin}`"
                ));
            }
        }
        Ok(())
    }
}

fn at_least_one<N: Default + PartialEq>(key: &str, value: N) -> Result<(), String> {
    if value == N::default() {
        return Err(format!("{key} must be at least 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_key() {
        let none = Config {
            tails_max: 0,
            ..Config::default()
        };
        assert!(none.validate().unwrap_err().starts_with("tails_max"));
        let rows = Config {
            trace_rows_max: 5,
            ..Config::default()
        };
        assert!(rows.validate().unwrap_err().starts_with("trace_rows_max"));
        let host = Config {
            allowed_hosts: vec!["http://tracer.example".to_owned()],
            ..Config::default()
        };
        assert!(host.validate().unwrap_err().starts_with("allowed_hosts"));
        for origin in ["grafana.example", "https://grafana.example/", "null", ""] {
            let origin = Config {
                allowed_origins: vec![origin.to_owned()],
                ..Config::default()
            };
            let refused = origin.validate().unwrap_err();
            assert!(refused.starts_with("allowed_origins"), "{refused}");
        }
        let origins = Config {
            allowed_origins: vec!["http://localhost:3000".to_owned(), "*".to_owned()],
            ..Config::default()
        };
        assert_eq!(origins.validate(), Ok(()));
    }
}
