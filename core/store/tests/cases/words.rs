//! Words and values in blocks and in memory: what is found is what a look at every row finds, in any script.

use std::sync::Arc;

use log_tracer_query::{Query, parse};
use log_tracer_record::{
    LogRow,
    otlp::{
        common::{AnyValue, KeyValue},
        logs::LogRecord,
    },
};
use log_tracer_store::{Config, LogFields, LogSearch, Stop, Store, TimeRange};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::build::{at, text, write_out};

/// What texts are put together from, and queries too.
const PARTS: [&str; 24] = [
    "Order",
    "order-4711",
    "user_12",
    "ÄRGER",
    "ärger",
    "İstanbul",
    "注文完了",
    "ログ",
    "한국어",
    "สวัสดี",
    "/api/v2/cart",
    "id=77",
    "10.1.2.3",
    "2026-11-26T20:59:35Z",
    "3.14",
    "0x7f",
    "404",
    "a",
    "café",
    "cafe\u{301}",
    "e-mail",
    "C++",
    "😀",
    "don't",
];

fn sentence() -> impl Strategy<Value = String> {
    let separator = select(vec![" ", "", "-", ", ", "\t", "/"]);
    vec((select(&PARTS[..]), separator), 1..5).prop_map(|parts| {
        let parts = parts
            .iter()
            .flat_map(|(part, separator)| [*part, *separator]);
        parts.collect()
    })
}

fn row() -> impl Strategy<Value = LogRow> {
    let value = || prop::option::of(sentence());
    (sentence(), value(), value()).prop_map(|(body, id, note)| {
        let any = |value: String| AnyValue {
            value: Some(text(&value)),
        };
        let pair = |key: &str, value: Option<String>| {
            value.map(|value| KeyValue {
                key: key.to_owned(),
                value: Some(any(value)),
                ..KeyValue::default()
            })
        };
        LogRow {
            resource: Arc::default(),
            scope: Arc::default(),
            record: LogRecord {
                body: Some(any(body)),
                attributes: pair("id", id)
                    .into_iter()
                    .chain(pair("note", note))
                    .collect(),
                ..LogRecord::default()
            },
        }
    })
}

/// Words and values that some rows have, in another case, and some that none has.
fn query() -> impl Strategy<Value = Query> {
    let of_text = (sentence(), 0..6_usize, 0..3_usize).prop_map(|(text, form, case)| {
        let text = match case {
            0 => text,
            1 => text.to_lowercase(),
            _ => text.to_uppercase(),
        };
        let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        match form {
            0 | 1 => quoted,
            2 => format!("id:{quoted}"),
            3 => format!("note={quoted}"),
            4 => format!("body:{quoted}"),
            _ => format!("-{quoted}"),
        }
    });
    let part = select(&PARTS[..]).prop_map(|part| format!("\"{part}\""));
    prop_oneof![of_text, part, Just("nosuchword".to_owned())]
        .prop_filter_map("no query", |text| parse(&text).ok())
}

fn search(store: &Store, query: &Query) -> Vec<u64> {
    let search = LogSearch {
        query: query.clone(),
        range: TimeRange::ALL,
        limit: 1000,
        bytes_max: u64::MAX,
        after: None,
        oldest_first: true,
    };
    let found = store.search_logs(&search, &Stop::never());
    assert!(!found.coverage.partial, "{:?}", found.coverage);
    found.hits.iter().map(|hit| hit.key.offset).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_search_finds_in_blocks_and_in_memory_what_a_look_at_every_row_finds(
        rows in vec(row(), 1..60),
        queries in vec(query(), 1..24),
        on_disk in 0..60_usize,
        chunk_rows_max in 1..6_u32,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            chunk_rows_max,
            retention_age_max_ms: u64::MAX,
            ..Config::default()
        };
        let (store, _) = Store::open(config, directory.path()).unwrap();
        for (offset, row) in (0..).zip(&rows) {
            if offset == on_disk / 2 || offset == on_disk {
                write_out(&store);
            }
            let mut row = row.clone();
            row.record.time_unix_nano = 1000 + offset as u64;
            store.apply_logs(at(offset as u64), &[row]);
        }
        for query in &queries {
            let expected = (0..).zip(&rows).filter(|(_, row)| query.matches(&LogFields(row)));
            let expected: Vec<u64> = expected.map(|(offset, _)| offset).collect();
            prop_assert_eq!(search(&store, query), expected, "{}", query);
        }
    }
}
