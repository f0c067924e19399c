//! Pages to the end in both directions, over blocks of many pieces and memory at once: what they hold together is what a
//! look at every row finds, in the same order, whatever the limit.

use std::cmp::Reverse;

use log_tracer_query::{Query, parse};
use log_tracer_record::{LogRow, otlp::common::any_value::Value};
use log_tracer_store::{
    Hit, LogFields, LogSearch, Origin, RecordKey, Stop, Store, TimeRange, TraceOrder,
};

use crate::build::{at, durable_store, log, pair, span, store, text, traces_of, write_out};

const BLOCKS: u64 = 3;
const BATCHES: u64 = 12;
const BATCH_ROWS: u64 = 500;

/// Times that many records share, and that all blocks have.
fn time_of(number: u64) -> u64 {
    1000 + number * 7919 % 6000 / 4
}

fn row(number: u64) -> LogRow {
    let time = time_of(number);
    let mut row = log(time, "a line of many");
    row.record.severity_number = if number.is_multiple_of(50) { 17 } else { 9 };
    row.record.attributes = vec![
        pair("n", Value::IntValue(number.cast_signed())),
        pair("third", Value::BoolValue(number.is_multiple_of(3))),
        // Of few neighbours.
        pair("part", text(&format!("part-{}", time / 100))),
    ];
    if number.is_multiple_of(6007) {
        row.record.attributes.push(pair("note", text("zephyr")));
    }
    row
}

/// Rows of three blocks and of memory, and the same in a list, the oldest first.
fn rows() -> (Store, tempfile::TempDir, Vec<Hit<LogRow>>) {
    let (store, directory) = durable_store();
    let mut all = Vec::new();
    for batch in 0..(BLOCKS * BATCHES + 3) {
        // What came first does not have the least key.
        let origin = Origin {
            partition: (batch % 3) as u16,
            offset: batch / 3,
        };
        let rows: Vec<LogRow> = (batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS)
            .map(row)
            .collect();
        store.apply_logs(origin, &rows);
        let hit = |(index, row): (u32, LogRow)| Hit {
            key: RecordKey::new(row.time_unix_nano(), origin, index),
            row,
        };
        all.extend((0..).zip(rows).map(hit));
        if (batch + 1) % BATCHES == 0 {
            write_out(&store);
        }
    }
    assert!(store.stats().logs.rows > 0 && store.stats().logs.block_rows > 0);
    all.sort_by_key(|hit| hit.key);
    (store, directory, all)
}

fn expected<'a>(all: &'a [Hit<LogRow>], query: &Query, search: &LogSearch) -> Vec<&'a Hit<LogRow>> {
    let is_asked = |hit: &&Hit<LogRow>| {
        search.range.contains(hit.key.time_unix_nano) && query.matches(&LogFields(&hit.row))
    };
    let mut expected: Vec<&Hit<LogRow>> = all.iter().filter(is_asked).collect();
    if !search.oldest_first {
        expected.reverse();
    }
    expected
}

#[test]
fn pages_in_both_directions_are_together_what_a_look_at_every_row_finds() {
    let (store, _directory, all) = rows();
    let some = TimeRange {
        start_unix_nano: 1333,
        end_unix_nano: Some(2048),
    };
    for (query, limit, range) in [
        ("", 2500, TimeRange::ALL),
        (
            "",
            7,
            TimeRange {
                end_unix_nano: Some(1012),
                ..TimeRange::ALL
            },
        ),
        ("many", 1999, some),
        ("severity>=error", 13, TimeRange::ALL),
        ("severity>=error third:true", 50, some),
        ("zephyr", 2, TimeRange::ALL),
        ("part:part-17 -third:true", 40, TimeRange::ALL),
        ("third:true n>=15000 part:part-12", 11, TimeRange::ALL),
        ("n>=19000 OR part:part-24", 101, TimeRange::ALL),
        ("nosuchword", 5, TimeRange::ALL),
    ] {
        for oldest_first in [false, true] {
            let query = parse(query).unwrap();
            let mut search = LogSearch {
                query: query.clone(),
                range,
                limit,
                bytes_max: u64::MAX,
                after: None,
                oldest_first,
            };
            let expected = expected(&all, &query, &search);
            let mut left = expected.as_slice();
            loop {
                let page = store.search_logs(&search, &Stop::never());
                assert!(!page.coverage.partial, "{query}: {:?}", page.coverage);
                assert!(page.hits.len() <= limit && page.hits.len() <= left.len());
                let (of_page, rest) = left.split_at(page.hits.len());
                assert!(page.hits.iter().eq(of_page.iter().copied()), "{query}");
                left = rest;
                match page.next {
                    Some(next) => search.after = Some(next),
                    None => break,
                }
                assert_eq!(page.hits.len(), limit, "{query}");
            }
            assert!(left.is_empty(), "{query}: {} are missing", left.len());
        }
    }
}

#[test]
fn the_newest_of_many_cost_no_more_than_they_need() {
    let (store, _directory, _) = rows();
    let ask = |query: &str| {
        let search = LogSearch {
            query: parse(query).unwrap(),
            range: TimeRange::ALL,
            limit: 10,
            bytes_max: u64::MAX,
            after: None,
            oldest_first: false,
        };
        let found = store.search_logs(&search, &Stop::never());
        assert_eq!(found.hits.len(), 10);
        found.coverage
    };
    let of_all = ask("many");
    assert!(of_all.scanned < 6000, "{of_all:?}");
    let of_some = ask("third:true");
    assert!(of_some.scanned < 6000, "{of_some:?}");
}

#[test]
fn pages_of_traces_are_together_all_traces_with_a_span_that_matches() {
    let (on_disk, _directory) = durable_store();
    let in_memory = store();
    for batch in 0..20_u64 {
        let spans: Vec<_> = (0..200_u64)
            .map(|row| {
                let number = batch * 200 + row;
                let mut span = span(
                    1 + (number % 5) as u8,
                    0,
                    time_of(number),
                    time_of(number) + number % 90,
                );
                let trace = u128::from(number * 31 % 700 + 1);
                span.span.trace_id = bytes::Bytes::copy_from_slice(&trace.to_be_bytes());
                span.span.name = format!("step {}", number % 11);
                span.span.attributes = vec![pair("n", Value::IntValue(number.cast_signed()))];
                span
            })
            .collect();
        for store in [&on_disk, &in_memory] {
            store.apply_spans(at(batch), &spans);
        }
        if batch % 6 == 5 {
            write_out(&on_disk);
        }
    }
    for query in ["name:\"step 3\"", "duration>85ns", "n>3500 OR n<20", ""] {
        for limit in [9, 1000] {
            let mut search = traces_of(query);
            search.limit = limit;
            let mut found = Vec::new();
            loop {
                let page = on_disk.search_traces(&search, &Stop::never());
                assert!(!page.coverage.partial);
                found.extend(page.traces);
                match page.next {
                    Some(next) => search.order = TraceOrder::Newest { after: Some(next) },
                    None => break,
                }
            }
            search.limit = 10_000;
            search.order = TraceOrder::Newest { after: None };
            let expected = in_memory.search_traces(&search, &Stop::never()).traces;
            assert!(expected.len() > 20);
            let keys: Vec<_> = expected
                .iter()
                .map(|it| Reverse((it.start_unix_nano, it.trace_id)))
                .collect();
            assert!(keys.is_sorted());
            assert_eq!(found, expected, "{query}");
        }
        for order in [TraceOrder::Longest, TraceOrder::MostSpans] {
            let mut search = traces_of(query);
            search.order = order;
            let found = on_disk.search_traces(&search, &Stop::never()).traces;
            assert_eq!(
                found,
                in_memory.search_traces(&search, &Stop::never()).traces
            );
        }
    }
}
