//! How long after its ack a trace can be found by its id.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log_tracer_proto::{
    otlp::collector_trace::trace_service_client::TraceServiceClient, v1::GetTraceRequest,
};
use tonic::{Code, transport::Channel};

use super::{
    BenchError,
    load::{Percentiles, tally},
    server::Server,
};
use crate::workload::Shop;

const TRACES: usize = 200;
const GIVE_UP: Duration = Duration::from_secs(10);
/// Traces unlike those of the load.
const SEED: u64 = 0x5eed;

/// Nanoseconds since 1970-01-01T00:00:00Z.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

pub(super) async fn measure(server: &Server) -> Result<Percentiles, BenchError> {
    let channel = Channel::from_shared(server.otlp_grpc().to_owned())
        .map_err(|error| BenchError::Addresses(error.to_string()))?
        .connect()
        .await?;
    let mut ingest = TraceServiceClient::new(channel);
    let mut query = server.query().await?;
    let mut shop = Shop::new(SEED);
    let mut found_after = tally::micros()?;
    for _ in 0..TRACES {
        let traffic = shop.next_trace(now());
        let trace_id = traffic
            .spans
            .first()
            .map(|(_, span)| span.trace_id.clone())
            .ok_or_else(|| BenchError::Wrong("a trace without spans".to_owned()))?;
        ingest.export(traffic.into_requests().0).await?;
        let acked = Instant::now();
        loop {
            let request = GetTraceRequest {
                trace_id: trace_id.clone(),
                ..GetTraceRequest::default()
            };
            let answer = match query.get_trace(request).await {
                Ok(answer) => answer.into_inner().message().await,
                Err(status) => Err(status),
            };
            match answer {
                Ok(Some(_)) => break,
                Ok(None) => {}
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(status.into()),
            }
            if acked.elapsed() > GIVE_UP {
                return Err(BenchError::Wrong(format!(
                    "a trace cannot be found {GIVE_UP:?} after its ack"
                )));
            }
        }
        tally::record(&mut found_after, acked.elapsed());
    }
    Ok(Percentiles::of(&found_after))
}
