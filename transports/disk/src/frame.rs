//! A frame: one envelope, or a note of the journal to itself, with a header of its own checksum.
//!
//! # Layout
//!
//! Version 1, little endian. Frames stand one after the other, each at a multiple of 8.
//!
//! | at | bytes | field | notes |
//! |---:|---:|---|---|
//! | 0 | 4 | magic | `LTJF` |
//! | 4 | 1 | version | 1 |
//! | 5 | 1 | kind | 1 envelope, 2 base, 3 trailer, 4 seal |
//! | 6 | 2 | partition | of an envelope, else 0 |
//! | 8 | 8 | salt | that of the segment; tells what a reused file held before |
//! | 16 | 8 | group | groups are numbered through the whole journal |
//! | 24 | 4 | index | of the frame in its group; in a trailer also how many stand before it |
//! | 28 | 4 | body checksum | see below |
//! | 32 | 8 | offset | of an envelope; in a trailer where its group starts in the file |
//! | 40 | 8 | body length | in bytes, without what fills it up to a multiple of 8 |
//! | 48 | 8 | time written | milliseconds since 1970-01-01T00:00:00Z |
//! | 56 | 16 | batch id | of an envelope, else 0 |
//! | 72 | 2 | part index | of an envelope, else 0 |
//! | 74 | 2 | part count | of an envelope, else 0 |
//! | 76 | 4 | header checksum | crc32c of bytes 0 to 75 |
//! | 80 | | body | filled up with zeros to a multiple of 8 |
//!
//! The length is believed only after the header's checksum. The **body** of an envelope is the encoded envelope, to the
//! last bit what every transport stores; its body checksum is the crc32c of the envelope's header alone, since that holds
//! the checksum of the payload: nothing is summed twice, and a body that is whole but belongs to another frame is seen.
//! For a base it is the crc32c of the body. A trailer has no body; there it is the crc32c of the headers of all frames of
//! its group.
//!
//! A **group** is what was made durable with one fsync: envelopes, then a trailer. Without its trailer it does not
//! exist. The first group of a segment starts with a base ([`crate::base`]); a group of a seal and a trailer says that
//! the journal was closed and nothing was under way.

use bytes::{Buf, BufMut};
use crc32c::crc32c;
use log_tracer_transport::{BatchId, Part};

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 80;
/// Every frame starts at a multiple of this.
pub(crate) const ALIGNMENT: u64 = 8;
/// What a frame starts with.
pub(crate) const MAGIC: [u8; 4] = *b"LTJF";
const VERSION: u8 = 1;
const CHECKED_BYTES: usize = HEADER_BYTES - 4;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Envelope = 1,
    Base = 2,
    Trailer = 3,
    Seal = 4,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) partition: u16,
    pub(crate) salt: u64,
    pub(crate) group: u64,
    pub(crate) index: u32,
    pub(crate) body_checksum: u32,
    pub(crate) offset: u64,
    pub(crate) body_bytes: u64,
    pub(crate) written_unix_millis: u64,
    pub(crate) batch: BatchId,
    pub(crate) part: Part,
}

/// Why bytes are not the header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("there is no frame")]
    Absent,
    #[error("a frame of version {0}, this build reads version {VERSION}")]
    Version(u8),
    #[error("the header of the frame does not have the checksum that was written with it")]
    Checksum,
    #[error("a frame of kind {0}, expected 1 to 4")]
    Kind(u8),
}

impl Frame {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let (fields, checksum) = header.split_at_mut(CHECKED_BYTES);
        let mut out = &mut *fields;
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(self.kind as u8);
        out.put_u16_le(self.partition);
        out.put_u64_le(self.salt);
        out.put_u64_le(self.group);
        out.put_u32_le(self.index);
        out.put_u32_le(self.body_checksum);
        out.put_u64_le(self.offset);
        out.put_u64_le(self.body_bytes);
        out.put_u64_le(self.written_unix_millis);
        out.put_u128_le(self.batch.0);
        out.put_u16_le(self.part.index);
        out.put_u16_le(self.part.count);
        checksum.copy_from_slice(&crc32c(fields).to_le_bytes());
        header
    }

    pub(crate) fn decode(header: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let (fields, mut checksum) = header.split_at(CHECKED_BYTES);
        let mut input = fields;
        let mut magic = [0; 4];
        input.copy_to_slice(&mut magic);
        if magic != MAGIC {
            return Err(FrameError::Absent);
        }
        if crc32c(fields) != checksum.get_u32_le() {
            return Err(FrameError::Checksum);
        }
        let version = input.get_u8();
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let kind = match input.get_u8() {
            1 => FrameKind::Envelope,
            2 => FrameKind::Base,
            3 => FrameKind::Trailer,
            4 => FrameKind::Seal,
            other => return Err(FrameError::Kind(other)),
        };
        Ok(Self {
            kind,
            partition: input.get_u16_le(),
            salt: input.get_u64_le(),
            group: input.get_u64_le(),
            index: input.get_u32_le(),
            body_checksum: input.get_u32_le(),
            offset: input.get_u64_le(),
            body_bytes: input.get_u64_le(),
            written_unix_millis: input.get_u64_le(),
            batch: BatchId(input.get_u128_le()),
            part: Part {
                index: input.get_u16_le(),
                count: input.get_u16_le(),
            },
        })
    }

    /// From the start of this frame to the start of the next; saturates at what no file holds.
    pub(crate) fn total_bytes(&self) -> u64 {
        total_bytes(self.body_bytes)
    }
}

/// Bytes of a frame with a body of so many bytes.
pub(crate) fn total_bytes(body_bytes: u64) -> u64 {
    let unaligned = body_bytes.saturating_add(HEADER_BYTES as u64);
    unaligned
        .checked_next_multiple_of(ALIGNMENT)
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
