//! A trace while it is being made. Time is the recorder's own: a span works for a while, calls others, and closes.

use bytes::Bytes;
use log_tracer_proto::otlp::{
    common::{AnyValue, KeyValue, any_value},
    logs::{LogRecord, SeverityNumber},
    trace::{
        Span, Status,
        span::{Event, SpanKind},
        status::StatusCode,
    },
};
use rand::{Rng, RngExt};

use super::{Service, Traffic};

/// Threads of a service.
const THREADS: i64 = 16;
const MICROSECOND: u64 = 1_000;
const MILLISECOND: f64 = 1_000_000.0;

/// Makes one trace.
#[derive(Debug)]
pub(super) struct Recorder<'a, R> {
    pub(super) rng: &'a mut R,
    trace_id: Bytes,
    traffic: Traffic,
}

/// A span that is open. Its clock stands where the work in it has come to.
#[derive(Debug)]
pub(super) struct Open {
    service: Service,
    index: usize,
    span_id: Bytes,
    now: u64,
    failed: bool,
}

impl Open {
    /// Whose span it is.
    pub(super) const fn service(&self) -> Service {
        self.service
    }

    /// Whether it has been marked as failed.
    pub(super) const fn failed(&self) -> bool {
        self.failed
    }
}

impl<'a, R: Rng> Recorder<'a, R> {
    pub(super) fn new(rng: &'a mut R) -> Self {
        // An id of only zeros would be invalid; the last byte is never zero.
        let trace_id = Bytes::copy_from_slice(&(rng.random::<u128>() | 1).to_be_bytes());
        Self {
            rng,
            trace_id,
            traffic: Traffic::default(),
        }
    }

    /// Opens the first span.
    pub(super) fn root(&mut self, service: Service, kind: SpanKind, name: &str, at: u64) -> Open {
        self.open(Bytes::new(), service, kind, name, at)
    }

    /// Opens a span below another, in the same service, where the other's clock stands.
    pub(super) fn child(&mut self, parent: &Open, kind: SpanKind, name: &str) -> Open {
        self.open(
            parent.span_id.clone(),
            parent.service,
            kind,
            name,
            parent.now,
        )
    }

    /// Opens the server's side of a call, a network's way after the client's.
    pub(super) fn remote(
        &mut self,
        client: &Open,
        service: Service,
        kind: SpanKind,
        name: &str,
    ) -> Open {
        let way = self.rng.random_range(150..900) * MICROSECOND;
        self.open(
            client.span_id.clone(),
            service,
            kind,
            name,
            client.now + way,
        )
    }

    fn open(
        &mut self,
        parent: Bytes,
        service: Service,
        kind: SpanKind,
        name: &str,
        at: u64,
    ) -> Open {
        let span_id = Bytes::copy_from_slice(&(self.rng.random::<u64>() | 1).to_be_bytes());
        self.traffic.spans.push((
            service,
            Span {
                trace_id: self.trace_id.clone(),
                span_id: span_id.clone(),
                parent_span_id: parent,
                // Sampled.
                flags: 1,
                name: name.to_owned(),
                kind: kind.into(),
                start_time_unix_nano: at,
                attributes: origin(self.rng, service, name),
                ..Span::default()
            },
        ));
        Open {
            service,
            index: self.traffic.spans.len() - 1,
            span_id,
            now: at,
            failed: false,
        }
    }

    /// Lets time pass: mostly near the median, now and then several times as much.
    pub(super) fn work(&mut self, open: &mut Open, median_ms: f64) {
        let spread: f64 = (0..4).map(|_| self.rng.random_range(-0.5..0.5)).sum();
        let factor = (spread * 1.1).exp();
        // Never nothing, so that a span ends after its start.
        open.now += (median_ms * factor * MILLISECOND) as u64 + MICROSECOND;
    }

    /// Sets an attribute of a span.
    pub(super) fn set(&mut self, open: &Open, key: &str, value: impl Into<AttributeValue>) {
        if let Some((_, span)) = self.traffic.spans.get_mut(open.index) {
            span.attributes.push(attribute(key, value));
        }
    }

    /// Adds an event to a span, where its clock stands.
    pub(super) fn event(&mut self, open: &Open, name: &str, attributes: Vec<KeyValue>) {
        if let Some((_, span)) = self.traffic.spans.get_mut(open.index) {
            span.events.push(Event {
                time_unix_nano: open.now,
                name: name.to_owned(),
                attributes,
                dropped_attributes_count: 0,
            });
        }
    }

    /// Marks a span as failed, with the exception that an SDK would record.
    pub(super) fn fail(&mut self, open: &mut Open, kind: &str, message: &str) {
        self.event(
            open,
            "exception",
            vec![
                attribute("exception.type", kind),
                attribute("exception.message", message),
            ],
        );
        self.fail_quietly(open, message);
    }

    /// Marks a span as failed because something below it did.
    pub(super) fn fail_quietly(&mut self, open: &mut Open, message: &str) {
        open.failed = true;
        if let Some((_, span)) = self.traffic.spans.get_mut(open.index) {
            span.status = Some(Status {
                message: message.to_owned(),
                code: StatusCode::Error.into(),
            });
        }
    }

    /// Writes a log line within a span, where its clock stands.
    pub(super) fn log(
        &mut self,
        open: &Open,
        severity: SeverityNumber,
        body: String,
        mut attributes: Vec<KeyValue>,
    ) {
        attributes.extend(origin(self.rng, open.service, &body));
        self.traffic.logs.push((
            open.service,
            LogRecord {
                time_unix_nano: open.now,
                observed_time_unix_nano: open.now,
                severity_number: severity.into(),
                severity_text: severity_text(severity).to_owned(),
                body: Some(AnyValue {
                    value: Some(any_value::Value::StringValue(body)),
                }),
                attributes,
                flags: 1,
                trace_id: self.trace_id.clone(),
                span_id: open.span_id.clone(),
                ..LogRecord::default()
            },
        ));
    }

    /// Ends a span, and moves the clock of the span that waited for it.
    pub(super) fn close_into(&mut self, open: Open, waiting: &mut Open) {
        let way = if open.service == waiting.service {
            0
        } else {
            self.rng.random_range(150..900) * MICROSECOND
        };
        waiting.now = waiting.now.max(open.now + way);
        self.close(&open);
    }

    /// Ends a span that nobody waits for.
    pub(super) fn close(&mut self, open: &Open) {
        if let Some((_, span)) = self.traffic.spans.get_mut(open.index) {
            span.end_time_unix_nano = open.now.max(span.start_time_unix_nano + MICROSECOND);
        }
    }

    pub(super) fn finish(self) -> Traffic {
        self.traffic
    }
}

/// Where in the code a span or a log line comes from, and in which thread where the SDK of the service's language names it.
fn origin(rng: &mut impl Rng, service: Service, what: &str) -> Vec<KeyValue> {
    // The same words stand in the same line.
    let line = what.bytes().take(12).map(i64::from).sum::<i64>();
    let mut attributes = vec![
        attribute("code.file.path", service.source_file()),
        attribute("code.line.number", line),
    ];
    let number = rng.random_range(1..=THREADS);
    if let Some(name) = service.thread(number) {
        attributes.push(attribute("thread.id", 20 + number));
        attributes.push(attribute("thread.name", name));
    }
    attributes
}

const fn severity_text(severity: SeverityNumber) -> &'static str {
    match severity {
        SeverityNumber::Debug => "DEBUG",
        SeverityNumber::Warn => "WARN",
        SeverityNumber::Error => "ERROR",
        SeverityNumber::Fatal => "FATAL",
        _ => "INFO",
    }
}

/// An attribute.
pub fn attribute(key: &str, value: impl Into<AttributeValue>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(value.into().0),
        }),
        key_strindex: 0,
    }
}

/// What the value of an attribute can be given as.
#[derive(Debug)]
pub struct AttributeValue(any_value::Value);

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self(any_value::Value::StringValue(text.to_owned()))
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self(any_value::Value::StringValue(text))
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self(any_value::Value::IntValue(number))
    }
}

impl From<f64> for AttributeValue {
    fn from(number: f64) -> Self {
        Self(any_value::Value::DoubleValue(number))
    }
}

impl From<bool> for AttributeValue {
    fn from(truth: bool) -> Self {
        Self(any_value::Value::BoolValue(truth))
    }
}
