//! LogService entries to OTLP logs.

use log_tracer_proto::v1::{Level, LogEntry, SubmitRequest};

use bytes::Bytes;
use indexmap::IndexMap;

use crate::{
    IdError, SpanId, TraceId,
    otlp::{
        common::{AnyValue, KeyValue, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
        resource::Resource,
    },
};

/// Why an entry cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entries[{entry}].{field}: {problem}")]
pub struct EntryError {
    /// Which entry of the request, from 0.
    pub entry: usize,
    /// Which field of the entry.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field of an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It must be given.
    #[error("must not be empty")]
    Empty,
    /// It is a number that the enum does not have.
    #[error("{0} is not a level: expected 0 to 6")]
    UnknownLevel(i32),
    /// It is not an id.
    #[error("{0}")]
    Id(#[from] IdError),
    /// A span is named without its trace.
    #[error("needs a trace id")]
    SpanWithoutTrace,
}

/// Turns entries into log records, those of a service together, in the order of the first appearance of each service.
///
/// The level becomes the first severity number of its range and its name. `arrival_unix_nano` becomes the observed time
/// of each record; a time of 0 stays 0, so that the arrival is what counts.
///
/// # Errors
///
/// The first entry that cannot be taken; then none of them is.
pub fn resource_logs(
    entries: Vec<LogEntry>,
    arrival_unix_nano: u64,
) -> Result<Vec<ResourceLogs>, EntryError> {
    let mut by_service: IndexMap<String, Vec<LogRecord>> = IndexMap::new();
    for (index, mut entry) in entries.into_iter().enumerate() {
        let service = std::mem::take(&mut entry.service);
        if service.trim().is_empty() {
            return Err(EntryError {
                entry: index,
                field: "service",
                problem: Problem::Empty,
            });
        }
        let record = record(entry, arrival_unix_nano).map_err(|(field, problem)| EntryError {
            entry: index,
            field,
            problem,
        })?;
        by_service.entry(service).or_default().push(record);
    }
    Ok(by_service
        .into_iter()
        .map(|(service, records)| of_service(service, records))
        .collect())
}

/// Whether each entry carries a time that its sender gave it, so that a retry of the request can be told from a second
/// request with the same content. True of a request without entries. To be asked before they are converted, which gives
/// each of them an observed time.
#[must_use]
pub fn every_entry_has_a_time(request: &SubmitRequest) -> bool {
    request
        .entries
        .iter()
        .all(|entry| entry.time_unix_nano != 0)
}

fn record(entry: LogEntry, arrival_unix_nano: u64) -> Result<LogRecord, (&'static str, Problem)> {
    let (severity_number, severity_text) =
        severity(entry.level).ok_or(("level", Problem::UnknownLevel(entry.level)))?;
    let trace_id =
        optional(&entry.trace_id, TraceId::from_hex).map_err(|error| ("trace_id", error.into()))?;
    let span_id =
        optional(&entry.span_id, SpanId::from_hex).map_err(|error| ("span_id", error.into()))?;
    if span_id.is_some() && trace_id.is_none() {
        return Err(("span_id", Problem::SpanWithoutTrace));
    }
    Ok(LogRecord {
        time_unix_nano: entry.time_unix_nano,
        observed_time_unix_nano: arrival_unix_nano,
        severity_number: severity_number.into(),
        severity_text: severity_text.to_owned(),
        body: Some(text(entry.message)),
        attributes: entry.attributes,
        trace_id: trace_id.map_or_else(Bytes::new, TraceId::to_bytes),
        span_id: span_id.map_or_else(Bytes::new, SpanId::to_bytes),
        ..LogRecord::default()
    })
}

fn severity(level: i32) -> Option<(SeverityNumber, &'static str)> {
    Some(match Level::try_from(level).ok()? {
        Level::Unspecified => (SeverityNumber::Unspecified, ""),
        Level::Trace => (SeverityNumber::Trace, "TRACE"),
        Level::Debug => (SeverityNumber::Debug, "DEBUG"),
        Level::Info => (SeverityNumber::Info, "INFO"),
        Level::Warn => (SeverityNumber::Warn, "WARN"),
        Level::Error => (SeverityNumber::Error, "ERROR"),
        Level::Fatal => (SeverityNumber::Fatal, "FATAL"),
    })
}

fn optional<T>(
    digits: &str,
    read: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<Option<T>, IdError> {
    if digits.is_empty() {
        Ok(None)
    } else {
        read(digits).map(Some)
    }
}

fn of_service(service: String, log_records: Vec<LogRecord>) -> ResourceLogs {
    let name = KeyValue {
        key: "service.name".to_owned(),
        value: Some(text(service)),
        ..KeyValue::default()
    };
    ResourceLogs {
        resource: Some(Resource {
            attributes: vec![name],
            ..Resource::default()
        }),
        scope_logs: vec![ScopeLogs {
            log_records,
            ..ScopeLogs::default()
        }],
        schema_url: String::new(),
    }
}

fn text(text: String) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(text)),
    }
}
