//! Clients that send until they are told to stop, each one request at a time, and again what was not acked, as an SDK
//! does.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use log_tracer_proto::otlp::{
    collector_logs::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    collector_trace::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::{AnyValue, KeyValue, any_value::Value},
    logs::{LogRecord, ResourceLogs, ScopeLogs},
    resource::Resource,
    trace::{ResourceSpans, ScopeSpans, Span},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tonic::{Status, transport::Channel};

use crate::ledger::{Kind, Ledger, RequestKey, text};

/// Where OTLP over gRPC is taken in at the moment: by any of several, or by nobody.
pub(crate) type Targets = Option<Vec<String>>;

/// No request takes longer than this, whatever happens to the process, on a disk that is slow to sync.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// Between two requests of a client, so that a long loop stays small enough to be compared.
const PAUSE: Duration = Duration::from_millis(15);
/// A record of the ledger is never as old as this.
const LONG_AGO: u64 = 3 * 24 * 3_600 * 1_000_000_000;

pub(crate) struct Client {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Client {
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

pub(crate) fn start(
    client: u64,
    seed: u64,
    ledger: Arc<Ledger>,
    targets: watch::Receiver<Targets>,
) -> Client {
    let (stop, stopped) = watch::channel(false);
    let random = StdRng::seed_from_u64(seed.wrapping_add(client));
    let task = tokio::spawn(run(client, random, ledger, targets, stopped));
    Client { task, stop }
}

async fn run(
    client: u64,
    mut random: StdRng,
    ledger: Arc<Ledger>,
    mut targets: watch::Receiver<Targets>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut turn = 0_usize;
    for sequence in 0.. {
        let kind = match random.random_bool(0.5) {
            true => Kind::Log,
            false => Kind::Span,
        };
        let key = RequestKey {
            kind,
            client,
            sequence,
        };
        let records = random.random_range(1..40);
        let request = request(key, records);
        ledger.sending(key, records);
        loop {
            let targets = tokio::select! {
                targets = targets.wait_for(Option::is_some) => targets.unwrap().clone().unwrap(),
                _ = stopped.wait_for(|stop| *stop) => return,
            };
            // As behind a load balancer: what one did not take in goes to the next.
            turn += 1;
            let sent = timeout(REQUEST_MAX, send(&targets[turn % targets.len()], &request)).await;
            match sent {
                Ok(Ok(())) => {
                    ledger.acked(key);
                    break;
                }
                Ok(Err(status)) => {
                    assert_ne!(status.code(), tonic::Code::InvalidArgument, "{status}");
                    ledger.retried(key);
                }
                Err(_) => panic!("a request hangs"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends records that retention lets go of; nobody counts them.
pub(crate) async fn send_old(address: &str, number: u64) {
    for sequence in 0..30 {
        let old = old(number, sequence, 100);
        let _ = timeout(REQUEST_MAX, send(address, &old)).await;
    }
}

#[derive(Clone, Debug)]
enum Request {
    Logs(ExportLogsServiceRequest),
    Spans(ExportTraceServiceRequest),
}

async fn send(address: &str, request: &Request) -> Result<(), Status> {
    // A connection of its own each time: the process behind the last one is dead more often than not.
    let channel = Channel::from_shared(address.to_owned())
        .unwrap()
        .connect()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    match request.clone() {
        Request::Logs(request) => LogsServiceClient::new(channel)
            .export(request)
            .await
            .map(drop),
        Request::Spans(request) => TraceServiceClient::new(channel)
            .export(request)
            .await
            .map(drop),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

fn request(key: RequestKey, records: u32) -> Request {
    let texts = (0..records).map(|index| text(key, index));
    let id = u128::from(key.client + 1) << 64 | u128::from(key.sequence + 1);
    make(key.kind, "ledger", now(), id, texts.collect())
}

fn old(client: u64, sequence: u64, records: u32) -> Request {
    let kind = match sequence % 2 {
        0 => Kind::Log,
        _ => Kind::Span,
    };
    let texts = (0..records).map(|index| format!("old {client} {sequence} {index}"));
    let id = u128::from(client + 1) << 96 | u128::from(sequence + 1);
    make(kind, "old", now() - LONG_AGO, id, texts.collect())
}

fn make(kind: Kind, service: &str, time: u64, id: u128, texts: Vec<String>) -> Request {
    let resource = Some(Resource {
        attributes: vec![KeyValue {
            key: "service.name".to_owned(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(service.to_owned())),
            }),
            ..KeyValue::default()
        }],
        ..Resource::default()
    });
    let trace_id = || id.to_be_bytes().to_vec().into();
    let numbered = (1_u64..).zip(texts);
    match kind {
        Kind::Log => {
            let record = |(number, text): (u64, String)| LogRecord {
                time_unix_nano: time + number,
                trace_id: trace_id(),
                body: Some(AnyValue {
                    value: Some(Value::StringValue(text)),
                }),
                ..LogRecord::default()
            };
            Request::Logs(ExportLogsServiceRequest {
                resource_logs: vec![ResourceLogs {
                    resource,
                    scope_logs: vec![ScopeLogs {
                        log_records: numbered.map(record).collect(),
                        ..ScopeLogs::default()
                    }],
                    ..ResourceLogs::default()
                }],
            })
        }
        Kind::Span => {
            let span = |(number, name): (u64, String)| Span {
                trace_id: trace_id(),
                span_id: number.to_be_bytes().to_vec().into(),
                name,
                start_time_unix_nano: time + number,
                end_time_unix_nano: time + number + 1_000,
                ..Span::default()
            };
            Request::Spans(ExportTraceServiceRequest {
                resource_spans: vec![ResourceSpans {
                    resource,
                    scope_spans: vec![ScopeSpans {
                        spans: numbered.map(span).collect(),
                        ..ScopeSpans::default()
                    }],
                    ..ResourceSpans::default()
                }],
            })
        }
    }
}
