//! The unit that a transport carries: the records of one request that go to one partition, as bytes.

use bytes::Bytes;

use crate::Partition;

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
    /// From 0.
    pub index: u16,
    /// At least 1.
    pub count: u16,
}

impl Part {
    /// The only part of a batch that was not split.
    pub const WHOLE: Self = Self { index: 0, count: 1 };
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
}
