//! Fills a page with the newest traces, and looks no further than it has to.
//!
//! A queue holds what was found, the latest start on top. At first only the latest time is known that a trace can start
//! at; when it comes to the top, its real start is looked up, and it goes back into the queue. A trace on top whose start
//! is known is the next of the answer as soon as no trace that was not found yet can start later.

use std::collections::BinaryHeap;

use super::{
    super::{
        candidates::Candidates,
        source::{Source, readable, sources},
    },
    Page, both, is_asked, too_many,
};
use crate::{chunk::SpanChunk, stop::Progress, table::Snapshot};

/// Fills a page.
pub(super) struct Newest<'s, 'q> {
    spans: &'s Snapshot<SpanChunk>,
    candidates: Candidates<'s, 'q>,
    queue: BinaryHeap<Queued>,
    page: Page<'s, 'q>,
    count_max: usize,
    /// The latest start of a trace that was dropped because there were too many.
    dropped: Option<u64>,
}

/// A trace in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    /// Its start, or the latest time that it can start at.
    start_unix_nano: u64,
    id: u128,
    is_known: bool,
}

impl<'s, 'q> Newest<'s, 'q> {
    pub(super) fn new(
        spans: &'s Snapshot<SpanChunk>,
        candidates: Candidates<'s, 'q>,
        page: Page<'s, 'q>,
        count_max: usize,
    ) -> Self {
        Self {
            spans,
            candidates,
            queue: BinaryHeap::new(),
            page,
            count_max,
            dropped: None,
        }
    }

    pub(super) fn fill(mut self, progress: &mut Progress<'_>) -> Page<'s, 'q> {
        loop {
            self.enqueue_fresh();
            if !self.take_certain(progress) {
                return self.page;
            }
            let latest_ahead = self.candidates.latest_ahead();
            if latest_ahead.is_none() || latest_ahead <= self.dropped {
                break;
            }
            if self.candidates.found.len() > self.count_max {
                self.forget(latest_ahead);
            }
            if !self.candidates.look_further(progress) {
                self.page.has_more = true;
                break;
            }
        }
        if self.dropped.is_some() {
            progress.coverage.miss(too_many(self.count_max));
        }
        self.page
    }

    fn enqueue_fresh(&mut self) {
        let dropped = self.dropped;
        let fresh = self.candidates.fresh.drain(..);
        let kept = fresh.filter(|(_, latest_start)| Some(*latest_start) > dropped);
        self.queue.extend(kept.map(|(id, latest_start)| Queued {
            start_unix_nano: latest_start,
            id,
            is_known: false,
        }));
    }

    /// Takes the traces from the queue that nothing can stand before any more. False when the page is full, or when the
    /// search has to end.
    fn take_certain(&mut self, progress: &mut Progress<'_>) -> bool {
        let uncertain = self.candidates.latest_ahead().max(self.dropped);
        while let Some(first) = self.queue.peek().copied()
            && Some(first.start_unix_nano) > uncertain
        {
            if !progress.look() || (first.is_known && self.is_surely_full()) {
                self.page.has_more = true;
                return false;
            }
            self.queue.pop();
            if !first.is_known {
                self.look_up(first.id, progress);
            } else if !self.page.add(first.id, progress) {
                return false;
            }
        }
        true
    }

    /// Whether another trace of the queue would make another page.
    fn is_surely_full(&self) -> bool {
        self.page.is_full() && !self.candidates.are_named()
    }

    /// Looks up when a trace starts and ends, and puts it back into the queue when it is asked for.
    fn look_up(&mut self, id: u128, progress: &mut Progress<'_>) {
        let of_source = |source: Source<'s, SpanChunk>| {
            readable(self.spans, source.trace(id), progress).flatten()
        };
        let trace = sources(self.spans).filter_map(of_source).reduce(both);
        let Some(trace) = trace else {
            return;
        };
        self.candidates.found.insert(id, trace.start_unix_nano);
        if is_asked(self.page.search, &trace) {
            self.queue.push(Queued {
                start_unix_nano: trace.start_unix_nano,
                id,
                is_known: true,
            });
        }
    }

    /// Forgets the traces that cannot be found again, because they start later than what is ahead; and if too many are
    /// left, those of them that start first.
    fn forget(&mut self, latest_ahead: Option<u64>) {
        let found = &mut self.candidates.found;
        found.retain(|_, start| Some(*start) <= latest_ahead);
        if found.len() <= self.count_max {
            return;
        }
        let mut ascending = std::mem::take(&mut self.queue).into_sorted_vec();
        let kept = ascending.split_off(ascending.len().saturating_sub(self.count_max / 2));
        let dropped = ascending.last().map(|last| last.start_unix_nano);
        self.dropped = self.dropped.max(dropped);
        found.retain(|_, start| Some(*start) > self.dropped);
        self.queue = kept.into();
    }
}
