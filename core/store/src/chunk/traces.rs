//! Which rows of a chunk belong to which trace.

use hashbrown::HashMap;
use log_tracer_record::TraceId;

/// The rows of each trace, found by binary search: what makes a trace by its id cheap, without a table of all traces that
/// every apply and eviction would have to mend.
#[derive(Debug, Default)]
pub(crate) struct TraceTable {
    /// The ids as numbers, ascending; their order is that of their bytes.
    ids: Vec<u128>,
    /// Where the rows of each trace start in `rows`; one more than there are traces.
    starts: Vec<u32>,
    /// Rows by trace, then ascending.
    rows: Vec<u32>,
}

impl TraceTable {
    /// From the trace id of each row, zero for none.
    pub(super) fn build(ids: impl Iterator<Item = u128>) -> Self {
        // Rows are many and traces few: only these are sorted.
        let mut rows_by_id: HashMap<u128, u32> = HashMap::new();
        let mut row_ids: Vec<u128> = Vec::with_capacity(ids.size_hint().0);
        for id in ids {
            row_ids.push(id);
            if id != 0 {
                *rows_by_id.entry(id).or_default() += 1;
            }
        }
        let mut counts: Vec<(u128, u32)> = rows_by_id.drain().collect();
        counts.sort_unstable();
        let mut starts = Vec::with_capacity(counts.len() + 1);
        let mut start = 0;
        // From here on, by id: where its next row goes.
        let mut next_by_id = rows_by_id;
        for (id, count) in &counts {
            starts.push(start);
            next_by_id.insert(*id, start);
            start += count;
        }
        starts.push(start);
        let mut rows = vec![0; start as usize];
        for (row, id) in (0..).zip(row_ids) {
            if let Some(next) = next_by_id.get_mut(&id)
                && let Some(place) = rows.get_mut(*next as usize)
            {
                *place = row;
                *next += 1;
            }
        }
        Self {
            ids: counts.into_iter().map(|(id, _)| id).collect(),
            starts,
            rows,
        }
    }

    /// All traces, ascending.
    pub(crate) fn ids(&self) -> &[u128] {
        &self.ids
    }

    /// The rows of the trace at a place among [`Self::ids`].
    pub(crate) fn rows_at(&self, place: usize) -> &[u32] {
        let ends = self.starts.get(place).zip(self.starts.get(place + 1));
        let rows = ends.and_then(|(start, end)| self.rows.get(*start as usize..*end as usize));
        rows.unwrap_or_default()
    }

    /// The place of a trace among [`Self::ids`].
    pub(crate) fn place_of(&self, id: u128) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// The rows of a trace, ascending.
    pub(crate) fn rows_of(&self, id: u128) -> &[u32] {
        self.place_of(id)
            .map_or(&[][..], |place| self.rows_at(place))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.ids.capacity() * size_of::<u128>()
            + (self.starts.capacity() + self.rows.capacity()) * size_of::<u32>()
    }
}

/// At most so many bytes does a row add to the table of its chunk.
pub(super) const TRACE_TABLE_ROW_BYTES_MAX: usize = size_of::<u128>() + 2 * size_of::<u32>();

/// A trace id as a number.
#[inline]
pub(crate) fn trace_number(id: TraceId) -> u128 {
    u128::from_be_bytes(*id.as_bytes())
}

/// The trace id of a number; none for zero.
pub(crate) fn trace_id(number: u128) -> Option<TraceId> {
    TraceId::from_bytes(&number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_trace_are_found_and_rows_without_one_are_not() {
        let table = TraceTable::build([7, 0, 3, 7, u128::MAX, 0, 7].into_iter());
        assert_eq!(table.ids(), [3, 7, u128::MAX]);
        assert_eq!(table.rows_of(7), [0, 3, 6]);
        assert_eq!(table.rows_of(3), [2]);
        assert_eq!(table.rows_of(u128::MAX), [4]);
        assert!(table.rows_of(0).is_empty() && table.rows_of(8).is_empty());
    }

    #[test]
    fn a_table_without_traces_is_empty() {
        assert!(TraceTable::build([0, 0].into_iter()).ids().is_empty());
        assert!(TraceTable::build(std::iter::empty()).rows_of(1).is_empty());
    }
}
