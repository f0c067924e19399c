//! "Send a sample trace": a checkout that goes well at the second attempt, sent by OTLP as any program would send it.

mod shop;

use std::time::Duration;

use log_tracer_proto::{
    otlp::{
        collector_logs::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        collector_trace::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    v1::Position,
};
use tonic::{Request, metadata::MetadataMap};
use warp::reply::Response;

use self::shop::Sample;
use crate::{
    app::App,
    clock,
    fault::Fault,
    lines::{hex, trace_href},
    reply,
};

/// The metadata in which a producer says where it stored a request.
const POSITIONS_HEADER: &str = "log-tracer-positions";

/// Answers `POST /sample`: sends the trace, waits until it can be found, and goes there.
pub(crate) async fn send(app: &App) -> Result<Response, Fault> {
    let Some(channel) = app.ingest.clone() else {
        return Err(Fault::missing(
            "this dashboard knows no producer to send a sample trace to",
        ));
    };
    let deadline = Duration::from_millis(app.config.sample_deadline_ms);
    let trace_id: [u8; 16] = rand::random();
    let sample = Sample::new(trace_id, clock::now());
    let positions = tokio::time::timeout(deadline, async {
        let mut traces = TraceServiceClient::new(channel.clone());
        let mut logs = LogsServiceClient::new(channel);
        let request = ExportTraceServiceRequest {
            resource_spans: sample.spans(),
        };
        let stored = traces.export(Request::new(request)).await?;
        let mut positions = positions(stored.metadata());
        let request = ExportLogsServiceRequest {
            resource_logs: sample.logs(),
        };
        let stored = logs.export(Request::new(request)).await?;
        positions.extend(self::positions(stored.metadata()));
        Ok::<_, tonic::Status>(positions)
    })
    .await
    .map_err(|_| Fault::slow("the producer did not store the sample trace within the deadline"))?
    .map_err(refused)?;
    if !positions.is_empty() {
        app.ask.wait_for(positions, deadline).await?;
    }
    Ok(reply::see_other(&trace_href(&hex(&trace_id), "")))
}

/// The producer's refusals, not the consumer's.
fn refused(status: tonic::Status) -> Fault {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::ResourceExhausted => {
            Fault::busy("the producer takes no records at the moment")
        }
        _ => Fault::consumer(format!(
            "the producer refused the sample trace: {}",
            status.message()
        )),
    }
}

/// Reads `<log id>:<partition>:<offset>,…`.
fn positions(metadata: &MetadataMap) -> Vec<Position> {
    metadata
        .get_all(POSITIONS_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|position| {
            let mut parts = position.trim().split(':');
            let position = Position {
                log_id: parts.next()?.to_owned(),
                partition: parts.next()?.parse().ok()?,
                offset: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(position)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_from_the_metadata() {
        let mut metadata = MetadataMap::new();
        metadata.insert(POSITIONS_HEADER, "0a:3:17,0a:4:5".parse().unwrap());
        let read: Vec<(u32, u64)> = positions(&metadata)
            .iter()
            .map(|at| (at.partition, at.offset))
            .collect();
        assert_eq!(read, [(3, 17), (4, 5)]);
        let mut odd = MetadataMap::new();
        odd.insert(POSITIONS_HEADER, "x,1:2,:::".parse().unwrap());
        assert!(positions(&odd).is_empty());
    }
}
