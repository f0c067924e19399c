//! The traces of a block: which rows each has, and what is known of them.
//!
//! Traces stand in the order of their ids, in **leaves** of about 4 KiB, each with its own checksum; the directory of
//! the leaves is small and stays in memory, so that a trace is found with one read. Most blocks have nothing of a trace:
//! a filter of all ids, xxh3 of their 16 bytes, says so without that read, but for one in 64 of them. It takes about a
//! byte a trace, a tenth of a byte a row.
//!
//! # An entry
//!
//! | bytes | what |
//! |---|---|
//! | 16 | id |
//! | LEB128 | rows |
//! | LEB128 | rows that are errors |
//! | LEB128 | start, after the first time of the block |
//! | LEB128 | end, after the start; modulo 2^64 |
//! | ... | runs of neighbouring rows, until all rows are there: LEB128 of twice the rows between the run before and this one, plus one when it has more than one row; then LEB128 of its rows less two |
//!
//! Of log records nobody asks more than which rows a trace has: their entries are [`Entries::Rows`], without errors, start
//! and end, and stand in a section of their own. A trace has few log records in a block, so that the rest would be a tenth
//! of what a record takes. Blocks that were written before have all of it.

use std::ops::Range;

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    super::{
        error::Malformed,
        info::TraceEntry,
        wire::{Input, put_varint},
    },
    fuse::Fuse,
};

/// A row as the table of traces sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceRow {
    /// As two halves, which need less room than one number.
    id: [u64; 2],
    row: u32,
    is_error: bool,
    time: u64,
    end: u64,
}

impl TraceRow {
    pub(crate) fn new(id: u128, row: u32, is_error: bool, time: u64, end: u64) -> Self {
        Self {
            id: [(id >> 64) as u64, id as u64],
            row,
            is_error,
            time,
            end,
        }
    }

    pub(crate) fn id(&self) -> u128 {
        u128::from(self.id[0]) << 64 | u128::from(self.id[1])
    }
}

/// Some traces that stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The id of its first trace.
    pub(crate) first: u128,
    /// Where it starts in the section.
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) checksum: u32,
}

impl Leaf {
    /// Where it ends in the section.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }
}

/// A leaf in the directory: id, offset, length, checksum.
const LEAF_BYTES: usize = 16 + 8 + 4 + 4;

/// When a leaf has so many bytes, the next trace starts another.
const LEAF_BYTES_TARGET: usize = 4 << 10;

/// What the entries of a block tell of its traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entries {
    /// Everything.
    Whole,
    /// Which rows they have.
    Rows,
}

/// Puts rows, which come in their own order, in that of the ids of their traces. Spans are many and their traces few: only
/// the traces are compared. Of log records there may be nearly as many traces.
fn sort_by_trace(rows: &mut [TraceRow], entries: Entries) {
    if entries == Entries::Rows {
        return rows.sort_unstable_by_key(|row| (row.id, row.row));
    }
    let mut places: HashMap<[u64; 2], usize> = HashMap::new();
    for row in rows.iter() {
        *places.entry(row.id).or_default() += 1;
    }
    let mut counts: Vec<([u64; 2], usize)> = places.iter().map(|(id, rows)| (*id, *rows)).collect();
    counts.sort_unstable();
    let mut start = 0;
    for (id, count) in counts {
        places.insert(id, start);
        start += count;
    }
    let mut sorted = rows.to_vec();
    for row in rows.iter() {
        let next = places.get_mut(&row.id);
        if let Some(next) = next
            && let Some(place) = sorted.get_mut(*next)
        {
            *place = *row;
            *next += 1;
        }
    }
    rows.copy_from_slice(&sorted);
}

/// The leaves of a block, and their directory. The rows come in their own order, and stand in that of their traces then.
pub(crate) fn encode(
    rows: &mut [TraceRow],
    first_time: u64,
    entries: Entries,
) -> (Vec<u8>, Vec<Leaf>) {
    sort_by_trace(rows, entries);
    let mut bytes = Vec::new();
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut start = 0;
    let mut end_leaf = |bytes: &[u8], start: usize, first: u128| {
        let leaf = bytes.get(start..).unwrap_or_default();
        leaves.push(Leaf {
            first,
            offset: start as u64,
            length: leaf.len() as u32,
            checksum: crc32c::crc32c(leaf),
        });
    };
    let mut first = 0;
    for trace in rows.chunk_by(|a, b| a.id == b.id) {
        if bytes.len() - start >= LEAF_BYTES_TARGET {
            end_leaf(&bytes, start, first);
            start = bytes.len();
        }
        if bytes.len() == start {
            first = trace.first().map_or(0, TraceRow::id);
        }
        encode_trace(&mut bytes, trace, first_time, entries);
    }
    if bytes.len() > start {
        end_leaf(&bytes, start, first);
    }
    (bytes, leaves)
}

fn encode_trace(bytes: &mut Vec<u8>, rows: &[TraceRow], first_time: u64, entries: Entries) {
    let Some(first) = rows.first() else {
        return;
    };
    bytes.extend(first.id().to_be_bytes());
    put_varint(bytes, rows.len() as u64);
    if entries == Entries::Whole {
        let start = rows.iter().map(|row| row.time).min().unwrap_or(0);
        let end = rows.iter().map(|row| row.end).max().unwrap_or(0);
        put_varint(bytes, rows.iter().filter(|row| row.is_error).count() as u64);
        put_varint(bytes, start.wrapping_sub(first_time));
        put_varint(bytes, end.wrapping_sub(start));
    }
    let mut after = 0;
    for run in rows.chunk_by(|a, b| a.row + 1 == b.row) {
        let gap = u64::from(run.first().map_or(0, |row| row.row) - after);
        put_varint(bytes, gap << 1 | u64::from(run.len() > 1));
        if run.len() > 1 {
            put_varint(bytes, run.len() as u64 - 2);
        }
        after = run.last().map_or(0, |row| row.row + 1);
    }
}

/// Bits of the fingerprints in the filter of traces.
const FILTER_BITS: u32 = 6;

/// What the filter of traces holds of one.
pub(crate) fn filter_hash(id: u128) -> u64 {
    xxh3_64(&id.to_be_bytes())
}

/// The filter of the traces of rows that stand in the order of their ids; empty when it cannot be made.
pub(crate) fn encode_filter(rows: &[TraceRow]) -> Vec<u8> {
    let traces = rows.chunk_by(|a, b| a.id == b.id);
    let first = traces.filter_map(|trace| trace.first());
    let hashes: Vec<(u64, u16)> = first.map(|row| (filter_hash(row.id()), 0)).collect();
    let filter = Fuse::build(&hashes, FILTER_BITS);
    filter.map_or_else(Vec::new, |filter| filter.encode())
}

pub(crate) fn encode_directory(leaves: &[Leaf]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(leaves.len() * LEAF_BYTES);
    for leaf in leaves {
        bytes.extend(leaf.first.to_be_bytes());
        bytes.extend(leaf.offset.to_le_bytes());
        bytes.extend(leaf.length.to_le_bytes());
        bytes.extend(leaf.checksum.to_le_bytes());
    }
    bytes
}

pub(crate) fn decode_directory(bytes: &[u8]) -> Result<Vec<Leaf>, Malformed> {
    let mut input = Input::new(bytes);
    let mut leaves = Vec::with_capacity(bytes.len() / LEAF_BYTES);
    while !input.is_empty() {
        leaves.push(Leaf {
            first: u128::from_be_bytes(input.array()?),
            offset: input.u64()?,
            length: input.u32()?,
            checksum: input.u32()?,
        });
    }
    Ok(leaves)
}

/// The leaf that has a trace, if one does.
pub(crate) fn leaf_of(leaves: &[Leaf], id: u128) -> Option<&Leaf> {
    let after = leaves.partition_point(|leaf| leaf.first <= id);
    leaves.get(after.checked_sub(1)?)
}

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
    /// The rows of a trace, ascending; none when the leaf does not have it.
    pub(crate) fn rows_in(self, leaf: &[u8], id: u128) -> Result<Vec<u32>, Malformed> {
        let mut input = Input::new(leaf);
        let mut rows: Vec<u32> = Vec::new();
        while !input.is_empty() {
            rows.clear();
            let found = self.trace(&mut input, |run| rows.extend(run))?.id;
            if found == id {
                return Ok(rows);
            }
            if found > id {
                break;
            }
        }
        Ok(Vec::new())
    }

    /// What is known of a trace; none when the leaf does not have it.
    pub(crate) fn entry_in(self, leaf: &[u8], id: u128) -> Result<Option<TraceEntry>, Malformed> {
        let mut input = Input::new(leaf);
        while !input.is_empty() {
            let entry = self.trace(&mut input, |_| {})?;
            if entry.id >= id {
                return Ok((entry.id == id).then_some(entry));
            }
        }
        Ok(None)
    }

    /// All traces of a leaf whose ids are wanted.
    pub(crate) fn entries_in(
        self,
        leaf: &[u8],
        is_wanted: impl Fn(u128) -> bool,
        entries: &mut Vec<TraceEntry>,
    ) -> Result<(), Malformed> {
        let mut input = Input::new(leaf);
        while !input.is_empty() {
            let entry = self.trace(&mut input, |_| {})?;
            if is_wanted(entry.id) {
                entries.push(entry);
            }
        }
        Ok(())
    }

    /// Reads the next trace as far as it is told, and hands the runs of its rows to `visit`, ascending.
    #[inline]
    fn trace(
        self,
        input: &mut Input<'_>,
        visit: impl FnMut(Range<u32>),
    ) -> Result<TraceEntry, Malformed> {
        let id = u128::from_be_bytes(input.array()?);
        let row_count = input.varint_u32()?;
        let (error_count, start, end) = match self.entries {
            Entries::Rows => (0, self.first_time, self.first_time),
            Entries::Whole => {
                let error_count = input.varint_u32()?;
                let start = self.first_time.wrapping_add(input.varint()?);
                (error_count, start, start.wrapping_add(input.varint()?))
            }
        };
        if row_count > self.rows_max {
            return Err(Malformed::new("a trace has more rows than the block"));
        }
        visit_runs(input, row_count, self.rows_max, visit)?;
        Ok(TraceEntry {
            id,
            row_count,
            error_count,
            start_unix_nano: start,
            end_unix_nano: end,
        })
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_rows_of_each_trace_are_found(
            ids in vec(1..40_u128, 0..300),
            tells in prop::sample::select(vec![Entries::Whole, Entries::Rows]),
        ) {
            let row = |(row, id): (usize, &u128)| {
                TraceRow::new(*id << 100, row as u32, row % 3 == 0, 7 + row as u64, u64::MAX)
            };
            let mut rows: Vec<TraceRow> = ids.iter().enumerate().map(row).collect();
            let (bytes, leaves) = encode(&mut rows, 7, tells);
            prop_assert_eq!(&decode_directory(&encode_directory(&leaves)).unwrap(), &leaves);
            let reader = LeafReader { entries: tells, first_time: 7, rows_max: ids.len() as u32 };
            let mut entries = Vec::new();
            for leaf in &leaves {
                let leaf = &bytes[leaf.offset as usize..][..leaf.length as usize];
                reader.entries_in(leaf, |_| true, &mut entries).unwrap();
            }
            for id in 0..40_u128 {
                let expected: Vec<u32> = (0..).zip(&ids).filter(|(_, of)| **of == id).map(|(row, _)| row).collect();
                let found = match leaf_of(&leaves, id << 100) {
                    Some(leaf) => {
                        let leaf = &bytes[leaf.offset as usize..][..leaf.length as usize];
                        reader.rows_in(leaf, id << 100).unwrap()
                    }
                    None => Vec::new(),
                };
                prop_assert_eq!(&found, &expected);
                let entry = entries.iter().find(|entry| entry.id == id << 100);
                prop_assert_eq!(entry.map_or(0, |entry| entry.row_count as usize), expected.len());
                if let Some(entry) = entry.filter(|_| tells == Entries::Whole) {
                    prop_assert_eq!(entry.start_unix_nano, 7 + u64::from(expected[0]));
                    prop_assert_eq!(entry.end_unix_nano, u64::MAX);
                    prop_assert_eq!(entry.error_count as usize, expected.iter().filter(|row| *row % 3 == 0).count());
                }
            }
        }

        #[test]
        fn fuzz_any_bytes_are_a_leaf_or_an_error(bytes in vec(any::<u8>(), 0..120), rows_max in 0..100_u32) {
            for entries in [Entries::Whole, Entries::Rows] {
                let reader = LeafReader { entries, first_time: 0, rows_max };
                let _ = reader.rows_in(&bytes, 7);
                let _ = reader.entries_in(&bytes, |_| true, &mut Vec::new());
            }
            let _ = decode_directory(&bytes);
        }
    }

    #[test]
    fn a_trace_of_forty_rows_with_others_between_takes_about_two_bytes_a_row() {
        let mut rows: Vec<TraceRow> = (0..40_000)
            .map(|row| {
                TraceRow::new(
                    u128::from(row % 1000 + 1),
                    row,
                    false,
                    u64::from(row),
                    u64::from(row) + 9,
                )
            })
            .collect();
        let (bytes, leaves) = encode(&mut rows, 0, Entries::Whole);
        let all = bytes.len() + encode_directory(&leaves).len();
        assert!(all < 3 * 40_000, "{all}");
    }

    #[test]
    fn the_entry_of_a_trace_of_log_records_is_its_id_and_its_rows() {
        let row = |row| TraceRow::new(0xabcd, row, true, 9, 9);
        let (bytes, _) = encode(&mut [3, 4, 5, 9].map(row), 0, Entries::Rows);
        let mut expected = 0xabcd_u128.to_be_bytes().to_vec();
        // Four rows: three after three others, and one after three others.
        expected.extend([4, 3 << 1 | 1, 1, 3 << 1]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_trace_of_two_log_records_takes_less_than_twenty_four_bytes() {
        let row = |row| TraceRow::new(u128::from(row / 2 + 1), row, false, u64::from(row) << 20, 0);
        let mut rows: Vec<TraceRow> = (0..20_000).map(row).collect();
        let (bytes, leaves) = encode(&mut rows, 0, Entries::Rows);
        let all = bytes.len() + encode_directory(&leaves).len();
        assert!(all < 24 * 10_000, "{all}");
    }

    #[test]
    fn the_filter_denies_no_trace_of_the_block_and_most_others() {
        let rows: Vec<TraceRow> = (1..=10_000_u32)
            .map(|row| TraceRow::new(u128::from(row / 3 + 1), row, false, 0, 0))
            .collect();
        let filter = Fuse::decode(&encode_filter(&rows)).unwrap();
        assert!(
            rows.iter()
                .all(|row| filter.contains(filter_hash(row.id())))
        );
        let others = (100_000..110_000_u128).filter(|id| filter.contains(filter_hash(*id)));
        assert!(others.count() < 10_000 / 32);
    }
}
