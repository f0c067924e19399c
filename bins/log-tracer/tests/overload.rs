//! Sixty-four clients that send as fast as they can, against limits that are much too small for them.
//!
//! `OVERLOAD_SECONDS=60` makes it last; the default is a few seconds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "support/server.rs"]
mod server;

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use log_tracer::{
    otlp_client::positions_of,
    workload::{Shop, Traffic},
};
use log_tracer_proto::{
    otlp::collector_trace::trace_service_client::TraceServiceClient,
    v1::{GetTraceRequest, Position, Signal, StatusRequest, WaitForPositionRequest},
};
use tokio::{task::JoinSet, time::Instant};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::server::Server;

const CLIENTS: u64 = 64;
const SPANS_PER_REQUEST: usize = 300;
/// Twice what the store keeps under the settings below.
const ACKED_SPANS_MIN: u64 = 80_000;
const MEBIBYTE: u64 = 1 << 20;
/// What the settings below allow for records and requests, and as much again for the program, its threads and buffers.
const RESIDENT_BYTES_MAX: u64 = 192 * MEBIBYTE;

/// What one client was told.
#[derive(Default)]
struct Ledger {
    acked_spans: u64,
    refused_requests: u64,
    /// Trace id and span count of the traces of the last request that was acked.
    last_acked: Vec<(Bytes, usize)>,
    last_positions: Vec<Position>,
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_refused_retryably_within_the_memory_bound_and_loses_nothing_that_was_acked() {
    let server = Server::start_with(&[
        "producer.inflight_bytes_max=8388608",
        "producer.request_bytes_max=4194304",
        "producer.publish_deadline_ms=50",
        // Sixty-four clients on a busy machine may need longer than usual to their first request.
        "producer.header_deadline_ms=300000",
        "transport.retained_bytes_max=16777216",
        "transport.envelope_bytes_max=4194304",
        "transport.queue_bytes_max=1048576",
        "consumer.store.chunk_bytes_max=262144",
        "consumer.store.spans_bytes_max=8388608",
        "consumer.store.logs_bytes_max=8388608",
    ]);
    let seconds = env::var("OVERLOAD_SECONDS").map_or(4, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);

    let acked = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(send_until(
            end,
            Arc::clone(&acked),
            server.otlp_grpc.clone(),
            client,
        ));
    }
    let ledgers = clients.join_all().await;

    let mut query = server.query().await;
    let positions = ledgers
        .iter()
        .flat_map(|ledger| ledger.last_positions.clone())
        .collect();
    query
        .wait_for_position(WaitForPositionRequest { positions })
        .await
        .unwrap();
    let status = query.status(StatusRequest {}).await.unwrap().into_inner();
    let spans = status
        .stores
        .iter()
        .find(|store| store.signal() == Signal::Spans)
        .unwrap();
    let acked: u64 = ledgers.iter().map(|ledger| ledger.acked_spans).sum();
    let refused: u64 = ledgers.iter().map(|ledger| ledger.refused_requests).sum();
    let peak = server.peak_resident_bytes();
    println!(
        "{acked} spans acked, {refused} requests refused, {} spans evicted, peak memory {peak:?}",
        spans.evicted_rows
    );

    assert_eq!(
        spans.applied_rows, acked,
        "every acked span was applied, and no other"
    );
    assert_eq!(spans.rows + spans.evicted_rows, acked);
    assert!(spans.evicted_rows > 0, "the byte cap was reached");
    assert!(spans.bytes <= spans.bytes_max);
    if let Some(peak) = peak {
        assert!(peak < RESIDENT_BYTES_MAX, "{} MiB", peak / MEBIBYTE);
    }
    newest_request_is_whole(&server, &ledgers).await;
}

/// The request that was acked last of all cannot have been evicted: each of its traces is whole.
async fn newest_request_is_whole(server: &Server, ledgers: &[Ledger]) {
    let newest = ledgers.iter().max_by_key(|ledger| {
        ledger
            .last_positions
            .iter()
            .map(|position| position.offset)
            .max()
    });
    let mut query = server.query().await;
    for (trace_id, sent) in &newest.unwrap().last_acked {
        let request = GetTraceRequest {
            trace_id: trace_id.clone(),
            ..GetTraceRequest::default()
        };
        let mut pieces = query.get_trace(request).await.unwrap().into_inner();
        let mut found = 0;
        while let Some(piece) = pieces.message().await.unwrap() {
            let scopes = piece
                .resource_spans
                .iter()
                .flat_map(|resource| &resource.scope_spans);
            found += scopes.map(|scope| scope.spans.len()).sum::<usize>();
        }
        assert_eq!(found, *sent);
    }
}

/// Sends until the time is over and all clients together have sent more than the store can keep.
async fn send_until(end: Instant, acked: Arc<AtomicU64>, endpoint: String, seed: u64) -> Ledger {
    let mut client = TraceServiceClient::connect(endpoint).await.unwrap();
    let mut shop = Shop::new(seed);
    let mut ledger = Ledger::default();
    while Instant::now() < end || acked.load(Ordering::Relaxed) < ACKED_SPANS_MIN {
        let (traffic, traces) = request(&mut shop);
        let spans = traffic.spans.len() as u64;
        match client.export(traffic.into_requests().0).await {
            Ok(reply) => {
                assert_eq!(reply.get_ref().partial_success, None);
                ledger.acked_spans += spans;
                acked.fetch_add(spans, Ordering::Relaxed);
                ledger.last_acked = traces;
                ledger.last_positions =
                    positions_of(reply.metadata()).expect("an ack has positions");
            }
            Err(status) => {
                assert!(is_retryable(&status), "{status:?}");
                ledger.refused_requests += 1;
            }
        }
    }
    ledger
}

fn request(shop: &mut Shop) -> (Traffic, Vec<(Bytes, usize)>) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    let mut traffic = Traffic::default();
    let mut traces = Vec::new();
    while traffic.spans.len() < SPANS_PER_REQUEST {
        let trace = shop.next_trace(now);
        traces.push((trace.spans[0].1.trace_id.clone(), trace.spans.len()));
        traffic.extend(trace);
    }
    (traffic, traces)
}

/// What an OpenTelemetry SDK sends again.
fn is_retryable(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        Code::ResourceExhausted => status
            .get_details_retry_info()
            .is_some_and(|info| info.retry_delay.is_some()),
        _ => false,
    }
}
