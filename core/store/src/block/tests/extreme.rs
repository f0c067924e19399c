//! Rows that are larger, more varied or stranger than any that a sender should send.

use log_tracer_query::Field;
use log_tracer_record::otlp::{
    common::{AnyValue, KeyValue, any_value::Value},
    logs::LogRecord,
    trace::Span,
};

use super::*;
use crate::Stop;

fn text(text: String) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Value::StringValue(text)),
    })
}

fn log(time: u64, body: &str, attributes: Vec<KeyValue>) -> LogRow {
    LogRow {
        resource: Arc::default(),
        scope: Arc::default(),
        record: LogRecord {
            time_unix_nano: time,
            body: text(body.to_owned()),
            attributes,
            ..LogRecord::default()
        },
    }
}

fn pair(key: String, value: i64) -> KeyValue {
    KeyValue {
        key,
        value: Some(AnyValue {
            value: Some(Value::IntValue(value)),
        }),
        ..KeyValue::default()
    }
}

/// Rows with ascending times come back in their order.
fn comes_back<C: Storable>(rows: &[C::Row], options: &Options) -> Block<C>
where
    C::Row: Bits,
{
    let directory = tempfile::tempdir().unwrap();
    let block = written(directory.path(), 1, &[chunk::<C>(0, rows)], options);
    let mut row = 0;
    for piece in 0..block.pieces().len() {
        let read = block.read(piece, &Columns::all()).unwrap();
        for in_piece in 0..read.rows() {
            assert_eq!(read.row(in_piece).bits(), rows[row].bits(), "row {row}");
            row += 1;
        }
    }
    assert_eq!(row, rows.len());
    assert_whole(directory.path(), &block);
    block.delete().unwrap();
    block
}

fn default_options() -> Options {
    Options::new(&BlockCache::new(8 << 20))
}

#[test]
fn a_block_without_rows_is_refused_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let error =
        write::<LogChunk>(directory.path(), BlockId(1), &[], ARRIVAL, &small()).unwrap_err();
    assert!(matches!(error, BlockError::Unwritable { .. }), "{error}");
    let stop = Stop::never();
    let error = merge::<LogChunk>(directory.path(), BlockId(1), &[], &small(), &stop).unwrap_err();
    assert!(matches!(error, BlockError::Unwritable { .. }), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_body_of_ten_megabytes_comes_back() {
    let body = "word ".repeat(2 << 20);
    let rows = [
        log(1, "before", vec![]),
        log(2, &body, vec![]),
        log(3, "after", vec![]),
    ];
    let mut options = default_options();
    options.settings.piece_bytes = 1 << 20;
    let block = comes_back::<LogChunk>(&rows, &options);
    assert_eq!(block.pieces().len(), 3, "large rows do not share a piece");
}

#[test]
fn a_row_of_a_thousand_attributes_comes_back_among_others() {
    let many = (0..1000)
        .map(|number| pair(format!("key.{number}"), number))
        .collect();
    let mut rows: Vec<LogRow> = (0..100).map(|time| log(time, "line", vec![])).collect();
    rows.push(log(100, "many", many));
    let block = comes_back::<LogChunk>(&rows, &default_options());
    let columns = Columns {
        fields: [Field::Attribute("key.999".to_owned())].into(),
        ..Columns::default()
    };
    let read = block.take(&[99, 100], &columns).unwrap();
    let value = |row| {
        let mut found = None;
        log_tracer_query::Record::any_value(
            &read.fields(row, &[]),
            &Field::Attribute("key.999".to_owned()),
            &mut |value| {
                found = Some(format!("{value:?}"));
                true
            },
        );
        found
    };
    assert_eq!((value(0), value(1).as_deref()), (None, Some("Int(999)")));
}

#[test]
fn ten_thousand_keys_make_no_more_columns_than_the_limit() {
    let row = |number: u64| {
        let keys = number * 10..number * 10 + 10;
        log(
            number,
            "line",
            keys.map(|key| pair(format!("key.{key}"), 1)).collect(),
        )
    };
    let rows: Vec<LogRow> = (0..1000).map(row).collect();
    let mut options = default_options();
    options.settings.promote_one_in = u32::MAX;
    let block = comes_back::<LogChunk>(&rows, &options);
    let footer = block.footer(&block.verified().unwrap()).unwrap();
    assert_eq!(footer.schema.attributes().count(), 256);
}

#[test]
fn keys_that_differ_only_in_case_and_types_that_share_a_key_have_names_of_their_own() {
    let mut attributes = vec![
        pair("A".to_owned(), 1),
        pair("a".to_owned(), 2),
        pair("a:text".to_owned(), 3),
    ];
    attributes.push(KeyValue {
        key: "a".to_owned(),
        value: text("x".to_owned()),
        ..KeyValue::default()
    });
    let rows = [
        log(1, "line", attributes),
        log(2, "line", vec![pair("a".to_owned(), 5)]),
    ];
    let block = comes_back::<LogChunk>(&rows, &default_options());
    let footer = block.footer(&block.verified().unwrap()).unwrap();
    let columns = footer
        .schema
        .columns
        .iter()
        .filter(|column| column.key.is_some());
    let names: Vec<_> = columns.map(|column| column.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "attributes.A",
            "attributes.a:text",
            "attributes.a#2",
            "attributes.a:text#2"
        ]
    );
}

#[test]
fn spans_without_a_valid_id_and_at_the_ends_of_time_come_back() {
    let row = |number: u64, start, end| SpanRow {
        resource: Arc::default(),
        scope: Arc::default(),
        span: Span {
            trace_id: vec![0; 16].into(),
            span_id: vec![number as u8; 3].into(),
            parent_span_id: vec![0; 8].into(),
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            ..Span::default()
        },
    };
    let rows = [
        row(1, 0, u64::MAX),
        row(2, 0, 0),
        row(3, 5, 4),
        row(4, i64::MAX as u64 + 7, 3),
        row(5, u64::MAX, 0),
        row(6, u64::MAX, u64::MAX),
    ];
    let block = comes_back::<SpanChunk>(&rows, &small());
    assert!(block.traces().unwrap().is_empty());
    assert_eq!((block.bounds().first, block.bounds().last), (0, u64::MAX));
}
