//! What can be set, with its defaults.

use std::{collections::BTreeSet, net::SocketAddr, num::NonZeroU16, path::PathBuf, time::Duration};

use log_tracer_transport::{Group, Partition, ReadOptions};
use serde::{Deserialize, Serialize};

/// A consumer: what it reads, keeps and answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which consumer this is: shown by `Status`, and the group under which it commits. Consumers of the same log need
    /// different names. Default: "consumer".
    pub name: String,
    /// Where `QueryService` listens; without it, only the process itself can ask. Default: none.
    pub query_listen: Option<SocketAddr>,
    /// The partitions that this consumer owns, each at most once; empty means all of them. Consumers that own the same
    /// ones are replicas of each other; two that have only some in common cannot be asked together. Default: empty.
    pub partitions: Vec<u16>,
    /// From the log to the store.
    pub apply: ApplyConfig,
    /// Questions and their answers.
    pub query: QueryConfig,
    /// Records as they arrive.
    pub tail: TailConfig,
    /// How far apart the samples of `StatusHistory` are, in milliseconds. Consumers that are asked as one should have the
    /// same, or their samples cannot be added. Default: 10,000.
    pub history_step_ms: u64,
    /// Samples of `StatusHistory` that are kept in memory, about 100 bytes each and 16 more for each partition. Default:
    /// 360, which is an hour.
    pub history_samples_max: usize,
    /// Where the store keeps its blocks; it is made when it is not there. Without it everything is kept in memory, and
    /// gone when the process ends. Default: none.
    pub store_directory: Option<PathBuf>,
    /// What is kept.
    pub store: log_tracer_store::Config,
}

/// How envelopes are read and applied.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApplyConfig {
    /// Encoded bytes of the envelopes that are applied in one step, at most; a larger envelope is a step of its own.
    /// They are in memory twice for that time, encoded and decoded. Default: 4 MiB.
    pub delivery_bytes_max: usize,
    /// Envelopes that are applied in one step, at most. Default: 1024.
    pub delivery_envelopes_max: usize,
    /// Batch ids that are remembered in each partition to recognise a batch that was published again, about 100 bytes
    /// each. This is the limit of "applied exactly once": a client's retry is recognised as long as fewer than so many
    /// envelopes came between. Default: 100,000.
    pub seen_batches_max: usize,
    /// Bytes of envelopes that could not be decoded and are set aside; the oldest payloads leave. Default: 16 MiB.
    pub quarantine_bytes_max: usize,
    /// The first wait after reading failed, in milliseconds; it doubles with each failure in a row. Default: 50.
    pub retry_delay_min_ms: u64,
    /// The longest wait between two attempts to read, in milliseconds. Default: 5,000.
    pub retry_delay_max_ms: u64,
}

/// Limits of questions and answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// Queries that run at the same time, at most; each occupies a thread. A streamed answer (a trace, the quarantine)
    /// runs until it was read or its deadline has passed. Default: 8.
    pub queries_max: usize,
    /// Queries that wait for their turn, at most; more are refused with RESOURCE_EXHAUSTED. Default: 64.
    pub queries_waiting_max: usize,
    /// The longest that a query may take, in milliseconds, also when the caller allows more. What was found by then is
    /// answered as partial. Whoever waits for a position waits as long as it allows itself, or so long when it says
    /// nothing. Default: 30,000.
    pub deadline_ms: u64,
    /// Bytes of blocks that a query may read, about, also when there is time for more. What was found by then is answered
    /// as partial. Default: 16 GiB.
    pub read_bytes_max: u64,
    /// How long calls may still go on after a server was told to shut down, in milliseconds. Default: 5,000.
    pub drain_deadline_ms: u64,
    /// The largest request message in bytes. Default: 1 MiB.
    pub request_bytes_max: usize,
    /// The largest answer message in bytes; a client must accept it. A single record that is larger is left out, and
    /// the answer says so. Default: 4,128,768, which is 64 KiB below what gRPC clients accept by default.
    pub answer_bytes_max: usize,
    /// About the size of one piece of a streamed answer, in bytes. Default: 1 MiB.
    pub piece_bytes_max: usize,
    /// Traces in an answer when the request names no limit. Default: 50.
    pub traces_default: u32,
    /// Traces in an answer at most. Default: 1,000.
    pub traces_max: u32,
    /// Log records in an answer when the request names no limit. Default: 100.
    pub logs_default: u32,
    /// Log records in an answer at most. Default: 5,000.
    pub logs_max: u32,
    /// Spans in the answer to `GetTrace` at most. Default: 200,000.
    pub trace_spans_max: u32,
    /// Log records in the answer to `GetTrace` at most. Default: 100,000.
    pub trace_logs_max: u32,
    /// Steps of a histogram, or of rates, at most. Default: 5,000.
    pub histogram_steps_max: u32,
    /// Cells of a heat map at most, filled or not: its steps times the buckets of durations. Default: 65,536.
    pub heatmap_cells_max: u32,
    /// Series of rates in an answer at most, those with the most spans. Default: 10,000.
    pub rate_series_max: u32,
    /// Quantiles of a request for rates or for the graph of services at most. Default: 16.
    pub rate_quantiles_max: u32,
    /// Edges of the graph of services in an answer at most, those with the most calls. Default: 10,000.
    pub graph_edges_max: u32,
    /// Operations in an answer at most, those with the most spans. Default: 10,000.
    pub operations_max: u32,
    /// Fields of a facet request at most. Default: 32.
    pub facet_fields_max: usize,
    /// Values of a facet when the request names no limit. Default: 10.
    pub facet_values_default: u32,
    /// Values of a facet at most. Default: 1,000.
    pub facet_values_max: u32,
}

/// Limits of tails.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TailConfig {
    /// Readers at the same time, at most. Default: 64.
    pub readers_max: usize,
    /// Records that wait for a slow reader, at most; more are dropped and counted for it. Default: 1,000.
    pub queue_records_max: usize,
    /// Encoded bytes of the records that wait for a slow reader, at most. Default: 4 MiB.
    pub queue_bytes_max: usize,
    /// Kept records that a reader may ask for at its start, at most. Default: 1,000.
    pub backlog_max: u32,
    /// After so many milliseconds without a record, an empty message says that the tail is alive. Default: 10,000.
    pub alive_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "consumer".to_owned(),
            query_listen: None,
            partitions: Vec::new(),
            apply: ApplyConfig::default(),
            query: QueryConfig::default(),
            tail: TailConfig::default(),
            history_step_ms: 10_000,
            history_samples_max: 360,
            store_directory: None,
            store: log_tracer_store::Config::default(),
        }
    }
}

impl Default for ApplyConfig {
    fn default() -> Self {
        Self {
            delivery_bytes_max: 4 << 20,
            delivery_envelopes_max: 1024,
            seen_batches_max: 100_000,
            quarantine_bytes_max: 16 << 20,
            retry_delay_min_ms: 50,
            retry_delay_max_ms: 5_000,
        }
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            queries_max: 8,
            queries_waiting_max: 64,
            deadline_ms: 30_000,
            read_bytes_max: 16 << 30,
            drain_deadline_ms: 5_000,
            request_bytes_max: 1 << 20,
            answer_bytes_max: (4 << 20) - (64 << 10),
            piece_bytes_max: 1 << 20,
            traces_default: 50,
            traces_max: 1_000,
            logs_default: 100,
            logs_max: 5_000,
            trace_spans_max: 200_000,
            trace_logs_max: 100_000,
            histogram_steps_max: 5_000,
            heatmap_cells_max: 65_536,
            rate_series_max: 10_000,
            rate_quantiles_max: 16,
            graph_edges_max: 10_000,
            operations_max: 10_000,
            facet_fields_max: 32,
            facet_values_default: 10,
            facet_values_max: 1_000,
        }
    }
}

impl Default for TailConfig {
    fn default() -> Self {
        Self {
            readers_max: 64,
            queue_records_max: 1_000,
            queue_bytes_max: 4 << 20,
            backlog_max: 1_000,
            alive_ms: 10_000,
        }
    }
}

impl Config {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// A sentence that names the key and what is expected of it.
    pub fn validate(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.len() > 200 {
            return Err("name: expected 1 to 200 bytes".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.partitions.iter().find(|one| !seen.insert(**one)) {
            return Err(format!("partitions: {twice} is named twice"));
        }
        if !(100..=3_600_000).contains(&self.history_step_ms) {
            return Err("history_step_ms: expected from 100 to 3600000".to_owned());
        }
        at_least("history_samples_max", self.history_samples_max, 1)?;
        if self.history_samples_max > 10_000 {
            return Err("history_samples_max: expected at most 10000".to_owned());
        }
        self.apply.validate().map_err(|e| format!("apply.{e}"))?;
        self.query.validate().map_err(|e| format!("query.{e}"))?;
        self.tail.validate().map_err(|e| format!("tail.{e}"))?;
        self.store.validate().map_err(|e| format!("store.{e}"))
    }

    /// The partitions that this consumer owns of a log that has so many.
    pub(crate) fn owned(&self, partitions: NonZeroU16) -> Result<Vec<Partition>, u16> {
        if self.partitions.is_empty() {
            return Ok((0..partitions.get()).map(Partition).collect());
        }
        let missing = self.partitions.iter().find(|p| **p >= partitions.get());
        match missing {
            Some(partition) => Err(*partition),
            None => Ok(self.partitions.iter().copied().map(Partition).collect()),
        }
    }

    pub(crate) fn group(&self) -> Group {
        Group(self.name.clone())
    }
}

impl ApplyConfig {
    fn validate(&self) -> Result<(), String> {
        at_least("delivery_bytes_max", self.delivery_bytes_max, 1)?;
        at_least("delivery_envelopes_max", self.delivery_envelopes_max, 1)?;
        at_least("seen_batches_max", self.seen_batches_max, 1)?;
        if self.retry_delay_min_ms == 0 || self.retry_delay_min_ms > self.retry_delay_max_ms {
            return Err(
                "retry_delay_min_ms: expected at least 1, and not more than retry_delay_max_ms"
                    .to_owned(),
            );
        }
        Ok(())
    }

    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            delivery_bytes_max: self.delivery_bytes_max,
            delivery_envelopes_max: self.delivery_envelopes_max,
            // What is there is applied at once: it is visible sooner, and a busy log fills deliveries by itself.
            linger: Duration::ZERO,
        }
    }
}

impl QueryConfig {
    fn validate(&self) -> Result<(), String> {
        at_least("queries_max", self.queries_max, 1)?;
        if self.deadline_ms == 0 {
            return Err("deadline_ms: expected at least 1".to_owned());
        }
        if self.read_bytes_max == 0 {
            return Err("read_bytes_max: expected at least 1".to_owned());
        }
        at_least("request_bytes_max", self.request_bytes_max, 1024)?;
        at_least("answer_bytes_max", self.answer_bytes_max, 64 << 10)?;
        at_least("piece_bytes_max", self.piece_bytes_max, 1024)?;
        if self.piece_bytes_max > self.answer_bytes_max {
            return Err("piece_bytes_max: expected not more than answer_bytes_max".to_owned());
        }
        at_least("facet_fields_max", self.facet_fields_max, 1)?;
        if u64::from(self.histogram_steps_max) > log_tracer_store::STEPS_MAX {
            return Err(format!(
                "histogram_steps_max: expected at most {}",
                log_tracer_store::STEPS_MAX
            ));
        }
        if u64::from(self.heatmap_cells_max) > log_tracer_store::HEATMAP_CELLS_MAX {
            return Err(format!(
                "heatmap_cells_max: expected at most {}",
                log_tracer_store::HEATMAP_CELLS_MAX
            ));
        }
        for (key, default, max) in [
            ("traces", self.traces_default, self.traces_max),
            ("logs", self.logs_default, self.logs_max),
            (
                "facet_values",
                self.facet_values_default,
                self.facet_values_max,
            ),
            ("trace_spans", 1, self.trace_spans_max),
            ("trace_logs", 1, self.trace_logs_max),
            ("histogram_steps", 1, self.histogram_steps_max),
            ("heatmap_cells", 1, self.heatmap_cells_max),
            ("rate_series", 1, self.rate_series_max),
            ("rate_quantiles", 1, self.rate_quantiles_max),
            ("graph_edges", 1, self.graph_edges_max),
            ("operations", 1, self.operations_max),
        ] {
            if default == 0 || default > max {
                return Err(format!(
                    "{key}_max: expected at least 1, and not less than {key}_default where there is one"
                ));
            }
        }
        Ok(())
    }
}

impl TailConfig {
    fn validate(&self) -> Result<(), String> {
        at_least("queue_records_max", self.queue_records_max, 1)?;
        at_least("queue_bytes_max", self.queue_bytes_max, 1024)?;
        if self.alive_ms == 0 {
            return Err("alive_ms: expected at least 1".to_owned());
        }
        Ok(())
    }
}

fn at_least(key: &str, value: usize, min: usize) -> Result<(), String> {
    if value < min {
        return Err(format!("{key}: expected at least {min}, got {value}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_key() {
        let mut config = Config::default();
        config.query.traces_default = config.query.traces_max + 1;
        assert!(
            config
                .validate()
                .unwrap_err()
                .starts_with("query.traces_max:")
        );

        let mut config = Config::default();
        config.apply.retry_delay_min_ms = 0;
        assert!(
            config
                .validate()
                .unwrap_err()
                .starts_with("apply.retry_delay_min_ms:")
        );

        let config = Config {
            partitions: vec![1, 2, 1],
            ..Config::default()
        };
        assert_eq!(
            config.validate().unwrap_err(),
            "partitions: 1 is named twice"
        );
    }

    #[test]
    fn no_partition_means_all_and_a_missing_one_is_refused() {
        let three = NonZeroU16::new(3).unwrap();
        let mut config = Config::default();
        assert_eq!(
            config.owned(three),
            Ok(vec![Partition(0), Partition(1), Partition(2)])
        );
        config.partitions = vec![2];
        assert_eq!(config.owned(three), Ok(vec![Partition(2)]));
        config.partitions = vec![0, 3];
        assert_eq!(config.owned(three), Err(3));
    }
}
