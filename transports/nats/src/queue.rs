//! How much may be under way: bytes that publishes hold in memory, and what the servers have not acknowledged yet.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{Config, error::Error};

#[derive(Debug)]
pub(crate) struct Queue {
    bytes_max: usize,
    bytes: Arc<AtomicUsize>,
    /// Publishes that have not returned.
    publishes: watch::Sender<usize>,
    inflight_envelopes_max: usize,
    inflight_bytes_max: usize,
    inflight_bytes: Arc<Semaphore>,
    inflight_envelopes: Arc<Semaphore>,
}

impl Queue {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            bytes_max: config.queue_bytes_max,
            bytes: Arc::new(AtomicUsize::new(0)),
            publishes: watch::Sender::new(0),
            inflight_envelopes_max: config.inflight_envelopes_max,
            inflight_bytes_max: config.inflight_bytes_max,
            inflight_bytes: Arc::new(Semaphore::new(config.inflight_bytes_max)),
            inflight_envelopes: Arc::new(Semaphore::new(config.inflight_envelopes_max)),
        }
    }

    /// Lets a publish of so many bytes in, unless there are others and it would be too much.
    pub(crate) fn enter(&self, bytes: usize) -> Result<Entered<'_>, Error> {
        let admit = |before: usize| {
            let after = before.saturating_add(bytes);
            (before == 0 || after <= self.bytes_max).then_some(after)
        };
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit)
            .map_err(|_| Error::NoRoom)?;
        self.publishes.send_modify(|count| *count += 1);
        Ok(Entered { queue: self, bytes })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until every publish has returned.
    pub(crate) async fn drained(&self) {
        // The sender is ours, so that it cannot be gone.
        let _ = self
            .publishes
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }

    /// Waits for the right to send so many envelopes together.
    pub(crate) async fn send(&self, envelopes: usize, bytes: usize) -> Option<Sent> {
        let envelopes = u32::try_from(envelopes.min(self.inflight_envelopes_max)).ok()?;
        let envelopes = Arc::clone(&self.inflight_envelopes)
            .acquire_many_owned(envelopes)
            .await;
        let bytes = u32::try_from(bytes.min(self.inflight_bytes_max)).ok()?;
        let bytes = Arc::clone(&self.inflight_bytes)
            .acquire_many_owned(bytes)
            .await;
        Some(Sent {
            _envelopes: envelopes.ok()?,
            _bytes: bytes.ok()?,
        })
    }
}

/// A publish under way; dropped when it returns or is given up.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    queue: &'a Queue,
    bytes: usize,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.queue.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.queue.publishes.send_modify(|count| *count -= 1);
    }
}

/// What was sent and is not acknowledged. What is larger than everything that may be under way goes alone.
#[derive(Debug)]
pub(crate) struct Sent {
    _envelopes: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}
