//! The tables of traces of all chunks and blocks, gone through side by side: what each knows of a trace meets there, so that
//! every trace is whole when it is handed over, and none has to be kept until the last table was read.
//!
//! The ids are cut into stretches that can be gone through at the same time. Ids are not always random, so that the cuts
//! are made where the leaves of the tables begin, which makes stretches of like size whatever the ids are. Of a stretch all
//! tables are read, one after the other, and what they know is put together by the ids.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use super::{
    by_kind::{ByKind, Matches},
    filter::Filter,
    source::readable,
    traces::both,
    units::{Asking, parts},
};
use crate::{
    TimeRange,
    block::{Block, LEAVES_AT_ONCE, TraceEntry},
    chunk::{Chunk, SpanChunk},
    stop::Progress,
    table::Snapshot,
};

/// Traces of a leaf, about, and so many of a chunk count as one when the ids are cut.
const TRACES_OF_LEAF: usize = 64;

/// A stretch has so many leaves of each place, about: at its ends one of each is read for two stretches. In memory that is
/// some 100 KB a place.
const LEAVES_OF_STRETCH: usize = 16;

/// To ask a span the query costs so many times as much as its share of the tables of traces, about.
const TABLES_SHARE: u64 = 8;

/// Spans that no index leaves out when those of a range are asked a query.
pub(super) fn asked_spans(
    spans: &Snapshot<SpanChunk>,
    filter: &Filter<'_>,
    range: TimeRange,
    asking: Asking<'_>,
) -> u64 {
    // What is counted here is read later.
    let mut progress = Progress::start(asking.stop);
    let parts = parts(spans, filter, &mut progress);
    let asked = parts
        .iter()
        .filter(|part| range.overlaps(part.bounds.first, part.bounds.last));
    asked.map(|part| part.rows).sum()
}

/// Whether it costs less to go through all tables than to ask so many spans a query. Without one the tables are all that
/// is needed.
pub(super) fn cost_less(
    spans: &Snapshot<SpanChunk>,
    filter: &Filter<'_>,
    asked_spans: u64,
) -> bool {
    filter.is_empty() || asked_spans.saturating_mul(TABLES_SHARE) >= spans.rows()
}

/// Hands every trace to `visit`, with what all places together know of it, and what its services tell of the query. Each
/// thread has a worker of its own, which is answered.
pub(super) fn for_each_trace<W: Send>(
    spans: &Snapshot<SpanChunk>,
    by_kind: &ByKind<'_, '_, SpanChunk>,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
    worker: impl Fn() -> W + Sync,
    visit: impl Fn(&mut W, TraceEntry, Matches) + Sync,
) -> Vec<W> {
    let tables = Tables::new(spans, by_kind, progress);
    let with_progress = || {
        let progress = Progress::start(asking.stop);
        (worker(), Gathered::default(), progress)
    };
    let workers = asking.pool.run(
        stretches(spans),
        with_progress,
        |(worker, gathered, progress), stretch| {
            if tables.gather(stretch, gathered, progress) {
                gathered.for_each(|trace, matches| visit(worker, trace, matches));
            }
            progress.look()
        },
    );
    workers
        .into_iter()
        .map(|(worker, _, of_worker)| {
            progress.absorb(of_worker);
            worker
        })
        .collect()
}

/// Ids from one on, and up to another that is the first of the next stretch.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: u128,
    /// None for the last stretch.
    next: Option<u128>,
}

impl Stretch {
    fn contains(self, id: u128) -> bool {
        id >= self.first && self.next.is_none_or(|next| id < next)
    }
}

/// All ids, in stretches.
fn stretches(spans: &Snapshot<SpanChunk>) -> Vec<Stretch> {
    let of_chunks = spans.chunks.iter().flat_map(|chunk| {
        let ids = chunk.traces().ids().iter();
        ids.step_by(TRACES_OF_LEAF).copied()
    });
    let of_blocks = spans.blocks.iter().flat_map(|block| block.leaf_firsts());
    let mut firsts: Vec<u128> = of_chunks.chain(of_blocks).collect();
    firsts.sort_unstable();
    let places = spans.chunks.len() + spans.blocks.len();
    let count = firsts.len() / (places.max(1) * LEAVES_OF_STRETCH);
    let width = firsts.len().div_ceil(count.max(1)).max(1);
    let mut cuts: Vec<u128> = firsts
        .chunks(width)
        .skip(1)
        .filter_map(|some| some.first())
        .copied()
        .collect();
    cuts.dedup();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let nexts = cuts.iter().copied().map(Some).chain(std::iter::once(None));
    starts
        .zip(nexts)
        .map(|(first, next)| Stretch { first, next })
        .collect()
}

/// All tables, and what the service sets of each block tell of the query.
struct Tables<'s, 'f, 'q> {
    spans: &'s Snapshot<SpanChunk>,
    by_kind: &'s ByKind<'f, 'q, SpanChunk>,
    /// By block: what its sets tell; none when nothing is told.
    of_blocks: Vec<Option<Vec<Matches>>>,
}

impl<'s, 'f, 'q> Tables<'s, 'f, 'q> {
    fn new(
        spans: &'s Snapshot<SpanChunk>,
        by_kind: &'s ByKind<'f, 'q, SpanChunk>,
        progress: &mut Progress<'_>,
    ) -> Self {
        let blocks = spans.blocks.iter();
        let of_blocks =
            blocks.map(|block| readable(spans, by_kind.of_sets(block), progress).flatten());
        Self {
            of_blocks: of_blocks.collect(),
            spans,
            by_kind,
        }
    }

    /// Reads the traces of a stretch. False when the search has to end: not all places would be known then.
    fn gather(&self, stretch: Stretch, into: &mut Gathered, progress: &mut Progress<'_>) -> bool {
        into.clear();
        let blocks = self.spans.blocks.iter();
        let leaves = blocks.map(|block| block.leaves_between(stretch.first, stretch.next).len());
        into.reserve(leaves.sum::<usize>().saturating_mul(TRACES_OF_LEAF));
        for chunk in &self.spans.chunks {
            let ids = chunk.traces().ids();
            let first = ids.partition_point(|id| *id < stretch.first);
            let end = stretch.next;
            let end = end.map_or(ids.len(), |next| ids.partition_point(|id| *id < next));
            for place in first..end {
                if place % TRACES_OF_LEAF == 0 && !progress.look() {
                    return false;
                }
                if let Some(entry) = chunk.trace_entry(place) {
                    into.add(entry, self.by_kind.of_trace(chunk, place));
                }
            }
        }
        let blocks = self.spans.blocks.iter().zip(&self.of_blocks);
        blocks.into_iter().all(|(block, of_sets)| {
            self.gather_of(block, of_sets.as_deref(), stretch, into, progress)
        })
    }

    fn gather_of(
        &self,
        block: &Block<SpanChunk>,
        of_sets: Option<&[Matches]>,
        stretch: Stretch,
        into: &mut Gathered,
        progress: &mut Progress<'_>,
    ) -> bool {
        let told = |set: Option<u32>| {
            let of_set = of_sets.zip(set);
            of_set.and_then(|(of_sets, set)| of_sets.get(set as usize).copied())
        };
        let mut leaves = block.leaves_between(stretch.first, stretch.next);
        while !leaves.is_empty() {
            if !progress.look() {
                return false;
            }
            let end = leaves.end.min(leaves.start.saturating_add(LEAVES_AT_ONCE));
            let some = leaves.start..end;
            leaves.start = end;
            let read = block.traces_of(some, |entry, set| {
                if stretch.contains(entry.id) {
                    into.add(entry, told(set).unwrap_or(self.unknown()));
                }
            });
            readable(self.spans, read, progress);
        }
        progress.look()
    }

    /// What holds of a trace of which no services are known.
    fn unknown(&self) -> Matches {
        match self.by_kind.is_always() {
            true => Matches::Yes,
            false => Matches::Perhaps,
        }
    }
}

/// What the tables know of the traces of a stretch.
#[derive(Debug, Default)]
struct Gathered {
    traces: Vec<TraceEntry>,
    /// Of each trace what its services tell of the query.
    matches: Vec<Matches>,
    /// The numbers of the traces, by their ids.
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Gathered {
    fn clear(&mut self) {
        self.traces.clear();
        self.matches.clear();
        self.numbers.clear();
    }

    /// Makes room for so many traces.
    fn reserve(&mut self, count: usize) {
        self.traces.reserve(count);
        self.matches.reserve(count);
        // It is empty, so that there is nothing to hash again.
        self.numbers.reserve(count, |_| 0);
    }

    /// Adds what a table knows of a trace.
    #[inline]
    fn add(&mut self, entry: TraceEntry, matches: Matches) {
        let Self {
            traces,
            numbers,
            hasher,
            ..
        } = self;
        let id_of = |number: &u32| traces.get(*number as usize).map(|trace| trace.id);
        let found = numbers.entry(
            hasher.hash_one(entry.id),
            |number| id_of(number) == Some(entry.id),
            |number| hasher.hash_one(id_of(number).unwrap_or(0)),
        );
        match found {
            Entry::Vacant(vacant) => {
                vacant.insert(traces.len() as u32);
                traces.push(entry);
                self.matches.push(matches);
            }
            Entry::Occupied(known) => {
                let number = *known.get() as usize;
                if let Some(trace) = traces.get_mut(number) {
                    *trace = both(*trace, entry);
                }
                if let Some(known) = self.matches.get_mut(number) {
                    *known = matches.max(*known);
                }
            }
        }
    }

    /// Hands over every trace.
    fn for_each(&self, mut visit: impl FnMut(TraceEntry, Matches)) {
        for (trace, matches) in self.traces.iter().zip(&self.matches) {
            visit(*trace, *matches);
        }
    }
}
