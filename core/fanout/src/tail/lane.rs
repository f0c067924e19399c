//! The tail of one set.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use log_tracer_proto::v1::{LogHit, SpanHit, TailRequest, TailResponse};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tonic::{Request, Status, Streaming};

use crate::{
    fan::{Answer, Client, Fan, is_refusal},
    merge::{
        hits::{self, Hit, place},
        tables::Given,
    },
    peer::{Kind, why},
};

/// A tail says that it is alive at least this often; longer silence means that the consumer is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The first wait after a tail broke off; it doubles with each failure in a row.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Records that were kept before a tail began, newest first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) logs: Vec<hits::Lane<LogHit>>,
    pub(super) spans: Vec<hits::Lane<SpanHit>>,
    /// How many there are.
    count: usize,
}

type Opened = Streaming<TailResponse>;
type Opening = Pin<Box<dyn Future<Output = Result<Opened, Status>> + Send>>;

/// How a lane begins.
pub(super) struct Begin {
    /// A tail that is open already, and where its backlog goes.
    pub(super) opened: Option<(Answer<Opened>, oneshot::Sender<Kept>)>,
    /// Of each partition, the last offset and index that are not new.
    pub(super) floors: HashMap<u32, (u64, u32)>,
}

/// The question to one consumer. The tail itself has no deadline.
pub(super) fn open_at(request: &TailRequest) -> impl Fn(Client, Duration) -> Opening + use<> {
    let message = request.clone();
    move |mut client, _timeout| {
        let message = message.clone();
        Box::pin(async move { Ok(client.tail(Request::new(message)).await?.into_inner()) })
    }
}

/// Reads the tail of one set.
pub(super) struct Lane {
    fan: Arc<Fan>,
    request: TailRequest,
    partitions: Vec<u32>,
    messages: mpsc::Sender<TailResponse>,
    /// Of each partition, the last offset and index that were passed on.
    seen: HashMap<u32, (u64, u32)>,
    /// What broke off before, until it goes on.
    broken: Option<String>,
}

/// Nobody reads any more.
struct Gone;

impl Lane {
    pub(super) fn new(
        fan: Arc<Fan>,
        request: TailRequest,
        partitions: Vec<u32>,
        messages: mpsc::Sender<TailResponse>,
    ) -> Self {
        Self {
            fan,
            request,
            partitions,
            messages,
            seen: HashMap::new(),
            broken: None,
        }
    }

    /// Until nobody reads any more.
    pub(super) async fn run(mut self, begin: Begin) {
        self.seen = begin.floors;
        // That it is read no more is how it ends.
        let _gone = self.read_on(begin.opened).await;
    }

    async fn read_on(
        &mut self,
        opened: Option<(Answer<Opened>, oneshot::Sender<Kept>)>,
    ) -> Result<(), Gone> {
        if let Some((answer, kept)) = opened {
            let status = self.first(answer, kept).await?;
            self.say_broken(&status).await?;
        } else {
            // It was away, or not known, when the tail began.
            self.broken = Some(String::new());
        }
        let mut delay = RETRY_MIN;
        loop {
            match self.reopen().await {
                Some(answer) => {
                    let begun = Instant::now();
                    let status = self.again(answer).await?;
                    if begun.elapsed() > RETRY_MAX {
                        delay = RETRY_MIN;
                    }
                    self.say_broken(&status).await?;
                }
                None if self.messages.is_closed() => return Err(Gone),
                None => {}
            }
            sleep(delay).await;
            delay = (delay * 2).min(RETRY_MAX);
        }
    }

    /// Reads the tail that began with the backlog that was asked for, until it breaks off.
    async fn first(
        &mut self,
        answer: Answer<Opened>,
        kept: oneshot::Sender<Kept>,
    ) -> Result<Status, Gone> {
        let (member, mut stream) = (answer.member, answer.body);
        if self.request.backlog > 0 {
            let (backlog, broken) = read_backlog(&mut stream, &mut self.seen, |_, _| true).await;
            // Without a receiver it took too long, and the reader goes on without it.
            let _late = kept.send(backlog);
            if let Some(status) = broken {
                self.fan.note_failure(member, &status);
                return Ok(status);
            }
        }
        self.pass_on(member, stream).await
    }

    async fn reopen(&self) -> Option<Answer<Opened>> {
        let set = self.fan.set_of(&self.partitions)?;
        let request = TailRequest {
            backlog: self.fan.config.tail_backlog_max,
            ..self.request.clone()
        };
        let deadline = Instant::now() + self.fan.config.deadline();
        let view = self.fan.view.borrow().clone();
        let ask = open_at(&request);
        let asked = self
            .fan
            .ask(&view, &set.members, Kind::Stream, deadline, ask);
        asked.await.ok()
    }

    /// Reads a tail that goes on where another one broke off, until it breaks off itself.
    async fn again(&mut self, answer: Answer<Opened>) -> Result<Status, Gone> {
        let (member, label, mut stream) = (answer.member, answer.label, answer.body);
        let floors = self.seen.clone();
        let is_missed =
            |partition, at: (u64, u32)| floors.get(&partition).is_none_or(|floor| at > *floor);
        let (missed, broken) = read_backlog(&mut stream, &mut self.seen, is_missed).await;
        if let Some(status) = broken {
            self.fan.note_failure(member, &status);
            return Ok(status);
        }
        let is_full = missed.count >= self.fan.config.tail_backlog_max as usize;
        let caught_up = match is_full {
            true => "older records may be missing",
            false => "no record is missing",
        };
        if self.broken.take().is_some() {
            let text = format!("goes on at {label}: {caught_up}");
            self.say(text).await?;
        }
        for message in missed.into_messages() {
            self.send(message).await?;
        }
        self.pass_on(member, stream).await
    }

    /// Passes on what arrives.
    async fn pass_on(&mut self, member: usize, mut stream: Opened) -> Result<Status, Gone> {
        loop {
            let message = tokio::select! {
                message = timeout(SILENCE_MAX, stream.message()) => message,
                () = self.messages.closed() => return Err(Gone),
            };
            let status = match message {
                Ok(Ok(Some(mut message))) => {
                    // An old record comes again from a replica that is behind.
                    message.hits.retain(|hit| is_new(&mut self.seen, hit));
                    message.spans.retain(|hit| is_new(&mut self.seen, hit));
                    message.backlog_done = false;
                    self.send(message).await?;
                    continue;
                }
                Ok(Ok(None)) => Status::unavailable("its tail ended"),
                Ok(Err(status)) => status,
                Err(_elapsed) => Status::deadline_exceeded("its tail has gone silent"),
            };
            self.fan.note_failure(member, &status);
            return Ok(status);
        }
    }

    async fn say_broken(&mut self, status: &Status) -> Result<(), Gone> {
        let why = match is_refusal(status) {
            true => status.message().to_owned(),
            false => why(status),
        };
        // Once for each break, however often going on fails.
        if self.broken.replace(why.clone()).is_some() {
            return Ok(());
        }
        self.say(format!("broke off: {why}")).await
    }

    async fn say(&self, what: String) -> Result<(), Gone> {
        let of = crate::view::partitions(&self.partitions);
        let message = TailResponse {
            interrupted: format!("the tail of {of} {what}"),
            ..TailResponse::default()
        };
        self.send(message).await
    }

    async fn send(&self, message: TailResponse) -> Result<(), Gone> {
        self.messages.send(message).await.map_err(|_| Gone)
    }
}

impl Kept {
    /// Oldest first, as they are.
    fn into_messages(self) -> Vec<TailResponse> {
        let logs = self.logs.into_iter().rev().map(|lane| {
            let (mut hits, resources, scopes) = lane.into_parts();
            hits.reverse();
            TailResponse {
                hits,
                resources,
                scopes,
                ..TailResponse::default()
            }
        });
        let spans = self.spans.into_iter().rev().map(|lane| {
            let (mut spans, resources, scopes) = lane.into_parts();
            spans.reverse();
            TailResponse {
                spans,
                resources,
                scopes,
                ..TailResponse::default()
            }
        });
        let all = logs.chain(spans);
        all.filter(|it| !it.hits.is_empty() || !it.spans.is_empty())
            .collect()
    }
}

/// Reads the backlog of a tail; of its records, those count that are wanted. Says why it broke off, if it did.
async fn read_backlog(
    stream: &mut Opened,
    seen: &mut HashMap<u32, (u64, u32)>,
    is_wanted: impl Fn(u32, (u64, u32)) -> bool,
) -> (Kept, Option<Status>) {
    let mut kept = Kept::default();
    let until = Instant::now() + super::BACKLOG_MAX;
    let broken = loop {
        let message = match tokio::time::timeout_at(until, stream.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => break Some(Status::unavailable("its tail ended")),
            Ok(Err(status)) => break Some(status),
            // It does not say when its backlog is done: what came until now is it.
            Err(_elapsed) => break None,
        };
        let is_done = message.backlog_done;
        let tables = || Given::new(message.resources.clone(), message.scopes.clone());
        let logs = newest_first(message.hits, seen, &is_wanted);
        let spans = newest_first(message.spans, seen, &is_wanted);
        kept.count += logs.0 + spans.0;
        if !logs.1.is_empty() {
            kept.logs.insert(0, hits::Lane::new(logs.1, tables(), None));
        }
        if !spans.1.is_empty() {
            kept.spans
                .insert(0, hits::Lane::new(spans.1, tables(), None));
        }
        if is_done {
            break None;
        }
    };
    (kept, broken)
}

/// How many there are, and those that are wanted.
fn newest_first<H: Hit>(
    hits: Vec<H>,
    seen: &mut HashMap<u32, (u64, u32)>,
    is_wanted: &impl Fn(u32, (u64, u32)) -> bool,
) -> (usize, Vec<H>) {
    let count = hits.len();
    let mut wanted: Vec<H> = hits
        .into_iter()
        .filter(|hit| {
            let key = hit.key();
            is_wanted(key.partition, (key.offset, key.index))
        })
        .collect();
    for hit in &wanted {
        note(seen, hit);
    }
    wanted.sort_by_key(|hit| place(&hit.key(), false));
    (count, wanted)
}

fn note(seen: &mut HashMap<u32, (u64, u32)>, hit: &impl Hit) {
    let key = hit.key();
    let at = (key.offset, key.index);
    let last = seen.entry(key.partition).or_insert(at);
    *last = (*last).max(at);
}

/// Whether a record was not passed on before; it is then noted.
fn is_new(seen: &mut HashMap<u32, (u64, u32)>, hit: &impl Hit) -> bool {
    let key = hit.key();
    let last = seen.get(&key.partition);
    let is_new = last.is_none_or(|last| (key.offset, key.index) > *last);
    if is_new {
        note(seen, hit);
    }
    is_new
}
