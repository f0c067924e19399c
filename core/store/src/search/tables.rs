//! The tables of traces of all chunks and blocks, gone through side by side in the order of the ids: what each knows of a
//! trace meets there, so that every trace is whole when it is handed over, and none has to be kept until the last table was
//! read.
//!
//! The ids are cut into stretches that can be gone through at the same time. Ids are not always random, so that the cuts
//! are made where the leaves of the tables begin, which makes stretches of like size whatever the ids are.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    ops::Range,
    sync::Arc,
};

use super::{source::readable, traces::both, units::Asking};
use crate::{
    block::{Block, LEAVES_AT_ONCE, TraceEntry},
    chunk::{Chunk, SpanChunk},
    stop::Progress,
    table::Snapshot,
};

/// Traces of a chunk that count as a leaf when the ids are cut.
const TRACES_OF_LEAF: usize = 64;

/// A stretch has so many leaves of each place, about: at its ends one of each is read for two stretches.
const LEAVES_OF_STRETCH: usize = 16;

/// Stretches for each thread at most.
const STRETCHES_PER_THREAD: usize = 8;

/// Hands every trace to `visit`, with what all places together know of it. Each thread has a worker of its own, which is
/// answered.
pub(super) fn for_each_trace<W: Send>(
    spans: &Snapshot<SpanChunk>,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
    worker: impl Fn() -> W + Sync,
    visit: impl Fn(&mut W, TraceEntry) + Sync,
) -> Vec<W> {
    let stretches_max = asking.pool.threads() * STRETCHES_PER_THREAD;
    let with_progress = || (worker(), Progress::start(asking.stop));
    let workers = asking.pool.run(
        stretches(spans, stretches_max),
        with_progress,
        |(worker, progress), stretch| {
            merge(spans, stretch, progress, |trace| visit(worker, trace));
            progress.look()
        },
    );
    workers
        .into_iter()
        .map(|(worker, of_worker)| {
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
fn stretches(spans: &Snapshot<SpanChunk>, stretches_max: usize) -> Vec<Stretch> {
    let of_chunks = spans.chunks.iter().flat_map(|chunk| {
        let ids = chunk.traces().ids().iter();
        ids.step_by(TRACES_OF_LEAF).copied()
    });
    let of_blocks = spans.blocks.iter().flat_map(|block| block.leaf_firsts());
    let mut firsts: Vec<u128> = of_chunks.chain(of_blocks).collect();
    firsts.sort_unstable();
    let places = spans.chunks.len() + spans.blocks.len();
    let count = firsts.len() / (places.max(1) * LEAVES_OF_STRETCH);
    let width = firsts.len().div_ceil(count.clamp(1, stretches_max)).max(1);
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

/// Goes through the traces of a stretch.
fn merge(
    spans: &Snapshot<SpanChunk>,
    stretch: Stretch,
    progress: &mut Progress<'_>,
    mut visit: impl FnMut(TraceEntry),
) {
    let chunks = spans.chunks.iter();
    let chunks = chunks.map(|chunk| Cursor::of_chunk(chunk, stretch));
    let blocks = spans.blocks.iter();
    let blocks = blocks.map(|block| Cursor::of_block(block, stretch));
    let mut cursors: Vec<Cursor<'_>> = chunks.chain(blocks).collect();
    let mut ahead = BinaryHeap::with_capacity(cursors.len());
    for (number, cursor) in cursors.iter_mut().enumerate() {
        let first = cursor.peek(spans, progress);
        ahead.extend(first.map(|id| Reverse((id, number))));
    }
    let mut gathered: Option<TraceEntry> = None;
    while let Some(mut least) = ahead.peek_mut() {
        let Reverse((_, number)) = *least;
        let cursor = cursors.get_mut(number);
        let taken = cursor.and_then(|cursor| Some((cursor.take()?, cursor.peek(spans, progress))));
        let next = taken.and_then(|(_, next)| next);
        match next {
            Some(id) => *least = Reverse((id, number)),
            None => drop(PeekMut::pop(least)),
        }
        if progress.is_stopped() {
            // Of what follows not all places would be known.
            return;
        }
        let Some((entry, _)) = taken else {
            continue;
        };
        gathered = match gathered {
            Some(known) if known.id == entry.id => Some(both(known, entry)),
            before => {
                before.into_iter().for_each(&mut visit);
                Some(entry)
            }
        };
    }
    gathered.into_iter().for_each(visit);
}

/// The traces of a stretch in one place, ascending.
struct Cursor<'s> {
    stretch: Stretch,
    /// What was read, and how much of it was taken.
    read: Vec<TraceEntry>,
    taken: usize,
    unread: Unread<'s>,
}

/// What is still to be read of a place.
enum Unread<'s> {
    /// Traces, by their places among the ids.
    Chunk(&'s Arc<SpanChunk>, Range<usize>),
    /// Leaves.
    Block(&'s Arc<Block<SpanChunk>>, Range<usize>),
}

impl<'s> Cursor<'s> {
    fn of_chunk(chunk: &'s Arc<SpanChunk>, stretch: Stretch) -> Self {
        let ids = chunk.traces().ids();
        let first = ids.partition_point(|id| *id < stretch.first);
        let end = stretch.next;
        let end = end.map_or(ids.len(), |next| ids.partition_point(|id| *id < next));
        Self::new(stretch, Unread::Chunk(chunk, first..end))
    }

    fn of_block(block: &'s Arc<Block<SpanChunk>>, stretch: Stretch) -> Self {
        let leaves = block.leaves_between(stretch.first, stretch.next);
        Self::new(stretch, Unread::Block(block, leaves))
    }

    fn new(stretch: Stretch, unread: Unread<'s>) -> Self {
        Self {
            stretch,
            read: Vec::new(),
            taken: 0,
            unread,
        }
    }

    fn take(&mut self) -> Option<TraceEntry> {
        let entry = self.read.get(self.taken).copied();
        self.taken += 1;
        entry
    }

    /// The id of the next trace; none at the end, or when the search has to end.
    #[inline]
    fn peek(&mut self, spans: &Snapshot<SpanChunk>, progress: &mut Progress<'_>) -> Option<u128> {
        if self.taken >= self.read.len() {
            self.read_on(spans, progress);
        }
        self.read.get(self.taken).map(|entry| entry.id)
    }

    fn read_on(&mut self, spans: &Snapshot<SpanChunk>, progress: &mut Progress<'_>) {
        self.read.clear();
        self.taken = 0;
        while self.read.is_empty() && progress.look() {
            match &mut self.unread {
                Unread::Chunk(chunk, places) => {
                    let some: Vec<usize> = places.take(LEAVES_AT_ONCE * TRACES_OF_LEAF).collect();
                    if some.is_empty() {
                        return;
                    }
                    let entries = some.into_iter();
                    self.read
                        .extend(entries.filter_map(|place| chunk.trace_entry(place)));
                }
                Unread::Block(block, leaves) => {
                    let end = leaves.end.min(leaves.start.saturating_add(LEAVES_AT_ONCE));
                    let some = leaves.start..end;
                    leaves.start = end;
                    if some.is_empty() {
                        return;
                    }
                    let stretch = self.stretch;
                    let read = block.traces_of(some, |id| stretch.contains(id), &mut self.read);
                    readable(spans, read, progress);
                }
            }
        }
    }
}
