//! A store with a directory, as its consumer and its readers see it.

use std::{collections::BTreeMap, fs};

use log_tracer_store::{Config, Mark, SeenBatch, Stop, Store, check};

use crate::build::{
    at, find_logs, find_traces, log, pair, span, store as in_memory, text, trace_id, whole_trace,
};

fn config() -> Config {
    Config {
        // The records are of 1970.
        retention_age_max_ms: u64::MAX,
        ..Config::default()
    }
}

fn write_all(store: &Store) -> Option<BTreeMap<u16, u64>> {
    let stop = Stop::never();
    stop.cancel();
    let mut durable = None;
    store.maintain(&stop, &mut |cursors| durable = Some(cursors.clone()));
    durable
}

fn apply(store: &Store, offset: u64) {
    let mut line = log(100 + offset, &format!("line {offset}"));
    line.record.attributes = vec![pair("order", text(&format!("o-{offset}")))];
    store.apply_logs(at(offset), &[line]);
    let number = offset as u8 + 1;
    store.apply_spans(at(offset), &[span(number, number - 1, offset, offset + 9)]);
}

#[test]
fn answers_are_the_same_from_memory_from_disk_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(config(), directory.path()).unwrap();
    let plain = in_memory();
    let mark = |offset: u64| Mark {
        log_id: 5,
        cursors: BTreeMap::from([(0, offset + 1)]),
        begins: BTreeMap::new(),
        seen: vec![SeenBatch {
            partition: 0,
            batch: u128::from(offset),
            part_index: 0,
            part_count: 1,
        }],
        set_aside: Vec::new(),
    };
    let assert_same = |store: &Store| {
        for query in ["", "line", "order:o-3", "-order:o-3", "nothing"] {
            let (found, expected) = (find_logs(store, query), find_logs(&plain, query));
            assert_eq!(found.hits, expected.hits, "{query}");
            assert!(!found.coverage.partial, "{:?}", found.coverage);
        }
        assert_eq!(
            find_traces(store, "").traces,
            find_traces(&plain, "").traces
        );
        let trace = |store: &Store| {
            let trace = whole_trace(store, trace_id(1));
            trace.spans().collect::<Vec<_>>()
        };
        assert_eq!(trace(store), trace(&plain));
        let services = |store: &Store| store.services(&Stop::never()).services;
        assert_eq!(services(store), services(&plain));
    };
    for offset in 0..10 {
        apply(&store, offset);
        apply(&plain, offset);
        assert_same(&store);
        if offset % 3 == 2 {
            store.seal(mark(offset)).unwrap();
            assert_same(&store);
            assert_eq!(write_all(&store), Some(mark(offset).cursors));
            assert_same(&store);
        }
    }
    store.seal(mark(9)).unwrap();
    write_all(&store);
    store.close();
    assert_same(&store);

    let checked = check(directory.path(), &mut |_, _| {}).unwrap();
    assert_eq!((checked.rows, checked.problems.len()), (20, 0));
    let (store, restored) = Store::open(config(), directory.path()).unwrap();
    assert_same(&store);
    assert_eq!(restored.cursors, BTreeMap::from([(0, 10)]));
    assert_eq!(restored.seen.len(), 4);
}

#[test]
fn an_answer_says_which_block_it_could_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(config(), directory.path()).unwrap();
    apply(&store, 0);
    store.seal(Mark::default()).unwrap();
    write_all(&store);
    drop(store);
    let blocks = directory.path().join("blocks");
    for entry in fs::read_dir(&blocks).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("logs") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let (store, _) = Store::open(config(), directory.path()).unwrap();
    let coverage = find_logs(&store, "").coverage;
    assert!(coverage.partial);
    let path = blocks.display().to_string();
    assert!(coverage.reasons[0].contains(&path), "{coverage:?}");
    assert!(
        coverage.reasons[0].starts_with("1 log records cannot be read"),
        "{coverage:?}"
    );
    assert!(!find_traces(&store, "").traces.is_empty());
}
