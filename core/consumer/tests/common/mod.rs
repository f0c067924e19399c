//! What the tests share: records, envelopes, and a consumer on the channel transport.

#![allow(dead_code, unreachable_pub)]

pub mod scripted;
pub mod shop;

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use bytes::Bytes;
use log_tracer_consumer::{Config, Consumer};
use log_tracer_proto::{
    otlp::{
        collector_logs::ExportLogsServiceRequest,
        collector_trace::ExportTraceServiceRequest,
        common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
    },
    v1::{self, query_service_client::QueryServiceClient},
};
use log_tracer_transport::{Acked, BatchId, Envelope, Kind, Part, Partition, Transport};
use log_tracer_transport_channel::{ChannelTransport, Config as ChannelConfig};
use prost::Message;
use slog::{Discard, Logger, o};
use tokio::time::Instant;
use tonic::{Request, transport::Channel};

/// A log id that no log of a test has.
pub const LOG_ID_OF_ANOTHER: &str = "0123456789abcdef0123456789abcdef";

/// 2023-11-14T22:13:20Z, where the records of the tests begin.
pub const EPOCH: u64 = 1_700_000_000_000_000_000;
pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;

pub fn log() -> Logger {
    Logger::root(Discard, o!())
}

/// How often a condition is looked at, 2 ms apart, before a test gives up.
const ATTEMPTS: usize = 5_000;

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// A consumer on an in-memory log, and its client.
pub struct Harness {
    pub transport: Arc<ChannelTransport>,
    pub consumer: Consumer,
    pub client: QueryServiceClient<Channel>,
}

/// One partition, and no recognition of duplicates by the log: that is the consumer's work here.
pub fn channel(partitions: u16) -> Arc<ChannelTransport> {
    let config = ChannelConfig {
        partitions: NonZeroU16::new(partitions).unwrap(),
        dedupe_batches_max: 0,
        ..ChannelConfig::default()
    };
    Arc::new(ChannelTransport::open(&config).unwrap())
}

impl Harness {
    pub async fn start() -> Self {
        Self::with(Config::default(), 1).await
    }

    pub async fn with(config: Config, partitions: u16) -> Self {
        let transport = channel(partitions);
        let consumer = Consumer::start(config, Arc::clone(&transport) as _, log())
            .await
            .unwrap();
        let client = QueryServiceClient::new(consumer.connect_in_process());
        Self {
            transport,
            consumer,
            client,
        }
    }

    /// Publishes without waiting for the consumer.
    pub async fn publish(&self, envelopes: Vec<Envelope>) -> Vec<Acked> {
        self.transport.publish(envelopes, soon()).await.unwrap()
    }

    /// Publishes, and waits until all of it can be found.
    pub async fn write(&mut self, envelopes: Vec<Envelope>) -> Vec<Acked> {
        let acks = self.publish(envelopes).await;
        self.wait_for(&acks).await.unwrap();
        acks
    }

    pub async fn wait_for(&mut self, acks: &[Acked]) -> Result<(), tonic::Status> {
        let positions = acks.iter().map(|ack| self.position(ack)).collect();
        let mut request = Request::new(v1::WaitForPositionRequest { positions });
        request.set_timeout(Duration::from_secs(10));
        self.client.wait_for_position(request).await.map(drop)
    }

    pub fn position(&self, ack: &Acked) -> v1::Position {
        v1::Position {
            log_id: self.transport.log_id().to_string(),
            partition: u32::from(ack.partition.0),
            offset: ack.offset.0,
        }
    }

    pub async fn status(&mut self) -> v1::StatusResponse {
        status(&mut self.client).await
    }

    pub async fn until(
        &mut self,
        wanted: impl Fn(&v1::StatusResponse) -> bool,
    ) -> v1::StatusResponse {
        until(&mut self.client, wanted).await
    }

    /// Every log record, oldest first, by its body.
    pub async fn bodies(&mut self) -> Vec<String> {
        bodies(&mut self.client).await
    }
}

/// A client on one end of a pipe.
pub fn client_of(pipe: tokio::io::DuplexStream) -> QueryServiceClient<Channel> {
    let mut pipe = Some(pipe);
    let connector = tower::service_fn(move |_: tonic::transport::Uri| {
        let pipe = pipe.take().ok_or(std::io::ErrorKind::NotConnected);
        async move { Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(pipe?)) }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://pipe");
    QueryServiceClient::new(endpoint.connect_with_connector_lazy(connector))
}

pub async fn status(client: &mut QueryServiceClient<Channel>) -> v1::StatusResponse {
    let status = client.status(v1::StatusRequest {}).await.unwrap();
    status.into_inner()
}

/// Waits until the status is as wanted; fails when it never is.
pub async fn until(
    client: &mut QueryServiceClient<Channel>,
    wanted: impl Fn(&v1::StatusResponse) -> bool,
) -> v1::StatusResponse {
    for _ in 0..ATTEMPTS {
        let status = status(client).await;
        if wanted(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("not reached: {:?}", status(client).await);
}

/// Waits until a condition holds; fails when it never does.
pub async fn eventually(holds: impl AsyncFn() -> bool) {
    for _ in 0..ATTEMPTS {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it never came true");
}

pub async fn bodies(client: &mut QueryServiceClient<Channel>) -> Vec<String> {
    let request = v1::SearchLogsRequest {
        limit: 5_000,
        oldest_first: true,
        ..v1::SearchLogsRequest::default()
    };
    let response = client.search_logs(request).await.unwrap().into_inner();
    assert!(response.next.is_none(), "not all fit into a page");
    response
        .hits
        .iter()
        .map(|hit| body(hit.record.as_ref().unwrap()))
        .collect()
}

pub fn body(record: &LogRecord) -> String {
    match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("not a text: {other:?}"),
    }
}

pub fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Value::StringValue(value.to_owned())),
    })
}

pub fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: text(value),
        ..KeyValue::default()
    }
}

pub fn resource(service: &str) -> Resource {
    Resource {
        attributes: vec![attribute("service.name", service)],
        ..Resource::default()
    }
}

pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "test".to_owned(),
        version: "1".to_owned(),
        ..InstrumentationScope::default()
    }
}

pub fn trace_id(id: u8) -> Bytes {
    Bytes::from(vec![id; 16])
}

pub fn span_id(id: u8) -> Bytes {
    Bytes::from(vec![id; 8])
}

/// A span of `trace` that starts so many milliseconds after [`EPOCH`]; parent 0 is none.
pub fn span(trace: u8, id: u8, parent: u8, name: &str, start_ms: u64, duration_ms: u64) -> Span {
    let start = EPOCH + start_ms * MS;
    Span {
        trace_id: trace_id(trace),
        span_id: span_id(id),
        parent_span_id: match parent {
            0 => Bytes::new(),
            parent => span_id(parent),
        },
        name: name.to_owned(),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + duration_ms * MS,
        ..Span::default()
    }
}

pub fn failed(mut span: Span, message: &str) -> Span {
    span.status = Some(Status {
        code: StatusCode::Error as i32,
        message: message.to_owned(),
    });
    span
}

pub fn spans(service: &str, spans: Vec<Span>) -> ResourceSpans {
    ResourceSpans {
        resource: Some(resource(service)),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope()),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

/// A log record so many milliseconds after [`EPOCH`], severity INFO.
pub fn record(body: &str, at_ms: u64) -> LogRecord {
    LogRecord {
        time_unix_nano: EPOCH + at_ms * MS,
        severity_number: 9,
        body: text(body),
        ..LogRecord::default()
    }
}

pub fn logs(service: &str, log_records: Vec<LogRecord>) -> ResourceLogs {
    ResourceLogs {
        resource: Some(resource(service)),
        scope_logs: vec![ScopeLogs {
            scope: Some(scope()),
            log_records,
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    }
}

pub fn span_envelope(batch: u128, resource_spans: Vec<ResourceSpans>) -> Envelope {
    let scopes = resource_spans.iter().flat_map(|one| &one.scope_spans);
    let records = scopes.map(|scope| scope.spans.len()).sum();
    let request = ExportTraceServiceRequest { resource_spans };
    envelope(batch, Kind::Traces, records, request.encode_to_vec().into())
}

pub fn log_envelope(batch: u128, resource_logs: Vec<ResourceLogs>) -> Envelope {
    let scopes = resource_logs.iter().flat_map(|one| &one.scope_logs);
    let records = scopes.map(|scope| scope.log_records.len()).sum();
    let request = ExportLogsServiceRequest { resource_logs };
    envelope(batch, Kind::Logs, records, request.encode_to_vec().into())
}

/// One log record of the service "shop".
pub fn one_log(batch: u128, body: &str, at_ms: u64) -> Envelope {
    log_envelope(batch, vec![logs("shop", vec![record(body, at_ms)])])
}

pub fn envelope(batch: u128, kind: Kind, records: usize, payload: Bytes) -> Envelope {
    Envelope {
        partition: Partition(0),
        kind,
        batch: BatchId(batch),
        part: Part::WHOLE,
        records: u32::try_from(records).unwrap(),
        received_unix_nano: EPOCH,
        payload,
        is_checked: false,
    }
}
