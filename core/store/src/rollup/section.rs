//! Section 10 of the index file of a block: its rollups. Rows in memory are summed up in the same form.
//!
//! # Layout
//!
//! Little-endian; numbers are LEB128 where no width is said, texts their length and UTF-8. Checksums are CRC-32C.
//!
//! | bytes | what |
//! |---|---|
//! | 4, 4 | the length of the head, u32, and its checksum |
//! | ... | the head |
//! | ... | a part for each minute: the cells of its series, then those of its edges |
//! | ... | the links ([`super::links`]); of log records none |
//!
//! The head:
//!
//! | what | |
//! |---|---|
//! | version u8, table u8 | 1; 1 of spans, 2 of log records |
//! | series at most, links at most | the bounds that it was made with |
//! | services, names of operations | how many, then the texts |
//! | peers | how many, then of each its kind u8 (1 database, 2 queue, 3 outside service) and text |
//! | series | how many, then of each service, name, kind u8 (as in OTLP), level u8; service and name are numbers plus 1, 0 for all others |
//! | edges | how many, then of each caller and callee: 0 unknown, 1 another service, then the services, then the peers |
//! | links beyond the bound | calling, called |
//! | minutes | how many, then of each the minute since 1970 minus that of the minute before, bytes of its series, bytes of its edges, checksum u32 of both |
//! | links | bytes, checksum u32 |
//!
//! The level of a span is 0 unset, 1 ok, 2 error; that of a log record 0 unspecified, 1 trace to 6 fatal.
//!
//! The cells of a minute are a stream of bits ([`log_tracer_sketch::BitWriter`]). Of each cell: the gamma code of the distance of its series
//! (or edge) from the one after the cell before, plus 1; of an edge the gamma code of its errors plus 1; then its durations
//! as in [`log_tracer_sketch::Sketch`]. A series of log records has the gamma code of their number in place of durations. The gamma code
//! of 2^32 ends the cells; where there are none, there are no bytes.

use std::sync::Arc;

use super::{Settings, cells::END, graph::NodeKind};
use crate::block::{Input, Malformed, put_text, put_varint};

/// Nodes of edges that are neither services nor peers.
pub(crate) const NODE_UNKNOWN: u32 = 0;
pub(crate) const NODE_OTHER: u32 = 1;
/// The first service.
pub(crate) const NODES_BEFORE: u32 = 2;

const VERSION: u8 = 1;
/// Bytes before the head.
pub(crate) const PREFIX_BYTES: usize = 8;

/// What the rows of a section are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    Spans = 1,
    Logs = 2,
}

/// Rows that are counted together. Service and name may be [`super::names::OTHER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Series {
    pub(crate) service: u32,
    pub(crate) name: u32,
    pub(crate) kind: u8,
    pub(crate) level: u8,
}

/// Where the cells of a minute are, counted from the end of the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) minute: u32,
    pub(crate) offset: u64,
    pub(crate) series_bytes: u32,
    pub(crate) edge_bytes: u32,
    pub(crate) checksum: u32,
}

impl Part {
    pub(crate) fn bytes(&self) -> usize {
        self.series_bytes as usize + self.edge_bytes as usize
    }
}

/// Where the links are, likewise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinksAt {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) checksum: u32,
}

/// What is known before a part is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) table: Table,
    pub(crate) settings: Settings,
    pub(crate) services: Vec<Arc<str>>,
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) peers: Vec<(NodeKind, Arc<str>)>,
    pub(crate) series: Vec<Series>,
    /// Caller and callee.
    pub(crate) edges: Vec<(u32, u32)>,
    pub(crate) unlisted: (u64, u64),
    pub(crate) parts: Vec<Part>,
    pub(crate) links: LinksAt,
}

impl Head {
    /// Bytes of memory, about.
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts = self.services.iter().chain(&self.names);
        let texts = texts.chain(self.peers.iter().map(|(_, text)| text));
        size_of::<Self>()
            + texts.map(|text| text.len() + 40).sum::<usize>()
            + size_of_val(self.series.as_slice())
            + size_of_val(self.edges.as_slice())
            + size_of_val(self.parts.as_slice())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.table as u8];
        let put = |bytes: &mut Vec<u8>, number: usize| put_varint(bytes, number as u64);
        let plus_one = |number: u32| u64::from(number.wrapping_add(1));
        put_varint(&mut bytes, u64::from(self.settings.series_max));
        put_varint(&mut bytes, u64::from(self.settings.links_max));
        for texts in [&self.services, &self.names] {
            put(&mut bytes, texts.len());
            texts.iter().for_each(|text| put_text(&mut bytes, text));
        }
        put(&mut bytes, self.peers.len());
        for (kind, text) in &self.peers {
            bytes.push(kind.code());
            put_text(&mut bytes, text);
        }
        put(&mut bytes, self.series.len());
        for series in &self.series {
            put_varint(&mut bytes, plus_one(series.service));
            put_varint(&mut bytes, plus_one(series.name));
            bytes.extend([series.kind, series.level]);
        }
        put(&mut bytes, self.edges.len());
        for (caller, callee) in &self.edges {
            put_varint(&mut bytes, u64::from(*caller));
            put_varint(&mut bytes, u64::from(*callee));
        }
        put_varint(&mut bytes, self.unlisted.0);
        put_varint(&mut bytes, self.unlisted.1);
        put(&mut bytes, self.parts.len());
        let mut before = 0;
        for part in &self.parts {
            put_varint(&mut bytes, u64::from(part.minute - before));
            before = part.minute;
            put_varint(&mut bytes, u64::from(part.series_bytes));
            put_varint(&mut bytes, u64::from(part.edge_bytes));
            bytes.extend(part.checksum.to_le_bytes());
        }
        put_varint(&mut bytes, u64::from(self.links.bytes));
        bytes.extend(self.links.checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let version = input.u8()?;
        if version != VERSION {
            return Err(Malformed(format!("its rollups are of version {version}")));
        }
        let table = match input.u8()? {
            1 => Table::Spans,
            2 => Table::Logs,
            other => return Err(Malformed(format!("its rollups are of table {other}"))),
        };
        let settings = Settings {
            series_max: input.varint_u32()?,
            links_max: input.varint_u32()?,
            with_edges: true,
        };
        let services = list(&mut input, |input| Ok(input.text()?.into()))?;
        let names = list(&mut input, |input| Ok(input.text()?.into()))?;
        let peers = list(&mut input, |input| {
            let kind = NodeKind::peer(input.u8()?)
                .ok_or_else(|| Malformed::new("a peer has an unknown kind"))?;
            Ok((kind, input.text()?.into()))
        })?;
        let series = list(&mut input, |input| {
            Ok(Series {
                service: input.varint_u32()?.wrapping_sub(1),
                name: input.varint_u32()?.wrapping_sub(1),
                kind: input.u8()?,
                level: input.u8()?,
            })
        })?;
        let edges = list(&mut input, |input| {
            Ok((input.varint_u32()?, input.varint_u32()?))
        })?;
        let unlisted = (input.varint()?, input.varint()?);
        let (mut minute, mut offset) = (0_u32, 0_u64);
        let parts = list(&mut input, |input| {
            minute = minute.saturating_add(input.varint_u32()?);
            let part = Part {
                minute,
                offset,
                series_bytes: input.varint_u32()?,
                edge_bytes: input.varint_u32()?,
                checksum: input.u32()?,
            };
            offset += part.bytes() as u64;
            Ok(part)
        })?;
        let links = LinksAt {
            offset,
            bytes: input.varint_u32()?,
            checksum: input.u32()?,
        };
        input.finish()?;
        Ok(Self {
            table,
            settings,
            services,
            names,
            peers,
            series,
            edges,
            unlisted,
            parts,
            links,
        })
    }
}

/// As many as it says; each takes a byte at least.
fn list<'a, T>(
    input: &mut Input<'a>,
    mut one: impl FnMut(&mut Input<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = input.varint_u32()? as usize;
    if count > input.remaining() {
        return Err(Malformed::new("it ends too early"));
    }
    (0..count).map(|_| one(input)).collect()
}

/// Puts a section together.
#[derive(Debug)]
pub(crate) struct SectionWriter {
    head: Head,
    parts: Vec<u8>,
}

impl SectionWriter {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            parts: Vec::new(),
        }
    }

    /// Adds the cells of the next minute.
    pub(crate) fn add(&mut self, minute: u32, series: &[u8], edges: &[u8]) {
        self.head.parts.push(Part {
            minute,
            offset: self.parts.len() as u64,
            series_bytes: series.len() as u32,
            edge_bytes: edges.len() as u32,
            checksum: crc32c::crc32c_append(crc32c::crc32c(series), edges),
        });
        self.parts.extend_from_slice(series);
        self.parts.extend_from_slice(edges);
    }

    pub(crate) fn finish(mut self, links: &[u8]) -> Vec<u8> {
        self.head.links = LinksAt {
            offset: self.parts.len() as u64,
            bytes: links.len() as u32,
            checksum: crc32c::crc32c(links),
        };
        let head = self.head.encode();
        let mut bytes =
            Vec::with_capacity(PREFIX_BYTES + head.len() + self.parts.len() + links.len());
        bytes.extend((head.len() as u32).to_le_bytes());
        bytes.extend(crc32c::crc32c(&head).to_le_bytes());
        bytes.extend(head);
        bytes.extend(self.parts);
        bytes.extend_from_slice(links);
        bytes
    }
}

/// Reads the distances of the cells of a minute.
#[derive(Debug, Default)]
pub(crate) struct Places(u32);

impl Places {
    /// The series or edge of the next cell, by the number that was read; none when there is no further.
    #[inline]
    pub(crate) fn next(&mut self, read: u64) -> Result<Option<u32>, Malformed> {
        if read == END {
            return Ok(None);
        }
        let place = u32::try_from(read - 1).ok();
        let place = place.and_then(|distance| self.0.checked_add(distance));
        let place = place.ok_or_else(|| Malformed::new("a cell is of an impossible series"))?;
        self.0 = place.saturating_add(1);
        Ok(Some(place))
    }
}
