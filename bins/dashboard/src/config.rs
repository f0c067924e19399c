//! The settings of the process; `etc/dashboard.toml` shows every key.

use std::{collections::BTreeSet, net::SocketAddr};

use log_tracer_runtime::logging;
use serde::{Deserialize, Serialize};

/// All settings of `log-tracer-dashboard`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where QueryService is, of each consumer: one address or more.
    pub(crate) query: Vec<String>,
    /// Where the QueryService of all consumers together listens, so that other tools can ask one place; not by default.
    pub(crate) query_listen: Option<SocketAddr>,
    /// Where the producer takes in OTLP over gRPC: shown on the home page, and where "send a sample trace" sends to.
    pub(crate) otlp_grpc: Option<String>,
    /// Producers that are asked what they refused, for the Pipeline page, by the addresses of their OTLP over gRPC. When
    /// empty, the one of `otlp_grpc`.
    pub(crate) producers: Vec<String>,
    /// Where the producer takes in OTLP over HTTP: shown on the home page.
    pub(crate) otlp_http: Option<String>,
    /// How several consumers are asked as one.
    pub(crate) fanout: log_tracer_fanout::Config,
    /// The pages.
    pub(crate) dashboard: log_tracer_dashboard::Config,
    /// The log of the process itself.
    pub(crate) logging: logging::Config,
    /// How long a stop may take in milliseconds; what is not done by then is cut off. Default 10,000.
    pub(crate) stop_deadline_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            query: vec!["http://127.0.0.1:4319".to_owned()],
            query_listen: None,
            otlp_grpc: None,
            producers: Vec::new(),
            otlp_http: None,
            fanout: log_tracer_fanout::Config::default(),
            dashboard: log_tracer_dashboard::Config::default(),
            logging: logging::Config::default(),
            stop_deadline_ms: 10_000,
        }
    }
}

impl Config {
    /// Everything that the types alone do not rule out, as pairs of a key and what is wrong with it.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let sections = [
            ("fanout", self.fanout.validate()),
            ("dashboard", self.dashboard.validate()),
            ("logging", self.logging.validate()),
        ];
        let mut problems: Vec<_> = sections
            .into_iter()
            .filter_map(|(section, result)| {
                let message = format!("{section}.{}", result.err()?);
                // A section's own check answers with a sentence that starts with the key.
                let key = message.split([':', ' ']).next().unwrap_or_default();
                Some((key.to_owned(), message.clone()))
            })
            .collect();
        if self.query.is_empty() {
            let message = "query must hold at least one address".to_owned();
            problems.push(("query".to_owned(), message));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.query.iter().find(|one| !seen.insert(*one)) {
            problems.push(("query".to_owned(), format!("query names {twice} twice")));
        }
        let optional = [
            ("otlp_grpc", &self.otlp_grpc),
            ("otlp_http", &self.otlp_http),
        ];
        let queries = self.query.iter().map(|address| ("query", address));
        let producers = self.producers.iter().map(|address| ("producers", address));
        let optional = optional.into_iter();
        let addresses = queries
            .chain(producers)
            .chain(optional.filter_map(|(key, address)| Some((key, address.as_ref()?))));
        for (key, address) in addresses {
            if !is_url(address) {
                let message =
                    format!("{key} must be like http://127.0.0.1:4319, and is `{address}`");
                problems.push((key.to_owned(), message));
            }
        }
        if self.stop_deadline_ms == 0 {
            let message = "stop_deadline_ms must be at least 1".to_owned();
            problems.push(("stop_deadline_ms".to_owned(), message));
        }
        problems
    }
}

fn is_url(text: &str) -> bool {
    text.strip_prefix("http://")
        .is_some_and(|host| !host.is_empty() && text.parse::<tonic::transport::Uri>().is_ok())
}

#[cfg(test)]
mod tests {
    use log_tracer_runtime::config::check_example;

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().problems(), []);
    }

    #[test]
    fn the_example_file_shows_every_key_with_its_default() {
        let text = include_str!("../../../etc/dashboard.toml");
        check_example::<Config>(text)
            .unwrap_or_else(|faults| panic!("etc/dashboard.toml:\n{faults}"));
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_key() {
        let config = Config {
            query: vec!["127.0.0.1:4319".to_owned()],
            otlp_grpc: Some("https://tracer.example".to_owned()),
            ..Config::default()
        };
        let problems = config.problems();
        let keys: Vec<_> = problems.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["query", "otlp_grpc"]);
    }

    #[test]
    fn there_is_at_least_one_consumer_and_each_is_named_once() {
        let problems = |query: &[&str]| {
            let config = Config {
                query: query.iter().map(|one| (*one).to_owned()).collect(),
                ..Config::default()
            };
            config.problems().len()
        };
        assert_eq!(problems(&[]), 1);
        assert_eq!(problems(&["http://a:1", "http://a:1"]), 1);
        assert_eq!(problems(&["http://a:1", "http://b:1"]), 0);
    }
}
