//! Files and how long they are kept.

use log_tracer_proto::{
    json::traces_to_json,
    otlp::trace::{ResourceSpans, ScopeSpans, Span},
};

use super::*;

fn trace(id: u8, name: &str) -> Vec<ResourceSpans> {
    vec![ResourceSpans {
        scope_spans: vec![ScopeSpans {
            spans: vec![Span {
                trace_id: vec![id; 16].into(),
                span_id: vec![1; 8].into(),
                name: name.to_owned(),
                ..Span::default()
            }],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }]
}

fn ids(file: &str) -> Vec<u8> {
    let traces = read(file.as_bytes()).unwrap();
    traces.iter().map(|(id, _)| id[0]).collect()
}

#[test]
fn every_kind_of_file_is_recognised_by_what_is_in_it() {
    let otlp = traces_to_json(&trace(1, "a"));
    let other = traces_to_json(&trace(2, "b"));
    let jaeger = "{\"traceID\":\"03030303030303030303030303030303\",\"spans\":[{\"traceID\":\"03030303030303030303030303030303\",\"spanID\":\"1\"}]}";
    assert_eq!(ids(&otlp), [1]);
    assert_eq!(ids(&format!("\u{feff}{otlp}")), [1]);
    assert_eq!(ids(&format!("{otlp}\n{other}\n")), [1, 2]);
    assert_eq!(ids(&format!("{{\"result\":{otlp}}}")), [1]);
    assert_eq!(ids(jaeger), [3]);
    assert_eq!(ids(&format!("[{jaeger}]")), [3]);
    assert_eq!(ids(&format!("{{\"data\":[{jaeger}],\"total\":1}}")), [3]);
}

#[test]
fn a_file_that_has_no_trace_says_what_it_is_not() {
    for (file, says) in [
        ("", "no trace"),
        ("{}", "neither OTLP"),
        ("[]", "no trace"),
        ("null", "neither OTLP"),
        ("7", "neither OTLP"),
        ("hello", "not JSON"),
        ("{\"resourceSpans\":[]}", "no trace"),
        ("{\"resourceSpans\":{}}", "line 1"),
        ("{\"data\":7}", "invalid type"),
        ("\u{0}", "not JSON"),
    ] {
        let fault = read(file.as_bytes()).unwrap_err();
        assert!(
            fault.message().contains(says),
            "{file}: {}",
            fault.message()
        );
    }
    assert!(read(b"\xff\xfe{}").is_err());
    let deep = "[".repeat(100_000);
    assert!(read(deep.as_bytes()).is_err());
}

#[test]
fn a_file_has_a_bound_of_traces() {
    let many: Vec<ResourceSpans> = (0..=TRACES_MAX)
        .flat_map(|id| trace(id as u8 + 1, "a"))
        .collect();
    let fault = read(traces_to_json(&many).as_bytes()).unwrap_err();
    assert!(
        fault.message().contains("101 traces"),
        "{}",
        fault.message()
    );
}

fn kept(uploads: &Uploads, id: u8, bytes: usize) -> Result<Vec<Upload>, Fault> {
    let name = "x".repeat(bytes);
    let traces = read(traces_to_json(&trace(id, &name)).as_bytes()).unwrap();
    uploads.keep("file.json", traces)
}

#[test]
fn the_oldest_files_leave_when_there_is_no_more_room() {
    let uploads = Uploads::new(3_000);
    let first = kept(&uploads, 1, 1_000).unwrap()[0].place;
    let second = kept(&uploads, 2, 1_000).unwrap()[0].place;
    assert!(uploads.find(&first).is_some());
    let third = kept(&uploads, 3, 1_000).unwrap()[0].place;
    assert!(uploads.find(&first).is_none());
    for place in [second, third] {
        assert!(uploads.find(&place).unwrap().trace().is_ok());
    }
    let fault = kept(&uploads, 4, 5_000).unwrap_err();
    assert_eq!(fault.status(), http::StatusCode::PAYLOAD_TOO_LARGE);
    assert!(uploads.find(&third).is_some());
}

#[test]
fn a_trace_of_a_file_is_not_found_under_its_own_id() {
    let uploads = Uploads::new(10_000);
    let kept = kept(&uploads, 1, 10).unwrap();
    assert_eq!(kept[0].trace_id, [1; 16]);
    assert!(uploads.find(&[1; 16]).is_none());
    assert_eq!(kept[0].file, "file.json");
}
