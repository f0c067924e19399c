//! What each producer took in and what it refused, as it tells itself.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use log_tracer_proto::v1::{ProducerStatusResponse, RefusalCount};

use super::{
    own::seconds,
    write::{Kind, Page},
};
use crate::producers::Link;

/// Reasons of refusals that are written, for each producer; there are some dozens of them.
const REASONS_MAX: usize = 100;

/// A producer's address, and what it said, if it said anything.
type Told = (String, Option<ProducerStatusResponse>);

/// A family with one sample a producer: its name, its kind, what it is, and its value.
type Row = (
    &'static str,
    Kind,
    &'static str,
    fn(&ProducerStatusResponse) -> f64,
);

/// Asks all producers at once.
pub(super) async fn ask(producers: &[Link]) -> Vec<Told> {
    let mut told =
        join_all(producers.iter().map(|producer| async move {
            (producer.address.clone(), producer.status().await.ok())
        }))
        .await;
    // Two that are configured alike would be the same series.
    let mut seen = BTreeSet::new();
    told.retain(|(address, _)| seen.insert(address.clone()));
    told
}

/// Writes what they said.
pub(super) fn write(told: &[Told], page: &mut Page) {
    if told.is_empty() {
        return;
    }
    page.family(
        "log_tracer_producer_up",
        Kind::Gauge,
        "Whether the producer says how it is.",
    );
    for (address, status) in told {
        page.sample(&[("producer", address)], status.is_some());
    }
    let known: Vec<(&str, &ProducerStatusResponse)> = told
        .iter()
        .filter_map(|(address, status)| Some((address.as_str(), status.as_ref()?)))
        .collect();
    if known.is_empty() {
        return;
    }
    for (name, kind, help, value) in &ROWS {
        page.family(name, *kind, help);
        for (address, status) in &known {
            page.sample(&[("producer", *address)], value(status));
        }
    }
    page.family(
        "log_tracer_producer_accepted_records",
        Kind::Counter,
        "Records that are stored, by signal.",
    );
    by_signal(&known, page, |status| {
        (status.spans_accepted, status.logs_accepted)
    });
    page.family(
        "log_tracer_producer_rejected_records",
        Kind::Counter,
        "Records that were left out of requests that are stored, by signal: without valid ids, or too large.",
    );
    by_signal(&known, page, |status| {
        (status.spans_rejected, status.logs_rejected)
    });
    refusals(&known, page);
}

fn by_signal(
    known: &[(&str, &ProducerStatusResponse)],
    page: &mut Page,
    values: impl Fn(&ProducerStatusResponse) -> (u64, u64),
) {
    for (address, status) in known {
        let (spans, logs) = values(status);
        for (signal, value) in [("spans", spans), ("logs", logs)] {
            page.sample(&[("producer", address), ("signal", signal)], value);
        }
    }
}

fn refusals(known: &[(&str, &ProducerStatusResponse)], page: &mut Page) {
    page.family(
        "log_tracer_producer_refused_requests",
        Kind::Counter,
        "Requests that were not stored, by reason, and whether the same request may be sent again.",
    );
    for (address, status) in known {
        let mut seen = BTreeSet::new();
        let distinct = status
            .refused
            .iter()
            .filter(|refused| seen.insert(refused.reason.as_str()));
        for RefusalCount {
            reason,
            count,
            retryable,
        } in distinct.take(REASONS_MAX)
        {
            let retryable = if *retryable { "true" } else { "false" };
            let labels = [
                ("producer", *address),
                ("reason", reason.as_str()),
                ("retryable", retryable),
            ];
            page.sample(&labels, *count);
        }
    }
}

const ROWS: [Row; 8] = [
    (
        "log_tracer_producer_start_time_seconds",
        Kind::Gauge,
        "When the producer started, since 1970.",
        |status| seconds(status.started_unix_nano),
    ),
    (
        "log_tracer_producer_healthy",
        Kind::Gauge,
        "Whether nothing is wrong with the log that it publishes to.",
        |status| if status.health == "ready" { 1.0 } else { 0.0 },
    ),
    (
        "log_tracer_producer_stored_requests",
        Kind::Counter,
        "Requests that are stored.",
        |status| status.requests_stored as f64,
    ),
    (
        "log_tracer_producer_received_bytes",
        Kind::Counter,
        "Bytes of requests, as they arrived.",
        |status| status.bytes_received as f64,
    ),
    (
        "log_tracer_producer_inflight_bytes",
        Kind::Gauge,
        "Memory that requests under way hold.",
        |status| status.inflight_bytes as f64,
    ),
    (
        "log_tracer_producer_inflight_max_bytes",
        Kind::Gauge,
        "Memory that requests under way may hold.",
        |status| status.inflight_bytes_max as f64,
    ),
    (
        "log_tracer_producer_connections",
        Kind::Gauge,
        "Open connections, of both ports.",
        |status| status.connections_open as f64,
    ),
    (
        "log_tracer_producer_refused_connections",
        Kind::Counter,
        "Connections that were refused, because there were as many as may be.",
        |status| status.connections_refused as f64,
    ),
];

#[cfg(test)]
mod tests {
    use super::{super::write::Format, *};

    fn text(told: &[Told]) -> String {
        let mut page = Page::new(Format::Text);
        write(told, &mut page);
        page.finish()
    }

    #[test]
    fn a_producer_that_does_not_answer_is_down_and_the_others_are_told_of() {
        let status = ProducerStatusResponse {
            health: "ready".to_owned(),
            spans_accepted: 7,
            refused: vec![RefusalCount {
                reason: "full \"now\"".to_owned(),
                count: 3,
                retryable: true,
            }],
            ..ProducerStatusResponse::default()
        };
        let text = text(&[
            ("http://a".to_owned(), Some(status)),
            ("http://b".to_owned(), None),
        ]);
        for line in [
            "log_tracer_producer_up{producer=\"http://a\"} 1",
            "log_tracer_producer_up{producer=\"http://b\"} 0",
            "log_tracer_producer_healthy{producer=\"http://a\"} 1",
            "log_tracer_producer_accepted_records_total{producer=\"http://a\",signal=\"spans\"} 7",
            "log_tracer_producer_refused_requests_total{producer=\"http://a\",reason=\"full \\\"now\\\"\",retryable=\"true\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("healthy{producer=\"http://b\"}"));
    }

    #[test]
    fn without_a_producer_nothing_is_written() {
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn what_a_producer_makes_up_stays_bounded_and_no_series_stands_twice() {
        let reason = |number: usize| RefusalCount {
            reason: format!("reason {}", number / 2),
            count: 1,
            retryable: false,
        };
        let status = ProducerStatusResponse {
            refused: (0..10_000).map(reason).collect(),
            ..ProducerStatusResponse::default()
        };
        let text = text(&[("http://a".to_owned(), Some(status))]);
        let series: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("log_tracer_producer_refused_requests_total"))
            .collect();
        assert_eq!(series.len(), REASONS_MAX);
        assert_eq!(series.iter().collect::<BTreeSet<_>>().len(), REASONS_MAX);
    }
}
