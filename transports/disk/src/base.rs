//! The base of a segment: what the journal knew when its first group was written. A segment can be understood without
//! those before it, and what is valid of the one before it is said here, also after a crash left more in the file.
//!
//! # Layout
//!
//! The body of a base frame, little endian.
//!
//! | at | bytes | field | notes |
//! |---:|---:|---|---|
//! | 0 | 8 | previous segment | its number, or all ones if this is the first |
//! | 8 | 8 | previous end | what stands there from this byte on is void |
//! | 16 | 8 | last group | the last one of the previous segment that is valid |
//! | 24 | 1 | cause | 0 the previous segment was full, 1 it was not closed and has been recovered |
//! | 25 | 5 | reserved | 0 |
//! | 30 | 2 | partitions | |
//! | 32 | 8 each | next offset | of each partition |

use bytes::{Buf, BufMut};
use log_tracer_transport::Offset;

const FIXED_BYTES: usize = 32;
const NONE: u64 = u64::MAX;

/// The base of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) previous: Option<Previous>,
    /// The last valid group before this segment; the first group of a journal is 1.
    pub(crate) last_group: u64,
    /// Whether a recovery made this segment.
    pub(crate) recovered: bool,
    pub(crate) next: Vec<Offset>,
}

/// The segment before, and how far it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Previous {
    pub(crate) sequence: u64,
    pub(crate) end: u64,
}

impl Base {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_BYTES + 8 * self.next.len());
        let previous = self.previous.unwrap_or(Previous {
            sequence: NONE,
            end: 0,
        });
        out.put_u64_le(previous.sequence);
        out.put_u64_le(previous.end);
        out.put_u64_le(self.last_group);
        out.put_u8(u8::from(self.recovered));
        out.put_bytes(0, 5);
        out.put_u16_le(u16::try_from(self.next.len()).unwrap_or(u16::MAX));
        for next in &self.next {
            out.put_u64_le(next.0);
        }
        out
    }

    /// Reads what was encoded, or `None` if that is not what it is.
    pub(crate) fn decode(mut body: &[u8]) -> Option<Self> {
        let sequence = body.try_get_u64_le().ok()?;
        let end = body.try_get_u64_le().ok()?;
        let last_group = body.try_get_u64_le().ok()?;
        let recovered = body.try_get_u8().ok()? == 1;
        body = body.get(5..)?;
        let partitions = usize::from(body.try_get_u16_le().ok()?);
        if body.len() != 8 * partitions {
            return None;
        }
        Some(Self {
            previous: (sequence != NONE).then_some(Previous { sequence, end }),
            last_group,
            recovered,
            next: (0..partitions).map(|_| Offset(body.get_u64_le())).collect(),
        })
    }
}

/// Bytes of the body of a base for so many partitions.
pub(crate) fn body_bytes(partitions: u16) -> u64 {
    FIXED_BYTES as u64 + 8 * u64::from(partitions)
}
