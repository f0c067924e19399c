//! A made-up shop whose traffic looks like a real system's: a dozen services in several languages, a database, a cache
//! and a queue; slow queries, timeouts, declined cards; logs that belong to spans. The demo sends it as it would happen,
//! the benchmark as fast as it can. The same seed gives the same traffic.
//!
//! - `services`: who there is;
//! - `recorder`: a trace while it is being made: spans that open, work and close, and their logs;
//! - `shop`: what happens: browsing, a cart, a checkout, work in the background;
//! - `encoded`: many requests of it, encoded once and then only patched.

pub(crate) mod encoded;
mod recorder;
mod services;
mod shop;

use std::collections::BTreeMap;

use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceRequest,
    collector_trace::ExportTraceServiceRequest,
    common::{InstrumentationScope, KeyValue},
    logs::{LogRecord, ResourceLogs, ScopeLogs},
    trace::{ResourceSpans, ScopeSpans, Span},
};

pub use recorder::attribute;
pub use services::Service;
pub use shop::Shop;

/// The spans and logs of one trace, each with the service that recorded it.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Spans in the order in which they opened.
    pub spans: Vec<(Service, Span)>,
    /// Log records in the order in which they were written.
    pub logs: Vec<(Service, LogRecord)>,
}

impl Traffic {
    /// Adds another trace.
    pub fn extend(&mut self, other: Self) {
        self.spans.extend(other.spans);
        self.logs.extend(other.logs);
    }

    /// The end of the span that ends last, in nanoseconds; 0 when there is none.
    #[must_use]
    pub fn end_unix_nano(&self) -> u64 {
        self.spans
            .iter()
            .map(|(_, span)| span.end_time_unix_nano)
            .max()
            .unwrap_or(0)
    }

    /// Moves everything to a later time.
    pub fn shift_by(&mut self, nanos: u64) {
        for (_, span) in &mut self.spans {
            span.start_time_unix_nano += nanos;
            span.end_time_unix_nano += nanos;
            for event in &mut span.events {
                event.time_unix_nano += nanos;
            }
        }
        for (_, record) in &mut self.logs {
            record.time_unix_nano += nanos;
            record.observed_time_unix_nano += nanos;
        }
    }

    /// As export requests, everything of one service in one resource.
    #[must_use]
    pub fn into_requests(self) -> (ExportTraceServiceRequest, ExportLogsServiceRequest) {
        let spans = by_service(self.spans)
            .into_iter()
            .map(|(service, spans)| ResourceSpans {
                resource: Some(service.resource()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope(service)),
                    spans,
                    schema_url: String::new(),
                }],
                schema_url: SCHEMA_URL.to_owned(),
            })
            .collect();
        let logs = by_service(self.logs)
            .into_iter()
            .map(|(service, log_records)| ResourceLogs {
                resource: Some(service.resource()),
                scope_logs: vec![ScopeLogs {
                    scope: Some(scope(service)),
                    log_records,
                    schema_url: String::new(),
                }],
                schema_url: SCHEMA_URL.to_owned(),
            })
            .collect();
        (
            ExportTraceServiceRequest {
                resource_spans: spans,
            },
            ExportLogsServiceRequest {
                resource_logs: logs,
            },
        )
    }
}

const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

fn scope(service: Service) -> InstrumentationScope {
    InstrumentationScope {
        name: format!("shop.{}", service.name()),
        version: "1.4.2".to_owned(),
        attributes: Vec::<KeyValue>::new(),
        dropped_attributes_count: 0,
    }
}

fn by_service<T>(items: Vec<(Service, T)>) -> BTreeMap<Service, Vec<T>> {
    let mut groups = BTreeMap::<Service, Vec<T>>::new();
    for (service, item) in items {
        groups.entry(service).or_default().push(item);
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const START: u64 = 1_700_000_000_000_000_000;

    fn traces(seed: u64, count: usize) -> Vec<Traffic> {
        let mut shop = Shop::new(seed);
        (0..count).map(|_| shop.next_trace(START)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_traffic() {
        let (one, two) = (traces(7, 20), traces(7, 20));
        for (a, b) in one.iter().zip(&two) {
            assert_eq!(a.spans, b.spans);
            assert_eq!(a.logs, b.logs);
        }
    }

    #[test]
    fn every_span_but_the_root_has_its_parent_in_the_trace_and_lies_after_its_start() {
        for trace in traces(1, 300) {
            let starts: HashMap<_, _> = trace
                .spans
                .iter()
                .map(|(_, span)| (span.span_id.clone(), span.start_time_unix_nano))
                .collect();
            assert_eq!(starts.len(), trace.spans.len(), "span ids are unique");
            let roots = trace
                .spans
                .iter()
                .filter(|(_, span)| span.parent_span_id.is_empty())
                .count();
            assert_eq!(roots, 1);
            for (_, span) in &trace.spans {
                assert!(span.end_time_unix_nano > span.start_time_unix_nano);
                if !span.parent_span_id.is_empty() {
                    let parent_start = starts[&span.parent_span_id];
                    assert!(span.start_time_unix_nano >= parent_start);
                }
            }
        }
    }

    #[test]
    fn every_log_of_a_trace_belongs_to_one_of_its_spans() {
        for trace in traces(2, 300) {
            for (service, record) in &trace.logs {
                let owner = trace
                    .spans
                    .iter()
                    .find(|(_, span)| span.span_id == record.span_id);
                let (owner_service, span) = owner.expect("a log names a span of its trace");
                assert_eq!(owner_service, service);
                assert!(record.time_unix_nano >= span.start_time_unix_nano);
                assert!(record.time_unix_nano <= span.end_time_unix_nano);
            }
        }
    }

    #[test]
    fn a_few_hundred_traces_show_errors_slow_spans_and_every_service() {
        let traces = traces(3, 500);
        let spans = || traces.iter().flat_map(|trace| &trace.spans);
        let errors = spans()
            .filter(|(_, span)| span.status.as_ref().is_some_and(|status| status.code == 2))
            .count();
        let slow = spans()
            .filter(|(_, span)| span.end_time_unix_nano - span.start_time_unix_nano > 1_000_000_000)
            .count();
        let services: std::collections::BTreeSet<_> =
            spans().map(|(service, _)| *service).collect();
        assert!(errors > 20, "{errors} spans with an error");
        assert!(slow > 5, "{slow} spans over a second");
        assert_eq!(services.len(), Service::ALL.len());
        assert!(traces.iter().any(|trace| trace.spans.len() >= 25));
    }
}
