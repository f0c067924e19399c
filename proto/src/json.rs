//! OTLP/JSON to and from the messages, exact in both directions.
//!
//! OTLP/JSON is the JSON mapping of proto3 with exceptions, <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
//!
//! | what | written | read |
//! |---|---|---|
//! | names of fields | lowerCamelCase | the same; every other name, snake_case too, is unknown |
//! | unknown fields | | ignored, whatever they hold |
//! | trace and span ids | lower-case hexadecimal | hexadecimal of either case, any number of bytes |
//! | `bytesValue` | base64 with padding | base64, standard or URL-safe, padded or not |
//! | 64-bit integers | decimal string | number or string, exact at any size; `1.5e3` is a whole number |
//! | 32-bit integers | number | number or string |
//! | enums | number | number; a name is refused, as OTLP demands; numbers that no enum has are kept |
//! | doubles | number, or `"NaN"`, `"Infinity"`, `"-Infinity"` | the same, or a number in a string; too large is refused |
//! | default values | left out | `null` is the default of any field, and of an element of a list |
//! | a value of an attribute | one field | two fields that are not `null` are refused |
//! | a field that stands twice | | refused |
//!
//! A text that is read needs to be UTF-8 without lone surrogates. Messages may be nested as deep as in protobuf, 100
//! below the request, so that whatever is read here can be sent on in protobuf.

mod codec;
mod messages;
mod number;
mod read;
mod scalar;
mod write;

use crate::otlp::{
    collector_logs::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    collector_trace::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    logs::ResourceLogs,
    trace::ResourceSpans,
};
use messages::{LOGS, Message, TRACES};
use write::{Writer, write_list, write_message};

/// Why a text is not OTLP/JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}{}: {message}", at(path))]
pub struct JsonError {
    /// Where reading stopped, from 1. What is wrong ends there.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// The field that it was in, such as `resourceSpans[0].scopeSpans[0].spans[3].traceId`; empty at the top.
    pub path: String,
    /// What is wrong with it. Repeats no more than one character of a value.
    pub message: String,
}

fn at(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(", at {path}")
    }
}

/// Reads an export request of spans (which is also how OTLP writes spans to a file).
///
/// # Errors
///
/// The first thing that is not OTLP/JSON, and where it stands.
pub fn decode_traces(json: &[u8]) -> Result<ExportTraceServiceRequest, JsonError> {
    read::read_document(json)
}

/// Reads an export request of log records.
///
/// # Errors
///
/// The first thing that is not OTLP/JSON, and where it stands.
pub fn decode_logs(json: &[u8]) -> Result<ExportLogsServiceRequest, JsonError> {
    read::read_document(json)
}

/// Reads the reply to an export of spans.
///
/// # Errors
///
/// The first thing that is not OTLP/JSON, and where it stands.
pub fn decode_trace_response(json: &[u8]) -> Result<ExportTraceServiceResponse, JsonError> {
    read::read_document(json)
}

/// Reads the reply to an export of log records.
///
/// # Errors
///
/// The first thing that is not OTLP/JSON, and where it stands.
pub fn decode_logs_response(json: &[u8]) -> Result<ExportLogsServiceResponse, JsonError> {
    read::read_document(json)
}

/// Writes spans as one `TracesData`, which is also how an export request looks.
#[must_use]
pub fn traces_to_json(resource_spans: &[ResourceSpans]) -> String {
    let mut out = Writer::default();
    write_list::<Message<_>>(TRACES, resource_spans, &mut out);
    out.finish()
}

/// Writes log records as one `LogsData`, which is also how an export request looks.
#[must_use]
pub fn logs_to_json(resource_logs: &[ResourceLogs]) -> String {
    let mut out = Writer::default();
    write_list::<Message<_>>(LOGS, resource_logs, &mut out);
    out.finish()
}

/// Writes the reply to an export of spans.
#[must_use]
pub fn trace_response_to_json(response: &ExportTraceServiceResponse) -> String {
    let mut out = Writer::default();
    write_message(response, &mut out);
    out.finish()
}

/// Writes the reply to an export of log records.
#[must_use]
pub fn logs_response_to_json(response: &ExportLogsServiceResponse) -> String {
    let mut out = Writer::default();
    write_message(response, &mut out);
    out.finish()
}
