//! A trace as Jaeger has it, against answers written by hand, and for any trace.

use log_tracer_proto::{
    arbitrary,
    otlp::{
        common::{ArrayValue, InstrumentationScope, KeyValueList},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Status},
    },
    v1::{Coverage, GetTraceResponse},
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

const TRACE: [u8; 16] = [0x0a; 16];

fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: any(value),
        ..KeyValue::default()
    }
}

fn string(key: &str, text: &str) -> KeyValue {
    pair(key, Value::StringValue(text.to_owned()))
}

fn of_spans(spans: Vec<Span>, logs: Vec<LogRecord>) -> Trace {
    let resource = Some(Resource {
        attributes: vec![string("service.name", "cart"), string("host.name", "h1")],
        ..Resource::default()
    });
    Trace::new(vec![GetTraceResponse {
        resource_spans: vec![ResourceSpans {
            resource: resource.clone(),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "http".to_owned(),
                    version: "1.2".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
        resource_logs: vec![ResourceLogs {
            resource,
            scope_logs: vec![ScopeLogs {
                log_records: logs,
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
        ..GetTraceResponse::default()
    }])
}

fn span(id: u8, parent: u8) -> Span {
    Span {
        trace_id: TRACE.to_vec().into(),
        span_id: vec![id; 8].into(),
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            vec![parent; 8]
        }
        .into(),
        name: format!("op {id}"),
        start_time_unix_nano: 1_700_000_000_000_000_000 + u64::from(id) * 1_500,
        end_time_unix_nano: 1_700_000_000_000_000_000 + u64::from(id) * 1_500 + 2_999,
        ..Span::default()
    }
}

fn json(trace: &Trace) -> Json {
    serde_json::to_value(super::trace(trace, &TRACE, Vec::new())).unwrap()
}

#[test]
fn a_span_has_every_field_that_jaeger_knows() {
    let own = Span {
        flags: 0x301,
        kind: SpanKind::Server.into(),
        trace_state: "a=1".to_owned(),
        attributes: vec![string("http.route", "/cart")],
        status: Some(Status {
            code: StatusCode::Error.into(),
            message: "refused".to_owned(),
        }),
        events: vec![Event {
            time_unix_nano: 1_700_000_000_000_002_000,
            name: "retry".to_owned(),
            attributes: vec![pair("attempt", Value::IntValue(2))],
            ..Event::default()
        }],
        links: vec![
            Link {
                trace_id: vec![0x0b; 16].into(),
                span_id: vec![9; 8].into(),
                ..Link::default()
            },
            Link {
                trace_id: TRACE.to_vec().into(),
                span_id: vec![8; 8].into(),
                attributes: vec![string("opentracing.ref_type", "child_of")],
                ..Link::default()
            },
        ],
        ..span(2, 1)
    };
    let log = LogRecord {
        time_unix_nano: 1_700_000_000_000_001_000,
        span_id: vec![2; 8].into(),
        severity_number: 17,
        body: any(Value::StringValue("connection refused".to_owned())),
        attributes: vec![string("peer", "db")],
        ..LogRecord::default()
    };
    let trace = json(&of_spans(vec![span(1, 0), own], vec![log]));
    let string = |key: &str, value: &str| json!({"key": key, "type": "string", "value": value});
    assert_eq!(
        trace["spans"][1],
        json!({
            "traceID": "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
            "spanID": "0202020202020202",
            "flags": 1,
            "operationName": "op 2",
            "references": [
                {"refType": "CHILD_OF", "traceID": "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a", "spanID": "0101010101010101"},
                {"refType": "FOLLOWS_FROM", "traceID": "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "spanID": "0909090909090909"},
                {"refType": "CHILD_OF", "traceID": "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a", "spanID": "0808080808080808"},
            ],
            "startTime": 1_700_000_000_000_003_u64,
            "duration": 2,
            "tags": [
                string("otel.scope.name", "http"),
                string("otel.scope.version", "1.2"),
                string("http.route", "/cart"),
                string("span.kind", "server"),
                string("otel.status_code", "ERROR"),
                {"key": "error", "type": "bool", "value": true},
                string("otel.status_description", "refused"),
                string("w3c.tracestate", "a=1"),
            ],
            "logs": [
                {"timestamp": 1_700_000_000_000_001_u64, "fields": [
                    string("level", "error"), string("message", "connection refused"), string("peer", "db"),
                ]},
                {"timestamp": 1_700_000_000_000_002_u64, "fields": [
                    string("event", "retry"), {"key": "attempt", "type": "int64", "value": 2},
                ]},
            ],
            "processID": "p1",
            "warnings": null,
        })
    );
    assert_eq!(
        trace["processes"],
        json!({"p1": {"serviceName": "cart", "tags": [string("host.name", "h1")]}})
    );
    assert_eq!(trace["traceID"], "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a");
    assert_eq!(trace["warnings"], Json::Null);
}

#[test]
fn every_type_of_a_value_has_one_of_jaegers() {
    let nested = KeyValueList {
        values: vec![pair("b", Value::BytesValue(vec![1, 255].into()))],
    };
    let list = ArrayValue {
        values: vec![
            AnyValue { value: None },
            any(Value::DoubleValue(f64::NAN)).unwrap(),
        ],
    };
    let attributes = vec![
        pair("text", Value::StringValue("a\"b".to_owned())),
        pair("bool", Value::BoolValue(false)),
        pair("int", Value::IntValue(-5)),
        pair("large", Value::IntValue(i64::MIN)),
        pair("safe", Value::IntValue((1 << 53) - 1)),
        pair("double", Value::DoubleValue(0.5)),
        pair("nan", Value::DoubleValue(f64::NAN)),
        pair("endless", Value::DoubleValue(f64::NEG_INFINITY)),
        pair("bytes", Value::BytesValue(vec![0, 1, 2].into())),
        pair("list", Value::ArrayValue(list)),
        pair("map", Value::KvlistValue(nested)),
        KeyValue {
            key: "empty".to_owned(),
            ..KeyValue::default()
        },
    ];
    let tags: Vec<Json> = attributes
        .iter()
        .map(|pair| serde_json::to_value(tag(pair)).unwrap())
        .collect();
    let want =
        |key: &str, kind: &str, value: Json| json!({"key": key, "type": kind, "value": value});
    assert_eq!(
        tags,
        [
            want("text", "string", json!("a\"b")),
            want("bool", "bool", json!(false)),
            want("int", "int64", json!(-5)),
            want("large", "int64", json!("-9223372036854775808")),
            want("safe", "int64", json!(9_007_199_254_740_991_u64)),
            want("double", "float64", json!(0.5)),
            want("nan", "float64", json!("NaN")),
            want("endless", "float64", json!("-inf")),
            want("bytes", "binary", json!("AAEC")),
            want("list", "string", json!("[null,\"NaN\"]")),
            want("map", "string", json!("{\"b\":\"Af8=\"}")),
            want("empty", "string", json!("")),
        ]
    );
}

#[test]
fn what_is_odd_is_a_warning_and_a_cycle_has_no_reference_to_follow() {
    let trace = json(&of_spans(
        vec![span(1, 9), span(2, 3), span(3, 2)],
        Vec::new(),
    ));
    let spans = trace["spans"].as_array().unwrap();
    let warned = |at: usize| spans[at]["warnings"][0].as_str().unwrap().to_owned();
    assert!(warned(0).contains("not in this trace"));
    assert_eq!(spans[0]["references"][0]["spanID"], "0909090909090909");
    assert!(warned(1).contains("own ancestors"));
    assert_eq!(spans[1]["references"], json!([]));
    assert_eq!(spans[2]["references"][0]["spanID"], "0202020202020202");
}

#[test]
fn what_the_consumer_says_about_completeness_is_a_warning_of_the_trace() {
    let mut trace = of_spans(vec![span(1, 0)], Vec::new());
    trace.coverage = Coverage {
        partial: true,
        reasons: vec!["partition 2 lags".to_owned()],
        ..Coverage::default()
    };
    assert_eq!(json(&trace)["warnings"], json!(["partition 2 lags"]));
}

#[test]
fn records_without_a_span_stand_with_the_root() {
    let log = |id: u8| LogRecord {
        span_id: vec![id; 8].into(),
        ..LogRecord::default()
    };
    let trace = json(&of_spans(
        vec![span(1, 0), span(2, 1)],
        vec![log(0), log(7), log(2)],
    ));
    assert_eq!(trace["spans"][0]["logs"].as_array().unwrap().len(), 2);
    assert_eq!(trace["spans"][1]["logs"].as_array().unwrap().len(), 1);
}

/// Whether a text is so many lower-case hexadecimal digits.
fn is_id(value: &Json, digits: usize) -> bool {
    let text = value.as_str().unwrap();
    text.len() == digits
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

proptest! {
    #[test]
    fn any_trace_has_all_its_spans_with_their_ids_and_times(groups in arbitrary::valid_resource_spans()) {
        let mut groups = groups;
        let mut want = Vec::new();
        for group in &mut groups {
            for span in group.scope_spans.iter_mut().flat_map(|scoped| &mut scoped.spans) {
                span.trace_id = TRACE.to_vec().into();
                let length = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
                want.push((hex(&span.span_id), span.start_time_unix_nano / 1_000, length / 1_000));
            }
        }
        let trace = Trace::new(vec![GetTraceResponse { resource_spans: groups, ..GetTraceResponse::default() }]);
        let json = json(&trace);
        let mut got = Vec::new();
        for span in json["spans"].as_array().unwrap() {
            prop_assert!(is_id(&span["traceID"], 32) && is_id(&span["spanID"], 16));
            prop_assert!(json["processes"].get(span["processID"].as_str().unwrap()).is_some());
            for reference in span["references"].as_array().unwrap() {
                prop_assert!(is_id(&reference["traceID"], 32) && is_id(&reference["spanID"], 16));
            }
            let same = trace.spans.iter().find(|item| item.id().is_some_and(|id| hex(&id) == span["spanID"])
                && item.start / 1_000 == span["startTime"]);
            for _ in 0..same.map_or(0, |item| item.copies) {
                got.push((span["spanID"].as_str().unwrap().to_owned(), span["startTime"].as_u64().unwrap(), span["duration"].as_u64().unwrap()));
            }
        }
        want.sort();
        got.sort();
        prop_assert_eq!(got, want);
    }
}
