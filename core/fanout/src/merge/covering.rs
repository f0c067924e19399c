//! What an answer of several consumers covers.

use std::time::Duration;

use log_tracer_proto::v1::Coverage;
use tokio::time::Instant;

use super::Covers;
use crate::fan::Round;

/// The longest text of all reasons together.
const REASONS_BYTES_MAX: usize = 8 << 10;

/// What an answer covers, so far.
#[derive(Clone, Debug)]
pub(crate) struct Covering {
    partial: bool,
    reasons: Vec<String>,
    scanned: u64,
    matched: u64,
    left_out: u64,
    begun: Instant,
}

impl Covering {
    /// Of a question that was asked at a time.
    pub(crate) fn since(begun: Instant) -> Self {
        Self {
            partial: false,
            reasons: Vec::new(),
            scanned: 0,
            matched: 0,
            left_out: 0,
            begun,
        }
    }

    /// Takes the coverages of all answers, and why something may be missing.
    pub(crate) fn of<T: Covers>(round: &mut Round<T>, begun: Instant) -> Self {
        let mut covering = Self::since(begun);
        for gap in round.gaps.drain(..) {
            covering.miss(gap);
        }
        for answer in &mut round.answers {
            let coverage = answer.body.coverage_mut().take();
            covering.add(&answer.label, coverage);
        }
        covering
    }

    /// Says that something may be missing.
    pub(crate) fn miss(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.partial = true;
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    pub(crate) fn leave_out(&mut self, count: usize, what: &str) {
        if count > 0 {
            self.miss(format!(
                "{count} {what} did not fit into a message and were left out"
            ));
        }
    }

    /// Adds what one consumer says that its answer covers.
    pub(crate) fn add(&mut self, label: &str, coverage: Option<Coverage>) {
        let Some(coverage) = coverage else {
            return self.miss(format!("{label}: it does not say what its answer covers"));
        };
        self.scanned = self.scanned.saturating_add(coverage.scanned);
        self.matched = self.matched.saturating_add(coverage.matched);
        self.left_out = self.left_out.saturating_add(coverage.left_out);
        self.partial |= coverage.partial;
        for reason in coverage.reasons {
            self.miss(format!("{label}: {reason}"));
        }
    }

    pub(crate) fn into_message(mut self) -> Coverage {
        let mut bytes = 0;
        self.reasons.retain(|reason| {
            bytes += reason.len() + 4;
            bytes <= REASONS_BYTES_MAX
        });
        Coverage {
            partial: self.partial,
            reasons: self.reasons,
            scanned: self.scanned,
            matched: self.matched,
            took_us: micros(self.begun.elapsed()),
            left_out: self.left_out,
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
