//! Blocks: immutable rows on disk, sorted by time, each with what is needed to leave most of it unread.
//!
//! A block is cut into **pieces** of a few thousand neighbouring rows. A search asks [`Block::admits`] of each piece,
//! and reads from the others, with [`Block::read`], only the columns that it looks at. What it wants to show is then
//! read whole, row by row, with [`Block::take`].

mod columns;
mod error;
mod info;
mod interim;

use std::{path::Path, sync::Arc};

use log_tracer_query::Needs;

pub(crate) use columns::Columns;
pub(crate) use error::BlockError;
pub(crate) use info::{BlockId, BlockInfo, OperationCount, PieceInfo, ServiceCount, TraceEntry};
pub(crate) use interim::{delete, owner_of, verify};

use crate::chunk::{Chunk, ChunkBuilder, LogChunk, SpanChunk, TimeBounds};

/// Rows that can be kept in blocks.
pub(crate) trait Storable: Chunk + Sized + 'static {
    /// Names the files of the table: "spans", "logs".
    const TABLE: &'static str;

    fn encode(row: &Self::Row) -> Vec<u8>;

    fn decode(bytes: &[u8]) -> Option<Self::Row>;

    /// A row without what the columns leave out.
    fn project(row: Self::Row, columns: &Columns) -> Self::Row;
}

impl Storable for SpanChunk {
    const TABLE: &'static str = "spans";

    fn encode(row: &Self::Row) -> Vec<u8> {
        interim::encode_span(row)
    }

    fn decode(bytes: &[u8]) -> Option<Self::Row> {
        interim::decode_span(bytes)
    }

    fn project(row: Self::Row, columns: &Columns) -> Self::Row {
        interim::project_span(row, columns)
    }
}

impl Storable for LogChunk {
    const TABLE: &'static str = "logs";

    fn encode(row: &Self::Row) -> Vec<u8> {
        interim::encode_log(row)
    }

    fn decode(bytes: &[u8]) -> Option<Self::Row> {
        interim::decode_log(bytes)
    }

    fn project(row: Self::Row, columns: &Columns) -> Self::Row {
        interim::project_log(row, columns)
    }
}

/// An open block. Reading never changes it; whoever holds it can read it although its files were deleted meanwhile.
#[derive(Debug)]
pub(crate) struct Block<C> {
    info: BlockInfo,
    pieces: Vec<PieceInfo>,
    chunk: Arc<C>,
}

/// Writes the rows of `chunks`, sorted by their key, as a new block, durable when this returns. `received_unix_nano` is
/// about when the newest of them arrived.
pub(crate) fn write<C: Storable>(
    directory: &Path,
    id: BlockId,
    chunks: &[Arc<C>],
    received_unix_nano: u64,
) -> Result<Block<C>, BlockError> {
    let mut keys: Vec<_> = (0..)
        .zip(chunks)
        .flat_map(|(number, chunk)| (0..chunk.rows()).map(move |row| (chunk.key(row), number, row)))
        .collect();
    keys.sort_unstable();
    let mut builder = C::Builder::default();
    for (_, number, row) in keys {
        let Some(chunk): Option<&Arc<C>> = chunks.get::<usize>(number) else {
            continue;
        };
        let (origin, index) = chunk.origin(row);
        builder.append(origin, index, &chunk.row(row));
    }
    let chunk = Arc::new(builder.freeze());
    let bounds = chunk.bounds();
    let bytes = interim::save(directory, id, chunk.as_ref())?;
    Ok(Block {
        info: BlockInfo {
            id,
            rows: chunk.rows() as u64,
            bytes,
            first_unix_nano: bounds.first,
            last_unix_nano: bounds.last,
            received_unix_nano,
            level: 0,
        },
        pieces: interim::pieces(chunk.as_ref()),
        chunk,
    })
}

impl<C: Storable> Block<C> {
    /// Opens a block that was written before.
    pub(crate) fn open(directory: &Path, info: BlockInfo) -> Result<Self, BlockError> {
        interim::load(directory, info)
    }

    /// What the catalog keeps of it.
    pub(crate) fn info(&self) -> &BlockInfo {
        &self.info
    }

    pub(crate) fn bounds(&self) -> TimeBounds {
        TimeBounds {
            first: self.info.first_unix_nano,
            last: self.info.last_unix_nano,
        }
    }

    /// The pieces, in the order of time.
    pub(crate) fn pieces(&self) -> &[PieceInfo] {
        &self.pieces
    }

    /// Whether a row of the piece can match a query with these needs. True when in doubt.
    pub(crate) fn admits(&self, _piece: usize, _needs: &Needs) -> Result<bool, BlockError> {
        Ok(true)
    }

    /// The rows of a piece with the columns that are asked for; the others are as if they were empty. Row 0 of the chunk
    /// is the first row of the piece.
    pub(crate) fn read(&self, piece: usize, columns: &Columns) -> Result<Arc<C>, BlockError> {
        let rows: Vec<u32> = self.pieces[piece].rows.clone().collect();
        self.take(&rows, columns).map(Arc::new)
    }

    /// Some rows of the block, named by their numbers in the block, ascending; row 0 of the chunk is the first of them.
    pub(crate) fn take(&self, rows: &[u32], columns: &Columns) -> Result<C, BlockError> {
        assert!(rows.is_sorted());
        let mut builder = C::Builder::default();
        for row in rows {
            let (mut origin, mut index) = self.chunk.origin(*row as usize);
            if !columns.all && !columns.keys {
                (origin.partition, origin.offset, index) = (0, 0, 0);
            }
            let row = C::project(self.chunk.row(*row as usize), columns);
            builder.append(origin, index, &row);
        }
        Ok(builder.freeze())
    }

    /// The rows of a trace, ascending, by their numbers in the block.
    pub(crate) fn rows_of_trace(&self, id: u128) -> Result<Vec<u32>, BlockError> {
        Ok(self.chunk.traces().rows_of(id).to_vec())
    }

    /// What is known of the rows of one trace here; none when there are none.
    pub(crate) fn trace(&self, id: u128) -> Result<Option<TraceEntry>, BlockError> {
        Ok(self.traces()?.into_iter().find(|entry| entry.id == id))
    }

    /// Every trace of the block, ascending, with what is known of its rows here.
    pub(crate) fn traces(&self) -> Result<Vec<TraceEntry>, BlockError> {
        let table = self.chunk.traces();
        let entry = |(place, id): (usize, &u128)| {
            let rows = table.rows_at(place);
            let times = rows.iter().map(|row| self.chunk.time(*row as usize));
            let ends = rows.iter().map(|row| self.chunk.end_of(*row as usize));
            let errors = rows
                .iter()
                .filter(|row| self.chunk.is_error(**row as usize));
            TraceEntry {
                id: *id,
                row_count: rows.len() as u32,
                error_count: errors.count() as u32,
                start_unix_nano: times.min().unwrap_or(0),
                end_unix_nano: ends.max().unwrap_or(0),
            }
        };
        Ok(table.ids().iter().enumerate().map(entry).collect())
    }

    /// How many rows each service has.
    pub(crate) fn services(&self) -> Result<Vec<ServiceCount>, BlockError> {
        Ok(self.chunk.service_counts())
    }

    /// How many spans each operation has; none in a block of logs.
    pub(crate) fn operations(&self) -> Result<Vec<OperationCount>, BlockError> {
        Ok(self.chunk.operation_counts())
    }
}

/// Merges blocks into one, durable when this returns; none of them is changed. Needs no more memory than a few pieces
/// and the encoded block.
pub(crate) fn merge<C: Storable>(
    directory: &Path,
    id: BlockId,
    blocks: &[Arc<Block<C>>],
) -> Result<Block<C>, BlockError> {
    let mut chunks = Vec::new();
    for block in blocks {
        for piece in 0..block.pieces().len() {
            chunks.push(block.read(piece, &Columns::all())?);
        }
    }
    let received = blocks.iter().map(|block| block.info.received_unix_nano);
    let mut merged = write(directory, id, &chunks, received.max().unwrap_or(0))?;
    merged.info.level = 1;
    Ok(merged)
}
