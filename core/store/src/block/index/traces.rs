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

use std::ops::Range;

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

/// A leaf in the directory: id, offset, length, checksum.
const LEAF_BYTES: usize = 16 + 8 + 4 + 4;

/// When a leaf has so many bytes, the next trace starts another.
const LEAF_BYTES_TARGET: usize = 4 << 10;

/// The leaves of a block, and their directory.
pub(crate) fn encode(rows: &mut [TraceRow], first_time: u64) -> (Vec<u8>, Vec<Leaf>) {
    rows.sort_unstable_by_key(|row| (row.id, row.row));
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
        encode_trace(&mut bytes, trace, first_time);
    }
    if bytes.len() > start {
        end_leaf(&bytes, start, first);
    }
    (bytes, leaves)
}

fn encode_trace(bytes: &mut Vec<u8>, rows: &[TraceRow], first_time: u64) {
    let Some(first) = rows.first() else {
        return;
    };
    let start = rows.iter().map(|row| row.time).min().unwrap_or(0);
    let end = rows.iter().map(|row| row.end).max().unwrap_or(0);
    bytes.extend(first.id().to_be_bytes());
    put_varint(bytes, rows.len() as u64);
    put_varint(bytes, rows.iter().filter(|row| row.is_error).count() as u64);
    put_varint(bytes, start.wrapping_sub(first_time));
    put_varint(bytes, end.wrapping_sub(start));
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

/// A trace that was read: its entry, and its rows.
#[derive(Debug)]
struct Read {
    entry: TraceEntry,
    runs: Vec<Range<u32>>,
}

/// The rows of a trace, ascending; none when the leaf does not have it.
pub(crate) fn rows_in(leaf: &[u8], id: u128, rows_max: u32) -> Result<Vec<u32>, Malformed> {
    let mut input = Input::new(leaf);
    while !input.is_empty() {
        let trace = read_trace(&mut input, 0, rows_max)?;
        if trace.entry.id == id {
            return Ok(trace.runs.into_iter().flatten().collect());
        }
        if trace.entry.id > id {
            break;
        }
    }
    Ok(Vec::new())
}

/// What is known of a trace; none when the leaf does not have it.
pub(crate) fn entry_in(
    leaf: &[u8],
    id: u128,
    first_time: u64,
    rows_max: u32,
) -> Result<Option<TraceEntry>, Malformed> {
    let mut input = Input::new(leaf);
    while !input.is_empty() {
        let entry = read_trace(&mut input, first_time, rows_max)?.entry;
        if entry.id >= id {
            return Ok((entry.id == id).then_some(entry));
        }
    }
    Ok(None)
}

/// All traces of a leaf.
pub(crate) fn entries_in(
    leaf: &[u8],
    first_time: u64,
    rows_max: u32,
    entries: &mut Vec<TraceEntry>,
) -> Result<(), Malformed> {
    let mut input = Input::new(leaf);
    while !input.is_empty() {
        entries.push(read_trace(&mut input, first_time, rows_max)?.entry);
    }
    Ok(())
}

fn read_trace(input: &mut Input<'_>, first_time: u64, rows_max: u32) -> Result<Read, Malformed> {
    let id = u128::from_be_bytes(input.array()?);
    let (row_count, error_count) = (input.varint_u32()?, input.varint_u32()?);
    let start = first_time.wrapping_add(input.varint()?);
    let end = start.wrapping_add(input.varint()?);
    if row_count > rows_max {
        return Err(Malformed::new("a trace has more rows than the block"));
    }
    let mut runs = Vec::new();
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
        runs.push(first..end);
        (after, left) = (end, left - length);
    }
    Ok(Read {
        entry: TraceEntry {
            id,
            row_count,
            error_count,
            start_unix_nano: start,
            end_unix_nano: end,
        },
        runs,
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_rows_of_each_trace_are_found(ids in vec(1..40_u128, 0..300)) {
            let row = |(row, id): (usize, &u128)| {
                TraceRow::new(*id << 100, row as u32, row % 3 == 0, 7 + row as u64, u64::MAX)
            };
            let mut rows: Vec<TraceRow> = ids.iter().enumerate().map(row).collect();
            let (bytes, leaves) = encode(&mut rows, 7);
            prop_assert_eq!(&decode_directory(&encode_directory(&leaves)).unwrap(), &leaves);
            let rows_max = ids.len() as u32;
            let mut entries = Vec::new();
            for leaf in &leaves {
                let leaf = &bytes[leaf.offset as usize..][..leaf.length as usize];
                entries_in(leaf, 7, rows_max, &mut entries).unwrap();
            }
            for id in 0..40_u128 {
                let expected: Vec<u32> = (0..).zip(&ids).filter(|(_, of)| **of == id).map(|(row, _)| row).collect();
                let found = match leaf_of(&leaves, id << 100) {
                    Some(leaf) => {
                        let leaf = &bytes[leaf.offset as usize..][..leaf.length as usize];
                        rows_in(leaf, id << 100, rows_max).unwrap()
                    }
                    None => Vec::new(),
                };
                prop_assert_eq!(&found, &expected);
                let entry = entries.iter().find(|entry| entry.id == id << 100);
                prop_assert_eq!(entry.map_or(0, |entry| entry.row_count as usize), expected.len());
                if let Some(entry) = entry {
                    prop_assert_eq!(entry.start_unix_nano, 7 + u64::from(expected[0]));
                    prop_assert_eq!(entry.end_unix_nano, u64::MAX);
                    prop_assert_eq!(entry.error_count as usize, expected.iter().filter(|row| *row % 3 == 0).count());
                }
            }
        }

        #[test]
        fn fuzz_any_bytes_are_a_leaf_or_an_error(bytes in vec(any::<u8>(), 0..120), rows_max in 0..100_u32) {
            let _ = rows_in(&bytes, 7, rows_max);
            let _ = entries_in(&bytes, 0, rows_max, &mut Vec::new());
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
        let (bytes, leaves) = encode(&mut rows, 0);
        let all = bytes.len() + encode_directory(&leaves).len();
        assert!(all < 3 * 40_000, "{all}");
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
