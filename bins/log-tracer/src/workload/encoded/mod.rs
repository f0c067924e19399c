//! Requests of the shop that cost next to nothing to make: a pool of traces is encoded once, cut into requests, and each
//! use of a request copies its bytes and writes new ids, times and order numbers into the copy.
//!
//! The pool is gone through again and again; each time is a **round**. A trace of the pool in a round is an
//! **instance**: its ids follow from the seed, the round and its place in the pool (`ids`), its start is given when the
//! first request with a piece of it is handed out, and its durations are scaled by a factor of its own between 3/4
//! and 5/4. So spans and logs of an instance agree wherever the requests are cut, and no two instances are alike.
//!
//! Every resource carries the attribute [`RUN_ATTRIBUTE`], by which one run can be told from everything else that the
//! same server holds.
//!
//! - `build`: from traces to templates;
//! - `wire`: where the fields of an encoded message lie;
//! - `ids`: ids and words from numbers;
//! - `source`: hands the requests out, in order.

mod build;
mod ids;
mod source;
#[cfg(test)]
mod tests;
mod wire;

use std::ops::Range;

use super::Service;

use build::CorpusError;
pub(crate) use ids::{mix, order_of, trace_id_of};
pub(crate) use source::{Moment, Source, Ticket};

/// The resource attribute that names the run.
pub(crate) const RUN_ATTRIBUTE: &str = "load.run";

/// Which kind of record a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Signal {
    Spans,
    Logs,
}

impl Signal {
    pub(crate) const ALL: [Self; 2] = [Self::Spans, Self::Logs];
}

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    /// Records in a request; the last request of a round may hold fewer.
    pub(crate) batch: usize,
    pub(crate) spans: bool,
    pub(crate) logs: bool,
}

/// The pool, cut into requests.
#[derive(Debug)]
pub(crate) struct Corpus {
    seed: u64,
    /// Nanoseconds from the start of each trace until its last span ends.
    traces: Vec<u64>,
    /// In the order in which they are sent.
    templates: Vec<Template>,
}

/// An encoded request, and where it is patched.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) signal: Signal,
    pub(crate) records: u64,
    /// The traces of which it holds records.
    pub(crate) pieces: Vec<Piece>,
    /// Records of each service.
    pub(crate) services: Vec<(Service, u64)>,
    bytes: Vec<u8>,
    patches: Vec<Patch>,
}

/// The records of one trace in one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// The place of the trace in the pool.
    pub(crate) trace: usize,
    pub(crate) records: u64,
    /// Whether the records begin the trace, as far as this kind of record goes.
    pub(crate) is_first: bool,
    /// How many of them name the trace's order.
    pub(crate) order_records: u64,
}

#[derive(Clone, Copy, Debug)]
struct Patch {
    at: u32,
    piece: u32,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// 16 bytes.
    TraceId,
    /// 8 bytes; the number of a span in its trace.
    SpanId(u32),
    /// 8 bytes, little endian; nanoseconds after the start of the trace.
    Time(u64),
    /// Ten digits.
    Order,
    /// Eight digits.
    Session,
}

/// A trace of the pool in a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    /// From which its ids follow.
    pub(crate) key: u64,
    pub(crate) start_unix_nano: u64,
    /// Of its durations, in 1/65,536.
    factor: u64,
}

impl Instance {
    fn new(key: u64, start_unix_nano: u64) -> Self {
        Self {
            key,
            start_unix_nano,
            factor: factor_of(key),
        }
    }

    fn time(self, after: u64) -> u64 {
        self.start_unix_nano
            .saturating_add(scaled(after, self.factor))
    }
}

const fn factor_of(key: u64) -> u64 {
    // From 3/4 to 5/4.
    49_152 + (mix(key ^ 0xFAC7) & 0x7FFF)
}

const fn scaled(nanos: u64, factor: u64) -> u64 {
    nanos.saturating_mul(factor) >> 16
}

impl Template {
    /// Bytes of the request.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the request for these instances, one for each piece.
    pub(crate) fn write(&self, instances: &[Instance], out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&self.bytes);
        let Some(request) = out.get_mut(begin..) else {
            return;
        };
        for patch in &self.patches {
            let Some(instance) = instances.get(patch.piece as usize) else {
                continue;
            };
            let at = patch.at as usize;
            match patch.what {
                What::TraceId => put(request, at, &trace_id_of(instance.key)),
                What::SpanId(number) => put(request, at, &ids::span_id_of(instance.key, number)),
                What::Time(after) => put(request, at, &instance.time(after).to_le_bytes()),
                What::Order => put(request, at, &ids::order_digits(instance.key)),
                What::Session => put(request, at, &ids::session_digits(instance.key)),
            }
        }
    }
}

fn put<const N: usize>(request: &mut [u8], at: usize, bytes: &[u8; N]) {
    let place: Option<&mut [u8; N]> = request
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut());
    if let Some(place) = place {
        *place = *bytes;
    }
}

impl Corpus {
    /// Traces in the pool.
    pub(crate) fn traces(&self) -> usize {
        self.traces.len()
    }

    /// Records of a round.
    pub(crate) fn records(&self) -> u64 {
        self.templates.iter().map(|template| template.records).sum()
    }

    /// Names the run, as the attribute [`RUN_ATTRIBUTE`] does.
    pub(crate) fn run(&self) -> String {
        run_of(self.seed)
    }

    fn key(&self, round: u64, trace: usize) -> u64 {
        let number = round
            .wrapping_mul(self.traces.len() as u64)
            .wrapping_add(trace as u64);
        mix(mix(self.seed).wrapping_add(number))
    }
}

fn run_of(seed: u64) -> String {
    format!("run-{:016x}", mix(seed ^ 0x10AD))
}

/// A place in a buffer, where it is short enough to be patched.
fn offset(range: &Range<usize>) -> Result<u32, CorpusError> {
    u32::try_from(range.start).map_err(|_| CorpusError::TooLarge)
}
