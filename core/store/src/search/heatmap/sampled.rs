//! All traces, or an even part of them, counted by what the tables of traces know: without a query no span is looked at.
//!
//! Which part is decided by a hash of the id: those traces are kept whose hash begins with so many zeros. So a trace is
//! kept or not in all places alike, whatever they are, and what is known of it is complete. When there are more traces than
//! may be kept, one more zero is asked for, and half of them leave. Each that is kept stands for 2^zeros.

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::{Cells, Grid, HeatmapSpec};
use crate::{
    block::TraceEntry,
    chunk::SpanChunk,
    search::{
        source::{Source, readable, sources},
        traces::{both, duration_nano},
        units::Asking,
    },
    stop::Progress,
    table::Snapshot,
};

/// Chunks and blocks whose traces are read before those that were found are added.
const READ_PER_THREAD: usize = 2;

/// What a trace takes while it is kept: its entry and its id, in a table of which more than half may be free after it grew.
const KEPT_BYTES: u64 = 160;

/// Traces by their ids.
#[derive(Debug)]
struct Kept {
    traces: HashMap<u128, TraceEntry>,
    traces_max: usize,
    /// With how many zeros the hash of the id has to begin.
    zeros: u32,
}

impl Kept {
    fn keeps(zeros: u32, id: u128) -> bool {
        // Not its last bits: by those partitions are chosen.
        zeros == 0 || xxh3_64(&id.to_be_bytes()).leading_zeros() >= zeros
    }

    fn add(&mut self, entry: TraceEntry, is_new_kept: bool) {
        if !Self::keeps(self.zeros, entry.id) {
            return;
        }
        if let Some(known) = self.traces.get_mut(&entry.id) {
            *known = both(*known, entry);
        } else if is_new_kept {
            self.traces.insert(entry.id, entry);
        }
        while self.traces.len() > self.traces_max.max(1) && self.zeros < u64::BITS - 1 {
            self.zeros += 1;
            let zeros = self.zeros;
            self.traces.retain(|id, _| Self::keeps(zeros, *id));
        }
    }

    /// Reads the traces of some places; those that are not known are kept only when `are_new_kept`.
    fn read(
        &mut self,
        snapshot: &Snapshot<SpanChunk>,
        places: &[Source<'_, SpanChunk>],
        are_new_kept: bool,
        asking: Asking<'_>,
        progress: &mut Progress<'_>,
    ) {
        for some in places.chunks(asking.pool.threads() * READ_PER_THREAD) {
            if !progress.look() {
                return;
            }
            let zeros = self.zeros;
            let worker = || (Vec::new(), Progress::start(asking.stop));
            let read = asking
                .pool
                .run(some.to_vec(), worker, |(found, progress), source| {
                    let entries = readable(snapshot, source.traces(), progress);
                    let entries = entries.into_iter().flatten();
                    found.extend(entries.filter(|entry| Self::keeps(zeros, entry.id)));
                    progress.look()
                });
            for (found, of_worker) in read {
                found
                    .into_iter()
                    .for_each(|entry| self.add(entry, are_new_kept));
                progress.absorb(of_worker);
            }
        }
    }
}

/// Answers the cells, and for how many traces each that was counted stands. No more traces are kept than the memory of an
/// answer has room for, whatever was asked for: then each stands for more.
pub(super) fn count(
    spans: &Snapshot<SpanChunk>,
    spec: &HeatmapSpec,
    grid: &Grid,
    traces_max: usize,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
) -> (Cells, u64) {
    let range = spec.range();
    let kept_max = usize::try_from(asking.answer_bytes_max / KEPT_BYTES).unwrap_or(usize::MAX);
    let mut kept = Kept {
        traces: HashMap::new(),
        traces_max: traces_max.min(kept_max),
        zeros: 0,
    };
    // A trace that starts in the range has a span there; its others may be anywhere.
    let (inside, outside): (Vec<_>, Vec<_>) = sources(spans).partition(|source| {
        let bounds = source.bounds();
        !bounds.is_empty() && range.overlaps(bounds.first, bounds.last)
    });
    kept.read(spans, &inside, true, asking, progress);
    kept.read(spans, &outside, false, asking, progress);
    let one_of = 1 << kept.zeros;
    let mut cells = Cells::new(grid.clone());
    for trace in kept.traces.into_values() {
        if range.contains(trace.start_unix_nano) {
            let is_error = trace.error_count > 0;
            cells.add_times(
                one_of,
                trace.start_unix_nano,
                duration_nano(&trace),
                is_error,
            );
        }
    }
    (cells, one_of)
}
