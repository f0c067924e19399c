//! What the producer counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{Reason, budget::Budget};

/// Counters of one producer since its start. Shared and updated without locks, so that the numbers of one
/// [`Snapshot`] may be an instant apart.
#[derive(Debug)]
pub struct Metrics {
    budget: Arc<Budget>,
    requests_grpc: AtomicU64,
    requests_http: AtomicU64,
    requests_stored: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    spans_accepted: AtomicU64,
    spans_rejected: AtomicU64,
    logs_accepted: AtomicU64,
    logs_rejected: AtomicU64,
    records_too_large: AtomicU64,
    envelopes_published: AtomicU64,
    publishes_again: AtomicU64,
    bytes_received: AtomicU64,
    bytes_decompressed: AtomicU64,
    bytes_published: AtomicU64,
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    connections_refused: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls on the port of gRPC that send records; each message of a LogService stream is one.
    pub requests_grpc: u64,
    /// Requests on the port of HTTP, except preflights that are allowed.
    pub requests_http: u64,
    /// Requests that were answered with success, wholly or in part.
    pub requests_stored: u64,
    /// Requests that were not, by reason, those that happened.
    pub refused: Vec<(Reason, u64)>,
    /// Spans that are stored.
    pub spans_accepted: u64,
    /// Spans of accepted requests that were left out: without valid ids, or larger than an envelope.
    pub spans_rejected: u64,
    /// Log records that are stored.
    pub logs_accepted: u64,
    /// Log records of accepted requests that were left out: larger than an envelope.
    pub logs_rejected: u64,
    /// Of those that were left out, the ones that are larger than an envelope.
    pub records_too_large: u64,
    /// Envelopes that the transport acknowledged.
    pub envelopes_published: u64,
    /// Publishes that were tried again because their outcome was unknown.
    pub publishes_again: u64,
    /// Bytes of requests as they came, without heads.
    pub bytes_received: u64,
    /// The same after decompression.
    pub bytes_decompressed: u64,
    /// Bytes of the acknowledged envelopes, encoded.
    pub bytes_published: u64,
    /// Memory that requests under way hold, of [`crate::Config::inflight_bytes_max`].
    pub inflight_bytes: u64,
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections that were closed at once because there were too many.
    pub connections_refused: u64,
}

impl Metrics {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            requests_grpc: AtomicU64::default(),
            requests_http: AtomicU64::default(),
            requests_stored: AtomicU64::default(),
            refused: Default::default(),
            spans_accepted: AtomicU64::default(),
            spans_rejected: AtomicU64::default(),
            logs_accepted: AtomicU64::default(),
            logs_rejected: AtomicU64::default(),
            records_too_large: AtomicU64::default(),
            envelopes_published: AtomicU64::default(),
            publishes_again: AtomicU64::default(),
            bytes_received: AtomicU64::default(),
            bytes_decompressed: AtomicU64::default(),
            bytes_published: AtomicU64::default(),
            connections_opened: AtomicU64::default(),
            connections_closed: AtomicU64::default(),
            connections_refused: AtomicU64::default(),
        }
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = Reason::ALL.into_iter().zip(self.refused.iter().map(get));
        // Closed is read first, so that the difference is never negative.
        let closed = get(&self.connections_closed);
        Snapshot {
            requests_grpc: get(&self.requests_grpc),
            requests_http: get(&self.requests_http),
            requests_stored: get(&self.requests_stored),
            refused: refused.filter(|(_, count)| *count > 0).collect(),
            spans_accepted: get(&self.spans_accepted),
            spans_rejected: get(&self.spans_rejected),
            logs_accepted: get(&self.logs_accepted),
            logs_rejected: get(&self.logs_rejected),
            records_too_large: get(&self.records_too_large),
            envelopes_published: get(&self.envelopes_published),
            publishes_again: get(&self.publishes_again),
            bytes_received: get(&self.bytes_received),
            bytes_decompressed: get(&self.bytes_decompressed),
            bytes_published: get(&self.bytes_published),
            inflight_bytes: self.budget.taken_bytes() as u64,
            connections_open: get(&self.connections_opened).saturating_sub(closed),
            connections_refused: get(&self.connections_refused),
        }
    }

    pub(crate) fn grpc_request(&self) {
        add(&self.requests_grpc, 1);
    }

    pub(crate) fn http_request(&self) {
        add(&self.requests_http, 1);
    }

    pub(crate) fn refused(&self, reason: Reason) {
        if let Some(counter) = self.refused.get(reason as usize) {
            add(counter, 1);
        }
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.bytes_received, bytes as u64);
    }

    pub(crate) fn decompressed(&self, bytes: usize) {
        add(&self.bytes_decompressed, bytes as u64);
    }

    pub(crate) fn stored_spans(&self, accepted: u64, rejected: u64) {
        add(&self.requests_stored, 1);
        add(&self.spans_accepted, accepted);
        add(&self.spans_rejected, rejected);
    }

    pub(crate) fn stored_logs(&self, accepted: u64, rejected: u64) {
        add(&self.requests_stored, 1);
        add(&self.logs_accepted, accepted);
        add(&self.logs_rejected, rejected);
    }

    pub(crate) fn too_large(&self, records: u64) {
        add(&self.records_too_large, records);
    }

    pub(crate) fn published(&self, envelopes: usize, bytes: usize) {
        add(&self.envelopes_published, envelopes as u64);
        add(&self.bytes_published, bytes as u64);
    }

    pub(crate) fn published_again(&self) {
        add(&self.publishes_again, 1);
    }

    pub(crate) fn connection_opened(&self) {
        add(&self.connections_opened, 1);
    }

    pub(crate) fn connection_closed(&self) {
        add(&self.connections_closed, 1);
    }

    pub(crate) fn connection_refused(&self) {
        add(&self.connections_refused, 1);
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(Arc::new(Budget::new(2_048, 1_024)))
    }

    #[test]
    fn a_snapshot_names_only_the_reasons_that_happened() {
        let metrics = metrics();
        metrics.refused(Reason::Internal);
        metrics.refused(Reason::Busy);
        metrics.refused(Reason::Busy);
        assert_eq!(
            metrics.snapshot().refused,
            vec![(Reason::Busy, 2), (Reason::Internal, 1)]
        );
    }

    #[test]
    fn stored_requests_count_their_records_by_signal() {
        let metrics = metrics();
        metrics.stored_spans(3, 1);
        metrics.stored_logs(5, 2);
        metrics.published(2, 700);
        let expected = Snapshot {
            requests_stored: 2,
            spans_accepted: 3,
            spans_rejected: 1,
            logs_accepted: 5,
            logs_rejected: 2,
            envelopes_published: 2,
            bytes_published: 700,
            ..Snapshot::default()
        };
        assert_eq!(metrics.snapshot(), expected);
    }
}
