use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use log_tracer_proto::otlp::{
    common::{AnyValue, KeyValue, any_value::Value},
    logs::LogRecord,
    resource::Resource,
    trace::{Status, status::StatusCode},
};
use log_tracer_record::{LogRow, ResourceContext, SpanRow};

use super::*;
use crate::client::TraceRows;

const ID: [u8; 16] = [0xab; 16];

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn span(name: &str, own: u8, parent: u8, start: u64) -> SpanRow {
    let service = pair("service.name", Value::StringValue("checkout".to_owned()));
    let resource = Resource {
        attributes: vec![service],
        ..Resource::default()
    };
    SpanRow {
        resource: Arc::new(ResourceContext::new(resource, String::new())),
        scope: Arc::default(),
        span: log_tracer_proto::otlp::trace::Span {
            name: name.to_owned(),
            trace_id: ID.to_vec().into(),
            span_id: vec![own; 8].into(),
            parent_span_id: vec![parent; 8].into(),
            start_time_unix_nano: start,
            end_time_unix_nano: start + 1_500_000,
            attributes: vec![
                pair("amount.cents", Value::IntValue(4200)),
                pair("ratio", Value::DoubleValue(1.0)),
            ],
            ..log_tracer_proto::otlp::trace::Span::default()
        },
    }
}

fn trace() -> Trace {
    let mut failed = span("charge", 2, 1, 20);
    failed.span.status = Some(Status {
        code: StatusCode::Error.into(),
        message: "card refused".to_owned(),
    });
    let log = LogRow {
        resource: Arc::default(),
        scope: Arc::default(),
        record: LogRecord {
            trace_id: ID.to_vec().into(),
            span_id: vec![2; 8].into(),
            time_unix_nano: 21,
            severity_text: "WARN".to_owned(),
            body: Some(AnyValue {
                value: Some(Value::StringValue("the card was refused".to_owned())),
            }),
            ..LogRecord::default()
        },
    };
    let rows = TraceRows {
        spans: vec![failed, span("POST /pay", 1, 0, 10), span("retry", 3, 1, 30)],
        logs: vec![log],
        ..TraceRows::default()
    };
    Trace::new(TraceId::from_bytes(&ID).unwrap(), rows)
}

/// The message of an assertion that must fail.
fn failure<T: std::fmt::Debug>(assertion: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn a_trace_is_shown_as_a_tree() {
    assert_eq!(
        trace().to_string(),
        "trace abababababababababababababababab with 3 spans and 1 logs\n\
         checkout: POST /pay 1.5ms\n\
         \x20 checkout: charge 1.5ms ERROR card refused\n\
         \x20   · WARN unknown_service: the card was refused\n\
         \x20 checkout: retry 1.5ms\n"
    );
}

#[test]
fn assertions_that_hold_can_be_chained() {
    let trace = trace();
    let root = trace.root().named("POST /pay").of_service("checkout");
    trace
        .span("charge")
        .child_of(root)
        .with_attribute("amount.cents", 4200)
        .with_attribute("ratio", 1.0)
        .failed();
    trace.log("refused").in_span(trace.span("charge"));
    let children: Vec<_> = trace.children_of(root).iter().map(|s| s.name()).collect();
    assert_eq!(children, ["charge", "retry"]);
}

#[test]
fn an_assertion_that_fails_shows_what_is_there() {
    let trace = trace();
    let whole = trace.to_string();
    assert_eq!(
        failure(|| trace.span("refund")),
        format!("0 spans are called `refund` in\n{whole}")
    );
    assert_eq!(
        failure(|| trace.log("thanks")),
        format!("0 logs contain `thanks` in\n{whole}")
    );
    let (root, charge, retry) = (trace.root(), trace.span("charge"), trace.span("retry"));
    let cases = [
        (
            failure(|| charge.child_of(retry)),
            "has the parent 0101010101010101 and should be a child of\n  checkout: retry",
        ),
        (
            failure(|| root.child_of(charge)),
            "has the parent none and should be a child of\n  checkout: charge",
        ),
        (
            failure(|| root.with_attribute("amount.cents", "4200")),
            "the attribute `amount.cents` should be \"4200\", and is 4200, on the span\n  checkout: POST /pay",
        ),
        (
            failure(|| root.with_attribute("ratio", 1)),
            "the attribute `ratio` should be 1, and is 1.0",
        ),
        (
            failure(|| root.with_attribute("missing", true)),
            "the attribute `missing` should be true, and is nothing",
        ),
        (failure(|| root.failed()), "should have failed"),
        (failure(|| root.named("x")), "should be called `x`"),
        (
            failure(|| trace.log("refused").in_span(root)),
            "should be within the span\n  checkout: POST /pay",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}\n  lacks\n{expected}");
    }
}

#[test]
fn two_spans_of_one_name_are_not_guessed_between() {
    let rows = TraceRows {
        spans: vec![span("GET", 1, 0, 1), span("GET", 2, 0, 2)],
        ..TraceRows::default()
    };
    let trace = Trace::new(TraceId::from_bytes(&ID).unwrap(), rows);
    assert!(failure(|| trace.span("GET")).starts_with("2 spans are called `GET` in\n"));
    assert!(failure(|| trace.root()).starts_with("2 spans have no parent in\n"));
    assert_eq!(trace.spans_named("GET").len(), 2);
}

#[test]
fn an_id_is_read_from_what_tracing_libraries_have() {
    let expected = TraceId::from_bytes(&ID).unwrap();
    assert_eq!(ID.into_trace_id().unwrap(), expected);
    assert_eq!("ab".repeat(16).into_trace_id().unwrap(), expected);
    assert_eq!("AB".repeat(16).as_str().into_trace_id().unwrap(), expected);
    assert!("ab".into_trace_id().is_err());
    assert!([0; 16].into_trace_id().is_err());
}
