//! What a stored request is answered with, and a refused one, in the encodings of OTLP.

use http::HeaderValue;
use log_tracer_proto::{
    json,
    otlp::{
        collector_logs::{ExportLogsPartialSuccess, ExportLogsServiceResponse},
        collector_trace::{ExportTracePartialSuccess, ExportTraceServiceResponse},
    },
};
use log_tracer_record::Rejected;
use prost::Message;
use serde_json::{Value, json as object};
use tonic::Status;
use tonic_types::{StatusExt, pb};

use crate::{Reason, Refusal, ingest::Position, pipeline::Content};

/// More positions are not put into a header: with these it stays under 4 KiB, and clients take 8.
const POSITIONS_MAX: usize = 64;

/// The response to an export: the partial success is there only if records were left out, and its message is cut if the
/// response would be too large with it.
pub(crate) fn export(
    content: Content,
    rejected: &Rejected,
    response_bytes_max: usize,
) -> Result<Vec<u8>, Refusal> {
    let mut message = rejected.to_string();
    loop {
        let response = encode_export(content, rejected.count, &message);
        if response.len() <= response_bytes_max {
            return Ok(response);
        }
        if message.is_empty() {
            return Err(too_large(response_bytes_max));
        }
        message.truncate(message.floor_char_boundary(message.len() / 2));
    }
}

/// Any other message as a response.
pub(crate) fn message(
    message: &impl Message,
    response_bytes_max: usize,
) -> Result<Vec<u8>, Refusal> {
    let response = message.encode_to_vec();
    if response.len() > response_bytes_max {
        return Err(too_large(response_bytes_max));
    }
    Ok(response)
}

/// The value of [`crate::POSITIONS_HEADER`].
pub(crate) fn positions(positions: &[Position]) -> Option<HeaderValue> {
    if positions.is_empty() || positions.len() > POSITIONS_MAX {
        return None;
    }
    let texts: Vec<_> = positions.iter().map(position).collect();
    HeaderValue::try_from(texts.join(",")).ok()
}

/// `google.rpc.Status` in protobuf.
pub(crate) fn status_protobuf(status: &Status) -> Vec<u8> {
    // With details, tonic keeps the whole message as bytes.
    if !status.details().is_empty() {
        return status.details().to_vec();
    }
    let status = pb::Status {
        code: i32::from(status.code()),
        message: status.message().to_owned(),
        details: Vec::new(),
    };
    status.encode_to_vec()
}

/// `google.rpc.Status` in the JSON mapping of protobuf.
pub(crate) fn status_json(status: &Status) -> Vec<u8> {
    let mut details = Vec::new();
    if let Some(info) = status.get_details_retry_info() {
        let delay = info.retry_delay.unwrap_or_default();
        details.push(object!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}.{:03}s", delay.as_secs(), delay.subsec_millis()),
        }));
    }
    if let Some(request) = status.get_details_bad_request() {
        let violations = request.field_violations.into_iter();
        let violations = violations.map(
            |violation| object!({ "field": violation.field, "description": violation.description }),
        );
        details.push(object!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": violations.collect::<Vec<_>>(),
        }));
    }
    let mut body = object!({ "code": i32::from(status.code()), "message": status.message() });
    if let Some(fields) = body.as_object_mut().filter(|_| !details.is_empty()) {
        fields.insert("details".to_owned(), Value::Array(details));
    }
    body.to_string().into_bytes()
}

fn position(position: &Position) -> String {
    let Position {
        log_id,
        partition,
        offset,
    } = position;
    format!("{log_id}:{}:{}", partition.0, offset.0)
}

fn encode_export(content: Content, rejected: u64, error_message: &str) -> Vec<u8> {
    let count = i64::try_from(rejected).unwrap_or(i64::MAX);
    let is_partial = rejected > 0;
    let error_message = error_message.to_owned();
    match content {
        Content::Traces | Content::TracesJson => {
            let partial_success = is_partial.then_some(ExportTracePartialSuccess {
                rejected_spans: count,
                error_message,
            });
            let response = ExportTraceServiceResponse { partial_success };
            match content {
                Content::TracesJson => json::trace_response_to_json(&response).into_bytes(),
                _ => response.encode_to_vec(),
            }
        }
        Content::Logs | Content::LogsJson | Content::Submit => {
            let partial_success = is_partial.then_some(ExportLogsPartialSuccess {
                rejected_log_records: count,
                error_message,
            });
            let response = ExportLogsServiceResponse { partial_success };
            match content {
                Content::LogsJson => json::logs_response_to_json(&response).into_bytes(),
                _ => response.encode_to_vec(),
            }
        }
    }
}

fn too_large(response_bytes_max: usize) -> Refusal {
    Refusal::new(
        Reason::ResponseTooLarge,
        format!("the response would be larger than {response_bytes_max} bytes, the limit"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use log_tracer_record::Place;
    use log_tracer_transport::{LogId, Offset, Partition};

    use super::*;

    fn rejected(count: usize) -> Rejected {
        let mut rejected = Rejected::default();
        for record in 0..count {
            let place = Place {
                resource: 0,
                scope: 0,
                record,
            };
            rejected.add(place, || "the trace id is all zero".to_owned());
        }
        rejected
    }

    #[test]
    fn full_success_is_an_empty_message() {
        for content in [Content::Traces, Content::Logs] {
            assert!(export(content, &rejected(0), 100).unwrap().is_empty());
        }
        assert_eq!(export(Content::LogsJson, &rejected(0), 100).unwrap(), b"{}");
    }

    #[test]
    fn a_partial_success_counts_and_explains() {
        let bytes = export(Content::Traces, &rejected(2), 1_000).unwrap();
        let response = ExportTraceServiceResponse::decode(bytes.as_slice()).unwrap();
        let partial = response.partial_success.unwrap();
        assert_eq!(partial.rejected_spans, 2);
        assert!(partial.error_message.contains("all zero"));

        let json = export(Content::LogsJson, &rejected(2), 1_000).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["partialSuccess"]["rejectedLogRecords"], "2");
    }

    #[test]
    fn the_message_shrinks_to_the_limit_and_then_the_response_fails() {
        for content in [Content::Traces, Content::TracesJson] {
            let whole = export(content, &rejected(3), 10_000).unwrap();
            let cut = export(content, &rejected(3), 80).unwrap();
            assert!(cut.len() < whole.len());
            assert!(cut.len() <= 80);
            let refusal = export(content, &rejected(3), 3).unwrap_err();
            assert_eq!(refusal.reason, Reason::ResponseTooLarge);
        }
    }

    #[test]
    fn positions_are_a_list_and_absent_when_a_header_cannot_hold_them() {
        let position = |partition| Position {
            log_id: LogId(0xab),
            partition: Partition(partition),
            offset: Offset(u64::MAX),
        };
        let two: Vec<_> = (0..2).map(position).collect();
        let id = "000000000000000000000000000000ab";
        assert_eq!(
            positions(&two).unwrap().to_str().unwrap(),
            format!("{id}:0:{max},{id}:1:{max}", max = u64::MAX)
        );
        let most: Vec<_> = (0..64).map(|number| position(u16::MAX - number)).collect();
        assert!(positions(&most).unwrap().len() < 4_096);
        let more: Vec<_> = (0..65).map(position).collect();
        assert_eq!(positions(&more), None);
        assert_eq!(positions(&[]), None);
    }

    #[test]
    fn a_status_says_the_same_in_protobuf_and_json() {
        let refusal = Refusal::new(Reason::Malformed, "no span").at("spans[0]");
        let status = refusal.to_status(Duration::ZERO);
        let proto = pb::Status::decode(status_protobuf(&status).as_slice()).unwrap();
        let json: Value = serde_json::from_slice(&status_json(&status)).unwrap();
        assert_eq!((proto.code, proto.message.as_str()), (3, "no span"));
        assert_eq!(json["code"], 3);
        assert_eq!(
            json["details"][0]["fieldViolations"][0]["field"],
            "spans[0]"
        );
        assert_eq!(proto.details[0].type_url, json["details"][0]["@type"]);

        let busy = Refusal::new(Reason::Busy, "busy").to_status(Duration::from_millis(1_500));
        let json: Value = serde_json::from_slice(&status_json(&busy)).unwrap();
        assert_eq!(json["details"][0]["retryDelay"], "1.500s");

        let plain = Refusal::new(Reason::NotFound, "nothing here").to_status(Duration::ZERO);
        let proto = pb::Status::decode(status_protobuf(&plain).as_slice()).unwrap();
        assert_eq!((proto.code, proto.details.len()), (12, 0));
    }
}
