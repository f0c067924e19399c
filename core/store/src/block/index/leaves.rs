//! Reads the leaves of the table of traces, which [`super::traces`] writes and describes.

use std::ops::Range;

use super::{
    super::{error::Malformed, info::TraceEntry, wire::Input},
    traces::Entries,
};

/// How the leaves of a block are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeafReader {
    pub(crate) entries: Entries,
    /// The first time of the block.
    pub(crate) first_time: u64,
    /// Rows of the block.
    pub(crate) rows_max: u32,
}

impl LeafReader {
    /// The rows of the trace with a key, ascending; none when the leaf, which starts with another one, does not have it.
    pub(crate) fn rows_in(
        self,
        first: u128,
        leaf: &[u8],
        key: u128,
    ) -> Result<Vec<u32>, Malformed> {
        let mut traces = self.traces_in(first, leaf)?;
        let mut rows: Vec<u32> = Vec::new();
        loop {
            rows.clear();
            let read = traces.next(|read| read == key, |run| rows.extend(run))?;
            match read {
                Some((entry, _)) if entry.id < key => {}
                Some((entry, _)) if entry.id == key => return Ok(rows),
                _ => return Ok(Vec::new()),
            }
        }
    }

    /// What is known of a trace; none when the leaf does not have it.
    pub(crate) fn entry_in(
        self,
        first: u128,
        leaf: &[u8],
        key: u128,
    ) -> Result<Option<TraceEntry>, Malformed> {
        let mut traces = self.traces_in(first, leaf)?;
        while let Some((entry, _)) = traces.next(|_| false, |_| {})? {
            if entry.id >= key {
                return Ok((entry.id == key).then_some(entry));
            }
        }
        Ok(None)
    }

    /// Hands all traces of a leaf to `visit`, each with the number of its service set; none where that is not told. Where
    /// keys are told and no ids, those stand for them.
    pub(crate) fn entries_in(
        self,
        first: u128,
        leaf: &[u8],
        mut visit: impl FnMut(TraceEntry, Option<u32>),
    ) -> Result<(), Malformed> {
        let mut traces = self.traces_in(first, leaf)?;
        while let Some((entry, set)) = traces.next(|_| false, |_| {})? {
            visit(entry, set);
        }
        Ok(())
    }

    fn traces_in(self, first: u128, leaf: &[u8]) -> Result<TracesOfLeaf<'_>, Malformed> {
        let mut input = Input::new(leaf);
        let (heads, runs) = match self.entries {
            Entries::Whole => {
                let length = usize::try_from(input.varint()?).unwrap_or(usize::MAX);
                (Input::new(input.take(length)?), input)
            }
            Entries::Rows | Entries::Mixed => (input, Input::new(&[])),
        };
        Ok(TracesOfLeaf {
            reader: self,
            before: first,
            heads,
            runs,
        })
    }
}

/// The traces of a leaf, one after the other.
#[derive(Debug)]
struct TracesOfLeaf<'l> {
    reader: LeafReader,
    /// The key of the trace before.
    before: u128,
    heads: Input<'l>,
    /// What follows the heads.
    runs: Input<'l>,
}

impl TracesOfLeaf<'_> {
    /// Reads the next trace as far as it is told, and the number of its service set. The runs of its rows are handed to
    /// `visit`, ascending, if it is wanted, and may be otherwise.
    #[inline]
    fn next(
        &mut self,
        is_wanted: impl Fn(u128) -> bool,
        visit: impl FnMut(Range<u32>),
    ) -> Result<Option<(TraceEntry, Option<u32>)>, Malformed> {
        let LeafReader {
            entries,
            first_time,
            rows_max,
        } = self.reader;
        if self.heads.is_empty() {
            return match self.runs.is_empty() {
                true => Ok(None),
                false => Err(Malformed::new("a leaf has rows of no trace")),
            };
        }
        let heads = &mut self.heads;
        let id = match entries {
            Entries::Whole | Entries::Mixed => u128::from_be_bytes(heads.array()?),
            Entries::Rows => self.before.wrapping_add(u128::from(heads.varint()?)),
        };
        self.before = id;
        let row_count = heads.varint_u32()?;
        let (error_count, start, end) = match entries {
            Entries::Rows => (0, first_time, first_time),
            Entries::Whole | Entries::Mixed => {
                let error_count = heads.varint_u32()?;
                let start = first_time.wrapping_add(heads.varint()?);
                (error_count, start, start.wrapping_add(heads.varint()?))
            }
        };
        if row_count > rows_max {
            return Err(Malformed::new("a trace has more rows than the block"));
        }
        let mut set = None;
        match entries {
            Entries::Whole => {
                set = Some(heads.varint_u32()?);
                let length = usize::try_from(heads.varint()?).unwrap_or(usize::MAX);
                let mut runs = Input::new(self.runs.take(length)?);
                if is_wanted(id) {
                    visit_runs(&mut runs, row_count, rows_max, visit)?;
                    runs.finish()?;
                }
            }
            Entries::Rows | Entries::Mixed => visit_runs(heads, row_count, rows_max, visit)?,
        }
        let entry = TraceEntry {
            id,
            row_count,
            error_count,
            start_unix_nano: start,
            end_unix_nano: end,
        };
        Ok(Some((entry, set)))
    }
}

#[inline]
fn visit_runs(
    input: &mut Input<'_>,
    row_count: u32,
    rows_max: u32,
    mut visit: impl FnMut(Range<u32>),
) -> Result<(), Malformed> {
    let (mut after, mut left) = (0_u32, row_count);
    while left > 0 {
        let head = input.varint()?;
        let length = match head & 1 {
            0 => 1,
            _ => input.varint_u32()?.saturating_add(2),
        };
        let gap = u32::try_from(head >> 1).unwrap_or(u32::MAX);
        let first = after.saturating_add(gap);
        let end = first.saturating_add(length);
        if length > left || end > rows_max {
            return Err(Malformed::new("a trace has rows beyond those of the block"));
        }
        visit(first..end);
        (after, left) = (end, left - length);
    }
    Ok(())
}
