//! All traces of a snapshot with what is known of each: put together from the trace tables of the chunks.

use std::collections::HashMap;

use super::filter::Filter;
use crate::{
    chunk::{Chunk, SpanChunk},
    stop::Progress,
    table::Snapshot,
};

/// A trace, of all its spans in the snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) id: u128,
    pub(super) start_unix_nano: u64,
    pub(super) end_unix_nano: u64,
    pub(super) span_count: u64,
    pub(super) error_count: u64,
    last_part: u32,
}

impl Candidate {
    pub(super) fn duration_nano(&self) -> u64 {
        self.end_unix_nano.saturating_sub(self.start_unix_nano)
    }
}

/// The spans of a trace in one chunk.
#[derive(Clone, Copy, Debug)]
struct Part {
    chunk_number: u32,
    /// The place of the trace in the table of the chunk.
    place: u32,
    /// The part before, of the same trace.
    before: u32,
}

const NO_PART: u32 = u32::MAX;

/// The traces of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) all: Vec<Candidate>,
    parts: Vec<Part>,
}

/// What a trace takes while it is a candidate, its place in the table of ids included.
const CANDIDATE_BYTES: usize =
    size_of::<Candidate>() + size_of::<Part>() + 2 * size_of::<(u128, u32)>();

impl Candidates {
    /// The traces that the filter leaves; within so many bytes, and then the answer is partial.
    pub(super) fn of(
        snapshot: &Snapshot<SpanChunk>,
        filter: &Filter<'_>,
        bytes_max: u64,
        progress: &mut Progress<'_>,
    ) -> Self {
        let mut candidates = Self::default();
        let mut by_id: HashMap<u128, u32> = HashMap::new();
        let count_max = usize::try_from(bytes_max).unwrap_or(usize::MAX) / CANDIDATE_BYTES;
        // The newest chunks first, so that what does not fit is old.
        for (chunk_number, chunk) in snapshot.chunks.iter().enumerate().rev() {
            let mut add = |id, place| {
                if candidates.parts.len() >= count_max {
                    return false;
                }
                candidates.add(&mut by_id, chunk, chunk_number as u32, id, place);
                true
            };
            let fits = match filter.traces() {
                Some(ids) => ids.iter().all(|id| {
                    chunk
                        .traces()
                        .place_of(*id)
                        .is_none_or(|place| add(*id, place))
                }),
                None => (0..)
                    .zip(chunk.traces().ids())
                    .all(|(place, id)| add(*id, place)),
            };
            if !fits {
                progress.coverage.miss(format!(
                    "there are more traces than the {count_max} that a search may compare"
                ));
                break;
            }
            if !progress.look() {
                break;
            }
        }
        candidates
    }

    fn add(
        &mut self,
        by_id: &mut HashMap<u128, u32>,
        chunk: &SpanChunk,
        chunk_number: u32,
        id: u128,
        place: usize,
    ) {
        let Some(tally) = chunk.trace_tally(place) else {
            return;
        };
        let number = *by_id.entry(id).or_insert_with(|| {
            self.all.push(Candidate {
                id,
                start_unix_nano: u64::MAX,
                end_unix_nano: 0,
                span_count: 0,
                error_count: 0,
                last_part: NO_PART,
            });
            (self.all.len() - 1) as u32
        });
        let Some(candidate) = self.all.get_mut(number as usize) else {
            return;
        };
        candidate.start_unix_nano = candidate.start_unix_nano.min(tally.start_unix_nano);
        candidate.end_unix_nano = candidate.end_unix_nano.max(tally.end_unix_nano);
        candidate.span_count += chunk.traces().rows_at(place).len() as u64;
        candidate.error_count += u64::from(tally.error_count);
        let part = Part {
            chunk_number,
            place: place as u32,
            before: candidate.last_part,
        };
        candidate.last_part = self.parts.len() as u32;
        self.parts.push(part);
    }

    /// The spans of a trace: the number of their chunk, and their rows in it.
    pub(super) fn rows<'s>(
        &'s self,
        snapshot: &'s Snapshot<SpanChunk>,
        candidate: &Candidate,
    ) -> impl Iterator<Item = (u32, &'s [u32])> + 's {
        let mut next = candidate.last_part;
        std::iter::from_fn(move || {
            let part = self.parts.get(next as usize)?;
            next = part.before;
            let chunk = snapshot.chunks.get(part.chunk_number as usize)?;
            Some((
                part.chunk_number,
                chunk.traces().rows_at(part.place as usize),
            ))
        })
    }
}
