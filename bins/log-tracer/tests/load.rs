//! `log-tracer bench load` and `bench verify` against the built program: what was acked is there once, and a ledger that
//! says otherwise is found out.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::{fs, path::Path};

use log_tracer::testing::TestTracer;
use serde_json::Value;
use support::{Ended, run};

fn json(ended: &Ended) -> Value {
    assert!(ended.status.success(), "{:?}", ended.stderr);
    serde_json::from_str(&ended.stdout[0]).unwrap()
}

/// Sends some thousand records with these arguments, and returns the figures.
fn load(endpoint: &str, file: &Path, args: &[&str]) -> Value {
    let file = file.to_str().unwrap();
    let usual = ["bench", "load", "--json", "--verify-file", file];
    json(&run(&[&usual[..], &["--endpoint", endpoint], args].concat()))
}

fn verify(tracer: &TestTracer, file: &Path) -> Ended {
    let query = tracer.query_grpc().unwrap();
    let file = file.to_str().unwrap();
    run(&["bench", "verify", file, "--json", "--query", &query])
}

/// Changes the ledger, and returns the faults that are found then.
fn with(tracer: &TestTracer, file: &Path, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut ledger: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut ledger);
    let changed = file.with_extension("changed");
    fs::write(&changed, ledger.to_string()).unwrap();
    let ended = verify(tracer, &changed);
    if ended.status.success() {
        return Vec::new();
    }
    assert_eq!(ended.status.code(), Some(70), "{:?}", ended.stderr);
    let verdict: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    let named = verdict["named"].as_array().unwrap();
    named
        .iter()
        .map(|fault| fault.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_over_grpc_is_verified_and_a_changed_ledger_is_not() {
    let tracer = TestTracer::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.json");
    let query = tracer.query_grpc().unwrap();
    let figures = load(
        &tracer.otlp_grpc(),
        &file,
        &[
            "--records",
            "9000",
            "--batch",
            "100",
            "--in-flight",
            "3",
            "--log-tracer-query",
            &query,
            "--verify-sample",
            "40",
        ],
    );
    assert!(figures["spans"].as_u64().unwrap() > 3_000, "{figures}");
    assert!(figures["logs"].as_u64().unwrap() > 1_000, "{figures}");
    assert_eq!(figures["refused"], 0);
    assert!(figures["visible"]["count"].as_u64().unwrap() > 0);

    let whole = json(&verify(&tracer, &file));
    assert_eq!(
        (&whole["faults"], &whole["traces"]),
        (&0.into(), &40.into())
    );
    assert_eq!(whole["spans"]["found"], figures["spans"]);
    assert!(whole["words"].as_u64().unwrap() > 0);

    let plus = |value: &mut Value, add: i64| {
        *value = (value.as_i64().unwrap() + add).into();
    };
    // One that was acked and is missing.
    let faults = with(&tracer, &file, |ledger| {
        plus(&mut ledger["spans"]["acked"], 1);
        plus(&mut ledger["spans"]["by_service"]["cart"], 1);
    });
    assert!(
        faults
            .iter()
            .any(|fault| fault.starts_with("spans of cart: 1 of")),
        "{faults:?}"
    );
    // One that is there and was never acked.
    let faults = with(&tracer, &file, |ledger| {
        plus(&mut ledger["logs"]["acked"], -1);
        plus(&mut ledger["logs"]["by_service"]["frontend"], -1);
    });
    assert!(
        faults
            .iter()
            .any(|fault| fault.starts_with("log records of frontend: 1 too many")),
        "{faults:?}"
    );
    for (field, add) in [("spans", 1), ("spans", -1), ("logs", 1), ("logs", -1)] {
        let faults = with(&tracer, &file, |ledger| {
            // Where a load ends, it may have sent only the spans of a trace, or only its log records.
            let has_both = |trace: &&mut Value| trace["spans"] != 0 && trace["logs"] != 0;
            let mut traces = ledger["traces"].as_array_mut().unwrap().iter_mut();
            plus(&mut traces.find(has_both).unwrap()[field], add);
        });
        assert_eq!(faults.len(), 1, "{field} {add}: {faults:?}");
    }
    let faults = with(&tracer, &file, |ledger| {
        let traces = ledger["traces"].as_array_mut().unwrap();
        let word = traces.iter_mut().find(|trace| trace["word"].is_object());
        plus(&mut word.unwrap()["word"]["logs"], 1);
    });
    assert_eq!(faults.len(), 1, "{faults:?}");
    // Nobody knows of some: then they may be there or not.
    let faults = with(&tracer, &file, |ledger| {
        ledger["logs"]["unknown"] = 1.into();
        plus(&mut ledger["logs"]["acked"], -1);
        plus(&mut ledger["logs"]["by_service"]["frontend"], -1);
    });
    assert_eq!(faults, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_over_http_with_gzip_in_an_open_loop_is_verified() {
    let tracer = TestTracer::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.json");
    let figures = load(
        &tracer.otlp_http(),
        &file,
        &[
            "--gzip",
            "--rate",
            "4000",
            "--duration",
            "1s",
            "--batch",
            "64",
            "--signals",
            "logs",
            "--protocol",
            "http",
            "--in-flight",
            "2",
        ],
    );
    let logs = figures["logs"].as_u64().unwrap();
    assert!((4_000..4_100).contains(&logs), "{figures}");
    assert!(figures["seconds"].as_f64().unwrap() > 0.9);
    assert_eq!(json(&verify(&tracer, &file))["logs"]["found"], logs);
    // The same data once more: the server holds each record twice, or refuses to hold it twice; the former is found.
    let seed = figures["seed"].to_string();
    load(
        &tracer.otlp_http(),
        &file,
        &[
            "--protocol",
            "http",
            "--signals",
            "logs",
            "--records",
            "4000",
            "--batch",
            "63",
            "--seed",
            &seed,
        ],
    );
    let ended = verify(&tracer, &file);
    assert_eq!(ended.status.code(), Some(70));
    assert!(ended.stdout[0].contains("too many"), "{:?}", ended.stdout);
}

#[test]
fn an_endpoint_that_cannot_be_used_says_so() {
    let ended = run(&["bench", "load", "--endpoint", "https://127.0.0.1:4317"]);
    assert_eq!(ended.status.code(), Some(64));
    assert!(
        ended.stderr[0].contains("is not an address"),
        "{:?}",
        ended.stderr
    );
    let ended = run(&["bench", "load", "--endpoint", "http://127.0.0.1:1"]);
    assert_eq!(ended.status.code(), Some(75));
    let ended = run(&["bench", "verify", "/no/such/file"]);
    assert_eq!(ended.status.code(), Some(75));
}
