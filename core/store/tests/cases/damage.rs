//! Blocks that cannot be read: the answer says so, names the file, and has all that the others hold.

use std::{
    fs,
    path::{Path, PathBuf},
};

use log_tracer_query::{Field, parse};
use log_tracer_store::{
    Coverage, FacetSpec, HistogramGroup, HistogramSpec, Signal, Stop, Store, TimeRange, TraceOrder,
};
use proptest::prelude::*;

use crate::build::{
    at, durable_store, log, logs_of, of_trace, span, trace_id, traces_of, whole_trace, write_out,
};

const BLOCKS: u64 = 3;
const BLOCK_ROWS: u64 = 40;

/// In each block 40 spans and 40 log records of one trace for the block, and one of each of trace 100.
fn fill(store: &Store) {
    for block in 0..BLOCKS {
        let time = |n| block * 1000 + n;
        let trace = block as u8 + 1;
        let mut spans: Vec<_> = (0..BLOCK_ROWS)
            .map(|n| of_trace(trace, span(n as u8 + 1, n as u8, time(n), time(n) + 5)))
            .collect();
        spans.push(of_trace(100, span(trace, 0, time(50), time(51))));
        store.apply_spans(at(block), &spans);
        let logs = (0..=BLOCK_ROWS).map(|n| {
            let mut row = log(time(n), "a common word");
            let trace = if n < BLOCK_ROWS { trace } else { 100 };
            row.record.trace_id = trace_id(trace).to_bytes();
            row
        });
        store.apply_logs(at(block), &logs.collect::<Vec<_>>());
        write_out(store);
    }
}

/// The files below a directory whose names begin and end so, by name.
fn files(directory: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path(), start, end));
        } else if name.starts_with(start) && name.ends_with(end) {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Turns every bit of a file. It keeps its length, so that it can still be opened.
fn ruin(path: &Path) {
    let turned: Vec<u8> = fs::read(path).unwrap().iter().map(|byte| !byte).collect();
    fs::write(path, turned).unwrap();
}

fn assert_says(coverage: &Coverage, path: &Path) {
    let name = path.to_str().unwrap();
    assert!(coverage.partial, "{coverage:?}");
    assert!(
        coverage
            .reasons
            .iter()
            .any(|reason| reason.starts_with("a block cannot be read: ") && reason.contains(name)),
        "{:?}",
        coverage.reasons
    );
}

#[test]
fn records_of_the_other_blocks_are_answered() {
    let (store, directory) = durable_store();
    fill(&store);
    let ruined = &files(directory.path(), "logs-", ".parquet")[1];
    ruin(ruined);
    let mut search = logs_of("common");
    search.limit = 1000;
    let found = store.search_logs(&search, &Stop::never());
    assert_says(&found.coverage, ruined);
    let blocks = found.hits.iter().map(|hit| hit.key.time_unix_nano / 1000);
    assert_eq!(blocks.clone().filter(|block| *block == 0).count(), 41);
    assert_eq!(blocks.filter(|block| *block == 2).count(), 41);
    assert_eq!(found.hits.len(), 82);
    assert!(found.next.is_none());

    let stats = store.stats();
    assert!(stats.logs.failed_reads > 0 && stats.spans.failed_reads == 0);
    assert!(store.last_read_error().unwrap().contains("logs-"));
}

#[test]
fn a_search_that_needs_nothing_of_the_block_does_not_speak_of_it() {
    let (store, directory) = durable_store();
    fill(&store);
    ruin(&files(directory.path(), "logs-", ".parquet")[0]);
    let mut search = logs_of("common");
    search.limit = 50;
    let found = store.search_logs(&search, &Stop::never());
    assert_eq!((found.hits.len(), found.coverage.partial), (50, false));
}

#[test]
fn counts_are_of_the_other_blocks() {
    let (store, directory) = durable_store();
    fill(&store);
    let ruined = &files(directory.path(), "logs-", ".parquet")[1];
    ruin(ruined);
    let spec = HistogramSpec {
        signal: Signal::Logs,
        query: parse("").unwrap(),
        start_unix_nano: 0,
        end_unix_nano: 3000,
        step_nano: 10,
        group: HistogramGroup::Level,
        rows_max: None,
    };
    let found = store.histogram(&spec, &Stop::never()).unwrap();
    assert_says(&found.coverage, ruined);
    assert_eq!(found.series[0].counts.iter().sum::<u64>(), 82);
    let spec = FacetSpec {
        signal: Signal::Logs,
        query: parse("").unwrap(),
        range: TimeRange::ALL,
        fields: vec![Field::named("service")],
        values_max: 3,
        rows_max: None,
    };
    let found = store.facets(&spec, &Stop::never());
    assert_says(&found.coverage, ruined);
    assert_eq!(found.facets[0].values[0].count, 82);

    let ruined = &files(directory.path(), "logs-", ".index")[1];
    ruin(ruined);
    let found = store.services(&Stop::never());
    assert_says(&found.coverage, ruined);
    assert_eq!(found.services[0].log_count, 82);
    let ruined = &files(directory.path(), "spans-", ".index")[0];
    ruin(ruined);
    let found = store.operations(Some("shop"), 100, &Stop::never());
    assert_says(&found.coverage, ruined);
    assert_eq!(found.operations[0].span_count, 3);
}

#[test]
fn a_trace_has_what_can_be_read_of_it() {
    let (store, directory) = durable_store();
    fill(&store);
    for (kind, block) in [(".parquet", 0), (".index", 2)] {
        let ruined = &files(directory.path(), "spans-", kind)[block];
        ruin(ruined);
        let trace = whole_trace(&store, trace_id(100));
        assert_says(&trace.coverage, ruined);
        assert!(trace.spans().any(|row| row.start_unix_nano() == 1050));
        assert_eq!(trace.log_count(), 3);
        for order in [TraceOrder::Newest { after: None }, TraceOrder::MostSpans] {
            for query in ["", "service:shop"] {
                let mut search = traces_of(query);
                search.order = order;
                let found = store.search_traces(&search, &Stop::never());
                assert_says(&found.coverage, ruined);
                let ids: Vec<u8> = found
                    .traces
                    .iter()
                    .map(|trace| trace.trace_id.as_bytes()[0])
                    .collect();
                assert!(ids.contains(&100) && ids.contains(&2), "{ids:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn fuzz_whatever_is_damaged_no_answer_is_wrong_and_whole(
        file in 0..12usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..20),
    ) {
        let (store, directory) = durable_store();
        fill(&store);
        let mut search = logs_of("common -no.such:x");
        search.limit = 1000;
        let logs = store.search_logs(&search, &Stop::never()).hits;
        let traces = store.search_traces(&traces_of("service:shop"), &Stop::never()).traces;
        let services = store.services(&Stop::never()).services;

        let path = &files(directory.path(), "", "")
            .into_iter()
            .filter(|path| path.extension().is_some_and(|it| it == "parquet" || it == "index"))
            .nth(file)
            .unwrap();
        let mut bytes = fs::read(path).unwrap();
        for (at, bits) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        fs::write(path, bytes).unwrap();

        let found = store.search_logs(&search, &Stop::never());
        prop_assert!(found.hits.iter().all(|hit| logs.contains(hit)));
        prop_assert!(found.coverage.partial || found.hits.len() == logs.len());
        let found = store.search_traces(&traces_of("service:shop"), &Stop::never());
        prop_assert!(found.coverage.partial || found.traces == traces);
        let found = store.services(&Stop::never());
        prop_assert!(found.coverage.partial || found.services == services);
    }
}
