//! The rows of all consumers, with numbers in tables of all of them.

use std::collections::{HashMap, HashSet};

use log_tracer_proto::{
    outline::{LogRow, SpanRow},
    v1::{GetTraceOutlineResponse, ResourceEntry},
};
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

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

/// All spans and logs, by the number of their consumer, with their numbers in the tables of all consumers together.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) spans: Vec<(usize, SpanRow)>,
    pub(super) logs: Vec<(usize, LogRow)>,
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
            self.spans.extend(spans.rows().map(|span| {
                let span = SpanRow {
                    name: of(&names, span.name),
                    resource: of(&resources, span.resource),
                    value: span.value.map(|value| of(&values, value)),
                    ..span
                };
                (lane, span)
            }));
            let logs = piece.logs.unwrap_or_default();
            self.logs.extend(logs.rows().map(|log| {
                let resource = of(&resources, log.resource);
                (lane, LogRow { resource, ..log })
            }));
        }
    }

    pub(super) fn sort(&mut self) {
        self.spans.sort_by_key(|(_, span)| span.start_unix_nano);
        self.logs.sort_by_key(|(_, log)| log.time_unix_nano);
    }

    /// Of spans that are equal and lie on several consumers the first is left.
    pub(super) fn leave_equal_spans_out(&mut self) {
        let mut is_copy = vec![false; self.spans.len()];
        let mut at = 0;
        for moment in self
            .spans
            .chunk_by(|a, b| a.1.start_unix_nano == b.1.start_unix_nano)
        {
            let lanes: HashSet<usize> = moment.iter().map(|(lane, _)| *lane).collect();
            let mut owners: HashMap<SpanRow, usize> = HashMap::new();
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
