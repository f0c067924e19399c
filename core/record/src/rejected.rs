//! What was taken out of a request, and why.

use std::fmt;

use crate::{SpanId, TraceId};

/// How many rejections are described; the others are counted.
const DESCRIBED_MAX: usize = 5;

/// Records that were taken out of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// How many.
    pub count: u64,
    /// The first few.
    pub first: Vec<Rejection>,
}

/// One record that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which.
    pub place: Place,
    /// Why, in words.
    pub reason: String,
}

/// Where a record stood in its request, every number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which resource.
    pub resource: usize,
    /// Which scope of the resource.
    pub scope: usize,
    /// Which record of the scope.
    pub record: usize,
}

impl Rejected {
    /// Whether nothing was rejected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Counts one record, and describes it if it is one of the first few.
    pub fn add(&mut self, place: Place, reason: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < DESCRIBED_MAX {
            self.first.push(Rejection {
                place,
                reason: reason(),
            });
        }
    }

    /// Counts those of another step too.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        let room = DESCRIBED_MAX.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}

/// A sentence for OTLP's `partial_success.error_message`; empty when nothing was rejected.
impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Rejection { place, reason }) in self.first.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{place}: {reason}")?;
        }
        let described = u64::try_from(self.first.len()).unwrap_or(u64::MAX);
        match self.count.saturating_sub(described) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resource,
            scope,
            record,
        } = self;
        write!(f, "resource {resource}, scope {scope}, record {record}")
    }
}

/// Why a span with these ids is invalid.
pub(crate) fn invalid_span(trace_id: &[u8], span_id: &[u8]) -> String {
    let describe = |what: &str, len: usize, expected: usize| {
        if len == expected {
            format!("the {what} is all zero")
        } else {
            format!("the {what} has {len} bytes where {expected} are expected")
        }
    };
    match TraceId::from_bytes(trace_id) {
        None => describe("trace id", trace_id.len(), TraceId::LEN),
        Some(_) => describe("span id", span_id.len(), SpanId::LEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(count: usize) -> Rejected {
        let mut rejected = Rejected::default();
        for record in 0..count {
            rejected.add(
                Place {
                    resource: 0,
                    scope: 1,
                    record,
                },
                || "too odd".to_owned(),
            );
        }
        rejected
    }

    #[test]
    fn every_rejection_is_counted_and_the_first_few_are_described() {
        assert_eq!(rejected(0).to_string(), "");
        assert_eq!(
            rejected(1).to_string(),
            "resource 0, scope 1, record 0: too odd"
        );
        let many = rejected(12);
        assert_eq!(many.count, 12);
        assert_eq!(many.first.len(), 5);
        assert!(many.to_string().ends_with("record 4: too odd; and 7 more"));
    }

    #[test]
    fn merging_adds_the_counts() {
        let mut sum = rejected(3);
        sum.merge(rejected(9));
        assert_eq!((sum.count, sum.first.len()), (12, 5));
    }
}
