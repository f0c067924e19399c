//! Spans as they are counted: series of operations, and what the edges are made of.

use std::sync::Arc;

use hashbrown::HashMap;
use log_tracer_record::otlp::trace::span::SpanKind;

use super::{
    OTHER_NAME, Settings,
    cells::{CellWriter, Cells, minute_of},
    edges::{Call, Edges, Flags},
    graph::NodeKind,
    names::{Names, OTHER, Texts},
    peers::{PeerKeys, peer_of},
    section::{Head, SectionWriter, Series, Table},
};
use crate::{
    block::{Picked, Storable},
    chunk::{Chunk, SpanChunk},
};

/// The parent of a span lives in another process, as far as the sender can tell: bits of `Span.flags`.
const FLAG_KNOWS_REMOTE: u32 = 0x100;
const FLAG_IS_REMOTE: u32 = 0x200;

/// Spans that are counted.
#[derive(Debug)]
pub(crate) struct SpanRollup {
    settings: Settings,
    services: Texts,
    names: Texts,
    peers: Names<(NodeKind, Arc<str>)>,
    /// The last peer that was named, and its number.
    last_peer: (NodeKind, String, u32),
    series: Names<Series>,
    /// By service, name, kind and status: the series.
    by_parts: HashMap<(u32, u32, u8), u32>,
    cells: Cells,
    edges: Edges,
    text: String,
}

/// The numbers of what a chunk has; [`UNKNOWN`] until one is needed.
#[derive(Debug)]
struct Known {
    services: Vec<u32>,
    names: Vec<u32>,
    peer_keys: PeerKeys,
}

const UNKNOWN: u32 = u32::MAX - 1;

impl Known {
    fn of(chunk: &SpanChunk) -> Self {
        Self {
            services: vec![UNKNOWN; chunk.resources.all().len()],
            names: vec![UNKNOWN; arrow_array::Array::len(&chunk.names.labels)],
            peer_keys: PeerKeys::of(&chunk.attributes),
        }
    }
}

impl SpanRollup {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            services: Texts::default(),
            names: Texts::default(),
            peers: Names::default(),
            last_peer: (NodeKind::Unknown, String::new(), OTHER),
            series: Names::default(),
            by_parts: HashMap::new(),
            cells: Cells::default(),
            edges: Edges::default(),
            text: String::new(),
        }
    }

    /// Counts rows.
    pub(crate) fn add(&mut self, picked: Picked<'_, SpanChunk>) {
        let mut known: Vec<Option<Known>> = Vec::new();
        known.resize_with(picked.chunks.len(), || None);
        for place in picked.places {
            let number = place.chunk as usize;
            if let (Some(chunk), Some(known)) = (picked.chunks.get(number), known.get_mut(number)) {
                let known = known.get_or_insert_with(|| Known::of(chunk));
                self.count(chunk, place.row as usize, known);
            }
        }
    }

    fn count(&mut self, chunk: &SpanChunk, row: usize, known: &mut Known) {
        let (start, end) = (chunk.time(row), chunk.end(row));
        let (kind, level) = (chunk.kind(row), SpanChunk::level_of(chunk.grade(row)));
        let is_error = chunk.is_error(row);
        let nanos = end.saturating_sub(start);
        let service = self.service(chunk, row, known);
        let series = self.series(chunk, row, known, service, (kind, level));
        let cell = self.cells.number(series, minute_of(start));
        // Which of them are errors, the status of their series says.
        self.cells.add(cell, nanos, false);
        if self.settings.with_edges {
            let peer = match kind {
                SpanKind::Client | SpanKind::Producer => self.peer(chunk, row, &known.peer_keys),
                _ => None,
            };
            let peer_kind = peer.map(|(kind, _)| kind);
            self.edges.add(Call {
                id: span_key(chunk, row, chunk.span_id(row)),
                parent: span_key(chunk, row, chunk.parent_id(row)),
                nanos,
                service,
                minute: minute_of(start),
                peer: peer.map_or(OTHER, |(_, number)| number),
                flags: flags(chunk, row, kind, peer_kind, is_error),
            });
        }
    }

    fn service(&mut self, chunk: &SpanChunk, row: usize, known: &mut Known) -> u32 {
        let number = chunk.resources.number(row);
        let Some(known) = known.services.get_mut(number) else {
            return OTHER;
        };
        if *known == UNKNOWN {
            *known = self
                .services
                .number(chunk.service(row), self.settings.series_max);
        }
        *known
    }

    fn series(
        &mut self,
        chunk: &SpanChunk,
        row: usize,
        known: &mut Known,
        service: u32,
        (kind, level): (SpanKind, usize),
    ) -> u32 {
        let name = match known.names.get_mut(chunk.names.number(row) as usize) {
            Some(known) if *known == UNKNOWN => {
                *known = self.names.number(chunk.name(row), self.settings.series_max);
                *known
            }
            Some(known) => *known,
            None => OTHER,
        };
        let (kind, level) = (kind as u8, level as u8);
        if let Some(series) = self.by_parts.get(&(service, name, kind << 2 | level)) {
            return *series;
        }
        let series = self.new_series(Series {
            service,
            name,
            kind,
            level,
        });
        self.by_parts
            .insert((service, name, kind << 2 | level), series);
        series
    }

    /// A series of its own while there are few; then one of all other operations of the service; then one of all services
    /// together.
    fn new_series(&mut self, series: Series) -> u32 {
        let max = self.settings.series_max;
        let of_service = Series {
            name: OTHER,
            ..series
        };
        let of_all = Series {
            service: OTHER,
            ..of_service
        };
        let tries = [(series, max), (of_service, max.saturating_mul(2))];
        for (series, max) in tries {
            match self.series.number_of(series, max) {
                OTHER => {}
                number => return number,
            }
        }
        self.series.number_of(of_all, OTHER)
    }

    fn peer(&mut self, chunk: &SpanChunk, row: usize, keys: &PeerKeys) -> Option<(NodeKind, u32)> {
        let kind = peer_of(&chunk.attributes, keys, row, &mut self.text)?;
        let (last_kind, last, number) = &self.last_peer;
        if *last_kind == kind && *last == self.text {
            return Some((kind, *number));
        }
        let text: Arc<str> = self.text.as_str().into();
        let mut number = self.peers.number_of((kind, text), self.settings.series_max);
        if number == OTHER {
            number = self.peers.number_of((kind, OTHER_NAME.into()), OTHER);
        }
        self.last_peer = (kind, self.text.clone(), number);
        Some((kind, number))
    }

    /// The section of the index.
    pub(crate) fn finish(self) -> Vec<u8> {
        let edges = self.edges.join(self.services.len(), &self.settings);
        let head = Head {
            table: Table::Spans,
            settings: self.settings,
            services: self.services.into_all(),
            names: self.names.into_all(),
            peers: self.peers.into_all(),
            series: self.series.into_all(),
            edges: edges.ends.into_all(),
            unlisted: edges.unlisted,
            parts: Vec::new(),
            links: Default::default(),
        };
        let mut section = SectionWriter::new(head);
        let mut minutes = Minutes::default();
        self.cells.for_each(
            |cell| (cell.minute, cell.series),
            |cell, counts| {
                let writer = minutes.series(cell.minute);
                writer.put(cell.series, None, cell, counts);
            },
        );
        edges.cells.for_each(
            |cell| (cell.minute, cell.series),
            |cell, counts| {
                let writer = minutes.edges(cell.minute);
                writer.put(cell.series, Some(cell.errors), cell, counts);
            },
        );
        for (minute, (series, edges)) in minutes.0 {
            section.add(minute, &series.finish(), &edges.finish());
        }
        section.finish(&edges.links)
    }
}

/// The cells of each minute.
#[derive(Debug, Default)]
struct Minutes(std::collections::BTreeMap<u32, (CellWriter, CellWriter)>);

impl Minutes {
    fn series(&mut self, minute: u32) -> &mut CellWriter {
        &mut self.0.entry(minute).or_default().0
    }

    fn edges(&mut self, minute: u32) -> &mut CellWriter {
        &mut self.0.entry(minute).or_default().1
    }
}

/// What a span is to others.
fn flags(
    chunk: &SpanChunk,
    row: usize,
    kind: SpanKind,
    peer: Option<NodeKind>,
    is_error: bool,
) -> Flags {
    let of_span = chunk.flags.get(row).copied().unwrap_or(0);
    let is_remote = of_span & FLAG_IS_REMOTE != 0;
    let is_entry = matches!(kind, SpanKind::Server | SpanKind::Consumer);
    let is_called = is_entry || is_remote || of_span & FLAG_KNOWS_REMOTE == 0;
    let mut flags = Flags::default();
    flags.set(Flags::ERROR, is_error);
    flags.set(Flags::CALLED, is_called);
    flags.set(Flags::ENTRY, is_entry || is_remote);
    flags.set(
        Flags::CALLING,
        matches!(kind, SpanKind::Client | SpanKind::Producer),
    );
    flags.set(Flags::DATABASE, peer == Some(NodeKind::Database));
    flags
}

/// A span of a trace as a number that no other has, by all likelihood; 0 for none.
#[inline]
fn span_key(chunk: &SpanChunk, row: usize, span: [u8; 8]) -> u64 {
    let trace = chunk.trace(row);
    if trace == 0 || span == [0; 8] {
        return 0;
    }
    // Two rounds of folded multiplication: the ids may be small numbers.
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let span = u64::from_be_bytes(span) ^ 0x9e37_79b9_7f4a_7c15;
    let trace = fold(
        trace as u64 ^ 0xa076_1d64_78bd_642f,
        (trace >> 64) as u64 ^ 0xe703_7ed1_a0b4_28db,
    );
    fold(span, trace ^ 0x8ebc_6af0_9c88_c6e3).max(1)
}
