//! A reader of one or more partitions, each of which is read by a task of its own.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll},
};

use async_trait::async_trait;
use log_tracer_transport::{
    Delivery, Envelope, Offset, Partition, ReadError, ReadOptions, Subscription,
};
use tokio::{sync::mpsc, task::coop};
use tokio_util::sync::CancellationToken;

use crate::{error::Error, reader::Piece};

/// Gives the partitions their turns. Dropping it ends the tasks, which notice that nobody listens.
#[derive(Debug)]
pub(crate) struct FluvioSubscription {
    /// The partition that was read last stands last.
    partitions: VecDeque<Incoming>,
    options: ReadOptions,
    /// Cancelled when the transport is closed or dropped.
    ended: CancellationToken,
}

/// What has come of a partition, and what comes.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) partition: Partition,
    pub(crate) pieces: mpsc::Receiver<Result<Piece, Error>>,
    /// What was handed over and not delivered yet, the next one first.
    pub(crate) rest: VecDeque<(Offset, bytes::Bytes)>,
    /// What ended the reading of this partition.
    pub(crate) failed: Option<Error>,
}

impl FluvioSubscription {
    pub(crate) fn new(
        partitions: VecDeque<Incoming>,
        options: ReadOptions,
        ended: CancellationToken,
    ) -> Self {
        Self {
            partitions,
            options,
            ended,
        }
    }

    /// Finds a partition that has something to deliver, and puts it last.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut closed = 0;
        for index in 0..self.partitions.len() {
            let Some(incoming) = self.partitions.get_mut(index) else {
                break;
            };
            match incoming.poll(context) {
                Poll::Pending => {}
                Poll::Ready(true) => {
                    self.partitions.rotate_left(index + 1);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(false) => match &incoming.failed {
                    Some(error) => return Poll::Ready(Err(error.clone())),
                    None => closed += 1,
                },
            }
        }
        match closed {
            0 => Poll::Pending,
            _ => Poll::Ready(Err(Error::Closed)),
        }
    }
}

impl Incoming {
    /// Waits for the first piece of what is there already.
    pub(crate) async fn begin(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    /// Whether something is there to be delivered; false when nothing will ever be.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.rest.is_empty() {
            return Poll::Ready(true);
        }
        if self.failed.is_some() {
            return Poll::Ready(false);
        }
        match self.pieces.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(false),
            Poll::Ready(Some(Ok(piece))) => {
                self.rest = piece.into();
                Poll::Ready(!self.rest.is_empty())
            }
            Poll::Ready(Some(Err(error))) => {
                self.failed = Some(error);
                Poll::Ready(false)
            }
        }
    }

    /// As much as a delivery may hold.
    fn deliver(&mut self, options: &ReadOptions) -> Result<Delivery, Error> {
        let partition = self.partition;
        let mut items = Vec::new();
        let mut bytes = 0_usize;
        while let Some((at, encoded)) = self.rest.front() {
            bytes = bytes.saturating_add(encoded.len());
            let full =
                items.len() >= options.delivery_envelopes_max || bytes > options.delivery_bytes_max;
            if full && !items.is_empty() {
                break;
            }
            match Envelope::decode(partition, encoded.clone()) {
                Ok(envelope) => items.push((*at, envelope)),
                Err(_) if !items.is_empty() => break,
                Err(error) => {
                    return Err(Error::Corrupt {
                        partition,
                        at: *at,
                        reason: error.to_string(),
                    });
                }
            }
            self.rest.pop_front();
        }
        let next = items.last().map_or(Offset(0), |(at, _)| Offset(at.0 + 1));
        Ok(Delivery {
            partition,
            items,
            next,
        })
    }
}

#[async_trait]
impl Subscription for FluvioSubscription {
    async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        // A reader that never waits would keep its thread from everybody else.
        coop::consume_budget().await;
        if self.ended.is_cancelled() {
            return Ok(None);
        }
        let ended = self.ended.clone();
        let ready = tokio::select! {
            biased;
            () = ended.cancelled() => return Ok(None),
            ready = poll_fn(|context| self.poll_ready(context)) => ready,
        };
        ready?;
        match self.partitions.back_mut() {
            Some(incoming) => Ok(Some(incoming.deliver(&self.options)?)),
            None => Err(Error::Closed.into()),
        }
    }
}
