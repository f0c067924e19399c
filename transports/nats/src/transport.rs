//! The contract: who waits for what, and how a log ends.

use std::{num::NonZeroU16, sync::Arc};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use log_tracer_transport::{
    Acked, Atomicity, Capabilities, CloseError, CommitError, Cursor, Dedupe, Envelope, FullPolicy,
    Group, Health, LogId, OpenError, Partition, PublishError, ReadError, ReadOptions, Start,
    Subscription, Transport, Usage, Watermark, check,
};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::{
    Config, SyncInterval, WhenFull,
    error::Error,
    keeper,
    link::{self, Link},
    names::Names,
    publish,
    shared::{Phase, Shared, lock},
    streams,
    subscription::NatsSubscription,
};

/// A log of envelopes on NATS JetStream.
///
/// Dropping it without closing loses nothing that was acknowledged; its tasks end by themselves.
#[derive(Debug)]
pub struct NatsTransport {
    capabilities: Capabilities,
    log_id: LogId,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl NatsTransport {
    /// Connects, and finds the streams of the log or makes them.
    ///
    /// # Errors
    ///
    /// [`OpenError::Invalid`] when [`Config::validate`] finds a fault or the streams that are there are not what is
    /// configured, with the command that would change them; [`OpenError::Transient`] when no server answers;
    /// [`OpenError::Failed`] when the servers cannot keep such a log.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        config.validate().map_err(OpenError::Invalid)?;
        let config = config.clone();
        let names = Names::new(&config.name, &config.domain);
        let life = link::connect(&config).await?;
        let deadline = Instant::now() + config.connect_timeout();
        let opened = match streams::open(&life, &config, &names, deadline).await {
            Ok(opened) => opened,
            Err(error) => {
                life.end().await;
                return Err(error.into());
            }
        };
        let envelope_bytes_max = config.envelope_bytes_max.min(life.envelope_bytes_max());
        let log_id = opened.log_id;
        let shared = Arc::new(Shared::new(config, names, Link::new(life.clone()), opened));
        let tasks = TaskTracker::new();
        tasks.spawn({
            let shared = Arc::clone(&shared);
            async move {
                link::keep_connected(&shared.link, &shared.config, life, &shared.closed).await;
            }
        });
        tasks.spawn({
            let shared = Arc::clone(&shared);
            async move { keeper::keep_looking(&shared).await }
        });
        tasks.close();
        Ok(Self {
            capabilities: capabilities(&shared.config, envelope_bytes_max),
            log_id,
            shared,
            tasks,
        })
    }

    /// Refuses cursors beyond the end.
    async fn check_within(&self, upto: &[Cursor]) -> Result<(), Error> {
        let shared = &self.shared;
        for cursor in upto {
            let partition = cursor.partition;
            if cursor.next <= shared.known_end(partition) {
                continue;
            }
            let life = shared.link.life(shared.request_deadline()).await?;
            let end = shared.look(&life, partition).await?.end();
            if cursor.next > end {
                return Err(Error::BadCommit(format!(
                    "{} of partition {} lies beyond its end at {}",
                    cursor.next.0, partition.0, end.0
                )));
            }
        }
        Ok(())
    }

    /// Forgets what every group has committed of the partitions that are filled above what may stay.
    async fn purge_if_filled(
        &self,
        document: &crate::groups::Document,
        upto: &[Cursor],
    ) -> Result<(), Error> {
        let shared = &self.shared;
        for partition in upto.iter().map(|cursor| cursor.partition) {
            if shared.bytes(partition) < shared.config.purge_above_bytes() {
                continue;
            }
            let life = shared.link.life(shared.request_deadline()).await?;
            let floor = document.floor(partition);
            shared.purge(&life, partition, floor).await?;
        }
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Transport for NatsTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn log_id(&self) -> LogId {
        self.log_id
    }

    fn partitions(&self) -> NonZeroU16 {
        self.shared.config.partitions
    }

    async fn publish(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError> {
        check::publish(
            &batch,
            self.partitions(),
            self.capabilities.envelope_bytes_max,
        )?;
        self.shared.usable()?;
        Ok(publish::publish(&self.shared, batch, deadline).await?)
    }

    async fn subscribe(
        &self,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        check::subscribe(&from, &options, self.partitions())?;
        self.shared.usable()?;
        let shared = Arc::clone(&self.shared);
        let subscription = NatsSubscription::open(shared, from, options).await?;
        Ok(Box::new(subscription))
    }

    async fn commit(&self, group: &Group, upto: &[Cursor]) -> Result<(), CommitError> {
        check::commit(group, upto, self.partitions())?;
        self.shared.usable()?;
        let deadline = self.shared.request_deadline();
        let commit = async {
            self.check_within(upto).await?;
            let groups = &self.shared.groups;
            let document = groups
                .commit(&self.shared.link, group, upto, deadline)
                .await?;
            // The commit stands. Room is made again when it is needed, if not now.
            if let Some(document) = document
                && let Err(error) = self.purge_if_filled(&document, upto).await
            {
                log::debug!("log {}: making room: {error}", self.shared.config.name);
            }
            Ok(())
        };
        Ok(self.until_closed(commit).await?)
    }

    async fn committed(&self, group: &Group) -> Result<Vec<Cursor>, CommitError> {
        check::commit(group, &[], self.partitions())?;
        self.shared.usable()?;
        let committed = async {
            let life = self
                .shared
                .link
                .life(self.shared.request_deadline())
                .await?;
            let document = self.shared.groups.document(&life).await?;
            Ok(document.committed(group))
        };
        Ok(self.until_closed(committed).await?)
    }

    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError> {
        self.shared.usable()?;
        let watermarks = async {
            let life = self
                .shared
                .link
                .life(self.shared.request_deadline())
                .await?;
            let looks = self.shared.partitions().map(|partition| {
                let look = self.shared.look(&life, partition);
                async move { Ok(look.await?.watermark(partition)) }
            });
            try_join_all(looks).await
        };
        Ok(self.until_closed(watermarks).await?)
    }

    fn health(&self) -> Health {
        let shared = &self.shared;
        if let Err(error) = shared.usable() {
            return Health::Failed(error.to_string());
        }
        if let Some(why) = shared.link.why_not_connected() {
            return Health::Degraded(format!("no server is connected: {why}"));
        }
        if let Some(trouble) = &*lock(&shared.trouble) {
            return Health::Degraded(trouble.clone());
        }
        match shared.is_full() {
            true => Health::Full,
            false => Health::Ready,
        }
    }

    fn usage(&self) -> Usage {
        let shared = &self.shared;
        let share = shared.config.partition_bytes_max();
        Usage {
            segments: None,
            bytes: Some(shared.partitions().map(|one| shared.bytes(one)).sum()),
            bytes_max: Some(share.saturating_mul(u64::from(shared.config.partitions.get()))),
            queued_bytes: Some(shared.queue.bytes() as u64),
            queued_bytes_max: Some(shared.config.queue_bytes_max as u64),
            // A server that drops the oldest does not say how many.
            dropped_envelopes: match shared.config.when_full {
                WhenFull::Reject => Some(0),
                WhenFull::DropOldest => None,
            },
            disk_free_bytes: None,
            disk_reserve_bytes: None,
        }
    }

    async fn close(&self, deadline: Instant) -> Result<(), CloseError> {
        let raise = |to: Phase| {
            self.shared.phase.send_if_modified(|phase| {
                let rises = *phase < to;
                *phase = to.max(*phase);
                rises
            })
        };
        raise(Phase::Closing);
        let drained = timeout_at(deadline, self.shared.queue.drained()).await;
        raise(Phase::Closed);
        self.shared.closed.cancel();
        let ended = timeout_at(deadline, self.tasks.wait()).await;
        match (drained, ended) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(_), _) => Err(CloseError::Deadline(
                "what was published is not acknowledged".into(),
            )),
            (_, Err(_)) => Err(CloseError::Deadline("the connection is being ended".into())),
        }
    }
}

impl NatsTransport {
    async fn until_closed<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.shared.closed.cancelled() => Err(Error::Closed),
            done = work => done,
        }
    }
}

impl Drop for NatsTransport {
    fn drop(&mut self) {
        if *self.shared.phase.borrow() == Phase::Open {
            log::warn!(
                "log {}: dropped without being closed; nothing that was acknowledged is lost",
                self.shared.config.name
            );
        }
        self.shared.phase.send_replace(Phase::Closed);
        self.shared.closed.cancel();
    }
}

fn capabilities(config: &Config, envelope_bytes_max: usize) -> Capabilities {
    Capabilities {
        kind: "nats",
        survives_process_crash: true,
        survives_os_crash: config.sync_interval == SyncInterval::Always,
        survives_node_loss: config.replicas >= 3,
        publish_atomicity: Atomicity::PerEnvelope,
        dedupe: Dedupe::Window(config.dedupe_window()),
        contiguous_offsets: true,
        retention_waits_for_groups: config.when_full == WhenFull::Reject,
        when_full: match config.when_full {
            WhenFull::Reject => FullPolicy::Reject,
            WhenFull::DropOldest => FullPolicy::DropOldest,
        },
        envelope_bytes_max,
    }
}
