//! What can be set, with its defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How several consumers are asked as one. With a single consumer nothing of it counts: it is asked directly.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The longest that a question may take, in milliseconds, also when the caller allows more; a little of it is kept
    /// for merging. What was answered by then counts, the rest is missing and said. Default: 30,000.
    pub deadline_ms: u64,
    /// How often each consumer is asked how it is, in milliseconds. One that is away is missed for so long after it is
    /// back. Default: 1,000.
    pub refresh_ms: u64,
    /// How long a consumer may take to say how it is, in milliseconds, before it counts as away. Default: 2,000.
    pub status_timeout_ms: u64,
    /// After how many milliseconds without an answer the same question goes to a replica as well; 0 takes what 95 of the
    /// last 100 answers of the consumer took, once there are enough of them, and a second before. Default: 0.
    pub hedge_ms: u64,
    /// The least of that when it is 0, in milliseconds, so that no noise doubles the work. Default: 50.
    pub hedge_min_ms: u64,
    /// Questions at the same time, at most; further ones wait until their deadline. Bounds the memory together with
    /// `message_bytes_max` and `outline_bytes_max`. Default: 64.
    pub queries_max: usize,
    /// Tails and exports at the same time, at most; more are refused. Default: 128.
    pub streams_max: usize,
    /// The largest message that is taken from a consumer, in bytes: not less than its `answer_bytes_max`. Default: 16 MiB.
    pub message_bytes_max: usize,
    /// What is read of the outline of one trace from one consumer, at most, and one message more, in bytes: outlines are
    /// held whole until the caller has them. What comes later is missing, and said. Default: 64 MiB.
    pub outline_bytes_max: usize,
    /// The largest request that is taken, in bytes. Default: 1 MiB.
    pub request_bytes_max: usize,
    /// The largest answer, in bytes: what does not fit is on the next page, or left out and said. Default: 4,128,768, which
    /// is 64 KiB below what gRPC clients accept by default.
    pub answer_bytes_max: usize,
    /// About the size of one piece of a streamed answer, in bytes. Default: 1 MiB.
    pub piece_bytes_max: usize,
    /// Traces in an answer when the request names no limit. Default: 50.
    pub traces_default: u32,
    /// Traces in an answer at most; not more than any consumer answers. Default: 1,000.
    pub traces_max: u32,
    /// Log records in an answer when the request names no limit. Default: 100.
    pub logs_default: u32,
    /// Log records in an answer at most; not more than any consumer answers. Default: 5,000.
    pub logs_max: u32,
    /// Values of a facet when the request names no limit. Default: 10.
    pub facet_values_default: u32,
    /// Values of a facet at most, and how many each consumer is asked for, so that the sums are right; not more than any
    /// consumer answers. Default: 1,000.
    pub facet_values_max: u32,
    /// Spans in the answer to `GetTrace` at most; not more than any consumer answers. Default: 200,000.
    pub trace_spans_max: u32,
    /// Log records in the answer to `GetTrace` at most; not more than any consumer answers. Default: 100,000.
    pub trace_logs_max: u32,
    /// Kept records that a tail may ask for at its start, at most, and that are asked for to close the gap when a tail goes
    /// on at another consumer. Default: 1,000.
    pub tail_backlog_max: u32,
    /// How long calls may still go on after a server was told to shut down, in milliseconds. Default: 3,000.
    pub drain_deadline_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline_ms: 30_000,
            refresh_ms: 1_000,
            status_timeout_ms: 2_000,
            hedge_ms: 0,
            hedge_min_ms: 50,
            queries_max: 64,
            streams_max: 128,
            message_bytes_max: 16 << 20,
            outline_bytes_max: 64 << 20,
            request_bytes_max: 1 << 20,
            answer_bytes_max: (4 << 20) - (64 << 10),
            piece_bytes_max: 1 << 20,
            traces_default: 50,
            traces_max: 1_000,
            logs_default: 100,
            logs_max: 5_000,
            facet_values_default: 10,
            facet_values_max: 1_000,
            trace_spans_max: 200_000,
            trace_logs_max: 100_000,
            tail_backlog_max: 1_000,
            drain_deadline_ms: 3_000,
        }
    }
}

impl Config {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// A sentence that starts with the key and says what is expected of it.
    pub fn validate(&self) -> Result<(), String> {
        for (key, value, min) in [
            ("deadline_ms", self.deadline_ms, 1),
            ("refresh_ms", self.refresh_ms, 10),
            ("status_timeout_ms", self.status_timeout_ms, 1),
            ("queries_max", self.queries_max as u64, 1),
            ("streams_max", self.streams_max as u64, 1),
            ("message_bytes_max", self.message_bytes_max as u64, 64 << 10),
            ("outline_bytes_max", self.outline_bytes_max as u64, 64 << 10),
            ("request_bytes_max", self.request_bytes_max as u64, 1024),
            ("answer_bytes_max", self.answer_bytes_max as u64, 64 << 10),
            ("piece_bytes_max", self.piece_bytes_max as u64, 1024),
            ("trace_spans_max", self.trace_spans_max.into(), 1),
            ("trace_logs_max", self.trace_logs_max.into(), 1),
        ] {
            if value < min {
                return Err(format!("{key}: expected at least {min}, got {value}"));
            }
        }
        if self.piece_bytes_max > self.answer_bytes_max {
            return Err("piece_bytes_max: expected not more than answer_bytes_max".to_owned());
        }
        for (key, default, max) in [
            ("traces", self.traces_default, self.traces_max),
            ("logs", self.logs_default, self.logs_max),
            (
                "facet_values",
                self.facet_values_default,
                self.facet_values_max,
            ),
        ] {
            if default == 0 || default > max {
                return Err(format!(
                    "{key}_max: expected at least 1, and not less than {key}_default"
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(crate) fn refresh(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }

    pub(crate) fn status_timeout(&self) -> Duration {
        Duration::from_millis(self.status_timeout_ms)
    }
}

/// What was asked for within the bound; 0 asks for the default.
pub(crate) fn limit(asked: u32, default: u32, max: u32) -> u32 {
    if asked == 0 { default } else { asked.min(max) }
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
        let of = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert!(of(|config| config.queries_max = 0).starts_with("queries_max:"));
        assert!(of(|config| config.traces_default = 2_000).starts_with("traces_max:"));
        assert!(of(|config| config.piece_bytes_max = 5 << 20).starts_with("piece_bytes_max:"));
    }
}
