//! Traces while their spans arrive: what a live list knows of each so far.
//!
//! A trace is open from its first span that arrives. The number of those that are remembered is bounded; the one that
//! has been quiet for longest is forgotten first, and begins anew when it speaks again. All texts are cut, so that the
//! bound on traces is one on bytes: a trace takes about 2 KiB at most.

use std::collections::{BTreeMap, HashMap};

use log_tracer_proto::{
    otlp::trace::{Span, status::StatusCode},
    v1::{ResourceEntry, SpanHit},
};

use crate::units::clip;

/// Services of a trace that are named.
const SERVICES_MAX: usize = 8;

/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 160;

/// Bytes of a service's name that are kept.
const SERVICE_BYTES_MAX: usize = 60;

/// What is known of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) id: [u8; 16],
    /// The root span, or the earliest of those that arrived.
    pub(super) service: String,
    pub(super) name: String,
    pub(super) start_unix_nano: u64,
    end_unix_nano: u64,
    pub(super) spans: u64,
    pub(super) errors: u64,
    /// Spans and errors of the first services that were heard.
    pub(super) services: BTreeMap<String, (u64, u64)>,
    /// Whether spans of further services came.
    pub(super) has_more_services: bool,
    has_root: bool,
    /// When its first span came, and its last, as numbers of arrivals.
    first: u64,
    last: u64,
    was_told: bool,
}

impl Open {
    /// From the earliest start to the latest end of what arrived.
    pub(super) fn duration_nano(&self) -> u64 {
        self.end_unix_nano.saturating_sub(self.start_unix_nano)
    }

    fn add(&mut self, span: &Span, service: &str) {
        let is_first = self.spans == 0;
        let is_root = span.parent_span_id.is_empty();
        let is_earlier = is_first || span.start_time_unix_nano < self.start_unix_nano;
        if (is_root && !self.has_root) || (is_earlier && self.has_root == is_root) {
            self.name = clip(&span.name, NAME_BYTES_MAX);
            self.service = clip(service, SERVICE_BYTES_MAX);
        }
        self.has_root |= is_root;
        if is_earlier {
            self.start_unix_nano = span.start_time_unix_nano;
        }
        // A span that has not ended has no end yet.
        let end = span.end_time_unix_nano.max(span.start_time_unix_nano);
        self.end_unix_nano = self.end_unix_nano.max(end);
        self.spans = self.spans.saturating_add(1);
        let is_error = span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == StatusCode::Error);
        self.errors = self.errors.saturating_add(is_error.into());
        let service = clip(service, SERVICE_BYTES_MAX);
        if self.services.len() >= SERVICES_MAX && !self.services.contains_key(&service) {
            self.has_more_services = true;
            return;
        }
        let counts = self.services.entry(service).or_default();
        counts.0 = counts.0.saturating_add(1);
        counts.1 = counts.1.saturating_add(is_error.into());
    }
}

/// The open traces of one reader.
#[derive(Debug)]
pub(super) struct OpenTraces {
    traces: HashMap<[u8; 16], Open>,
    /// By their last arrival.
    quiet: BTreeMap<u64, [u8; 16]>,
    /// What changed since it was told.
    changed: BTreeMap<u64, [u8; 16]>,
    arrivals: u64,
    traces_max: usize,
    unseen: u64,
}

impl OpenTraces {
    pub(super) fn new(traces_max: usize) -> Self {
        Self {
            traces: HashMap::new(),
            quiet: BTreeMap::new(),
            changed: BTreeMap::new(),
            arrivals: 0,
            traces_max,
            unseen: 0,
        }
    }

    /// Takes spans in. One without a valid trace id belongs to no trace.
    pub(super) fn take(&mut self, spans: &[SpanHit], resources: &[ResourceEntry]) {
        for hit in spans {
            let Some(span) = &hit.span else { continue };
            let id = <[u8; 16]>::try_from(span.trace_id.as_ref());
            let Some(id) = id.ok().filter(|id| *id != [0; 16]) else {
                continue;
            };
            let service = resources
                .get(hit.resource as usize)
                .map_or("unknown_service", |entry| entry.service.as_str());
            self.arrivals += 1;
            let now = self.arrivals;
            let open = self.traces.entry(id).or_insert_with(|| Open {
                id,
                first: now,
                ..Open::default()
            });
            self.quiet.remove(&open.last);
            open.add(span, service);
            open.last = now;
            self.quiet.insert(now, id);
            self.changed.insert(open.first, id);
            if self.traces.len() > self.traces_max {
                self.forget();
            }
        }
    }

    /// Forgets the trace that has been quiet for longest.
    fn forget(&mut self) {
        let Some((_, id)) = self.quiet.pop_first() else {
            return;
        };
        let Some(open) = self.traces.remove(&id) else {
            return;
        };
        if self.changed.remove(&open.first).is_some() && !open.was_told {
            self.unseen = self.unseen.saturating_add(1);
        }
    }

    /// Lets those that came last be told, and takes the others for told: so many are enough to begin with.
    pub(super) fn tell_only_the_last(&mut self, count: usize) {
        while self.changed.len() > count {
            let Some((_, id)) = self.changed.pop_first() else {
                return;
            };
            if let Some(open) = self.traces.get_mut(&id) {
                open.was_told = true;
            }
        }
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Traces that changed since they were told, in the order in which they came; at most so many.
    pub(super) fn changes(&mut self, count: usize) -> Vec<Open> {
        let mut told = Vec::new();
        while told.len() < count
            && let Some((_, id)) = self.changed.pop_first()
        {
            if let Some(open) = self.traces.get_mut(&id) {
                open.was_told = true;
                told.push(open.clone());
            }
        }
        told
    }

    /// Traces that came and were forgotten before they were told, since the last time this was asked.
    pub(super) fn take_unseen(&mut self) -> u64 {
        std::mem::take(&mut self.unseen)
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::otlp::trace::Status;
    use proptest::prelude::*;

    use super::*;

    fn hit(trace: u8, parent: bool, (start, end): (u64, u64), name: &str) -> SpanHit {
        SpanHit {
            span: Some(Span {
                trace_id: vec![trace; 16].into(),
                span_id: vec![1; 8].into(),
                parent_span_id: if parent { vec![2; 8] } else { Vec::new() }.into(),
                name: name.to_owned(),
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                ..Span::default()
            }),
            ..SpanHit::default()
        }
    }

    fn failed(hit: SpanHit) -> SpanHit {
        let span = hit.span.map(|span| Span {
            status: Some(Status {
                code: StatusCode::Error.into(),
                ..Status::default()
            }),
            ..span
        });
        SpanHit { span, ..hit }
    }

    fn resources() -> Vec<ResourceEntry> {
        vec![ResourceEntry {
            service: "web".to_owned(),
            ..ResourceEntry::default()
        }]
    }

    fn taken(open: &mut OpenTraces, spans: &[SpanHit]) -> Vec<Open> {
        open.take(spans, &resources());
        open.changes(100)
    }

    #[test]
    fn a_trace_appears_with_its_first_span_and_grows() {
        let mut open = OpenTraces::new(10);
        let first = taken(&mut open, &[hit(1, true, (20, 30), "charge")]);
        assert_eq!((first[0].name.as_str(), first[0].spans), ("charge", 1));
        assert!(!open.has_changes());
        let more = taken(
            &mut open,
            &[
                failed(hit(1, true, (15, 40), "query")),
                hit(1, false, (10, 35), "POST /checkout"),
            ],
        );
        let more = &more[0];
        assert_eq!((more.name.as_str(), more.spans), ("POST /checkout", 3));
        assert_eq!((more.errors, more.duration_nano()), (1, 30));
        assert_eq!(more.services["web"], (3, 1));
    }

    #[test]
    fn without_a_root_the_earliest_span_names_the_trace() {
        let mut open = OpenTraces::new(10);
        let spans = [
            hit(1, true, (20, 30), "late"),
            hit(1, true, (10, 30), "early"),
        ];
        assert_eq!(taken(&mut open, &spans)[0].name, "early");
        // A root does so even when its clock is behind.
        let root = taken(&mut open, &[hit(1, false, (25, 30), "root")]);
        assert_eq!(root[0].name, "root");
        let child = taken(&mut open, &[hit(1, true, (5, 30), "child")]);
        assert_eq!(child[0].name, "root");
    }

    #[test]
    fn the_quietest_is_forgotten_and_counted_when_nobody_saw_it() {
        let mut open = OpenTraces::new(2);
        open.take(
            &[1, 2, 1, 3].map(|trace| hit(trace, false, (0, 1), "a")),
            &resources(),
        );
        let told: Vec<u8> = open.changes(10).iter().map(|open| open.id[0]).collect();
        assert_eq!(told, [1, 3]);
        assert_eq!((open.take_unseen(), open.take_unseen()), (1, 0));
        // One that was told is no loss.
        open.take(&[hit(4, false, (0, 1), "a")], &resources());
        assert_eq!(open.take_unseen(), 0);
    }

    #[test]
    fn an_unfinished_span_has_no_duration_and_an_invalid_id_no_trace() {
        let mut open = OpenTraces::new(2);
        let told = taken(
            &mut open,
            &[
                hit(0, false, (0, 1), "none"),
                hit(1, false, (50, 0), "open"),
            ],
        );
        assert_eq!((told.len(), told[0].duration_nano()), (1, 0));
    }

    proptest! {
        #[test]
        fn every_trace_is_told_or_counted_and_the_bound_holds(
            traces in prop::collection::vec(1_u8..40, 0..200),
            max in 1_usize..20,
        ) {
            let mut open = OpenTraces::new(max);
            let spans: Vec<SpanHit> = traces.iter().map(|trace| hit(*trace, false, (0, 1), "a")).collect();
            open.take(&spans, &[]);
            prop_assert!(open.traces.len() <= max);
            prop_assert_eq!(open.quiet.len(), open.traces.len());
            let told = open.changes(usize::MAX);
            prop_assert_eq!(told.len(), open.traces.len());
            let distinct: std::collections::BTreeSet<u8> = traces.iter().copied().collect();
            prop_assert!(told.len() as u64 + open.take_unseen() >= distinct.len() as u64);
        }
    }
}
