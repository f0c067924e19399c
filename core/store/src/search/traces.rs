//! Traces with a span that matches.
//!
//! A trace is in the range when its start is, and its start is known only when all its spans are: a span that came late
//! can be the first. So a search first finds traces by their spans, the newest part of the store first, and then looks up
//! in all its parts where those traces really start. The newest traces are certain long before all parts were looked at
//! ([`newest`]); in any other order, all are compared ([`ranked`]). Only the traces of the page are read, a few columns of
//! them.

mod newest;
mod ranked;

use hashbrown::HashMap;
use log_tracer_query::Query;
use log_tracer_record::TraceId;

use super::{
    candidates::{CANDIDATE_BYTES, Candidates},
    filter::Filter,
    source::{Source, readable, sources},
    summary::{Summariser, TraceSummary},
    units::Asking,
};
use crate::{
    Coverage, TimeRange,
    block::TraceEntry,
    chunk::{LogChunk, SpanChunk, trace_number},
    stop::Progress,
    table::Snapshot,
};
use newest::Newest;
use ranked::ByRank;

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
    asking: Asking<'_>,
) -> TraceResults {
    let answer_bytes_max = asking.answer_bytes_max;
    let mut progress = Progress::start(asking.stop);
    cover(spans, search, &mut progress);
    // The range is that of traces, so that a span is asked for the query alone.
    let filter = Filter::new(&search.query, TimeRange::ALL);
    let candidates = Candidates::new(spans, &filter, starts_asked(search), asking);
    let page = Page {
        summariser: Summariser {
            spans,
            logs,
            filter: &filter,
            spans_max: usize::try_from(answer_bytes_max / SPAN_BYTES).unwrap_or(usize::MAX),
        },
        search,
        traces: Vec::new(),
        has_more: false,
    };
    let count_max = usize::try_from(answer_bytes_max / CANDIDATE_BYTES).unwrap_or(usize::MAX);
    let page = match search.order {
        TraceOrder::Newest { .. } => {
            Newest::new(spans, candidates, page, count_max).fill(&mut progress)
        }
        _ => ByRank {
            spans,
            filter: &filter,
            asking,
            count_max,
        }
        .fill(candidates, page, &mut progress),
    };
    page.end(progress)
}

/// A trace that starts in the range may have spans at any later time.
fn cover(spans: &Snapshot<SpanChunk>, search: &TraceSearch, progress: &mut Progress<'_>) {
    let from_start = TimeRange {
        end_unix_nano: None,
        ..search.range
    };
    spans.cover(from_start, &mut progress.coverage);
}

/// Where a trace of the answer has to start, the cursor considered.
fn starts_asked(search: &TraceSearch) -> TimeRange {
    let mut range = search.range;
    if let Some(end) = after(search).and_then(|(start, _)| start.checked_add(1)) {
        range.end_unix_nano = Some(range.end_unix_nano.map_or(end, |other| other.min(end)));
    }
    range
}

/// The place that the answer goes on after.
fn after(search: &TraceSearch) -> Option<(u64, u128)> {
    match search.order {
        TraceOrder::Newest { after: Some(place) } => {
            Some((place.start_unix_nano, trace_number(place.trace_id)))
        }
        _ => None,
    }
}

/// Whether a trace is asked for, its spans left aside.
fn is_asked(search: &TraceSearch, trace: &TraceEntry) -> bool {
    let duration = duration_nano(trace);
    search.range.contains(trace.start_unix_nano)
        && duration >= search.duration_min_nano
        && search.duration_max_nano.is_none_or(|max| duration <= max)
        && after(search).is_none_or(|place| (trace.start_unix_nano, trace.id) < place)
}

pub(super) fn duration_nano(trace: &TraceEntry) -> u64 {
    trace.end_unix_nano.saturating_sub(trace.start_unix_nano)
}

/// What a span takes while its trace is summed up, about.
pub(super) const SPAN_BYTES: u64 = 256;

/// The traces of an answer.
struct Page<'s, 'q> {
    summariser: Summariser<'s, 'q>,
    search: &'s TraceSearch,
    traces: Vec<TraceSummary>,
    has_more: bool,
}

impl Page<'_, '_> {
    fn is_full(&self) -> bool {
        self.traces.len() >= self.search.limit
    }

    /// Adds a trace if one of its spans matches. False when the page is full, or when the search has to end.
    fn add(&mut self, id: u128, progress: &mut Progress<'_>) -> bool {
        let summary = self.summariser.summarise(id, progress);
        let matching = summary.filter(|trace| trace.matched_count > 0);
        if progress.is_stopped() || (matching.is_some() && self.is_full()) {
            self.has_more = true;
            return false;
        }
        progress.coverage.matched += u64::from(matching.is_some());
        self.traces.extend(matching);
        true
    }

    fn end(self, progress: Progress<'_>) -> TraceResults {
        let is_paged = matches!(self.search.order, TraceOrder::Newest { .. });
        let last = self.traces.last().filter(|_| self.has_more && is_paged);
        let next = last.map(|trace| TraceCursor {
            start_unix_nano: trace.start_unix_nano,
            trace_id: trace.trace_id,
        });
        TraceResults {
            next,
            traces: self.traces,
            coverage: progress.finish(),
        }
    }
}

/// All candidates, with what all places know of them.
pub(super) fn find_all(
    spans: &Snapshot<SpanChunk>,
    candidates: &mut Candidates<'_, '_>,
    count_max: usize,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
) -> HashMap<u128, TraceEntry> {
    while candidates.look_further(progress) {
        candidates.fresh.clear();
        if candidates.found.len() > count_max {
            progress.coverage.miss(too_many(count_max));
            break;
        }
    }
    let found = std::mem::take(&mut candidates.found).into_keys();
    let mut traces: HashMap<u128, TraceEntry> = found.map(|id| (id, nothing_of(id))).collect();
    look_up(spans, &mut traces, asking, progress);
    traces.retain(|_, trace| trace.row_count > 0);
    traces
}

/// Chunks and blocks that are looked up before what was found is added: each thread then keeps the traces of a few.
const LOOKED_UP_PER_THREAD: usize = 4;

/// To look one trace up in all places is worth it while the tables of traces have so many leaves more than there are
/// traces: mostly a leaf is read for it, and the filters of the other places are asked.
const LEAVES_PER_TRACE: usize = 2;

/// Adds what all places know of some traces.
fn look_up(
    spans: &Snapshot<SpanChunk>,
    traces: &mut HashMap<u128, TraceEntry>,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
) {
    let leaves: usize = spans.blocks.iter().map(|block| block.leaf_count()).sum();
    if traces.len().saturating_mul(LEAVES_PER_TRACE) < leaves {
        for trace in traces.values_mut() {
            if !progress.look() {
                return;
            }
            for source in sources(spans) {
                let entry = readable(spans, source.trace(trace.id), progress).flatten();
                *trace = entry.map_or(*trace, |entry| both(*trace, entry));
            }
        }
        return;
    }
    let all: Vec<Source<'_, SpanChunk>> = sources(spans).collect();
    for some in all.chunks(asking.pool.threads() * LOOKED_UP_PER_THREAD) {
        if !progress.look() {
            return;
        }
        let known = &*traces;
        let worker = || (Vec::new(), Progress::start(asking.stop));
        let looked_up = asking
            .pool
            .run(some.to_vec(), worker, |(found, progress), source| {
                let entries = source.traces_with(|id| known.contains_key(&id));
                found.extend(readable(spans, entries, progress).into_iter().flatten());
                progress.look()
            });
        for (found, of_worker) in looked_up {
            for entry in found {
                if let Some(trace) = traces.get_mut(&entry.id) {
                    *trace = both(*trace, entry);
                }
            }
            progress.absorb(of_worker);
        }
    }
}

fn too_many(count_max: usize) -> String {
    format!("there are more traces than the {count_max} that a search may compare")
}

fn nothing_of(id: u128) -> TraceEntry {
    TraceEntry {
        id,
        row_count: 0,
        error_count: 0,
        start_unix_nano: u64::MAX,
        end_unix_nano: 0,
    }
}

/// What is known of a trace from two places.
pub(super) fn both(one: TraceEntry, other: TraceEntry) -> TraceEntry {
    TraceEntry {
        id: one.id,
        row_count: one.row_count.saturating_add(other.row_count),
        error_count: one.error_count.saturating_add(other.error_count),
        start_unix_nano: one.start_unix_nano.min(other.start_unix_nano),
        end_unix_nano: one.end_unix_nano.max(other.end_unix_nano),
    }
}
