//! A transport that makes one mistake, around one that makes none.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use log_tracer_transport::{
    Acked, Capabilities, CloseError, CommitError, Cursor, Envelope, Group, Health, LogId, Offset,
    Part, Partition, PublishError, ReadError, ReadOptions, Start, Subscription, Transport, Usage,
    Watermark,
};
use tokio::{
    spawn,
    task::yield_now,
    time::{Instant, sleep},
};

use crate::{
    fault::Fault,
    subscription::{BrokenSubscription, SharedSubscription},
};

/// Passes everything on, but for its fault.
#[derive(Debug)]
pub(crate) struct Broken {
    fault: Fault,
    inner: Arc<dyn Transport>,
    capabilities: Capabilities,
    groups: Groups,
    shared: SharedSubscription,
    taken: AtomicBool,
    closed: AtomicBool,
    old_watermarks: Mutex<Option<Vec<Watermark>>>,
}

/// What the groups have committed last.
pub(crate) type Groups = Arc<Mutex<BTreeMap<Group, BTreeMap<Partition, Offset>>>>;

impl Broken {
    pub(crate) fn new(fault: Fault, inner: Arc<dyn Transport>, capabilities: Capabilities) -> Self {
        Self {
            fault,
            inner,
            capabilities,
            groups: Groups::default(),
            shared: SharedSubscription::default(),
            taken: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            old_watermarks: Mutex::new(None),
        }
    }

    async fn end_of(&self, partition: Partition) -> Offset {
        let watermarks = self.inner.watermarks().await.unwrap_or_default();
        let of_partition = watermarks.iter().find(|w| w.partition == partition);
        of_partition.map(|w| w.end).unwrap_or_default()
    }

    /// The acks that the batch would get if it were stored now.
    async fn foretell(&self, batch: &[Envelope]) -> Vec<Acked> {
        let mut acks = Vec::new();
        for (index, envelope) in (0..).zip(batch) {
            let end = self.end_of(envelope.partition).await;
            acks.push(Acked {
                partition: envelope.partition,
                offset: Offset(end.0 + index),
                duplicate: false,
            });
        }
        acks
    }

    async fn publish_one_by_one(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError> {
        let mut acks = Vec::new();
        for envelope in batch {
            acks.extend(self.inner.publish(vec![envelope], deadline).await?);
            yield_now().await;
        }
        Ok(acks)
    }

    /// Where to start instead of where the reader said.
    async fn misplace(&self, partition: Partition, start: Start) -> Start {
        let end = self.end_of(partition).await;
        match (self.fault, start) {
            (Fault::StartsOneLate, Start::At(offset)) => Start::At(Offset(offset.0 + 1).min(end)),
            (Fault::ClampsToTheEnd, Start::At(offset)) => Start::At(offset.min(end)),
            (Fault::StartsAtTheCommit, Start::Earliest) => {
                let groups = self.groups.lock().unwrap();
                let committed = groups.values().filter_map(|group| group.get(&partition));
                committed.max().map_or(start, |next| Start::At(*next))
            }
            _ => start,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Transport for Broken {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn log_id(&self) -> LogId {
        match self.fault {
            Fault::KeepsOneLogId => LogId(1),
            _ => self.inner.log_id(),
        }
    }

    fn partitions(&self) -> NonZeroU16 {
        self.inner.partitions()
    }

    async fn publish(
        &self,
        mut batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError> {
        match self.fault {
            Fault::AcksBeforeStoring => {
                let acks = self.foretell(&batch).await;
                let inner = Arc::clone(&self.inner);
                spawn(async move {
                    sleep(Duration::from_millis(1)).await;
                    inner.publish(batch, deadline).await
                });
                Ok(acks)
            }
            Fault::ReversesTheAcks => {
                let mut acks = self.inner.publish(batch, deadline).await?;
                acks.reverse();
                Ok(acks)
            }
            Fault::ReversesACall => {
                batch.reverse();
                let mut acks = self.inner.publish(batch, deadline).await?;
                acks.reverse();
                Ok(acks)
            }
            Fault::RefusesTheLargest => {
                let max = self.capabilities.envelope_bytes_max;
                if let Some(bytes) = batch.iter().map(Envelope::encoded_len).find(|b| *b >= max) {
                    return Err(PublishError::TooLarge { bytes, max });
                }
                self.inner.publish(batch, deadline).await
            }
            Fault::TakesAThousand => {
                let mut acks = self.foretell(&batch).await;
                let rest = acks.split_off(batch.len().min(1000));
                batch.truncate(1000);
                let mut acks = self.inner.publish(batch, deadline).await?;
                acks.extend(rest);
                Ok(acks)
            }
            Fault::ChecksNothing => {
                for envelope in &mut batch {
                    envelope.partition.0 %= self.inner.partitions().get();
                    envelope.part.count = envelope.part.count.max(1);
                    envelope.part.index %= envelope.part.count;
                }
                match batch.is_empty() {
                    true => Ok(Vec::new()),
                    false => self.inner.publish(batch, deadline).await,
                }
            }
            Fault::StoresOneByOne => self.publish_one_by_one(batch, deadline).await,
            Fault::StoresInTwoSteps => {
                let rest = batch.split_off(1);
                let mut acks = self.inner.publish(batch, deadline).await?;
                yield_now().await;
                if !rest.is_empty() {
                    acks.extend(self.inner.publish(rest, deadline).await?);
                }
                Ok(acks)
            }
            Fault::DropsWhenFull => {
                let acks = self.foretell(&batch).await;
                match self.inner.publish(batch, deadline).await {
                    Err(PublishError::Busy) => Ok(acks),
                    answer => answer,
                }
            }
            Fault::IgnoresTheDeadline => {
                let never = deadline + Duration::from_secs(3600);
                self.inner.publish(batch, never).await
            }
            Fault::RefusesAtOnce => self.inner.publish(batch, Instant::now()).await,
            Fault::RetriesBehindTheScenes => {
                let acks = self.inner.publish(batch.clone(), deadline).await?;
                // The second reply is the late one: nobody waits for it.
                drop(self.inner.publish(batch, Instant::now()).await);
                Ok(acks)
            }
            Fault::ForgetsParts => {
                for envelope in &mut batch {
                    envelope.part = Part::WHOLE;
                }
                self.inner.publish(batch, deadline).await
            }
            Fault::KeepsThePlaceOfADroppedCall => {
                while self.taken.swap(true, Ordering::SeqCst) {
                    sleep(Duration::from_millis(10)).await;
                }
                let answer = self.inner.publish(batch, deadline).await;
                self.taken.store(false, Ordering::SeqCst);
                answer
            }
            _ => self.inner.publish(batch, deadline).await,
        }
    }

    async fn subscribe(
        &self,
        mut from: Vec<(Partition, Start)>,
        mut options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        for (partition, start) in &mut from {
            *start = self.misplace(*partition, *start).await;
        }
        let all = 0..self.inner.partitions().get();
        match self.fault {
            Fault::IgnoresReadLimits => options = ReadOptions::default(),
            Fault::ReadsEveryPartition => {
                let named: BTreeSet<_> = from.iter().map(|(partition, _)| *partition).collect();
                let others = all.map(Partition).filter(|p| !named.contains(p));
                from.extend(others.map(|partition| (partition, Start::Earliest)));
            }
            Fault::ChecksNothing => {
                let mut named = BTreeSet::new();
                from.retain(|(partition, _)| {
                    all.contains(&partition.0) && named.insert(*partition)
                });
                options.delivery_envelopes_max = options.delivery_envelopes_max.max(1);
                if from.is_empty() {
                    from.push((Partition(0), Start::Earliest));
                }
            }
            _ => {}
        }
        let subscription = BrokenSubscription::open(
            self.fault,
            &self.inner,
            from,
            options,
            Arc::clone(&self.groups),
            &self.shared,
        );
        Ok(Box::new(subscription.await?))
    }

    async fn commit(&self, group: &Group, upto: &[Cursor]) -> Result<(), CommitError> {
        match self.fault {
            Fault::SharesCursors => {
                let everybody = Group("everybody".into());
                return self.inner.commit(&everybody, upto).await;
            }
            Fault::CommitsOneByOne => {
                for cursor in upto {
                    self.inner.commit(group, &[*cursor]).await?;
                }
            }
            _ => self.inner.commit(group, upto).await?,
        }
        let mut groups = self.groups.lock().unwrap();
        let committed = groups.entry(group.clone()).or_default();
        committed.extend(upto.iter().map(|cursor| (cursor.partition, cursor.next)));
        Ok(())
    }

    async fn committed(&self, group: &Group) -> Result<Vec<Cursor>, CommitError> {
        match self.fault {
            Fault::SharesCursors => self.inner.committed(&Group("everybody".into())).await,
            Fault::CommitsGoBack => {
                let groups = self.groups.lock().unwrap();
                let committed = groups.get(group).into_iter().flatten();
                Ok(committed
                    .map(|(&partition, &next)| Cursor { partition, next })
                    .collect())
            }
            _ => self.inner.committed(group).await,
        }
    }

    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError> {
        let now = self.inner.watermarks().await?;
        if self.fault == Fault::ShowsOldWatermarks {
            let before = self.old_watermarks.lock().unwrap().replace(now.clone());
            return Ok(before.unwrap_or(now));
        }
        Ok(now)
    }

    fn health(&self) -> Health {
        match self.fault {
            Fault::AlwaysReady => Health::Ready,
            _ => self.inner.health(),
        }
    }

    fn usage(&self) -> Usage {
        match self.fault {
            Fault::ClaimsToTakeNothing => Usage {
                bytes: Some(0),
                ..self.inner.usage()
            },
            _ => self.inner.usage(),
        }
    }

    async fn close(&self, deadline: Instant) -> Result<(), CloseError> {
        match self.fault {
            Fault::ClosesNothing => Ok(()),
            Fault::ClosesOnce if self.closed.swap(true, Ordering::SeqCst) => {
                Err(CloseError::Deadline("closed already".into()))
            }
            _ => self.inner.close(deadline).await,
        }
    }
}
