//! A projection answers like the whole row, and the index never denies what a row has.

use std::collections::BTreeSet;

use log_tracer_query::{
    Clause, Field, Intrinsic, Needle, Needs, Record, Value, quote,
    text::{hex, lower, tokens, value_text},
};
use log_tracer_record::{
    ResourceContext, arbitrary,
    otlp::common::{AnyValue, KeyValue, any_value},
};
use proptest::{prelude::*, sample::Index};
use prost::Message;

use super::*;

/// A row whose attributes can be asked for.
pub(super) trait Paths {
    fn attributes(&self) -> Vec<&[KeyValue]>;

    /// The paths that name something.
    fn paths(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::from(["no.such.attribute".to_owned()]);
        for attributes in self.attributes() {
            below(attributes, "", &mut found);
        }
        found
    }
}

impl Paths for SpanRow {
    fn attributes(&self) -> Vec<&[KeyValue]> {
        let scope = self.scope.scope.as_ref();
        let scope = scope.map_or(&[][..], |scope| &scope.attributes);
        vec![
            &self.span.attributes,
            &self.resource.resource.attributes,
            scope,
        ]
    }
}

impl Paths for LogRow {
    fn attributes(&self) -> Vec<&[KeyValue]> {
        let scope = self.scope.scope.as_ref();
        let scope = scope.map_or(&[][..], |scope| &scope.attributes);
        vec![
            &self.record.attributes,
            &self.resource.resource.attributes,
            scope,
        ]
    }
}

fn below(attributes: &[KeyValue], prefix: &str, found: &mut BTreeSet<String>) {
    for attribute in attributes {
        let path = format!("{prefix}{}", attribute.key);
        below_value(attribute.value.as_ref(), &path, found);
        found.insert(path);
    }
}

fn below_value(value: Option<&AnyValue>, path: &str, found: &mut BTreeSet<String>) {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::KvlistValue(map)) => below(&map.values, &format!("{path}."), found),
        Some(any_value::Value::ArrayValue(list)) => {
            list.values
                .iter()
                .for_each(|value| below_value(Some(value), path, found));
        }
        _ => {}
    }
}

fn seen(record: &impl Record, columns: &Columns) -> Vec<String> {
    let mut seen = Vec::new();
    for field in &columns.fields {
        record.any_value(field, &mut |value| {
            seen.push(format!("{field:?} {value:?}"));
            false
        });
    }
    if columns.texts {
        record.any_text(&mut |text| {
            seen.push(text.to_owned());
            false
        });
    }
    seen
}

fn check_projection<C: Storable>(
    rows: &[C::Row],
    picks: &[Index],
    flags: [bool; 5],
) -> Result<(), TestCaseError>
where
    C::Row: Paths,
{
    if rows.is_empty() {
        return Ok(());
    }
    let chunks = [chunk::<C>(3, rows)];
    let order = in_order(&chunks);
    let paths: BTreeSet<String> = rows.iter().flat_map(Paths::paths).collect();
    let fields = Intrinsic::ALL.map(Field::Intrinsic).into_iter();
    let fields: Vec<Field> = fields
        .chain(paths.into_iter().map(Field::Attribute))
        .collect();
    let [texts, keys, levels, resources, traces] = flags;
    let columns = Columns {
        all: false,
        fields: picks
            .iter()
            .map(|pick| fields[pick.index(fields.len())].clone())
            .collect(),
        texts,
        keys,
        levels,
        resources,
        traces,
        flags: traces,
    };
    let (directory, options) = (tempfile::tempdir().unwrap(), small());
    let block = written(directory.path(), 1, &chunks, &options);
    let plans_of = |chunk: &C| -> Vec<_> {
        let paths = columns.fields.iter().filter_map(|field| match field {
            Field::Attribute(path) => Some(path),
            Field::Intrinsic(_) => None,
        });
        paths.map(|path| chunk.plan(path)).collect()
    };
    for (number, piece) in block.pieces().iter().enumerate() {
        let read = block.read(number, &columns).unwrap();
        let plans = plans_of(&read);
        prop_assert_eq!(read.rows(), piece.rows.len());
        prop_assert_eq!(read.bounds(), piece.bounds);
        for (row, in_block) in piece.rows.clone().enumerate() {
            let (chunk, of) = (&chunks[0], order[in_block as usize].1);
            let expected = seen(&chunk.fields(of, &[]), &columns);
            prop_assert_eq!(seen(&read.fields(row, &plans), &columns), expected.clone());
            prop_assert_eq!(seen(&read.fields(row, &[]), &columns), expected);
            prop_assert_eq!(read.time(row), chunk.time(of));
            if keys {
                prop_assert_eq!(read.key(row), chunk.key(of));
            }
            if levels {
                prop_assert_eq!(read.grade(row), chunk.grade(of));
                prop_assert_eq!(read.is_error(row), chunk.is_error(of));
            }
            if resources {
                prop_assert_eq!(read.service(row), chunk.service(of));
                // As bytes: a number that is none is not equal to itself.
                let bytes = |resource: &ResourceContext| {
                    let encoded = resource.resource.encode_to_vec();
                    (encoded, resource.schema_url.clone())
                };
                let (found, expected) = (read.resources().of(row), chunk.resources().of(of));
                prop_assert_eq!(bytes(found), bytes(expected));
            }
        }
        if traces {
            for id in read.traces().ids() {
                let rows = read
                    .traces()
                    .rows_of(*id)
                    .iter()
                    .map(|row| row + piece.rows.start);
                let of_block = block.rows_of_trace(*id).unwrap();
                let of_block = of_block.into_iter().filter(|row| piece.rows.contains(row));
                prop_assert_eq!(rows.collect::<Vec<_>>(), of_block.collect::<Vec<_>>());
            }
        }
    }
    Ok(())
}

/// Everything that an index can be asked of a record, and that it has.
pub(super) fn needles(record: &impl Record, paths: &BTreeSet<String>) -> Vec<Needle> {
    let mut needles = Vec::new();
    let first = |text: &str| text.chars().take(2).collect::<String>();
    let fields = Intrinsic::ALL.map(Field::Intrinsic).into_iter();
    for field in fields.chain(paths.iter().cloned().map(Field::Attribute)) {
        record.any_value(&field, &mut |value| {
            let text = value_text(value);
            needles.push(Needle::Present(field.clone()));
            needles.push(Needle::Value(field.clone(), lower(&text).into_owned()));
            needles.push(Needle::ValuePrefix(field.clone(), first(&lower(&text))));
            for token in tokens(&text) {
                needles.push(Needle::TokenPrefix(Some(field.clone()), first(&token)));
                needles.push(Needle::Token(Some(field.clone()), token.into_owned()));
            }
            use Intrinsic::{Duration, ParentId, Severity, SpanId, Time, TraceId};
            match (&field, value) {
                (Field::Intrinsic(of @ (TraceId | SpanId | ParentId)), Value::Bytes(id)) => {
                    needles.push(Needle::Id(*of, id.to_vec()));
                    needles.push(Needle::IdPrefix(*of, hex(id)[..3].to_owned()));
                }
                (Field::Intrinsic(of @ (Time | Duration | Severity)), Value::Int(number)) => {
                    needles.push(Needle::Within(*of, number, number));
                }
                _ => {}
            }
            false
        });
    }
    record.any_text(&mut |text| {
        for token in tokens(text) {
            needles.push(Needle::TokenPrefix(None, first(&token)));
            needles.push(Needle::Token(None, token.into_owned()));
        }
        false
    });
    needles
}

/// The needs of a needle, and of the range that goes with it.
fn needs_of(needle: &Needle) -> Needs {
    let mut needs = Needs {
        clauses: vec![Clause {
            any_of: BTreeSet::from([needle.clone()]),
        }],
        ..Needs::default()
    };
    match needle {
        Needle::Within(Intrinsic::Time, first, last) => needs.time = Some(*first..=*last),
        Needle::Within(Intrinsic::Duration, first, last) => needs.duration = Some(*first..=*last),
        Needle::Within(Intrinsic::Severity, first, last) => needs.severity = Some(*first..=*last),
        _ => {}
    }
    needs
}

fn check_admits<C: Storable>(rows: &[C::Row]) -> Result<(), TestCaseError>
where
    C::Row: Paths,
{
    if rows.is_empty() {
        return Ok(());
    }
    let chunks = [chunk::<C>(0, rows)];
    let order = in_order(&chunks);
    let (directory, options) = (tempfile::tempdir().unwrap(), small());
    let block = written(directory.path(), 1, &chunks, &options);
    for (number, piece) in block.pieces().iter().enumerate() {
        for row in piece.rows.clone() {
            let row = order[row as usize].1;
            let record = chunks[0].fields(row, &[]);
            for needle in needles(&record, &rows[row].paths()) {
                let needs = needs_of(&needle);
                prop_assert!(needs.admit(&record), "{:?} is of the record", needle);
                prop_assert!(
                    block.admits(number, &needs).unwrap(),
                    "{:?} is denied",
                    needle
                );
                if let Needle::Value(field, text) = &needle {
                    check_query(&block, number, &record, &format!("{field}:{}", quote(text)))?;
                    check_query(
                        &block,
                        number,
                        &record,
                        &format!("{field}>={}", quote(text)),
                    )?;
                }
                if let Needle::Token(None, token) = &needle {
                    check_query(&block, number, &record, &quote(token))?;
                }
            }
        }
    }
    Ok(())
}

/// A query that a row matches is admitted.
fn check_query<C: Storable>(
    block: &Block<C>,
    piece: usize,
    record: &impl Record,
    text: &str,
) -> Result<(), TestCaseError> {
    let Ok(query) = log_tracer_query::parse(text) else {
        return Ok(());
    };
    if query.matches(record) {
        prop_assert!(
            block.admits(piece, &query.needs()).unwrap(),
            "{} is denied",
            text
        );
    }
    Ok(())
}

fn picks() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..4)
}

pub(super) fn odd_spans() -> impl Strategy<Value = Vec<SpanRow>> {
    arbitrary::resource_spans().prop_map(log_tracer_record::span_rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn some_columns_of_spans_answer_like_all(rows in odd_spans(), picks in picks(), flags in any::<[bool; 5]>()) {
        check_projection::<SpanChunk>(&rows, &picks, flags)?;
    }

    #[test]
    fn some_columns_of_log_records_answer_like_all(
        rows in arbitrary::log_rows(),
        picks in picks(),
        flags in any::<[bool; 5]>(),
    ) {
        check_projection::<LogChunk>(&rows, &picks, flags)?;
    }

    #[test]
    fn what_a_span_has_is_never_denied(rows in odd_spans()) {
        check_admits::<SpanChunk>(&rows)?;
    }

    #[test]
    fn what_a_log_record_has_is_never_denied(rows in arbitrary::log_rows()) {
        check_admits::<LogChunk>(&rows)?;
    }
}

#[test]
fn a_word_of_an_attribute_that_the_resource_has_too_is_found() {
    let pair = |text: &str| KeyValue {
        key: "zone".to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(text.to_owned())),
        }),
        ..KeyValue::default()
    };
    let mut row = LogRow {
        resource: Arc::default(),
        scope: Arc::default(),
        record: Default::default(),
    };
    let mut resource = row.resource.resource.clone();
    resource.attributes = vec![pair("EU west 12345")];
    row.resource = Arc::new(log_tracer_record::ResourceContext::new(
        resource,
        String::new(),
    ));
    let of_resource = row.clone();
    row.record.attributes = vec![pair("EU west 12345")];
    let directory = tempfile::tempdir().unwrap();
    let admitted = |id, rows: &[LogRow], query: &str| {
        let block = written(
            directory.path(),
            id,
            &[chunk::<LogChunk>(0, rows)],
            &small(),
        );
        let needs = log_tracer_query::parse(query).unwrap().needs();
        block.admits(0, &needs).unwrap()
    };
    assert!(admitted(1, &[of_resource.clone(), row.clone()], "west"));
    assert!(admitted(
        2,
        std::slice::from_ref(&of_resource),
        "zone:\"eu west 12345\""
    ));
    assert!(admitted(3, &[row], "zone:\"eu west 12345\""));
    assert!(
        !admitted(4, &[of_resource], "west"),
        "words of resources are not searched"
    );
}
