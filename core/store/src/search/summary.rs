//! A trace in a line.

use std::collections::{HashMap, HashSet};

use log_tracer_record::{TraceId, otlp::common::any_value};

use super::spans_of_trace::{NO_SPAN, SpansOfTrace};
use crate::{
    chunk::{Chunk, LogChunk, SpanChunk, trace_number},
    table::Snapshot,
};

/// A trace in a line, of all its spans that are kept: also those that lie outside of the range that was asked for, or do
/// not match. The same span stored twice counts once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSummary {
    /// The trace.
    pub trace_id: TraceId,
    /// The service of the root: the earliest span without a parent, or else the earliest whose parent is missing, or
    /// else the earliest.
    pub root_service: String,
    /// The name of the root.
    pub root_name: String,
    /// What the root says about its outcome: "GET 404", "500", "NOT_FOUND"; empty when it says nothing.
    pub root_status: String,
    /// The earliest start, nanoseconds since 1970-01-01T00:00:00Z.
    pub start_unix_nano: u64,
    /// The latest end minus the earliest start, 0 when that is negative.
    pub duration_nano: u64,
    /// Its spans.
    pub span_count: u32,
    /// Its spans with an error status.
    pub error_count: u32,
    /// Its spans whose parent is named and missing.
    pub orphan_count: u32,
    /// Its log records.
    pub log_count: u32,
    /// Its services, those with the most spans first.
    pub services: Vec<ServiceCount>,
    /// Its spans that match the query.
    pub matched_count: u32,
}

/// The spans of one service in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCount {
    /// The service.
    pub service: String,
    /// Its spans.
    pub span_count: u32,
    /// Its spans with an error status.
    pub error_count: u32,
}

/// Sums a trace up. No parent is followed, so that parents in a circle are as good as any.
pub(super) fn summarise(
    trace_id: TraceId,
    spans: &SpansOfTrace<'_>,
    logs: &Snapshot<LogChunk>,
    matched_count: u32,
) -> TraceSummary {
    let ids: HashSet<[u8; 8]> = spans
        .iter()
        .map(|(chunk, row)| chunk.span_id(row))
        .collect();
    let mut services: HashMap<&str, ServiceCount> = HashMap::new();
    // Spans come by their start: the first of a kind is the earliest.
    let (mut first, mut first_root, mut first_orphan) = (None, None, None);
    let (mut start, mut end) = (u64::MAX, 0);
    let (mut error_count, mut orphan_count) = (0, 0);
    for (chunk, row) in spans.iter() {
        let is_error = chunk.is_error(row);
        let parent = chunk.parent_id(row);
        start = start.min(chunk.time(row));
        end = end.max(chunk.end(row));
        first.get_or_insert((chunk, row));
        if parent == NO_SPAN {
            first_root.get_or_insert((chunk, row));
        } else if !ids.contains(&parent) {
            first_orphan.get_or_insert((chunk, row));
            orphan_count += 1;
        }
        let service = services
            .entry(chunk.service(row))
            .or_insert_with_key(|service| ServiceCount {
                service: (*service).to_owned(),
                span_count: 0,
                error_count: 0,
            });
        service.span_count += 1;
        service.error_count += u32::from(is_error);
        error_count += u32::from(is_error);
    }
    let root = first_root.or(first_orphan).or(first);
    let text_of_root = |text: fn(&SpanChunk, usize) -> String| {
        root.map(|(chunk, row)| text(chunk, row))
            .unwrap_or_default()
    };
    TraceSummary {
        trace_id,
        root_service: text_of_root(|chunk, row| chunk.service(row).to_owned()),
        root_name: text_of_root(|chunk, row| chunk.name(row).to_owned()),
        root_status: text_of_root(outcome),
        start_unix_nano: start,
        duration_nano: end.saturating_sub(start),
        span_count: u32::try_from(spans.rows.len()).unwrap_or(u32::MAX),
        error_count,
        orphan_count,
        log_count: count_logs(logs, trace_id),
        services: most_spans_first(services.into_values()),
        matched_count,
    }
}

fn most_spans_first(services: impl Iterator<Item = ServiceCount>) -> Vec<ServiceCount> {
    let mut services: Vec<ServiceCount> = services.collect();
    services.sort_by(|a, b| {
        b.span_count
            .cmp(&a.span_count)
            .then_with(|| a.service.cmp(&b.service))
    });
    services
}

fn count_logs(logs: &Snapshot<LogChunk>, trace_id: TraceId) -> u32 {
    let id = trace_number(trace_id);
    let count: usize = logs
        .chunks
        .iter()
        .map(|chunk| chunk.traces().rows_of(id).len())
        .sum();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What a span says about its outcome, by the semantic conventions of OpenTelemetry for HTTP and RPC, the stable names
/// before those that they replaced.
fn outcome(chunk: &SpanChunk, row: usize) -> String {
    let text = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| short_text(chunk.attribute(row, key)?))
    };
    if let Some(code) = text(&["http.response.status_code", "http.status_code"]) {
        return match text(&["http.request.method", "http.method"]) {
            Some(method) => format!("{method} {code}"),
            None => code,
        };
    }
    if let Some(any_value::Value::IntValue(code)) = chunk.attribute(row, "rpc.grpc.status_code") {
        return usize::try_from(code)
            .ok()
            .and_then(|code| GRPC_CODES.get(code))
            .map_or_else(|| code.to_string(), |name| (*name).to_owned());
    }
    text(&["rpc.response.status_code"]).unwrap_or_default()
}

/// A value that fits into a line.
fn short_text(value: any_value::Value) -> Option<String> {
    const CHARS_MAX: usize = 32;
    match value {
        any_value::Value::StringValue(text) if !text.is_empty() => {
            Some(text.chars().take(CHARS_MAX).collect())
        }
        any_value::Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The names of gRPC's status codes, by their number.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
