//! Records that match, in the order of time, page by page.
//!
//! Chunks are looked at in the order of the answer, by the newest (or oldest) time that they have. As soon as the page is
//! full and no chunk that is left can hold a better record, the search ends: the newest records of a common word cost a
//! few thousand rows, whatever the store holds.

use std::collections::BinaryHeap;

use log_tracer_query::Query;
use log_tracer_record::{LogRow, SpanRow};

use super::filter::Filter;
use crate::{
    Coverage, RecordKey, Stop, TimeRange, block::Storable, chunk::Chunk, stop::Progress,
    table::Snapshot,
};

/// Asks for records that match.
#[derive(Clone, Debug)]
pub struct RecordSearch {
    /// What a record has to match.
    pub query: Query,
    /// Where its time has to lie.
    pub range: TimeRange,
    /// Records to answer at most.
    pub limit: usize,
    /// Bytes that the records of the answer may take when they are encoded; the first record is answered in any case.
    /// An answer that this cuts short is not partial: it has a `next`.
    pub bytes_max: u64,
    /// Answers only what comes after this record: older ones, or newer ones with `oldest_first`.
    pub after: Option<RecordKey>,
    /// The oldest records first, for what follows a record.
    pub oldest_first: bool,
}

/// Records that match, in the order that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordResults<R> {
    /// The records.
    pub hits: Vec<Hit<R>>,
    /// Asks for the next page when it is given as `after`; none when there is no more.
    pub next: Option<RecordKey>,
    /// What was covered.
    pub coverage: Coverage,
}

/// A record with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit<R> {
    /// Names it, and orders it among others.
    pub key: RecordKey,
    /// The record, whole.
    pub row: R,
}

/// Asks for log records.
pub type LogSearch = RecordSearch;
/// Log records that match.
pub type LogResults = RecordResults<LogRow>;
/// A log record with its key.
pub type LogHit = Hit<LogRow>;
/// Asks for spans, by their start.
pub type SpanSearch = RecordSearch;
/// Spans that match.
pub type SpanResults = RecordResults<SpanRow>;
/// A span with its key.
pub type SpanHit = Hit<SpanRow>;

/// Answers a search; `encoded_len` says how many bytes a row takes in the answer.
pub(crate) fn search_records<C: Storable>(
    snapshot: &Snapshot<C>,
    search: &RecordSearch,
    answer_bytes_max: u64,
    encoded_len: impl Fn(&C::Row) -> usize,
    stop: &Stop,
) -> RecordResults<C::Row> {
    let mut progress = Progress::start(stop);
    let filter = Filter::new(&search.query, search.range);
    snapshot.cover(asked(search), &mut progress.coverage);

    let places_max = usize::try_from(answer_bytes_max).unwrap_or(usize::MAX) / size_of::<Place>();
    let limit = search.limit.min(places_max);
    // One more tells whether there is a next page.
    let mut best = Best {
        places: BinaryHeap::new(),
        room: limit.saturating_add(1),
    };
    let order = Order {
        oldest_first: search.oldest_first,
    };
    for (edge, chunk_number, chunk) in chunks_in_order(snapshot, &filter, order) {
        if best.refuses_time(edge) {
            break;
        }
        let pass = Pass {
            chunk_number,
            order,
            after: search.after,
        };
        if !pass.over(chunk, &filter, &mut best, &mut progress) {
            break;
        }
    }
    read_page(
        snapshot,
        search,
        limit,
        best.places.into_sorted_vec(),
        encoded_len,
        progress,
    )
}

/// The times that a search reaches, its cursor considered.
fn asked(search: &RecordSearch) -> TimeRange {
    let mut range = search.range;
    match search.after {
        Some(after) if search.oldest_first => {
            range.start_unix_nano = range.start_unix_nano.max(after.time_unix_nano)
        }
        Some(after) => {
            let end = after.time_unix_nano.checked_add(1);
            range.end_unix_nano = match (range.end_unix_nano, end) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        None => {}
    }
    range
}

/// The order of an answer.
#[derive(Clone, Copy)]
struct Order {
    oldest_first: bool,
}

impl Order {
    /// A time as a number that grows along the answer.
    fn time(self, time: u64) -> u64 {
        if self.oldest_first { time } else { !time }
    }

    /// A key as a tuple that grows along the answer.
    fn key(self, key: RecordKey) -> KeyInOrder {
        let RecordKey {
            time_unix_nano: time,
            partition,
            offset,
            index,
        } = key;
        if self.oldest_first {
            (time, partition, offset, index)
        } else {
            (!time, !partition, !offset, !index)
        }
    }
}

type KeyInOrder = (u64, u16, u64, u32);

/// A record that belongs into the answer unless better ones are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: KeyInOrder,
    chunk_number: u32,
    row: u32,
}

/// The best records so far, the worst of them on top.
struct Best {
    places: BinaryHeap<Place>,
    room: usize,
}

impl Best {
    /// Whether no record of this time can be among the best.
    #[inline]
    fn refuses_time(&self, time: u64) -> bool {
        let is_full = self.places.len() >= self.room;
        is_full && self.places.peek().is_none_or(|worst| time > worst.key.0)
    }

    fn offer(&mut self, place: Place) {
        self.places.push(place);
        if self.places.len() > self.room {
            self.places.pop();
        }
    }
}

/// The chunks that can hold a record of the answer, each with the first time in order that it has, in that order.
fn chunks_in_order<'s, C: Storable>(
    snapshot: &'s Snapshot<C>,
    filter: &Filter<'_>,
    order: Order,
) -> Vec<(u64, u32, &'s C)> {
    let admitted = (0..)
        .zip(&snapshot.chunks)
        .filter(|(_, chunk)| filter.admits(chunk.as_ref()));
    let with_edge = admitted.map(|(number, chunk)| {
        let bounds = chunk.bounds();
        let edge = if order.oldest_first {
            bounds.first
        } else {
            bounds.last
        };
        (order.time(edge), number, chunk.as_ref())
    });
    let mut chunks: Vec<_> = with_edge.collect();
    chunks.sort_by_key(|(edge, number, _)| (*edge, *number));
    chunks
}

/// One chunk's turn.
struct Pass {
    chunk_number: u32,
    order: Order,
    after: Option<RecordKey>,
}

impl Pass {
    /// Offers the matching rows of a chunk. False when the search has to end.
    fn over<C: Chunk>(
        &self,
        chunk: &C,
        filter: &Filter<'_>,
        best: &mut Best,
        progress: &mut Progress<'_>,
    ) -> bool {
        let filter = filter.on(chunk);
        let mut rows = filter.rows();
        // Rows arrive more or less in the order of time: from that end, the best come first and rule out the others.
        let mut next = || {
            if self.order.oldest_first {
                rows.next()
            } else {
                rows.next_back()
            }
        };
        while let Some(row) = next() {
            if !progress.scan(1) {
                return false;
            }
            if best.refuses_time(self.order.time(chunk.time(row))) || !self.is_after(chunk, row) {
                continue;
            }
            if filter.matches(row) {
                progress.coverage.matched += 1;
                let key = self.order.key(chunk.key(row));
                best.offer(Place {
                    key,
                    chunk_number: self.chunk_number,
                    row: row as u32,
                });
            }
        }
        true
    }

    fn is_after<C: Chunk>(&self, chunk: &C, row: usize) -> bool {
        let Some(after) = self.after else {
            return true;
        };
        match self
            .order
            .time(chunk.time(row))
            .cmp(&self.order.time(after.time_unix_nano))
        {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => self.order.key(chunk.key(row)) > self.order.key(after),
        }
    }
}

/// Reads the rows of a page, as many as its limits allow.
fn read_page<C: Storable>(
    snapshot: &Snapshot<C>,
    search: &RecordSearch,
    limit: usize,
    places: Vec<Place>,
    encoded_len: impl Fn(&C::Row) -> usize,
    progress: Progress<'_>,
) -> RecordResults<C::Row> {
    let mut hits = Vec::with_capacity(places.len().min(limit));
    let mut bytes: u64 = 0;
    for place in places.iter().take(limit) {
        let Some(chunk) = snapshot.chunks.get(place.chunk_number as usize) else {
            continue;
        };
        let row = chunk.row(place.row as usize);
        bytes = bytes.saturating_add(encoded_len(&row) as u64);
        if bytes > search.bytes_max && !hits.is_empty() {
            break;
        }
        hits.push(Hit {
            key: chunk.key(place.row as usize),
            row,
        });
    }
    let has_more = hits.len() < places.len() || progress.is_stopped();
    let next = hits.last().map(|hit| hit.key).filter(|_| has_more);
    RecordResults {
        hits,
        next,
        coverage: progress.finish(),
    }
}
