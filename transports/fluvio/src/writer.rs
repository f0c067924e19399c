//! The writer of one partition: collects what waits into requests, and keeps a few of them under way.
//!
//! What comes while a request is under way shares the next one, so that nothing lingers. A call goes whole in one
//! request, so that another one may follow before its answer; one that is larger than a request goes in pieces, each
//! after the answer to the one before, so that its order holds also when one of them fails.
//!
//! A connection on which anything went wrong is dropped. What was under way on it has an unknown outcome; what only
//! waited goes to the next connection, or is given up by its caller at its deadline.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::Isolation;
use futures_util::{FutureExt, StreamExt};
use log_tracer_transport::{Envelope, LogId, Offset, Partition, PublishError};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    error::Error,
    job::Job,
    ledger::Ledger,
    link::{Connection, Link, Produced, Stream},
    record::{self, RecordBytes},
    troubles::Troubles,
};

/// What is being done, for reports.
const DOING: &str = "writing to";
const NOTING: &str = "noting in the ledger the beginning of";
/// How long a writer waits before it tries again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// Jobs that a writer takes over from its queue; the bytes of all are bounded by the transport.
const WAITING_MAX: usize = 4096;

/// Too few for any record.
const CANARY_BYTES: i32 = 1;

/// What writers and readers of a log have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) link: Link,
    pub(crate) ledger: Ledger,
    pub(crate) troubles: Troubles,
    pub(crate) topic: String,
    pub(crate) log_id: LogId,
    pub(crate) isolation: Isolation,
}

/// How much goes into a request, and how many are under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) request_bytes_max: usize,
    pub(crate) request_envelopes_max: usize,
    pub(crate) requests_in_flight_max: usize,
}

#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    partition: Partition,
    limits: Limits,
    jobs: mpsc::Receiver<Job>,
    /// Cancelled when no new jobs come.
    closing: CancellationToken,
    waiting: VecDeque<Job>,
    /// Where the partition is known to end at least.
    reached: u64,
    noted: Noted,
}

/// Whether the ledger knows that there is something in the partition.
#[derive(Debug)]
enum Noted {
    Yes,
    /// It is told with the next answer after this.
    From(Instant),
}

/// A connection, and what tells that the topic was deleted.
///
/// An SPU takes requests for whatever has the name of a topic at the moment, and tells only streams that it was deleted.
/// So there is one that wants nothing else: it fetches a byte, never says that it has arrived, and so gets no second one.
struct Held {
    connection: Connection,
    canary: Stream,
}

impl Held {
    fn check(&mut self) -> Result<(), Error> {
        while let Some(response) = self.canary.next().now_or_never() {
            match response {
                Some(Ok(response)) => self.connection.code(response.partition.error_code)?,
                Some(Err(error)) => return Err(self.connection.broken(&error.to_string())),
                None => return Err(self.connection.broken("the stream ended")),
            }
        }
        Ok(())
    }
}

/// A request that has no answer yet.
struct Flying {
    answer: Produced,
    /// When it is given up.
    deadline: Instant,
    jobs: Vec<(Job, usize)>,
}

/// How the answer to a request is to be taken.
enum Verdict {
    Stored(u64),
    /// This SPU does not lead the partition: nothing was stored.
    Moved(Error),
    /// Nothing was stored, and trying again does not help.
    Refused(PublishError),
    /// It may be stored.
    Unknown(Error),
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        partition: Partition,
        limits: Limits,
        jobs: mpsc::Receiver<Job>,
        closing: CancellationToken,
        reached: u64,
    ) -> Self {
        Self {
            shared,
            partition,
            limits,
            jobs,
            closing,
            waiting: VecDeque::new(),
            reached,
            noted: Noted::From(Instant::now()),
        }
    }

    /// Writes until no new jobs come and every one is answered.
    pub(crate) async fn run(mut self) {
        let mut backoff = BACKOFF.0;
        let mut held: Option<Held> = None;
        while self.wait_for_work().await {
            let ready = match held.take().filter(|held| !held.connection.is_stale()) {
                Some(held) => Ok(held),
                None => self.connect().await,
            };
            let error = match ready {
                Ok(mut ready) => match self.serve(&mut ready).await {
                    Ok(()) => {
                        held = Some(ready);
                        backoff = BACKOFF.0;
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let topic = &self.shared.topic;
            self.shared.link.forget_leader(topic, self.partition.0);
            self.shared.troubles.report(DOING, self.partition, &error);
            if error.is_final() {
                self.shared.troubles.fail(&error);
                return self.refuse_everything(&error).await;
            }
            self.rest(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Until something waits that was not given up; false when nothing more comes.
    async fn wait_for_work(&mut self) -> bool {
        loop {
            self.waiting.retain(|job| !job.is_given_up());
            if !self.waiting.is_empty() {
                return true;
            }
            if !self.take_one().await {
                return false;
            }
        }
    }

    /// Takes the next job of the queue; false when no more come.
    async fn take_one(&mut self) -> bool {
        if !self.jobs.is_closed() {
            tokio::select! {
                job = self.jobs.recv() => {
                    self.waiting.extend(job);
                    return true;
                }
                () = self.closing.cancelled() => self.jobs.close(),
            }
        }
        let job = self.jobs.recv().await;
        let more = job.is_some();
        self.waiting.extend(job);
        more
    }

    /// Waits, and lets go meanwhile of what is given up.
    async fn rest(&mut self, how_long: Duration) {
        sleep(how_long).await;
        while self.waiting.len() < WAITING_MAX
            && let Ok(job) = self.jobs.try_recv()
        {
            self.waiting.push_back(job);
        }
        self.waiting.retain(|job| !job.is_given_up());
    }

    /// A connection to a partition that is still the one that was opened.
    async fn connect(&self) -> Result<Held, Error> {
        let Shared { link, topic, .. } = &*self.shared;
        let connection = link.connect(topic, self.partition.0).await?;
        let bounds = connection.bounds(self.shared.isolation).await?;
        let is = self.shared.ledger.log_id(link).await?;
        let was = self.shared.log_id;
        if is != Some(was) || bounds.end < self.reached && bounds.end == 0 {
            return Err(Error::Recreated {
                topic: topic.clone(),
                was,
                is: is.filter(|is| *is != was),
            });
        }
        let canary = connection
            .follow(bounds.end, CANARY_BYTES, self.shared.isolation)
            .await?;
        Ok(Held { connection, canary })
    }

    /// Sends what waits and takes the answers, until nothing waits.
    async fn serve(&mut self, held: &mut Held) -> Result<(), Error> {
        held.check()?;
        let Held { connection, .. } = held;
        let mut flying: VecDeque<Flying> = VecDeque::new();
        let mut moved: Option<(Error, VecDeque<Job>)> = None;
        loop {
            while moved.is_none() && flying.len() < self.limits.requests_in_flight_max {
                let Some(jobs) = self.next_request() else {
                    break;
                };
                match self.send(connection, &jobs).await {
                    Ok(answer) => flying.push_back(Flying {
                        answer,
                        deadline: connection.deadline(),
                        jobs,
                    }),
                    Err(error) => {
                        lose(jobs, &error);
                        return Err(lose_all(flying, error));
                    }
                }
            }
            let Some(first) = flying.front_mut() else {
                if let Some((error, again)) = moved {
                    self.waiting = again.into_iter().chain(self.waiting.drain(..)).collect();
                    return Err(error);
                }
                return Ok(());
            };
            let answered = tokio::select! {
                answered = connection.produced(&mut first.answer, first.deadline) => answered,
                job = self.jobs.recv(), if self.waiting.len() < WAITING_MAX && !self.jobs.is_closed() => {
                    self.waiting.extend(job);
                    continue;
                }
            };
            let Some(Flying { jobs, .. }) = flying.pop_front() else {
                continue;
            };
            match verdict(answered) {
                Verdict::Stored(base) => self.stored(base, jobs).await,
                Verdict::Moved(error) => {
                    let (_, again) = moved.get_or_insert_with(|| (error, VecDeque::new()));
                    for (job, _) in jobs {
                        job.wait_again();
                        again.push_back(job);
                    }
                }
                Verdict::Refused(error) => {
                    for (job, _) in jobs {
                        job.refuse(error.clone());
                    }
                }
                Verdict::Unknown(error) => {
                    lose(jobs, &error);
                    return Err(lose_all(flying, error));
                }
            }
        }
    }

    /// Gives every envelope of a request its offset.
    async fn stored(&mut self, base: u64, jobs: Vec<(Job, usize)>) {
        let mut first = base;
        let mut done = Vec::with_capacity(jobs.len());
        for (job, count) in jobs {
            done.push((job, first, count));
            first += count as u64;
        }
        self.reached = self.reached.max(first);
        self.shared.troubles.over(DOING, self.partition);
        // Before anybody is told that something is stored here, so that nobody forgets it who opens the log later.
        self.note(first).await;
        for (job, first, count) in done.into_iter().rev() {
            if let Some(more) = job.store(first, count) {
                self.waiting.push_front(more);
            }
        }
    }

    async fn note(&mut self, end: u64) {
        let Noted::From(from) = self.noted else {
            return;
        };
        if Instant::now() < from {
            return;
        }
        let Shared { link, ledger, .. } = &*self.shared;
        let noted = ledger.reach_first(link, self.shared.log_id, self.partition, Offset(end));
        match noted.await {
            Ok(()) => {
                self.noted = Noted::Yes;
                self.shared.troubles.over(NOTING, self.partition);
            }
            Err(error) => {
                self.noted = Noted::From(Instant::now() + BACKOFF.1);
                self.shared.troubles.report(NOTING, self.partition, &error);
            }
        }
    }

    /// What goes into the next request, if anything waits that may go.
    fn next_request(&mut self) -> Option<Vec<(Job, usize)>> {
        let mut request = Vec::new();
        let (mut bytes, mut envelopes) = (0, 0);
        while let Some(job) = self.waiting.pop_front() {
            if job.is_given_up() || (!job.has_begun() && !self.may_go(&job, bytes, envelopes)) {
                if job.is_given_up() {
                    continue;
                }
                self.waiting.push_front(job);
                break;
            }
            let (count, taken) = self.piece(job.rest(), bytes, envelopes);
            if count == 0 {
                self.waiting.push_front(job);
                break;
            }
            if !job.begin() {
                continue;
            }
            let whole = count == job.rest().len();
            bytes += taken;
            envelopes += count;
            request.push((job, count));
            if !whole {
                break;
            }
        }
        (!request.is_empty()).then_some(request)
    }

    /// Whether a job fits behind what a request has already, or the request has nothing yet.
    fn may_go(&self, job: &Job, bytes: usize, envelopes: usize) -> bool {
        let size: usize = job.rest().iter().map(record::cost).sum();
        envelopes == 0
            || (bytes.saturating_add(size) <= self.limits.request_bytes_max
                && envelopes + job.rest().len() <= self.limits.request_envelopes_max)
    }

    /// How many envelopes, and how many bytes, of a job fit behind what a request has; one always fits an empty one.
    fn piece(&self, rest: &[Envelope], bytes: usize, envelopes: usize) -> (usize, usize) {
        let (mut count, mut taken) = (0, 0_usize);
        for envelope in rest {
            let more = taken.saturating_add(record::cost(envelope));
            let fits = bytes.saturating_add(more) <= self.limits.request_bytes_max
                && envelopes + count < self.limits.request_envelopes_max;
            if !fits && envelopes + count > 0 {
                break;
            }
            count += 1;
            taken = more;
        }
        (count, taken)
    }

    async fn send(
        &self,
        connection: &Connection,
        jobs: &[(Job, usize)],
    ) -> Result<Produced, Error> {
        let pieces = jobs
            .iter()
            .map(|(job, count)| job.rest().get(..*count).unwrap_or_default());
        let envelopes: Vec<&Envelope> = pieces.flatten().collect();
        let batch = record::encode(self.shared.log_id, clock::unix_ms(), envelopes.into_iter());
        connection
            .produce(RecordBytes(batch), self.shared.isolation)
            .await
    }

    async fn refuse_everything(&mut self, error: &Error) {
        loop {
            for job in self.waiting.drain(..) {
                job.refuse(PublishError::from(error.clone()));
            }
            if !self.take_one().await {
                return;
            }
        }
    }
}

fn verdict(answered: Result<u64, Error>) -> Verdict {
    let error = match answered {
        Ok(base) => return Verdict::Stored(base),
        Err(error) => error,
    };
    let Error::Answer { what, code } = &error else {
        return Verdict::Unknown(error);
    };
    match code {
        ErrorCode::NotLeaderForPartition
        | ErrorCode::PartitionNotLeader
        | ErrorCode::PartitionPendingInitialization
        | ErrorCode::TopicNotFound => Verdict::Moved(error),
        ErrorCode::MessageTooLarge => Verdict::Refused(PublishError::Invalid(format!(
            "{what} takes no batch of that size: lower request_bytes_max and envelope_bytes_max"
        ))),
        ErrorCode::PartitionFull { .. } => {
            Verdict::Refused(PublishError::Full(format!("the disk of {what} is full")))
        }
        ErrorCode::PartitionShortCircuited => Verdict::Refused(PublishError::Full(format!(
            "{what} failed to write to the partition and takes no more until it is restarted"
        ))),
        _ => Verdict::Unknown(error),
    }
}

fn lose(jobs: Vec<(Job, usize)>, error: &Error) {
    for (job, _) in jobs {
        job.lose(error.clone());
    }
}

fn lose_all(flying: VecDeque<Flying>, error: Error) -> Error {
    for Flying { jobs, .. } in flying {
        lose(jobs, &error);
    }
    error
}
