//! What is written to a block comes back, and the index says of it what is so.

mod damage;
mod extreme;
mod fields;
mod golden;
mod lossless;

use std::{path::Path, sync::Arc};

use log_tracer_record::{LogRow, SpanRow};
use prost::Message;

use super::*;
use crate::{
    Origin,
    chunk::{Chunk, ChunkBuilder, LogChunk, SpanChunk},
};

/// Rows that can be compared bit by bit, also where a number is not a number.
trait Bits {
    fn bits(&self) -> Vec<Vec<u8>>;
}

impl Bits for SpanRow {
    fn bits(&self) -> Vec<Vec<u8>> {
        let scope = self.scope.scope.as_ref();
        vec![
            self.span.encode_to_vec(),
            self.resource.resource.encode_to_vec(),
            self.resource.schema_url.clone().into_bytes(),
            scope
                .map(Message::encode_length_delimited_to_vec)
                .unwrap_or_default(),
            self.scope.schema_url.clone().into_bytes(),
        ]
    }
}

impl Bits for LogRow {
    fn bits(&self) -> Vec<Vec<u8>> {
        let shared = SpanRow {
            resource: Arc::clone(&self.resource),
            scope: Arc::clone(&self.scope),
            span: Default::default(),
        };
        let mut bits = shared.bits();
        bits.push(self.record.encode_to_vec());
        bits
    }
}

/// Small pieces and pages, so that few rows have many of each.
fn small() -> Options {
    let mut options = Options::new(&BlockCache::new(1 << 20));
    options.settings = Settings {
        piece_rows: 7,
        page_rows: 4,
        dictionary_page_rows: 8,
        write_batch_rows: 2,
        extent_bytes: 512,
        promote_one_in: 8,
        attribute_columns_max: 5,
        ..Settings::default()
    };
    options
}

/// A chunk of rows that came in envelopes of three rows each.
fn chunk<C: Chunk>(partition: u16, rows: &[C::Row]) -> Arc<C> {
    let mut builder = C::Builder::default();
    for (offset, rows) in (5..).zip(rows.chunks(3)) {
        for (index, row) in (0..).zip(rows) {
            builder.append(Origin { partition, offset }, index, row);
        }
    }
    builder.release();
    Arc::new(builder.freeze())
}

/// The rows of chunks in the order in which a block has them: the number of the chunk, and the row there.
fn in_order<C: Chunk>(chunks: &[Arc<C>]) -> Vec<(usize, usize)> {
    let rows = chunks.iter().enumerate();
    let rows = rows.flat_map(|(number, chunk)| (0..chunk.rows()).map(move |row| (number, row)));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(number, row)| chunks[*number].key(*row));
    rows
}

const ARRIVAL: Arrival = Arrival {
    received_unix_nano: 77,
    level: BlockInfo::FLUSHED,
};

fn written<C: Storable>(
    directory: &Path,
    id: u64,
    chunks: &[Arc<C>],
    options: &Options,
) -> Block<C> {
    write(directory, BlockId(id), chunks, ARRIVAL, options).unwrap()
}

fn assert_whole<C: Storable>(directory: &Path, block: &Block<C>) {
    let mut rows = 0;
    let problems = verify::<C>(directory, block.info(), &mut |progress| {
        rows = progress.rows_done;
    });
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(rows, block.info().rows);
}
