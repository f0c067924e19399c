//! Where records come from, and what orders them.

use std::cmp::Reverse;

/// The envelope that a batch of records came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The partition of the log.
    pub partition: u16,
    /// The offset in the partition.
    pub offset: u64,
}

/// Names a record, and orders records by time: the greater key is the newer record. Unique among all consumers of a log,
/// so that answers of several can be merged and paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// The start of a span; the time of a log record, or its observed time when it has none. Nanoseconds since
    /// 1970-01-01T00:00:00Z.
    pub time_unix_nano: u64,
    /// The partition of the envelope.
    pub partition: u16,
    /// The offset of the envelope.
    pub offset: u64,
    /// The index of the record in the envelope, from 0.
    pub index: u32,
}

impl RecordKey {
    /// The key of the record at `index` of an envelope.
    pub fn new(time_unix_nano: u64, origin: Origin, index: u32) -> Self {
        Self {
            time_unix_nano,
            partition: origin.partition,
            offset: origin.offset,
            index,
        }
    }

    /// Sorts the newest record first.
    pub fn newest_first(self) -> Reverse<Self> {
        Reverse(self)
    }
}

/// A span of time: from the start (inclusive) to the end (exclusive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub start_unix_nano: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z; none is no end.
    pub end_unix_nano: Option<u64>,
}

impl TimeRange {
    /// All time.
    pub const ALL: Self = Self {
        start_unix_nano: 0,
        end_unix_nano: None,
    };

    /// Whether a time lies in the range.
    pub fn contains(&self, time_unix_nano: u64) -> bool {
        self.start_unix_nano <= time_unix_nano
            && self.end_unix_nano.is_none_or(|end| time_unix_nano < end)
    }

    /// Whether one of the times from `first` to `last`, both inclusive, lies in the range.
    pub fn overlaps(&self, first: u64, last: u64) -> bool {
        self.start_unix_nano <= last && self.end_unix_nano.is_none_or(|end| first < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_time_then_partition_offset_and_index() {
        let key = |time, partition, offset, index| {
            RecordKey::new(time, Origin { partition, offset }, index)
        };
        let ascending = [
            key(1, 9, 9, 9),
            key(2, 0, 7, 7),
            key(2, 1, 0, 5),
            key(2, 1, 1, 0),
            key(2, 1, 1, 1),
        ];
        assert!(ascending.is_sorted());
        let mut newest = ascending;
        newest.sort_by_key(|key| key.newest_first());
        assert_eq!(newest[0], ascending[4]);
    }

    #[test]
    fn a_range_includes_its_start_and_excludes_its_end() {
        let range = TimeRange {
            start_unix_nano: 10,
            end_unix_nano: Some(20),
        };
        assert!(
            !range.contains(9) && range.contains(10) && range.contains(19) && !range.contains(20)
        );
        assert!(
            range.overlaps(0, 10)
                && !range.overlaps(0, 9)
                && range.overlaps(19, 30)
                && !range.overlaps(20, 30)
        );
        assert!(TimeRange::ALL.contains(u64::MAX));
    }
}
