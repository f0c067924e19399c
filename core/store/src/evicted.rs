//! What has left a table, by time: what an answer may lack.

use std::collections::BTreeMap;

use crate::{
    TimeRange,
    chunk::{Chunk, TimeBounds},
};

/// The times of rows that have left, day by day: a sender whose clock is a century ahead must not make every later
/// answer look partial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evicted {
    rows: u64,
    /// By the number of the day since 1970: its earliest and its latest row.
    days: BTreeMap<u64, TimeBounds>,
}

const DAY_NANO: u64 = 24 * 60 * 60 * 1_000_000_000;

/// Days that are told apart; beyond, the oldest two become one.
const DAYS_MAX: usize = 1024;

impl Evicted {
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the rows of a chunk.
    pub(crate) fn include_chunk(&mut self, chunk: &impl Chunk) {
        let bounds = chunk.bounds();
        if bounds.first / DAY_NANO == bounds.last / DAY_NANO {
            self.include(chunk.rows() as u64, bounds);
        } else {
            (0..chunk.rows()).for_each(|row| self.include(1, TimeBounds::of(chunk.time(row))));
        }
    }

    /// Adds a row.
    pub(crate) fn include_time(&mut self, time: u64) {
        self.include(1, TimeBounds::of(time));
    }

    /// Whether a row of the range has left.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        self.days
            .values()
            .any(|bounds| range.overlaps(bounds.first, bounds.last))
    }

    /// Adds rows of one day.
    fn include(&mut self, rows: u64, bounds: TimeBounds) {
        self.rows += rows;
        let day = self.days.entry(bounds.first / DAY_NANO).or_default();
        *day = day.merge(bounds);
        if self.days.len() > DAYS_MAX
            && let Some((_, oldest)) = self.days.pop_first()
            && let Some(mut next) = self.days.first_entry()
        {
            let merged = next.get().merge(oldest);
            next.insert(merged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start_unix_nano: u64, end_unix_nano: u64) -> TimeRange {
        TimeRange {
            start_unix_nano,
            end_unix_nano: Some(end_unix_nano),
        }
    }

    #[test]
    fn a_row_far_in_the_future_does_not_reach_back() {
        let mut evicted = Evicted::default();
        evicted.include(
            5,
            TimeBounds {
                first: DAY_NANO,
                last: DAY_NANO + 10,
            },
        );
        evicted.include_time(u64::MAX);
        assert!(evicted.overlaps(range(0, DAY_NANO + 1)));
        assert!(!evicted.overlaps(range(DAY_NANO + 11, u64::MAX)));
        assert!(evicted.overlaps(TimeRange {
            start_unix_nano: u64::MAX,
            end_unix_nano: None
        }));
        assert_eq!(evicted.rows(), 6);
    }

    #[test]
    fn days_are_kept_within_bounds_and_none_is_forgotten() {
        let mut evicted = Evicted::default();
        for day in 0..3000 {
            evicted.include_time(day * DAY_NANO);
        }
        assert!(evicted.days.len() <= DAYS_MAX);
        assert!((0..3000).all(|day| evicted.overlaps(range(day * DAY_NANO, day * DAY_NANO + 1))));
        assert!(!evicted.overlaps(range(2999 * DAY_NANO + 1, u64::MAX)));
    }
}
