//! Chunks: a few thousand rows as columns, immutable once frozen.
//!
//! A table appends rows to a builder, and freezes it when it is full. A search looks at chunks only: the frozen ones, and
//! a snapshot of the builder. Columns are arrow's, so that a block writer can hand them to Parquet as they are:
//!
//! | what | how |
//! |---|---|
//! | numbers and times | one buffer each |
//! | ids | fixed-size binary, all zero for none |
//! | names, severity texts | a dictionary and a number for each row |
//! | resources, scopes | decoded once a chunk, and a number for each row |
//! | attributes | a list for each row: key from a dictionary, kind, number, text; lists, maps and bytes aside, encoded |
//! | events | a list for each span: time, name, attributes |
//! | links, trace state, dropped counts, ids that are none | in one encoded message, empty for most rows |
//!
//! Every row comes back as it came in, bit by bit.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod agreement_in_place;
pub(crate) mod attributes;
pub(crate) mod column;
mod context;
pub(crate) mod events;
pub(crate) mod ids;
pub(crate) mod logs;
pub(crate) mod origin;
mod plan;
pub(crate) mod request;
pub(crate) mod spans;
mod tally;
mod traces;
pub(crate) mod value;

use std::fmt;

use log_tracer_query::Record;
use log_tracer_record::{ResourceContext, wire};

pub(crate) use context::Contexts;
pub(crate) use logs::LogChunk;
pub(crate) use plan::FieldPlan;
pub(crate) use request::Above;
pub(crate) use spans::SpanChunk;
pub(crate) use traces::{TraceTable, trace_id, trace_number};

use crate::{
    Origin, RecordKey,
    block::{OperationCount, ServiceCount},
};

/// What the allocator and the reference counts of a chunk's buffers take: some sixty buffers, some sixty bytes each.
const BUFFERS_BYTES: usize = 4 << 10;

/// Rows that grow.
pub(crate) trait ChunkBuilder: Default + fmt::Debug + Send {
    type Row;
    /// What a request of such rows holds.
    type Signal: wire::Signal;
    type Chunk: Chunk<Row = Self::Row, Builder = Self>;

    /// An empty one with room for as much as a chunk has: columns that do not grow are not copied.
    fn like(chunk: &Self::Chunk) -> Self;

    /// At most so many bytes does a row add, its resource and scope left aside.
    fn bytes_max_of(row: &Self::Row) -> usize;

    /// The same of a record in a request that was checked.
    fn bytes_max_of_message(message: &[u8]) -> usize;

    /// More than that, from the length of a record alone. The most that a byte can add is the half of an empty link,
    /// which takes two bytes in a request.
    fn bytes_ceiling_of_message(len: usize) -> usize {
        const FIXED: usize = 2 << 10;
        const OF_BYTE: usize = 256;
        FIXED + len * OF_BYTE
    }

    fn append(&mut self, origin: Origin, index: u32, row: &Self::Row);

    /// Adds a record of a request that was checked: the same row as [`Self::append`] of what prost decodes.
    fn append_message(&mut self, origin: Origin, index: u32, above: &Above<'_>, message: &[u8]);

    /// Lets go of what belongs to the sender of the rows: the end of a batch or of a request.
    fn release(&mut self);

    fn rows(&self) -> u32;

    /// Bytes that the values take; the columns that hold them may have twice as much room.
    fn bytes(&self) -> usize;

    fn bounds(&self) -> TimeBounds;

    fn freeze(self) -> Self::Chunk;

    /// A chunk of the rows so far.
    fn snapshot(&self) -> Self::Chunk;
}

/// Rows that never change, numbered from 0.
pub(crate) trait Chunk: fmt::Debug + Send + Sync {
    type Row;
    type Builder: ChunkBuilder<Row = Self::Row, Chunk = Self>;
    /// A row as a query sees it.
    type Fields<'a>: Record
    where
        Self: 'a;

    /// The names of the levels of rows, from the least to the most severe.
    const LEVELS: &'static [&'static str];

    fn rows(&self) -> usize;

    /// Bytes of memory.
    fn bytes(&self) -> usize;

    fn bounds(&self) -> TimeBounds;

    /// The time of a row: what a range is about.
    fn time(&self, row: usize) -> u64;

    /// The envelope that a row came in, and its index there.
    fn origin(&self, row: usize) -> (Origin, u32);

    fn resources(&self) -> &Contexts<ResourceContext>;

    fn traces(&self) -> &TraceTable;

    fn is_error(&self, row: usize) -> bool;

    /// Looks a path up, for all rows.
    fn plan(&self, path: &str) -> FieldPlan;

    /// A row as a query sees it; paths that were looked up cost less.
    fn fields<'a>(&'a self, row: usize, plans: &'a [FieldPlan]) -> Self::Fields<'a>;

    /// The row as it came in.
    fn row(&self, row: usize) -> Self::Row;

    fn key(&self, row: usize) -> RecordKey {
        let (origin, index) = self.origin(row);
        RecordKey::new(self.time(row), origin, index)
    }

    fn service(&self, row: usize) -> &str {
        self.resources().of(row).service()
    }

    /// When a span ended; the time of a log record.
    fn end_of(&self, row: usize) -> u64;

    /// How many rows each service has.
    fn service_counts(&self) -> Vec<ServiceCount>;

    /// How many spans each operation has; none for logs.
    fn operation_counts(&self) -> Vec<OperationCount>;
}

/// The earliest and the latest time of rows. Without rows, the earliest is after the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeBounds {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Default for TimeBounds {
    fn default() -> Self {
        Self {
            first: u64::MAX,
            last: 0,
        }
    }
}

impl TimeBounds {
    pub(crate) fn of(time: u64) -> Self {
        Self {
            first: time,
            last: time,
        }
    }

    pub(crate) fn include(&mut self, time: u64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first > self.last
    }
}
