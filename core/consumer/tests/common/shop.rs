//! A small shop whose records every question has an answer for.

use log_tracer_consumer::Config;
use log_tracer_proto::{otlp::logs::LogRecord, v1};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    Harness, failed, log_envelope, logs, record, span, span_envelope, span_id, spans, trace_id,
};

/// Trace 1: a checkout that failed, of three services, with two logs. Trace 2: a quick look at the cart, one second
/// later. And a log that belongs to no trace.
pub async fn shop() -> Harness {
    shop_with(Config::default()).await
}

pub async fn shop_with(config: Config) -> Harness {
    let mut harness = Harness::with(config, 1).await;
    let payment = failed(span(1, 3, 2, "charge", 20, 50), "card declined");
    harness
        .write(vec![
            span_envelope(
                1,
                vec![
                    spans("web", vec![span(1, 1, 0, "GET /checkout", 0, 100)]),
                    spans("cart", vec![span(1, 2, 1, "checkout", 10, 80)]),
                ],
            ),
            span_envelope(2, vec![spans("payment", vec![payment])]),
            span_envelope(
                3,
                vec![spans("cart", vec![span(2, 4, 0, "view", 1_000, 5)])],
            ),
            log_envelope(
                4,
                vec![
                    logs(
                        "payment",
                        vec![
                            in_trace(record("calling the bank", 25), 1, 3),
                            in_trace(error(record("card declined", 60)), 1, 3),
                        ],
                    ),
                    logs("cart", vec![record("started", 2_000)]),
                ],
            ),
        ])
        .await;
    harness
}

pub fn in_trace(mut record: LogRecord, trace: u8, span: u8) -> LogRecord {
    record.trace_id = trace_id(trace);
    record.span_id = span_id(span);
    record
}

pub fn error(mut record: LogRecord) -> LogRecord {
    record.severity_number = 17;
    record
}

pub async fn get_trace(
    harness: &mut Harness,
    request: v1::GetTraceRequest,
) -> Result<Vec<v1::GetTraceResponse>, Status> {
    let mut stream = harness.client.get_trace(request).await?.into_inner();
    let mut pieces = Vec::new();
    while let Some(piece) = stream.message().await? {
        pieces.push(piece);
    }
    Ok(pieces)
}

pub fn whole(trace: u8) -> v1::GetTraceRequest {
    v1::GetTraceRequest {
        trace_id: trace_id(trace),
        ..v1::GetTraceRequest::default()
    }
}

pub fn is_whole(coverage: Option<&v1::Coverage>) -> bool {
    coverage.is_some_and(|coverage| !coverage.partial && coverage.reasons.is_empty())
}

/// The field that a request is refused for, and what is said about it.
pub fn violation(status: &Status) -> (String, String) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_details_bad_request().unwrap();
    let violation = details.field_violations.into_iter().next().unwrap();
    (violation.field, violation.description)
}

pub async fn search(
    harness: &mut Harness,
    request: v1::SearchTracesRequest,
) -> v1::SearchTracesResponse {
    harness
        .client
        .search_traces(request)
        .await
        .unwrap()
        .into_inner()
}
