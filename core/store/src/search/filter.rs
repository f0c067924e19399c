//! A query and a range, as what they rule out before a row is looked at.

use std::ops::Range;

use log_tracer_query::{Intrinsic, Query};

use crate::{TimeRange, chunk::Chunk};

/// A query and a range of time, ready to be asked of rows.
#[derive(Debug)]
pub(super) struct Filter<'q> {
    query: &'q Query,
    is_empty: bool,
    range: TimeRange,
    /// The traces of which a row must be one, when the query names them.
    traces: Option<Vec<u128>>,
}

impl<'q> Filter<'q> {
    pub(super) fn new(query: &'q Query, range: TimeRange) -> Self {
        let needs = query.needs();
        let traces = if needs.never {
            Some(Vec::new())
        } else {
            needs.ids(Intrinsic::TraceId).map(to_numbers)
        };
        let range = match &needs.time {
            Some(times) => narrowed(range, *times.start(), *times.end()),
            None => range,
        };
        Self {
            query,
            is_empty: query.is_empty(),
            range,
            traces,
        }
    }

    /// The traces of which a row must be one, when the query names them.
    pub(super) fn traces(&self) -> Option<&[u128]> {
        self.traces.as_deref()
    }

    /// Whether a row of the chunk can match.
    pub(super) fn admits<C: Chunk>(&self, chunk: &C) -> bool {
        let bounds = chunk.bounds();
        self.range.overlaps(bounds.first, bounds.last)
    }

    /// The rows of a chunk that can match, ascending; the other rows need not be looked at.
    pub(super) fn rows<C: Chunk>(&self, chunk: &C) -> Rows {
        let Some(traces) = &self.traces else {
            return Rows::All(0..chunk.rows());
        };
        let rows = traces.iter().flat_map(|id| chunk.traces().rows_of(*id));
        let mut rows: Vec<u32> = rows.copied().collect();
        rows.sort_unstable();
        Rows::Some(rows.into_iter())
    }

    /// Whether a row matches, and lies in the range.
    #[inline]
    pub(super) fn matches<C: Chunk>(&self, chunk: &C, row: usize) -> bool {
        self.range.contains(chunk.time(row)) && self.query_matches(chunk, row)
    }

    /// Whether a row matches, wherever it lies.
    #[inline]
    pub(super) fn query_matches<C: Chunk>(&self, chunk: &C, row: usize) -> bool {
        self.is_empty || self.query.matches(&chunk.fields(row))
    }
}

fn to_numbers(ids: Vec<&[u8]>) -> Vec<u128> {
    let number = |id: &[u8]| <[u8; 16]>::try_from(id).ok().map(u128::from_be_bytes);
    let mut numbers: Vec<u128> = ids.into_iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// A range cut to times from `first` to `last`, both inclusive. The query language has signed numbers: a later time
/// reads as its greatest.
fn narrowed(range: TimeRange, first: i64, last: i64) -> TimeRange {
    let first = u64::try_from(first).unwrap_or(0);
    let end = match last {
        i64::MAX => None,
        last => Some(u64::try_from(last).map_or(0, |last| last + 1)),
    };
    TimeRange {
        start_unix_nano: range.start_unix_nano.max(first),
        end_unix_nano: match (range.end_unix_nano, end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
    }
}

/// Rows of a chunk, ascending.
#[derive(Debug)]
pub(super) enum Rows {
    All(Range<usize>),
    Some(std::vec::IntoIter<u32>),
}

impl Iterator for Rows {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        match self {
            Rows::All(rows) => rows.next(),
            Rows::Some(rows) => rows.next().map(|row| row as usize),
        }
    }
}

impl DoubleEndedIterator for Rows {
    #[inline]
    fn next_back(&mut self) -> Option<usize> {
        match self {
            Rows::All(rows) => rows.next_back(),
            Rows::Some(rows) => rows.next_back().map(|row| row as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_that_a_query_needs_narrow_the_range() {
        let range = TimeRange {
            start_unix_nano: 10,
            end_unix_nano: Some(50),
        };
        let to = |start_unix_nano, end_unix_nano| TimeRange {
            start_unix_nano,
            end_unix_nano,
        };
        assert_eq!(narrowed(range, 20, 29), to(20, Some(30)));
        assert_eq!(narrowed(range, -5, i64::MAX), range);
        assert_eq!(narrowed(TimeRange::ALL, 5, i64::MAX), to(5, None));
        assert_eq!(narrowed(range, i64::MIN, -1), to(10, Some(0)));
    }
}
