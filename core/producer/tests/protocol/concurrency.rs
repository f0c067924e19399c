//! Many clients at once, more than memory allows: what is refused may be retried, and what is acked is stored once.

use std::{collections::BTreeSet, time::Duration};

use log_tracer_producer::{Config, Reason};
use log_tracer_proto::otlp::collector_trace::trace_service_client::TraceServiceClient;
use tokio::task::JoinSet;
use tonic::{Code, codec::CompressionEncoding};
use tonic_types::StatusExt;

use crate::support::{Behaviour, Double, Running, records};

const CLIENTS: u64 = 64;
const REQUESTS: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_memory_taken_by_64_clients_no_acked_record_is_missing_and_the_rest_may_be_retried()
 {
    let inflight_bytes_max = 400_000;
    let config = Config {
        request_bytes_max: 200_000,
        inflight_bytes_max,
        publish_deadline_ms: 50,
        ..Running::config()
    };
    let transport = Double::new(4, 64 << 10);
    transport.behave(Behaviour::Delay(Duration::from_millis(150)));
    let server = Running::with(config, transport).await;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let channel = server.channel().await;
        clients.spawn(export(TraceServiceClient::new(channel), client));
    }
    let metrics = server.metrics.clone();
    let watch = tokio::spawn(async move {
        let mut highest = 0;
        loop {
            highest = highest.max(metrics.snapshot().inflight_bytes);
            assert!(highest <= inflight_bytes_max as u64);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut acked = BTreeSet::new();
    while let Some(names) = clients.join_next().await {
        acked.extend(names.unwrap());
    }
    assert!(!watch.is_finished(), "memory was above its limit");
    watch.abort();

    let stored = records::spans_in(&server.transport.traces());
    let names: BTreeSet<_> = stored.into_iter().map(|span| span.name).collect();
    assert!(acked.is_subset(&names), "an acked record is missing");
    assert!(!acked.is_empty());
    assert!(server.refused(Reason::Memory) > 0, "memory was never short");
    assert_eq!(server.metrics.snapshot().inflight_bytes, 0);
}

/// Sends requests of one client and gives the names of the spans that were acked.
async fn export(client: TraceServiceClient<tonic::transport::Channel>, number: u64) -> Vec<String> {
    let mut client = match number % 3 {
        0 => client,
        1 => client.send_compressed(CompressionEncoding::Gzip),
        _ => client.send_compressed(CompressionEncoding::Zstd),
    };
    let mut acked = Vec::new();
    for request in 0..REQUESTS {
        let first = (number * REQUESTS + request) * 100;
        let spans: Vec<_> = (first..first + 100).map(records::span).collect();
        let names: Vec<_> = spans.iter().map(|span| span.name.clone()).collect();
        match client.export(records::traces_of(spans)).await {
            Ok(reply) => {
                assert_eq!(reply.into_inner().partial_success, None);
                acked.extend(names);
            }
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                assert!(status.get_details_retry_info().is_some());
            }
        }
    }
    acked
}
