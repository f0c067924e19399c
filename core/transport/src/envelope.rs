//! The unit that a transport carries: the records of one request that go to one partition, as bytes.
//!
//! # Layout
//!
//! Version 1, little endian. Every transport stores exactly these bytes.
//!
//! | at | bytes | field | notes |
//! |---:|---:|---|---|
//! | 0 | 4 | magic | `LTEV` |
//! | 4 | 1 | version | 1 |
//! | 5 | 1 | kind | 1 traces, 2 logs |
//! | 6 | 2 | reserved | 0 |
//! | 8 | 16 | batch id | the same for every retry of a request |
//! | 24 | 2 | part index | from 0, less than the part count |
//! | 26 | 2 | part count | at least 1 |
//! | 28 | 4 | record count | spans or log records in the payload |
//! | 32 | 8 | received time | nanoseconds since 1970-01-01T00:00:00Z |
//! | 40 | 8 | payload length | in bytes |
//! | 48 | 4 | payload checksum | crc32c of the payload |
//! | 52 | 4 | header checksum | crc32c of bytes 0 to 51 |
//! | 56 | | payload | an OTLP export request in protobuf |
//!
//! Magic and version are looked at before the header's checksum, so that a foreign or newer file is called that and not
//! corrupt; every other field is believed only after it. The partition is not a part of the bytes: a log knows where it
//! keeps them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32c::crc32c;

use crate::Partition;

const MAGIC: [u8; 4] = *b"LTEV";
const VERSION: u8 = 1;
const RESERVED: u16 = 0;
/// The header without the checksum of itself, which ends it.
const CHECKED_BYTES: usize = 52;

/// Identifies a batch: the same for every retry of the same request, so that a reader applies it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(pub u128);

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An OTLP `ExportTraceServiceRequest`.
    Traces = 1,
    /// An OTLP `ExportLogsServiceRequest`.
    Logs = 2,
}

/// Which part of its batch an envelope is. A batch that is split always splits in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// From 0, less than `count`.
    pub index: u16,
    /// At least 1.
    pub count: u16,
}

impl Part {
    /// The only part of a batch that was not split.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Whether the index lies within the count. A transport refuses an envelope for which it does not.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.index < self.count
    }
}

/// A batch, or a part of one, for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where it goes, or came from; not a part of the encoded bytes.
    pub partition: Partition,
    /// What the payload is.
    pub kind: Kind,
    /// Which batch it is of.
    pub batch: BatchId,
    /// Which part of the batch.
    pub part: Part,
    /// Spans or log records in the payload.
    pub records: u32,
    /// When the producer took it in, nanoseconds since 1970-01-01T00:00:00Z.
    pub received_unix_nano: u64,
    /// The export request, in protobuf.
    pub payload: Bytes,
    /// Whether whoever made the envelope, in this process, has looked at every byte of the payload and found what `kind`
    /// and `records` say, so that a reader in the same process need not look again. In memory only: it is not a part of
    /// the encoded bytes, and what was read from a log never has it.
    pub is_checked: bool,
}

impl Envelope {
    /// Bytes that encoding adds to the payload.
    pub const HEADER_BYTES: usize = CHECKED_BYTES + 4;

    /// The size of the encoded envelope in bytes; what [`crate::Capabilities::envelope_bytes_max`] limits.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        Self::HEADER_BYTES.saturating_add(self.payload.len())
    }

    /// The encoded envelope: its header and then the payload, in one piece.
    ///
    /// What [`Part::is_valid`] refuses is encoded as it stands and refused by [`Envelope::decode`], so check first
    /// ([`crate::check::publish`]).
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.encoded_len());
        bytes.put_slice(&self.encode_header());
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }

    /// The header alone, for a log that writes the payload from where it is.
    #[must_use]
    pub fn encode_header(&self) -> [u8; Self::HEADER_BYTES] {
        let mut header = [0; Self::HEADER_BYTES];
        let (fields, checksum) = header.split_at_mut(CHECKED_BYTES);
        let mut out = &mut *fields;
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(self.kind as u8);
        out.put_u16_le(RESERVED);
        out.put_u128_le(self.batch.0);
        out.put_u16_le(self.part.index);
        out.put_u16_le(self.part.count);
        out.put_u32_le(self.records);
        out.put_u64_le(self.received_unix_nano);
        out.put_u64_le(self.payload.len() as u64);
        out.put_u32_le(crc32c(&self.payload));
        checksum.copy_from_slice(&crc32c(fields).to_le_bytes());
        header
    }

    /// Reads an encoded envelope. The payload shares the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// When `bytes` are anything but what [`Envelope::encode`] gives, to the last bit.
    pub fn decode(partition: Partition, bytes: Bytes) -> Result<Self, EnvelopeError> {
        let header = Header::decode(&bytes)?;
        let have = bytes.len();
        let need = header.encoded_len();
        if have < need {
            return Err(EnvelopeError::Truncated { have, need });
        }
        if have > need {
            return Err(EnvelopeError::Trailing { have, need });
        }
        let payload = bytes.slice(Self::HEADER_BYTES..);
        let found = crc32c(&payload);
        if found != header.payload_checksum {
            return Err(EnvelopeError::PayloadChecksum {
                found,
                expected: header.payload_checksum,
            });
        }
        Ok(Self {
            partition,
            kind: header.kind,
            batch: header.batch,
            part: header.part,
            records: header.records,
            received_unix_nano: header.received_unix_nano,
            payload,
            is_checked: false,
        })
    }
}

/// The fields of a header whose checksum is right.
struct Header {
    kind: Kind,
    batch: BatchId,
    part: Part,
    records: u32,
    received_unix_nano: u64,
    payload_bytes: u64,
    payload_checksum: u32,
}

impl Header {
    fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let Some(header) = bytes.first_chunk::<{ Envelope::HEADER_BYTES }>() else {
            return Err(EnvelopeError::Truncated {
                have: bytes.len(),
                need: Envelope::HEADER_BYTES,
            });
        };
        let (fields, mut checksum) = header.split_at(CHECKED_BYTES);
        let mut input = fields;

        let mut magic = [0; 4];
        input.copy_to_slice(&mut magic);
        if magic != MAGIC {
            return Err(EnvelopeError::Magic { found: magic });
        }
        let version = input.get_u8();
        if version != VERSION {
            return Err(EnvelopeError::Version { found: version });
        }
        let expected = checksum.get_u32_le();
        let found = crc32c(fields);
        if found != expected {
            return Err(EnvelopeError::HeaderChecksum { found, expected });
        }

        let kind = match input.get_u8() {
            1 => Kind::Traces,
            2 => Kind::Logs,
            found => return Err(EnvelopeError::Kind { found }),
        };
        let reserved = input.get_u16_le();
        if reserved != RESERVED {
            return Err(EnvelopeError::Reserved { found: reserved });
        }
        let batch = BatchId(input.get_u128_le());
        let part = Part {
            index: input.get_u16_le(),
            count: input.get_u16_le(),
        };
        if !part.is_valid() {
            return Err(EnvelopeError::Part(part));
        }
        Ok(Self {
            kind,
            batch,
            part,
            records: input.get_u32_le(),
            received_unix_nano: input.get_u64_le(),
            payload_bytes: input.get_u64_le(),
            payload_checksum: input.get_u32_le(),
        })
    }

    /// Saturates at what no memory holds, which is then found to be missing.
    fn encoded_len(&self) -> usize {
        usize::try_from(self.payload_bytes)
            .unwrap_or(usize::MAX)
            .saturating_add(Envelope::HEADER_BYTES)
    }
}

/// Why bytes are not an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Fewer bytes than the header and the length in it ask for.
    #[error("{have} bytes where {need} are needed")]
    Truncated {
        /// Bytes given.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// More bytes than the length in the header says.
    #[error("{have} bytes where the header says {need}")]
    Trailing {
        /// Bytes given.
        have: usize,
        /// Bytes that the envelope has.
        need: usize,
    },
    /// The first four bytes are not those of an envelope.
    #[error("it starts with {found:02x?}, an envelope with {MAGIC:02x?}")]
    Magic {
        /// What stands there.
        found: [u8; 4],
    },
    /// A version that this build does not know.
    #[error("version {found}, this build reads version {VERSION}")]
    Version {
        /// What stands there.
        found: u8,
    },
    /// The header is not what was written.
    #[error("the header has the crc32c {found:08x}, {expected:08x} was written with it")]
    HeaderChecksum {
        /// Computed from the header.
        found: u32,
        /// Stands in the header.
        expected: u32,
    },
    /// A kind that version 1 does not have.
    #[error("kind {found}, expected 1 (traces) or 2 (logs)")]
    Kind {
        /// What stands there.
        found: u8,
    },
    /// The reserved bytes are in use.
    #[error("the reserved field is {found}, expected {RESERVED}")]
    Reserved {
        /// What stands there.
        found: u16,
    },
    /// A part beyond the number of parts.
    #[error("part {} of {}, expected an index less than the count", .0.index, .0.count)]
    Part(Part),
    /// The payload is not what was written.
    #[error("the payload has the crc32c {found:08x}, {expected:08x} was written with it")]
    PayloadChecksum {
        /// Computed from the payload.
        found: u32,
        /// Stands in the header.
        expected: u32,
    },
}
