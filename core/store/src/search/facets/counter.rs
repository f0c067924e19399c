//! Counts the values of one field.
//!
//! When there is no more room for another value, the rarer half of them leaves: the count of the value in the middle is
//! taken off every count, and those that come to nothing are forgotten. So a count is too low by at most what was taken
//! off in all, and no value that more records have than that is missing. What is taken off of n counted values in a table
//! with room for k is no more than about 2n/k (Misra and Gries, "Finding repeated elements", 1982, with many decrements
//! at once).

use std::{fmt::Write, mem};

use hashbrown::HashMap;
use log_tracer_query::{Field, Intrinsic, Literal, Record, Value, text::value_text};

use super::{Facet, FacetValue};
use crate::{block::Storable, chunk::FieldPlan};

/// The bytes that the values of all fields may take: half of them in equal shares, so that no field drives out another,
/// and half for whoever comes first.
#[derive(Debug)]
pub(super) struct Budget {
    share: u64,
    left: u64,
}

impl Budget {
    pub(super) fn new(bytes: u64, fields: usize) -> Self {
        Self {
            share: bytes / 2 / (fields as u64).max(1),
            left: bytes / 2,
        }
    }

    /// Whether a field may grow. A field may always shrink.
    fn moves(&mut self, from: u64, to: u64) -> bool {
        let beyond = |bytes: u64| bytes.saturating_sub(self.share);
        match (self.left + beyond(from)).checked_sub(beyond(to)) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
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
    /// Bytes that they take.
    bytes: u64,
    /// Of all values, kept or not: the records that have it, added up.
    total: u64,
    /// What was taken off each count.
    taken_off: u64,
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
        let mut add = |value: Value<'_>| {
            let spelling = values.write::<C>(field, value);
            values.add(spelling, records, budget);
            false
        };
        match plan.as_slice() {
            // The most there is to count, so that nothing else is looked at.
            [plan] if plan.is_of_attributes_only() => {
                chunk.attributes().any_planned(row, plan, &mut add);
            }
            plans => {
                chunk.fields(row, plans).any_value(field, &mut add);
            }
        }
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
        let total = values.total + other.values.total;
        for (text, count) in other.values.counts {
            values.record += 1;
            values.text.clear();
            values.text.push_str(&text);
            values.add(count.spelling, count.records, budget);
        }
        values.total = total;
        values.taken_off += other.values.taken_off;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.total == 0
    }

    /// By how much a count can be too low; a value that no more records have can be missing.
    pub(super) fn count_error(&self) -> u64 {
        self.values.taken_off
    }

    /// The most frequent values; none when no record had one.
    pub(super) fn into_facet(self, values_max: usize) -> Option<Facet> {
        let Values { counts, total, .. } = self.values;
        if total == 0 {
            return None;
        }
        let mut counts: Vec<(Box<str>, Count)> = counts.into_iter().collect();
        counts.sort_by(|(a, a_count), (b, b_count)| {
            b_count.records.cmp(&a_count.records).then_with(|| a.cmp(b))
        });
        counts.truncate(values_max);
        let listed: u64 = counts.iter().map(|(_, count)| count.records).sum();
        let value = |(text, count): (Box<str>, Count)| FacetValue {
            value: spelt(&text, count.spelling),
            count: count.records,
        };
        let values = counts.into_iter().map(value).collect();
        Some(Facet {
            field: self.field.to_string(),
            values,
            other_count: total.saturating_sub(listed),
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
        if let Some(count) = self.counts.get_mut(self.text.as_str()) {
            count.spelling = count.spelling.min(spelling);
            if count.last_record != self.record {
                count.last_record = self.record;
                count.records += records;
                self.total += records;
            }
            return;
        }
        self.total += records;
        let text: Box<str> = self.text.as_str().into();
        let after = self.bytes + entry_bytes(&text);
        let has_room = budget.moves(self.bytes, after);
        let count = Count {
            records,
            last_record: self.record,
            spelling,
        };
        self.counts.insert(text, count);
        if has_room {
            self.bytes = after;
        } else {
            self.shrink(budget);
        }
    }

    /// Forgets the rarer half, and more of them until the rest has room.
    fn shrink(&mut self, budget: &mut Budget) {
        loop {
            let mut counts: Vec<u64> = self.counts.values().map(|count| count.records).collect();
            let middle = counts.len() / 2;
            let Some((_, less, _)) =
                (!counts.is_empty()).then(|| counts.select_nth_unstable(middle))
            else {
                break;
            };
            let less = *less;
            self.taken_off += less;
            self.counts.retain(|_, count| {
                count.records = count.records.saturating_sub(less);
                count.records > 0
            });
            let bytes = self.counts.keys().map(|text| entry_bytes(text)).sum();
            if budget.moves(self.bytes, bytes) {
                self.bytes = bytes;
                break;
            }
        }
    }
}

fn entry_bytes(text: &str) -> u64 {
    text.len() as u64 + ENTRY_BYTES
}

fn spelt(text: &str, spelling: Spelling) -> String {
    match spelling {
        Spelling::Bare => text.to_owned(),
        Spelling::Text => Literal::quoted(text).to_string(),
        Spelling::Duration => format!("{text}ns"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn count(values: &mut Values, text: &str, records: u64, budget: &mut Budget) {
        values.record += 1;
        values.text.clear();
        values.text.push_str(text);
        values.add(Spelling::Text, records, budget);
    }

    /// Bytes of an entry with a text of two letters.
    const ENTRY: u64 = ENTRY_BYTES + 2;

    proptest! {
        #[test]
        fn counts_are_too_low_by_no_more_than_is_said_and_heavy_values_stay(
            parts in vec(vec((0..60_u64, 1..20_u64), 0..200), 1..4),
            room in 4..80_u64,
        ) {
            let counter = || Counter::new(Field::named("k"));
            let mut all = counter();
            let mut of_all = Budget::new(room * ENTRY, 1);
            let mut expected: BTreeMap<String, u64> = BTreeMap::new();
            for part in parts {
                let mut of_part = Budget::new(room * ENTRY, 1);
                let mut one = counter();
                for (value, records) in part {
                    // Half of all records have one of five values.
                    let text = format!("{:02}", if value < 30 { value % 5 } else { value });
                    count(&mut one.values, &text, records, &mut of_part);
                    *expected.entry(text).or_default() += records;
                    prop_assert!(one.values.counts.len() as u64 <= room);
                }
                all.absorb(one, &mut of_all);
                prop_assert!(all.values.counts.len() as u64 <= room);
            }
            let error = all.count_error();
            let total: u64 = expected.values().sum();
            prop_assert_eq!(all.values.total, total);
            prop_assert!(error == 0 || expected.len() as u64 > room);
            // Of each part, and of what is left when they are added.
            prop_assert!(error <= 4 * total / room + 4, "{} of {}", error, total);
            for (text, records) in expected {
                let found = all.values.counts.get(text.as_str()).map_or(0, |count| count.records);
                prop_assert!(found <= records && records <= found + error, "{} of {}", found, records);
            }
        }
    }

    #[test]
    fn a_field_with_many_values_leaves_room_for_the_others() {
        let mut budget = Budget::new(40 * ENTRY, 2);
        let (mut many, mut few) = (Values::default(), Values::default());
        for number in 0..1000 {
            count(&mut many, &number.to_string(), 1, &mut budget);
        }
        for text in ["aa", "bb", "cc"] {
            count(&mut few, text, 7, &mut budget);
        }
        assert_eq!((few.counts.len(), few.taken_off), (3, 0));
        assert!(many.taken_off > 0 && many.bytes <= 30 * ENTRY);
    }

    #[test]
    fn a_text_larger_than_all_room_is_not_kept() {
        let mut budget = Budget::new(10 * ENTRY, 1);
        let mut values = Values::default();
        count(&mut values, &"x".repeat(5000), 3, &mut budget);
        assert_eq!((values.counts.len(), values.bytes), (0, 0));
        assert_eq!((values.total, values.taken_off), (3, 3));
        count(&mut values, "aa", 1, &mut budget);
        assert_eq!(values.counts.len(), 1);
    }
}
