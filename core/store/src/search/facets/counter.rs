//! Counts the values of one field.

use std::{fmt::Write, mem};

use hashbrown::HashMap;
use log_tracer_query::{Field, Intrinsic, Literal, Record, Value, text::value_text};

use super::{Facet, FacetValue};
use crate::{block::Storable, chunk::FieldPlan};

/// The bytes that are left for the values of all fields.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: u64,
}

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        Self { bytes }
    }

    fn take(&mut self, bytes: u64) -> bool {
        let fits = bytes <= self.bytes;
        self.bytes -= if fits { bytes } else { 0 };
        fits
    }
}

/// Counts the values of one field.
#[derive(Debug)]
pub(super) struct Counter {
    field: Field,
    values: Values,
    /// Where the chunk at hand has the field, when it is an attribute.
    plan: Vec<FieldPlan>,
    /// Of the chunk at hand, when the field is one of resources only: for each resource its first record, and how many
    /// there are. Its values are then read once.
    by_resource: Option<Vec<(usize, u64)>>,
}

/// The values of a field, by their text, which is what the query language compares.
#[derive(Debug, Default)]
struct Values {
    counts: HashMap<Box<str>, Count>,
    /// Values that did not fit into memory.
    uncounted: u64,
    /// The number of the record at hand.
    record: u64,
    /// The text of the value at hand.
    text: String,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    records: u64,
    /// The record that was counted last: it counts once, however often it has the value.
    last_record: u64,
    spelling: Spelling,
}

/// How the query language writes a value. Of a text and a number that read the same, the least is taken, in whatever order
/// they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spelling {
    /// A number or a truth: as it is.
    Bare,
    /// A text: in quotes where it would be read as something else.
    Text,
    /// Nanoseconds.
    Duration,
}

/// What an entry of the table of values takes beside its text.
const ENTRY_BYTES: u64 = 80;

impl Counter {
    pub(super) fn new(field: Field) -> Self {
        Self {
            field,
            values: Values::default(),
            plan: Vec::new(),
            by_resource: None,
        }
    }

    /// Gets ready for a chunk; none when no row of it has the field.
    pub(super) fn on<C: Storable>(&mut self, chunk: &C) -> Option<&mut Self> {
        if let Field::Attribute(path) = &self.field {
            self.plan = vec![chunk.plan(path)];
        }
        if self.plan.iter().any(FieldPlan::is_absent) {
            return None;
        }
        let is_of_resources = self.field == Field::Intrinsic(Intrinsic::Service)
            || self.plan.iter().any(FieldPlan::is_of_resources_only);
        let none = || vec![(0, 0); chunk.resources().all().len()];
        self.by_resource = is_of_resources.then(none);
        Some(self)
    }

    /// Counts a row.
    pub(super) fn count<C: Storable>(&mut self, chunk: &C, row: usize, budget: &mut Budget) {
        let Some(by_resource) = &mut self.by_resource else {
            return self.read(chunk, row, 1, budget);
        };
        if let Some((first, records)) = by_resource.get_mut(chunk.resources().number(row)) {
            if *records == 0 {
                *first = row;
            }
            *records += 1;
        }
    }

    /// Ends a chunk.
    pub(super) fn end<C: Storable>(&mut self, chunk: &C, budget: &mut Budget) {
        for (row, records) in mem::take(&mut self.by_resource).into_iter().flatten() {
            if records > 0 {
                self.read(chunk, row, records, budget);
            }
        }
    }

    /// Counts the values of a row for so many records that have the same.
    fn read<C: Storable>(&mut self, chunk: &C, row: usize, records: u64, budget: &mut Budget) {
        let Self {
            field,
            values,
            plan,
            ..
        } = self;
        values.record += 1;
        chunk.fields(row, plan).any_value(field, &mut |value| {
            let spelling = values.write::<C>(field, value);
            values.add(spelling, records, budget);
            false
        });
    }

    pub(super) fn field(&self) -> &Field {
        &self.field
    }

    /// Counts a value for so many records, none of which is told with the same value again.
    pub(super) fn add<C: Storable>(&mut self, value: Value<'_>, records: u64, budget: &mut Budget) {
        let Self { field, values, .. } = self;
        values.record += 1;
        let spelling = values.write::<C>(field, value);
        values.add(spelling, records, budget);
    }

    /// Adds what another thread counted.
    pub(super) fn absorb(&mut self, other: Self, budget: &mut Budget) {
        let values = &mut self.values;
        values.uncounted += other.values.uncounted;
        for (text, count) in other.values.counts {
            values.record += 1;
            values.text.clear();
            values.text.push_str(&text);
            values.add(count.spelling, count.records, budget);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.counts.is_empty() && self.values.uncounted == 0
    }

    /// Whether there are values that did not fit.
    pub(super) fn has_uncounted(&self) -> bool {
        self.values.uncounted > 0
    }

    /// The most frequent values; none when no record had one.
    pub(super) fn into_facet(self, values_max: usize) -> Option<Facet> {
        let Values {
            counts, uncounted, ..
        } = self.values;
        if counts.is_empty() && uncounted == 0 {
            return None;
        }
        let mut counts: Vec<(Box<str>, Count)> = counts.into_iter().collect();
        counts.sort_by(|(a, a_count), (b, b_count)| {
            b_count.records.cmp(&a_count.records).then_with(|| a.cmp(b))
        });
        let others = counts.get(values_max..).unwrap_or_default();
        let other_count = uncounted + others.iter().map(|(_, count)| count.records).sum::<u64>();
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

impl Values {
    /// Writes a value as text, and says how the language spells it.
    fn write<C: Storable>(&mut self, field: &Field, value: Value<'_>) -> Spelling {
        let is = |intrinsic| *field == Field::Intrinsic(intrinsic);
        self.text.clear();
        match value {
            // The language has names for ranges of severities.
            Value::Int(number) if is(Intrinsic::Severity) => {
                let level = C::level_of(u8::try_from(number).unwrap_or(0));
                self.text
                    .push_str(C::LEVELS.get(level).copied().unwrap_or_default());
                Spelling::Bare
            }
            Value::Int(number) => {
                // Writing to a string does not fail.
                let _ = write!(self.text, "{number}");
                match is(Intrinsic::Duration) {
                    true => Spelling::Duration,
                    false => Spelling::Bare,
                }
            }
            Value::Double(_) | Value::Bool(_) => {
                self.text.push_str(&value_text(value));
                Spelling::Bare
            }
            Value::Str(_) | Value::Bytes(_) => {
                self.text.push_str(&value_text(value));
                Spelling::Text
            }
        }
    }

    /// Counts the value at hand.
    fn add(&mut self, spelling: Spelling, records: u64, budget: &mut Budget) {
        let Self {
            counts,
            uncounted,
            record,
            text,
        } = self;
        if let Some(count) = counts.get_mut(text.as_str()) {
            count.spelling = count.spelling.min(spelling);
            if count.last_record != *record {
                count.last_record = *record;
                count.records += records;
            }
        } else if budget.take(text.len() as u64 + ENTRY_BYTES) {
            counts.insert(
                text.as_str().into(),
                Count {
                    records,
                    last_record: *record,
                    spelling,
                },
            );
        } else {
            *uncounted += records;
        }
    }
}

fn spelt(text: &str, spelling: Spelling) -> String {
    match spelling {
        Spelling::Bare => text.to_owned(),
        Spelling::Text => Literal::quoted(text).to_string(),
        Spelling::Duration => format!("{text}ns"),
    }
}
