//! Each of several consumers that are asked as one.

use log_tracer_proto::v1::{ConsumerRole, ConsumerStatus, PartitionStatus, StatusResponse};
use serde::Serialize;

use super::READY;
use crate::units::{age, clip, count, duration, plural};

/// One consumer in a line.
#[derive(Debug, Serialize)]
pub(super) struct ConsumerView {
    name: String,
    version: String,
    address: String,
    /// "good", "warn" or "bad".
    tone: &'static str,
    role: &'static str,
    health: String,
    partitions: String,
    replicas: String,
    lag: String,
    lags: bool,
    oldest: String,
    /// What it lacks of the log; empty when nothing is known to be missing.
    lacks: String,
    latency: String,
    /// How old what is shown is, of one that is away.
    said: String,
}

/// Consumers that are shown; a page with more helps nobody.
const CONSUMERS_MAX: usize = 200;

pub(super) fn consumers(status: &StatusResponse, now: u64) -> Vec<ConsumerView> {
    let shown = status.consumers.iter().take(CONSUMERS_MAX);
    shown.map(|one| view(one, now)).collect()
}

/// What is said of consumers that are away although nothing is missing: none when all answer.
pub(super) fn away(status: &StatusResponse) -> Option<String> {
    let is_away = |one: &&ConsumerStatus| one.role() == ConsumerRole::Away;
    let away: Vec<String> = status.consumers.iter().filter(is_away).map(name).collect();
    match away.as_slice() {
        [] => None,
        [one] => Some(format!("{one} is away")),
        [first, rest @ ..] => Some(format!("{first} and {} more are away", rest.len())),
    }
}

fn name(one: &ConsumerStatus) -> String {
    let known = one.status.as_ref().map(|status| status.name.as_str());
    match known {
        // Most names say what they are of.
        Some(name) if name.starts_with("consumer") => clip(name, 80),
        Some(name) => format!("consumer {}", clip(name, 80)),
        None => format!("the consumer at {}", clip(&one.address, 120)),
    }
}

fn view(one: &ConsumerStatus, now: u64) -> ConsumerView {
    let none = StatusResponse::default();
    let status = one.status.as_ref().unwrap_or(&none);
    let (role, is_answering) = match one.role() {
        ConsumerRole::Asked => ("asked first", true),
        ConsumerRole::Replica => ("replica", true),
        ConsumerRole::LeftOut => ("not asked", false),
        ConsumerRole::Away => ("away", false),
        ConsumerRole::Unspecified => ("–", false),
    };
    let is_well = one.health.is_empty() || one.health == READY;
    let kept = status.stores.iter().filter(|store| store.rows > 0);
    let oldest = kept.map(|store| store.oldest_unix_nano).min();
    ConsumerView {
        name: match status.name.is_empty() {
            true => "–".to_owned(),
            false => clip(&status.name, 80),
        },
        version: clip(&status.version, 40),
        address: clip(&one.address, 120),
        tone: match (is_answering, is_well) {
            (true, true) => "good",
            (true, false) => "warn",
            (false, _) => "bad",
        },
        role,
        health: clip(if is_well { READY } else { &one.health }, 300),
        partitions: partitions(&status.partitions),
        replicas: clip(&one.replicas.join(", "), 200),
        lag: plural(one.lag, "envelope", "envelopes"),
        lags: one.lag > 0,
        oldest: oldest.map_or_else(|| "–".to_owned(), |oldest| age(now, oldest)),
        lacks: lacks(&status.partitions),
        latency: match one.latency_us {
            0 => "–".to_owned(),
            micros => duration(micros.saturating_mul(1_000)),
        },
        said: match (one.role(), one.status_unix_nano) {
            (ConsumerRole::Away, then) if then > 0 => age(now, then),
            _ => String::new(),
        },
    }
}

/// "0 to 3, 7".
fn partitions(all: &[PartitionStatus]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for one in all.iter().map(|one| one.partition) {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(one) => *last = one,
            _ => ranges.push((one, one)),
        }
    }
    let texts = ranges.into_iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    });
    let texts: Vec<String> = texts.collect();
    match texts.is_empty() {
        true => "–".to_owned(),
        false => clip(&texts.join(", "), 120),
    }
}

/// What was in the log before it began, and what left the log before it was read.
fn lacks(all: &[PartitionStatus]) -> String {
    let sum = |count: fn(&PartitionStatus) -> u64| {
        let counts = all.iter().map(count);
        counts.fold(0, |sum: u64, one| sum.saturating_add(one))
    };
    let before = sum(|one| one.first_applied.unwrap_or(0));
    let lost = sum(|one| one.lost_offsets);
    let mut parts = Vec::new();
    if before > 0 {
        parts.push(format!("{} from before it began", count(before)));
    }
    if lost > 0 {
        parts.push(format!("{} that it could not read", count(lost)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(role: ConsumerRole, health: &str) -> ConsumerStatus {
        ConsumerStatus {
            address: "http://a:4319".to_owned(),
            role: role.into(),
            health: health.to_owned(),
            lag: 3,
            replicas: vec!["b".to_owned()],
            status: Some(StatusResponse {
                name: "a".to_owned(),
                partitions: [0, 1, 4]
                    .map(|partition| PartitionStatus {
                        partition,
                        first_applied: Some(10),
                        ..PartitionStatus::default()
                    })
                    .to_vec(),
                ..StatusResponse::default()
            }),
            ..ConsumerStatus::default()
        }
    }

    #[test]
    fn a_consumer_is_shown_with_what_it_has_and_what_it_lacks() {
        let one = view(&consumer(ConsumerRole::Replica, READY), 0);
        assert_eq!((one.tone, one.role), ("good", "replica"));
        assert_eq!(
            (one.partitions.as_str(), one.lag.as_str()),
            ("0 to 1, 4", "3 envelopes")
        );
        assert_eq!(one.lacks, "30 from before it began");
        let one = view(&consumer(ConsumerRole::Asked, "degraded"), 0);
        assert_eq!((one.tone, one.health.as_str()), ("warn", "degraded"));
    }

    #[test]
    fn those_that_are_away_are_named() {
        let mut status = StatusResponse::default();
        assert_eq!(away(&status), None);
        status.consumers = vec![
            consumer(ConsumerRole::Away, "away: gone"),
            consumer(ConsumerRole::Asked, READY),
        ];
        assert_eq!(away(&status).as_deref(), Some("consumer a is away"));
        assert_eq!(view(&status.consumers[0], 0).tone, "bad");
    }
}
