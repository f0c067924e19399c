//! Traces that services could have sent, in pieces and in any order.

use std::sync::Arc;

use bytes::Bytes;
use log_tracer_record::{
    LogRow, ResourceContext, ScopeContext, SpanRow,
    otlp::{
        common::{AnyValue, KeyValue, any_value::Value},
        logs::LogRecord,
        resource::Resource,
        trace::{Span, Status, span::SpanKind},
    },
};
use proptest::{collection::vec, prelude::*};

use crate::plain::minute;

pub(crate) const START: u64 = 1_700_000_040_000_000_000;

/// What happens to a store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Spans(Vec<SpanRow>),
    Logs(Vec<LogRow>),
    Seal,
}

/// What one span of a trace does next.
#[derive(Clone, Debug)]
struct Move {
    /// Which of the spans so far.
    of: usize,
    what: u8,
    service: usize,
    name: usize,
    nanos: u64,
    later: u64,
    is_error: bool,
    flags: u32,
}

const SERVICES: [&str; 5] = ["cart", "payment", "frontend", "mail", "ärger"];
const NAMES: [&str; 4] = ["GET /", "pay", "", "send mail"];

fn one_move() -> impl Strategy<Value = Move> {
    let nanos = prop_oneof![
        4 => 1_000_000..500_000_000_u64,
        1 => Just(0),
        1 => (any::<u64>(), 1..64_u32).prop_map(|(nanos, shift)| nanos >> shift >> 1),
    ];
    (
        (0..9_usize, 0..8_u8, 0..SERVICES.len(), 0..NAMES.len()),
        (nanos, 0..90_u64, any::<bool>(), 0..3_usize),
    )
        .prop_map(
            |((of, what, service, name), (nanos, later, is_error, flags))| Move {
                of,
                what,
                service,
                name,
                nanos,
                later: later * 1_000_000_000,
                is_error,
                flags: [0, 0x100, 0x300][flags],
            },
        )
}

pub(crate) fn resource(service: &str) -> Arc<ResourceContext> {
    let resource = Resource {
        attributes: vec![text("service.name", service)],
        ..Resource::default()
    };
    Arc::new(ResourceContext::new(resource, String::new()))
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// A trace that grows.
struct Growing {
    id: u64,
    start: u64,
    spans: Vec<(usize, Span)>,
}

impl Growing {
    fn add(&mut self, parent: Option<&Span>, kind: SpanKind, service: usize, from: &Move) -> Span {
        let start = parent.map_or(self.start, |parent| parent.start_time_unix_nano) + from.later;
        // Small numbers, the same in every trace.
        let id = (self.spans.len() as u64 + 1).to_be_bytes();
        let span = Span {
            trace_id: Bytes::copy_from_slice(&u128::from(self.id).to_be_bytes()),
            span_id: Bytes::copy_from_slice(&id),
            parent_span_id: parent.map_or(Bytes::new(), |parent| parent.span_id.clone()),
            name: NAMES[from.name].to_owned(),
            kind: kind as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: start.saturating_add(from.nanos),
            status: from.is_error.then(|| Status {
                code: 2,
                message: String::new(),
            }),
            flags: match kind {
                // What a parent of another process can be told of.
                SpanKind::Server | SpanKind::Consumer => from.flags,
                _ => from.flags & 0x100,
            },
            ..Span::default()
        };
        self.spans.push((service, span.clone()));
        span
    }

    fn attribute(&mut self, attributes: Vec<KeyValue>) {
        if let Some((_, span)) = self.spans.last_mut() {
            span.attributes = attributes;
        }
    }

    /// Lets a span of the trace do something. Who calls another service is a client or a producer, and calls one.
    fn step(&mut self, from: &Move) {
        let (service, parent) = self.spans[from.of % self.spans.len()].clone();
        let is_calling = |span: &Span| matches!(span.kind(), SpanKind::Client | SpanKind::Producer);
        if is_calling(&parent) {
            return;
        }
        let peers = [
            Vec::new(),
            vec![text("server.address", "api.example.com")],
            vec![
                text("net.peer.name", "old.example.com"),
                text("peer.service", "bank"),
            ],
        ];
        let peer = peers[from.name % 3].clone();
        match from.what {
            0 | 1 => {
                self.add(Some(&parent), SpanKind::Internal, service, from);
            }
            2 => {
                self.add(Some(&parent), SpanKind::Client, service, from);
                self.attribute(vec![
                    text("server.address", "db"),
                    text("db.system", "redis"),
                ]);
            }
            3 => {
                self.add(Some(&parent), SpanKind::Client, service, from);
                self.attribute(peer);
            }
            4 => {
                let queue = vec![
                    text("messaging.destination.name", "orders"),
                    text("messaging.system", "kafka"),
                ];
                let sent = self.add(Some(&parent), SpanKind::Producer, service, from);
                self.attribute(queue);
                if from.is_error {
                    self.add(Some(&sent), SpanKind::Consumer, from.service, from);
                }
            }
            5 => {
                // A caller that sends no spans.
                let missing = Span {
                    span_id: Bytes::copy_from_slice(&[9; 8]),
                    start_time_unix_nano: parent.start_time_unix_nano,
                    ..Span::default()
                };
                self.add(Some(&missing), SpanKind::Server, from.service, from);
            }
            _ => {
                let call = self.add(Some(&parent), SpanKind::Client, service, from);
                self.attribute(peer);
                self.add(Some(&call), SpanKind::Server, from.service, from);
            }
        }
    }
}

fn traces() -> impl Strategy<Value = Vec<SpanRow>> {
    let trace = (vec(one_move(), 1..12), 0..30_u64);
    vec(trace, 0..8).prop_map(|traces| {
        let mut rows = Vec::new();
        for (id, (moves, at)) in (1..).zip(traces) {
            let mut trace = Growing {
                id,
                start: START + at * minute(),
                spans: Vec::new(),
            };
            trace.add(None, SpanKind::Server, moves[0].service, &moves[0]);
            moves.iter().skip(1).for_each(|one| trace.step(one));
            let row = |(service, span): (usize, Span)| SpanRow {
                resource: resource(SERVICES[service]),
                scope: Arc::new(ScopeContext::default()),
                span,
            };
            rows.extend(trace.spans.into_iter().map(row));
        }
        rows
    })
}

fn logs() -> impl Strategy<Value = Vec<LogRow>> {
    let log = (0..SERVICES.len(), 0..25_i32, 0..40 * 60_u64);
    let log = log.prop_map(|(service, severity, second)| LogRow {
        resource: resource(SERVICES[service]),
        scope: Arc::new(ScopeContext::default()),
        record: LogRecord {
            time_unix_nano: START + second * 1_000_000_000,
            severity_number: severity,
            ..LogRecord::default()
        },
    });
    vec(log, 0..20)
}

/// Traces cut into pieces that arrive in any order, log records, and flushes between.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let shuffled = traces().prop_shuffle();
    (
        shuffled,
        vec(1..9_usize, 1..8),
        vec(logs(), 0..4),
        vec(any::<bool>(), 1..16),
    )
        .prop_map(|(rows, sizes, logs, seals)| {
            let mut steps: Vec<Step> = Vec::new();
            let (mut rows, mut sizes) = (rows.as_slice(), sizes.iter().cycle());
            let (mut logs, mut seals) = (logs.into_iter(), seals.iter().cycle());
            while !rows.is_empty() {
                let size = sizes.next().unwrap_or(&1);
                let (now, later) = rows.split_at(*size.min(&rows.len()));
                steps.push(Step::Spans(now.to_vec()));
                steps.extend(logs.next().map(Step::Logs));
                steps.extend(seals.next().filter(|seal| **seal).map(|_| Step::Seal));
                rows = later;
            }
            steps
        })
}
