//! The contract: what waits for what, and how a transport ends.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU16,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use fluvio_spu_schema::Isolation;
use futures_util::future::{join_all, try_join_all};
use log_tracer_transport::{
    Acked, Atomicity, Capabilities, CloseError, CommitError, Cursor, Dedupe, Envelope, FullPolicy,
    Group, Health, LogId, Offset, OpenError, Partition, PublishError, ReadError, ReadOptions,
    Start, Subscription, Transport, Usage, Watermark, check,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config,
    error::Error,
    job::{Answer, Job, JobState, Refused},
    ledger::Ledger,
    link::{Bounds, Connection, Link},
    reader::{self, Reader},
    record,
    subscription::{FluvioSubscription, Incoming},
    topic::{self, Wanted},
    troubles::Troubles,
    writer::{Limits, Shared, Writer},
};

/// Jobs that wait for a writer; their bytes are bounded by `queue_bytes_max`.
const QUEUE_JOBS_MAX: usize = 1024;
/// Bytes of a permit: a semaphore counts in 32 bits.
const PERMIT_BYTES: usize = 1 << 10;
/// How long opening waits before it looks again whether a new topic is ready.
const READY_PAUSE: Duration = Duration::from_millis(25);
/// How long a subscription waits for the first pieces of its partitions.
const BEGIN_WITHIN: Duration = Duration::from_secs(1);

/// A log on a topic of a Fluvio cluster.
#[derive(Debug)]
pub struct FluvioTransport {
    capabilities: Capabilities,
    partitions: NonZeroU16,
    read_options: reader::Options,
    shared: Arc<Shared>,
    queues: Vec<mpsc::Sender<Job>>,
    room: Arc<Semaphore>,
    room_permits: u32,
    writers: Mutex<Vec<JoinHandle<()>>>,
    readers: TaskTracker,
    /// Cancelled on closing: writers finish what they have, readers end.
    closing: CancellationToken,
}

impl FluvioTransport {
    /// Connects to a cluster, makes the topics of the log if they are missing, and checks them.
    ///
    /// # Errors
    ///
    /// [`OpenError::Invalid`] when [`Config::validate`] finds a fault, or when a topic is not what it is to be: the text
    /// says which keys differ and which command mends it. [`OpenError::Transient`] when the cluster does not answer
    /// within `open_timeout_ms`.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        config.validate().map_err(OpenError::Invalid)?;
        let deadline = Instant::now() + config.open_timeout();
        let opened = timeout_at(deadline, Self::connect(config)).await;
        let opened = opened.unwrap_or_else(|_| {
            Err(Error::Timeout {
                what: format!("the cluster at {}", config.address),
                after: config.open_timeout(),
            })
        });
        Ok(opened?)
    }

    async fn connect(config: &Config) -> Result<Self, Error> {
        let link = Link::new(config);
        topic::ensure(&link, &Wanted::ledger(config), config.create_topic).await?;
        topic::ensure(&link, &Wanted::log(config), config.create_topic).await?;
        // Only where there are copies is there something to wait for.
        let isolation = match config.replication.get() {
            1 => Isolation::ReadUncommitted,
            _ => Isolation::ReadCommitted,
        };
        let ready = (0..config.partitions.get())
            .map(|partition| when_ready(&link, &config.topic, partition, isolation));
        let ready = try_join_all(ready).await?;
        when_ready(&link, &config.ledger_topic(), 0, isolation).await?;

        let ledger = Ledger::new(config.ledger_topic(), isolation);
        let log_id = loop {
            match identify(&ledger, &link, config, &ready, isolation).await {
                Ok(log_id) => break log_id,
                Err(error @ Error::Ledger { .. }) => return Err(error),
                // Until the copies of a new topic are there, nothing is acknowledged.
                Err(error) => log::debug!("waiting for the ledger of {}: {error}", config.topic),
            }
            sleep(READY_PAUSE).await;
        };
        let shared = Arc::new(Shared {
            link,
            ledger,
            troubles: Troubles::default(),
            topic: config.topic.clone(),
            log_id,
            isolation,
        });
        let ends: Vec<u64> = ready.iter().map(|(_, bounds)| bounds.end).collect();
        Ok(Self::start(config, shared, &ends))
    }

    fn start(config: &Config, shared: Arc<Shared>, ends: &[u64]) -> Self {
        let limits = Limits {
            request_bytes_max: config
                .request_bytes_max
                .min(config.request_limit() - record::overhead_bytes(0)),
            request_envelopes_max: config.request_envelopes_max,
            requests_in_flight_max: config.requests_in_flight_max,
        };
        let closing = CancellationToken::new();
        let mut queues = Vec::new();
        let mut writers = Vec::new();
        for (number, &end) in (0..config.partitions.get()).zip(ends) {
            let (queue, jobs) = mpsc::channel(QUEUE_JOBS_MAX);
            let writer = Writer::new(
                Arc::clone(&shared),
                Partition(number),
                limits,
                jobs,
                closing.clone(),
                end,
            );
            queues.push(queue);
            writers.push(tokio::spawn(writer.run()));
        }
        let room_permits = permits(config.queue_bytes_max);
        Self {
            capabilities: capabilities(config),
            partitions: config.partitions,
            read_options: reader::Options {
                read_bytes_max: config.read_bytes_max,
                idle_probe: config.idle_probe(),
            },
            shared,
            queues,
            room: Arc::new(Semaphore::new(room_permits as usize)),
            room_permits,
            writers: Mutex::new(writers),
            readers: TaskTracker::new(),
            closing,
        }
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.closing.is_cancelled() {
            return Err(Error::Closed);
        }
        self.shared.troubles.failed().map_or(Ok(()), Err)
    }

    /// Hands the envelopes to the writers of their partitions.
    async fn enqueue(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Waiting>, PublishError> {
        let bytes = batch.iter().map(Envelope::encoded_len).sum();
        let permits = permits(bytes).min(self.room_permits);
        let room = Arc::clone(&self.room).acquire_many_owned(permits);
        let room = timeout_at(deadline, room)
            .await
            .map_err(|_| PublishError::Busy)?
            .map_err(|_| PublishError::Draining)?;
        let room = Arc::new(room);
        let mut split: BTreeMap<Partition, (Vec<usize>, Vec<Envelope>)> = BTreeMap::new();
        for (index, envelope) in batch.into_iter().enumerate() {
            let (indices, envelopes) = split.entry(envelope.partition).or_default();
            indices.push(index);
            envelopes.push(envelope);
        }
        let mut waiting: Vec<Waiting> = Vec::with_capacity(split.len());
        for (partition, (indices, envelopes)) in split {
            let (job, state, answered) = Job::new(envelopes, Arc::clone(&room));
            let queue = self.queues.get(usize::from(partition.0));
            let queued = match queue {
                Some(queue) => timeout_at(deadline, queue.send(job)).await,
                None => Ok(Err(mpsc::error::SendError(job))),
            };
            let refusal = match queued {
                Ok(Ok(())) => {
                    waiting.push(Waiting {
                        partition,
                        indices,
                        state,
                        answered,
                    });
                    continue;
                }
                Ok(Err(_)) => PublishError::Draining,
                Err(_) => PublishError::Busy,
            };
            // What was handed over already may be under way.
            return Err(match give_up(&waiting) {
                true => refusal,
                false => PublishError::OutcomeUnknown(Arc::new(Error::Invalid(format!(
                    "a part of the call is under way, and another part of it: {refusal}"
                )))),
            });
        }
        Ok(waiting)
    }
}

/// A job that a publish waits for.
struct Waiting {
    partition: Partition,
    /// Where its envelopes stand in the call.
    indices: Vec<usize>,
    state: JobState,
    answered: oneshot::Receiver<Answer>,
}

/// Gives up what was not sent yet; true when nothing was.
fn give_up(waiting: &[Waiting]) -> bool {
    // Every one of them, whatever the others say.
    let given_up = waiting.iter().filter(|job| job.state.give_up()).count();
    given_up == waiting.len()
}

fn permits(bytes: usize) -> u32 {
    let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
    permits.clamp(1, u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX))
}

#[async_trait]
impl Transport for FluvioTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn log_id(&self) -> LogId {
        self.shared.log_id
    }

    fn partitions(&self) -> NonZeroU16 {
        self.partitions
    }

    async fn publish(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError> {
        check::publish(
            &batch,
            self.partitions,
            self.capabilities.envelope_bytes_max,
        )?;
        self.check_open()?;
        let (count, called) = (batch.len(), Instant::now());
        let mut waiting = self.enqueue(batch, deadline).await?;
        let answers = join_all(waiting.iter_mut().map(|job| &mut job.answered));
        let Ok(answers) = timeout_at(deadline, answers).await else {
            return Err(match give_up(&waiting) {
                true => PublishError::Busy,
                false => PublishError::OutcomeUnknown(Arc::new(Error::Timeout {
                    what: "the cluster".into(),
                    after: called.elapsed(),
                })),
            });
        };
        let mut acks = vec![None; count];
        let mut refused = Vec::new();
        for (job, answer) in waiting.into_iter().zip(answers) {
            match answer {
                Ok(Ok(offsets)) => {
                    for (index, offset) in job.indices.into_iter().zip(offsets) {
                        if let Some(place) = acks.get_mut(index) {
                            *place = Some(Acked {
                                partition: job.partition,
                                offset: Offset(offset),
                                duplicate: false,
                            });
                        }
                    }
                }
                Ok(Err(error)) => refused.push(error),
                Err(_) => refused.push(Refused::Unknown(Error::Closed)),
            }
        }
        if let Some(error) = judge(refused, acks.iter().any(Option::is_some)) {
            return Err(error);
        }
        acks.into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| PublishError::OutcomeUnknown(Arc::new(Error::Closed)))
    }

    async fn subscribe(
        &self,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        check::subscribe(&from, &options, self.partitions)?;
        self.check_open()?;
        let starting = from.into_iter().map(|(partition, start)| async move {
            // One is handed over while the next is fetched.
            let (sender, pieces) = mpsc::channel(1);
            let shared = Arc::clone(&self.shared);
            let reader = Reader::start(shared, partition, start, self.read_options, sender);
            Ok::<_, Error>((
                reader.await?,
                Incoming {
                    partition,
                    pieces,
                    rest: VecDeque::new(),
                    failed: None,
                },
            ))
        });
        let started = tokio::select! {
            started = try_join_all(starting) => started?,
            () = self.closing.cancelled() => return Err(ReadError::Closed),
        };
        let mut partitions = VecDeque::new();
        let mut behind = Vec::new();
        for (reader, incoming) in started {
            behind.push(reader.is_behind());
            let closing = self.closing.clone();
            self.readers.spawn(async move {
                tokio::select! {
                    () = reader.run() => {}
                    () = closing.cancelled() => {}
                }
            });
            partitions.push_back(incoming);
        }
        // So that every partition has its turn from the beginning, and not only those whose SPU answers first.
        let beginning = partitions
            .iter_mut()
            .zip(behind)
            .filter_map(|(incoming, behind)| behind.then(|| incoming.begin()));
        tokio::select! {
            // One that takes longer comes later.
            _ = timeout(BEGIN_WITHIN, join_all(beginning)) => {}
            () = self.closing.cancelled() => return Err(ReadError::Closed),
        }
        let ended = self.closing.clone();
        Ok(Box::new(FluvioSubscription::new(
            partitions, options, ended,
        )))
    }

    async fn commit(&self, group: &Group, upto: &[Cursor]) -> Result<(), CommitError> {
        check::commit(group, upto, self.partitions)?;
        self.check_open()?;
        let Shared { link, ledger, .. } = &*self.shared;
        let committing = async {
            let ends = self.ends(upto).await?;
            for (cursor, end) in upto.iter().zip(ends) {
                if cursor.next > end {
                    return Err(Error::Invalid(format!(
                        "partition {}: cursor {} lies beyond the end at {}",
                        cursor.partition.0, cursor.next.0, end.0
                    )));
                }
            }
            ledger.commit(link, self.shared.log_id, group, upto).await
        };
        Ok(self.unless_closed(committing).await?)
    }

    async fn committed(&self, group: &Group) -> Result<Vec<Cursor>, CommitError> {
        check::commit(group, &[], self.partitions)?;
        self.check_open()?;
        let Shared { link, ledger, .. } = &*self.shared;
        let committed = ledger.committed(link, self.shared.log_id, group);
        Ok(self.unless_closed(committed).await?)
    }

    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError> {
        self.check_open()?;
        let bounds = (0..self.partitions.get()).map(|number| self.bounds(Partition(number)));
        let bounds = self.unless_closed(try_join_all(bounds)).await?;
        let numbered = (0..).map(Partition).zip(bounds);
        Ok(numbered
            .map(|(partition, bounds)| Watermark {
                partition,
                start: Some(Offset(bounds.start)),
                end: Offset(bounds.end),
                bytes: None,
                exact: true,
            })
            .collect())
    }

    fn health(&self) -> Health {
        if self.closing.is_cancelled() {
            return Health::Failed(Error::Closed.to_string());
        }
        self.shared.troubles.health()
    }

    fn usage(&self) -> Usage {
        let free = u64::try_from(self.room.available_permits()).unwrap_or(u64::MAX);
        let all = u64::from(self.room_permits);
        let bytes = |permits: u64| permits.saturating_mul(PERMIT_BYTES as u64);
        Usage {
            queued_bytes: Some(bytes(all.saturating_sub(free))),
            queued_bytes_max: Some(bytes(all)),
            ..Usage::default()
        }
    }

    async fn close(&self, deadline: Instant) -> Result<(), CloseError> {
        self.closing.cancel();
        self.room.close();
        self.readers.close();
        let mut unfinished = 0;
        for mut writer in self.take_writers() {
            if timeout_at(deadline, &mut writer).await.is_err() {
                writer.abort();
                unfinished += 1;
                // Until it is gone, which takes no longer than its next step.
                let _ = writer.await;
            }
        }
        if timeout_at(deadline, self.readers.wait()).await.is_err() {
            return Err(CloseError::Deadline("readers have not ended".into()));
        }
        self.shared.ledger.close().await;
        self.shared.link.close().await;
        match unfinished {
            0 => Ok(()),
            partitions => Err(CloseError::Deadline(format!(
                "{partitions} partitions had publishes whose outcome is unknown"
            ))),
        }
    }
}

impl FluvioTransport {
    async fn bounds(&self, partition: Partition) -> Result<Bounds, Error> {
        let Shared { link, topic, .. } = &*self.shared;
        let connection = link.connect(topic, partition.0).await?;
        let bounds = connection.bounds(self.shared.isolation).await;
        if bounds.is_err() {
            link.forget_leader(topic, partition.0);
        }
        bounds
    }

    /// Where the partitions of these cursors end.
    async fn ends(&self, of: &[Cursor]) -> Result<Vec<Offset>, Error> {
        let ends = of.iter().map(|cursor| async move {
            let bounds = self.bounds(cursor.partition).await?;
            Ok(Offset(bounds.end))
        });
        try_join_all(ends).await
    }

    async fn unless_closed<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = tokio::select! {
            done = work => done,
            () = self.closing.cancelled() => Err(Error::Closed),
        };
        if let Err(error) = &done
            && error.is_final()
        {
            self.shared.troubles.fail(error);
        }
        done
    }

    fn take_writers(&self) -> Vec<JoinHandle<()>> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *writers)
    }
}

impl Drop for FluvioTransport {
    fn drop(&mut self) {
        if !self.closing.is_cancelled() {
            log::warn!(
                "the log on topic {} was dropped without being closed",
                self.shared.topic
            );
            self.closing.cancel();
        }
    }
}

/// One answer for the whole call, if it failed.
fn judge(refused: Vec<Refused>, some_stored: bool) -> Option<PublishError> {
    let mut nothing = None;
    for refused in refused {
        match refused {
            // Whatever the error is, an answer that is lost says nothing of what is stored.
            Refused::Unknown(error) => {
                return Some(PublishError::OutcomeUnknown(Arc::new(error)));
            }
            Refused::Nothing(error) => nothing = Some(error),
        }
    }
    let nothing = nothing?;
    Some(match some_stored {
        false => nothing,
        true => PublishError::OutcomeUnknown(Arc::new(Error::Invalid(format!(
            "a part of the call is stored, and another part of it: {nothing}"
        )))),
    })
}

/// A connection to a partition, once there is one: a new topic takes a moment.
async fn when_ready(
    link: &Link,
    topic: &str,
    partition: u16,
    isolation: Isolation,
) -> Result<(Connection, Bounds), Error> {
    loop {
        let looked = async {
            let connection = link.connect(topic, partition).await?;
            let bounds = connection.bounds(isolation).await?;
            Ok::<_, Error>((connection, bounds))
        };
        match looked.await {
            Ok(ready) => return Ok(ready),
            Err(error @ Error::Version { .. }) => return Err(error),
            Err(error) => {
                log::debug!("waiting for partition {partition} of topic {topic}: {error}");
                link.forget_leader(topic, partition);
                sleep(READY_PAUSE).await;
            }
        }
    }
}

/// The id of the log that is in a topic.
async fn identify(
    ledger: &Ledger,
    link: &Link,
    config: &Config,
    ready: &[(Connection, Bounds)],
    isolation: Isolation,
) -> Result<LogId, Error> {
    let empty = ready.iter().all(|(_, bounds)| bounds.end == 0);
    let found = match ledger.log_id(link).await? {
        Some(_) => None,
        None => id_of_records(ready, isolation, config.read_bytes_max).await?,
    };
    ledger.identify(link, empty, found).await
}

/// The log id that the records of a topic have in their keys.
async fn id_of_records(
    partitions: &[(Connection, Bounds)],
    isolation: Isolation,
    read_bytes_max: usize,
) -> Result<Option<LogId>, Error> {
    let bytes_max = i32::try_from(read_bytes_max).unwrap_or(i32::MAX);
    for (connection, bounds) in partitions {
        if bounds.start < bounds.end {
            let fetched = connection.fetch(bounds.start, bytes_max, isolation).await?;
            let key = fetched.records.into_iter().find_map(|read| read.key);
            if let Some(id) = key.and_then(|key| key.as_ref().try_into().ok()) {
                return Ok(Some(LogId(u128::from_be_bytes(id))));
            }
        }
    }
    Ok(None)
}

fn capabilities(config: &Config) -> Capabilities {
    Capabilities {
        kind: "fluvio",
        survives_process_crash: true,
        // An SPU never calls fsync: what it acked is in the page cache.
        survives_os_crash: false,
        survives_node_loss: config.replication.get() >= 2,
        publish_atomicity: Atomicity::PerEnvelope,
        dedupe: Dedupe::None,
        contiguous_offsets: true,
        retention_waits_for_groups: false,
        when_full: FullPolicy::DropOldest,
        envelope_bytes_max: config.envelope_bytes_max,
    }
}
