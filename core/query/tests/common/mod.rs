//! Records in memory, and random queries and records that have something to do with one another.
#![allow(dead_code)] // each test file uses its part

pub(crate) mod generate;
pub(crate) mod reference;

use std::collections::BTreeMap;

use log_tracer_query::{Field, Intrinsic, Record, Value, parse};

/// A value that owns its data.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    Str(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    Bytes(Vec<u8>),
}

impl Owned {
    pub(crate) fn borrowed(&self) -> Value<'_> {
        match self {
            Owned::Str(text) => Value::Str(text),
            Owned::Int(number) => Value::Int(*number),
            Owned::Double(number) => Value::Double(*number),
            Owned::Bool(flag) => Value::Bool(*flag),
            Owned::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

/// A record as a table of its values.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestRecord {
    pub(crate) values: BTreeMap<Field, Vec<Owned>>,
    pub(crate) texts: Vec<String>,
}

impl TestRecord {
    pub(crate) fn attribute(mut self, key: &str, value: Owned) -> Self {
        self.values
            .entry(Field::Attribute(key.to_owned()))
            .or_default()
            .push(value);
        self
    }

    pub(crate) fn intrinsic(mut self, field: Intrinsic, value: Owned) -> Self {
        self.values
            .entry(Field::Intrinsic(field))
            .or_default()
            .push(value);
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.texts.push(text.to_owned());
        self
    }
}

impl Record for TestRecord {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        self.values
            .get(field)
            .is_some_and(|values| values.iter().any(|value| visit(value.borrowed())))
    }

    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.texts.iter().any(|text| visit(text))
    }
}

pub(crate) fn text(value: &str) -> Owned {
    Owned::Str(value.to_owned())
}

/// Asserts that the record matches the first queries and not the second.
pub(crate) fn check(record: &TestRecord, matching: &[&str], others: &[&str]) {
    for (queries, expected) in [(matching, true), (others, false)] {
        for query in queries {
            let parsed = parse(query).unwrap_or_else(|error| panic!("{}", error.render()));
            assert_eq!(parsed.matches(record), expected, "{query} of {record:?}");
        }
    }
}

pub(crate) fn with(key: &str, value: Owned) -> TestRecord {
    TestRecord::default().attribute(key, value)
}
