//! Fills a page with the first traces by another order than time.
//!
//! The tables of traces know the rank of every trace without a span of it ([`tables`](super::super::tables)), and of which
//! services its spans are, but not always whether one of them matches. So there are two ways:
//!
//! - The traces that stand first by their rank are asked the query, a few at a time, and those stay that match. That is quick
//!   when much matches, however many spans there are.
//! - All spans are asked the query first, and only the traces that match are ranked. That is quick when an index leaves few
//!   spans to ask.
//!
//! The first way is tried when no index helps. It is left for the second as soon as the traces that were asked in vain are
//! about to cost more than a small part of what it costs to ask all spans, as far as those that were asked so far tell.
//! The page is the same either way.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use super::{
    super::{
        by_kind::{ByKind, Matches},
        candidates::{Candidates, Matching},
        filter::Filter,
        source::sources,
        tables::{asked_spans, cost_less, for_each_trace},
        units::Asking,
    },
    Page, TraceOrder, TraceSearch, duration_nano, find_all, is_asked, starts_asked,
};
use crate::{block::TraceEntry, chunk::SpanChunk, stop::Progress, table::Snapshot};

/// To look whether a trace matches costs as much as to ask some 2,000 spans the query that stand together. Times four, so
/// that what was in vain is a small part.
const SPANS_PER_TRY: u64 = 8 * 1024;

/// Traces whose spans are asked the query together. After each time it is guessed how many will be read in vain.
const TRIED_AT_ONCE: usize = 16;

/// A trace by its rank: the greater comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: u64,
    start_unix_nano: u64,
    id: u128,
}

impl Ranked {
    fn new(search: &TraceSearch, trace: &TraceEntry) -> Self {
        Self {
            rank: match search.order {
                TraceOrder::Newest { .. } => 0,
                TraceOrder::Longest => duration_nano(trace),
                TraceOrder::MostSpans => trace.row_count.into(),
                TraceOrder::MostErrors => trace.error_count.into(),
            },
            start_unix_nano: trace.start_unix_nano,
            id: trace.id,
        }
    }
}

/// Fills pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByRank<'s, 'q> {
    pub(super) spans: &'s Snapshot<SpanChunk>,
    pub(super) filter: &'s Filter<'q>,
    pub(super) asking: Asking<'s>,
    /// Traces that are kept at most.
    pub(super) count_max: usize,
}

impl<'s, 'q> ByRank<'s, 'q> {
    pub(super) fn fill<'p>(
        self,
        mut candidates: Candidates<'_, '_>,
        mut page: Page<'p, 'q>,
        progress: &mut Progress<'_>,
    ) -> Page<'p, 'q> {
        // The last one that was read: those that stand before it were, too.
        let mut read = None;
        if !candidates.are_named()
            && let Some(tries_max) = self.tries_max(page.search)
        {
            let first = self.first(page.search, tries_max, progress);
            if self.read(&first, &mut page, tries_max, &mut read, progress) {
                return page;
            }
        }
        let search = page.search;
        let traces = find_all(
            self.spans,
            &mut candidates,
            self.count_max,
            self.asking,
            progress,
        );
        let asked = traces.values().filter(|trace| is_asked(search, trace));
        let ranked = asked.map(|trace| Ranked::new(search, trace));
        let ranked = ranked.filter(|ranked| read.is_none_or(|read| *ranked < read));
        let mut ranked: BinaryHeap<Ranked> = ranked.collect::<Vec<_>>().into();
        while let Some(Ranked { id, .. }) = ranked.pop()
            && !page.is_full()
            && page.add(id, progress)
        {}
        page
    }

    /// How many traces may be asked in vain; none when it is better to ask the spans first.
    fn tries_max(&self, search: &TraceSearch) -> Option<u64> {
        let asked = asked_spans(self.spans, self.filter, starts_asked(search), self.asking);
        cost_less(self.spans, self.filter, asked).then_some(asked / SPANS_PER_TRY)
    }

    /// The first traces by their rank, of those that can match as far as the tables know.
    fn first(&self, search: &TraceSearch, tries_max: u64, progress: &mut Progress<'_>) -> First {
        let tries_max = usize::try_from(tries_max).unwrap_or(usize::MAX);
        let kept_max = search.limit.saturating_add(tries_max).min(self.count_max);
        let by_kind = ByKind::new(self.filter);
        let duration_min = self.duration_min_nano();
        let first_of_each = for_each_trace(
            self.spans,
            &by_kind,
            self.asking,
            progress,
            BinaryHeap::new,
            |first, trace, matches| {
                let may_match = matches != Matches::No && duration_nano(&trace) >= duration_min;
                if may_match && is_asked(search, &trace) {
                    keep_first(first, Ranked::new(search, &trace), kept_max);
                }
            },
        );
        let mut traces: Vec<Reverse<Ranked>> = first_of_each.into_iter().flatten().collect();
        traces.sort_unstable();
        let is_all = traces.len() < kept_max;
        traces.truncate(kept_max);
        First { traces, is_all }
    }

    /// The least duration of a trace with a span that matches, in nanoseconds: no span takes longer than its trace.
    fn duration_min_nano(&self) -> u64 {
        let duration = self.filter.needs().duration.as_ref();
        u64::try_from(duration.map_or(0, |range| *range.start())).unwrap_or(0)
    }

    /// Reads the first traces until the page is full. False when it has to be filled in the other way from there on.
    fn read(
        &self,
        first: &First,
        page: &mut Page<'_, '_>,
        tries_max: u64,
        read: &mut Option<Ranked>,
        progress: &mut Progress<'_>,
    ) -> bool {
        let wanted = page.search.limit as u64;
        let mut tried = 0_u64;
        for some in first.traces.chunks(TRIED_AT_ONCE) {
            let found = page.traces.len() as u64;
            let in_vain = tried - found;
            if page.is_full() {
                return true;
            }
            if in_vain.saturating_mul(wanted) / found.max(1) > tries_max {
                return false;
            }
            let matching = self.matching(some, progress);
            for Reverse(ranked) in some {
                if page.is_full() {
                    return true;
                }
                if matching.as_ref().is_none_or(|ids| ids.contains(&ranked.id)) {
                    page.add(ranked.id, progress);
                }
                if progress.is_stopped() {
                    return true;
                }
                *read = Some(*ranked);
                tried += 1;
            }
        }
        page.is_full() || first.is_all
    }

    /// Those of some traces that have a span which matches; none when that is known, but for old blocks.
    fn matching(
        &self,
        some: &[Reverse<Ranked>],
        progress: &mut Progress<'_>,
    ) -> Option<HashSet<u128>> {
        if ByKind::<SpanChunk>::new(self.filter).is_exact() {
            return None;
        }
        let matching = Matching {
            spans: self.spans,
            filter: self.filter,
            columns: &self.filter.columns(),
        };
        let mut found = Vec::new();
        for source in sources(self.spans) {
            let traces = some.iter();
            let traces = traces.map(|Reverse(ranked)| (ranked.id, ranked.start_unix_nano));
            if !matching.find(source, traces, &mut found, progress) {
                break;
            }
        }
        Some(found.into_iter().map(|(id, _)| id).collect())
    }
}

/// The first traces by their rank.
struct First {
    traces: Vec<Reverse<Ranked>>,
    /// Whether there are no others.
    is_all: bool,
}

/// Keeps a trace while it is one of the first.
fn keep_first(first: &mut BinaryHeap<Reverse<Ranked>>, ranked: Ranked, kept_max: usize) {
    if first.len() < kept_max {
        first.push(Reverse(ranked));
    } else if let Some(mut last) = first.peek_mut()
        && last.0 < ranked
    {
        *last = Reverse(ranked);
    }
}
