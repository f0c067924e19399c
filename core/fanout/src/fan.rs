//! What all questions share, and one question to one set or to all of them.

use std::{future::Future, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use log_tracer_proto::v1::query_service_client::QueryServiceClient;
use slog::{Logger, debug};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Duration, Instant, timeout_at},
};
use tonic::{Code, Status, metadata::MetadataMap, transport::Channel};

use crate::{
    Config,
    peer::{Kind, Peer, why},
    view::{ReplicaSet, View},
    watch::publish,
};

/// What all questions share.
#[derive(Debug)]
pub(crate) struct Fan {
    pub(crate) config: Config,
    pub(crate) peers: Vec<Arc<Peer>>,
    pub(crate) view: watch::Sender<Arc<View>>,
    /// Asks for a new view at once.
    pub(crate) wake: Notify,
    pub(crate) queries: Arc<Semaphore>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) log: Logger,
}

/// A client with which one question is asked, and how long it may take.
pub(crate) type Client = QueryServiceClient<Channel>;

/// What one member of a set answered.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) member: usize,
    /// Its name and address.
    pub(crate) label: String,
    pub(crate) body: T,
}

/// What all sets answered.
#[derive(Debug)]
pub(crate) struct Round<T> {
    /// One of each set that answered, in the order of the sets.
    pub(crate) answers: Vec<Answer<T>>,
    /// Why something may be missing.
    pub(crate) gaps: Vec<String>,
    /// Whether all partitions of the log were asked.
    pub(crate) is_whole: bool,
}

/// Why a set did not answer.
#[derive(Debug)]
pub(crate) enum Miss {
    /// The question cannot be answered by anyone: as the consumer said it.
    Refused(Status),
    /// No member answered, and why each did not.
    Failed(Vec<(usize, Status)>),
}

/// Before so many answers are there to tell what is usual, a replica is asked after this.
const HEDGE_UNKNOWN: Duration = Duration::from_secs(1);

/// What is kept of a deadline for merging and for the way back: a tenth, and not more than this.
const RESERVE_MAX: Duration = Duration::from_millis(200);

impl Fan {
    /// The only consumer, when there is one.
    pub(crate) fn only(&self) -> Option<Client> {
        match self.peers.as_slice() {
            [only] => Some(only.client()),
            _ => None,
        }
    }

    /// When the consumers have to have answered: before the caller's own limit and ours.
    pub(crate) fn deadline(&self, metadata: &MetadataMap) -> Instant {
        let asked = asked_timeout(metadata).unwrap_or(self.config.deadline());
        Instant::now() + with_reserve(asked.min(self.config.deadline()))
    }

    /// Likewise for what the caller may wait for longer than for an answer.
    pub(crate) fn wait_deadline(&self, metadata: &MetadataMap) -> Instant {
        let asked = asked_timeout(metadata).unwrap_or(self.config.deadline());
        Instant::now() + with_reserve(asked)
    }

    /// The right to ask one question.
    pub(crate) async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Status> {
        let turn = Arc::clone(&self.queries).acquire_owned();
        match timeout_at(deadline, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_closed)) => Err(Status::unavailable("the server is shutting down")),
            Err(_elapsed) => Err(Status::resource_exhausted(format!(
                "all {} questions that may be asked at the same time were under way until the deadline",
                self.config.queries_max
            ))),
        }
    }

    /// The right to have one tail or export open.
    pub(crate) fn stream(&self) -> Result<OwnedSemaphorePermit, Status> {
        let stream = Arc::clone(&self.streams).try_acquire_owned();
        stream.map_err(|_| {
            let max = self.config.streams_max;
            Status::resource_exhausted(format!(
                "all {max} tails and exports that may run are taken"
            ))
        })
    }

    /// What is known of the consumers; waits until each has answered once or is known not to.
    pub(crate) async fn view(&self, deadline: Instant) -> Arc<View> {
        let mut view = self.view.subscribe();
        let settled = view.wait_for(|view| view.is_settled());
        if let Ok(Ok(view)) = timeout_at(deadline, settled).await {
            return Arc::clone(&view);
        }
        Arc::clone(&self.view.borrow())
    }

    /// Asks each set, and waits until all have answered or failed.
    ///
    /// # Errors
    /// The question itself is refused, as the consumer said it; or no set answered; or one does not know the question, and
    /// there is another way to ask it.
    pub(crate) async fn ask_all<T, F>(
        &self,
        view: &View,
        kind: Kind,
        deadline: Instant,
        call: impl Fn(Client, Duration) -> F,
    ) -> Result<Round<T>, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut asked: FuturesUnordered<_> = (0..)
            .zip(&view.sets)
            .map(|(number, set): (usize, _)| {
                let call = &call;
                async move {
                    let answered = self.ask(view, &set.members, kind, deadline, call).await;
                    (number, answered)
                }
            })
            .collect();
        let mut answers = Vec::with_capacity(view.sets.len());
        let mut failed: Vec<(usize, Vec<(usize, Status)>)> = Vec::new();
        while let Some((number, answered)) = asked.next().await {
            match answered {
                Ok(answer) => answers.push((number, answer)),
                Err(Miss::Refused(status)) => return Err(status),
                Err(Miss::Failed(why)) => {
                    let unknown = why.iter().find(|(_, status)| is_unknown(status));
                    if let Some((_, status)) = unknown
                        && kind.has_another_way()
                    {
                        // Better all of it the other way than a part of it this way.
                        return Err(status.clone());
                    }
                    failed.push((number, why));
                }
            }
        }
        drop(asked);
        answers.sort_by_key(|(number, _)| *number);
        failed.sort_by_key(|(number, _)| *number);
        let gaps = gaps(view, &failed);
        if answers.is_empty() {
            return Err(nobody(gaps, &failed));
        }
        Ok(Round {
            answers: answers.into_iter().map(|(_, answer)| answer).collect(),
            gaps,
            is_whole: failed.is_empty() && view.unowned.is_none(),
        })
    }

    /// Asks the first of some replicas; the next as well when that one fails, or is slow. The first answer counts, and
    /// whoever else was asked is told to stop.
    pub(crate) async fn ask<T, F>(
        &self,
        view: &View,
        members: &[usize],
        kind: Kind,
        deadline: Instant,
        call: impl Fn(Client, Duration) -> F,
    ) -> Result<Answer<T>, Miss>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut waiting = members.iter().copied();
        let mut asked = FuturesUnordered::new();
        let mut failed = Vec::new();
        let ask = |member: usize| {
            let peer = self.peers.get(member)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = call(peer.client(), left);
            let hedge = Instant::now() + self.hedge_after(peer, kind);
            Some((self.timed(member, kind, answer), hedge))
        };
        let mut hedge = deadline;
        let mut is_due = true;
        loop {
            if std::mem::take(&mut is_due) {
                match waiting.next().and_then(ask) {
                    Some((answer, at)) => {
                        asked.push(answer);
                        hedge = at;
                    }
                    None if asked.is_empty() => return Err(Miss::Failed(failed)),
                    None => hedge = deadline,
                }
            }
            tokio::select! {
                Some((member, answered)) = asked.next() => match answered {
                    Ok(body) => return Ok(Answer { member, label: view.label(member), body }),
                    Err(status) if is_refusal(&status) => return Err(Miss::Refused(status)),
                    Err(status) => {
                        self.note_failure(member, &status);
                        failed.push((member, status));
                        is_due = true;
                    }
                },
                () = tokio::time::sleep_until(hedge), if hedge < deadline => is_due = true,
                () = tokio::time::sleep_until(deadline) => {
                    let answered: Vec<usize> = failed.iter().map(|(member, _)| *member).collect();
                    let silent = members.len() - waiting.len();
                    let silent = members.iter().take(silent).filter(|one| !answered.contains(one));
                    failed.extend(silent.map(|one| (*one, Status::deadline_exceeded("no answer before the deadline"))));
                    self.wake.notify_one();
                    return Err(Miss::Failed(failed));
                }
            }
        }
    }

    async fn timed<T>(
        &self,
        member: usize,
        kind: Kind,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> (usize, Result<T, Status>) {
        let begun = Instant::now();
        let answered = answer.await;
        if let (Ok(_), Some(peer)) = (&answered, self.peers.get(member)) {
            peer.note_latency(kind, begun.elapsed());
        }
        (member, answered)
    }

    fn hedge_after(&self, peer: &Peer, kind: Kind) -> Duration {
        match self.config.hedge_ms {
            0 => peer.usual_latency(kind).map_or(HEDGE_UNKNOWN, |usual| {
                usual.max(Duration::from_millis(self.config.hedge_min_ms))
            }),
            ms => Duration::from_millis(ms),
        }
    }

    /// Remembers that a consumer failed: it is not asked again before it has said how it is.
    pub(crate) fn note_failure(&self, member: usize, status: &Status) {
        let Some(peer) = self.peers.get(member) else {
            return;
        };
        debug!(self.log, "a consumer did not answer"; "address" => &peer.address, "reason" => why(status));
        if status.code() == Code::Unavailable && peer.note_away(status) {
            publish(self);
        }
        if status.code() != Code::ResourceExhausted {
            self.wake.notify_one();
        }
    }

    /// The set of a list of partitions as it is now.
    pub(crate) fn set_of(&self, partitions: &[u32]) -> Option<ReplicaSet> {
        let view = self.view.borrow();
        let mut sets = view.sets.iter();
        sets.find(|set| set.partitions == partitions).cloned()
    }
}

/// Why something may be missing: sets that failed, and what does not fit together.
pub(crate) fn gaps(view: &View, failed: &[(usize, Vec<(usize, Status)>)]) -> Vec<String> {
    let of_set = failed.iter().filter_map(|(number, statuses)| {
        let reasons: Vec<(usize, String)> = statuses
            .iter()
            .map(|(member, status)| (*member, why(status)))
            .collect();
        Some(view.gap(view.sets.get(*number)?, &reasons))
    });
    let others = view.unowned.iter().chain(&view.faults).cloned();
    of_set.chain(others).collect()
}

/// The status when no set answered.
pub(crate) fn nobody(gaps: Vec<String>, failed: &[(usize, Vec<(usize, Status)>)]) -> Status {
    let mut statuses = failed.iter().flat_map(|(_, all)| all).map(|(_, one)| one);
    let is_busy = |status: &Status| status.code() == Code::ResourceExhausted;
    // Who is busy says when to ask again, and who does not know the question need not be asked again.
    if let Some(first) = statuses.next()
        && (is_busy(first) || is_unknown(first))
        && statuses.all(|status| status.code() == first.code())
    {
        return first.clone();
    }
    let reasons = match gaps.is_empty() {
        true => "no consumer was reached yet".to_owned(),
        false => gaps.join("; "),
    };
    Status::unavailable(clip(format!("no consumer answers: {reasons}")))
}

/// Whether any other consumer would answer the same.
pub(crate) fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::OutOfRange)
}

/// Whether a consumer is too old to know the question.
fn is_unknown(status: &Status) -> bool {
    status.code() == Code::Unimplemented
}

/// A status travels in headers, which have a limit of their own.
pub(crate) fn clip(mut text: String) -> String {
    const CHARS_MAX: usize = 1_000;
    if let Some((end, _)) = text.char_indices().nth(CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn with_reserve(allowed: Duration) -> Duration {
    allowed - (allowed / 10).min(RESERVE_MAX)
}

/// The time that a caller allows: `grpc-timeout` is a number of up to eight digits and a unit.
fn asked_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(number.checked_mul(3_600)?)),
        'M' => Some(Duration::from_secs(number.checked_mul(60)?)),
        'S' => Some(Duration::from_secs(number)),
        'm' => Some(Duration::from_millis(number)),
        'u' => Some(Duration::from_micros(number)),
        'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_caller_allows_has_a_unit() {
        let of = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            asked_timeout(&metadata)
        };
        assert_eq!(of("10S"), Some(Duration::from_secs(10)));
        assert_eq!(of("250m"), Some(Duration::from_millis(250)));
        assert_eq!(of("99999999u"), Some(Duration::from_micros(99_999_999)));
        for wrong in ["", "S", "10", "1x", "-1S"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(
            with_reserve(Duration::from_secs(1)),
            Duration::from_millis(900)
        );
        assert_eq!(
            with_reserve(Duration::from_secs(10)),
            Duration::from_millis(9_800)
        );
    }
}
