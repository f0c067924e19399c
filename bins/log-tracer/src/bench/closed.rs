//! Sends spans or log records in a closed loop: each connection has one request under way.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use log_tracer_proto::{
    otlp::{
        collector_logs::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        collector_trace::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    v1::WaitForPositionRequest,
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tonic::transport::Channel;

use super::{BenchError, report::Ingest, server::Server, table::Options};
use crate::{
    otlp_client::positions_of,
    workload::{Shop, Traffic},
};

/// How long applying what was acked may take: a load of many millions is acked sooner than it is in blocks.
const APPLY_MAX: Duration = Duration::from_secs(3_600);

/// Which kind of record is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Spans,
    Logs,
}

enum Request {
    Spans(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// Sends, waits until all of it can be found and the server is quiet, and says what it cost.
pub(super) async fn send(
    options: &Options,
    server: &Server,
    signal: Signal,
) -> Result<Ingest, BenchError> {
    let before = server.usage();
    let sent = send_only(options, server, signal).await?;
    server.settle().await;
    let written = server.written().await?;
    server.settle().await;
    let cpu = before
        .zip(server.usage())
        .map(|(before, after)| after.cpu.saturating_sub(before.cpu));
    let stored = written.map(|[spans, logs]| match signal {
        Signal::Spans => spans,
        Signal::Logs => logs,
    });
    Ok(Ingest::new(sent, cpu, stored))
}

/// What was sent and acked, and can be found.
pub(super) struct Sent {
    pub(super) records: u64,
    pub(super) acks: Latencies,
    pub(super) acked: Duration,
    pub(super) queryable: Duration,
}

/// Sends, and waits until all of it can be found.
pub(super) async fn send_only(
    options: &Options,
    server: &Server,
    signal: Signal,
) -> Result<Sent, BenchError> {
    let started = Instant::now();
    let (requests, records) = requests(options, signal);
    let mut senders = JoinSet::new();
    for _ in 0..options.connections {
        let channel = Channel::from_shared(server.otlp_grpc().to_owned())
            .map_err(|error| BenchError::Addresses(error.to_string()))?
            .connect()
            .await?;
        senders.spawn(send_all(channel, Arc::clone(&requests)));
    }
    let mut acks = Vec::new();
    let mut positions = Vec::new();
    while let Some(sender) = senders.join_next().await {
        let (latencies, last) = sender??;
        acks.extend(latencies);
        positions.extend(last);
    }
    let acked = started.elapsed();
    let mut found = tonic::Request::new(WaitForPositionRequest { positions });
    found.set_timeout(APPLY_MAX);
    server.query().await?.wait_for_position(found).await?;
    let queryable = started.elapsed();
    Ok(Sent {
        records: records.await?,
        acks,
        acked,
        queryable,
    })
}

type Latencies = Vec<Duration>;

async fn send_all(
    channel: Channel,
    requests: Arc<Mutex<mpsc::Receiver<Request>>>,
) -> Result<(Latencies, Vec<log_tracer_proto::v1::Position>), BenchError> {
    let mut traces = TraceServiceClient::new(channel.clone());
    let mut logs = LogsServiceClient::new(channel);
    let mut latencies = Vec::new();
    let mut last = Vec::new();
    loop {
        let Some(request) = requests.lock().await.recv().await else {
            return Ok((latencies, last));
        };
        let started = Instant::now();
        let metadata = match request {
            Request::Spans(request) => traces.export(request).await?.into_parts().0,
            Request::Logs(request) => logs.export(request).await?.into_parts().0,
        };
        latencies.push(started.elapsed());
        last = positions_of(&metadata)
            .ok_or_else(|| BenchError::Wrong("an ack without positions".to_owned()))?;
    }
}

/// Makes the requests while they are sent, a few ahead; the second value is how many records they held.
fn requests(
    options: &Options,
    signal: Signal,
) -> (
    Arc<Mutex<mpsc::Receiver<Request>>>,
    tokio::task::JoinHandle<u64>,
) {
    let (sender, receiver) = mpsc::channel(usize::from(options.connections) * 2);
    let (seed, wanted, batch) = (options.seed, options.records, options.batch);
    // Logs come from other traces than the spans before, so that the two do not depend on each other.
    let seed = if signal == Signal::Logs {
        seed.wrapping_add(1)
    } else {
        seed
    };
    let made = tokio::task::spawn_blocking(move || {
        let mut shop = Shop::new(seed);
        // One hour of traffic that ends now.
        let end = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64);
        let step = 3_600_000_000_000 / wanted.max(1);
        let mut at = end - 3_600_000_000_000;
        let mut records = 0;
        while records < wanted {
            let mut traffic = Traffic::default();
            let mut count = 0;
            while count < batch && records + count < wanted {
                let trace = shop.next_trace(at);
                let made = match signal {
                    Signal::Spans => trace.spans.len(),
                    Signal::Logs => trace.logs.len(),
                } as u64;
                at += made * step;
                count += made;
                traffic.extend(trace);
            }
            records += count;
            let (spans, logs) = traffic.into_requests();
            let request = match signal {
                Signal::Spans => Request::Spans(spans),
                Signal::Logs => Request::Logs(logs),
            };
            // Every sender is gone: one of them has an error to report.
            if sender.blocking_send(request).is_err() {
                break;
            }
        }
        records
    });
    (Arc::new(Mutex::new(receiver)), made)
}
