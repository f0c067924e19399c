//! Jaeger's JSON back to OTLP.

use log_tracer_proto::arbitrary;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{jaeger::convert, lines::hex, trace::model::Trace};

fn read(value: Json) -> Result<Vec<ResourceSpans>, String> {
    spans(serde_json::from_value(value).unwrap())
}

/// As Jaeger's own page saves it, down to the fields that only its page uses.
fn saved() -> Json {
    json!({
        "traceID": "abc",
        "spans": [
            {
                "traceID": "abc", "spanID": "1", "flags": 1, "operationName": "GET /", "references": [],
                "startTime": 1_700_000_000_000_000_u64, "duration": 2_500,
                "tags": [
                    {"key": "span.kind", "type": "string", "value": "server"},
                    {"key": "http.status_code", "type": "int64", "value": 500},
                    {"key": "error", "type": "bool", "value": true},
                    {"key": "otel.scope.name", "type": "string", "value": "net/http"},
                ],
                "logs": [{"timestamp": 1_700_000_000_000_100_u64, "fields": [
                    {"key": "event", "type": "string", "value": "retry"},
                    {"key": "n", "type": "int64", "value": 2},
                ]}],
                "processID": "p1", "warnings": null, "relativeStartTime": 0, "hasChildren": true,
            },
            {
                "traceID": "abc", "spanID": "2", "operationName": "SELECT",
                "references": [
                    {"refType": "CHILD_OF", "traceID": "abc", "spanID": "1"},
                    {"refType": "FOLLOWS_FROM", "traceID": "def", "spanID": "9"},
                ],
                "startTime": 1_700_000_000_000_200_u64, "duration": 100, "tags": null, "logs": null, "processID": "p2",
            },
        ],
        "processes": {
            "p1": {"serviceName": "web", "tags": [{"key": "ip", "type": "string", "value": "10.0.0.1"}]},
            "p2": {"serviceName": "db"},
        },
        "warnings": null,
    })
}

#[test]
fn a_saved_trace_has_its_spans_again() {
    let groups = read(saved()).unwrap();
    assert_eq!(groups.len(), 2);
    let web = &groups[0].scope_spans[0];
    assert_eq!(web.scope.as_ref().unwrap().name, "net/http");
    let root = &web.spans[0];
    assert_eq!(hex(&root.trace_id), "00000000000000000000000000000abc");
    assert_eq!(hex(&root.span_id), "0000000000000001");
    assert_eq!(root.kind(), SpanKind::Server);
    assert_eq!(root.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(
        root.end_time_unix_nano - root.start_time_unix_nano,
        2_500_000
    );
    assert_eq!(root.events[0].name, "retry");
    assert_eq!(root.attributes.len(), 1);
    let call = &groups[1].scope_spans[0].spans[0];
    assert_eq!(call.parent_span_id, root.span_id);
    assert_eq!(hex(&call.links[0].span_id), "0000000000000009");
}

#[test]
fn what_is_missing_is_its_default_and_what_is_unknown_is_passed_over() {
    let groups =
        read(json!({"spans": [{"traceID": "1", "spanID": "2", "x": [1]}], "y": {}})).unwrap();
    assert_eq!(groups[0].scope_spans[0].spans[0].name, "");
    assert!(groups[0].resource.as_ref().unwrap().attributes.is_empty());
}

#[test]
fn an_id_that_cannot_be_read_is_named() {
    for (trace, span) in [
        ("", "1"),
        ("zz", "1"),
        ("1", ""),
        ("1", "0"),
        ("1", "00000000000000001"),
    ] {
        let refused = read(json!({"spans": [{"traceID": trace, "spanID": span}]})).unwrap_err();
        assert!(refused.contains("ID"), "{refused}");
    }
}

#[test]
fn records_are_taken_apart_by_their_trace() {
    let span = |trace: u8| Span {
        trace_id: vec![trace; 16].into(),
        ..Span::default()
    };
    let groups = vec![ResourceSpans {
        scope_spans: vec![ScopeSpans {
            spans: vec![span(2), span(1), span(2), span(0)],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }];
    let traces = by_trace(groups, Vec::new());
    let shape: Vec<(u8, usize)> = traces
        .iter()
        .map(|(id, trace)| (id[0], trace.resource_spans[0].scope_spans[0].spans.len()))
        .collect();
    assert_eq!(shape, [(2, 2), (1, 1)]);
    assert!(traces.iter().all(|(_, trace)| trace.coverage.is_some()));
}

/// What a trace is for Jaeger, without what is said about it.
fn written(groups: Vec<ResourceSpans>) -> Json {
    let trace = Trace::new(vec![GetTraceResponse {
        resource_spans: groups,
        ..GetTraceResponse::default()
    }]);
    let mut json = serde_json::to_value(convert::trace(&trace, &[1; 16], Vec::new())).unwrap();
    for span in json["spans"].as_array_mut().unwrap() {
        span["warnings"] = Json::Null;
    }
    json
}

#[test]
fn what_was_read_is_written_as_it_was() {
    let mut once = written(read(saved()).unwrap());
    let again = written(spans(serde_json::from_value(once.clone()).unwrap()).unwrap());
    assert_eq!(again, once);
    let first = &mut once["spans"][0];
    assert_eq!(first["startTime"], 1_700_000_000_000_000_u64);
    assert_eq!(first["logs"][0]["fields"][0]["value"], "retry");
}

proptest! {
    #[test]
    fn every_trace_that_is_written_can_be_read_with_the_same_spans(groups in arbitrary::valid_resource_spans()) {
        let mut groups = groups;
        for span in groups.iter_mut().flat_map(|group| &mut group.scope_spans).flat_map(|scoped| &mut scoped.spans) {
            span.trace_id = vec![1; 16].into();
        }
        let once = written(groups);
        let again = written(spans(serde_json::from_value(once.clone()).unwrap()).unwrap());
        let ids = |json: &Json| {
            let mut ids: Vec<(String, u64, u64)> = json["spans"].as_array().unwrap().iter()
                .map(|span| (span["spanID"].to_string(), span["startTime"].as_u64().unwrap(), span["duration"].as_u64().unwrap()))
                .collect();
            ids.sort();
            ids.dedup();
            ids
        };
        prop_assert_eq!(ids(&again), ids(&once));
    }

    #[test]
    fn any_json_of_roughly_this_shape_is_read_or_refused(key in "(traceID|spans|processes|x)", text in "\\PC{0,12}", number in any::<f64>()) {
        let values = [json!(text), json!(number), json!([{"spanID": text, "startTime": number}]), json!({text.as_str(): number})];
        for value in values {
            if let Ok(trace) = serde_json::from_value::<TraceJson>(json!({key.as_str(): value})) {
                let _ = spans(trace);
            }
        }
    }
}
