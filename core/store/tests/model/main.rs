//! A store against a plain list of rows: whatever is applied, evicted and asked, both answer the same.
//!
//! The store evicts by bytes, which the list knows nothing of. It takes the number of evicted rows from the store and
//! checks that they are the oldest by arrival; everything else it works out by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod generate;
mod plain;

use generate::{Question, Step, steps};
use log_tracer_store::{
    Config, FacetSpec, HeatmapSpec, HistogramSpec, LogSearch, Mark, Origin, SpanSearch, Stop,
    Store, TraceLimits, TraceOrder, TraceSearch,
};
use plain::Plain;
use proptest::prelude::*;

fn config(chunk_rows_max: u32) -> Config {
    Config {
        spans_bytes_max: 1 << 20,
        logs_bytes_max: 1 << 20,
        chunk_rows_max,
        chunk_bytes_max: 64 << 10,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_store_in_memory_answers_like_a_plain_list_of_its_rows(chunk_rows_max in 1..9u32, steps in steps()) {
        let store = Store::new(config(chunk_rows_max)).unwrap();
        let mut plain = Plain::default();
        run(&store, &mut plain, steps, false, |store, plain| {
            let stats = store.stats();
            plain.evict(&stats);
            prop_assert!(stats.spans.bytes <= stats.spans.bytes_max);
            prop_assert!(stats.logs.bytes <= stats.logs.bytes_max);
            let expected = plain.stats(&stats);
            prop_assert_eq!(stats, expected);
            Ok(())
        })?;
    }

    #[test]
    fn a_store_in_memory_and_on_disk_answers_like_a_plain_list_of_its_rows(chunk_rows_max in 1..9u32, steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(config(chunk_rows_max), directory.path()).unwrap();
        let mut plain = Plain::default();
        run(&store, &mut plain, steps, true, |store, plain| {
            plain.evict(&store.stats());
            Ok(())
        })?;
    }
}

fn run(
    store: &Store,
    plain: &mut Plain,
    steps: Vec<Step>,
    has_disk: bool,
    check: impl Fn(&Store, &mut Plain) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut last_spans = Vec::new();
    for (offset, step) in (0..).zip(steps) {
        match step {
            Step::Spans(partition, rows) => {
                let origin = Origin { partition, offset };
                store.apply_spans(origin, &rows);
                last_spans = rows.clone();
                plain.apply_spans(origin, rows);
            }
            Step::Logs(partition, rows) => {
                let origin = Origin { partition, offset };
                store.apply_logs(origin, &rows);
                plain.apply_logs(origin, rows);
            }
            Step::SpansAgain => {
                let origin = Origin {
                    partition: 7,
                    offset,
                };
                store.apply_spans(origin, &last_spans);
                plain.apply_spans(origin, last_spans.clone());
            }
            Step::Seal => {
                plain.evict(&store.stats());
                store.seal(Mark::default()).unwrap();
                // Writes what was sealed, and returns.
                let stop = Stop::never();
                stop.cancel();
                store.maintain(&stop, &mut |_| {});
                if has_disk {
                    plain.seal();
                }
            }
            Step::Ask(question) => ask(store, plain, question)?,
        }
        check(store, plain)?;
    }
    Ok(())
}

fn ask(store: &Store, plain: &Plain, question: Question) -> Result<(), TestCaseError> {
    match question {
        Question::Logs(search) => logs(store, plain, search),
        Question::Spans(search) => spans(store, plain, search),
        Question::Traces(search) => traces(store, plain, search),
        Question::Trace(id, limits) => {
            let (found, expected) = (
                store.trace(id, limits, &Stop::never()),
                plain.trace(id, limits),
            );
            trace(&found, &expected, limits)
        }
        Question::Histogram(spec) => histogram(store, plain, spec),
        Question::Heatmap(spec) => heatmap(store, plain, spec),
        Question::Facets(spec) => facets(store, plain, spec),
        Question::Services(service) => services(store, plain, service),
    }
}

/// All pages, one after the other, are the answer without pages.
fn logs(store: &Store, plain: &Plain, search: LogSearch) -> Result<(), TestCaseError> {
    let expected = plain.search_logs(&search);
    let mut found = Vec::new();
    let mut page = search.clone();
    loop {
        let answer = store.search_logs(&page, &Stop::never());
        if page.after.is_none() {
            prop_assert_eq!(answer.coverage.partial, plain.is_log_evicted(search.range));
        }
        prop_assert!(answer.hits.len() <= search.limit);
        found.extend(answer.hits);
        prop_assert!(found.len() <= expected.len(), "a page repeats itself");
        match answer.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    prop_assert_eq!(found, expected);
    Ok(())
}

fn spans(store: &Store, plain: &Plain, search: SpanSearch) -> Result<(), TestCaseError> {
    let expected = plain.search_spans(&search);
    let mut found = Vec::new();
    let mut page = search.clone();
    loop {
        let answer = store.search_spans(&page, &Stop::never());
        prop_assert!(answer.hits.len() <= search.limit);
        found.extend(answer.hits);
        prop_assert!(found.len() <= expected.len(), "a page repeats itself");
        match answer.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    prop_assert_eq!(found, expected);
    Ok(())
}

fn traces(store: &Store, plain: &Plain, search: TraceSearch) -> Result<(), TestCaseError> {
    let mut expected = plain.search_traces(&search);
    let mut found = Vec::new();
    let mut page = search.clone();
    loop {
        let answer = store.search_traces(&page, &Stop::never());
        prop_assert!(answer.traces.len() <= search.limit);
        found.extend(answer.traces);
        prop_assert!(found.len() <= expected.len(), "a page repeats itself");
        match answer.next {
            Some(after) => page.order = TraceOrder::Newest { after: Some(after) },
            None => break,
        }
    }
    if !matches!(search.order, TraceOrder::Newest { .. }) {
        expected.truncate(search.limit);
    }
    prop_assert_eq!(found, expected);
    Ok(())
}

fn trace(
    found: &log_tracer_store::Trace,
    expected: &plain::PlainTrace,
    limits: TraceLimits,
) -> Result<(), TestCaseError> {
    let spans: Vec<_> = found.spans().collect();
    let logs: Vec<_> = found.logs().collect();
    prop_assert_eq!(
        (spans.len(), logs.len()),
        (found.span_count(), found.log_count())
    );
    let spans_expected = expected.spans.iter().take(limits.spans_max);
    let logs_expected = expected.logs.iter().take(limits.logs_max);
    prop_assert!(spans.iter().eq(spans_expected));
    prop_assert!(logs.iter().eq(logs_expected));
    prop_assert_eq!(found.duplicate_count, expected.duplicate_count);
    let is_cut = expected.spans.len() > limits.spans_max || expected.logs.len() > limits.logs_max;
    prop_assert!(found.coverage.partial || !is_cut);
    Ok(())
}

fn histogram(store: &Store, plain: &Plain, spec: HistogramSpec) -> Result<(), TestCaseError> {
    let found = store.histogram(&spec, &Stop::never()).unwrap();
    prop_assert_eq!(
        found.start_unix_nano,
        spec.start_unix_nano / spec.step_nano * spec.step_nano
    );
    prop_assert_eq!(found.series, plain.histogram(&spec));
    Ok(())
}

fn heatmap(store: &Store, plain: &Plain, spec: HeatmapSpec) -> Result<(), TestCaseError> {
    let found = store.heatmap(&spec, &Stop::never()).unwrap();
    prop_assert_eq!((found.step_nano, found.scale), (spec.step_nano, spec.scale));
    let total: u64 = found.steps.iter().flat_map(|step| &step.counts).sum();
    prop_assert_eq!(found.coverage.matched, total);
    prop_assert_eq!(found.steps, plain.heatmap(&spec));
    Ok(())
}

fn facets(store: &Store, plain: &Plain, spec: FacetSpec) -> Result<(), TestCaseError> {
    let found = store.facets(&spec, &Stop::never());
    prop_assert_eq!(found.facets, plain.facets(&spec));
    Ok(())
}

fn services(store: &Store, plain: &Plain, service: Option<String>) -> Result<(), TestCaseError> {
    prop_assert_eq!(store.services(&Stop::never()).services, plain.services());
    let found = store.operations(service.as_deref(), usize::MAX, &Stop::never());
    prop_assert_eq!(found.operations, plain.operations(service.as_deref()));
    Ok(())
}
