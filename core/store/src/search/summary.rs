//! A trace in a line.

use std::collections::{HashMap, HashSet};

use log_tracer_query::{Field, Intrinsic};
use log_tracer_record::{TraceId, otlp::common::any_value};

use super::{
    filter::{Filter, FilterOnAll},
    rows_of_trace::Gathered,
    source::{Source, readable, sources},
    spans_of_trace::{NO_SPAN, SpansOfTrace},
};
use crate::{
    block::Columns,
    chunk::{Chunk, LogChunk, SpanChunk, trace_id},
    stop::Progress,
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

/// Sums traces up.
#[derive(Debug)]
pub(super) struct Summariser<'s, 'q> {
    pub(super) spans: &'s Snapshot<SpanChunk>,
    pub(super) logs: &'s Snapshot<LogChunk>,
    /// Which spans match.
    pub(super) filter: &'s Filter<'q>,
    /// Spans of a trace that are looked at.
    pub(super) spans_max: usize,
}

/// What [`outcome`] looks at.
const OUTCOME_KEYS: [&str; 6] = [
    "http.response.status_code",
    "http.status_code",
    "http.request.method",
    "http.method",
    "rpc.grpc.status_code",
    "rpc.response.status_code",
];

impl Summariser<'_, '_> {
    /// Sums a trace up; none when it has no span.
    pub(super) fn summarise(&self, id: u128, progress: &mut Progress<'_>) -> Option<TraceSummary> {
        let trace_id = trace_id(id)?;
        let spans = SpansOfTrace::read(self.spans, id, &self.columns(), self.spans_max, progress);
        let SpansOfTrace {
            spans, left_out, ..
        } = spans;
        if left_out > 0 && spans.rows.len() >= self.spans_max {
            progress.coverage.miss(format!(
                "trace {trace_id} has {} spans, of which the first {} are summed up",
                spans.rows.len() as u64 + left_out,
                self.spans_max
            ));
        }
        let filter = FilterOnAll::new(self.filter, &spans.chunks);
        let places = spans.rows.iter();
        let matching = places.filter(|place| filter.query_matches(place.chunk_number, place.row));
        let matched_count = u32::try_from(matching.count()).unwrap_or(u32::MAX);
        let log_count = self.count_logs(id, progress);
        (!spans.rows.is_empty()).then(|| summarise(trace_id, &spans, log_count, matched_count))
    }

    fn columns(&self) -> Columns {
        let mut columns = Columns {
            levels: true,
            resources: true,
            ..self.filter.columns()
        };
        let intrinsics = [
            Intrinsic::Name,
            Intrinsic::Duration,
            Intrinsic::SpanId,
            Intrinsic::ParentId,
        ];
        columns.fields.extend(intrinsics.map(Field::Intrinsic));
        let attributes = OUTCOME_KEYS.map(|key| Field::Attribute(key.to_owned()));
        columns.fields.extend(attributes);
        columns
    }

    fn count_logs(&self, id: u128, progress: &mut Progress<'_>) -> u32 {
        let of_source = |source: Source<'_, LogChunk>| {
            readable(self.logs, source.rows_of_trace(id), progress).map_or(0, |rows| rows.len())
        };
        let count: usize = sources(self.logs).map(of_source).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Sums a trace up. No parent is followed, so that parents in a circle are as good as any.
fn summarise(
    trace_id: TraceId,
    spans: &Gathered<SpanChunk>,
    log_count: u32,
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
        log_count,
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
