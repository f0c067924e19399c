//! The settings of the process; `etc/consumer.toml` shows every key.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use log_tracer_runtime::{logging, role::problem_of};
use log_tracer_transports::TransportConfig;
use serde::{Deserialize, Serialize};

/// All settings of `log-tracer-consumer`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What it reads and keeps, and QueryService over it.
    pub(crate) consumer: log_tracer_consumer::Config,
    /// The log that it reads.
    pub(crate) transport: TransportConfig,
    /// The log of the process itself.
    pub(crate) logging: logging::Config,
    /// How long a stop may take in milliseconds; what is not done by then is cut off. Default 15,000.
    pub(crate) stop_deadline_ms: u64,
}

/// Where QueryService listens when nothing else is said.
pub(crate) const QUERY_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4319);

impl Default for Config {
    fn default() -> Self {
        Self {
            consumer: log_tracer_consumer::Config {
                query_listen: Some(QUERY_LISTEN),
                store_directory: Some(PathBuf::from("data/consumer")),
                ..log_tracer_consumer::Config::default()
            },
            transport: TransportConfig::shared(),
            logging: logging::Config::default(),
            stop_deadline_ms: 15_000,
        }
    }
}

impl Config {
    /// Everything that the types alone do not rule out, as pairs of a key and what is wrong with it.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let mut problems: Vec<_> = [
            ("consumer", self.consumer.validate()),
            ("transport", self.transport.validate_shared()),
            ("logging", self.logging.validate()),
        ]
        .into_iter()
        .filter_map(|(section, checked)| problem_of(section, checked))
        .collect();
        let mut add =
            |key: &str, message: &str| problems.push((key.to_owned(), message.to_owned()));
        if self.consumer.query_listen.is_none() {
            add(
                "consumer.query_listen",
                "consumer.query_listen must be an address: a consumer that runs apart is asked over the network",
            );
        }
        if self.stop_deadline_ms == 0 {
            add("stop_deadline_ms", "stop_deadline_ms must be at least 1");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_runtime::config::check_example_without;

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().problems(), []);
    }

    #[test]
    fn the_example_file_shows_every_key_with_its_default() {
        let text = include_str!("../../../etc/consumer.toml");
        check_example_without::<Config>(text, Some("transport"))
            .unwrap_or_else(|faults| panic!("etc/consumer.toml:\n{faults}"));
    }

    #[test]
    fn a_log_that_only_one_process_can_open_is_refused_with_the_way_out() {
        for transport in [TransportConfig::default(), TransportConfig::in_memory()] {
            let config = Config {
                transport,
                ..Config::default()
            };
            let problems = config.problems();
            assert_eq!(problems[0].0, "transport.kind");
            assert!(problems[0].1.contains("log-tracer run"), "{problems:?}");
        }
    }

    #[test]
    fn a_consumer_that_nobody_can_ask_is_refused() {
        let mut config = Config::default();
        config.consumer.query_listen = None;
        assert_eq!(config.problems()[0].0, "consumer.query_listen");
    }
}
