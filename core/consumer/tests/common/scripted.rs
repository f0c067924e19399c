//! A transport that does what a test says: deliveries and errors in a given order.

use std::{
    collections::VecDeque,
    num::NonZeroU16,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use log_tracer_transport::{
    Acked, Atomicity, Capabilities, CloseError, CommitError, Cursor, Dedupe, Delivery, Envelope,
    FullPolicy, Group, Health, LogId, Offset, Partition, PublishError, ReadError, ReadOptions,
    Start, Subscription, Transport, Usage, Watermark,
};
use tokio::{sync::Notify, time::Instant};

pub const LOG: LogId = LogId(0xabc);

/// What a subscription does next.
#[derive(Clone, Debug)]
pub enum Step {
    Deliver(Delivery),
    Fail(ReadError),
    /// Does the next step once it is told to.
    Hold(Arc<Notify>),
    /// Waits for ever, as a log does to which nothing comes.
    Wait,
    /// The log was closed.
    End,
}

/// What one call of `subscribe` answers.
#[derive(Clone, Debug)]
pub enum Script {
    Refuse(ReadError),
    Steps(Vec<Step>),
}

#[derive(Debug)]
pub struct Scripted {
    capabilities: Capabilities,
    partitions: NonZeroU16,
    pub log_id: Mutex<LogId>,
    pub scripts: Mutex<VecDeque<Script>>,
    /// What was asked for, call by call.
    pub subscribed: Mutex<Vec<Vec<(Partition, Start)>>>,
    pub committed: Mutex<Vec<Cursor>>,
    /// Answered to commits, in this order; then they are taken.
    pub commit_errors: Mutex<VecDeque<CommitError>>,
    pub commits: Mutex<usize>,
    /// Where partition 0 ends; a transport that was not told does not say.
    end: Mutex<Option<Offset>>,
}

impl Scripted {
    pub fn new(partitions: u16, scripts: Vec<Script>) -> Arc<Self> {
        Arc::new(Self {
            capabilities: Capabilities {
                kind: "scripted",
                survives_process_crash: false,
                survives_os_crash: false,
                survives_node_loss: false,
                publish_atomicity: Atomicity::PerEnvelope,
                dedupe: Dedupe::None,
                contiguous_offsets: true,
                retention_waits_for_groups: false,
                when_full: FullPolicy::Reject,
                envelope_bytes_max: 1 << 20,
            },
            partitions: NonZeroU16::new(partitions).unwrap(),
            log_id: Mutex::new(LOG),
            scripts: Mutex::new(scripts.into()),
            subscribed: Mutex::default(),
            committed: Mutex::default(),
            commit_errors: Mutex::default(),
            commits: Mutex::default(),
            end: Mutex::default(),
        })
    }

    pub fn set_end(&self, end: u64) {
        *self.end.lock().unwrap() = Some(Offset(end));
    }
}

/// A delivery of envelopes at ascending offsets from `first` on.
pub fn deliver(partition: u16, first: u64, envelopes: Vec<Envelope>) -> Step {
    let partition = Partition(partition);
    let items: Vec<_> = (first..)
        .map(Offset)
        .zip(envelopes.into_iter().map(|mut envelope| {
            envelope.partition = partition;
            envelope
        }))
        .collect();
    Step::Deliver(Delivery {
        partition,
        next: Offset(first + items.len() as u64),
        items,
    })
}

#[async_trait]
impl Transport for Scripted {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn log_id(&self) -> LogId {
        *self.log_id.lock().unwrap()
    }

    fn partitions(&self) -> NonZeroU16 {
        self.partitions
    }

    async fn publish(&self, _: Vec<Envelope>, _: Instant) -> Result<Vec<Acked>, PublishError> {
        Err(PublishError::Draining)
    }

    async fn subscribe(
        &self,
        from: Vec<(Partition, Start)>,
        _: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        self.subscribed.lock().unwrap().push(from);
        let script = self.scripts.lock().unwrap().pop_front();
        match script.unwrap_or(Script::Steps(Vec::new())) {
            Script::Refuse(error) => Err(error),
            Script::Steps(steps) => Ok(Box::new(Playing(steps.into()))),
        }
    }

    async fn commit(&self, _: &Group, upto: &[Cursor]) -> Result<(), CommitError> {
        *self.commits.lock().unwrap() += 1;
        if let Some(error) = self.commit_errors.lock().unwrap().pop_front() {
            return Err(error);
        }
        *self.committed.lock().unwrap() = upto.to_vec();
        Ok(())
    }

    async fn committed(&self, _: &Group) -> Result<Vec<Cursor>, CommitError> {
        Ok(self.committed.lock().unwrap().clone())
    }

    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError> {
        match *self.end.lock().unwrap() {
            Some(end) => Ok(vec![Watermark {
                partition: Partition(0),
                start: Some(Offset(0)),
                end,
                bytes: None,
                exact: true,
            }]),
            None => Err(ReadError::Transient(Arc::from(Box::from("no watermarks")))),
        }
    }

    fn health(&self) -> Health {
        Health::Ready
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    async fn close(&self, _: Instant) -> Result<(), CloseError> {
        Ok(())
    }
}

#[derive(Debug)]
struct Playing(VecDeque<Step>);

#[async_trait]
impl Subscription for Playing {
    async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        while let Some(Step::Hold(told)) = self.0.front().cloned() {
            told.notified().await;
            self.0.pop_front();
        }
        match self.0.pop_front().unwrap_or(Step::Wait) {
            Step::Deliver(delivery) => Ok(Some(delivery)),
            Step::Fail(error) => Err(error),
            Step::Hold(_) | Step::Wait => std::future::pending().await,
            Step::End => Ok(None),
        }
    }
}
