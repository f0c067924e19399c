//! Acknowledges no faster than is applied.
//!
//! A journal takes in more in a second than a store indexes in one. Without a brake, a sender that sends as fast as it is
//! acknowledged gets seconds ahead, and what it sent is durable and cannot be found yet. Where the consumer is in the same
//! process, the acknowledgement waits for it: not until the very request can be found, which would cost every sender a
//! moment, but until few envelopes before it are left. A consumer that keeps up holds nobody up.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use async_trait::async_trait;
use log_tracer_consumer::Consumer;
use log_tracer_transport::{
    Acked, Capabilities, CloseError, CommitError, Cursor, Envelope, Group, Health, LogId, Offset,
    Partition, PublishError, ReadError, ReadOptions, Start, Subscription, Transport, Usage,
    Watermark,
};
use tokio::time::{Instant, timeout_at};

/// A transport whose acknowledgements wait for a consumer that is far behind.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) consumer: Consumer,
    /// Envelopes of a partition that may be acknowledged and not applied.
    pub(super) lag_max: u64,
    /// How long an acknowledgement waits at most: what it says is true all along.
    pub(super) wait_max: Duration,
}

impl Paced {
    /// Waits until the consumer is near, but not beyond `deadline`.
    async fn wait(&self, acked: &[Acked], deadline: Instant) {
        let near = async {
            for ack in acked {
                if let Some(due) = ack.offset.0.checked_sub(self.lag_max) {
                    self.consumer.passed(ack.partition, Offset(due)).await;
                }
            }
        };
        let deadline = deadline.min(Instant::now() + self.wait_max);
        // Too late is not an error: the records are durable, and whoever asks for them is told that some are missing.
        let _ = timeout_at(deadline, near).await;
    }
}

#[async_trait]
impl Transport for Paced {
    async fn publish(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError> {
        let acked = self.transport.publish(batch, deadline).await?;
        self.wait(&acked, deadline).await;
        Ok(acked)
    }

    fn capabilities(&self) -> &Capabilities {
        self.transport.capabilities()
    }

    fn log_id(&self) -> LogId {
        self.transport.log_id()
    }

    fn partitions(&self) -> NonZeroU16 {
        self.transport.partitions()
    }

    async fn subscribe(
        &self,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        self.transport.subscribe(from, options).await
    }

    async fn commit(&self, group: &Group, upto: &[Cursor]) -> Result<(), CommitError> {
        self.transport.commit(group, upto).await
    }

    async fn committed(&self, group: &Group) -> Result<Vec<Cursor>, CommitError> {
        self.transport.committed(group).await
    }

    async fn watermarks(&self) -> Result<Vec<Watermark>, ReadError> {
        self.transport.watermarks().await
    }

    fn health(&self) -> Health {
        self.transport.health()
    }

    fn usage(&self) -> Usage {
        self.transport.usage()
    }

    async fn close(&self, deadline: Instant) -> Result<(), CloseError> {
        self.transport.close(deadline).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use log_tracer_transport::{BatchId, Kind, Part};
    use log_tracer_transports::TransportConfig;
    use slog::{Discard, Logger, o};
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    async fn transport() -> Arc<dyn Transport> {
        let config = TransportConfig::in_memory();
        log_tracer_transports::open(&config).await.unwrap()
    }

    async fn consumer_of(transport: &Arc<dyn Transport>) -> Consumer {
        let log = Logger::root(Discard, o!());
        let config = log_tracer_consumer::Config::default();
        Consumer::start(config, Arc::clone(transport), log)
            .await
            .unwrap()
    }

    async fn publish(paced: &Paced, number: u128) -> Acked {
        let envelope = Envelope {
            partition: Partition(0),
            kind: Kind::Logs,
            batch: BatchId(number),
            part: Part::WHOLE,
            records: 0,
            received_unix_nano: 0,
            payload: Bytes::new(),
            is_checked: false,
        };
        let acked = paced.publish(vec![envelope], Instant::now() + DEADLINE);
        acked.await.unwrap()[0]
    }

    #[tokio::test]
    async fn with_no_lag_allowed_what_is_acknowledged_can_be_found() {
        let transport = transport().await;
        let paced = Paced {
            consumer: consumer_of(&transport).await,
            transport,
            lag_max: 0,
            wait_max: DEADLINE,
        };
        for number in 0..100 {
            let acked = publish(&paced, number).await;
            let passed = paced.consumer.passed(acked.partition, acked.offset);
            assert!(
                timeout(Duration::ZERO, passed).await.is_ok(),
                "{number} cannot be found"
            );
        }
    }

    #[tokio::test]
    async fn an_acknowledgement_waits_for_a_consumer_that_is_stuck_no_longer_than_it_may() {
        let wait_max = Duration::from_millis(20);
        let paced = Paced {
            // It reads another log, where nothing comes.
            consumer: consumer_of(&transport().await).await,
            transport: transport().await,
            lag_max: 2,
            wait_max,
        };
        publish(&paced, 0).await;
        publish(&paced, 1).await;
        let started = Instant::now();
        publish(&paced, 2).await;
        assert!(started.elapsed() >= wait_max);
    }
}
