//! The most frequent values of fields.

use std::collections::HashMap;

use log_tracer_query::{Field, Intrinsic, Literal, Query, Record, Value, text::value_text};

use super::{Signal, filter::Filter};
use crate::{Coverage, Stop, TimeRange, chunk::Chunk, stop::Progress, table::Snapshot};

/// Asks which values fields have.
#[derive(Clone, Debug)]
pub struct FacetSpec {
    /// Of which records.
    pub signal: Signal,
    /// What a record has to match.
    pub query: Query,
    /// Where its time has to lie.
    pub range: TimeRange,
    /// The fields; empty takes the useful ones that the records have. `time` has no facet.
    pub fields: Vec<Field>,
    /// Values of a field to answer at most.
    pub values_max: usize,
}

/// The values of fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Facets {
    /// The fields that at least one record has, in the order in which they were asked for.
    pub facets: Vec<Facet>,
    /// What was covered.
    pub coverage: Coverage,
}

/// The values of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// The field, as the query language names it.
    pub field: String,
    /// The most frequent first, equally frequent ones by their text.
    pub values: Vec<FacetValue>,
    /// Records that have the field with a value that is not listed; one that has several of those counts for each.
    pub other_count: u64,
}

/// A value, and how many records have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetValue {
    /// As the query language writes it.
    pub value: String,
    /// Records that have it.
    pub count: u64,
}

/// What most people ask first about spans.
const SPAN_FIELDS: [&str; 22] = [
    "service",
    "name",
    "kind",
    "status",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "rpc.service",
    "rpc.method",
    "rpc.grpc.status_code",
    "db.system.name",
    "db.system",
    "db.operation.name",
    "messaging.system",
    "messaging.destination.name",
    "error.type",
    "event",
    "scope",
    "deployment.environment.name",
    "service.version",
    "host.name",
    "k8s.namespace.name",
];

/// What most people ask first about log records.
const LOG_FIELDS: [&str; 12] = [
    "service",
    "severity",
    "name",
    "scope",
    "exception.type",
    "error.type",
    "http.response.status_code",
    "code.function.name",
    "deployment.environment.name",
    "service.version",
    "host.name",
    "k8s.namespace.name",
];

pub(crate) fn count_values<C: Chunk>(
    snapshot: &Snapshot<C>,
    spec: &FacetSpec,
    answer_bytes_max: u64,
    stop: &Stop,
) -> Facets {
    let mut progress = Progress::start(stop);
    snapshot.cover(spec.range, &mut progress.coverage);
    let filter = Filter::new(&spec.query, spec.range);
    let mut counters: Vec<Counter> = fields_of(spec).into_iter().map(Counter::new).collect();
    let mut budget = Budget {
        bytes: answer_bytes_max,
    };
    for chunk in snapshot
        .chunks
        .iter()
        .filter(|chunk| filter.admits(chunk.as_ref()))
    {
        let is_done = count_chunk(
            chunk.as_ref(),
            &filter,
            &mut counters,
            &mut budget,
            &mut progress,
        );
        if !is_done {
            break;
        }
    }
    if counters.iter().any(|counter| counter.uncounted > 0) {
        progress.coverage.miss("there are more different values than can be counted: the rare ones are among the others");
    }
    let facets = counters
        .into_iter()
        .filter_map(|counter| counter.into_facet(spec.values_max));
    Facets {
        facets: facets.collect(),
        coverage: progress.finish(),
    }
}

fn fields_of(spec: &FacetSpec) -> Vec<Field> {
    let mut fields = spec.fields.clone();
    if fields.is_empty() {
        let names = match spec.signal {
            Signal::Spans => SPAN_FIELDS.as_slice(),
            Signal::Logs => LOG_FIELDS.as_slice(),
        };
        fields.extend(names.iter().map(|name| Field::named(name)));
    }
    fields.retain(|field| *field != Field::Intrinsic(Intrinsic::Time));
    fields
}

/// Counts the rows of a chunk. False when the search has to end.
fn count_chunk<C: Chunk>(
    chunk: &C,
    filter: &Filter<'_>,
    counters: &mut [Counter],
    budget: &mut Budget,
    progress: &mut Progress<'_>,
) -> bool {
    for row in filter.rows(chunk) {
        if !progress.scan(1) {
            return false;
        }
        if !filter.matches(chunk, row) {
            continue;
        }
        progress.coverage.matched += 1;
        for counter in &mut *counters {
            counter.count(chunk, row, budget);
        }
    }
    true
}

/// The bytes that are left for values.
struct Budget {
    bytes: u64,
}

impl Budget {
    fn take(&mut self, bytes: u64) -> bool {
        let fits = bytes <= self.bytes;
        self.bytes -= if fits { bytes } else { 0 };
        fits
    }
}

/// Counts the values of one field.
struct Counter {
    field: Field,
    /// By their text, which is what the query language compares.
    counts: HashMap<Box<str>, Count>,
    /// The texts of the values of one row, one after the other, and where each ends.
    texts: String,
    ends: Vec<(usize, Spelling)>,
    /// Values that did not fit into memory.
    uncounted: u64,
}

#[derive(Clone, Copy)]
struct Count {
    records: u64,
    spelling: Spelling,
}

/// How the query language writes a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// A number or a truth: as it is.
    Bare,
    /// A text: in quotes where it would be read as something else.
    Text,
    /// Nanoseconds.
    Duration,
}

/// What an entry of the table of values takes beside its text.
const ENTRY_BYTES: u64 = 64;

impl Counter {
    fn new(field: Field) -> Self {
        Self {
            field,
            counts: HashMap::new(),
            texts: String::new(),
            ends: Vec::new(),
            uncounted: 0,
        }
    }

    fn count<C: Chunk>(&mut self, chunk: &C, row: usize, budget: &mut Budget) {
        self.texts.clear();
        self.ends.clear();
        match self.field {
            // The language has names for ranges of severities.
            Field::Intrinsic(Intrinsic::Severity) => self.read_level(chunk, row),
            _ => self.read_values(&chunk.fields(row)),
        }
        let mut start = 0;
        for place in 0..self.ends.len() {
            let Some((end, spelling)) = self.ends.get(place).copied() else {
                return;
            };
            // A record counts once for a value that it has twice.
            let is_first = !self.has_before(place, start, end);
            if is_first {
                self.add(start, end, spelling, budget);
            }
            start = end;
        }
    }

    fn read_level<C: Chunk>(&mut self, chunk: &C, row: usize) {
        let mut has_value = false;
        chunk.fields(row).any_value(&self.field, &mut |_| {
            has_value = true;
            true
        });
        if let Some(name) = C::LEVELS.get(chunk.level(row)).filter(|_| has_value) {
            self.texts.push_str(name);
            self.ends.push((self.texts.len(), Spelling::Bare));
        }
    }

    fn read_values(&mut self, record: &impl Record) {
        let Self {
            field, texts, ends, ..
        } = self;
        let is_duration = *field == Field::Intrinsic(Intrinsic::Duration);
        record.any_value(field, &mut |value| {
            texts.push_str(&value_text(value));
            let spelling = match value {
                Value::Int(_) if is_duration => Spelling::Duration,
                Value::Int(_) | Value::Double(_) | Value::Bool(_) => Spelling::Bare,
                Value::Str(_) | Value::Bytes(_) => Spelling::Text,
            };
            ends.push((texts.len(), spelling));
            false
        });
    }

    fn has_before(&self, place: usize, start: usize, end: usize) -> bool {
        let text = self.texts.get(start..end);
        let mut before = 0;
        self.ends.iter().take(place).any(|(end, _)| {
            let range = std::mem::replace(&mut before, *end)..*end;
            self.texts.get(range) == text
        })
    }

    fn add(&mut self, start: usize, end: usize, spelling: Spelling, budget: &mut Budget) {
        let text = self.texts.get(start..end).unwrap_or_default();
        if let Some(count) = self.counts.get_mut(text) {
            count.records += 1;
        } else if budget.take(text.len() as u64 + ENTRY_BYTES) {
            self.counts.insert(
                text.into(),
                Count {
                    records: 1,
                    spelling,
                },
            );
        } else {
            self.uncounted += 1;
        }
    }

    fn into_facet(self, values_max: usize) -> Option<Facet> {
        if self.counts.is_empty() && self.uncounted == 0 {
            return None;
        }
        let mut counts: Vec<(Box<str>, Count)> = self.counts.into_iter().collect();
        counts.sort_by(|(a, a_count), (b, b_count)| {
            b_count.records.cmp(&a_count.records).then_with(|| a.cmp(b))
        });
        let others = counts.get(values_max..).unwrap_or_default();
        let other_count =
            self.uncounted + others.iter().map(|(_, count)| count.records).sum::<u64>();
        counts.truncate(values_max);
        let value = |(text, count): (Box<str>, Count)| FacetValue {
            value: spelt(&text, count.spelling),
            count: count.records,
        };
        let values = counts.into_iter().map(value).collect();
        Some(Facet {
            field: self.field.to_string(),
            values,
            other_count,
        })
    }
}

fn spelt(text: &str, spelling: Spelling) -> String {
    match spelling {
        Spelling::Bare => text.to_owned(),
        Spelling::Text => Literal::quoted(text).to_string(),
        Spelling::Duration => format!("{text}ns"),
    }
}
