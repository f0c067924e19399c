//! Counts of a part of the records, and what they say of all.

use log_tracer_query::{Field, Query, parse};
use log_tracer_record::otlp::common::any_value::Value;
use log_tracer_store::{
    Config, FacetSpec, Histogram, HistogramGroup, HistogramSpec, Signal, Stop, Store, TimeRange,
};

use crate::build::{at, durable_store, log, pair, store, write_out};

/// Logs of the times 0, 1, 2 and so on, each with the thousand that its time is in, and a third of them with a word.
fn write_logs(store: &Store, count: u64) {
    for thousand in 0..count / 1_000 {
        let rows: Vec<_> = (thousand * 1_000..(thousand + 1) * 1_000)
            .map(|time| {
                // A hash, so that neighbours have nothing to do with each other.
                let has_word = (time + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 0xff < 86;
                let mut row = log(
                    time,
                    if has_word {
                        "cache hit"
                    } else {
                        "no such thing"
                    },
                );
                row.record.severity_number = if time % 4 == 0 { 17 } else { 9 };
                row.record.attributes = vec![pair("thousand", Value::IntValue(thousand as i64))];
                row
            })
            .collect();
        store.apply_logs(at(thousand), &rows);
    }
}

fn facets(rows_max: Option<u64>) -> FacetSpec {
    FacetSpec {
        signal: Signal::Logs,
        query: Query::default(),
        range: TimeRange::ALL,
        fields: vec![Field::named("thousand")],
        values_max: 100,
        rows_max,
    }
}

#[test]
fn facets_of_the_newest_records_say_how_many_were_left_out() {
    let (on_disk, _directory) = durable_store();
    write_logs(&on_disk, 40_000);
    write_out(&on_disk);
    let in_memory = store();
    write_logs(&in_memory, 40_000);
    for store in [on_disk, in_memory] {
        let ask = |rows_max| store.facets(&facets(rows_max), &Stop::never());
        let all = ask(None);
        assert!(!all.coverage.partial && all.coverage.left_out == 0);
        assert_eq!(all.facets[0].values.len(), 40);
        for rows_max in [1, 9_000, 20_000] {
            let found = ask(Some(rows_max));
            let coverage = &found.coverage;
            assert!(
                coverage.partial && coverage.reasons.is_empty(),
                "{coverage:?}"
            );
            assert_eq!(coverage.scanned + coverage.left_out, 40_000);
            assert!(coverage.scanned > 0 && coverage.scanned <= rows_max.max(8_192));
            // The newest thousand is whole, and what is counted has no gap.
            let values = &found.facets[0].values;
            let counts: u64 = values.iter().map(|value| value.count).sum();
            assert_eq!(counts, coverage.scanned);
            let newest = 40 - values.len();
            for value in values {
                let thousand: usize = value.value.parse().unwrap();
                assert!(thousand >= newest, "{values:?}");
                assert!(value.count == 1_000 || thousand == newest, "{values:?}");
            }
        }
        let enough = ask(Some(40_000));
        assert_eq!(enough.facets, all.facets);
        assert!(!enough.coverage.partial);
    }
}

fn histogram(store: &Store, rows_max: Option<u64>) -> Histogram {
    histogram_of(store, "cache", rows_max)
}

fn histogram_of(store: &Store, query: &str, rows_max: Option<u64>) -> Histogram {
    let spec = HistogramSpec {
        signal: Signal::Logs,
        query: parse(query).unwrap(),
        start_unix_nano: 0,
        end_unix_nano: 100_000,
        step_nano: 20_000,
        group: HistogramGroup::Level,
        rows_max,
    };
    store.histogram(&spec, &Stop::never()).unwrap()
}

fn sum(histogram: &Histogram) -> u64 {
    let counts = histogram.series.iter().flat_map(|series| &series.counts);
    counts.sum()
}

/// A store with many pieces.
fn with_pieces_of(rows: u32) -> (Store, tempfile::TempDir) {
    let config = Config {
        chunk_rows_max: rows,
        ..Config::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(config, directory.path()).unwrap();
    (store, directory)
}

#[test]
fn a_histogram_of_a_sample_is_close_to_all_and_says_how_close() {
    let (store, _directory) = with_pieces_of(250);
    write_logs(&store, 100_000);
    write_out(&store);
    let all = histogram(&store, None);
    assert_eq!((all.count_error, all.coverage.left_out), (0, 0));
    let enough = histogram(&store, Some(100_000));
    assert_eq!(enough.series, all.series);
    assert!(!enough.coverage.partial);

    let found = histogram(&store, Some(30_000));
    for _ in 0..5 {
        let again = histogram(&store, Some(30_000));
        assert_eq!(
            again.series, found.series,
            "threads share the work anew each time"
        );
    }
    let coverage = &found.coverage;
    assert!(
        coverage.partial && coverage.left_out >= 60_000,
        "{coverage:?}"
    );
    assert!(coverage.scanned <= 40_000 && coverage.scanned >= 20_000);
    assert!(coverage.matched < sum(&found));
    assert!(found.count_error > 0 && found.count_error < sum(&all) / 10);
    assert!(sum(&found).abs_diff(sum(&all)) <= found.count_error);
    assert_eq!(found.series.len(), all.series.len());
    for (found, all) in found.series.iter().zip(&all.series) {
        assert_eq!(found.group, all.group);
        for (found, all) in found.counts.iter().zip(&all.counts) {
            assert!(found.abs_diff(*all) < all / 5 + 50, "{found} of {all}");
        }
    }
}

#[test]
fn a_sample_of_one_piece_promises_nothing() {
    let (store, _directory) = durable_store();
    write_logs(&store, 40_000);
    write_out(&store);
    let found = histogram(&store, Some(1));
    assert_eq!(found.count_error, found.coverage.left_out);
}

#[test]
fn what_the_sample_does_not_find_at_all_may_still_be_elsewhere_and_the_error_has_room_for_it() {
    let (store, _directory) = with_pieces_of(500);
    for piece in 0..100 {
        let rows = (piece * 500..(piece + 1) * 500).map(|time| {
            // Each piece has the word, and errors, so that only its rows tell whether they come together.
            let is_error = time % 2 == 0;
            let is_rare = piece == 60 && time % 10 == 0;
            let has_word = !is_error || is_rare;
            let mut row = log(time, if has_word { "cache hit" } else { "nothing" });
            row.record.severity_number = if is_error { 17 } else { 9 };
            row
        });
        store.apply_logs(at(piece), &rows.collect::<Vec<_>>());
    }
    write_out(&store);
    let ask = |rows_max| histogram_of(&store, "cache severity:error", rows_max);
    let (all, found) = (ask(None), ask(Some(5_000)));
    assert_eq!((sum(&all), sum(&found)), (50, 0));
    assert!(found.coverage.left_out > 0);
    assert!(found.count_error >= 50, "{}", found.count_error);
    assert!(found.count_error < found.coverage.left_out);
}

#[test]
fn of_pieces_that_the_range_cuts_only_the_rows_in_the_range_are_estimated() {
    let (store, _directory) = with_pieces_of(1_000);
    for block in 0..4 {
        // Each block has the same times.
        let rows: Vec<_> = (0..1_000).map(|row| log(row / 5, "cache hit")).collect();
        store.apply_logs(at(block), &rows);
        write_out(&store);
    }
    for (start_unix_nano, end_unix_nano) in [(100, 200), (50, 150), (0, 200)] {
        let spec = HistogramSpec {
            signal: Signal::Logs,
            query: parse("cache").unwrap(),
            start_unix_nano,
            end_unix_nano,
            step_nano: 50,
            group: HistogramGroup::None,
            rows_max: None,
        };
        let ask = |rows_max| {
            let spec = HistogramSpec {
                rows_max,
                ..spec.clone()
            };
            store.histogram(&spec, &Stop::never()).unwrap()
        };
        let (all, found) = (ask(None), ask(Some(2_000)));
        assert!(found.coverage.left_out > 0);
        assert_eq!(found.series, all.series);
    }
}
