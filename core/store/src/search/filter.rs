//! A query and a range, as what they rule out before a row is looked at.

use std::{cell::OnceCell, collections::BTreeSet, ops::Range, sync::Arc};

use log_tracer_query::{Field, Intrinsic, Needle, Needs, Query};

use crate::{
    TimeRange,
    block::Columns,
    chunk::{Chunk, FieldPlan},
};

/// A query and a range of time, ready to be asked of chunks.
#[derive(Debug)]
pub(super) struct Filter<'q> {
    query: &'q Query,
    needs: Needs,
    is_empty: bool,
    range: TimeRange,
    /// The traces of which a row must be one, when the query names them.
    traces: Option<Vec<u128>>,
    /// The attributes that the query looks at.
    paths: Vec<String>,
    /// The attributes of which a row that matches has at least one, for each of several reasons.
    needed: Vec<Vec<String>>,
}

impl<'q> Filter<'q> {
    pub(super) fn new(query: &'q Query, range: TimeRange) -> Self {
        let needs = query.needs();
        let traces = match needs.never {
            true => Some(Vec::new()),
            false => needs.ids(Intrinsic::TraceId).map(to_numbers),
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
            paths: needs.fields.iter().filter_map(path_of).collect(),
            needed: needs
                .clauses
                .iter()
                .filter_map(|clause| paths_of(&clause.any_of))
                .collect(),
            needs,
        }
    }

    /// What every record that matches has.
    pub(super) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Where the time of a record that matches lies.
    pub(super) fn range(&self) -> TimeRange {
        self.range
    }

    /// The query, without the range.
    pub(super) fn query(&self) -> &'q Query {
        self.query
    }

    /// Whether every record of the range matches.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The columns that the query looks at.
    pub(super) fn columns(&self) -> Columns {
        Columns::of_query(&self.needs)
    }

    /// The traces of which a row must be one, when the query names them.
    pub(super) fn traces(&self) -> Option<&[u128]> {
        self.traces.as_deref()
    }

    /// The filter on a chunk that was read with all its columns, and knows which rows are of which trace.
    pub(super) fn on_whole<'f, C: Chunk>(&'f self, chunk: &'f C) -> FilterOn<'f, 'q, C> {
        FilterOn {
            has_traces: true,
            ..self.on(chunk)
        }
    }

    /// The filter with all that can be worked out about a chunk beforehand.
    pub(super) fn on<'f, C: Chunk>(&'f self, chunk: &'f C) -> FilterOn<'f, 'q, C> {
        let plans: Vec<FieldPlan> = self.paths.iter().map(|path| chunk.plan(path)).collect();
        let is_absent = |path: &String| {
            plans
                .iter()
                .any(|plan| plan.path() == path && plan.is_absent())
        };
        let is_hopeless = self
            .needed
            .iter()
            .any(|any_of| any_of.iter().all(is_absent));
        FilterOn {
            filter: self,
            chunk,
            plans,
            is_hopeless,
            has_traces: false,
        }
    }
}

/// A filter on a chunk.
#[derive(Debug)]
pub(super) struct FilterOn<'f, 'q, C> {
    filter: &'f Filter<'q>,
    chunk: &'f C,
    plans: Vec<FieldPlan>,
    /// Whether no row has what a row that matches must have.
    is_hopeless: bool,
    /// Whether the chunk knows which rows are of which trace.
    has_traces: bool,
}

impl<'f, C: Chunk> FilterOn<'f, '_, C> {
    pub(super) fn chunk(&self) -> &'f C {
        self.chunk
    }

    /// A row as the query sees it.
    #[inline]
    pub(super) fn record(&self, row: usize) -> C::Fields<'_> {
        self.chunk.fields(row, &self.plans)
    }

    /// The rows that can match, ascending; the others need not be looked at.
    pub(super) fn rows(&self) -> Rows {
        if self.is_hopeless {
            return Rows::All(0..0);
        }
        let Some(traces) = self.filter.traces().filter(|_| self.has_traces) else {
            return Rows::All(0..self.chunk.rows());
        };
        let rows = traces
            .iter()
            .flat_map(|id| self.chunk.traces().rows_of(*id));
        let mut rows: Vec<u32> = rows.copied().collect();
        rows.sort_unstable();
        Rows::Some(rows.into_iter())
    }

    /// Whether a row matches, and lies in the range.
    #[inline]
    pub(super) fn matches(&self, row: usize) -> bool {
        self.filter.range.contains(self.chunk.time(row)) && self.query_matches(row)
    }

    /// Whether a row matches, wherever it lies.
    #[inline]
    pub(super) fn query_matches(&self, row: usize) -> bool {
        self.filter.is_empty
            || !self.is_hopeless
                && self
                    .filter
                    .query
                    .matches(&self.chunk.fields(row, &self.plans))
    }
}

/// A filter on all chunks of a snapshot, worked out chunk by chunk when it is first asked.
#[derive(Debug)]
pub(super) struct FilterOnAll<'f, 'q, C> {
    filter: &'f Filter<'q>,
    chunks: &'f [Arc<C>],
    on: Vec<OnceCell<FilterOn<'f, 'q, C>>>,
}

impl<'f, 'q, C: Chunk> FilterOnAll<'f, 'q, C> {
    pub(super) fn new(filter: &'f Filter<'q>, chunks: &'f [Arc<C>]) -> Self {
        Self {
            filter,
            chunks,
            on: chunks.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    /// Whether a row of the chunk with this number matches.
    pub(super) fn query_matches(&self, chunk_number: u32, row: u32) -> bool {
        let number = chunk_number as usize;
        let Some((chunk, on)) = self.chunks.get(number).zip(self.on.get(number)) else {
            return false;
        };
        on.get_or_init(|| self.filter.on(chunk.as_ref()))
            .query_matches(row as usize)
    }
}

/// The path of a field that is an attribute.
fn path_of(field: &Field) -> Option<String> {
    match field {
        Field::Attribute(path) => Some(path.clone()),
        Field::Intrinsic(_) => None,
    }
}

/// The paths of which one is needed; none when something else will do.
fn paths_of(any_of: &BTreeSet<Needle>) -> Option<Vec<String>> {
    let path = |needle: &Needle| match needle {
        Needle::Value(field, _) | Needle::ValuePrefix(field, _) | Needle::Present(field) => {
            path_of(field)
        }
        Needle::Token(field, _) | Needle::TokenPrefix(field, _) => path_of(field.as_ref()?),
        Needle::Id(..) | Needle::IdPrefix(..) | Needle::Within(..) => None,
    };
    any_of.iter().map(path).collect()
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
