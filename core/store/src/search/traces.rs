//! Traces with a span that matches.
//!
//! A trace is in the range when its start is, and its start is known only when all its spans are: a span that came late
//! can be the first. So a search first puts together all traces from the tables of the chunks, which costs a few
//! nanoseconds a trace and looks at no span; keeps those in the range; and takes them in the order of the answer. Only then
//! are spans asked whether they match, trace by trace, until the page is full.

use std::collections::BinaryHeap;

use log_tracer_query::Query;
use log_tracer_record::TraceId;

use super::{
    TraceSummary,
    candidates::{Candidate, Candidates},
    filter::{Filter, FilterOnAll},
    spans_of_trace::SpansOfTrace,
    summary::summarise,
};
use crate::{
    Coverage, Stop, TimeRange,
    chunk::{LogChunk, SpanChunk, trace_id, trace_number},
    stop::Progress,
    table::Snapshot,
};

/// Asks for traces that have at least one span which matches the whole query.
#[derive(Clone, Debug)]
pub struct TraceSearch {
    /// What a span has to match.
    pub query: Query,
    /// Where the start of the trace, that of its earliest span, has to lie.
    pub range: TimeRange,
    /// The least duration of the whole trace in nanoseconds; 0 is no bound.
    pub duration_min_nano: u64,
    /// The greatest duration of the whole trace in nanoseconds.
    pub duration_max_nano: Option<u64>,
    /// Which traces come first.
    pub order: TraceOrder,
    /// Traces to answer at most.
    pub limit: usize,
}

/// Which traces come first. Traces that are equal by an order stand newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceOrder {
    /// By their start, newest first: the only order that can be paged, since the others change as spans arrive.
    Newest {
        /// Answers only what comes after this place.
        after: Option<TraceCursor>,
    },
    /// The longest.
    Longest,
    /// Those with the most spans stored; a span that is stored twice counts twice for the order.
    MostSpans,
    /// Those with the most errors stored, likewise.
    MostErrors,
}

/// A place in the order [`TraceOrder::Newest`]; the greater place is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceCursor {
    /// The start of a trace, nanoseconds since 1970-01-01T00:00:00Z.
    pub start_unix_nano: u64,
    /// The trace.
    pub trace_id: TraceId,
}

/// Traces that were found.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceResults {
    /// In the order that was asked for.
    pub traces: Vec<TraceSummary>,
    /// Asks for the next page when it is given to [`TraceOrder::Newest`]; none when there is no more, and in any other
    /// order.
    pub next: Option<TraceCursor>,
    /// What was covered.
    pub coverage: Coverage,
}

pub(crate) fn search_traces(
    spans: &Snapshot<SpanChunk>,
    logs: &Snapshot<LogChunk>,
    search: &TraceSearch,
    answer_bytes_max: u64,
    stop: &Stop,
) -> TraceResults {
    let mut progress = Progress::start(stop);
    cover(spans, search, &mut progress);
    // The range is that of traces, so that a span is asked for the query alone.
    let filter = Filter::new(&search.query, TimeRange::ALL);
    let candidates = Candidates::of(spans, &filter, answer_bytes_max, &mut progress);
    let filter = FilterOnAll::new(&filter, &spans.chunks);
    let mut ranked = rank(&candidates, search);

    let mut traces = Vec::new();
    let mut has_more = false;
    while let Some(Ranked { number, .. }) = ranked.pop() {
        let Some(candidate) = candidates.all.get(number) else {
            continue;
        };
        let matches = any_span_matches(spans, &candidates, candidate, &filter, &mut progress);
        if progress.is_stopped() || (matches && traces.len() >= search.limit) {
            has_more = true;
            break;
        }
        if matches {
            progress.coverage.matched += 1;
            let of_trace = SpansOfTrace::of(&spans.chunks, candidates.rows(spans, candidate));
            let places = of_trace.rows.iter();
            let matching =
                places.filter(|place| filter.query_matches(place.chunk_number, place.row));
            let matched_count = u32::try_from(matching.count()).unwrap_or(u32::MAX);
            let id = trace_id(candidate.id);
            traces.extend(id.map(|id| summarise(id, &of_trace, logs, matched_count)));
        }
    }
    let last = traces
        .last()
        .filter(|_| has_more && matches!(search.order, TraceOrder::Newest { .. }));
    let next = last.map(|trace| TraceCursor {
        start_unix_nano: trace.start_unix_nano,
        trace_id: trace.trace_id,
    });
    TraceResults {
        traces,
        next,
        coverage: progress.finish(),
    }
}

/// A trace that starts in the range may have spans at any later time.
fn cover(spans: &Snapshot<SpanChunk>, search: &TraceSearch, progress: &mut Progress<'_>) {
    let from_start = TimeRange {
        end_unix_nano: None,
        ..search.range
    };
    spans.cover(from_start, &mut progress.coverage);
}

/// A trace by its rank: the greater comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: u64,
    start_unix_nano: u64,
    id: u128,
    number: usize,
}

/// The traces in the range, the first of the order on top.
fn rank(candidates: &Candidates, search: &TraceSearch) -> BinaryHeap<Ranked> {
    let after = match search.order {
        TraceOrder::Newest { after } => {
            after.map(|place| (place.start_unix_nano, trace_number(place.trace_id)))
        }
        _ => None,
    };
    let is_asked = |candidate: &Candidate| {
        let duration = candidate.duration_nano();
        search.range.contains(candidate.start_unix_nano)
            && duration >= search.duration_min_nano
            && search.duration_max_nano.is_none_or(|max| duration <= max)
            && after.is_none_or(|place| (candidate.start_unix_nano, candidate.id) < place)
    };
    let rank = |(number, candidate): (usize, &Candidate)| Ranked {
        rank: match search.order {
            TraceOrder::Newest { .. } => 0,
            TraceOrder::Longest => candidate.duration_nano(),
            TraceOrder::MostSpans => candidate.span_count,
            TraceOrder::MostErrors => candidate.error_count,
        },
        start_unix_nano: candidate.start_unix_nano,
        id: candidate.id,
        number,
    };
    let asked = candidates
        .all
        .iter()
        .enumerate()
        .filter(|(_, candidate)| is_asked(candidate));
    asked.map(rank).collect::<Vec<_>>().into()
}

fn any_span_matches(
    spans: &Snapshot<SpanChunk>,
    candidates: &Candidates,
    candidate: &Candidate,
    filter: &FilterOnAll<'_, '_, SpanChunk>,
    progress: &mut Progress<'_>,
) -> bool {
    let mut rows = candidates
        .rows(spans, candidate)
        .flat_map(|(chunk_number, rows)| rows.iter().map(move |row| (chunk_number, *row)));
    rows.any(|(chunk_number, row)| progress.scan(1) && filter.query_matches(chunk_number, row))
}
