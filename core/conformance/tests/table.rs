//! The table is what runs: a case that is written and not in it would be lost without a word.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use log_tracer_conformance::cases;

#[test]
fn every_case_that_is_written_is_in_the_table() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cases");
    let sources = fs::read_dir(directory)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let written: BTreeSet<String> = sources
        .collect::<Vec<_>>()
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("pub async fn "))
        .filter_map(|rest| rest.split('(').next())
        .map(str::to_owned)
        .collect();
    let listed: BTreeSet<String> = cases::ALL.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(written, listed);
    assert_eq!(listed.len(), cases::ALL.len(), "a case is listed twice");
}
