//! Lines of records.

use log_tracer_proto::{
    arbitrary,
    json::{decode_logs, decode_traces},
    otlp::common::any_value::Value,
};
use proptest::prelude::*;

use super::*;

/// Reads a table by RFC 4180, and panics when it is none.
fn table(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let row = rows.last_mut().unwrap();
        match (quoted, c) {
            (true, '"') if chars.peek() == Some(&'"') => {
                row.last_mut().unwrap().push('"');
                chars.next();
            }
            (true, '"') => quoted = false,
            (true, c) => row.last_mut().unwrap().push(c),
            (false, '"') => quoted = true,
            (false, ',') => row.push(String::new()),
            (false, '\r') => {
                assert_eq!(chars.next(), Some('\n'));
                rows.push(vec![String::new()]);
            }
            (false, c) => row.last_mut().unwrap().push(c),
        }
    }
    assert_eq!(rows.pop(), Some(vec![String::new()]));
    rows
}

fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Value::StringValue(text.to_owned())),
    })
}

#[test]
fn a_row_has_as_many_cells_as_the_head() {
    let of_span = Of {
        resource: &Resource::default(),
        record: &Span::default(),
    };
    assert_eq!(span_cells(&of_span).len(), SPAN_HEAD.split(',').count());
    let of_log = Of {
        resource: &Resource::default(),
        record: &LogRecord::default(),
    };
    assert_eq!(log_cells(&of_log).len(), LOG_HEAD.split(',').count());
}

#[test]
fn a_chosen_column_has_the_whole_value_however_long() {
    let long = "x".repeat(5_000);
    let record = LogRecord {
        attributes: vec![KeyValue {
            key: "sql".to_owned(),
            value: text(&long),
            ..KeyValue::default()
        }],
        ..LogRecord::default()
    };
    let message = ExportResponse {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
        ..ExportResponse::default()
    };
    let rows = table(&csv(message, &["sql".to_owned()]));
    assert_eq!(rows[0].last(), Some(&long));
}

#[test]
fn a_text_that_a_spreadsheet_would_run_is_only_shown() {
    let record = LogRecord {
        body: text("=HYPERLINK(\"http://evil.example\")"),
        event_name: "-1+1".to_owned(),
        severity_text: "@x".to_owned(),
        attributes: vec![KeyValue {
            key: "change".to_owned(),
            value: text("-5.5"),
            ..KeyValue::default()
        }],
        ..LogRecord::default()
    };
    let group = ResourceLogs {
        scope_logs: vec![ScopeLogs {
            log_records: vec![record],
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    };
    let message = ExportResponse {
        resource_logs: vec![group],
        ..ExportResponse::default()
    };
    let rows = table(&csv(message, &["change".to_owned()]));
    assert_eq!(rows[0][9], "-5.5", "a number is no formula");
    assert_eq!(rows[0][3], "'=HYPERLINK(\"http://evil.example\")");
    assert_eq!(rows[0][4], "'-1+1");
    assert_eq!(rows[0][2], "'@x");
}

proptest! {
    #[test]
    fn every_span_is_a_line_of_its_own_and_a_row_of_its_own(groups in arbitrary::valid_resource_spans()) {
        let count: usize = groups.iter().flat_map(|group| &group.scope_spans).map(|scoped| scoped.spans.len()).sum();
        let message = ExportResponse { resource_spans: groups.clone(), ..ExportResponse::default() };
        let rows = table(&csv(message.clone(), &[]));
        prop_assert_eq!(rows.len(), count);
        prop_assert!(rows.iter().all(|row| row.len() == SPAN_HEAD.split(',').count()));
        let lines = ndjson(message);
        prop_assert_eq!(lines.lines().count(), count);
        let mut spans = groups.iter().flat_map(|group| &group.scope_spans).flat_map(|scoped| &scoped.spans);
        for line in lines.lines() {
            let read = decode_traces(line.as_bytes()).unwrap();
            let span = &read.resource_spans[0].scope_spans[0].spans[0];
            prop_assert_eq!(&span.span_id, &spans.next().unwrap().span_id);
        }
    }

    #[test]
    fn every_record_is_a_line_of_its_own_and_a_row_of_its_own(groups in arbitrary::resource_logs()) {
        let count: usize = groups.iter().flat_map(|group| &group.scope_logs).map(|scoped| scoped.log_records.len()).sum();
        let message = ExportResponse { resource_logs: groups, ..ExportResponse::default() };
        let rows = table(&csv(message.clone(), &[]));
        prop_assert_eq!(rows.len(), count);
        let lines = ndjson(message);
        prop_assert_eq!(lines.lines().filter(|line| decode_logs(line.as_bytes()).is_ok()).count(), count);
    }
}
