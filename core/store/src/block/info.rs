//! What is known of a block without reading its rows.

use std::{fmt, ops::Range};

use log_tracer_record::otlp::trace::span::SpanKind;
use serde::{Deserialize, Serialize};

use crate::chunk::TimeBounds;

/// The number of a block, never used twice in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct BlockId(pub(crate) u64);

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What the catalog keeps of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockInfo {
    pub(crate) id: BlockId,
    pub(crate) rows: u64,
    /// Bytes on disk of all its files.
    pub(crate) bytes: u64,
    /// The earliest and the latest time of a row.
    pub(crate) first_unix_nano: u64,
    pub(crate) last_unix_nano: u64,
    /// About when the newest of its rows arrived: what retention goes by when a row claims to be of the future.
    pub(crate) received_unix_nano: u64,
    /// How it came to be: [`Self::FLUSHED`], [`Self::MERGED`] or [`Self::WHOLE`].
    pub(crate) level: u8,
}

impl BlockInfo {
    /// As it was flushed: small, because little came in.
    pub(crate) const FLUSHED: u8 = 0;
    /// Merged from others.
    pub(crate) const MERGED: u8 = 1;
    /// As it was flushed, and as large as a flush gets: it is never rewritten, whatever its rows and bytes are.
    pub(crate) const WHOLE: u8 = 2;
}

/// Neighbouring rows of a block, read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PieceInfo {
    /// Their numbers in the block.
    pub(crate) rows: Range<u32>,
    pub(crate) bounds: TimeBounds,
}

/// The rows of one trace in a block.
///
/// Of log records on disk only the number of rows can be relied on: their blocks tell no more, and a key in place of the id
/// ([`super::index::traces`]), unless they are older than that. What is asked about errors and times is asked of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceEntry {
    pub(crate) id: u128,
    pub(crate) row_count: u32,
    /// Spans for which `Chunk::is_error` holds; 0 where it is not told.
    pub(crate) error_count: u32,
    /// The earliest `Chunk::time` of a span; the first time of the block where it is not told.
    pub(crate) start_unix_nano: u64,
    /// The latest end of a span; likewise the first time of the block.
    pub(crate) end_unix_nano: u64,
}

/// The rows of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceCount {
    pub(crate) service: String,
    pub(crate) row_count: u64,
    pub(crate) error_count: u64,
    pub(crate) last_seen_unix_nano: u64,
}

/// The spans of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperationCount {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) span_count: u64,
}
