//! Where the envelopes of a segment are: kept in memory, and for a segment that is full also in a file beside it, so that
//! opening a journal does not read all of it. The file can be made again from the segment at any time.
//!
//! # Layout of the file
//!
//! Version 1, little endian.
//!
//! | bytes | field | notes |
//! |---:|---|---|
//! | 4 | magic | `LTJI` |
//! | 2 | version | 1 |
//! | 2 | reserved | 0 |
//! | 8 | sequence | of the segment |
//! | 8 | salt | of the segment |
//! | 8 | end | what stands in the segment from this byte on is void |
//! | 8 | last group | of the segment |
//! | 8 | last written | milliseconds since 1970-01-01T00:00:00Z |
//! | 4 | base length | in bytes |
//! | 4 | partitions | with envelopes in the segment |
//! | | base | as in the segment ([`crate::base`]) |
//! | | partitions | each: partition u16, first offset u64, next offset u64, encoded bytes u64, marks u32, and for each mark: offset u64, byte in the segment u64 |
//! | 4 | checksum | crc32c of everything before |

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use crc32c::crc32c;
use log_tracer_transport::{Offset, Partition};

use crate::base::Base;

const MAGIC: [u8; 4] = *b"LTJI";
const VERSION: u16 = 1;
/// Encoded bytes of a partition between two marks: what a reader skips at most is this and what lies in between.
const MARK_BYTES: u64 = 64 << 10;

/// The envelopes of a segment, by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) partitions: BTreeMap<Partition, Span>,
}

/// The envelopes of one partition in one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: Offset,
    pub(crate) next: Offset,
    /// Encoded bytes.
    pub(crate) bytes: u64,
    /// Ascending; the first is of the first envelope.
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    offset: Offset,
    /// Where the frame is in the file.
    at: u64,
    /// Encoded bytes of the partition before it.
    bytes_before: u64,
}

impl Index {
    /// Adds an envelope that follows the ones before.
    pub(crate) fn add(&mut self, partition: Partition, offset: Offset, at: u64, bytes: u64) {
        let span = self.partitions.entry(partition).or_insert_with(|| Span {
            first: offset,
            ..Span::default()
        });
        let due = span
            .marks
            .last()
            .is_none_or(|mark| span.bytes - mark.bytes_before >= MARK_BYTES);
        if due {
            span.marks.push(Mark {
                offset,
                at,
                bytes_before: span.bytes,
            });
        }
        span.next = Offset(offset.0 + 1);
        span.bytes += bytes;
    }
}

impl Index {
    /// Whether two indexes say the same, however they came about.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let facts = |index: &Self| -> Vec<_> {
            let spans = index.partitions.iter();
            let marks = |span: &Span| -> Vec<_> {
                span.marks
                    .iter()
                    .map(|mark| (mark.offset, mark.at))
                    .collect()
            };
            spans
                .map(|(partition, span)| {
                    (*partition, span.first, span.next, span.bytes, marks(span))
                })
                .collect()
        };
        facts(self) == facts(other)
    }
}

impl Span {
    /// Where to start reading to come to an offset.
    pub(crate) fn before(&self, offset: Offset) -> Option<u64> {
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        self.marks.get(after.checked_sub(1)?).map(|mark| mark.at)
    }
}

/// Everything in the file beside a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sidecar {
    pub(crate) sequence: u64,
    pub(crate) salt: u64,
    pub(crate) end: u64,
    pub(crate) last_group: u64,
    pub(crate) last_written_unix_millis: u64,
    pub(crate) base: Base,
    pub(crate) index: Index,
}

impl Sidecar {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let base = self.base.encode();
        let mut out = Vec::new();
        out.put_slice(&MAGIC);
        out.put_u16_le(VERSION);
        out.put_u16_le(0);
        out.put_u64_le(self.sequence);
        out.put_u64_le(self.salt);
        out.put_u64_le(self.end);
        out.put_u64_le(self.last_group);
        out.put_u64_le(self.last_written_unix_millis);
        out.put_u32_le(u32::try_from(base.len()).unwrap_or(u32::MAX));
        out.put_u32_le(u32::try_from(self.index.partitions.len()).unwrap_or(u32::MAX));
        out.put_slice(&base);
        for (partition, span) in &self.index.partitions {
            out.put_u16_le(partition.0);
            out.put_u64_le(span.first.0);
            out.put_u64_le(span.next.0);
            out.put_u64_le(span.bytes);
            out.put_u32_le(u32::try_from(span.marks.len()).unwrap_or(u32::MAX));
            for mark in &span.marks {
                out.put_u64_le(mark.offset.0);
                out.put_u64_le(mark.at);
            }
        }
        let checksum = crc32c(&out);
        out.put_u32_le(checksum);
        out
    }

    /// Reads what was encoded, or `None` if that is not what it is.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut input, mut checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc32c(input) != checksum.get_u32_le() || !input.starts_with(&MAGIC) {
            return None;
        }
        input.advance(MAGIC.len());
        if input.try_get_u16_le().ok()? != VERSION {
            return None;
        }
        input.try_get_u16_le().ok()?;
        let sequence = input.try_get_u64_le().ok()?;
        let salt = input.try_get_u64_le().ok()?;
        let end = input.try_get_u64_le().ok()?;
        let last_group = input.try_get_u64_le().ok()?;
        let last_written_unix_millis = input.try_get_u64_le().ok()?;
        let base_bytes = usize::try_from(input.try_get_u32_le().ok()?).ok()?;
        let partitions = input.try_get_u32_le().ok()?;
        let (base, mut input) = input.split_at_checked(base_bytes)?;
        let base = Base::decode(base)?;
        let mut index = Index::default();
        for _ in 0..partitions {
            let partition = Partition(input.try_get_u16_le().ok()?);
            index.partitions.insert(partition, decode_span(&mut input)?);
        }
        input.is_empty().then_some(Self {
            sequence,
            salt,
            end,
            last_group,
            last_written_unix_millis,
            base,
            index,
        })
    }
}

fn decode_span(input: &mut &[u8]) -> Option<Span> {
    let first = Offset(input.try_get_u64_le().ok()?);
    let next = Offset(input.try_get_u64_le().ok()?);
    let bytes = input.try_get_u64_le().ok()?;
    let count = input.try_get_u32_le().ok()?;
    let mut marks = Vec::new();
    for _ in 0..count {
        marks.push(Mark {
            offset: Offset(input.try_get_u64_le().ok()?),
            at: input.try_get_u64_le().ok()?,
            // Only of use while envelopes are added.
            bytes_before: 0,
        });
    }
    Some(Span {
        first,
        next,
        bytes,
        marks,
    })
}
