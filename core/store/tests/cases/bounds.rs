//! Memory, time, and what an answer says when they end.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use log_tracer_store::{Config, Signal, Stop, Store, TimeRange};

use crate::build::{
    at, find_logs, find_traces, log, log_with, logs_of, of_trace, pair, small_store, span, text,
    trace_id, traces_of, whole_trace,
};

#[test]
fn the_oldest_leave_and_the_bound_is_never_exceeded() {
    let store = small_store();
    for offset in 0..400 {
        store.apply_logs(at(offset), &[log(offset, &"x".repeat(20_000))]);
        find_logs(&store, "severity:fatal");
        let stats = store.stats().logs;
        assert!(stats.bytes <= stats.bytes_max, "{stats:?}");
        assert_eq!(stats.rows + stats.evicted_rows, offset + 1);
    }
    let stats = store.stats().logs;
    assert!(stats.evicted_rows > 300 && stats.rows > 10, "{stats:?}");
    assert_eq!(stats.oldest_unix_nano, Some(stats.evicted_rows));
    assert_eq!(stats.newest_unix_nano, Some(399));
}

#[test]
fn one_resource_that_alone_is_over_the_bound_leaves_at_once() {
    let store = small_store();
    let mut row = log(1, "x");
    let attribute = pair("environment", text(&"e".repeat(2 << 20)));
    std::sync::Arc::make_mut(&mut row.resource)
        .resource
        .attributes
        .push(attribute);
    store.apply_logs(at(0), &[row]);
    let stats = store.stats().logs;
    assert!(stats.bytes <= stats.bytes_max);
    assert_eq!((stats.rows, stats.evicted_rows), (0, 1));
}

#[test]
fn a_row_that_would_drive_out_many_others_is_not_kept_and_counted() {
    let store = small_store();
    let huge = log_with(vec![pair("dump", text(&"x".repeat(200_000)))]);
    store.apply_logs(at(0), &[log(1, "first"), huge, log(9, "last")]);
    let stats = store.stats().logs;
    assert_eq!(
        (stats.rows, stats.evicted_rows, stats.applied_rows),
        (2, 1, 3)
    );
    assert!(find_logs(&store, "").coverage.partial, "its time was 5");
}

#[test]
fn an_answer_is_partial_only_when_it_reaches_into_evicted_time() {
    let store = small_store();
    for offset in 0..200 {
        store.apply_logs(at(offset), &[log(1000 + offset, &"x".repeat(20_000))]);
    }
    let oldest = store.stats().logs.oldest_unix_nano.unwrap();
    let mut search = logs_of("");
    search.range = TimeRange {
        start_unix_nano: oldest,
        end_unix_nano: None,
    };
    assert!(!store.search_logs(&search, &Stop::never()).coverage.partial);
    search.range.start_unix_nano = oldest - 1;
    let coverage = store.search_logs(&search, &Stop::never()).coverage;
    assert_eq!(
        coverage.reasons,
        ["log records of this time left the store, which keeps 1048576 bytes of them"]
    );
    search.range = TimeRange {
        start_unix_nano: 0,
        end_unix_nano: Some(1000),
    };
    assert!(!store.search_logs(&search, &Stop::never()).coverage.partial);
}

#[test]
fn a_trace_whose_parents_may_have_left_is_partial() {
    let store = small_store();
    store.apply_spans(at(0), &[span(1, 0, 10, 90)]);
    for offset in 1..200 {
        let mut other = of_trace(2, span(1, 0, 20 + offset, 300));
        other.span.attributes = vec![pair("dump", text(&"x".repeat(20_000)))];
        store.apply_spans(at(offset), &[other]);
    }
    store.apply_spans(
        at(200),
        &[span(2, 1, 5000, 5001), of_trace(3, span(1, 0, 6000, 6001))],
    );
    assert!(
        whole_trace(&store, trace_id(1)).coverage.partial,
        "its root left"
    );
    assert!(
        !whole_trace(&store, trace_id(3)).coverage.partial,
        "it is younger than all that left"
    );
    assert!(
        whole_trace(&store, trace_id(9)).coverage.partial,
        "it may have been there"
    );
    let mut search = traces_of("");
    search.range.start_unix_nano = 5500;
    assert!(
        !store
            .search_traces(&search, &Stop::never())
            .coverage
            .partial
    );
}

#[test]
fn services_leave_with_their_last_record() {
    let store = small_store();
    let mut first = log(1, "x");
    first.resource = crate::build::service("gone");
    store.apply_logs(at(0), &[first]);
    assert_eq!(store.services(&Stop::never()).services[0].service, "gone");
    for offset in 1..200 {
        store.apply_logs(at(offset), &[log(offset, &"x".repeat(20_000))]);
    }
    let services = store.services(&Stop::never());
    let names: Vec<&str> = services
        .services
        .iter()
        .map(|info| info.service.as_str())
        .collect();
    assert_eq!(names, ["shop"]);
    assert_eq!(services.services[0].log_count, store.stats().logs.rows);
}

#[test]
fn a_search_that_is_stopped_says_so() {
    let store = crate::build::store();
    for offset in 0..20 {
        let rows: Vec<_> = (0..500).map(|n| log(n, "a line")).collect();
        store.apply_logs(at(offset), &rows);
        store.apply_spans(at(offset), &vec![span(1, 0, 1, 2); 500]);
    }
    let cancelled = Stop::never();
    cancelled.cancel();
    for stop in [cancelled, Stop::at(Instant::now())] {
        let coverage = store.search_logs(&logs_of("nothing"), &stop).coverage;
        assert!(coverage.partial && coverage.scanned < 5000, "{coverage:?}");
        assert!(
            store
                .search_traces(&traces_of("nothing"), &stop)
                .coverage
                .partial
        );
        assert!(store.services(&stop).coverage.partial);
        let spec = log_tracer_store::FacetSpec {
            signal: Signal::Logs,
            query: log_tracer_query::parse("").unwrap(),
            range: TimeRange::ALL,
            fields: Vec::new(),
            values_max: 3,
            rows_max: None,
        };
        assert!(store.facets(&spec, &stop).coverage.partial);
    }
}

#[test]
fn values_that_do_not_fit_into_the_answer_are_counted_as_others_and_said() {
    let config = Config {
        answer_bytes_max: 1 << 20,
        ..Config::default()
    };
    let store = Store::new(config).unwrap();
    let rows: Vec<_> = (0..300)
        .map(|n| log_with(vec![pair("k", text(&format!("{n}{}", "x".repeat(10_000))))]))
        .collect();
    store.apply_logs(at(0), &rows);
    let spec = log_tracer_store::FacetSpec {
        signal: Signal::Logs,
        query: log_tracer_query::parse("").unwrap(),
        range: TimeRange::ALL,
        fields: vec![log_tracer_query::Field::named("k")],
        values_max: 10,
        rows_max: None,
    };
    let found = store.facets(&spec, &Stop::never());
    assert!(found.coverage.partial);
    let listed: u64 = found.facets[0].values.iter().map(|value| value.count).sum();
    assert_eq!(listed + found.facets[0].other_count, 300);
}

#[test]
fn the_heaviest_values_stay_when_there_are_more_than_can_be_counted() {
    let config = Config {
        answer_bytes_max: 1 << 20,
        ..Config::default()
    };
    let store = Store::new(config).unwrap();
    // Far more different ones than fit come first, and go on coming.
    for batch in 0..40_u64 {
        let rows: Vec<_> = (0..1000)
            .map(|n| {
                let is_heavy = batch >= 20 && n % 4 == 0;
                let value = match is_heavy {
                    true => format!("heavy-{}", n % 3),
                    false => format!("light-{}", batch * 1000 + n),
                };
                log_with(vec![pair("k", text(&value)), pair("few", text("one"))])
            })
            .collect();
        store.apply_logs(at(batch), &rows);
    }
    let spec = log_tracer_store::FacetSpec {
        signal: Signal::Logs,
        query: log_tracer_query::parse("").unwrap(),
        range: TimeRange::ALL,
        fields: ["k", "few"].map(log_tracer_query::Field::named).into(),
        values_max: 3,
        rows_max: None,
    };
    let found = store.facets(&spec, &Stop::never());
    let [of_k, of_few] = &found.facets[..] else {
        panic!("{found:?}");
    };
    let mut names: Vec<&str> = of_k
        .values
        .iter()
        .map(|value| value.value.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["heavy-0", "heavy-1", "heavy-2"]);
    // A third of 5,000, and too low by no more than is said.
    let [reason] = &found.coverage.reasons[..] else {
        panic!("{:?}", found.coverage);
    };
    let (field, rest) = reason
        .split_once(" has more different values than can be counted")
        .unwrap();
    assert_eq!(field, "k");
    let error = rest
        .split("up to ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let error: u64 = error.parse().unwrap();
    assert!((1..100).contains(&error), "{error}");
    for value in &of_k.values {
        assert!(
            value.count <= 1680 && value.count + error >= 1660,
            "{value:?}"
        );
    }
    let listed: u64 = of_k.values.iter().map(|value| value.count).sum();
    assert_eq!(listed + of_k.other_count, 40_000);
    assert_eq!((of_few.values[0].count, of_few.other_count), (40_000, 0));
}

#[test]
fn a_search_sees_an_envelope_whole_while_others_are_applied_and_evicted() {
    let store = small_store();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rounds = 0;
            while !is_done.load(Ordering::Relaxed) || rounds == 0 {
                for trace in find_traces(&store, "").traces {
                    assert_eq!(trace.span_count, 4, "an envelope is applied at once");
                }
                rounds += 1;
            }
        });
        for offset in 0..2000u64 {
            let of_envelope = (1..=4).map(|number| {
                let mut row = span(number, number - 1, offset, offset + 5);
                row.span.trace_id =
                    bytes::Bytes::copy_from_slice(&u128::from(offset + 1).to_be_bytes());
                row
            });
            store.apply_spans(at(offset), &of_envelope.collect::<Vec<_>>());
        }
        is_done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(store.stats().spans.applied_rows, 8000);
}
