//! The traces that have a span which matches, found wave by wave, the newest parts first.
//!
//! A trace is known to start no later than any of its spans. So when all parts were looked at that have a time of T or
//! later, every trace that starts at T or later was found: one that was not has all its matching spans, and with them its
//! start, before T. How a trace found really starts and ends is looked up afterwards, in all chunks and blocks.
//!
//! Which chunks and blocks are looked at depends on where the traces that are asked for may start:
//!
//! | their times | what is done |
//! |---|---|
//! | reach into the range | each of their parts is asked the query; without a query their tables of traces will do |
//! | all before the range | nothing: a trace in the range has no span there |
//! | all after the range | of the traces that they share with one that reaches into the range, the spans are asked |

use hashbrown::HashMap;

use super::{
    filter::Filter,
    pace::Pace,
    sight::Sight,
    source::{Source, readable, sources},
    units::Asking,
    walk::{Order, Stretch, Walk},
};
use crate::{
    TimeRange,
    block::{BlockError, Columns, TraceEntry},
    chunk::SpanChunk,
    stop::Progress,
    table::Snapshot,
};

/// Rows of a block that are asked at once.
const BATCH_ROWS: usize = 1024;

/// Chunks and blocks that are compared at once.
const COMPARED_MAX: usize = 16;

/// What a trace takes while it is a candidate, its places in a queue and in the table of what was found included.
pub(super) const CANDIDATE_BYTES: u64 = 128;

/// Finds traces.
#[derive(Debug)]
pub(super) struct Candidates<'s, 'q> {
    spans: &'s Snapshot<SpanChunk>,
    filter: &'s Filter<'q>,
    asking: Asking<'s>,
    /// What is read of spans that are compared.
    columns: Columns,
    /// Where the traces have to start.
    range: TimeRange,
    ahead: Ahead<'s, 'q>,
    pace: Pace,
    /// The traces that were found, each with the latest time that it can start at.
    pub(super) found: HashMap<u128, u64>,
    /// Those among them that were found last.
    pub(super) fresh: Vec<(u128, u64)>,
}

/// What is still to be looked at.
#[derive(Debug)]
enum Ahead<'s, 'q> {
    /// Nothing: the query names the traces.
    Named,
    /// The tables of these, the newest at the end.
    Tables(Vec<Source<'s, SpanChunk>>),
    Spans {
        walk: Walk<'s, 'q, SpanChunk>,
        /// What was not yet compared with what lies after the range, the newest at the end.
        not_compared: Vec<Source<'s, SpanChunk>>,
        /// How many of them to compare at once: more each time, since each time all that lies after the range is gone
        /// through.
        at_once: usize,
        /// What lies after the range.
        later: Vec<Source<'s, SpanChunk>>,
    },
}

impl<'s, 'q> Candidates<'s, 'q> {
    pub(super) fn new(
        spans: &'s Snapshot<SpanChunk>,
        filter: &'s Filter<'q>,
        range: TimeRange,
        asking: Asking<'s>,
    ) -> Self {
        let mut candidates = Self {
            spans,
            filter,
            asking,
            columns: filter.columns(),
            range,
            ahead: Ahead::Named,
            pace: Pace::new(asking),
            found: HashMap::new(),
            fresh: Vec::new(),
        };
        match filter.traces() {
            Some(ids) => ids.iter().for_each(|id| candidates.add(*id, u64::MAX)),
            None => candidates.ahead = Ahead::new(spans, filter, range),
        }
        candidates
    }

    /// Whether the query names the traces, so that it is not known whether a span of them matches.
    pub(super) fn are_named(&self) -> bool {
        matches!(self.ahead, Ahead::Named)
    }

    /// The latest time that a trace which was not found yet can start at; none when all were found.
    pub(super) fn latest_ahead(&self) -> Option<u64> {
        match &self.ahead {
            Ahead::Named => None,
            Ahead::Tables(sources) => sources.last().map(|source| source.bounds().last),
            Ahead::Spans {
                walk, not_compared, ..
            } => {
                let compared = not_compared.last().map(|source| source.bounds().last);
                walk.time_ahead().max(compared)
            }
        }
    }

    /// Looks at what comes next. False when nothing is left, or when the search has to end.
    pub(super) fn look_further(&mut self, progress: &mut Progress<'_>) -> bool {
        if !progress.look() {
            return false;
        }
        match &mut self.ahead {
            Ahead::Named => false,
            Ahead::Tables(sources) => {
                let source = sources.pop();
                source.is_some_and(|source| self.add_all_of(source, progress))
            }
            Ahead::Spans {
                walk,
                not_compared,
                at_once,
                ..
            } => {
                let time = walk.time_ahead();
                let is_next = |source: &Source<'s, SpanChunk>| Some(source.bounds().last) >= time;
                if not_compared.last().is_some_and(is_next) {
                    let rest = not_compared.len().saturating_sub(*at_once);
                    *at_once = (*at_once * 2).min(COMPARED_MAX);
                    let some = not_compared.split_off(rest);
                    return self.compare(&some, progress);
                }
                if time.is_none() {
                    return false;
                }
                // What has to be compared before is not passed by.
                let compared = not_compared.last().map(|source| source.bounds().last);
                // How many more are wanted is not known here.
                let size = self.pace.next(0, 0);
                let wave = walk.wave(
                    size,
                    |edge| Some(Order::NEWEST_FIRST.time(edge)) <= compared,
                    progress,
                );
                self.pace.went(&wave);
                // A wave is empty when nothing that came next can match.
                !progress.is_stopped() && self.add_matching(wave, progress)
            }
        }
    }

    fn add(&mut self, id: u128, latest_start: u64) {
        if id != 0 && !self.found.contains_key(&id) {
            self.found.insert(id, latest_start);
            self.fresh.push((id, latest_start));
        }
    }

    /// Adds every trace that has a span in the range.
    fn add_all_of(&mut self, source: Source<'s, SpanChunk>, progress: &mut Progress<'_>) -> bool {
        let traces = readable(self.spans, source.traces(), progress);
        for entry in traces.into_iter().flatten() {
            if self.range.contains(entry.start_unix_nano) {
                self.add(entry.id, entry.start_unix_nano);
            }
        }
        true
    }

    /// Adds the traces of the spans of a wave that match.
    fn add_matching(&mut self, wave: Vec<Stretch>, progress: &mut Progress<'_>) -> bool {
        let asking = self.asking;
        let finder = || Finder {
            spans: self.spans,
            filter: self.filter,
            found: Vec::new(),
            progress: Progress::start(asking.stop),
        };
        let finders = asking.pool.run(wave, finder, Finder::look_at);
        for finder in finders {
            finder
                .found
                .into_iter()
                .for_each(|(id, start)| self.add(id, start));
            progress.absorb(finder.progress);
        }
        progress.look()
    }

    /// Adds the traces that have a span in these chunks and blocks and one that matches in what lies after the range.
    fn compare(&mut self, some: &[Source<'s, SpanChunk>], progress: &mut Progress<'_>) -> bool {
        let mut traces: Vec<TraceEntry> = Vec::new();
        for source in some {
            let of_source = readable(self.spans, source.traces(), progress);
            let in_range = of_source.into_iter().flatten();
            traces.extend(in_range.filter(|entry| self.range.contains(entry.start_unix_nano)));
        }
        traces.sort_unstable_by_key(|entry| entry.id);
        traces.dedup_by_key(|entry| entry.id);
        let later = match &self.ahead {
            Ahead::Spans { later, .. } => later.clone(),
            _ => Vec::new(),
        };
        for other in later {
            if !progress.look() {
                return false;
            }
            let others = readable(self.spans, other.traces(), progress).unwrap_or_default();
            let mut shared = in_both(&traces, &others);
            shared.retain(|entry| !self.found.contains_key(&entry.id));
            if !self.add_matching_of(other, &shared, progress) {
                return false;
            }
        }
        true
    }

    /// Adds those of some traces that have a span here which matches.
    fn add_matching_of(
        &mut self,
        source: Source<'s, SpanChunk>,
        traces: &[TraceEntry],
        progress: &mut Progress<'_>,
    ) -> bool {
        let traces = traces.iter().map(|entry| (entry.id, entry.start_unix_nano));
        let mut found = Vec::new();
        let goes_on = Matching {
            spans: self.spans,
            filter: self.filter,
            columns: &self.columns,
        }
        .find(source, traces, &mut found, progress);
        found
            .into_iter()
            .for_each(|(id, start)| self.add(id, start));
        goes_on
    }
}

/// Asks the spans of traces the query.
pub(super) struct Matching<'a, 's, 'q> {
    pub(super) spans: &'s Snapshot<SpanChunk>,
    pub(super) filter: &'a Filter<'q>,
    /// What the query looks at.
    pub(super) columns: &'a Columns,
}

impl Matching<'_, '_, '_> {
    /// Finds those of some traces, each with its start, that have a span here which matches; once for each such span. False
    /// when the search has to end.
    pub(super) fn find(
        &self,
        source: Source<'_, SpanChunk>,
        traces: impl Iterator<Item = (u128, u64)>,
        found: &mut Vec<(u128, u64)>,
        progress: &mut Progress<'_>,
    ) -> bool {
        let mut rows: Vec<(u32, u128, u64)> = Vec::new();
        for (id, start) in traces {
            let of_trace = readable(self.spans, source.rows_of_trace(id), progress);
            let of_trace = of_trace.unwrap_or_default();
            rows.extend(of_trace.iter().map(|row| (*row, id, start)));
        }
        rows.sort_unstable();
        for batch in rows.chunks(BATCH_ROWS) {
            if !progress.scan(batch.len() as u64) {
                return false;
            }
            let numbers: Vec<u32> = batch.iter().map(|(row, ..)| *row).collect();
            let taken = source.take(&numbers, self.columns);
            let Some(taken) = readable(self.spans, taken, progress) else {
                continue;
            };
            let on_taken = self.filter.on(taken.chunk.as_ref());
            for ((_, id, start), row) in batch.iter().zip(&taken.rows) {
                if on_taken.query_matches(*row as usize) {
                    found.push((*id, *start));
                }
            }
        }
        true
    }
}

impl<'s, 'q> Ahead<'s, 'q> {
    fn new(spans: &'s Snapshot<SpanChunk>, filter: &'s Filter<'q>, range: TimeRange) -> Self {
        let is_before_end = |first: u64| range.end_unix_nano.is_none_or(|end| first < end);
        let reaches_in = |source: &Source<'s, SpanChunk>| {
            let bounds = source.bounds();
            range.overlaps(bounds.first, bounds.last)
        };
        let mut in_range: Vec<_> = sources(spans).filter(reaches_in).collect();
        in_range.sort_by_key(|source| source.bounds().last);
        if filter.is_empty() {
            return Self::Tables(in_range);
        }
        let later: Vec<_> = sources(spans)
            .filter(|source| !is_before_end(source.bounds().first))
            .collect();
        if later.is_empty() {
            in_range.clear();
        }
        let of_spans = TimeRange {
            start_unix_nano: range.start_unix_nano.max(filter.range().start_unix_nano),
            ..filter.range()
        };
        Self::Spans {
            walk: Walk::of_sources(spans, filter, of_spans, Order::NEWEST_FIRST, |bounds| {
                is_before_end(bounds.first)
            }),
            not_compared: in_range,
            at_once: 1,
            later,
        }
    }
}

/// What one thread finds of a wave.
struct Finder<'s, 'q> {
    spans: &'s Snapshot<SpanChunk>,
    filter: &'s Filter<'q>,
    /// Traces, each with a time that it starts at or before.
    found: Vec<(u128, u64)>,
    progress: Progress<'s>,
}

impl<'s> Finder<'s, '_> {
    /// Looks at a stretch. False when the search has to end.
    fn look_at(&mut self, stretch: Stretch) -> bool {
        let spans = self.spans;
        let mut sight = match spans.chunks.get(stretch.source) {
            Some(chunk) => Sight::Chunk(chunk.as_ref()),
            None => {
                let block = spans.blocks.get(stretch.source - spans.chunks.len());
                let Some(block) = block.filter(|_| self.progress.look()) else {
                    return !self.progress.is_stopped();
                };
                self.progress.coverage.pieces_read += stretch.pieces;
                let sight = Sight::of_rows(block, stretch.rows);
                let Some(sight) = readable(spans, sight, &mut self.progress) else {
                    return true;
                };
                sight
            }
        };
        let found = self.find(&mut sight);
        self.progress.read(sight.bytes_read());
        readable(spans, found, &mut self.progress);
        self.progress.look()
    }

    fn find(&mut self, sight: &mut Sight<'s, SpanChunk>) -> Result<(), BlockError> {
        self.progress.scan(sight.rows() as u64);
        let selected = sight.select(self.filter)?;
        if selected.is_empty() {
            return Ok(());
        }
        let (times, ids) = (sight.times()?, sight.trace_ids(&selected)?);
        let mut before = 0;
        for (row, id) in selected.iter().zip(ids) {
            // The spans of a trace often are neighbours, and one that matches is enough.
            if id != 0 && id != before {
                let time = times.get(row).copied().unwrap_or_default();
                self.found.push((id, time));
                before = id;
            }
        }
        Ok(())
    }
}

/// The entries of traces that others have too; both ascend.
fn in_both(entries: &[TraceEntry], others: &[TraceEntry]) -> Vec<TraceEntry> {
    let mut others = others.iter().peekable();
    let is_shared = |entry: &&TraceEntry| {
        while others.next_if(|other| other.id < entry.id).is_some() {}
        others.peek().is_some_and(|other| other.id == entry.id)
    };
    entries.iter().filter(is_shared).copied().collect()
}
