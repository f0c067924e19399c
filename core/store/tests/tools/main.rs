//! The files of a block are read by tools that know nothing of this program.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../../benches/store/data.rs"]
mod data;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use log_tracer_record::{
    LogRow, SpanRow,
    otlp::common::{AnyValue, KeyValue, any_value::Value},
};
use log_tracer_store::{
    Origin,
    block_bench::{LogsInMemory, SpansInMemory, Tuning},
};
use serde_json::json;

const BATCHES: u64 = 48;

fn spans() -> Vec<Vec<SpanRow>> {
    let mut batches: Vec<_> = (0..BATCHES).map(data::mixed_spans).collect();
    let value = Some(AnyValue {
        value: Some(Value::StringValue("rare".to_owned())),
    });
    batches[7][3].span.attributes.push(KeyValue {
        key: "rare.key".to_owned(),
        value,
        ..KeyValue::default()
    });
    batches
}

fn expected_of_spans(rows: &[&SpanRow], file: &Path) -> serde_json::Value {
    let mut services: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        *services.entry(row.service()).or_default() += 1;
    }
    let attributes = |key: &'static str| {
        let of_row =
            move |row: &&SpanRow| log_tracer_record::attribute(&row.span.attributes, key).cloned();
        rows.iter().filter_map(of_row)
    };
    let codes = attributes("http.response.status_code").map(|value| match value {
        Value::IntValue(code) => code,
        other => panic!("{other:?}"),
    });
    let amounts = attributes("app.amount").map(|value| match value {
        Value::DoubleValue(amount) => amount,
        other => panic!("{other:?}"),
    });
    let traces: BTreeSet<_> = rows.iter().map(|row| row.trace_id().unwrap()).collect();
    let trace = *traces.iter().nth(5).unwrap();
    json!({
        "file": file,
        "rows": rows.len(),
        "duration_ns": rows.iter().map(|row| row.duration_nano()).sum::<u64>(),
        "first_time": rows.iter().map(|row| row.start_unix_nano()).min(),
        "last_time": rows.iter().map(|row| row.start_unix_nano()).max(),
        "traces": traces.len(),
        "roots": rows.iter().filter(|row| row.parent_id().is_none()).count(),
        "trace": trace.to_string(),
        "trace_rows": rows.iter().filter(|row| row.trace_id() == Some(trace)).count(),
        "errors": rows.iter().filter(|row| row.is_error()).count(),
        "status_codes": codes.sum::<i64>(),
        "amount_max": amounts.fold(0.0, f64::max),
        "services": services,
        "events": rows.iter().map(|row| row.span.events.len()).sum::<usize>(),
        "rare": attributes("rare.key").count(),
    })
}

fn body(row: &LogRow) -> &str {
    match row
        .record
        .body
        .as_ref()
        .and_then(|body| body.value.as_ref())
    {
        Some(Value::StringValue(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn file_of(directory: &Path, table: &str) -> PathBuf {
    directory.join(format!("{table}-0000000000000001.parquet"))
}

#[test]
#[ignore = "needs Python with duckdb and polars from PyPI: cargo make test-live"]
fn duckdb_and_polars_read_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let at = |offset| Origin {
        partition: 0,
        offset,
    };
    let (spans, logs) = (
        spans(),
        (0..BATCHES).map(data::mixed_logs).collect::<Vec<_>>(),
    );
    let (mut span_rows, mut log_rows) = (SpansInMemory::default(), LogsInMemory::default());
    for (offset, (spans, logs)) in (0..).zip(spans.iter().zip(&logs)) {
        span_rows.add(at(offset), spans);
        log_rows.add(at(offset), logs);
    }
    span_rows.seal();
    log_rows.seal();
    span_rows
        .write(directory.path(), 1, &Tuning::default())
        .unwrap();
    log_rows
        .write(directory.path(), 1, &Tuning::default())
        .unwrap();

    let spans: Vec<&SpanRow> = spans.iter().flatten().collect();
    let logs: Vec<&LogRow> = logs.iter().flatten().collect();
    let expected = json!({
        "spans": expected_of_spans(&spans, &file_of(directory.path(), "spans")),
        "logs": {
            "file": file_of(directory.path(), "logs"),
            "rows": logs.len(),
            "body_chars": logs.iter().map(|row| body(row).chars().count()).sum::<usize>(),
            "errors": logs.iter().filter(|row| row.record.severity_number >= 17).count(),
        },
    });
    let path = directory.path().join("expected.json");
    fs::write(&path, expected.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/check.py");
    let output = Command::new(python())
        .arg(script)
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// A Python that has what the script imports: installed once below the target directory.
fn python() -> PathBuf {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/requirements.txt");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools-venv");
    let installed = environment.join("installed");
    let wanted = fs::read(&requirements).unwrap();
    if !fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment));
        let pip = environment.join("bin/pip");
        run(Command::new(pip)
            .args(["install", "--quiet", "--retries", "10", "-r"])
            .arg(&requirements));
        fs::write(installed, wanted).unwrap();
    }
    environment.join("bin/python")
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
