//! The rows of all consumers, with numbers in tables of all of them.

use std::collections::{HashMap, HashSet};

use log_tracer_proto::v1::{GetTraceOutlineResponse, OutlineLogs, OutlineSpans, ResourceEntry};
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

/// A span, with its numbers in the tables of all consumers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) id: [u8; 8],
    pub(super) parent: [u8; 8],
    pub(super) name: u32,
    pub(super) resource: u32,
    pub(super) value: u32,
    pub(super) kind: u8,
    pub(super) status: u8,
    pub(super) matches: u8,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    pub(super) time: u64,
    pub(super) span: [u8; 8],
    pub(super) resource: u32,
    pub(super) severity: u8,
    pub(super) matches: u8,
}

/// Texts or resources, each once, in the order in which they were read.
#[derive(Debug)]
pub(super) struct Table<T> {
    pub(super) entries: Vec<T>,
    by_hash: HashMap<u128, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            by_hash: HashMap::new(),
        }
    }
}

impl<T> Table<T> {
    fn number(&mut self, hash: u128, entry: T) -> u32 {
        let next = self.entries.len() as u32;
        let number = *self.by_hash.entry(hash).or_insert(next);
        if number == next {
            self.entries.push(entry);
        }
        number
    }
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) resources: Table<ResourceEntry>,
    pub(super) names: Table<String>,
    pub(super) values: Table<String>,
}

/// All spans and logs, by the number of their consumer.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) spans: Vec<(usize, Span)>,
    pub(super) logs: Vec<(usize, Log)>,
    pub(super) duplicate_spans: u64,
}

impl Rows {
    pub(super) fn add(
        &mut self,
        lane: usize,
        pieces: Vec<GetTraceOutlineResponse>,
        tables: &mut Tables,
    ) {
        // The numbers of this consumer's tables in those of all.
        let (mut resources, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let of = |numbers: &[u32], own: u32| numbers.get(own as usize).copied().unwrap_or(0);
        for piece in pieces {
            let all = &mut tables.resources;
            let entries = piece.resources.into_iter();
            resources
                .extend(entries.map(|entry| all.number(xxh3_128(&entry.encode_to_vec()), entry)));
            let all = &mut tables.names;
            let texts = piece.names.into_iter();
            names.extend(texts.map(|text| all.number(xxh3_128(text.as_bytes()), text)));
            let all = &mut tables.values;
            let texts = piece.values.into_iter();
            values.extend(texts.map(|text| all.number(xxh3_128(text.as_bytes()), text)));
            self.duplicate_spans = self.duplicate_spans.saturating_add(piece.duplicate_spans);
            let spans = piece.spans.unwrap_or_default();
            self.spans.extend(span_rows(&spans).map(|span| {
                let value = match span.value.checked_sub(1) {
                    None => 0,
                    Some(value) => of(&values, value) + 1,
                };
                let span = Span {
                    name: of(&names, span.name),
                    resource: of(&resources, span.resource),
                    value,
                    ..span
                };
                (lane, span)
            }));
            let logs = piece.logs.unwrap_or_default();
            self.logs.extend(log_rows(&logs).map(|log| {
                let resource = of(&resources, log.resource);
                (lane, Log { resource, ..log })
            }));
        }
    }

    pub(super) fn sort(&mut self) {
        self.spans.sort_by_key(|(_, span)| span.start);
        self.logs.sort_by_key(|(_, log)| log.time);
    }

    /// Of spans that are equal and lie on several consumers the first is left.
    pub(super) fn leave_equal_spans_out(&mut self) {
        let mut is_copy = vec![false; self.spans.len()];
        let mut at = 0;
        for moment in self.spans.chunk_by(|a, b| a.1.start == b.1.start) {
            let lanes: HashSet<usize> = moment.iter().map(|(lane, _)| *lane).collect();
            let mut owners: HashMap<Span, usize> = HashMap::new();
            for (lane, span) in moment.iter().filter(|_| lanes.len() > 1) {
                let is_others = *owners.entry(*span).or_insert(*lane) != *lane;
                if let Some(is_copy) = is_copy.get_mut(at) {
                    *is_copy = is_others;
                }
                self.duplicate_spans += u64::from(is_others);
                at += 1;
            }
            if lanes.len() == 1 {
                at += moment.len();
            }
        }
        let mut is_copy = is_copy.into_iter();
        self.spans.retain(|_| is_copy.next() != Some(true));
    }
}

fn ids(column: &[u8]) -> impl Iterator<Item = [u8; 8]> + '_ {
    column.as_chunks().0.iter().copied()
}

fn span_rows(spans: &OutlineSpans) -> impl Iterator<Item = Span> + '_ {
    let columns = ids(&spans.span_ids)
        .zip(ids(&spans.parent_span_ids))
        .zip(spans.start_unix_nano.iter().zip(&spans.end_unix_nano))
        .zip(spans.names.iter().zip(&spans.resources))
        .zip(spans.kinds.iter().zip(&spans.statuses));
    columns.enumerate().map(
        |(at, ((((id, parent), (start, end)), (name, resource)), (kind, status)))| Span {
            start: *start,
            end: *end,
            id,
            parent,
            name: *name,
            resource: *resource,
            value: spans.values.get(at).copied().unwrap_or(0),
            kind: *kind,
            status: *status,
            matches: spans.matches.get(at).copied().unwrap_or(0),
        },
    )
}

fn log_rows(logs: &OutlineLogs) -> impl Iterator<Item = Log> + '_ {
    let columns = ids(&logs.span_ids)
        .zip(&logs.time_unix_nano)
        .zip(logs.severities.iter().zip(&logs.resources));
    columns
        .enumerate()
        .map(|(at, ((span, time), (severity, resource)))| Log {
            time: *time,
            span,
            resource: *resource,
            severity: *severity,
            matches: logs.matches.get(at).copied().unwrap_or(0),
        })
}
