//! The contract: who waits for what, and how a journal ends.
//!
//! A publish enters the queue and waits for its answer. Up to its deadline it can leave the queue, and then nothing of it
//! is stored. Once the writer has taken it, only the writer knows how it ends, and it waits for that however long it
//! takes; a caller that cannot wait drops the future.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use async_trait::async_trait;
use log_tracer_transport::{
    Acked, Atomicity, Capabilities, CloseError, CommitError, Cursor, Dedupe, Envelope, FullPolicy,
    Group, Health, LogId, OpenError, Partition, PublishError, ReadError, ReadOptions, Start,
    Subscription, Transport, Usage, Watermark, check,
};
use tokio::{
    sync::oneshot,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::{
    Config, WhenFull,
    error::Error,
    files::{Files, RealFiles},
    frame, opening,
    queue::{Outcome, Prepared},
    recent::key,
    segment,
    shared::{Phase, Shared, State},
    subscription::{DiskSubscription, Position},
};

/// An fsync that takes longer than this is worth telling.
const SYNC_SLOW: Duration = Duration::from_secs(2);

/// A log of envelopes in a directory of this machine.
///
/// Dropping it without closing loses nothing that was acked; the next one to open it has to look at how it ends. Its
/// threads end, and the directory is given back, once what is being written is written.
#[derive(Debug)]
pub struct DiskTransport {
    capabilities: Capabilities,
    log_id: LogId,
    partitions: NonZeroU16,
    shared: Arc<Shared>,
}

impl DiskTransport {
    /// Opens the journal that is in the directory, or makes one.
    ///
    /// # Errors
    ///
    /// [`OpenError::Invalid`] when [`Config::validate`] finds a fault, [`OpenError::Transient`] when another process has
    /// the directory, and [`OpenError::Failed`] when the journal is damaged, has lost data or is another than the one that
    /// is configured.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        Self::open_with(config, Arc::new(RealFiles::default())).await
    }

    /// Opens a journal on another file system, for instance one that fails.
    ///
    /// # Errors
    ///
    /// As [`DiskTransport::open`].
    pub async fn open_with(config: &Config, files: Arc<dyn Files>) -> Result<Self, OpenError> {
        let owned = config.clone();
        let opened = spawn_blocking(move || opening::open(&owned, files)).await;
        let (shared, manifest) = opened.map_err(|_| Error::Stopped("the one that opens it"))??;
        Ok(Self {
            capabilities: capabilities(config),
            log_id: manifest.log_id,
            partitions: manifest.partitions,
            shared,
        })
    }

    /// Puts a publish into the queue, unless every envelope of it is stored.
    fn enter(&self, batch: Vec<Envelope>) -> Result<Entered<'_>, Error> {
        let accepting = |state: &State| match state.phase {
            Phase::Open if state.failed.is_some() => Err(Error::Failed(state.cause())),
            Phase::Open => Ok(()),
            Phase::Closing | Phase::Abandoned | Phase::Closed => Err(Error::Closed),
        };
        {
            let state = self.shared.lock();
            accepting(&state)?;
            // A retry of what is stored needs no room, and so does not wait for any.
            let before = batch
                .iter()
                .map(|one| state.log.stored_before(one.partition, &key(one)));
            if let Some(acks) = before.collect() {
                return Ok(Entered::Stored(acks));
            }
        }
        // The checksums, here and not in the one thread that writes.
        let prepared = batch.into_iter().map(|envelope| Prepared {
            header: envelope.encode_header(),
            envelope,
        });
        let prepared = prepared.collect();
        let (answer, outcome) = oneshot::channel();
        let ticket = {
            let mut state = self.shared.lock();
            accepting(&state)?;
            let bytes_max = self.shared.config.queue_bytes_max;
            state.queue.enter(prepared, bytes_max, answer)?
        };
        self.shared.tell_writer();
        Ok(Entered::Waiting(Place {
            shared: &self.shared,
            ticket,
            outcome,
        }))
    }

    fn check_fits(&self, batch: &[Envelope]) -> Result<(), Error> {
        let frames = batch
            .iter()
            .map(|one| frame::total_bytes(one.encoded_len() as u64))
            .fold(0, u64::saturating_add);
        let bytes = segment::bytes_for(self.partitions, frames).saturating_add(4 << 10);
        let max = self.shared.config.retained_bytes_max / 2;
        let usual = self.shared.config.segment_bytes;
        if bytes > max && bytes.saturating_sub(4 << 10) > usual {
            return Err(Error::NeverFits { bytes, max });
        }
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Transport for DiskTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn log_id(&self) -> LogId {
        self.log_id
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
        self.check_fits(&batch)?;
        match self.enter(batch)? {
            Entered::Stored(acks) => Ok(acks),
            Entered::Waiting(place) => Ok(place.wait(deadline).await?),
        }
    }

    async fn subscribe(
        &self,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        check::subscribe(&from, &options, self.partitions)?;
        let positions = {
            let state = self.shared.lock_open()?;
            from.into_iter()
                .map(|(partition, start)| {
                    let next = state.log.locate(partition, start)?;
                    Ok(Position {
                        partition,
                        next,
                        hint: None,
                    })
                })
                .collect::<Result<Vec<_>, Error>>()?
        };
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(DiskSubscription::new(shared, positions, options)))
    }

    async fn commit(&self, group: &Group, upto: &[Cursor]) -> Result<(), CommitError> {
        check::commit(group, upto, self.partitions)?;
        let leaves = {
            let mut state = self.shared.lock_open()?;
            let moved = state.log.commit(group, upto)?;
            if moved {
                state.log.retire(self.shared.now());
            }
            moved
        };
        if leaves {
            self.shared.tell_writer();
            self.shared.tell_keeper();
        }
        Ok(())
    }

    async fn committed(&self, group: &Group) -> Result<Vec<Cursor>, CommitError> {
        check::commit(group, &[], self.partitions)?;
        Ok(self.shared.lock_open()?.log.committed(group))
    }

    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError> {
        Ok(self.shared.lock_open()?.log.watermarks())
    }

    fn health(&self) -> Health {
        let state = self.shared.lock();
        if state.phase != Phase::Open {
            return Health::Failed(Error::Closed.to_string());
        }
        if let Some(error) = &state.failed {
            return Health::Failed(error.to_string());
        }
        if state.log.full || state.disk.full.is_some() {
            return Health::Full;
        }
        let syncing = state.syncing_since;
        let syncing = syncing.map(|since| self.shared.now().saturating_sub(since));
        if let Some(time) = syncing.filter(|time| *time > SYNC_SLOW) {
            return Health::Degraded(format!("the disk has not answered for {time:.0?}"));
        }
        match &state.trouble {
            Some(trouble) => Health::Degraded(trouble.to_string()),
            None => Health::Ready,
        }
    }

    fn usage(&self) -> Usage {
        let state = self.shared.lock();
        Usage {
            segments: Some(state.log.segments.len() as u64),
            bytes: Some(state.log.retained_bytes()),
            bytes_max: Some(self.shared.config.retained_bytes_max),
            queued_bytes: Some(state.queue.bytes() as u64),
            queued_bytes_max: Some(self.shared.config.queue_bytes_max as u64),
            dropped_envelopes: Some(state.log.dropped_envelopes),
            disk_free_bytes: state.disk.free_bytes,
            disk_reserve_bytes: state.disk.free_bytes.map(|_| state.disk.reserve_bytes),
        }
    }

    async fn close(&self, deadline: Instant) -> Result<(), CloseError> {
        {
            let mut state = self.shared.lock();
            if state.phase == Phase::Open {
                state.phase = Phase::Closing;
            }
        }
        self.shared.tell_writer();
        self.shared.arrivals.send_replace(());
        let mut ended = self.shared.ended.subscribe();
        let outcome = timeout_at(deadline, ended.wait_for(Option::is_some)).await;
        let outcome = outcome
            .map_err(|_| CloseError::Deadline("what was accepted is being written".into()))?
            .map_err(|_| Error::Stopped("the writer"))?;
        Ok(outcome.clone().unwrap_or(Ok(()))?)
    }
}

impl Drop for DiskTransport {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.phase == Phase::Open {
            log::warn!(
                "journal {}: dropped without being closed; nothing is lost, and opening it takes longer",
                self.shared.place.directory.display()
            );
            state.phase = Phase::Abandoned;
            drop(state);
            self.shared.tell_writer();
            self.shared.arrivals.send_replace(());
        }
    }
}

enum Entered<'a> {
    Stored(Vec<Acked>),
    Waiting(Place<'a>),
}

/// The place of a publish in the queue, given back when the publish returns or is dropped.
struct Place<'a> {
    shared: &'a Arc<Shared>,
    ticket: u64,
    outcome: oneshot::Receiver<Outcome>,
}

impl Place<'_> {
    async fn wait(mut self, deadline: Instant) -> Outcome {
        let lost = |_| Err(Error::Stopped("the writer"));
        if let Ok(outcome) = timeout_at(deadline, &mut self.outcome).await {
            return outcome.unwrap_or_else(lost);
        }
        {
            let mut state = self.shared.lock();
            if state.queue.leave(self.ticket) {
                return Err(match state.log.full {
                    true => Error::Full(state.why_full.clone()),
                    false => Error::NoRoom,
                });
            }
        }
        (&mut self.outcome).await.unwrap_or_else(lost)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Answered, and so no longer in the queue.
        if self.outcome.is_terminated() {
            return;
        }
        let left = self.shared.lock().queue.leave(self.ticket);
        if left {
            // The next one may need less room.
            self.shared.tell_writer();
        }
    }
}

fn capabilities(config: &Config) -> Capabilities {
    Capabilities {
        kind: "disk",
        survives_process_crash: true,
        survives_os_crash: true,
        survives_node_loss: false,
        publish_atomicity: Atomicity::PerCall,
        dedupe: match config.dedupe_batches_max {
            0 => Dedupe::None,
            batches_per_partition => Dedupe::Persistent {
                batches_per_partition,
            },
        },
        contiguous_offsets: true,
        retention_waits_for_groups: config.when_full == WhenFull::Reject,
        when_full: match config.when_full {
            WhenFull::Reject => FullPolicy::Reject,
            WhenFull::DropOldest => FullPolicy::DropOldest,
        },
        envelope_bytes_max: config.envelope_bytes_max,
    }
}
