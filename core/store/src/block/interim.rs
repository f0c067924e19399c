//! Stands in for the format of blocks until it is there: the rows one after the other, as OTLP.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use log_tracer_query::{Field, Intrinsic};
use log_tracer_record::{
    LogRow, SpanRow,
    otlp::{
        logs::{ResourceLogs, ScopeLogs},
        trace::{ResourceSpans, ScopeSpans},
    },
};
use prost::Message;

use super::{Block, BlockError, BlockId, BlockInfo, Columns, PieceInfo, Storable};
use crate::{
    Origin,
    chunk::{Chunk, ChunkBuilder, LogChunk, SpanChunk, TimeBounds},
};

pub(crate) fn encode_span(row: &SpanRow) -> Vec<u8> {
    let scope = ScopeSpans {
        scope: row.scope.scope.clone(),
        spans: vec![row.span.clone()],
        schema_url: row.scope.schema_url.clone(),
    };
    let whole = ResourceSpans {
        resource: Some(row.resource.resource.clone()),
        scope_spans: vec![scope],
        schema_url: row.resource.schema_url.clone(),
    };
    whole.encode_to_vec()
}

pub(crate) fn decode_span(bytes: &[u8]) -> Option<SpanRow> {
    log_tracer_record::span_rows(vec![ResourceSpans::decode(bytes).ok()?]).pop()
}

pub(crate) fn encode_log(row: &LogRow) -> Vec<u8> {
    let scope = ScopeLogs {
        scope: row.scope.scope.clone(),
        log_records: vec![row.record.clone()],
        schema_url: row.scope.schema_url.clone(),
    };
    let whole = ResourceLogs {
        resource: Some(row.resource.resource.clone()),
        scope_logs: vec![scope],
        schema_url: row.resource.schema_url.clone(),
    };
    whole.encode_to_vec()
}

pub(crate) fn decode_log(bytes: &[u8]) -> Option<LogRow> {
    log_tracer_record::log_rows(vec![ResourceLogs::decode(bytes).ok()?]).pop()
}

fn path_of<C: Storable>(directory: &Path, id: BlockId) -> PathBuf {
    directory.join(format!("{}-{id}.rows", C::TABLE))
}

/// The table and the block that a file is of; none for a file that is of no block.
pub(crate) fn owner_of(name: &str) -> Option<(&'static str, BlockId)> {
    let (table, rest) = name.split_once('-')?;
    let id = u64::from_str_radix(rest.strip_suffix(".rows")?, 16).ok()?;
    let table = [SpanChunk::TABLE, LogChunk::TABLE]
        .into_iter()
        .find(|known| *known == table)?;
    Some((table, BlockId(id)))
}

/// Deletes the files of a block, those that are there.
pub(crate) fn delete<C: Storable>(directory: &Path, id: BlockId) -> Result<(), BlockError> {
    let path = path_of::<C>(directory, id);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BlockError::Io { path, source })
        }
        _ => Ok(()),
    }
}

/// Reads a whole block.
pub(crate) fn verify<C: Storable>(directory: &Path, info: &BlockInfo) -> Result<(), BlockError> {
    Block::<C>::open(directory, info.clone()).map(|_| ())
}

pub(super) fn save<C: Storable>(
    directory: &Path,
    id: BlockId,
    chunk: &C,
) -> Result<u64, BlockError> {
    let path = path_of::<C>(directory, id);
    let mut bytes = Vec::new();
    for row in 0..chunk.rows() {
        let (origin, index) = chunk.origin(row);
        let encoded = C::encode(&chunk.row(row));
        bytes.extend(origin.partition.to_le_bytes());
        bytes.extend(origin.offset.to_le_bytes());
        bytes.extend(index.to_le_bytes());
        bytes.extend((encoded.len() as u32).to_le_bytes());
        bytes.extend(encoded);
    }
    let save = || {
        let mut file = fs::File::create_new(&path)?;
        file.write_all(&bytes)?;
        file.sync_all()
    };
    match save() {
        Ok(()) => Ok(bytes.len() as u64),
        Err(source) => Err(BlockError::Io { path, source }),
    }
}

pub(super) fn load<C: Storable>(directory: &Path, info: BlockInfo) -> Result<Block<C>, BlockError> {
    let path = path_of::<C>(directory, info.id);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(BlockError::Io { path, source }),
    };
    let mut builder = C::Builder::default();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let Some(row) = next(&mut rest, &mut builder, C::decode) else {
            let reason = "a row cannot be read".to_owned();
            return Err(BlockError::Corrupt { path, reason });
        };
        let () = row;
    }
    if u64::from(builder.rows()) != info.rows {
        let reason = format!("it has {} rows instead of {}", builder.rows(), info.rows);
        return Err(BlockError::Corrupt { path, reason });
    }
    let chunk = Arc::new(builder.freeze());
    let pieces = pieces(chunk.as_ref());
    Ok(Block {
        info,
        pieces,
        chunk,
    })
}

fn next<B: ChunkBuilder>(
    rest: &mut &[u8],
    builder: &mut B,
    decode: fn(&[u8]) -> Option<B::Row>,
) -> Option<()> {
    let partition = u16::from_le_bytes(*rest.split_off(..2)?.as_array()?);
    let offset = u64::from_le_bytes(*rest.split_off(..8)?.as_array()?);
    let index = u32::from_le_bytes(*rest.split_off(..4)?.as_array()?);
    let len = u32::from_le_bytes(*rest.split_off(..4)?.as_array()?);
    let row = decode(rest.split_off(..len as usize)?)?;
    builder.append(Origin { partition, offset }, index, &row);
    Some(())
}

const PIECE_ROWS: usize = if cfg!(debug_assertions) { 5 } else { 8192 };

pub(super) fn pieces(chunk: &impl Chunk) -> Vec<PieceInfo> {
    let piece = |first: usize| {
        let end = (first + PIECE_ROWS).min(chunk.rows());
        PieceInfo {
            rows: first as u32..end as u32,
            bounds: TimeBounds {
                first: chunk.time(first),
                last: chunk.time(end - 1),
            },
        }
    };
    (0..chunk.rows()).step_by(PIECE_ROWS).map(piece).collect()
}

struct Wanted<'c>(&'c Columns);

impl Wanted<'_> {
    fn has(&self, intrinsics: &[Intrinsic]) -> bool {
        let is_field =
            |intrinsic: &Intrinsic| self.0.fields.contains(&Field::Intrinsic(*intrinsic));
        self.0.all || intrinsics.iter().any(is_field)
    }
    fn attribute(&self) -> bool {
        let is_attribute = |field: &Field| matches!(field, Field::Attribute(_));
        self.0.all || self.0.fields.iter().any(is_attribute)
    }
}

fn drop_unless<T: Default>(wanted: bool, value: &mut T) {
    if !wanted {
        *value = T::default();
    }
}

pub(super) fn project_span(mut row: SpanRow, columns: &Columns) -> SpanRow {
    let wanted = Wanted(columns);
    let span = &mut row.span;
    drop_unless(
        wanted.has(&[Intrinsic::TraceId]) || columns.traces,
        &mut span.trace_id,
    );
    drop_unless(wanted.has(&[Intrinsic::SpanId]), &mut span.span_id);
    drop_unless(wanted.has(&[Intrinsic::ParentId]), &mut span.parent_span_id);
    drop_unless(
        wanted.has(&[Intrinsic::Name]) || columns.texts,
        &mut span.name,
    );
    drop_unless(wanted.has(&[Intrinsic::Kind]), &mut span.kind);
    drop_unless(
        wanted.has(&[Intrinsic::Duration]),
        &mut span.end_time_unix_nano,
    );
    let has_message = wanted.has(&[Intrinsic::StatusMessage]) || columns.texts;
    let has_code = wanted.has(&[Intrinsic::Status]) || columns.levels;
    if let Some(status) = &mut span.status {
        drop_unless(has_code, &mut status.code);
        drop_unless(has_message, &mut status.message);
    }
    drop_unless(wanted.attribute() || columns.texts, &mut span.attributes);
    drop_unless(
        wanted.has(&[Intrinsic::Event]) || columns.texts,
        &mut span.events,
    );
    drop_unless(columns.all, &mut span.links);
    let has_resource = wanted.has(&[Intrinsic::Service]) || wanted.attribute() || columns.resources;
    drop_unless(has_resource, &mut row.resource);
    drop_unless(
        wanted.has(&[Intrinsic::Scope]) || wanted.attribute(),
        &mut row.scope,
    );
    row
}

pub(super) fn project_log(mut row: LogRow, columns: &Columns) -> LogRow {
    let wanted = Wanted(columns);
    let time = row.time_unix_nano();
    let record = &mut row.record;
    drop_unless(
        wanted.has(&[Intrinsic::TraceId]) || columns.traces,
        &mut record.trace_id,
    );
    drop_unless(wanted.has(&[Intrinsic::SpanId]), &mut record.span_id);
    drop_unless(
        wanted.has(&[Intrinsic::Name]) || columns.texts,
        &mut record.event_name,
    );
    drop_unless(
        wanted.has(&[Intrinsic::Severity]) || columns.levels,
        &mut record.severity_number,
    );
    drop_unless(
        wanted.has(&[Intrinsic::Body]) || columns.texts,
        &mut record.body,
    );
    drop_unless(wanted.attribute() || columns.texts, &mut record.attributes);
    if !columns.all {
        record.time_unix_nano = time;
        record.observed_time_unix_nano = 0;
    }
    let has_resource = wanted.has(&[Intrinsic::Service]) || wanted.attribute() || columns.resources;
    drop_unless(has_resource, &mut row.resource);
    drop_unless(
        wanted.has(&[Intrinsic::Scope]) || wanted.attribute(),
        &mut row.scope,
    );
    row
}
