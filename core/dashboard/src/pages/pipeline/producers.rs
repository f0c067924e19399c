//! What producers took in and what they refused, as each tells it.

use futures_util::future::join_all;
use log_tracer_proto::v1::{ClientClass, ProducerStatusResponse, RecentRefusal};
use serde::Serialize;

use super::{
    READY,
    disk::{Gauge, PartView, fact},
};
use crate::{
    app::App,
    clock::Moment,
    units::{age, bytes, clip, count},
};

/// Refusals that are listed of one producer.
const RECENT_MAX: usize = 50;

/// Producers that are asked and shown.
const PRODUCERS_MAX: usize = 100;

/// One producer.
#[derive(Debug, Serialize)]
pub(super) struct ProducerView {
    address: String,
    /// Why it does not answer; empty when it does.
    away: String,
    part: Option<PartView>,
    refused: Vec<ReasonView>,
    recent: Vec<RecentView>,
}

/// How often requests were refused for a reason.
#[derive(Debug, Serialize)]
struct ReasonView {
    words: &'static str,
    reason: String,
    count: String,
    retryable: bool,
}

#[derive(Debug, Serialize)]
struct RecentView {
    last: Moment,
    age: String,
    count: String,
    /// Since when, of several.
    since: String,
    reason: String,
    message: String,
    port: String,
    client: &'static str,
}

/// Asks all producers that are known.
pub(super) async fn ask(app: &App, now: u64) -> Vec<ProducerView> {
    let asked = app
        .producers
        .iter()
        .take(PRODUCERS_MAX)
        .map(|producer| async move {
            match producer.status().await {
                Ok(status) => view(&producer.address, &status, now),
                Err(away) => ProducerView {
                    address: clip(&producer.address, 120),
                    away,
                    part: None,
                    refused: Vec::new(),
                    recent: Vec::new(),
                },
            }
        });
    join_all(asked).await
}

fn view(address: &str, status: &ProducerStatusResponse, now: u64) -> ProducerView {
    let connections = status.connections_max.saturating_mul(2);
    let part = PartView {
        healthy: status.health == READY,
        health: clip(&status.health, 300),
        place: format!("started {}", age(now, status.started_unix_nano)),
        gauges: vec![
            Gauge::new(
                "Requests under way",
                status.inflight_bytes,
                status.inflight_bytes_max,
            ),
            Gauge::counted("Connections", status.connections_open, connections),
        ],
        facts: vec![
            fact("Requests stored", count(status.requests_stored)),
            fact("Spans accepted", count(status.spans_accepted)),
            fact("Log records accepted", count(status.logs_accepted)),
            fact(
                "Records left out",
                count(status.spans_rejected.saturating_add(status.logs_rejected)),
            ),
            fact("Bytes received", bytes(status.bytes_received)),
            fact("Connections refused", count(status.connections_refused)),
        ],
    };
    let refused = status
        .refused
        .iter()
        .take(RECENT_MAX)
        .map(|one| ReasonView {
            words: words(&one.reason),
            reason: clip(&one.reason, 40),
            count: count(one.count),
            retryable: one.retryable,
        });
    ProducerView {
        address: clip(address, 120),
        away: String::new(),
        part: Some(part),
        refused: refused.collect(),
        recent: status
            .recent
            .iter()
            .take(RECENT_MAX)
            .map(|one| recent(one, now))
            .collect(),
    }
}

fn recent(one: &RecentRefusal, now: u64) -> RecentView {
    RecentView {
        last: Moment::new(one.last_unix_nano),
        age: age(now, one.last_unix_nano),
        count: count(one.count),
        since: match one.count {
            0 | 1 => String::new(),
            _ => age(now, one.first_unix_nano),
        },
        reason: clip(&one.reason, 40),
        message: clip(&one.message, 400),
        port: clip(&one.port, 10),
        client: match one.client() {
            ClientClass::Unspecified => "–",
            ClientClass::ThisMachine => "this machine",
            ClientClass::PrivateNetwork => "private network",
            ClientClass::Elsewhere => "elsewhere",
        },
    }
}

/// A reason in words; empty for one that is not known here.
fn words(reason: &str) -> &'static str {
    match reason {
        "malformed" => "not what it says it is, or against a rule of the protocol",
        "too_large" => "larger than allowed",
        "encoding" => "of an unknown compression",
        "media_type" => "of an unknown content type",
        "not_found" => "to a path or method that is not there",
        "method" => "by an HTTP method that the path does not take",
        "wrong_port" => "HTTP on the port of gRPC, the reverse, or TLS on either",
        "origin" => "from a page that is not allowed",
        "slow_body" => "did not arrive in time",
        "disconnected" => "broken off by the sender",
        "memory" => "no memory for it until the deadline",
        "busy" => "the log had no room until the deadline",
        "full" => "the log has reached its limit",
        "draining" => "came while the producer was stopping",
        "outcome_unknown" => "the log could not tell whether it was stored",
        "transport_failed" => "the log is broken",
        "away" => "the log could not be reached",
        "response_too_large" => "the answer would be larger than allowed",
        "internal" => "a fault of the producer",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::RefusalCount;

    use super::*;

    #[test]
    fn a_refusal_is_shown_with_its_reason_and_its_place() {
        let status = ProducerStatusResponse {
            health: READY.to_owned(),
            refused: vec![RefusalCount {
                reason: "busy".to_owned(),
                count: 1_200,
                retryable: true,
            }],
            recent: vec![RecentRefusal {
                reason: "wrong_port".to_owned(),
                message: "this port speaks OTLP over gRPC".to_owned(),
                count: 3,
                first_unix_nano: 1,
                last_unix_nano: 2,
                client: ClientClass::PrivateNetwork.into(),
                port: "grpc".to_owned(),
            }],
            ..ProducerStatusResponse::default()
        };
        let view = view("http://p:4317", &status, 3);
        assert_eq!(view.refused[0].count, "1,200");
        assert!(view.refused[0].words.contains("no room"));
        let recent = &view.recent[0];
        assert_eq!(
            (recent.client, recent.count.as_str()),
            ("private network", "3")
        );
        assert!(!recent.since.is_empty());
    }
}
