//! The rules of OTLP/JSON, one by one, and the errors that name the place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use bytes::Bytes;
use log_tracer_proto::{
    json::{self, JsonError},
    otlp::{
        collector_trace::ExportTraceServiceRequest,
        common::{AnyValue, KeyValue, any_value::Value},
        trace::{Span, Status},
    },
};
use prost::Message;

/// Reads one span with these fields.
fn span(fields: &str) -> Result<Span, JsonError> {
    let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#);
    let mut request = json::decode_traces(json.as_bytes())?;
    Ok(request
        .resource_spans
        .remove(0)
        .scope_spans
        .remove(0)
        .spans
        .remove(0))
}

/// Reads one attribute value.
fn value(value: &str) -> Result<Option<AnyValue>, JsonError> {
    let mut span = span(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#))?;
    Ok(span.attributes.remove(0).value)
}

fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

#[track_caller]
fn assert_error(result: Result<impl std::fmt::Debug, JsonError>, path: &str, message: &str) {
    let error = result.unwrap_err();
    assert_eq!(
        (error.path.as_str(), error.message.as_str()),
        (path, message)
    );
}

const SPAN: &str = "resourceSpans[0].scopeSpans[0].spans[0]";

#[test]
fn a_request_as_sdks_write_it_is_read() {
    let json = br#"{
      "resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]},
        "schemaUrl": "urn:schema",
        "scopeSpans": [{
          "scope": {"name": "lib", "version": "1.2.3"},
          "spans": [{
            "traceId": "5B8EFFF798038103D269B633813FC60C",
            "spanId": "eee19b7ec3c1b174",
            "parentSpanId": "",
            "flags": 257,
            "name": "GET /cart",
            "kind": 2,
            "startTimeUnixNano": "1700000000000000001",
            "endTimeUnixNano": 1700000000000000002,
            "attributes": [{"key": "n", "value": {"intValue": "-9007199254740993"}}],
            "events": [{"timeUnixNano": "7", "name": "e"}],
            "links": [{"traceId": "01", "spanId": "02", "flags": 1}],
            "status": {"code": 2, "message": "no"}
          }]
        }]
      }]
    }"#;
    let request = json::decode_traces(json).unwrap();
    let of_resource = &request.resource_spans[0];
    assert_eq!(of_resource.schema_url, "urn:schema");
    let of_scope = &of_resource.scope_spans[0];
    assert_eq!(of_scope.scope.as_ref().unwrap().version, "1.2.3");
    let span = &of_scope.spans[0];
    assert_eq!(
        span.trace_id,
        const_hex::decode("5b8efff798038103d269b633813fc60c").unwrap()
    );
    assert_eq!(span.span_id, const_hex::decode("eee19b7ec3c1b174").unwrap());
    assert_eq!(span.parent_span_id, Bytes::new());
    assert_eq!((span.flags, span.kind), (257, 2));
    assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_001);
    assert_eq!(span.end_time_unix_nano, 1_700_000_000_000_000_002);
    assert_eq!(
        span.attributes[0].value,
        any(Value::IntValue(-9_007_199_254_740_993))
    );
    assert_eq!(
        (span.events[0].time_unix_nano, span.events[0].name.as_str()),
        (7, "e")
    );
    assert_eq!(span.links[0].trace_id, Bytes::from_static(&[1]));
    assert_eq!(
        span.status,
        Some(Status {
            message: "no".to_owned(),
            code: 2
        })
    );
}

#[test]
fn log_records_are_read() {
    let json = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{
        "timeUnixNano":"1","observedTimeUnixNano":"2","severityNumber":17,"severityText":"ERROR",
        "body":{"kvlistValue":{"values":[{"key":"a","value":{"doubleValue":0.5}}]}},
        "eventName":"failed","droppedAttributesCount":3}]}]}]}"#;
    let request = json::decode_logs(json).unwrap();
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(
        (record.time_unix_nano, record.observed_time_unix_nano),
        (1, 2)
    );
    assert_eq!(
        (record.severity_number, record.severity_text.as_str()),
        (17, "ERROR")
    );
    assert_eq!(
        (record.event_name.as_str(), record.dropped_attributes_count),
        ("failed", 3)
    );
    let Some(Value::KvlistValue(list)) = record.body.as_ref().unwrap().value.as_ref() else {
        panic!("no map: {record:?}");
    };
    assert_eq!(list.values[0].value, any(Value::DoubleValue(0.5)));
}

#[test]
fn ids_are_hexadecimal_of_either_case() {
    let id = |text: &str| span(&format!(r#""traceId":"{text}""#)).map(|span| span.trace_id);
    assert_eq!(id("aBcD"), Ok(Bytes::from_static(&[0xab, 0xcd])));
    assert_eq!(id(""), Ok(Bytes::new()));
    let path = format!("{SPAN}.traceId");
    assert_error(
        id("abc"),
        &path,
        "expected an even number of hexadecimal digits, found 3",
    );
    assert_error(
        id("0xab"),
        &path,
        "expected hexadecimal digits, found 'x' at character 2",
    );
    // How a base64 mapping of the id would look.
    assert_error(
        id("W47/95gDgQPSabYzgT/GDA=="),
        &path,
        "expected hexadecimal digits, found 'W' at character 1",
    );
    assert_error(
        span(r#""traceId":12"#),
        &path,
        "expected a string, found a number",
    );
}

#[test]
fn integers_are_numbers_or_strings_and_exact() {
    let start = |text: &str| {
        span(&format!(r#""startTimeUnixNano":{text}"#)).map(|span| span.start_time_unix_nano)
    };
    for text in [
        "1700000000000000003",
        r#""1700000000000000003""#,
        "1.700000000000000003e18",
    ] {
        assert_eq!(start(text), Ok(1_700_000_000_000_000_003), "{text}");
    }
    assert_eq!(start("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(start("1.0e3"), Ok(1000));
    assert_eq!(start(r#""1.0e3""#), Ok(1000));
    assert_eq!(start(r#""\u0037""#), Ok(7));

    let path = format!("{SPAN}.startTimeUnixNano");
    let expected = "expected an unsigned integer of 64 bits, found";
    for (text, found) in [
        ("18446744073709551616", "a number that is out of its range"),
        ("-1", "a number that is out of its range"),
        ("1e999", "a number that is out of its range"),
        ("0.5", "a number with a fraction"),
        (r#""""#, "a string that is no number"),
        (r#""+1""#, "a string that is no number"),
        ("true", "a boolean"),
        (r#"{"low":1,"high":2}"#, "an object"),
        ("[1]", "a list"),
    ] {
        assert_error(start(text), &path, &format!("{expected} {found}"));
    }

    assert_eq!(
        value(r#"{"intValue":-9223372036854775808}"#),
        Ok(any(Value::IntValue(i64::MIN)))
    );
    assert_eq!(span(r#""flags":"4294967295""#).unwrap().flags, u32::MAX);
    assert!(span(r#""flags":4294967296"#).is_err());
}

#[test]
fn enums_are_numbers_and_never_names() {
    let kind = |text: &str| span(&format!(r#""kind":{text}"#)).map(|span| span.kind);
    assert_eq!(kind("3"), Ok(3));
    assert_eq!(kind("-77"), Ok(-77), "open: what is not known is kept");
    let path = format!("{SPAN}.kind");
    assert_error(
        kind(r#""SPAN_KIND_SERVER""#),
        &path,
        "expected the number of an enum, found a string: OTLP/JSON has no enum names",
    );
    assert_error(
        kind(r#""3""#),
        &path,
        "expected the number of an enum, found a string: OTLP/JSON has no enum names",
    );
    assert_error(
        kind("3000000000"),
        &path,
        "expected the number of an enum, found a number that is out of its range",
    );
}

#[test]
fn bytes_are_base64_of_either_alphabet_with_or_without_padding() {
    let bytes = any(Value::BytesValue(Bytes::from_static(&[
        0xfb, 0xff, 0xfe, 0x01,
    ])));
    for text in ["+//+AQ==", "+//+AQ", "-__-AQ==", "-__-AQ"] {
        assert_eq!(
            value(&format!(r#"{{"bytesValue":"{text}"}}"#)),
            Ok(bytes.clone()),
            "{text}"
        );
    }
    let error = value(r#"{"bytesValue":"!"}"#).unwrap_err();
    assert!(error.message.starts_with("not base64: "), "{error}");
}

#[test]
fn doubles_are_the_nearest_and_have_names_for_what_json_cannot_write() {
    let double = |text: &str| {
        let read = value(&format!(r#"{{"doubleValue":{text}}}"#))?;
        match read.and_then(|any| any.value) {
            Some(Value::DoubleValue(double)) => Ok::<f64, JsonError>(double),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(double("9007199254740993.0"), Ok(9_007_199_254_740_992.0));
    assert_eq!(double("5"), Ok(5.0));
    assert_eq!(double(r#""-2.5e-3""#), Ok(-0.0025));
    assert_eq!(double(r#""Infinity""#), Ok(f64::INFINITY));
    assert_eq!(double(r#""-Infinity""#), Ok(f64::NEG_INFINITY));
    assert!(double(r#""NaN""#).unwrap().is_nan());
    assert_eq!(double("-0.0").map(f64::to_bits), Ok((-0.0_f64).to_bits()));
    assert!(double("1e309").is_err());
    assert!(double(r#""nan""#).is_err());
    assert!(double("NaN").is_err());
}

#[test]
fn null_is_the_default_of_every_field() {
    let fields = [
        "traceId",
        "traceState",
        "flags",
        "kind",
        "startTimeUnixNano",
        "attributes",
        "status",
    ];
    let fields: Vec<String> = fields
        .iter()
        .map(|name| format!(r#""{name}":null"#))
        .collect();
    assert_eq!(span(&fields.join(",")), Ok(Span::default()));
    assert_eq!(value("null"), Ok(None));
    let two = r#"{"stringValue":null,"boolValue":true,"intValue":null}"#;
    assert_eq!(value(two), Ok(any(Value::BoolValue(true))));
    let listed = span(r#""attributes":[null,{"key":"a"}]"#)
        .unwrap()
        .attributes;
    assert_eq!(
        listed,
        [
            KeyValue::default(),
            KeyValue {
                key: "a".into(),
                ..KeyValue::default()
            }
        ]
    );
    assert_error(
        json::decode_traces(b"null"),
        "",
        "expected an object, found null",
    );
}

#[test]
fn an_empty_value_is_not_an_absent_one() {
    assert_eq!(value("{}"), Ok(Some(AnyValue { value: None })));
    assert_eq!(
        value(r#"{"stringValue":""}"#),
        Ok(any(Value::StringValue(String::new())))
    );
    assert_eq!(
        span(r#""status":{}"#).unwrap().status,
        Some(Status::default())
    );
}

#[test]
fn unknown_fields_are_ignored_wherever_they_are_and_whatever_they_hold() {
    let deep = format!("{}{}", r#"{"x":["#.repeat(50_000), "]}".repeat(50_000));
    let junk =
        format!(r#""trace_id":"zz","Name":7,"unknown":{deep},"y":[1e999,"\ud83e\udd80",null]"#);
    let json = format!(
        r#"{{{junk},"resourceSpans":[{{{junk},"resource":{{{junk}}},"scopeSpans":[{{{junk},"scope":{{{junk}}},
        "spans":[{{{junk},"name":"kept","attributes":[{{{junk},"value":{{{junk}}}}}]}}]}}]}}]}}"#
    );
    let request = json::decode_traces(json.as_bytes()).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.name, "kept");
    assert_eq!(span.trace_id, Bytes::new(), "snake_case is unknown");
    assert_eq!(span.attributes[0].value, Some(AnyValue { value: None }));
}

#[test]
fn a_name_may_be_escaped() {
    assert_eq!(span(r#""\u006eame":"x""#).unwrap().name, "x");
}

#[test]
fn two_types_of_one_value_are_refused() {
    assert_error(
        value(r#"{"stringValue":"a","intValue":"1"}"#),
        &format!("{SPAN}.attributes[0].value.intValue"),
        "the value has two types",
    );
}

#[test]
fn a_field_that_stands_twice_is_refused_even_as_null() {
    let path = format!("{SPAN}.name");
    assert_error(
        span(r#""name":"a","name":"b""#),
        &path,
        "the field stands twice",
    );
    assert_error(
        span(r#""name":null,"name":"b""#),
        &path,
        "the field stands twice",
    );
    assert!(span(r#""unknown":1,"unknown":2"#).is_ok());
}

#[test]
fn text_that_is_not_unicode_is_refused() {
    let mut json = br#"{"resourceSpans":[{"schemaUrl":"?"}]}"#.to_vec();
    let at = json.iter().position(|byte| *byte == b'?').unwrap();
    json[at] = 0xff;
    assert_error(
        json::decode_traces(&json),
        "resourceSpans[0].schemaUrl",
        "invalid unicode code point",
    );
    assert!(span(r#""name":"\ud800""#).is_err(), "a lone surrogate");
    assert_eq!(span(r#""name":"\ud83e\udd80\u0000""#).unwrap().name, "🦀\0");
}

#[test]
fn an_error_names_line_column_and_path() {
    let json =
        b"{\n  \"resourceSpans\": [\n    {\"resource\": {}},\n    {\"scopeSpans\": [7]}\n  ]\n}";
    let error = json::decode_traces(json).unwrap_err();
    assert_eq!((error.line, error.column), (4, 21));
    assert_eq!(
        error.to_string(),
        "line 4, column 21, at resourceSpans[1].scopeSpans[0]: expected an object, found a number"
    );
}

#[test]
fn broken_documents_are_refused_with_the_place() {
    for (json, line, column, path, message) in [
        ("", 1, 0, "", "EOF while parsing a value"),
        ("{", 1, 1, "", "EOF while parsing an object"),
        ("[]", 1, 2, "", "expected an object, found a list"),
        ("{} {}", 1, 4, "", "trailing characters"),
        ("\u{feff}{}", 1, 1, "", "expected value"),
        (
            r#"{"resourceSpans":{}}"#,
            1,
            19,
            "resourceSpans",
            "expected a list, found an object",
        ),
        (
            r#"{"resourceSpans":[{]}"#,
            1,
            20,
            "resourceSpans[0]",
            "key must be a string",
        ),
        (
            r#"{"resourceSpans":[{},]}"#,
            1,
            22,
            "resourceSpans[1]",
            "trailing comma",
        ),
        (r#"{"resourceSpans":[],}"#, 1, 21, "", "trailing comma"),
        (r#"{"x":tru}"#, 1, 9, "", "expected ident"),
    ] {
        let error = json::decode_traces(json.as_bytes()).unwrap_err();
        let found = (
            error.line,
            error.column,
            error.path.as_str(),
            error.message.as_str(),
        );
        assert_eq!(found, (line, column, path, message), "{json}");
    }
}

#[test]
fn errors_do_not_repeat_values() {
    let secret = "hunter2".repeat(1000);
    for fields in [
        format!(r#""kind":"{secret}""#),
        format!(r#""traceId":"x{secret}""#),
        format!(r#""flags":"{secret}""#),
        format!(r#""attributes":"{secret}""#),
        format!(r#""status":"{secret}""#),
        format!(r#""attributes":[{{"key":"","value":{{"bytesValue":"!{secret}"}}}}]"#),
        format!(r#""attributes":[{{"key":"","value":{{"boolValue":"{secret}"}}}}]"#),
    ] {
        let error = span(&fields).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// A request with a value that is a list in a list, so many of them.
fn nested_lists(depth: usize) -> String {
    let open = r#"{"arrayValue":{"values":["#.repeat(depth);
    let close = "]}}".repeat(depth);
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"value":{open}{{}}{close}}}]}}]}}]}}]}}"#
    )
}

#[test]
fn messages_may_be_nested_as_deep_as_in_protobuf() {
    // Below the request: resource spans, scope spans, span, attribute and value, then two messages for each list.
    let deepest = (100 - 5) / 2;
    let request = json::decode_traces(nested_lists(deepest).as_bytes()).unwrap();
    let bytes = request.encode_to_vec();
    assert_eq!(
        ExportTraceServiceRequest::decode(bytes.as_slice()),
        Ok(request.clone())
    );
    let json = json::traces_to_json(&request.resource_spans);
    assert_eq!(json::decode_traces(json.as_bytes()), Ok(request.clone()));

    let error = json::decode_traces(nested_lists(deepest + 1).as_bytes()).unwrap_err();
    assert_eq!(error.message, "nested deeper than 100 messages");
    assert!(json::decode_traces(nested_lists(100_000).as_bytes()).is_err());

    // One level more by hand, to see that prost draws the line at the same place.
    let mut deeper = request;
    let value = deeper.resource_spans[0].scope_spans[0].spans[0].attributes[0]
        .value
        .take();
    let list = log_tracer_proto::otlp::common::ArrayValue {
        values: vec![value.unwrap()],
    };
    deeper.resource_spans[0].scope_spans[0].spans[0].attributes[0].value =
        any(Value::ArrayValue(list));
    assert!(ExportTraceServiceRequest::decode(deeper.encode_to_vec().as_slice()).is_err());
}
