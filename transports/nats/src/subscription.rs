//! A reader of a log and its positions.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use futures_util::{
    FutureExt,
    future::{BoxFuture, try_join_all},
};
use log_tracer_transport::{
    Delivery, Offset, Partition, ReadError, ReadOptions, Start, Subscription,
};

use tokio::task::yield_now;

use crate::{error::Error, reader::Reader, shared::Shared};

/// Reads the partitions in turn, so that a busy one does not keep the others waiting.
pub(crate) struct NatsSubscription {
    /// The partition that was read last stands last.
    readers: VecDeque<Reader>,
    closed: BoxFuture<'static, ()>,
    ended: bool,
}

impl fmt::Debug for NatsSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSubscription")
            .field("readers", &self.readers)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl NatsSubscription {
    /// Finds out where the reader starts, and asks for what is there.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Self, Error> {
        let partitions = from.len();
        let opening = from.into_iter().map(|(partition, start)| {
            let shared = Arc::clone(&shared);
            async move {
                let next = locate(&shared, partition, start).await?;
                let mut reader = Reader::new(shared, partition, next, partitions, options);
                reader.open().await?;
                Ok(reader)
            }
        });
        let closed = shared.closed.clone().cancelled_owned().boxed();
        let readers = tokio::select! {
            biased;
            () = shared.closed.cancelled() => return Err(Error::Closed),
            readers = try_join_all(opening) => readers?,
        };
        Ok(Self {
            readers: readers.into(),
            closed,
            ended: false,
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Delivery>, Error>> {
        if self.ended || self.closed.poll_unpin(cx).is_ready() {
            self.ended = true;
            return Poll::Ready(Ok(None));
        }
        for index in 0..self.readers.len() {
            let Some(reader) = self.readers.get_mut(index) else {
                break;
            };
            if let Poll::Ready(read) = reader.poll(cx) {
                if let Some(reader) = self.readers.remove(index) {
                    self.readers.push_back(reader);
                }
                return Poll::Ready(read.map(Some));
            }
        }
        Poll::Pending
    }
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        // A reader that never waits would keep its thread from the task that takes messages from the socket, and what has
        // come for the other partitions would not have its turn.
        yield_now().await;
        Ok(poll_fn(|cx| self.poll(cx)).await?)
    }
}

async fn locate(shared: &Shared, partition: Partition, start: Start) -> Result<Offset, Error> {
    match start {
        Start::At(offset) => Ok(offset),
        Start::Earliest => {
            let life = shared.link.life(shared.request_deadline()).await?;
            Ok(shared.look(&life, partition).await?.start())
        }
    }
}
