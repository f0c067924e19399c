//! Records that match, in the order of time, page by page.
//!
//! Chunks and pieces of blocks are looked at in the order of the answer, by the newest (or oldest) time that they have.
//! As soon as the page is full and no part that is left can hold a better record, the search ends: the newest records of
//! a common word cost a few thousand rows, whatever the store holds.
//!
//! | phase | what is read |
//! |---|---|
//! | which rows match ([`finder`]) | the columns that the query looks at, and of the later ones only the pages where a row is left |
//! | which of them are the best | their times, and the keys of those that can be among the best |
//! | what they are ([`page`]) | of the records of the page alone all columns, page by page |
//!
//! What has to be looked at comes in waves that grow while little is found ([`super::walk`]), and the threads of the store
//! share each wave. A thread keeps the best of what it looked at, no more than the page has room for.

mod finder;
mod page;

use log_tracer_query::Query;
use log_tracer_record::{LogRow, SpanRow};

use super::{
    filter::Filter,
    pace::Pace,
    units::Asking,
    walk::{KeyInOrder, Order, Walk},
};
use crate::{Coverage, RecordKey, TimeRange, block::Storable, stop::Progress, table::Snapshot};
use finder::{Best, Finder};
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
    encoded_len: impl Fn(&C::Row) -> usize,
    asking: Asking<'_>,
) -> RecordResults<C::Row> {
    let mut progress = Progress::start(asking.stop);
    let filter = Filter::new(&search.query, asked(search));
    snapshot.cover_page(asked(search), search.range, &mut progress.coverage);

    let bytes_max = usize::try_from(asking.answer_bytes_max).unwrap_or(usize::MAX);
    // Each thread has places of its own.
    let places_max = bytes_max / size_of::<Place>() / (asking.pool.threads() + 1);
    let limit = search.limit.min(places_max);
    let order = Order {
        oldest_first: search.oldest_first,
    };
    // One more tells whether there is a next page.
    let best = Best::new(order, search.after, limit.saturating_add(1));
    let places = find(snapshot, &filter, best, asking, &mut progress);
    let page = Page {
        snapshot,
        order,
        limit,
        bytes_max: search.bytes_max,
    };
    page.read(places, encoded_len, progress)
}

/// Finds the best records, in the order of the answer.
fn find<C: Storable>(
    snapshot: &Snapshot<C>,
    filter: &Filter<'_>,
    mut best: Best,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
) -> Vec<Place> {
    let mut walk = Walk::new(snapshot, filter, best.order(), progress);
    let mut pace = Pace::new(asking);
    loop {
        let size = pace.next(best.len(), best.wanted());
        let wave = walk.wave(size, |edge| best.refuses_time(edge), progress);
        if wave.is_empty() || !progress.look() {
            return best.into_places();
        }
        pace.went(&wave);
        let finder = || Finder::new(snapshot, filter, best.fork(), size, asking.stop);
        let found = asking.pool.run(wave, finder, Finder::look_at);
        for finder in found {
            let (others, of_thread) = finder.end();
            best.absorb(others);
            progress.absorb(of_thread);
        }
    }
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
    /// The number of its chunk or block, chunks first.
    source: u32,
    row: u32,
}
