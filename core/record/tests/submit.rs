//! LogService entries become OTLP log records.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_proto::v1::{Level, LogEntry, SubmitRequest};
use log_tracer_record::{
    log_rows,
    otlp::common::any_value::Value,
    submit::{self, every_entry_has_a_time},
};

const ARRIVAL: u64 = 1_800_000_000_000_000_000;

fn entry(service: &str, message: &str) -> LogEntry {
    LogEntry {
        service: service.to_owned(),
        message: message.to_owned(),
        ..LogEntry::default()
    }
}

fn refusal(entry: LogEntry) -> String {
    submit::resource_logs(vec![self::entry("a", "fine"), entry], ARRIVAL)
        .unwrap_err()
        .to_string()
}

#[test]
fn an_entry_keeps_everything_that_it_says() {
    let entry = LogEntry {
        time_unix_nano: 42,
        level: Level::Warn.into(),
        trace_id: "0AF7651916cd43dd8448eb211c80319c".to_owned(),
        span_id: "b7ad6b7169203331".to_owned(),
        ..entry("cron", "backup took 41 minutes")
    };
    let rows = log_rows(submit::resource_logs(vec![entry], ARRIVAL).unwrap());
    let [row] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(row.resource.service(), "cron");
    assert_eq!(row.time_unix_nano(), 42);
    assert_eq!(row.record.observed_time_unix_nano, ARRIVAL);
    assert_eq!(
        (
            row.record.severity_number,
            row.record.severity_text.as_str()
        ),
        (13, "WARN")
    );
    assert_eq!(
        row.trace_id().unwrap().to_string(),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_eq!(row.span_id().unwrap().to_string(), "b7ad6b7169203331");
    let body = row.record.body.clone().unwrap().value.unwrap();
    assert_eq!(
        body,
        Value::StringValue("backup took 41 minutes".to_owned())
    );
}

#[test]
fn an_entry_without_a_time_happened_when_it_arrived() {
    let rows = log_rows(submit::resource_logs(vec![entry("a", "x")], ARRIVAL).unwrap());
    assert_eq!(rows[0].record.time_unix_nano, 0);
    assert_eq!(rows[0].time_unix_nano(), ARRIVAL);
}

#[test]
fn entries_of_a_service_share_its_resource() {
    let entries = vec![entry("b", "1"), entry("a", "2"), entry("b", "3")];
    let groups = submit::resource_logs(entries, ARRIVAL).unwrap();
    let services: Vec<_> = log_rows(groups)
        .iter()
        .map(|row| row.resource.service().to_owned())
        .collect();
    assert_eq!(services, ["b", "b", "a"]);
}

#[test]
fn what_cannot_be_taken_is_named_by_entry_and_field() {
    assert_eq!(
        refusal(entry(" ", "x")),
        "entries[1].service: must not be empty"
    );
    let level = LogEntry {
        level: 9,
        ..entry("a", "x")
    };
    assert_eq!(
        refusal(level),
        "entries[1].level: 9 is not a level: expected 0 to 6"
    );
    let trace = LogEntry {
        trace_id: "xyz".to_owned(),
        ..entry("a", "x")
    };
    assert!(refusal(trace).starts_with("entries[1].trace_id: "));
    let span = LogEntry {
        span_id: "b7ad6b7169203331".to_owned(),
        ..entry("a", "x")
    };
    assert_eq!(refusal(span), "entries[1].span_id: needs a trace id");
}

#[test]
fn a_retry_can_be_recognised_only_when_every_entry_has_a_time() {
    let timed = LogEntry {
        time_unix_nano: 1,
        ..entry("a", "x")
    };
    let request = |entries| SubmitRequest {
        entries,
        idempotency_key: String::new(),
    };
    assert!(every_entry_has_a_time(&request(vec![
        timed.clone(),
        timed.clone()
    ])));
    assert!(!every_entry_has_a_time(&request(vec![
        timed,
        entry("a", "x")
    ])));
}
