//! Records that match, in the order of time, page by page.
//!
//! Chunks and pieces of blocks are looked at in the order of the answer, by the newest (or oldest) time that they have.
//! As soon as the page is full and no part that is left can hold a better record, the search ends: the newest records of
//! a common word cost a few thousand rows, whatever the store holds. Until then only the columns that the query looks at
//! are read; only the records of the page are read whole.

mod page;

use std::collections::BinaryHeap;

use log_tracer_query::Query;
use log_tracer_record::{LogRow, SpanRow};

use super::{
    filter::Filter,
    walk::{KeyInOrder, Loaded, Order, Walk},
};
use crate::{
    Coverage, RecordKey, Stop, TimeRange,
    block::{Columns, Storable},
    part::Part,
    stop::Progress,
    table::Snapshot,
};
use page::Page;

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
    let filter = Filter::new(&search.query, asked(search));
    snapshot.cover_page(asked(search), search.range, &mut progress.coverage);

    let places_max = usize::try_from(answer_bytes_max).unwrap_or(usize::MAX) / size_of::<Place>();
    let limit = search.limit.min(places_max);
    let order = Order {
        oldest_first: search.oldest_first,
    };
    let mut finder = Finder {
        order,
        after: search.after,
        // One more tells whether there is a next page.
        room: limit.saturating_add(1),
        best: BinaryHeap::new(),
        parts: Vec::new(),
    };
    let columns = Columns {
        keys: true,
        ..filter.columns()
    };
    for step in Walk::new(snapshot, &filter, order, &mut progress) {
        if finder.refuses_time(step.edge) || !progress.look() {
            break;
        }
        if let Some(rows) = step.read(&filter, &columns, &mut progress)
            && !finder.look_at(&step.part, &rows, &filter, &mut progress)
        {
            break;
        }
    }
    let page = Page {
        snapshot,
        order,
        limit,
        bytes_max: search.bytes_max,
    };
    let Finder { best, parts, .. } = finder;
    page.read(best.into_sorted_vec(), &parts, encoded_len, progress)
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

/// A record that belongs into the answer unless better ones are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: KeyInOrder,
    /// The number of its part among those that have such records.
    part: u32,
    row: u32,
}

/// Finds the best records.
struct Finder<C> {
    order: Order,
    after: Option<RecordKey>,
    room: usize,
    /// The best so far, the worst of them on top.
    best: BinaryHeap<Place>,
    /// The parts that they are in, and others that they were in.
    parts: Vec<Part<C>>,
}

impl<C: Storable> Finder<C> {
    /// Whether no record of this time, as a number that grows along the answer, can be among the best.
    #[inline]
    fn refuses_time(&self, time: u64) -> bool {
        let is_full = self.best.len() >= self.room;
        is_full && self.best.peek().is_none_or(|worst| time > worst.key.0)
    }

    /// Looks at the rows of a part. False when the search has to end.
    fn look_at(
        &mut self,
        part: &Part<C>,
        rows: &Loaded<C>,
        filter: &Filter<'_>,
        progress: &mut Progress<'_>,
    ) -> bool {
        let number = self.parts.len() as u32;
        let before = progress.coverage.matched;
        let is_done = self.offer_matching(number, rows, filter, progress);
        if progress.coverage.matched > before {
            self.parts.push(part.clone());
        }
        is_done
    }

    fn offer_matching(
        &mut self,
        part: u32,
        rows: &Loaded<C>,
        filter: &Filter<'_>,
        progress: &mut Progress<'_>,
    ) -> bool {
        let chunk = rows.chunk.as_ref();
        let filter = filter.on_part(rows);
        let mut rows = filter.rows();
        // Rows stand more or less in the order of time: from that end, the best come first and rule out the others.
        let oldest_first = self.order.oldest_first;
        let mut next = || {
            if oldest_first {
                rows.next()
            } else {
                rows.next_back()
            }
        };
        while let Some(row) = next() {
            if !progress.scan(1) {
                return false;
            }
            if self.refuses_time(self.order.time(chunk.time(row))) || !self.is_after(chunk, row) {
                continue;
            }
            if filter.matches(row) {
                progress.coverage.matched += 1;
                let key = self.order.key(chunk.key(row));
                self.offer(Place {
                    key,
                    part,
                    row: row as u32,
                });
            }
        }
        true
    }

    fn offer(&mut self, place: Place) {
        self.best.push(place);
        if self.best.len() > self.room {
            self.best.pop();
        }
    }

    fn is_after(&self, chunk: &C, row: usize) -> bool {
        let Some(after) = self.after else {
            return true;
        };
        let order = self.order;
        match order
            .time(chunk.time(row))
            .cmp(&order.time(after.time_unix_nano))
        {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => order.key(chunk.key(row)) > order.key(after),
        }
    }
}
