//! The index file of a block.
//!
//! # Layout, version 1
//!
//! Numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `LTINDEX` and the version, 1 |
//! | ... | the sections, one after the other |
//! | 16 for each section | the directory: its kind u32, its checksum u32, its length u64; a section starts where the one before ends |
//! | 4 | sections, u32 |
//! | 4 | CRC-32C of the directory and of the number of sections |
//! | 8 | `LTINDEX` and the version, 1 |
//!
//! Checksums are CRC-32C. A section of a kind that a reader does not know is skipped. What it needs in its place is then
//! missing: a reader that is older than sections 14 and 16 finds leaves without a section 2 that they lie in, and refuses the
//! block as corrupt ("its parts do not fit"). So a store to which a newer version wrote cannot be read by such an older one;
//! the other way round, all blocks are read.
//!
//! | kind | section |
//! |---|---|
//! | 1 | filters of the pieces, one after the other ([`fuse`]); only in blocks without section 11 |
//! | 2 | leaves of the table of traces, one after the other ([`traces`]); only in blocks without section 14 or 16 |
//! | 3 | services: for each its name, rows, errors, last time |
//! | 4 | operations: for each its service, name, kind, spans |
//! | 5 | the checksums of the Parquet file ([`Extents`]) |
//! | 6 | pieces, as below |
//! | 7 | the directory of the leaves: id or key 16 bytes, offset u64, length u32, CRC-32C u32 |
//! | 8 | summary: table, block id u64, rows u64, first time u64, last time u64, received u64, level u8 |
//! | 9 | how many rows of each service and grade each piece has ([`tally`]); a block that was written before it has none |
//! | 10 | rollups ([`crate::rollup`]); absent in older blocks |
//! | 11 | which pieces have a needle ([`places`]); absent in older blocks |
//! | 12 | a filter of the ids of the traces ([`traces`]); absent in older blocks |
//! | 14 | leaves of the table of traces of a block of spans ([`traces`]) |
//! | 15 | which services and grades the spans of a trace have ([`service_sets`]); only beside section 14 |
//! | 16 | leaves of the table of traces of a block of log records, which tell only the rows of each ([`traces`]) |
//!
//! Texts are their length in LEB128 and UTF-8; the numbers of sections 3 and 4 are LEB128. Filters, leaves and shards of
//! section 11 have checksums of their own, so that one can be read without the others.
//!
//! A piece has 56 bytes: rows u32, first and last time u64, the shortest and the longest duration u64, severities u32
//! (bit n is set when a row has severity n), the length of its filter u32 (0 when it has none), the CRC-32C of its
//! filter u32, and 8 bytes of zero.

pub(crate) mod fuse;
pub(crate) mod leaves;
pub(crate) mod needles;
pub(crate) mod places;
pub(crate) mod service_sets;
pub(crate) mod tally;
pub(crate) mod traces;

use std::{collections::HashMap, sync::Arc};

use log_tracer_query::Needs;
use log_tracer_record::otlp::trace::span::SpanKind;

use self::traces::{Entries, Leaf};
use super::{
    error::Malformed,
    info::{BlockId, BlockInfo, OperationCount, PieceInfo, ServiceCount},
    verified::Extents,
    wire::{Input, put_text, put_varint},
};
use crate::chunk::TimeBounds;

const MAGIC: [u8; 8] = *b"LTINDEX\x01";
const FOOTER_BYTES: usize = 4 + 4 + 8;
const ENTRY_BYTES: usize = 4 + 4 + 8;
/// Far more than there are kinds.
const SECTIONS_MAX: usize = 64;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Kind {
    Filters = 1,
    Traces = 2,
    Services = 3,
    Operations = 4,
    Extents = 5,
    Pieces = 6,
    Leaves = 7,
    Summary = 8,
    Tally = 9,
    Rollup = 10,
    Places = 11,
    TraceFilter = 12,
    TraceHeads = 14,
    ServiceSets = 15,
    TraceRows = 16,
}

impl Kind {
    pub(crate) const ALL: [Self; 15] = [
        Self::Filters,
        Self::Traces,
        Self::Services,
        Self::Operations,
        Self::Extents,
        Self::Pieces,
        Self::Leaves,
        Self::Summary,
        Self::Tally,
        Self::Rollup,
        Self::Places,
        Self::TraceFilter,
        Self::TraceHeads,
        Self::ServiceSets,
        Self::TraceRows,
    ];
}

/// Where a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) checksum: u32,
}

/// An index file that is put together.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    sections: u32,
}

impl IndexWriter {
    pub(crate) fn new() -> Self {
        Self {
            bytes: MAGIC.to_vec(),
            directory: Vec::new(),
            sections: 0,
        }
    }

    pub(crate) fn add(&mut self, kind: Kind, section: &[u8]) {
        self.bytes.extend_from_slice(section);
        self.directory.extend((kind as u32).to_le_bytes());
        self.directory.extend(crc32c::crc32c(section).to_le_bytes());
        self.directory.extend((section.len() as u64).to_le_bytes());
        self.sections += 1;
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.directory.extend(self.sections.to_le_bytes());
        let checksum = crc32c::crc32c(&self.directory);
        self.bytes.extend(self.directory);
        self.bytes.extend(checksum.to_le_bytes());
        self.bytes.extend(MAGIC);
        self.bytes
    }
}

/// Reads the directory of an index file of so many bytes, with `read`, which takes an offset and a length.
pub(crate) fn read_directory<E: From<Malformed>>(
    length: u64,
    read: impl Fn(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<HashMap<Kind, Section>, E> {
    let malformed = |reason: &str| E::from(Malformed::new(reason));
    let footer_at = length
        .checked_sub(FOOTER_BYTES as u64)
        .filter(|at| *at >= MAGIC.len() as u64)
        .ok_or_else(|| malformed("it is too short"))?;
    let footer = read(footer_at, FOOTER_BYTES)?;
    let mut input = Input::new(&footer);
    let (count, checksum) = (input.u32()?, input.u32()?);
    if input.array::<8>()? != MAGIC || read(0, MAGIC.len())? != MAGIC {
        return Err(malformed("it is no index, or one of another version"));
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let directory_bytes = count.saturating_mul(ENTRY_BYTES);
    let directory_at = footer_at
        .checked_sub(directory_bytes as u64)
        .filter(|_| count <= SECTIONS_MAX)
        .ok_or_else(|| malformed("its directory is longer than the file"))?;
    let mut directory = read(directory_at, directory_bytes)?;
    directory.extend((count as u32).to_le_bytes());
    if crc32c::crc32c(&directory) != checksum {
        return Err(malformed("the checksum of its directory is wrong"));
    }
    let mut input = Input::new(&directory);
    let mut sections = HashMap::new();
    let mut offset = MAGIC.len() as u64;
    for _ in 0..count {
        let (kind, checksum, length) = (input.u32()?, input.u32()?, input.u64()?);
        let section = Section {
            offset,
            length,
            checksum,
        };
        offset = offset.saturating_add(length);
        if let Some(kind) = Kind::ALL.into_iter().find(|known| *known as u32 == kind) {
            sections.insert(kind, section);
        }
    }
    if offset != directory_at {
        return Err(malformed("its sections do not fill it"));
    }
    Ok(sections)
}

/// What the index knows of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) info: PieceInfo,
    pub(crate) facts: Facts,
    /// Where its filter starts among the filters, and its bytes; 0 for none.
    pub(crate) filter_at: u64,
    pub(crate) filter_length: u32,
    pub(crate) filter_checksum: u32,
}

/// What rows have that is kept beside the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) shortest: u64,
    pub(crate) longest: u64,
    pub(crate) severities: u32,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            shortest: u64::MAX,
            longest: 0,
            severities: 0,
        }
    }
}

impl Facts {
    pub(crate) fn include_duration(&mut self, duration: u64) {
        self.shortest = self.shortest.min(duration);
        self.longest = self.longest.max(duration);
    }

    pub(crate) fn include_severity(&mut self, number: u32) {
        self.severities |= 1_u32.checked_shl(number).unwrap_or(0);
    }

    /// Whether a row of the piece can lie in the ranges that a query needs.
    pub(crate) fn admit(&self, bounds: TimeBounds, needs: &Needs) -> bool {
        let clamp = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let overlaps = |range: &Option<std::ops::RangeInclusive<i64>>, first: u64, last: u64| {
            range
                .as_ref()
                .is_none_or(|range| *range.start() <= clamp(last) && clamp(first) <= *range.end())
        };
        let has_severity = needs.severity.as_ref().is_none_or(|range| {
            (1..32_i64).any(|number| range.contains(&number) && self.severities >> number & 1 == 1)
        });
        let has_duration = needs.duration.is_none()
            || self.shortest <= self.longest
                && overlaps(&needs.duration, self.shortest, self.longest);
        overlaps(&needs.time, bounds.first, bounds.last) && has_duration && has_severity
    }
}

const PIECE_BYTES: usize = 4 + 4 * 8 + 3 * 4 + 8;

pub(crate) fn encode_pieces(pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.len() * PIECE_BYTES);
    for piece in pieces {
        let PieceInfo { rows, bounds } = &piece.info;
        bytes.extend((rows.len() as u32).to_le_bytes());
        let numbers = [
            bounds.first,
            bounds.last,
            piece.facts.shortest,
            piece.facts.longest,
        ];
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let numbers = [
            piece.facts.severities,
            piece.filter_length,
            piece.filter_checksum,
        ];
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend([0; 8]);
    }
    bytes
}

pub(crate) fn decode_pieces(bytes: &[u8]) -> Result<Vec<Piece>, Malformed> {
    let mut input = Input::new(bytes);
    let mut pieces = Vec::with_capacity(bytes.len() / PIECE_BYTES);
    let (mut row, mut filter_at) = (0_u32, 0_u64);
    while !input.is_empty() {
        let end = row.checked_add(input.u32()?).filter(|end| *end > row);
        let end = end.ok_or_else(|| Malformed::new("a piece has an impossible number of rows"))?;
        let bounds = TimeBounds {
            first: input.u64()?,
            last: input.u64()?,
        };
        let facts = Facts {
            shortest: input.u64()?,
            longest: input.u64()?,
            severities: input.u32()?,
        };
        let (filter_length, filter_checksum) = (input.u32()?, input.u32()?);
        input.take(8)?;
        pieces.push(Piece {
            info: PieceInfo {
                rows: row..end,
                bounds,
            },
            facts,
            filter_at,
            filter_length,
            filter_checksum,
        });
        row = end;
        filter_at += u64::from(filter_length);
    }
    Ok(pieces)
}

pub(crate) fn encode_services(services: &[ServiceCount]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for service in services {
        put_text(&mut bytes, &service.service);
        put_varint(&mut bytes, service.row_count);
        put_varint(&mut bytes, service.error_count);
        put_varint(&mut bytes, service.last_seen_unix_nano);
    }
    bytes
}

pub(crate) fn decode_services(bytes: &[u8]) -> Result<Vec<ServiceCount>, Malformed> {
    let mut input = Input::new(bytes);
    let mut services = Vec::new();
    while !input.is_empty() {
        services.push(ServiceCount {
            service: input.text()?.to_owned(),
            row_count: input.varint()?,
            error_count: input.varint()?,
            last_seen_unix_nano: input.varint()?,
        });
    }
    Ok(services)
}

pub(crate) fn encode_operations(operations: &[OperationCount]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for operation in operations {
        put_text(&mut bytes, &operation.service);
        put_text(&mut bytes, &operation.name);
        put_varint(&mut bytes, operation.kind as u64);
        put_varint(&mut bytes, operation.span_count);
    }
    bytes
}

pub(crate) fn decode_operations(bytes: &[u8]) -> Result<Vec<OperationCount>, Malformed> {
    let mut input = Input::new(bytes);
    let mut operations = Vec::new();
    while !input.is_empty() {
        let (service, name) = (input.text()?.to_owned(), input.text()?.to_owned());
        let kind = i32::try_from(input.varint()?).unwrap_or(i32::MAX);
        operations.push(OperationCount {
            service,
            name,
            kind: SpanKind::try_from(kind)
                .map_err(|_| Malformed::new("an operation has an unknown kind"))?,
            span_count: input.varint()?,
        });
    }
    Ok(operations)
}

pub(crate) fn encode_summary(table: &str, info: &BlockInfo) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_text(&mut bytes, table);
    let numbers = [
        info.id.0,
        info.rows,
        info.first_unix_nano,
        info.last_unix_nano,
        info.received_unix_nano,
    ];
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.push(info.level);
    bytes
}

/// What the index says of its block; the bytes of the files are 0.
pub(crate) fn decode_summary(table: &str, bytes: &[u8]) -> Result<BlockInfo, Malformed> {
    let mut input = Input::new(bytes);
    let of = input.text()?;
    if of != table {
        return Err(Malformed(format!("it is of a block of {of}")));
    }
    let info = BlockInfo {
        id: BlockId(input.u64()?),
        rows: input.u64()?,
        bytes: 0,
        first_unix_nano: input.u64()?,
        last_unix_nano: input.u64()?,
        received_unix_nano: input.u64()?,
        level: input.u8()?,
    };
    input.finish()?;
    Ok(info)
}

impl Entries {
    /// The section of their leaves.
    pub(crate) fn section(self) -> Kind {
        match self {
            Self::Whole => Kind::TraceHeads,
            Self::Rows => Kind::TraceRows,
            Self::Mixed => Kind::Traces,
        }
    }
}

/// What stays in memory of an index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) sections: HashMap<Kind, Section>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) extents: Arc<Extents>,
}

impl Index {
    /// What it tells of its traces.
    pub(crate) fn entries(&self) -> Entries {
        let has = |kind| self.sections.contains_key(&kind);
        match (has(Kind::TraceHeads), has(Kind::TraceRows)) {
            (true, _) => Entries::Whole,
            (false, true) => Entries::Rows,
            (false, false) => Entries::Mixed,
        }
    }
}
