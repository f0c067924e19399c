//! The contract: who waits for what, and how a channel ends.
//!
//! A publish waits in three steps. It enters the queue, which is bounded in bytes. It waits for its turn, which is
//! given in order of arrival, so that a large publish is not overtaken by small ones for ever. Then it waits for room,
//! which commits make. From there on it does not wait, so that dropping its future cannot leave half of it behind.

use std::{
    num::NonZeroU16,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use log_tracer_transport::{
    Acked, Atomicity, Capabilities, CloseError, CommitError, Cursor, Dedupe, Envelope, FullPolicy,
    Group, Health, LogId, OpenError, Partition, PublishError, ReadError, ReadOptions, Start,
    Subscription, Transport, Usage, Watermark, check,
};
use tokio::{
    sync::{Mutex as Turnstile, MutexGuard as Turn, Notify, watch},
    time::{Instant, timeout_at},
};

use crate::{
    Config, WhenFull,
    error::Error,
    log::{self, Log},
    subscription::{ChannelSubscription, Position},
};

/// A log of envelopes in the memory of this process.
///
/// Everything is gone when it is closed or dropped; a subscription that outlives it ends with [`ReadError::Closed`].
#[derive(Debug)]
pub struct ChannelTransport {
    capabilities: Capabilities,
    log_id: LogId,
    partitions: NonZeroU16,
    retained_bytes_max: usize,
    queue_bytes_max: usize,
    shared: Arc<Shared>,
    /// Whoever holds it may store; the others wait in order of arrival.
    turn: Turnstile<()>,
    /// Told when a commit lets something leave, and on closing. Only the holder of the turn listens.
    room: Notify,
    /// Told of every publish, and on closing. Subscriptions end when it is dropped.
    arrivals: watch::Sender<()>,
}

impl ChannelTransport {
    /// Makes a new, empty log.
    ///
    /// # Errors
    ///
    /// [`OpenError::Invalid`] when [`Config::validate`] finds a fault.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        config.validate().map_err(OpenError::Invalid)?;
        Ok(Self {
            capabilities: capabilities(config),
            log_id: LogId(rand::random()),
            partitions: config.partitions,
            retained_bytes_max: config.retained_bytes_max,
            queue_bytes_max: config.queue_bytes_max,
            shared: Arc::new(Shared(Mutex::new(State {
                log: Log::new(config),
                queued_bytes: 0,
                closed: false,
            }))),
            turn: Turnstile::new(()),
            room: Notify::new(),
            arrivals: watch::Sender::new(()),
        })
    }

    /// Waits for the turn and for room, and holds the turn until the batch is stored.
    async fn wait_for_room(&self, batch: &[Envelope]) -> Result<Turn<'_, ()>, Error> {
        let turn = self.turn.lock().await;
        loop {
            {
                let mut state = self.shared.lock();
                if state.closed {
                    return Err(Error::Closed);
                }
                if state.log.make_room(batch) {
                    return Ok(turn);
                }
            }
            self.room.notified().await;
        }
    }
}

#[async_trait]
impl Transport for ChannelTransport {
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
        let bytes = batch.iter().map(log::cost).fold(0, usize::saturating_add);
        if bytes > self.retained_bytes_max {
            let max = self.retained_bytes_max;
            return Err(Error::NeverFits { bytes, max }.into());
        }
        {
            let state = self.shared.lock();
            if state.closed {
                return Err(Error::Closed.into());
            }
            // A retry of what is stored needs no room, and so does not wait for any.
            if let Some(acks) = state.log.all_stored_before(&batch) {
                return Ok(acks);
            }
        }

        let _queued = self.shared.enqueue(bytes, self.queue_bytes_max)?;
        let _turn = timeout_at(deadline, self.wait_for_room(&batch))
            .await
            .map_err(|_| Error::NoRoom)??;
        // Nobody else stores while we hold the turn, so the room is still there after encoding without the lock.
        let encoded: Vec<Bytes> = batch.iter().map(Envelope::encode).collect();
        let acks = self.shared.lock().log.append(&batch, encoded)?;
        self.arrivals.send_replace(());
        Ok(acks)
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
                    Ok(Position { partition, next })
                })
                .collect::<Result<Vec<_>, Error>>()?
        };
        Ok(Box::new(ChannelSubscription::new(
            Arc::clone(&self.shared),
            self.arrivals.subscribe(),
            positions,
            options,
        )))
    }

    async fn commit(&self, group: &Group, upto: &[Cursor]) -> Result<(), CommitError> {
        check::commit(group, upto, self.partitions)?;
        if self.shared.lock_open()?.log.commit(group, upto)? {
            self.room.notify_one();
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
        if state.closed {
            Health::Failed(Error::Closed.to_string())
        } else if state.log.is_full() {
            Health::Full
        } else {
            Health::Ready
        }
    }

    fn usage(&self) -> Usage {
        let state = self.shared.lock();
        Usage {
            bytes: Some(state.log.retained_bytes() as u64),
            bytes_max: Some(self.retained_bytes_max as u64),
            queued_bytes: Some(state.queued_bytes as u64),
            queued_bytes_max: Some(self.queue_bytes_max as u64),
            ..Usage::default()
        }
    }

    async fn close(&self, deadline: Instant) -> Result<(), CloseError> {
        self.shared.lock().closed = true;
        self.room.notify_one();
        self.arrivals.send_replace(());
        // Who has the turn stores what was accepted; who waits for it is refused, one after the other.
        let _turn = timeout_at(deadline, self.turn.lock())
            .await
            .map_err(|_| CloseError::Deadline("a publish is being stored".into()))?;
        self.shared.lock().log.clear();
        Ok(())
    }
}

fn capabilities(config: &Config) -> Capabilities {
    Capabilities {
        kind: "channel",
        survives_process_crash: false,
        survives_os_crash: false,
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

/// What the transport and its subscriptions share. A standard mutex, since nobody waits while holding it.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<State>);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: Log,
    pub(crate) closed: bool,
    /// The cost of the publishes that were called and have not returned.
    queued_bytes: usize,
}

impl Shared {
    /// A panic of another thread leaves nothing half-done in here: every change is made after all checks.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_open(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        Ok(state)
    }

    fn enqueue(&self, bytes: usize, max: usize) -> Result<Queued<'_>, Error> {
        let mut state = self.lock();
        let queued = state.queued_bytes.saturating_add(bytes);
        if queued > max && state.queued_bytes > 0 {
            return Err(Error::NoRoom);
        }
        state.queued_bytes = queued;
        Ok(Queued {
            shared: self,
            bytes,
        })
    }
}

/// The place of a publish in the queue, given back when the publish returns or is dropped.
#[derive(Debug)]
struct Queued<'a> {
    shared: &'a Shared,
    bytes: usize,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.shared.lock().queued_bytes -= self.bytes;
    }
}
