//! Matching records as they arrive, from all consumers.
//!
//! Each set has a lane: a task that reads the tail of one member and hands its messages on through a queue of
//! [`QUEUED_MAX`]. A reader that is too slow fills the queues, then those of the consumers, which count what they drop; the
//! counts are passed on. The backlog of all lanes is merged by key first.
//!
//! When a tail breaks off, the lane goes on at the best member, which may be the same, and asks for the newest kept records
//! as a backlog: what is in it beyond the last record of its partition was missed, and is passed on. Only when there is
//! more than a backlog of it may something be missing, and that is said, as is every break.

mod lane;

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, future::join_all, stream};
use log_tracer_proto::v1::{Signal, TailRequest, TailResponse};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout_at},
};
use tonic::Status;

use crate::{
    fan::{Fan, Round},
    merge::hits::{self, Hit, Merged, Order},
    peer::Kind,
    view::{Seen, View},
};
use lane::{Begin, Kept, Lane, open_at};

/// Messages of all lanes that wait for the reader.
const QUEUED_MAX: usize = 4;

/// How long the backlogs may take. A consumer of before [`TailResponse::backlog_done`] does not say when its is done.
const BACKLOG_MAX: Duration = Duration::from_secs(2);

/// After so long without a message, an empty one says that the tail is alive, whoever is away.
const ALIVE: Duration = Duration::from_secs(10);

type Messages = Pin<Box<dyn Stream<Item = Result<TailResponse, Status>> + Send>>;

/// Opens the tail of each set.
///
/// # Errors
/// The question is refused, as a consumer says it; or no consumer answers.
pub(crate) async fn open(
    fan: Arc<Fan>,
    mut request: TailRequest,
    deadline: Instant,
) -> Result<Messages, Status> {
    let permit = fan.stream()?;
    let view = fan.view(deadline).await;
    request.backlog = request.backlog.min(fan.config.tail_backlog_max);
    let Round { answers, gaps, .. } = fan
        .ask_all(&view, Kind::Stream, deadline, open_at(&request))
        .await?;
    let (messages, queue) = mpsc::channel(QUEUED_MAX);
    let mut tail = Tail {
        lanes: Lanes {
            fan,
            request: request.clone(),
            messages,
            running: JoinSet::new(),
            by_partitions: HashMap::new(),
        },
        queue,
        first: Vec::new(),
        _permit: permit,
    };
    let mut kept = Vec::new();
    for answer in answers {
        let mut sets = view.sets.iter();
        if let Some(set) = sets.find(|set| set.members.contains(&answer.member)) {
            let (sender, receiver) = oneshot::channel();
            let begin = Begin {
                opened: Some((answer, sender)),
                floors: floors(&view, &set.partitions),
            };
            tail.lanes.start(set.partitions.clone(), begin);
            kept.push(receiver);
        }
    }
    // Those that are away now, and come back.
    tail.lanes.follow(&view);
    if request.backlog > 0 {
        let all = timeout_at(Instant::now() + BACKLOG_MAX, join_all(kept)).await;
        let all = all.into_iter().flatten().filter_map(Result::ok).collect();
        tail.first = backlog(all, &request, &tail.lanes.fan);
    }
    if !gaps.is_empty() {
        tail.first.push(TailResponse {
            interrupted: gaps.join("; "),
            ..TailResponse::default()
        });
    }
    tail.first.reverse();
    Ok(Box::pin(stream::unfold(tail, |mut tail| async {
        let message = tail.next().await?;
        Some((Ok(message), tail))
    })))
}

struct Tail {
    lanes: Lanes,
    queue: mpsc::Receiver<TailResponse>,
    /// What is sent first, the first at the end.
    first: Vec<TailResponse>,
    _permit: OwnedSemaphorePermit,
}

impl Tail {
    async fn next(&mut self) -> Option<TailResponse> {
        if let Some(first) = self.first.pop() {
            return Some(first);
        }
        let mut views = self.lanes.fan.view.subscribe();
        loop {
            let view = Arc::clone(&views.borrow_and_update());
            self.lanes.follow(&view);
            tokio::select! {
                biased;
                // The lanes hold senders, and so does this.
                message = self.queue.recv() => return message,
                changed = views.changed() => changed.ok()?,
                () = tokio::time::sleep(ALIVE) => return Some(TailResponse::default()),
            }
        }
    }
}

/// The lanes of one tail, by their partitions.
struct Lanes {
    fan: Arc<Fan>,
    request: TailRequest,
    messages: mpsc::Sender<TailResponse>,
    running: JoinSet<()>,
    by_partitions: HashMap<Vec<u32>, AbortHandle>,
}

impl Lanes {
    /// One lane for each set of a view: new ones begin with what arrives next, those that are gone end.
    fn follow(&mut self, view: &View) {
        let is_in_view =
            |partitions: &Vec<u32>| view.sets.iter().any(|set| set.partitions == *partitions);
        self.by_partitions.retain(|partitions, lane| {
            let stays = is_in_view(partitions);
            if !stays {
                lane.abort();
            }
            stays
        });
        for set in &view.sets {
            if !self.by_partitions.contains_key(&set.partitions) {
                let begin = Begin {
                    opened: None,
                    floors: floors(view, &set.partitions),
                };
                self.start(set.partitions.clone(), begin);
            }
        }
        while self.running.try_join_next().is_some() {}
    }

    fn start(&mut self, partitions: Vec<u32>, begin: Begin) {
        let lane = Lane::new(
            Arc::clone(&self.fan),
            self.request.clone(),
            partitions.clone(),
            self.messages.clone(),
        );
        let running = self.running.spawn(lane.run(begin));
        self.by_partitions.insert(partitions, running);
    }
}

/// The last offset that every replica had applied of each partition: what stands up to there is not new to a tail that
/// begins now. Of a set that is away it is the last that was heard: what came since is new when it is back.
fn floors(view: &View, partitions: &[u32]) -> HashMap<u32, (u64, u32)> {
    let is_of_set = |one: &&Seen| {
        let owned = one.known.status.iter().flat_map(|it| &it.partitions);
        owned.map(|it| it.partition).eq(partitions.iter().copied())
    };
    let members: Vec<&Seen> = view.seen.iter().filter(is_of_set).collect();
    let is_away = !members.iter().any(|one| one.is_up());
    let counted = members.iter().filter(|one| is_away || one.is_up());
    let mut next: HashMap<u32, u64> = HashMap::new();
    for status in counted.filter_map(|one| one.known.status.as_ref()) {
        for one in &status.partitions {
            let least = next.entry(one.partition).or_insert(u64::MAX);
            *least = (*least).min(one.applied_next);
        }
    }
    let last = |(partition, next): (u32, u64)| Some((partition, (next.checked_sub(1)?, u32::MAX)));
    next.into_iter().filter_map(last).collect()
}

/// The newest of all kept records, oldest first, in messages.
fn backlog(all: Vec<Kept>, request: &TailRequest, fan: &Fan) -> Vec<TailResponse> {
    let (mut logs, mut spans) = (Vec::new(), Vec::new());
    for kept in all {
        logs.extend(kept.logs);
        spans.extend(kept.spans);
    }
    let limit = request.backlog as usize;
    match request.signal() {
        Signal::Spans => pieces(spans, limit, fan, |hits, message| message.spans = hits),
        Signal::Logs | Signal::Unspecified => {
            pieces(logs, limit, fan, |hits, message| message.hits = hits)
        }
    }
}

fn pieces<H: Hit>(
    lanes: Vec<hits::Lane<H>>,
    limit: usize,
    fan: &Fan,
    fill: impl Fn(Vec<H>, &mut TailResponse),
) -> Vec<TailResponse> {
    // Each lane is sorted on its own; of all, the newest count.
    let order = Order {
        oldest_first: false,
        limit,
        bytes_max: usize::MAX,
    };
    let Merged {
        mut hits, tables, ..
    } = hits::merge(lanes, order);
    hits.reverse();
    let given = hits::Lane::new(
        hits,
        crate::merge::tables::Given::new(tables.resources.entries, tables.scopes.entries),
        None,
    );
    let mut messages = Vec::new();
    let mut rest = Some(given);
    while let Some(lane) = rest.take() {
        let (merged, more) = hits::piece(lane, fan.config.piece_bytes_max);
        let mut message = TailResponse {
            resources: merged.tables.resources.entries,
            scopes: merged.tables.scopes.entries,
            dropped: merged.left_out as u64,
            ..TailResponse::default()
        };
        fill(merged.hits, &mut message);
        messages.push(message);
        rest = more;
    }
    if let Some(last) = messages.last_mut() {
        last.backlog_done = true;
    }
    messages
}
