//! A row of a chunk must be what came in: the same message, and the same to a query.

use std::collections::BTreeSet;

use log_tracer_query::{Field, Intrinsic, Record};
use log_tracer_record::{
    LogRow, SpanRow, arbitrary,
    otlp::common::{AnyValue, KeyValue, any_value},
};
use proptest::prelude::*;
use prost::Message;

use super::{Chunk, ChunkBuilder, LogChunk, SpanChunk};
use crate::{LogFields, Origin, SpanFields};

/// The rows as a frozen chunk, and as a snapshot of an open one.
fn chunks<C: Chunk>(rows: &[C::Row]) -> [C; 2] {
    let mut builder = C::Builder::default();
    for (index, row) in (0..).zip(rows) {
        builder.append(
            Origin {
                partition: 3,
                offset: 5,
            },
            index,
            row,
        );
    }
    builder.release();
    let snapshot = builder.snapshot();
    [builder.freeze(), snapshot]
}

/// All that a query can see of a record.
fn seen(record: &impl Record, paths: &BTreeSet<String>) -> Vec<String> {
    let mut seen = Vec::new();
    let attributes = paths.iter().map(|path| Field::Attribute(path.clone()));
    for field in Intrinsic::ALL
        .map(Field::Intrinsic)
        .into_iter()
        .chain(attributes)
    {
        record.any_value(&field, &mut |value| {
            seen.push(format!("{field:?} {value:?}"));
            false
        });
    }
    record.any_text(&mut |text| {
        seen.push(text.to_owned());
        false
    });
    seen
}

/// The paths that name something, and some that do not.
fn paths(attributes: &[KeyValue], prefix: &str, found: &mut BTreeSet<String>) {
    for attribute in attributes {
        let path = format!("{prefix}{}", attribute.key);
        let value = attribute.value.as_ref();
        below(value, &path, found);
        found.insert(format!("{path}."));
        found.insert(path);
    }
}

fn below(value: Option<&AnyValue>, path: &str, found: &mut BTreeSet<String>) {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::KvlistValue(map)) => paths(&map.values, &format!("{path}."), found),
        Some(any_value::Value::ArrayValue(list)) => {
            list.values
                .iter()
                .for_each(|value| below(Some(value), path, found));
        }
        _ => {}
    }
}

fn shared_paths(resource: &[KeyValue], scope: Option<&[KeyValue]>) -> BTreeSet<String> {
    let mut found = BTreeSet::from(["no.such.attribute".to_owned(), String::new()]);
    paths(resource, "", &mut found);
    paths(scope.unwrap_or_default(), "", &mut found);
    found
}

fn span_paths(row: &SpanRow) -> BTreeSet<String> {
    let scope = row
        .scope
        .scope
        .as_ref()
        .map(|scope| scope.attributes.as_slice());
    let mut found = shared_paths(&row.resource.resource.attributes, scope);
    paths(&row.span.attributes, "", &mut found);
    found
}

fn log_paths(row: &LogRow) -> BTreeSet<String> {
    let scope = row
        .scope
        .scope
        .as_ref()
        .map(|scope| scope.attributes.as_slice());
    let mut found = shared_paths(&row.resource.resource.attributes, scope);
    paths(&row.record.attributes, "", &mut found);
    found
}

/// Everything of a row as bytes: unlike `==`, this holds of a number that is not a number, too.
fn span_bytes(row: &SpanRow) -> [Vec<u8>; 5] {
    let scope = row.scope.scope.as_ref();
    [
        row.span.encode_to_vec(),
        row.resource.resource.encode_to_vec(),
        row.resource.schema_url.clone().into_bytes(),
        scope
            .map(Message::encode_length_delimited_to_vec)
            .unwrap_or_default(),
        row.scope.schema_url.clone().into_bytes(),
    ]
}

fn log_bytes(row: &LogRow) -> [Vec<u8>; 5] {
    let (resource, scope) = (row.resource.clone(), row.scope.clone());
    let [_, resource, resource_url, scope, scope_url] = span_bytes(&SpanRow {
        resource,
        scope,
        span: Default::default(),
    });
    [
        row.record.encode_to_vec(),
        resource,
        resource_url,
        scope,
        scope_url,
    ]
}

/// Valid spans, and such as a validating receiver would not let in.
fn any_span_rows() -> impl Strategy<Value = Vec<SpanRow>> {
    let odd = arbitrary::resource_spans().prop_map(log_tracer_record::span_rows);
    prop_oneof![arbitrary::span_rows(), odd]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn spans_come_back_bit_by_bit_and_look_the_same_to_a_query(rows in any_span_rows()) {
        for chunk in chunks::<SpanChunk>(&rows) {
            prop_assert_eq!(chunk.rows(), rows.len());
            for (row, came) in rows.iter().enumerate() {
                prop_assert_eq!(span_bytes(&chunk.row(row)), span_bytes(came));
                prop_assert_eq!(chunk.service(row), came.service());
                let paths = span_paths(came);
                let plans: Vec<_> = paths.iter().map(|path| chunk.plan(path)).collect();
                let planned = chunk.fields(row, &plans);
                prop_assert_eq!(seen(&planned, &paths), seen(&SpanFields(came), &paths));
                let unplanned = chunk.fields(row, &[]);
                prop_assert_eq!(seen(&unplanned,&paths), seen(&SpanFields(came), &paths));
            }
        }
    }

    #[test]
    fn log_records_come_back_bit_by_bit_and_look_the_same_to_a_query(rows in arbitrary::log_rows()) {
        for chunk in chunks::<LogChunk>(&rows) {
            prop_assert_eq!(chunk.rows(), rows.len());
            for (row, came) in rows.iter().enumerate() {
                prop_assert_eq!(log_bytes(&chunk.row(row)), log_bytes(came));
                prop_assert_eq!(chunk.service(row), came.service());
                let paths = log_paths(came);
                let plans: Vec<_> = paths.iter().map(|path| chunk.plan(path)).collect();
                let planned = chunk.fields(row, &plans);
                prop_assert_eq!(seen(&planned, &paths), seen(&LogFields(came), &paths));
                let unplanned = chunk.fields(row, &[]);
                prop_assert_eq!(seen(&unplanned, &paths), seen(&LogFields(came), &paths));
            }
        }
    }

    #[test]
    fn a_builder_never_holds_more_than_it_says(rows in any_span_rows(), logs in arbitrary::log_rows()) {
        check_bytes::<SpanChunk>(&rows)?;
        check_bytes::<LogChunk>(&logs)?;
    }
}

/// What a table adds for each chunk: buffers are whole cache lines, whatever is in them.
const CHUNK_BYTES_MIN: usize = 16 << 10;

fn check_bytes<C: Chunk>(rows: &[C::Row]) -> Result<(), TestCaseError> {
    let mut builder = C::Builder::default();
    let mut contexts = 0;
    for (index, row) in (0..).zip(rows) {
        let before = builder.bytes();
        builder.append(
            Origin {
                partition: 0,
                offset: 0,
            },
            index,
            row,
        );
        let grown = builder.bytes() - before;
        contexts += grown.saturating_sub(C::Builder::bytes_max_of(row));
    }
    let said = builder.bytes();
    let chunk = builder.freeze();
    prop_assert!(
        chunk.bytes() <= said + CHUNK_BYTES_MIN,
        "{} are more than {said}",
        chunk.bytes()
    );
    prop_assert!(
        contexts <= chunk.resources().bytes() * 2 + 4096,
        "{contexts} bytes are of no resource or scope"
    );
    Ok(())
}
