//! A reader of a channel and its position.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use log_tracer_transport::{
    Delivery, Envelope, Offset, Partition, ReadError, ReadOptions, Subscription,
};
use tokio::{sync::watch, task::coop};

use crate::{error::Error, transport::Shared};

/// Reads the partitions in turn, so that a busy one does not keep the others waiting.
#[derive(Debug)]
pub(crate) struct ChannelSubscription {
    shared: Arc<Shared>,
    /// Changes with every publish and with closing; ends when the transport is dropped.
    arrivals: watch::Receiver<()>,
    /// The partition that was read last stands last.
    positions: Vec<Position>,
    options: ReadOptions,
}

/// Where a reader is in a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) partition: Partition,
    pub(crate) next: Offset,
}

enum Look {
    Found {
        index: usize,
        position: Position,
        encoded: Vec<(Offset, Bytes)>,
    },
    AtTheEnd,
    Closed,
}

impl ChannelSubscription {
    pub(crate) fn new(
        shared: Arc<Shared>,
        arrivals: watch::Receiver<()>,
        positions: Vec<Position>,
        options: ReadOptions,
    ) -> Self {
        Self {
            shared,
            arrivals,
            positions,
            options,
        }
    }

    fn look(&self) -> Result<Look, Error> {
        let state = self.shared.lock();
        if state.closed {
            return Ok(Look::Closed);
        }
        for (index, position) in self.positions.iter().enumerate() {
            let encoded = state
                .log
                .read(position.partition, position.next, &self.options)?;
            if !encoded.is_empty() {
                return Ok(Look::Found {
                    index,
                    position: *position,
                    encoded,
                });
            }
        }
        Ok(Look::AtTheEnd)
    }

    /// Moves on past what is delivered.
    fn advance(&mut self, index: usize, next: Offset) {
        if let Some(position) = self.positions.get_mut(index) {
            position.next = next;
            self.positions.rotate_left(index + 1);
        }
    }
}

#[async_trait]
impl Subscription for ChannelSubscription {
    async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        // A reader that never waits would keep its thread from everybody else.
        coop::consume_budget().await;
        loop {
            // Before looking, so that what arrives after it wakes us.
            self.arrivals.mark_unchanged();
            match self.look()? {
                Look::Closed => return Ok(None),
                Look::Found {
                    index,
                    position,
                    encoded,
                } => {
                    let delivery = decode(position, encoded)?;
                    self.advance(index, delivery.next);
                    return Ok(Some(delivery));
                }
                Look::AtTheEnd => {}
            }
            if self.arrivals.changed().await.is_err() {
                return Err(Error::Closed.into());
            }
        }
    }
}

fn decode(position: Position, encoded: Vec<(Offset, Bytes)>) -> Result<Delivery, Error> {
    let partition = position.partition;
    let mut next = position.next;
    let mut items = Vec::with_capacity(encoded.len());
    for (at, bytes) in encoded {
        let envelope = Envelope::decode(partition, bytes).map_err(|source| Error::Corrupt {
            partition,
            at,
            source,
        })?;
        items.push((at, envelope));
        next = Offset(at.0 + 1);
    }
    Ok(Delivery {
        partition,
        items,
        next,
    })
}
