//! Two producers behind a load balancer, over one log that loses replies: a client that got no answer from one retries
//! on the other, and what it sent is applied once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{
    io,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use log_tracer_consumer::Consumer;
use log_tracer_producer::Listeners;
use log_tracer_proto::{
    otlp::{
        collector_trace::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
        trace::{ResourceSpans, ScopeSpans, Span},
    },
    v1::{StatusRequest, query_service_client::QueryServiceClient},
};
use log_tracer_transport::{
    Acked, Capabilities, CloseError, CommitError, Cursor, Envelope, Group, Health, LogId,
    Partition, PublishError, ReadError, ReadOptions, Start, Subscription, Transport, Usage,
    Watermark,
};
use log_tracer_transports::TransportConfig;
use slog::{Discard, Logger, o};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;

/// Stores everything, and loses two replies of three.
#[derive(Debug)]
struct LosesReplies {
    transport: Arc<dyn Transport>,
    publishes: AtomicU64,
}

#[async_trait]
impl Transport for LosesReplies {
    async fn publish(
        &self,
        batch: Vec<Envelope>,
        deadline: Instant,
    ) -> Result<Vec<Acked>, PublishError> {
        let acked = self.transport.publish(batch, deadline).await?;
        match self.publishes.fetch_add(1, Ordering::Relaxed) % 3 {
            2 => Ok(acked),
            _ => Err(PublishError::OutcomeUnknown(Arc::new(io::Error::other(
                "the connection was reset",
            )))),
        }
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

fn log() -> Logger {
    Logger::root(Discard, o!())
}

/// A producer whose publishes have so many milliseconds.
async fn producer(
    transport: &Arc<LosesReplies>,
    deadline_ms: u64,
    stop: &CancellationToken,
) -> String {
    let free = "127.0.0.1:0".parse().unwrap();
    let config = log_tracer_producer::Config {
        grpc_listen: free,
        http_listen: free,
        publish_deadline_ms: deadline_ms,
        ..log_tracer_producer::Config::default()
    };
    let listeners = Listeners::bind(&config).await.unwrap();
    let address = format!("http://{}", listeners.grpc.local_addr().unwrap());
    let transport: Arc<dyn Transport> = Arc::clone(transport) as Arc<dyn Transport>;
    let serving = log_tracer_producer::serve(config, listeners, transport, log(), stop.clone());
    tokio::spawn(serving);
    address
}

/// A log of four partitions that remembers no batch, so that nobody but the consumer can tell a retry.
async fn lossy_log() -> Arc<LosesReplies> {
    let mut config = TransportConfig::in_memory();
    if let TransportConfig::Channel(channel) = &mut config {
        channel.partitions = NonZeroU16::new(4).unwrap();
        channel.dedupe_batches_max = 0;
    }
    Arc::new(LosesReplies {
        transport: log_tracer_transports::open(&config).await.unwrap(),
        publishes: AtomicU64::new(0),
    })
}

/// Spans of many traces, so that a request goes to every partition.
fn request(number: u64, spans: u64) -> ExportTraceServiceRequest {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_nanos()).unwrap();
    let span = |index: u64| Span {
        trace_id: (u128::from(number) << 64 | u128::from(index + 1))
            .to_be_bytes()
            .to_vec()
            .into(),
        span_id: (index + 1).to_be_bytes().to_vec().into(),
        name: format!("span {number} {index}"),
        start_time_unix_nano: now,
        end_time_unix_nano: now + 1_000,
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: (0..spans).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// What a store holds, and the envelopes that it did not apply again, once it has read the whole log.
async fn applied(consumer: &Consumer, transport: &LosesReplies) -> (u64, u64) {
    let ends = transport.watermarks().await.unwrap();
    for end in ends {
        if let Some(last) = end.end.0.checked_sub(1) {
            let passed = consumer.passed(end.partition, log_tracer_transport::Offset(last));
            tokio::time::timeout(Duration::from_secs(60), passed)
                .await
                .unwrap();
        }
    }
    let mut client = QueryServiceClient::new(consumer.connect_in_process());
    let status = client.status(StatusRequest {}).await.unwrap().into_inner();
    let rows = status.stores.iter().map(|store| store.rows).sum();
    (rows, status.duplicate_envelopes)
}

async fn consumer_of(transport: &Arc<LosesReplies>) -> Consumer {
    let transport: Arc<dyn Transport> = Arc::clone(transport) as Arc<dyn Transport>;
    Consumer::start(log_tracer_consumer::Config::default(), transport, log())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_to_the_other_producer_after_a_lost_reply_is_applied_once() {
    let transport = lossy_log().await;
    let consumer = consumer_of(&transport).await;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    // They give up at once, so that the client sees every lost reply.
    let addresses = [
        producer(&transport, 20, &stop).await,
        producer(&transport, 20, &stop).await,
    ];
    let mut clients = Vec::new();
    for address in addresses {
        clients.push(TraceServiceClient::connect(address).await.unwrap());
    }
    let (requests, spans) = (40, 25);
    let mut turn = 0;
    let mut lost_replies = 0;
    for number in 0..requests {
        let request = request(number, spans);
        loop {
            turn += 1;
            match clients[turn % 2].export(request.clone()).await {
                Ok(_) => break,
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{status}");
                    lost_replies += 1;
                }
            }
        }
    }
    assert_eq!(lost_replies, requests * 2);
    let (rows, duplicates) = applied(&consumer, &transport).await;
    assert_eq!(rows, requests * spans);
    assert_eq!(
        duplicates,
        lost_replies * 4,
        "an envelope of each partition"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_with_time_left_hides_lost_replies_from_its_client() {
    let transport = lossy_log().await;
    let consumer = consumer_of(&transport).await;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let address = producer(&transport, 30_000, &stop).await;
    let mut client = TraceServiceClient::connect(address).await.unwrap();
    for number in 0..4 {
        client.export(request(number, 25)).await.unwrap();
    }
    let (rows, duplicates) = applied(&consumer, &transport).await;
    assert_eq!((rows, duplicates), (100, 4 * 2 * 4));
}
