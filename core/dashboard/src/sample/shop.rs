//! What is in the sample: the spans and the log records of one checkout.

use log_tracer_proto::otlp::{
    common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::Resource,
    trace::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, Link, SpanKind},
        status::StatusCode,
    },
};

/// The sample with its id and its time.
pub(super) struct Sample {
    trace_id: [u8; 16],
    start: u64,
}

impl Sample {
    /// Ends now.
    pub(super) fn new(trace_id: [u8; 16], now: u64) -> Self {
        let length_us = PLANS.iter().map(|plan| plan.end_us).max().unwrap_or(0);
        Self {
            trace_id,
            start: now.saturating_sub(length_us * 1_000),
        }
    }

    pub(super) fn spans(&self) -> Vec<ResourceSpans> {
        let of = |service: Service| PLANS.iter().filter(move |plan| plan.service == service);
        SERVICES
            .into_iter()
            .map(|service| ResourceSpans {
                resource: Some(resource(service)),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope()),
                    spans: of(service).map(|plan| self.span(plan)).collect(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            })
            .collect()
    }

    pub(super) fn logs(&self) -> Vec<ResourceLogs> {
        let of = |service: Service| LINES.iter().filter(move |line| line.service == service);
        SERVICES
            .into_iter()
            .map(|service| ResourceLogs {
                resource: Some(resource(service)),
                scope_logs: vec![ScopeLogs {
                    scope: Some(scope()),
                    log_records: of(service).map(|line| self.record(line)).collect(),
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            })
            .collect()
    }

    fn span(&self, plan: &Plan) -> Span {
        let at = |micros: u64| self.start + micros * 1_000;
        let exception = plan.error.map(|error| Event {
            time_unix_nano: at(plan.end_us) - 500_000,
            name: "exception".to_owned(),
            attributes: attributes(&[
                ("exception.type", "ConnectionReset"),
                ("exception.message", error),
            ]),
            ..Event::default()
        });
        // The second attempt points to the first.
        let link = (plan.id == 9).then(|| Link {
            trace_id: self.trace_id.to_vec().into(),
            span_id: self.span_id(7).into(),
            attributes: attributes(&[("link.reason", "retry of")]),
            ..Link::default()
        });
        Span {
            trace_id: self.trace_id.to_vec().into(),
            span_id: self.span_id(plan.id).into(),
            parent_span_id: if plan.parent == 0 {
                Vec::new()
            } else {
                self.span_id(plan.parent)
            }
            .into(),
            name: plan.name.to_owned(),
            kind: plan.kind.into(),
            start_time_unix_nano: at(plan.start_us),
            end_time_unix_nano: at(plan.end_us),
            attributes: attributes(plan.attributes),
            events: exception.into_iter().collect(),
            links: link.into_iter().collect(),
            status: plan.error.map(|error| Status {
                message: error.to_owned(),
                code: StatusCode::Error.into(),
            }),
            ..Span::default()
        }
    }

    fn record(&self, line: &Line) -> LogRecord {
        let time = self.start + line.at_us * 1_000;
        LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: time,
            severity_number: line.severity.into(),
            severity_text: line
                .severity
                .as_str_name()
                .trim_start_matches("SEVERITY_NUMBER_")
                .to_owned(),
            body: Some(AnyValue {
                value: Some(Value::StringValue(line.body.to_owned())),
            }),
            attributes: attributes(line.attributes),
            trace_id: self.trace_id.to_vec().into(),
            span_id: self.span_id(line.span).into(),
            ..LogRecord::default()
        }
    }

    /// Eight bytes that are the trace's own, and the number of the span, which is never 0.
    fn span_id(&self, number: u8) -> Vec<u8> {
        self.trace_id
            .iter()
            .take(7)
            .copied()
            .chain([number])
            .collect()
    }
}

/// The services that take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Web,
    Cart,
    Checkout,
    Payment,
    Mail,
}

const SERVICES: [Service; 5] = [
    Service::Web,
    Service::Cart,
    Service::Checkout,
    Service::Payment,
    Service::Mail,
];

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Web => "sample-web",
            Self::Cart => "sample-cart",
            Self::Checkout => "sample-checkout",
            Self::Payment => "sample-payment",
            Self::Mail => "sample-mail",
        }
    }
}

/// A span of the sample: times in microseconds after its start.
struct Plan {
    service: Service,
    id: u8,
    parent: u8,
    kind: SpanKind,
    name: &'static str,
    start_us: u64,
    end_us: u64,
    attributes: &'static [(&'static str, &'static str)],
    /// What went wrong.
    error: Option<&'static str>,
}

/// A log record of the sample.
struct Line {
    service: Service,
    span: u8,
    at_us: u64,
    severity: SeverityNumber,
    body: &'static str,
    attributes: &'static [(&'static str, &'static str)],
}

const fn plan(
    service: Service,
    (id, parent): (u8, u8),
    kind: SpanKind,
    name: &'static str,
    (start_us, end_us): (u64, u64),
    attributes: &'static [(&'static str, &'static str)],
) -> Plan {
    Plan {
        service,
        id,
        parent,
        kind,
        name,
        start_us,
        end_us,
        attributes,
        error: None,
    }
}

const PLANS: [Plan; 12] = [
    plan(
        Service::Web,
        (1, 0),
        SpanKind::Server,
        "POST /checkout",
        (0, 412_000),
        &[
            ("http.request.method", "POST"),
            ("http.route", "/checkout"),
            ("http.response.status_code", "200"),
            ("user.id", "u-1042"),
        ],
    ),
    plan(
        Service::Web,
        (2, 1),
        SpanKind::Client,
        "cart.Get",
        (4_000, 31_000),
        &[("rpc.system", "grpc")],
    ),
    plan(
        Service::Cart,
        (3, 2),
        SpanKind::Server,
        "cart.Get",
        (6_000, 29_000),
        &[("cart.items", "3")],
    ),
    plan(
        Service::Cart,
        (4, 3),
        SpanKind::Client,
        "HGETALL cart:u-1042",
        (9_000, 12_500),
        &[
            ("db.system.name", "redis"),
            ("db.operation.name", "HGETALL"),
        ],
    ),
    plan(
        Service::Web,
        (5, 1),
        SpanKind::Client,
        "checkout.Place",
        (34_000, 404_000),
        &[("rpc.system", "grpc")],
    ),
    plan(
        Service::Checkout,
        (6, 5),
        SpanKind::Server,
        "checkout.Place",
        (37_000, 401_000),
        &[("order.id", "o-7781"), ("order.total", "59.90")],
    ),
    Plan {
        error: Some("card processor: connection reset"),
        ..plan(
            Service::Checkout,
            (7, 6),
            SpanKind::Client,
            "payment.Charge",
            (52_000, 174_000),
            &[("rpc.system", "grpc"), ("retry.attempt", "1")],
        )
    },
    Plan {
        error: Some("connection reset by card processor"),
        ..plan(
            Service::Payment,
            (8, 7),
            SpanKind::Server,
            "payment.Charge",
            (55_000, 171_000),
            &[("payment.amount", "59.90"), ("payment.currency", "EUR")],
        )
    },
    plan(
        Service::Checkout,
        (9, 6),
        SpanKind::Client,
        "payment.Charge",
        (224_000, 352_000),
        &[("rpc.system", "grpc"), ("retry.attempt", "2")],
    ),
    plan(
        Service::Payment,
        (10, 9),
        SpanKind::Server,
        "payment.Charge",
        (227_000, 349_000),
        &[("payment.amount", "59.90"), ("payment.currency", "EUR")],
    ),
    plan(
        Service::Checkout,
        (11, 6),
        SpanKind::Producer,
        "publish order.placed",
        (366_000, 372_000),
        &[
            ("messaging.system", "kafka"),
            ("messaging.destination.name", "orders"),
        ],
    ),
    plan(
        Service::Mail,
        (12, 11),
        SpanKind::Consumer,
        "process order.placed",
        (381_000, 520_000),
        &[
            ("messaging.system", "kafka"),
            ("messaging.destination.name", "orders"),
        ],
    ),
];

const LINES: [Line; 7] = [
    Line {
        service: Service::Web,
        span: 1,
        at_us: 1_200,
        severity: SeverityNumber::Info,
        body: "checkout requested",
        attributes: &[("user.id", "u-1042")],
    },
    Line {
        service: Service::Cart,
        span: 3,
        at_us: 13_100,
        severity: SeverityNumber::Debug,
        body: "cart holds 3 items",
        attributes: &[("cart.items", "3")],
    },
    Line {
        service: Service::Payment,
        span: 8,
        at_us: 170_300,
        severity: SeverityNumber::Error,
        body: "charge failed: connection reset by card processor",
        attributes: &[("order.id", "o-7781"), ("error.type", "ConnectionReset")],
    },
    Line {
        service: Service::Checkout,
        span: 6,
        at_us: 174_800,
        severity: SeverityNumber::Warn,
        body: "payment attempt 1 of 3 failed, trying again in 50 ms",
        attributes: &[("order.id", "o-7781"), ("retry.attempt", "1")],
    },
    Line {
        service: Service::Payment,
        span: 10,
        at_us: 348_000,
        severity: SeverityNumber::Info,
        body: "charged 59.90 EUR",
        attributes: &[("order.id", "o-7781"), ("payment.amount", "59.90")],
    },
    Line {
        service: Service::Checkout,
        span: 6,
        at_us: 400_100,
        severity: SeverityNumber::Info,
        body: "order o-7781 placed",
        attributes: &[("order.id", "o-7781")],
    },
    Line {
        service: Service::Mail,
        span: 12,
        at_us: 519_000,
        severity: SeverityNumber::Info,
        body: "confirmation sent",
        attributes: &[("order.id", "o-7781")],
    },
];

fn resource(service: Service) -> Resource {
    Resource {
        attributes: attributes(&[
            ("service.name", service.name()),
            ("service.version", "1.0.0"),
            ("service.namespace", "sample"),
        ]),
        ..Resource::default()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "log-tracer.sample".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Whole numbers and decimals become numbers, everything else text.
fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs
        .iter()
        .map(|(key, text)| {
            let value = match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => Value::IntValue(number),
                (_, Ok(number)) => Value::DoubleValue(number),
                _ => Value::StringValue((*text).to_owned()),
            };
            KeyValue {
                key: (*key).to_owned(),
                value: Some(AnyValue { value: Some(value) }),
                ..KeyValue::default()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_span_has_its_parent_and_every_log_its_span() {
        let ids: HashSet<u8> = PLANS.iter().map(|plan| plan.id).collect();
        assert_eq!(ids.len(), PLANS.len());
        assert!(
            PLANS
                .iter()
                .all(|plan| plan.parent == 0 || ids.contains(&plan.parent))
        );
        assert!(LINES.iter().all(|line| ids.contains(&line.span)));
        assert!(PLANS.iter().all(|plan| plan.start_us < plan.end_us));
    }
}
