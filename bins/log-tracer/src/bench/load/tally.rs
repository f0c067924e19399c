//! What happened to the requests: counts, latencies, and a sample of what was acked, of bounded size.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::wire;
use crate::{
    bench::ledger::Ledger,
    workload::{
        Service,
        encoded::{Instance, Piece, Signal, Template, Ticket, mix},
    },
};

/// Latencies in microseconds, up to an hour, with an error of at most 1/1000.
pub(crate) type Micros = Histogram<u64>;

const LONGEST_MICROS: u64 = 3_600_000_000;

/// An empty histogram.
///
/// # Errors
/// None for these bounds; the crate's constructor cannot tell.
pub(crate) fn micros() -> Result<Micros, hdrhistogram::CreationError> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, 3)
}

/// Shared by all senders.
#[derive(Debug)]
pub(crate) struct Tally {
    inner: Mutex<Counts>,
    sample_max: usize,
}

/// Counts of one kind of record.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignalCounts {
    pub(crate) acked: u64,
    /// Sent, and nobody knows whether taken.
    pub(crate) unknown: u64,
    pub(crate) by_service: BTreeMap<Service, u64>,
}

/// A trace of which something was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct SampledTrace {
    /// From which its ids follow.
    pub(crate) key: u64,
    pub(crate) spans: u64,
    pub(crate) logs: u64,
    /// Log records that name its order.
    pub(crate) order_logs: u64,
    /// Records of which nobody knows.
    pub(crate) unknown: u64,
    pub(crate) start_unix_nano: u64,
}

#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) spans: SignalCounts,
    pub(crate) logs: SignalCounts,
    pub(crate) requests: u64,
    /// Of acked requests, as they went over the wire.
    pub(crate) bytes: u64,
    pub(crate) rejected: u64,
    /// Records of requests that were given up after a refusal.
    pub(crate) refused: u64,
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) retries: u64,
    /// Acked after nobody knew what became of an attempt before.
    pub(crate) retried_unknown: u64,
    /// From when a request was due until its ack.
    pub(crate) ack: Micros,
    /// From when it was sent until its ack; the same in a closed loop.
    pub(crate) service: Micros,
    pub(crate) visible: Micros,
    /// The earliest and the latest start of a trace.
    pub(crate) starts: Option<(u64, u64)>,
    sample: BTreeMap<u64, SampledTrace>,
}

impl Tally {
    /// Keeps a sample of at most so many traces.
    ///
    /// # Errors
    /// As [`micros`].
    pub(crate) fn new(sample_max: usize) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            inner: Mutex::new(Counts {
                spans: SignalCounts::default(),
                logs: SignalCounts::default(),
                requests: 0,
                bytes: 0,
                rejected: 0,
                refused: 0,
                refusals: BTreeMap::new(),
                retries: 0,
                retried_unknown: 0,
                ack: micros()?,
                service: micros()?,
                visible: micros()?,
                starts: None,
                sample: BTreeMap::new(),
            }),
            sample_max,
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts are whole after each line; a panic elsewhere changes nothing about them.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_counts(self) -> Counts {
        self.inner
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn acked(&self, request: &Sent<'_>, since_due: Duration, since_sent: Duration) {
        let mut counts = self.lock();
        record(&mut counts.ack, since_due);
        record(&mut counts.service, since_sent);
        counts.requests += 1;
        counts.bytes += request.bytes;
        counts.rejected += request.rejected;
        counts.retried_unknown += u64::from(request.was_unknown);
        let template = request.template;
        let signal = counts.signal(template.signal);
        signal.acked += template.records;
        for (service, records) in &template.services {
            *signal.by_service.entry(*service).or_default() += records;
        }
        counts.sample(request, self.sample_max, |sampled, piece| {
            match template.signal {
                Signal::Spans => sampled.spans += piece.records,
                Signal::Logs => {
                    sampled.logs += piece.records;
                    sampled.order_logs += piece.order_records;
                }
            }
        });
    }

    /// A request that was given up; `is_unknown` when it may have been taken.
    pub(crate) fn given_up(&self, request: &Sent<'_>, is_unknown: bool) {
        let mut counts = self.lock();
        if !is_unknown {
            counts.refused += request.template.records;
            return;
        }
        counts.signal(request.template.signal).unknown += request.template.records;
        counts.sample(request, self.sample_max, |sampled, piece| {
            sampled.unknown += piece.records;
        });
    }

    pub(crate) fn refusal(&self, status: &str) {
        wire::count(&mut self.lock().refusals, status);
    }

    pub(crate) fn retry(&self) {
        self.lock().retries += 1;
    }

    pub(crate) fn visible(&self, after: Duration) {
        record(&mut self.lock().visible, after);
    }
}

/// A request and what became of it.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) template: &'a Template,
    pub(crate) ticket: &'a Ticket,
    pub(crate) bytes: u64,
    pub(crate) rejected: u64,
    /// Whether an attempt before had an unknown outcome.
    pub(crate) was_unknown: bool,
}

impl Counts {
    fn signal(&mut self, signal: Signal) -> &mut SignalCounts {
        match signal {
            Signal::Spans => &mut self.spans,
            Signal::Logs => &mut self.logs,
        }
    }

    pub(crate) fn acked(&self) -> u64 {
        self.spans.acked + self.logs.acked
    }

    /// Keeps the traces whose numbers, mixed, are the least: so a trace is kept with all its pieces or not at all,
    /// however its requests were spread over the senders.
    fn sample(
        &mut self,
        request: &Sent<'_>,
        sample_max: usize,
        change: impl Fn(&mut SampledTrace, &Piece),
    ) {
        let pieces = request.template.pieces.iter();
        for (piece, instance) in pieces.zip(&request.ticket.instances) {
            let Instance {
                key,
                start_unix_nano,
                ..
            } = *instance;
            let (first, last) = self.starts.unwrap_or((start_unix_nano, start_unix_nano));
            self.starts = Some((first.min(start_unix_nano), last.max(start_unix_nano)));
            let rank = mix(key ^ 0x5A4D);
            let is_full = self.sample.len() >= sample_max;
            let highest = self.sample.last_key_value().map(|(rank, _)| *rank);
            if is_full && highest.is_none_or(|highest| rank > highest) {
                continue;
            }
            let sampled = self.sample.entry(rank).or_insert_with(|| SampledTrace {
                key,
                start_unix_nano,
                ..SampledTrace::default()
            });
            change(sampled, piece);
            if self.sample.len() > sample_max {
                self.sample.pop_last();
            }
        }
    }

    /// What was acked, for a check later.
    pub(crate) fn ledger(&self, run: String, seed: u64) -> Ledger {
        Ledger::new(run, seed, self, self.sample.values())
    }
}

pub(crate) fn record(micros: &mut Micros, time: Duration) {
    micros.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
}
