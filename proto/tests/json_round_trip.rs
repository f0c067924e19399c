//! Any message survives the way to OTLP/JSON and back, bit by bit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_proto::{
    arbitrary::{int, resource_logs, resource_spans, text},
    json,
    otlp::{
        collector_logs::{
            ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
        },
        collector_trace::{
            ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        },
    },
};
use proptest::{option, prelude::*};
use prost::Message;
use serde_json::Value;

/// Bits, not `==`: that takes -0.0 for 0.0 and no NaN for itself.
fn bits(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// Whether a value is one that proto3 JSON leaves out of a message, or OTLP/JSON never has.
fn is_superfluous(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Fails for whatever a strict reader of OTLP/JSON would stumble over.
fn check_form(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
                assert!(!is_superfluous(value), "{name} is written without need");
                let is_attribute_value = name.ends_with("Value");
                if !is_attribute_value {
                    assert_ne!(value, "", "{name} is written without need");
                    assert_ne!(value, 0, "{name} is written without need");
                }
                if name.ends_with("UnixNano") || name == "intValue" {
                    assert!(value.is_string(), "{name} is no string");
                }
                // A text may well be a zero: a key, a name.
                if name.ends_with("UnixNano") {
                    assert_ne!(value, "0", "{name} is written without need");
                }
                if name == "kind" || name == "code" || name == "severityNumber" {
                    assert!(value.is_i64(), "{name} is no number");
                }
                if ["traceId", "spanId", "parentSpanId"].contains(&name.as_str()) {
                    let is_lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                    assert!(value.as_str().unwrap().chars().all(is_lower_hex), "{name}");
                }
                check_form(value);
            }
        }
        Value::Array(elements) => elements.iter().for_each(check_form),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn spans_come_back_as_they_were(resource_spans in resource_spans()) {
        let json = json::traces_to_json(&resource_spans);
        let request = ExportTraceServiceRequest { resource_spans };
        prop_assert_eq!(bits(&json::decode_traces(json.as_bytes()).unwrap()), bits(&request));
    }

    #[test]
    fn log_records_come_back_as_they_were(resource_logs in resource_logs()) {
        let json = json::logs_to_json(&resource_logs);
        let request = ExportLogsServiceRequest { resource_logs };
        prop_assert_eq!(bits(&json::decode_logs(json.as_bytes()).unwrap()), bits(&request));
    }

    #[test]
    fn what_is_written_is_what_a_strict_reader_takes(
        resource_spans in resource_spans(),
        resource_logs in resource_logs(),
    ) {
        for json in [json::traces_to_json(&resource_spans), json::logs_to_json(&resource_logs)] {
            let value: Value = serde_json::from_str(&json).unwrap();
            let resources = value.as_object().unwrap().values().next().unwrap();
            resources.as_array().unwrap().iter().for_each(check_form);
        }
    }

    #[test]
    fn a_document_means_the_same_with_other_white_space(resource_spans in resource_spans()) {
        let json = json::traces_to_json(&resource_spans);
        let value: &serde_json::value::RawValue = serde_json::from_str(&json).unwrap();
        let spaced = format!("\r\n\t {value} \n");
        prop_assert_eq!(
            bits(&json::decode_traces(spaced.as_bytes()).unwrap()),
            bits(&ExportTraceServiceRequest { resource_spans })
        );
    }

    #[test]
    fn replies_come_back_as_they_were(
        partial in option::of((int(), text())),
    ) {
        let traces = ExportTraceServiceResponse {
            partial_success: partial.clone().map(|(rejected_spans, error_message)| {
                ExportTracePartialSuccess { rejected_spans, error_message }
            }),
        };
        let json = json::trace_response_to_json(&traces);
        prop_assert_eq!(json::decode_trace_response(json.as_bytes()), Ok(traces));

        let logs = ExportLogsServiceResponse {
            partial_success: partial.map(|(rejected_log_records, error_message)| {
                ExportLogsPartialSuccess { rejected_log_records, error_message }
            }),
        };
        let json = json::logs_response_to_json(&logs);
        prop_assert_eq!(json::decode_logs_response(json.as_bytes()), Ok(logs));
    }
}

#[test]
fn replies_look_as_otlp_has_them() {
    let full = ExportTraceServiceResponse::default();
    assert_eq!(json::trace_response_to_json(&full), "{}");
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "two \"bad\" ids".to_owned(),
        }),
    };
    assert_eq!(
        json::trace_response_to_json(&partial),
        r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"two \"bad\" ids"}}"#
    );
    let warning = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: 0,
            error_message: "old schema".to_owned(),
        }),
    };
    assert_eq!(
        json::logs_response_to_json(&warning),
        r#"{"partialSuccess":{"errorMessage":"old schema"}}"#
    );
}
