//! A transport that keeps envelopes in a list, or fails in every way that the contract knows.

use std::{
    io,
    num::NonZeroU16,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
};
use log_tracer_transport::{
    Acked, Atomicity, Capabilities, CloseError, CommitError, Cursor, Dedupe, Envelope, FullPolicy,
    Group, Health, Kind, LogId, Offset, Partition, PublishError, ReadError, ReadOptions, Start,
    Subscription, Transport, Usage, Watermark,
};
use prost::Message;
use tokio::{sync::watch, time::Instant};

/// What a publish does.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    Store,
    /// Stores after a while.
    Delay(Duration),
    Fail(PublishError),
    /// Waits until the behaviour changes.
    Block,
    /// Stores so many publishes whose replies are lost, and the others as usual.
    LoseReplies(usize),
}

#[derive(Debug)]
pub(crate) struct Double {
    capabilities: Capabilities,
    partitions: NonZeroU16,
    behaviour: watch::Sender<Behaviour>,
    health: Mutex<Health>,
    stored: Mutex<Vec<Envelope>>,
    publishing: AtomicUsize,
}

impl Default for Double {
    fn default() -> Self {
        Self::new(1, 8 << 20)
    }
}

impl Double {
    pub(crate) fn new(partitions: u16, envelope_bytes_max: usize) -> Self {
        Self {
            capabilities: Capabilities {
                kind: "double",
                survives_process_crash: false,
                survives_os_crash: false,
                survives_node_loss: false,
                publish_atomicity: Atomicity::PerCall,
                dedupe: Dedupe::None,
                contiguous_offsets: true,
                retention_waits_for_groups: false,
                when_full: FullPolicy::Reject,
                envelope_bytes_max,
            },
            partitions: NonZeroU16::new(partitions).unwrap(),
            behaviour: watch::Sender::new(Behaviour::Store),
            health: Mutex::new(Health::Ready),
            stored: Mutex::default(),
            publishing: AtomicUsize::new(0),
        }
    }

    pub(crate) fn that(behaviour: Behaviour) -> Self {
        let double = Self::default();
        double.behave(behaviour);
        double
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    pub(crate) fn set_health(&self, health: Health) {
        *self.health.lock().unwrap() = health;
    }

    pub(crate) fn stored(&self) -> Vec<Envelope> {
        self.stored.lock().unwrap().clone()
    }

    /// Records of all envelopes.
    pub(crate) fn records(&self) -> u32 {
        self.stored().iter().map(|envelope| envelope.records).sum()
    }

    /// Calls that are waiting.
    pub(crate) fn publishing(&self) -> usize {
        self.publishing.load(Ordering::SeqCst)
    }

    pub(crate) fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        self.decoded(Kind::Traces)
    }

    pub(crate) fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        self.decoded(Kind::Logs)
    }

    fn decoded<M: Message + Default>(&self, kind: Kind) -> Vec<M> {
        let stored = self.stored();
        let envelopes = stored.iter().filter(|envelope| envelope.kind == kind);
        envelopes
            .map(|envelope| M::decode(envelope.payload.clone()).unwrap())
            .collect()
    }

    fn store(&self, batch: Vec<Envelope>) -> Result<Vec<Acked>, PublishError> {
        log_tracer_transport::check::publish(
            &batch,
            self.partitions,
            self.capabilities.envelope_bytes_max,
        )?;
        let mut stored = self.stored.lock().unwrap();
        let acks = batch.into_iter().map(|envelope| {
            let partition = envelope.partition;
            let before = stored.iter().filter(|other| other.partition == partition);
            let offset = Offset(before.count() as u64);
            stored.push(envelope);
            Acked {
                partition,
                offset,
                duplicate: false,
            }
        });
        Ok(acks.collect())
    }
}

/// One of each error of a publish.
pub(crate) fn publish_errors() -> Vec<PublishError> {
    let source = || Arc::new(io::Error::other("the cable"));
    vec![
        PublishError::Busy,
        PublishError::Full("10 of 10 bytes".to_owned()),
        PublishError::TooLarge { bytes: 9, max: 8 },
        PublishError::Invalid("no such partition".to_owned()),
        PublishError::Draining,
        PublishError::OutcomeUnknown(source()),
        PublishError::Failed(source()),
    ]
}

#[async_trait]
impl Transport for Double {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn log_id(&self) -> LogId {
        LogId(0x1d)
    }

    fn partitions(&self) -> NonZeroU16 {
        self.partitions
    }

    async fn publish(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError> {
        let mut changes = self.behaviour.subscribe();
        self.publishing.fetch_add(1, Ordering::SeqCst);
        let decided = changes.wait_for(|behaviour| !matches!(behaviour, Behaviour::Block));
        let behaviour = tokio::time::timeout_at(deadline, decided)
            .await
            .map(|changed| changed.unwrap().clone());
        self.publishing.fetch_sub(1, Ordering::SeqCst);
        match behaviour {
            Err(_) => Err(PublishError::Busy),
            Ok(Behaviour::Fail(error)) => Err(error),
            Ok(Behaviour::Delay(duration)) => {
                tokio::time::sleep(duration).await;
                self.store(batch)
            }
            Ok(Behaviour::LoseReplies(left)) => {
                let acked = self.store(batch)?;
                if left == 0 {
                    return Ok(acked);
                }
                self.behave(Behaviour::LoseReplies(left - 1));
                Err(publish_errors().remove(5))
            }
            Ok(Behaviour::Store | Behaviour::Block) => self.store(batch),
        }
    }

    async fn subscribe(
        &self,
        _from: Vec<(Partition, Start)>,
        _options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        Err(ReadError::Closed)
    }

    async fn commit(&self, _group: &Group, _upto: &[Cursor]) -> Result<(), CommitError> {
        Err(CommitError::Unsupported)
    }

    async fn committed(&self, _group: &Group) -> Result<Vec<Cursor>, CommitError> {
        Err(CommitError::Unsupported)
    }

    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError> {
        Err(ReadError::Closed)
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap().clone()
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    async fn close(&self, _deadline: Instant) -> Result<(), CloseError> {
        Ok(())
    }
}
