//! Odd records, found again and given back as they came.

use log_tracer_record::otlp::common::any_value::Value;
use log_tracer_store::{RecordKey, Stop, TimeRange};

use crate::build::{at, find_logs, log, log_with, logs_of, pair, store, text};

#[test]
fn integers_beyond_53_bits_keep_their_last_digit() {
    let store = store();
    let near = 9_007_199_254_740_993;
    store.apply_logs(
        at(0),
        &[
            log_with(vec![pair("n", Value::IntValue(near))]),
            log_with(vec![pair("n", Value::IntValue(near - 1))]),
            log_with(vec![pair("n", Value::IntValue(i64::MIN))]),
        ],
    );
    let found = find_logs(&store, "n=9007199254740993");
    assert_eq!(found.hits.len(), 1);
    assert_eq!(
        found.hits[0].row.record.attributes,
        [pair("n", Value::IntValue(near))]
    );
    assert_eq!(find_logs(&store, "n<0").hits.len(), 1);
}

#[test]
fn keys_with_dots_blanks_and_quotes_are_fields() {
    let store = store();
    store.apply_logs(
        at(0),
        &[
            log_with(vec![pair("http.route", text("/a"))]),
            log_with(vec![pair("say \"hi\" now", text("/a"))]),
            log_with(vec![pair("a:b", text("/a"))]),
        ],
    );
    for query in [
        r#"http.route:"/a""#,
        r#""say \"hi\" now":"/a""#,
        r#""a:b":"/a""#,
    ] {
        assert_eq!(find_logs(&store, query).hits.len(), 1, "{query}");
    }
}

#[test]
fn a_key_that_stands_twice_is_kept_twice_and_each_value_is_found() {
    let store = store();
    let row = log_with(vec![pair("k", text("one")), pair("k", text("two"))]);
    store.apply_logs(at(0), std::slice::from_ref(&row));
    for query in ["k:one", "k:two"] {
        assert_eq!(find_logs(&store, query).hits[0].row, row);
    }
}

#[test]
fn a_huge_attribute_comes_back_whole() {
    let store = store();
    let row = log_with(vec![pair("dump", text(&"ab ".repeat(4 << 20)))]);
    store.apply_logs(at(0), std::slice::from_ref(&row));
    assert_eq!(find_logs(&store, "dump:*").hits[0].row, row);
    assert_eq!(store.stats().logs.evicted_rows, 0);
}

#[test]
fn a_record_without_a_time_stands_at_its_observed_time() {
    let store = store();
    let mut row = log(0, "late");
    row.record.observed_time_unix_nano = 70;
    store.apply_logs(at(3), &[log(60, "before"), row, log(80, "after")]);
    let found = find_logs(&store, "");
    let bodies = found.hits.iter().map(|hit| hit.key.time_unix_nano);
    assert_eq!(bodies.collect::<Vec<_>>(), [80, 70, 60]);
    assert_eq!(found.hits[1].row.record.time_unix_nano, 0);
    assert_eq!(found.hits[1].key, RecordKey::new(70, at(3), 1));
}

#[test]
fn records_of_one_moment_stand_in_the_order_of_their_envelope() {
    let store = store();
    store.apply_logs(at(0), &[log(9, "a"), log(9, "b"), log(9, "c")]);
    let mut search = logs_of("");
    search.oldest_first = true;
    let forward = store.search_logs(&search, &Stop::never()).hits;
    search.oldest_first = false;
    let backward = store.search_logs(&search, &Stop::never()).hits;
    assert_eq!(
        forward.iter().map(|hit| hit.key.index).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(forward.iter().eq(backward.iter().rev()));
}

#[test]
fn an_answer_that_is_full_by_bytes_goes_on_at_the_next_page() {
    let store = store();
    let rows: Vec<_> = (0..10).map(|n| log(n, &"x".repeat(1000))).collect();
    store.apply_logs(at(0), &rows);
    let mut search = logs_of("");
    search.bytes_max = 3500;
    let page = store.search_logs(&search, &Stop::never());
    assert_eq!(page.hits.len(), 3);
    assert!(!page.coverage.partial);
    search.after = page.next;
    search.bytes_max = 1;
    let page = store.search_logs(&search, &Stop::never());
    assert_eq!(
        page.hits
            .iter()
            .map(|hit| hit.key.time_unix_nano)
            .collect::<Vec<_>>(),
        [6]
    );
}

#[test]
fn the_newest_records_of_a_common_word_are_found_without_looking_at_all() {
    let store = store();
    for batch in 0..100 {
        let rows: Vec<_> = (0..500)
            .map(|n| log(batch * 500 + n, "a common word"))
            .collect();
        store.apply_logs(at(batch), &rows);
    }
    let mut search = logs_of("common");
    search.limit = 10;
    let found = store.search_logs(&search, &Stop::never());
    assert_eq!(found.hits[9].key.time_unix_nano, 49_990);
    assert!(found.coverage.scanned < 20_000, "{:?}", found.coverage);
}

#[test]
fn a_range_excludes_its_end() {
    let store = store();
    store.apply_logs(
        at(0),
        &[log(9, "a"), log(10, "b"), log(19, "c"), log(20, "d")],
    );
    let mut search = logs_of("");
    search.range = TimeRange {
        start_unix_nano: 10,
        end_unix_nano: Some(20),
    };
    let found = store.search_logs(&search, &Stop::never());
    assert_eq!(
        found
            .hits
            .iter()
            .map(|hit| hit.key.time_unix_nano)
            .collect::<Vec<_>>(),
        [19, 10]
    );
}
