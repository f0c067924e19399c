//! The settings of the process; `etc/producer.toml` shows every key.

use log_tracer_runtime::{logging, role::problem_of};
use log_tracer_transports::TransportConfig;
use serde::{Deserialize, Serialize};

/// All settings of `log-tracer-producer`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Ingestion: OTLP over gRPC and HTTP, LogService.
    pub(crate) producer: log_tracer_producer::Config,
    /// The log that it publishes to.
    pub(crate) transport: TransportConfig,
    /// The log of the process itself.
    pub(crate) logging: logging::Config,
    /// How long a stop may take in milliseconds; what is not done by then is cut off. Default 15,000.
    pub(crate) stop_deadline_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            producer: log_tracer_producer::Config::default(),
            transport: TransportConfig::shared(),
            logging: logging::Config::default(),
            stop_deadline_ms: 15_000,
        }
    }
}

impl Config {
    /// Everything that the types alone do not rule out, as pairs of a key and what is wrong with it.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let producer = self.producer.validate().map_err(|error| error.to_string());
        let mut problems: Vec<_> = [
            ("producer", producer),
            ("transport", self.transport.validate_shared()),
            ("logging", self.logging.validate()),
        ]
        .into_iter()
        .filter_map(|(section, checked)| problem_of(section, checked))
        .collect();
        if self.stop_deadline_ms == 0 {
            let message = "stop_deadline_ms must be at least 1".to_owned();
            problems.push(("stop_deadline_ms".to_owned(), message));
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
        let text = include_str!("../../../etc/producer.toml");
        check_example_without::<Config>(text, Some("transport"))
            .unwrap_or_else(|faults| panic!("etc/producer.toml:\n{faults}"));
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
}
