//! A subscription that makes one mistake.

use std::{future::pending, sync::Arc};

use async_trait::async_trait;
use futures_util::FutureExt;
use log_tracer_transport::{
    Cursor, Delivery, Offset, Partition, ReadError, ReadOptions, Start, Subscription, Transport,
};
use tokio::{sync::Mutex, task::yield_now};

use crate::{fault::Fault, transport::Groups};

/// One subscription that all readers share, opened by the first.
pub(crate) type SharedSubscription = Arc<Mutex<Option<Box<dyn Subscription>>>>;

/// Passes everything on, but for its fault.
#[derive(Debug)]
pub(crate) struct BrokenSubscription {
    fault: Fault,
    /// One, or one for each partition.
    inner: Vec<Box<dyn Subscription>>,
    options: ReadOptions,
    groups: Groups,
    shared: SharedSubscription,
    /// The transport, for a fault that needs it.
    transport: Option<Arc<dyn Transport>>,
    last_was_full: bool,
}

impl BrokenSubscription {
    pub(crate) async fn open(
        fault: Fault,
        transport: &Arc<dyn Transport>,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
        groups: Groups,
        shared: &SharedSubscription,
    ) -> Result<Self, ReadError> {
        let mut inner = Vec::new();
        match fault {
            Fault::StarvesPartitions => {
                for one in from {
                    inner.push(transport.subscribe(vec![one], options).await?);
                }
            }
            Fault::JumpsOverWhatLeft => {
                inner.push(subscribe_or_jump(&**transport, from, options).await?);
            }
            Fault::SharesOnePosition => {
                let mut shared = shared.lock().await;
                if shared.is_none() {
                    *shared = Some(transport.subscribe(from, options).await?);
                }
            }
            _ => inner.push(transport.subscribe(from, options).await?),
        }
        let needs_it = matches!(
            fault,
            Fault::OutlivesItsOwner | Fault::CommitsWhatIsRead | Fault::JumpsOverWhatLeft
        );
        Ok(Self {
            fault,
            inner,
            options,
            groups,
            shared: Arc::clone(shared),
            transport: needs_it.then(|| Arc::clone(transport)),
            last_was_full: false,
        })
    }

    /// From the first partition that has something.
    async fn next_of_the_first(&mut self) -> Result<Option<Delivery>, ReadError> {
        loop {
            for subscription in &mut self.inner {
                if let Some(next) = subscription.next().now_or_never() {
                    return next;
                }
            }
            yield_now().await;
        }
    }

    /// Drops the first envelope after a full delivery.
    async fn next_with_a_hole(&mut self) -> Result<Option<Delivery>, ReadError> {
        loop {
            let Some(mut delivery) = self.inner[0].next().await? else {
                return Ok(None);
            };
            if self.last_was_full {
                delivery.items.remove(0);
            }
            self.last_was_full = delivery.items.len() == self.options.delivery_envelopes_max;
            if !delivery.items.is_empty() {
                return Ok(Some(delivery));
            }
        }
    }

    async fn commit_for_everybody(&mut self, delivery: &Delivery) {
        let groups: Vec<_> = self.groups.lock().unwrap().keys().cloned().collect();
        let upto = [Cursor {
            partition: delivery.partition,
            next: delivery.next,
        }];
        for (group, transport) in groups.iter().zip(self.transport.iter().cycle()) {
            transport.commit(group, &upto).await.unwrap();
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Subscription for BrokenSubscription {
    async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        match self.fault {
            Fault::StarvesPartitions => self.next_of_the_first().await,
            Fault::SkipsAfterAFullDelivery => self.next_with_a_hole().await,
            Fault::SharesOnePosition => {
                let mut shared = self.shared.lock().await;
                shared.as_mut().unwrap().next().await
            }
            Fault::NeverWakes => match self.inner[0].next().now_or_never() {
                Some(next) => next,
                None => pending().await,
            },
            Fault::JumpsOverWhatLeft => match self.inner[0].next().await {
                Err(ReadError::Evicted {
                    partition, first, ..
                }) => {
                    let from = vec![(partition, Start::At(first))];
                    let transport = self.transport.as_ref().unwrap();
                    self.inner[0] = transport.subscribe(from, self.options).await?;
                    self.inner[0].next().await
                }
                next => next,
            },
            Fault::LosesADroppedDelivery => {
                let next = self.inner[0].next().await;
                yield_now().await;
                next
            }
            Fault::CommitsWhatIsRead => {
                let next = self.inner[0].next().await?;
                if let Some(delivery) = &next {
                    self.commit_for_everybody(delivery).await;
                }
                Ok(next)
            }
            fault => {
                let next = self.inner[0].next().await?;
                Ok(next.map(|delivery| spoil(fault, delivery)))
            }
        }
    }
}

fn spoil(fault: Fault, mut delivery: Delivery) -> Delivery {
    match fault {
        Fault::FlipsABit => {
            for (_, envelope) in &mut delivery.items {
                let mut payload = envelope.payload.to_vec();
                if let Some(last) = payload.last_mut() {
                    *last ^= 1;
                }
                envelope.payload = payload.into();
            }
        }
        Fault::LosesEmptyPayloads => {
            delivery
                .items
                .retain(|(_, envelope)| !envelope.payload.is_empty());
        }
        _ => {}
    }
    delivery
}

/// Subscribes, where something is kept if not where it was asked for.
async fn subscribe_or_jump(
    transport: &dyn Transport,
    from: Vec<(Partition, Start)>,
    options: ReadOptions,
) -> Result<Box<dyn Subscription>, ReadError> {
    match transport.subscribe(from.clone(), options).await {
        Err(ReadError::Evicted {
            partition, first, ..
        }) => {
            let jump = |(named, start): (Partition, Start)| match named == partition {
                true => (named, Start::At(Offset(first.0))),
                false => (named, start),
            };
            transport
                .subscribe(from.into_iter().map(jump).collect(), options)
                .await
        }
        subscribed => subscribed,
    }
}
