//! The traces of a block: which rows each has, and what is known of them.
//!
//! Traces stand in the order of their ids, in **leaves** of about 4 KiB, each with its own checksum; the directory of
//! the leaves is small and stays in memory, so that a trace is found with one read. Most blocks have nothing of a trace:
//! a filter of all their ids, xxh3 of 16 bytes, says so without that read, but for one in 64 of them. It takes about a
//! byte a trace, a tenth of a byte a row.
//!
//! # A leaf of spans
//!
//! The **heads** of its traces, which tell all but the rows, and then the **runs** of their rows, so that whoever goes
//! through all traces passes by the runs.
//!
//! | bytes | what |
//! |---|---|
//! | LEB128 | bytes of the heads |
//! | ... | the heads |
//! | ... | the runs, in the same order |
//!
//! | a head | what |
//! |---|---|
//! | 16 | id |
//! | LEB128 | rows |
//! | LEB128 | rows that are errors |
//! | LEB128 | start, after the first time of the block |
//! | LEB128 | end, after the start; modulo 2^64 |
//! | LEB128 | which services and grades its rows have: a number of [`service_sets`](super::service_sets) |
//! | LEB128 | bytes of its runs |
//!
//! Runs are neighbouring rows, until all rows are there: LEB128 of twice the rows between the run before and this one, plus
//! one when it has more than one row; then LEB128 of its rows less two.
//!
//! # A leaf of log records
//!
//! Of log records nobody asks more than which rows a trace has: their entries are [`Entries::Rows`] and stand in a section of
//! their own. A trace has few log records in a block, so that all of the above, and its id, would be a fifth of what a record
//! takes. So traces stand in the order of their **keys**, the upper 56 bits of xxh3 of the 16 bytes of an id. In one of
//! fourteen million blocks of a hundred thousand traces two of them have the same key, and each is said to have the rows of
//! both.
//!
//! | bytes | what |
//! |---|---|
//! | LEB128 | key, after that of the trace before; of the first, after the one that the directory names |
//! | LEB128 | rows |
//! | ... | runs, as above |
//!
//! # Older leaves
//!
//! Blocks that were written before have [`Entries::Mixed`], of spans and of log records: one after the other, each its id,
//! rows, errors, start, end and runs, as above.

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    super::{
        Storable,
        error::Malformed,
        wire::{Input, put_varint},
    },
    fuse::Fuse,
    service_sets::{RowKind, SetsWriter},
};

/// A row as the table of traces sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceRow {
    /// The key of its trace ([`Entries::key`]), as two halves, which need less room than one number.
    key: [u64; 2],
    time: u64,
    end: u64,
    row: u32,
    kind: RowKind,
    is_error: bool,
}

impl TraceRow {
    /// A row of a chunk, by the number that it has in the block, as has its service; none when it is of no trace.
    pub(crate) fn new<C: Storable>(
        chunk: &C,
        row: usize,
        number: u32,
        service: u32,
        entries: Entries,
    ) -> Option<Self> {
        let id = chunk.trace_of(row);
        let of_trace = Self {
            time: chunk.time(row),
            end: chunk.end_of(row),
            row: number,
            kind: RowKind::new(service, chunk.grade(row)),
            is_error: chunk.is_error(row),
            ..Self::of(entries.key(id))
        };
        (id != 0).then_some(of_trace)
    }

    fn of(key: u128) -> Self {
        Self {
            key: [(key >> 64) as u64, key as u64],
            time: 0,
            end: 0,
            row: 0,
            kind: RowKind::default(),
            is_error: false,
        }
    }

    pub(crate) fn key(&self) -> u128 {
        u128::from(self.key[0]) << 64 | u128::from(self.key[1])
    }
}

/// Some traces that stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The key of its first trace.
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

/// How the leaves of a block are made, and what they tell of its traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entries {
    /// Everything, heads before runs.
    Whole,
    /// Which rows they have, by their keys.
    Rows,
    /// As all blocks had it once: all but services and grades, heads and runs by turns.
    Mixed,
}

impl Entries {
    /// What the traces of a block are told apart by, and stand in the order of: their ids, or what is made of these.
    #[inline]
    pub(crate) fn key(self, id: u128) -> u128 {
        match self {
            Self::Whole | Self::Mixed => id,
            Self::Rows => u128::from(xxh3_64(&id.to_be_bytes()) >> (u64::BITS - KEY_BITS)),
        }
    }
}

/// Bits of the key of a trace of log records.
const KEY_BITS: u32 = 56;

/// Puts rows, which come in their own order, in that of the ids of their traces. Spans are many and their traces few: only
/// the traces are compared. Of log records there may be nearly as many traces.
fn sort_by_trace(rows: &mut [TraceRow], entries: Entries) {
    if entries == Entries::Rows {
        return rows.sort_unstable_by_key(|row| (row.key, row.row));
    }
    let mut places: HashMap<[u64; 2], usize> = HashMap::new();
    for row in rows.iter() {
        *places.entry(row.key).or_default() += 1;
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
        let next = places.get_mut(&row.key);
        if let Some(next) = next
            && let Some(place) = sorted.get_mut(*next)
        {
            *place = *row;
            *next += 1;
        }
    }
    rows.copy_from_slice(&sorted);
}

/// What is written of the traces of a block.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) leaves: Vec<u8>,
    pub(crate) directory: Vec<Leaf>,
    /// The section of their service sets; none where they are not told.
    pub(crate) service_sets: Option<Vec<u8>>,
}

/// Encodes the traces of rows, which come in their own order, and stand in that of their traces then.
pub(crate) fn encode(rows: &mut [TraceRow], first_time: u64, entries: Entries) -> Encoded {
    sort_by_trace(rows, entries);
    let traces = || rows.chunk_by(|a, b| a.key == b.key);
    let mut writer = LeafWriter::new(entries);
    if entries != Entries::Whole {
        for trace in traces() {
            let entry = writer.start(trace);
            if entries == Entries::Mixed {
                put_sums(entry, trace, first_time);
            }
            put_runs(entry, trace);
            writer.end_trace();
        }
        return writer.finish(None);
    }
    let sets = SetsWriter::new(traces().map(|trace| trace.iter().map(|row| row.kind)));
    for (trace, set) in traces().zip(sets.numbers()) {
        let start = writer.runs.len();
        put_runs(&mut writer.runs, trace);
        let length = writer.runs.len() - start;
        let head = writer.start(trace);
        put_sums(head, trace, first_time);
        put_varint(head, set.into());
        put_varint(head, length as u64);
        writer.end_trace();
    }
    writer.finish(sets.encode())
}

/// Leaves that are put together.
#[derive(Debug)]
struct LeafWriter {
    entries: Entries,
    /// The leaves that have ended.
    bytes: Vec<u8>,
    directory: Vec<Leaf>,
    /// Of the leaf at hand: the keys of its first trace and of that before, its heads or entries, and the runs that follow
    /// them.
    first: u128,
    before: u128,
    heads: Vec<u8>,
    runs: Vec<u8>,
}

impl LeafWriter {
    fn new(entries: Entries) -> Self {
        Self {
            entries,
            bytes: Vec::new(),
            directory: Vec::new(),
            first: 0,
            before: 0,
            heads: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Starts an entry, as every one does.
    fn start(&mut self, trace: &[TraceRow]) -> &mut Vec<u8> {
        let key = trace.first().map_or(0, TraceRow::key);
        if self.heads.is_empty() {
            (self.first, self.before) = (key, key);
        }
        match self.entries {
            Entries::Whole | Entries::Mixed => self.heads.extend(key.to_be_bytes()),
            Entries::Rows => put_varint(&mut self.heads, key.wrapping_sub(self.before) as u64),
        }
        self.before = key;
        put_varint(&mut self.heads, trace.len() as u64);
        &mut self.heads
    }

    fn end_trace(&mut self) {
        if self.heads.len() + self.runs.len() >= LEAF_BYTES_TARGET {
            self.end_leaf();
        }
    }

    fn end_leaf(&mut self) {
        let start = self.bytes.len();
        if self.entries == Entries::Whole {
            put_varint(&mut self.bytes, self.heads.len() as u64);
        }
        self.bytes.append(&mut self.heads);
        self.bytes.append(&mut self.runs);
        let leaf = self.bytes.get(start..).unwrap_or_default();
        self.directory.push(Leaf {
            first: self.first,
            offset: start as u64,
            length: leaf.len() as u32,
            checksum: crc32c::crc32c(leaf),
        });
    }

    fn finish(mut self, service_sets: Option<Vec<u8>>) -> Encoded {
        if !self.heads.is_empty() {
            self.end_leaf();
        }
        Encoded {
            leaves: self.bytes,
            directory: self.directory,
            service_sets,
        }
    }
}

/// Errors, start and end.
fn put_sums(bytes: &mut Vec<u8>, rows: &[TraceRow], first_time: u64) {
    let start = rows.iter().map(|row| row.time).min().unwrap_or(0);
    let end = rows.iter().map(|row| row.end).max().unwrap_or(0);
    put_varint(bytes, rows.iter().filter(|row| row.is_error).count() as u64);
    put_varint(bytes, start.wrapping_sub(first_time));
    put_varint(bytes, end.wrapping_sub(start));
}

fn put_runs(bytes: &mut Vec<u8>, rows: &[TraceRow]) {
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

/// What the filter of traces holds of one, by its key.
pub(crate) fn filter_hash(key: u128) -> u64 {
    xxh3_64(&key.to_be_bytes())
}

/// The filter of the traces of rows that stand in the order of their ids; empty when it cannot be made.
pub(crate) fn encode_filter(rows: &[TraceRow]) -> Vec<u8> {
    let traces = rows.chunk_by(|a, b| a.key == b.key);
    let first = traces.filter_map(|trace| trace.first());
    let hashes: Vec<(u64, u16)> = first.map(|row| (filter_hash(row.key()), 0)).collect();
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

/// The leaf that has the trace with a key, if one does.
pub(crate) fn leaf_of(leaves: &[Leaf], key: u128) -> Option<&Leaf> {
    let after = leaves.partition_point(|leaf| leaf.first <= key);
    leaves.get(after.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{
        super::{leaves::LeafReader, service_sets::ServiceSets},
        *,
    };

    fn row(id: u128, row: u32) -> TraceRow {
        TraceRow {
            row,
            ..TraceRow::of(id)
        }
    }

    fn leaf_bytes<'e>(encoded: &'e Encoded, leaf: &Leaf) -> &'e [u8] {
        &encoded.leaves[leaf.offset as usize..][..leaf.length as usize]
    }

    proptest! {
        #[test]
        fn the_rows_of_each_trace_are_found(
            ids in vec(1..40_u128, 0..300),
            entries in prop::sample::select(vec![Entries::Whole, Entries::Rows, Entries::Mixed]),
        ) {
            let rows = ids.iter().zip(0..).map(|(id, row)| TraceRow {
                row,
                is_error: row % 3 == 0,
                kind: RowKind::new(row % 5, 0),
                time: 7 + u64::from(row),
                end: u64::MAX,
                ..TraceRow::of(entries.key(*id << 100))
            });
            let encoded = encode(&mut rows.collect::<Vec<_>>(), 7, entries);
            let leaves = &encoded.directory;
            prop_assert_eq!(&decode_directory(&encode_directory(leaves)).unwrap(), leaves);
            let sets = encoded.service_sets.as_ref().map(|bytes| ServiceSets::decode(bytes, 5).unwrap());
            prop_assert_eq!(sets.is_some(), entries == Entries::Whole);
            let reader = LeafReader { entries, first_time: 7, rows_max: ids.len() as u32 };
            let mut read = Vec::new();
            for leaf in leaves {
                let bytes = leaf_bytes(&encoded, leaf);
                reader.entries_in(leaf.first, bytes, |entry, set| read.push((entry, set))).unwrap();
            }
            for id in 0..40_u128 {
                let expected: Vec<u32> = (0..).zip(&ids).filter(|(_, of)| **of == id).map(|(row, _)| row).collect();
                let key = entries.key(id << 100);
                let leaf = leaf_of(leaves, key).map(|leaf| (leaf.first, leaf_bytes(&encoded, leaf)));
                let found = leaf.map_or(Vec::new(), |(first, leaf)| reader.rows_in(first, leaf, key).unwrap());
                prop_assert_eq!(&found, &expected);
                let known = read.iter().find(|(entry, _)| entry.id == key);
                prop_assert_eq!(known.map_or(0, |(entry, _)| entry.row_count as usize), expected.len());
                let alone = leaf.and_then(|(first, leaf)| reader.entry_in(first, leaf, key).unwrap());
                prop_assert_eq!(alone, known.map(|(entry, _)| *entry));
                let Some((entry, set)) = known.filter(|_| entries != Entries::Rows) else {
                    continue;
                };
                prop_assert_eq!(entry.start_unix_nano, 7 + u64::from(expected[0]));
                prop_assert_eq!(entry.end_unix_nano, u64::MAX);
                prop_assert_eq!(entry.error_count as usize, expected.iter().filter(|row| *row % 3 == 0).count());
                if let (Some(sets), Some(set)) = (&sets, set) {
                    let mut services: Vec<usize> = expected.iter().map(|row| *row as usize % 5).collect();
                    services.sort_unstable();
                    services.dedup();
                    let told = sets.iter().nth(*set as usize).unwrap();
                    prop_assert_eq!(told.map(|(service, _)| service).collect::<Vec<_>>(), services);
                }
            }
        }

        #[test]
        fn fuzz_any_bytes_are_a_leaf_or_an_error(bytes in vec(any::<u8>(), 0..120), rows_max in 0..100_u32) {
            for entries in [Entries::Whole, Entries::Rows, Entries::Mixed] {
                let reader = LeafReader { entries, first_time: 0, rows_max };
                if let Ok(rows) = reader.rows_in(3, &bytes, 7) {
                    prop_assert!(rows.iter().all(|row| *row < rows_max));
                }
                let _ = reader.entries_in(u128::MAX, &bytes, |_, _| {});
            }
            let _ = decode_directory(&bytes);
        }
    }

    #[test]
    fn a_trace_of_forty_rows_with_others_between_takes_about_two_bytes_a_row() {
        let rows = (0..40_000).map(|number| TraceRow {
            time: u64::from(number),
            end: u64::from(number) + 9,
            ..row(u128::from(number % 1000 + 1), number)
        });
        let encoded = encode(&mut rows.collect::<Vec<_>>(), 0, Entries::Whole);
        let all = encoded.leaves.len() + encode_directory(&encoded.directory).len();
        assert!(all < 3 * 40_000, "{all}");
    }

    #[test]
    fn a_leaf_of_spans_is_the_length_of_its_heads_and_these_and_the_runs() {
        let span = |number| TraceRow {
            is_error: number == 9,
            time: 100 + u64::from(number),
            end: 120,
            ..row(0xabcd, number)
        };
        let encoded = encode(&mut [3, 4, 5, 9].map(span), 101, Entries::Whole);
        let mut expected = vec![22];
        expected.extend(0xabcd_u128.to_be_bytes());
        // Four rows, one error, two nanoseconds after the first time, for 17, the first set, three bytes of runs.
        expected.extend([4, 1, 2, 17, 0, 3]);
        // Three after three others, and one after three others.
        expected.extend([3 << 1 | 1, 1, 3 << 1]);
        assert_eq!(encoded.leaves, expected);
    }

    #[test]
    fn the_entry_of_a_trace_of_log_records_is_its_key_after_the_one_before_and_its_rows() {
        let rows = [(9, 3), (9, 4), (9, 5), (309, 6), (9, 9)];
        let encoded = encode(
            &mut rows.map(|(key, number)| row(key, number)),
            0,
            Entries::Rows,
        );
        assert_eq!(encoded.directory[0].first, 9);
        // Four rows: three after three others, and one after three others. Then one after six.
        let first = [0, 4, 3 << 1 | 1, 1, 3 << 1];
        let second = [0x80 | 300_u16 as u8, 2, 1, 6 << 1];
        assert_eq!(encoded.leaves, [first.as_slice(), &second].concat());
    }

    #[test]
    fn a_trace_of_two_log_records_takes_less_than_twelve_bytes() {
        let key = |number| Entries::Rows.key(u128::from(number / 2 + 1));
        let rows = (0..20_000).map(|number| row(key(number), number));
        let encoded = encode(&mut rows.collect::<Vec<_>>(), 0, Entries::Rows);
        let all = encoded.leaves.len() + encode_directory(&encoded.directory).len();
        assert!(all < 12 * 10_000, "{all}");
    }

    #[test]
    fn the_filter_denies_no_trace_of_the_block_and_most_others() {
        let rows: Vec<TraceRow> = (1..=10_000)
            .map(|number| row(u128::from(number / 3 + 1), number))
            .collect();
        let filter = Fuse::decode(&encode_filter(&rows)).unwrap();
        assert!(
            rows.iter()
                .all(|row| filter.contains(filter_hash(row.key())))
        );
        let others = (100_000..110_000_u128).filter(|id| filter.contains(filter_hash(*id)));
        assert!(others.count() < 10_000 / 32);
    }
}
