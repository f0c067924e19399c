//! One consumer: how to ask it, what it last said of itself, how long its answers took.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use log_tracer_proto::v1::{
    StatusRequest, StatusResponse, query_service_client::QueryServiceClient,
};
use tonic::{Request, Status, transport::Channel};

/// Which question an answer is to: each kind has latencies of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Trace,
    /// Its time is that of all of it; the one of a trace is that of its first piece.
    Outline,
    Traces,
    Logs,
    Histogram,
    Heatmap,
    Facets,
    Lists,
    Rates,
    Stream,
}

impl Kind {
    /// Whether a caller asks otherwise when it hears that a consumer does not know the question.
    pub(crate) fn has_another_way(self) -> bool {
        // Then it asks for the whole trace.
        self == Self::Outline
    }
}

const KINDS: usize = Kind::Stream as usize + 1;

/// One consumer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
    channel: Channel,
    client: QueryServiceClient<Channel>,
    known: Mutex<Known>,
    latencies: Mutex<[Latencies; KINDS]>,
}

/// What is known of a consumer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) reach: Reach,
    /// What it said of itself the last time it did, and when.
    pub(crate) status: Option<Arc<StatusResponse>>,
    pub(crate) status_unix_nano: u64,
}

/// Whether a consumer answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It was not asked yet.
    #[default]
    Unknown,
    Up,
    /// It does not, and why.
    Away(String),
}

impl Peer {
    pub(crate) fn new(address: String, channel: Channel, message_bytes_max: usize) -> Self {
        Self {
            address,
            client: QueryServiceClient::new(channel.clone())
                .max_decoding_message_size(message_bytes_max),
            channel,
            known: Mutex::default(),
            latencies: Mutex::default(),
        }
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn client(&self) -> QueryServiceClient<Channel> {
        self.client.clone()
    }

    pub(crate) fn known(&self) -> Known {
        lock(&self.known).clone()
    }

    /// Asks how it is, and remembers.
    pub(crate) async fn refresh(&self, timeout: Duration) {
        let mut client = self.client();
        let mut request = Request::new(StatusRequest {});
        request.set_timeout(timeout);
        let answered = tokio::time::timeout(timeout, client.status(request)).await;
        let mut known = lock(&self.known);
        match answered {
            Ok(Ok(status)) => {
                *known = Known {
                    reach: Reach::Up,
                    status: Some(Arc::new(status.into_inner())),
                    status_unix_nano: now_unix_nano(),
                };
            }
            Ok(Err(status)) => known.reach = Reach::Away(why(&status)),
            Err(_elapsed) => {
                let ms = timeout.as_millis();
                known.reach = Reach::Away(format!("it does not say how it is within {ms} ms"));
            }
        }
    }

    /// Notes that it could not be reached. True when that is news.
    pub(crate) fn note_away(&self, status: &Status) -> bool {
        let mut known = lock(&self.known);
        let is_news = known.reach == Reach::Up;
        known.reach = Reach::Away(why(status));
        is_news
    }

    pub(crate) fn note_latency(&self, kind: Kind, took: Duration) {
        if let Some(latencies) = lock(&self.latencies).get_mut(kind as usize) {
            latencies.add(took);
        }
    }

    /// What nearly all answers of a kind take; none before there are enough of them.
    pub(crate) fn usual_latency(&self, kind: Kind) -> Option<Duration> {
        let mut latencies = lock(&self.latencies);
        let latencies = latencies.get_mut(kind as usize)?;
        (latencies.micros.len() >= ENOUGH).then(|| latencies.at(95))
    }

    /// The median of its latest answers of all kinds.
    pub(crate) fn median_latency(&self) -> Duration {
        let all = lock(&self.latencies);
        let mut medians: Vec<Duration> = all
            .iter()
            .filter(|one| !one.micros.is_empty())
            .map(|one| one.at(50))
            .collect();
        medians.sort_unstable();
        medians.get(medians.len() / 2).copied().unwrap_or_default()
    }
}

/// Answers that are remembered.
const REMEMBERED: usize = 100;
/// Answers from which can be told what is usual.
const ENOUGH: usize = 20;

/// How long the latest answers took, microseconds.
#[derive(Debug, Default)]
struct Latencies {
    micros: Vec<u32>,
    next: usize,
}

impl Latencies {
    fn add(&mut self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        match self.micros.get_mut(self.next) {
            Some(place) => *place = micros,
            None => self.micros.push(micros),
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// What so many of a hundred do not exceed.
    fn at(&self, percent: usize) -> Duration {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        let micros = sorted.get(rank - 1).copied().unwrap_or(0);
        Duration::from_micros(micros.into())
    }
}

/// Why a call failed, in words for a person.
pub(crate) fn why(status: &Status) -> String {
    let mut text = match (status.code(), status.message()) {
        (code, "") => code.description().to_owned(),
        // What the library says of a connection that cannot be made.
        (_, "tcp connect error" | "transport error") => innermost(status),
        (_, message) => message.to_owned(),
    };
    if let Some((end, _)) = text.char_indices().nth(300) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The cause at the bottom, which says most.
fn innermost(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

pub(crate) fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Whoever panicked while holding one of these locks left the data whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_told_from_the_latest_answers_only() {
        let mut latencies = Latencies::default();
        for _ in 0..REMEMBERED {
            latencies.add(Duration::from_secs(9));
        }
        for ms in 1..=REMEMBERED as u64 {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!(latencies.micros.len(), REMEMBERED);
        assert_eq!(latencies.at(95), Duration::from_millis(95));
        assert_eq!(latencies.at(50), Duration::from_millis(50));
    }
}
