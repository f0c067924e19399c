//! The configuration of everything that runs in one process. Each section is the struct of the crate that it configures.

use std::{net::SocketAddr, path::PathBuf};

use log_tracer_runtime::logging;
use log_tracer_transports::TransportConfig;
use serde::{Deserialize, Serialize};

/// All settings of `log-tracer run`; `etc/standalone.toml` shows every key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Ingestion: OTLP over gRPC and HTTP, LogService.
    pub producer: log_tracer_producer::Config,
    /// What is kept, and QueryService over it.
    pub consumer: log_tracer_consumer::Config,
    /// The web pages.
    pub dashboard: log_tracer_dashboard::Config,
    /// What carries envelopes from the producer to the consumer.
    pub transport: TransportConfig,
    /// Below which everything lies that outlives the process. Relative directories of the transport and of the store are
    /// taken from here. Default: "data", where the process was started.
    pub data_directory: PathBuf,
    /// Envelopes of a partition that may be acknowledged although the store has not taken them in yet. Beyond them,
    /// acknowledgements wait, so that what was acknowledged can be found soon. Default 8: found 17 ms after the ack (p99)
    /// under a full load, 177 ms with 64, as much acknowledged a second.
    pub ack_lag_envelopes_max: u64,
    /// How long an acknowledgement waits for that at most, in milliseconds; 0 for never. Default 1,000.
    pub ack_lag_wait_ms: u64,
    /// The log of the process itself.
    pub logging: logging::Config,
    /// How long a stop may take in milliseconds, for all parts together; what is not done by then is cut off. Default
    /// 15,000.
    pub stop_deadline_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            producer: log_tracer_producer::Config::default(),
            consumer: log_tracer_consumer::Config {
                query_listen: Some(SocketAddr::from(([127, 0, 0, 1], 4319))),
                store_directory: Some(PathBuf::from("store")),
                ..log_tracer_consumer::Config::default()
            },
            dashboard: log_tracer_dashboard::Config::default(),
            transport: TransportConfig::default(),
            data_directory: PathBuf::from("data"),
            ack_lag_envelopes_max: 8,
            ack_lag_wait_ms: 1_000,
            logging: logging::Config::default(),
            stop_deadline_ms: 15_000,
        }
    }
}

impl Config {
    /// The defaults of `--in-memory` and of tests: a free port for each address, nothing on disk, and a log of warnings
    /// only.
    #[must_use]
    pub fn in_memory() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Self::default();
        config.producer.grpc_listen = free;
        config.producer.http_listen = free;
        config.dashboard.listen = free;
        config.consumer.query_listen = Some(free);
        config.consumer.store_directory = None;
        config.transport = TransportConfig::in_memory();
        config.logging.level = logging::Level::Warn;
        config
    }

    /// Everything that the types alone do not rule out, as pairs of a key and what is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let sections = [
            (
                "producer",
                self.producer.validate().map_err(|error| error.to_string()),
            ),
            ("consumer", self.consumer.validate()),
            ("dashboard", self.dashboard.validate()),
            ("transport", self.transport.validate()),
            ("logging", self.logging.validate()),
        ];
        let mut problems: Vec<_> = sections
            .into_iter()
            .filter_map(|(section, result)| Some(of_section(section, &result.err()?)))
            .collect();
        problems.extend(self.addresses_used_twice());
        if self.data_directory.as_os_str().is_empty() {
            problems.push(problem(
                "data_directory",
                "data_directory must name a directory; to keep nothing on disk, run with --in-memory",
            ));
        }
        if self.stop_deadline_ms == 0 {
            problems.push(problem(
                "stop_deadline_ms",
                "stop_deadline_ms must be at least 1",
            ));
        }
        if self.dashboard.message_bytes_max < self.consumer.query.answer_bytes_max {
            problems.push(problem(
                "dashboard.message_bytes_max",
                "dashboard.message_bytes_max must be at least consumer.query.answer_bytes_max, or the dashboard cannot read large answers",
            ));
        }
        problems
    }

    /// The same with every directory below the data directory.
    #[must_use]
    pub fn with_directories(mut self) -> Self {
        self.transport.move_below(&self.data_directory);
        self.consumer.store_directory = self
            .consumer
            .store_directory
            .map(|store| self.data_directory.join(store));
        self
    }

    /// The listening addresses with their keys.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut addresses = vec![
            ("producer.grpc_listen", self.producer.grpc_listen),
            ("producer.http_listen", self.producer.http_listen),
            ("dashboard.listen", self.dashboard.listen),
        ];
        addresses.extend(
            self.consumer
                .query_listen
                .map(|query| ("consumer.query_listen", query)),
        );
        addresses
    }

    fn addresses_used_twice(&self) -> Vec<(String, String)> {
        let addresses = self.addresses();
        let mut problems = Vec::new();
        for (index, (key, address)) in addresses.iter().enumerate() {
            let earlier = addresses.iter().take(index);
            let same = earlier.filter(|(_, other)| other == address && address.port() != 0);
            for (other, _) in same {
                problems.push(problem(
                    key,
                    &format!(
                        "{key} and {other} are both {address}: each needs an address of its own"
                    ),
                ));
            }
        }
        problems
    }
}

/// A section's own check answers with a sentence that starts with the key.
fn of_section(section: &str, message: &str) -> (String, String) {
    let key = message.split([':', ' ']).next().unwrap_or_default();
    (format!("{section}.{key}"), format!("{section}.{message}"))
}

fn problem(key: &str, message: &str) -> (String, String) {
    (key.to_owned(), message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_of_defaults_are_valid() {
        assert_eq!(Config::default().problems(), []);
        assert_eq!(Config::in_memory().problems(), []);
    }

    #[test]
    fn a_problem_of_a_section_carries_the_whole_key() {
        let mut config = Config::default();
        config.producer.stream_requests_max = 0;
        config.consumer.query.deadline_ms = 0;
        let problems = config.problems();
        let keys: Vec<_> = problems.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            ["producer.stream_requests_max", "consumer.query.deadline_ms"]
        );
        for (key, message) in &problems {
            assert!(message.starts_with(key.as_str()), "{message}");
        }
    }

    #[test]
    fn one_address_for_two_keys_is_refused() {
        let mut config = Config::default();
        config.dashboard.listen = config.producer.http_listen;
        assert_eq!(
            config.problems(),
            [(
                "dashboard.listen".to_owned(),
                "dashboard.listen and producer.http_listen are both 127.0.0.1:4318: each needs an address of its own"
                    .to_owned()
            )]
        );
    }
}
