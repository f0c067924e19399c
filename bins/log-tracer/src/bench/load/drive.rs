//! Drives the senders: takes requests from the source when they are due, sends them, tries again what may be tried
//! again, and accounts for each.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use log_tracer_proto::v1::Position;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    pace::Pace,
    tally::{Sent, Tally},
    wire::{Answer, Wire},
};
use crate::{
    bench::BenchError,
    workload::encoded::{Moment, Source, Template, Ticket, trace_id_of},
};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drive {
    pub(crate) pace: Pace,
    pub(crate) in_flight: u16,
    pub(crate) records_max: Option<u64>,
    pub(crate) duration_max: Option<Duration>,
    /// How long a request is tried again before it is given up.
    pub(crate) retry_for: Duration,
    pub(crate) times: Times,
}

/// The times that records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// Those of now.
    Now,
    /// Spread over the past: the first trace starts at this time, each next one a step later.
    Spread { first_unix_nano: u64, step: u64 },
}

/// An ack to be followed until its records can be found.
#[derive(Debug)]
pub(crate) struct Acked {
    pub(crate) trace_id: [u8; 16],
    pub(crate) positions: Vec<Position>,
    pub(crate) at: Instant,
}

/// What all senders share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) source: Source,
    pub(crate) tally: Tally,
    pub(crate) drive: Drive,
    /// Where acks go that somebody follows; what does not fit is not followed.
    pub(crate) follow: Mutex<Option<mpsc::Sender<Acked>>>,
}

impl Shared {
    /// Lets whoever follows acks come to an end.
    pub(crate) fn stop_following(&self) {
        *self.follow.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Sends over all wires until there is no more to send. Returns the time from the start until the last answer.
///
/// # Errors
/// When a sender ended early.
pub(crate) async fn drive<W: Wire>(
    shared: &Arc<Shared>,
    wires: &[Arc<W>],
) -> Result<Duration, BenchError> {
    let start = Start {
        at: Instant::now(),
        unix_nano: unix_nano_now(),
    };
    let mut senders = JoinSet::new();
    for wire in wires {
        for _ in 0..shared.drive.in_flight.max(1) {
            let (shared, wire) = (Arc::clone(shared), Arc::clone(wire));
            senders.spawn(async move { send_all(&shared, &*wire, start).await });
        }
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    Ok(start.at.elapsed())
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub(crate) fn unix_nano_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[derive(Clone, Copy, Debug)]
struct Start {
    at: Instant,
    unix_nano: u64,
}

async fn send_all<W: Wire>(shared: &Shared, wire: &W, start: Start) -> Result<(), BenchError> {
    while let Some(ticket) = next(shared, start) {
        let Some(template) = shared.source.template(&ticket) else {
            continue;
        };
        let body = wire.body(template, &ticket).map_err(BenchError::Encode)?;
        let due = match shared.drive.pace.due(ticket.records_before) {
            Some(after) => {
                let due = start.at + after;
                tokio::time::sleep_until(due).await;
                due
            }
            None => Instant::now(),
        };
        send_one(shared, wire, template, &ticket, body, due).await;
    }
    Ok(())
}

fn next(shared: &Shared, start: Start) -> Option<Ticket> {
    let drive = &shared.drive;
    let is_over = drive
        .duration_max
        .is_some_and(|max| start.at.elapsed() >= max);
    if is_over && drive.pace == Pace::Closed {
        return None;
    }
    shared
        .source
        .next(drive.records_max, |records_before| match drive.times {
            Times::Spread {
                first_unix_nano,
                step,
            } => Moment::Spread {
                first_unix_nano,
                step,
            },
            Times::Now => {
                let after = drive.pace.due(records_before);
                let after = after.unwrap_or_else(|| start.at.elapsed()).as_nanos();
                let after = u64::try_from(after).unwrap_or(u64::MAX);
                Moment::EndingAt(start.unix_nano.saturating_add(after))
            }
        })
}

async fn send_one<W: Wire>(
    shared: &Shared,
    wire: &W,
    template: &Template,
    ticket: &Ticket,
    body: bytes::Bytes,
    due: Instant,
) {
    let tally = &shared.tally;
    let mut sent = Sent {
        template,
        ticket,
        bytes: body.len() as u64,
        rejected: 0,
        was_unknown: false,
    };
    let first = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = match wire.send(template.signal, body.clone()).await {
            Answer::Acked {
                rejected,
                positions,
            } => {
                let now = Instant::now();
                sent.rejected = rejected;
                tally.acked(&sent, now - due, now - first);
                follow(shared, template, ticket, positions, now);
                return;
            }
            Answer::Refused { status, retry } => {
                tally.refusal(&status);
                let Some(asked) = retry else {
                    return tally.given_up(&sent, sent.was_unknown);
                };
                asked.unwrap_or(pause)
            }
            Answer::Unknown { reason } => {
                tally.refusal(&reason);
                sent.was_unknown = true;
                pause
            }
        };
        if first.elapsed() + wait > shared.drive.retry_for {
            return tally.given_up(&sent, sent.was_unknown);
        }
        tally.retry();
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Hands the last trace that begins in the request to whoever looks how soon it can be found.
fn follow(
    shared: &Shared,
    template: &Template,
    ticket: &Ticket,
    positions: Vec<Position>,
    at: Instant,
) {
    let follow = shared.follow.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(follow) = &*follow else { return };
    let pieces = template.pieces.iter().zip(&ticket.instances);
    let begun = pieces.rev().find(|(piece, _)| piece.is_first);
    if let Some((_, instance)) = begun {
        let acked = Acked {
            trace_id: trace_id_of(instance.key),
            positions,
            at,
        };
        // A sample: when its reader is busy, this one is not followed.
        follow.try_send(acked).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::atomic::{AtomicU64, Ordering},
    };

    use bytes::Bytes;

    use super::*;
    use crate::workload::encoded::{Corpus, Shape, Signal};

    /// A server that answers at once, but for one request that takes a second, and during which all others wait.
    struct Stalling {
        requests: AtomicU64,
        busy: tokio::sync::Mutex<()>,
        stalls_at: u64,
    }

    impl Wire for Stalling {
        fn body(&self, _: &Template, _: &Ticket) -> io::Result<Bytes> {
            Ok(Bytes::new())
        }

        async fn send(&self, _: Signal, _: Bytes) -> Answer {
            let _turn = self.busy.lock().await;
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let takes = if number == self.stalls_at { 1_000 } else { 1 };
            tokio::time::sleep(Duration::from_millis(takes)).await;
            Answer::Acked {
                rejected: 0,
                positions: Vec::new(),
            }
        }
    }

    fn shared(pace: Pace, records_max: u64) -> Arc<Shared> {
        let shape = Shape {
            seed: 1,
            batch: 10,
            spans: true,
            logs: false,
        };
        Arc::new(Shared {
            source: Source::new(Arc::new(Corpus::new(shape).unwrap())),
            tally: Tally::new(10).unwrap(),
            drive: Drive {
                pace,
                in_flight: 1,
                records_max: Some(records_max),
                duration_max: None,
                retry_for: Duration::from_secs(30),
                times: Times::Now,
            },
            follow: Mutex::new(None),
        })
    }

    fn stalling(stalls_at: u64) -> Arc<Stalling> {
        Arc::new(Stalling {
            requests: AtomicU64::new(0),
            busy: tokio::sync::Mutex::new(()),
            stalls_at,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_loop_measures_all_who_waited_for_a_stall_and_a_closed_loop_only_one() {
        // 100 requests a second for five seconds; the server stalls for one of them.
        let open = shared(
            Pace::Open {
                records_per_s: 1_000.0,
            },
            5_000,
        );
        let took = drive(&open, &[stalling(100)]).await.unwrap();
        assert!(took >= Duration::from_millis(4_900), "{took:?}");
        {
            let counts = open.tally.lock();
            assert_eq!(counts.requests, 500);
            assert!(counts.ack.max() >= 1_000_000);
            // About 110 requests came due while the server stood still or caught up, spread evenly over that second.
            assert!(
                counts.ack.value_at_quantile(0.9) > 400_000,
                "{}",
                counts.ack.value_at_quantile(0.9)
            );
            assert!(counts.service.value_at_quantile(0.99) < 5_000);
        }

        let closed = shared(Pace::Closed, 5_000);
        drive(&closed, &[stalling(100)]).await.unwrap();
        let counts = closed.tally.lock();
        assert_eq!(counts.requests, 500);
        assert!(counts.ack.max() >= 1_000_000);
        assert!(counts.ack.value_at_quantile(0.99) < 5_000);
    }

    /// Refuses the first attempts in different ways.
    struct Refusing(AtomicU64);

    impl Wire for Refusing {
        fn body(&self, _: &Template, _: &Ticket) -> io::Result<Bytes> {
            Ok(Bytes::new())
        }

        async fn send(&self, _: Signal, _: Bytes) -> Answer {
            let refused = |retry| Answer::Refused {
                status: "busy".to_owned(),
                retry,
            };
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => refused(Some(Some(Duration::from_secs(2)))),
                1 => Answer::Unknown {
                    reason: "cut".to_owned(),
                },
                2 => Answer::Acked {
                    rejected: 3,
                    positions: Vec::new(),
                },
                _ => refused(None),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_counted_by_status_and_waited_for_as_asked() {
        let shared = shared(Pace::Closed, 20);
        let took = drive(&shared, &[Arc::new(Refusing(AtomicU64::new(0)))])
            .await
            .unwrap();
        assert!(took >= Duration::from_secs(2));
        let counts = shared.tally.lock();
        assert_eq!(
            (counts.acked(), counts.rejected, counts.refused),
            (10, 3, 10)
        );
        assert_eq!((counts.retries, counts.retried_unknown), (2, 1));
        assert_eq!(counts.refusals["busy"], 2);
        assert_eq!(counts.refusals["cut"], 1);
        assert!(
            counts.ack.min() >= 2_000_000,
            "an ack counts from the first attempt"
        );
    }
}
