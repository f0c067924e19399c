//! What retention has taken from a table: how much, and of which times.

use serde::{Deserialize, Serialize};

use crate::{TimeRange, block::BlockInfo};

/// How far a record's own time may be after its arrival before it counts as one of the future.
const AHEAD_NANO: u64 = 60 * 60 * 1_000_000_000;

/// Blocks, and the rows that left with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) rows: u64,
    pub(crate) blocks: u64,
}

/// What has left a table since it was made. Of the times that left, only the outermost are remembered: what leaves is
/// what arrived first, so that little is kept between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expired {
    pub(crate) by_age: Taken,
    pub(crate) by_bytes: Taken,
    /// From the earliest to the latest, both inclusive.
    past: Option<(u64, u64)>,
    /// Likewise, of the latest record of each block that had some of the future. The others of them are forgotten: else
    /// one sender whose clock is a century ahead would make every later answer look partial.
    future: Option<(u64, u64)>,
}

impl Expired {
    /// Adds a block that leaves.
    pub(crate) fn include(&mut self, info: &BlockInfo, is_by_age: bool) {
        let taken = if is_by_age {
            &mut self.by_age
        } else {
            &mut self.by_bytes
        };
        taken.rows += info.rows;
        taken.blocks += 1;
        let latest = info.received_unix_nano.saturating_add(AHEAD_NANO);
        if info.first_unix_nano <= latest {
            let last = info.last_unix_nano.min(latest);
            self.past = widened(self.past, info.first_unix_nano, last);
        }
        if info.last_unix_nano > latest {
            self.future = widened(self.future, info.last_unix_nano, info.last_unix_nano);
        }
    }

    /// Whether records of the range have left, as far as is known.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        let left = [self.past, self.future];
        left.into_iter()
            .flatten()
            .any(|(first, last)| range.overlaps(first, last))
    }
}

fn widened(range: Option<(u64, u64)>, first: u64, last: u64) -> Option<(u64, u64)> {
    let (before_first, before_last) = range.unwrap_or((first, last));
    Some((before_first.min(first), before_last.max(last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BlockId;

    const DAY: u64 = 24 * AHEAD_NANO;

    fn info(first: u64, last: u64, received: u64) -> BlockInfo {
        BlockInfo {
            id: BlockId(1),
            rows: 5,
            bytes: 100,
            first_unix_nano: first,
            last_unix_nano: last,
            received_unix_nano: received,
            level: 0,
        }
    }

    fn range(start: u64, end: u64) -> TimeRange {
        TimeRange {
            start_unix_nano: start,
            end_unix_nano: Some(end),
        }
    }

    #[test]
    fn what_left_is_remembered_up_to_its_arrival() {
        let mut expired = Expired::default();
        assert!(!expired.overlaps(TimeRange::ALL));
        expired.include(&info(DAY, 2 * DAY, 2 * DAY), true);
        expired.include(&info(2 * DAY, 900 * DAY, 3 * DAY), false);
        assert!(expired.overlaps(range(0, 2 * DAY)));
        assert!(!expired.overlaps(range(4 * DAY, 900 * DAY)));
        assert!(expired.overlaps(range(4 * DAY, 901 * DAY)));
        assert_eq!(expired.by_age, Taken { rows: 5, blocks: 1 });
        assert_eq!(expired.by_bytes, Taken { rows: 5, blocks: 1 });
    }

    #[test]
    fn a_block_of_the_future_only_does_not_reach_into_the_past() {
        let mut expired = Expired::default();
        expired.include(&info(800 * DAY, 900 * DAY, 3 * DAY), false);
        assert!(!expired.overlaps(range(0, 4 * DAY)));
    }
}
