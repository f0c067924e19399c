//! A trace of which everything is there: as `GetTrace` answers it, or from a file.

use std::collections::{HashMap, hash_map::Entry};

use log_tracer_proto::{
    otlp::{
        common::{InstrumentationScope, KeyValue},
        logs::{LogRecord, ResourceLogs},
        resource::Resource,
        trace::{ResourceSpans, Span, status::StatusCode},
    },
    v1::GetTraceResponse,
};
use prost::Message;

use super::model::{
    LogItem, Process, Scope, SpanItem, Trace, UNKNOWN_SERVICE, WholeLog, WholeSpan, span_id,
};
use crate::value;

impl Trace {
    /// Puts the pieces of an answer together.
    pub(crate) fn new(pieces: Vec<GetTraceResponse>) -> Self {
        let mut builder = Builder::default();
        for piece in pieces {
            builder.add(piece);
        }
        builder.finish()
    }
}

/// Numbers resources and scopes, of which each piece of an answer repeats its own.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    processes: HashMap<(Vec<u8>, String), usize>,
    scopes: HashMap<(Vec<u8>, String), usize>,
}

impl Contexts {
    pub(super) fn process(
        &mut self,
        trace: &mut Trace,
        resource: Option<Resource>,
        schema_url: String,
    ) -> usize {
        let resource = resource.unwrap_or_default();
        let next = trace.processes.len();
        let key = (resource.encode_to_vec(), schema_url);
        match self.processes.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let service = service_name(&resource.attributes);
                trace.processes.push(Process {
                    resource,
                    schema_url: new.key().1.clone(),
                    service,
                });
                *new.insert(next)
            }
        }
    }

    pub(super) fn scope(
        &mut self,
        trace: &mut Trace,
        scope: Option<InstrumentationScope>,
        schema_url: String,
    ) -> usize {
        let scope = scope.unwrap_or_default();
        let next = trace.scopes.len();
        let key = (scope.encode_to_vec(), schema_url);
        match self.scopes.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let schema_url = new.key().1.clone();
                trace.scopes.push(Scope { scope, schema_url });
                *new.insert(next)
            }
        }
    }
}

#[derive(Default)]
struct Builder {
    trace: Trace,
    contexts: Contexts,
    names: HashMap<String, u32>,
}

impl Builder {
    fn add(&mut self, piece: GetTraceResponse) {
        for group in piece.resource_spans {
            self.add_spans(group);
        }
        for group in piece.resource_logs {
            self.add_logs(group);
        }
        self.trace.duplicate_spans += piece.duplicate_spans;
        if let Some(coverage) = piece.coverage {
            self.trace.coverage = coverage;
        }
    }

    fn add_spans(&mut self, group: ResourceSpans) {
        let Self {
            trace, contexts, ..
        } = self;
        let process = contexts.process(trace, group.resource, group.schema_url);
        for scoped in group.scope_spans {
            let trace = &mut self.trace;
            let scope = self.contexts.scope(trace, scoped.scope, scoped.schema_url);
            for span in scoped.spans {
                self.add_span(span, process, scope);
            }
        }
    }

    fn add_span(&mut self, span: Span, process: usize, scope: usize) {
        let next = self.trace.names.len() as u32;
        let name = match self.names.get(&span.name) {
            Some(name) => *name,
            None => {
                self.names.insert(span.name.clone(), next);
                self.trace.names.push(span.name.clone());
                next
            }
        };
        self.trace.spans.push(SpanItem {
            id: span_id(&span.span_id).unwrap_or_default(),
            parent: span_id(&span.parent_span_id).unwrap_or_default(),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            process,
            name,
            kind: span.kind(),
            status: span
                .status
                .as_ref()
                .map_or(StatusCode::Unset, |status| status.code()),
            copies: 1,
            shares_id: false,
            matches: false,
            value: None,
            whole: Some(self.trace.whole_spans.len() as u32),
        });
        self.trace.whole_spans.push(WholeSpan { span, scope });
    }

    fn add_logs(&mut self, group: ResourceLogs) {
        let Self {
            trace, contexts, ..
        } = self;
        let process = contexts.process(trace, group.resource, group.schema_url);
        for scoped in group.scope_logs {
            let scope = contexts.scope(trace, scoped.scope, scoped.schema_url);
            for record in scoped.log_records {
                trace.logs.push(LogItem {
                    span: span_id(&record.span_id),
                    time: time(&record),
                    severity: record.severity_number,
                    process,
                    matches: false,
                    whole: Some(trace.whole_logs.len() as u32),
                });
                trace.whole_logs.push(WholeLog { record, scope });
            }
        }
    }

    fn finish(mut self) -> Trace {
        merge_copies(&mut self.trace);
        self.trace.arranged()
    }
}

/// A record's time, or when it was observed.
pub(super) fn time(record: &LogRecord) -> u64 {
    match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time => time,
    }
}

fn service_name(attributes: &[KeyValue]) -> String {
    match value::of(attributes, "service.name") {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => UNKNOWN_SERVICE.to_owned(),
    }
}

/// Makes exact copies one.
fn merge_copies(trace: &mut Trace) {
    let mut by_id: Vec<(u64, usize)> = trace
        .spans
        .iter()
        .enumerate()
        .map(|(at, item)| (u64::from_be_bytes(item.id), at))
        .collect();
    by_id.sort_unstable();
    let mut is_copy = vec![false; trace.spans.len()];
    let mut has_copies = false;
    for group in by_id.chunk_by(|a, b| a.0 == b.0) {
        // Of those that are equal the first, by all that was sent.
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        for (_, at) in group.iter().filter(|_| group.len() > 1) {
            let first = *known.entry(identity(trace, *at)).or_insert(*at);
            if first == *at {
                continue;
            }
            if let (Some(first), Some(is_copy)) = (trace.spans.get_mut(first), is_copy.get_mut(*at))
            {
                first.copies += 1;
                (*is_copy, has_copies) = (true, true);
            }
        }
    }
    if has_copies {
        let mut is_copy = is_copy.into_iter();
        trace.spans.retain(|_| is_copy.next() != Some(true));
    }
}

/// All of a span as bytes: equal for equal spans of the same sender.
fn identity(trace: &Trace, at: usize) -> Vec<u8> {
    let Some((item, whole)) = trace
        .spans
        .get(at)
        .and_then(|item| Some((item, trace.whole(item)?)))
    else {
        return Vec::new();
    };
    let mut bytes = whole.span.encode_to_vec();
    bytes.extend_from_slice(&(item.process as u64).to_le_bytes());
    bytes.extend_from_slice(&(whole.scope as u64).to_le_bytes());
    bytes
}
