//! Traces from files that visitors opened: kept in memory only, within a limit in bytes, under made-up ids.
//!
//! A file is read as one or more JSON documents: OTLP/JSON (`resourceSpans`, `resourceLogs`; as downloaded here, as an
//! exporter writes it, or in the `result` of Jaeger's version 3), or Jaeger's own JSON (`data`, or a trace alone). Of
//! OTLP, all traces of a file are taken apart by their ids.
//!
//! A trace of a file is looked at under an id of its own, which nobody can guess, and not under the id that it has: the
//! same trace may be stored, too, and a file must not stand in its place. When room is needed the oldest leave.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use log_tracer_proto::{
    json::{decode_logs, decode_traces},
    v1::GetTraceResponse,
};
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    fault::Fault,
    jaeger::read::{self, TraceJson},
    units,
};

/// Traces that are taken from one file.
pub(crate) const TRACES_MAX: usize = 100;

/// The id of a trace, or of its place here.
type Id = [u8; 16];

/// A trace of a file.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// Where it is looked at.
    pub(crate) place: Id,
    /// The id that it has in the file.
    pub(crate) trace_id: Id,
    /// What the visitor's file is called.
    pub(crate) file: String,
    /// The trace as a consumer would answer it, encoded, so that its size is known.
    encoded: Bytes,
}

impl Upload {
    pub(crate) fn trace(&self) -> Result<GetTraceResponse, Fault> {
        GetTraceResponse::decode(self.encoded.clone()).map_err(|error| {
            Fault::internal(format!("an opened file cannot be read again: {error}"))
        })
    }
}

/// The traces that are kept.
#[derive(Debug)]
pub(crate) struct Uploads {
    kept: Mutex<VecDeque<Upload>>,
    bytes_max: usize,
}

impl Uploads {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            kept: Mutex::new(VecDeque::new()),
            bytes_max,
        }
    }

    pub(crate) fn find(&self, place: &Id) -> Option<Upload> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|upload| upload.place == *place).cloned()
    }

    /// Keeps the traces of a file, and answers where each is.
    pub(crate) fn keep(
        &self,
        file: &str,
        traces: Vec<(Id, GetTraceResponse)>,
    ) -> Result<Vec<Upload>, Fault> {
        let uploads: Vec<Upload> = traces
            .into_iter()
            .map(|(trace_id, trace)| Upload {
                place: rand::random(),
                trace_id,
                file: units::clip(file, 120),
                encoded: trace.encode_to_vec().into(),
            })
            .collect();
        let bytes: usize = uploads.iter().map(|upload| upload.encoded.len()).sum();
        if bytes > self.bytes_max {
            return Err(Fault::large(format!(
                "the traces of this file take {}; {} are kept for all files together",
                units::bytes(bytes as u64),
                units::bytes(self.bytes_max as u64)
            )));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(uploads.iter().cloned());
        let mut total: usize = kept.iter().map(|upload| upload.encoded.len()).sum();
        while total > self.bytes_max {
            let Some(oldest) = kept.pop_front() else {
                break;
            };
            total -= oldest.encoded.len();
        }
        Ok(uploads)
    }
}

/// Which kind of document it is, by the fields it has.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow, rename = "resourceSpans")]
    resource_spans: Option<&'a RawValue>,
    #[serde(borrow, rename = "resourceLogs")]
    resource_logs: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    spans: Option<&'a RawValue>,
}

/// The traces of a file.
pub(crate) fn read(file: &[u8]) -> Result<Vec<(Id, GetTraceResponse)>, Fault> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut spans = Vec::new();
    let mut logs = Vec::new();
    for document in serde_json::Deserializer::from_slice(file).into_iter::<&RawValue>() {
        let document = document.map_err(not_json)?;
        read_document(document.get(), &mut spans, &mut logs)?;
    }
    let traces = read::by_trace(spans, logs);
    match traces.len() {
        0 => Err(Fault::input("there is no trace in this file")),
        number if number > TRACES_MAX => Err(Fault::input(format!(
            "there are {} traces in this file; at most {TRACES_MAX} are taken",
            units::count(number as u64)
        ))),
        _ => Ok(traces),
    }
}

fn not_json(error: serde_json::Error) -> Fault {
    Fault::input(format!("the file is not JSON: {error}"))
}

fn read_document(
    text: &str,
    spans: &mut Vec<log_tracer_proto::otlp::trace::ResourceSpans>,
    logs: &mut Vec<log_tracer_proto::otlp::logs::ResourceLogs>,
) -> Result<(), Fault> {
    let refused = |reason: String| Fault::input(units::clip(&reason, 300));
    let unknown = || {
        Fault::input(
            "this JSON is neither OTLP (with `resourceSpans` or `resourceLogs`) nor Jaeger's (with `data`, or a trace)",
        )
    };
    if text.starts_with('[') {
        let traces: Vec<TraceJson> =
            serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        return add_traces(traces, spans);
    }
    let probe: Probe<'_> = serde_json::from_str(text).map_err(|_| unknown())?;
    if probe.resource_spans.is_some() || probe.resource_logs.is_some() {
        let own = decode_traces(text.as_bytes()).map_err(|error| refused(error.to_string()))?;
        spans.extend(own.resource_spans);
        let own = decode_logs(text.as_bytes()).map_err(|error| refused(error.to_string()))?;
        logs.extend(own.resource_logs);
        return Ok(());
    }
    if let Some(result) = probe.result {
        let own =
            decode_traces(result.get().as_bytes()).map_err(|error| refused(error.to_string()))?;
        spans.extend(own.resource_spans);
        return Ok(());
    }
    let traces = if let Some(data) = probe.data {
        serde_json::from_str(data.get()).map_err(|error| refused(error.to_string()))?
    } else if probe.spans.is_some() {
        vec![serde_json::from_str(text).map_err(|error| refused(error.to_string()))?]
    } else {
        return Err(unknown());
    };
    add_traces(traces, spans)
}

fn add_traces(
    traces: Vec<TraceJson>,
    spans: &mut Vec<log_tracer_proto::otlp::trace::ResourceSpans>,
) -> Result<(), Fault> {
    for trace in traces {
        spans.extend(read::spans(trace).map_err(Fault::input)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
