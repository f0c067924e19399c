//! A trace as the consumer hands it out, ready for its page: spans and logs in flat lists, resources and scopes once,
//! and the arrangement of the rows.

use std::{
    cmp::Ordering,
    collections::{HashMap, hash_map::Entry},
};

use bytes::Bytes;
use log_tracer_proto::{
    otlp::{
        common::{InstrumentationScope, KeyValue},
        logs::{LogRecord, ResourceLogs},
        resource::Resource,
        trace::{ResourceSpans, Span, span::SpanKind, status::StatusCode},
    },
    v1::{Coverage, GetTraceResponse},
};
use prost::Message;

use super::{
    critical::{Segment, critical_path},
    tree::{self, Id, Node, Row, Side},
};
use crate::value;

/// What a service is called that gave no name.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// A trace with its logs.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Senders; equal resources are one.
    pub(crate) processes: Vec<Process>,
    /// Instrumentation scopes; equal ones are one.
    pub(crate) scopes: Vec<Scope>,
    /// In the order in which they came, without exact copies.
    pub(crate) spans: Vec<SpanItem>,
    /// In the order in which they came.
    pub(crate) logs: Vec<LogItem>,
    /// The spans, then the logs.
    pub(crate) nodes: Vec<Node>,
    /// In the order of display.
    pub(crate) rows: Vec<Row>,
    /// The row that stands for the trace; none without a span.
    pub(crate) main: Option<usize>,
    /// The earliest start and the latest end of a span, or of a log without spans, nanoseconds since 1970.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// What the consumer says about completeness.
    pub(crate) coverage: Coverage,
    /// Exact copies of spans that the consumer left out.
    pub(crate) duplicate_spans: u64,
}

/// A sender.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) resource: Resource,
    pub(crate) schema_url: String,
    pub(crate) service: String,
}

/// An instrumentation scope.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) scope: InstrumentationScope,
    pub(crate) schema_url: String,
}

/// A span.
#[derive(Debug)]
pub(crate) struct SpanItem {
    pub(crate) span: Span,
    /// Index into the processes and the scopes.
    pub(crate) process: usize,
    pub(crate) scope: usize,
    /// How many times exactly this span came.
    pub(crate) copies: usize,
    /// Whether another span of the trace has the same id and is not the other side of a call.
    pub(crate) shares_id: bool,
}

/// A log record.
#[derive(Debug)]
pub(crate) struct LogItem {
    pub(crate) record: LogRecord,
    pub(crate) process: usize,
    pub(crate) scope: usize,
}

/// What stands in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item<'a> {
    Span(&'a SpanItem),
    Log(&'a LogItem),
}

impl SpanItem {
    pub(crate) fn is_error(&self) -> bool {
        self.span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == StatusCode::Error)
    }

    /// Zero when the end lies before the start.
    pub(crate) fn duration(&self) -> u64 {
        self.span
            .end_time_unix_nano
            .saturating_sub(self.span.start_time_unix_nano)
    }
}

impl LogItem {
    /// The record's time, or when it was observed.
    pub(crate) fn time(&self) -> u64 {
        match self.record.time_unix_nano {
            0 => self.record.observed_time_unix_nano,
            time => time,
        }
    }
}

impl Trace {
    /// Puts the pieces of an answer together.
    pub(crate) fn new(pieces: Vec<GetTraceResponse>) -> Self {
        let mut builder = Builder::default();
        for piece in pieces {
            piece
                .resource_spans
                .into_iter()
                .for_each(|spans| builder.add_spans(spans));
            piece
                .resource_logs
                .into_iter()
                .for_each(|logs| builder.add_logs(logs));
            builder.trace.duplicate_spans += piece.duplicate_spans;
            if let Some(coverage) = piece.coverage {
                builder.trace.coverage = coverage;
            }
        }
        builder.finish()
    }

    /// What stands in a row.
    pub(crate) fn item(&self, row: &Row) -> Option<Item<'_>> {
        match self.spans.get(row.node) {
            Some(span) => Some(Item::Span(span)),
            None => self
                .logs
                .get(row.node.checked_sub(self.spans.len())?)
                .map(Item::Log),
        }
    }

    /// The span in a row, if it is one.
    pub(crate) fn span(&self, row: &Row) -> Option<&SpanItem> {
        self.spans.get(row.node)
    }

    /// The name of a process's service.
    pub(crate) fn service(&self, process: usize) -> &str {
        self.processes
            .get(process)
            .map_or(UNKNOWN_SERVICE, |process| &process.service)
    }

    /// Whether a row is a span with an error status, for every row.
    pub(crate) fn errors(&self) -> Vec<bool> {
        self.rows
            .iter()
            .map(|row| self.span(row).is_some_and(SpanItem::is_error))
            .collect()
    }

    /// When the span or log record in a row is drawn: within the time of the trace, whatever its clock says.
    pub(crate) fn interval(&self, row: &Row) -> (u64, u64) {
        let node = self.nodes.get(row.node);
        let start = node.map_or(0, |node| node.start).max(self.start);
        let length = node.map_or(0, |node| node.end - node.start);
        let start = start.min(self.end);
        (start, start.saturating_add(length).min(self.end))
    }

    /// The critical path below the row that stands for the trace.
    pub(crate) fn critical_path(&self) -> Vec<Segment> {
        self.main
            .map(|main| critical_path(&self.nodes, &self.rows, main))
            .unwrap_or_default()
    }

    /// The row of a span id; of several, the first on the page.
    pub(crate) fn row_of(&self, id: Id) -> Option<usize> {
        self.rows.iter().position(|row| {
            self.nodes
                .get(row.node)
                .is_some_and(|node| node.id == Some(id))
        })
    }
}

/// Eight bytes that are not all zero.
pub(crate) fn span_id(bytes: &Bytes) -> Option<Id> {
    Id::try_from(bytes.as_ref())
        .ok()
        .filter(|id| *id != Id::default())
}

#[derive(Default)]
struct Builder {
    trace: Trace,
    processes: HashMap<(Vec<u8>, String), usize>,
    scopes: HashMap<(Vec<u8>, String), usize>,
}

impl Builder {
    fn add_spans(&mut self, group: ResourceSpans) {
        let process = self.process(group.resource, group.schema_url);
        for scoped in group.scope_spans {
            let scope = self.scope(scoped.scope, scoped.schema_url);
            self.trace
                .spans
                .extend(scoped.spans.into_iter().map(|span| SpanItem {
                    span,
                    process,
                    scope,
                    copies: 1,
                    shares_id: false,
                }));
        }
    }

    fn add_logs(&mut self, group: ResourceLogs) {
        let process = self.process(group.resource, group.schema_url);
        for scoped in group.scope_logs {
            let scope = self.scope(scoped.scope, scoped.schema_url);
            self.trace
                .logs
                .extend(scoped.log_records.into_iter().map(|record| LogItem {
                    record,
                    process,
                    scope,
                }));
        }
    }

    /// A trace comes in pieces, each of which repeats its resources.
    fn process(&mut self, resource: Option<Resource>, schema_url: String) -> usize {
        let resource = resource.unwrap_or_default();
        let next = self.trace.processes.len();
        match self
            .processes
            .entry((resource.encode_to_vec(), schema_url.clone()))
        {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                new.insert(next);
                let service = service_name(&resource.attributes);
                self.trace.processes.push(Process {
                    resource,
                    schema_url,
                    service,
                });
                next
            }
        }
    }

    fn scope(&mut self, scope: Option<InstrumentationScope>, schema_url: String) -> usize {
        let scope = scope.unwrap_or_default();
        let next = self.trace.scopes.len();
        match self
            .scopes
            .entry((scope.encode_to_vec(), schema_url.clone()))
        {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                new.insert(next);
                self.trace.scopes.push(Scope { scope, schema_url });
                next
            }
        }
    }

    fn finish(self) -> Trace {
        let mut trace = self.trace;
        merge_copies(&mut trace.spans);
        trace.nodes = nodes(&trace.spans, &trace.logs);
        trace.rows = tree::arrange(&trace.nodes);
        trace.main = tree::main_root(&trace.nodes, &trace.rows);
        (trace.start, trace.end) = bounds(&trace);
        trace
    }
}

fn service_name(attributes: &[KeyValue]) -> String {
    match value::of(attributes, "service.name") {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => UNKNOWN_SERVICE.to_owned(),
    }
}

/// Makes exact copies one, and marks different spans that have one id.
fn merge_copies(spans: &mut Vec<SpanItem>) {
    // Sorted by id, so that spans which may be copies of one another stand side by side; stable, so that the first of
    // them stays the first.
    spans.sort_by(|a, b| a.span.span_id.cmp(&b.span.span_id));
    spans.dedup_by(|copy, first| {
        let same =
            copy.process == first.process && copy.scope == first.scope && copy.span == first.span;
        if same {
            first.copies += copy.copies;
        }
        same
    });
    for group in spans.chunk_by_mut(|a, b| a.span.span_id == b.span.span_id) {
        let callers = group
            .iter()
            .filter(|item| side(item.span.kind()) == Side::Caller)
            .count();
        let callees = group
            .iter()
            .filter(|item| side(item.span.kind()) == Side::Callee)
            .count();
        let is_call = group.len() == 2 && callers == 1 && callees == 1;
        if group.len() > 1 && !is_call {
            group.iter_mut().for_each(|item| item.shares_id = true);
        }
    }
    spans.sort_by(in_time);
}

fn in_time(a: &SpanItem, b: &SpanItem) -> Ordering {
    let key = |item: &SpanItem| (item.span.start_time_unix_nano, item.span.end_time_unix_nano);
    key(a)
        .cmp(&key(b))
        .then_with(|| a.span.span_id.cmp(&b.span.span_id))
}

fn nodes(spans: &[SpanItem], logs: &[LogItem]) -> Vec<Node> {
    let spans = spans.iter().map(|item| Node {
        // A span without a valid id is refused at the door; should one come, it is still a span.
        id: Some(span_id(&item.span.span_id).unwrap_or_default()),
        parent: span_id(&item.span.parent_span_id),
        start: item.span.start_time_unix_nano,
        end: item
            .span
            .end_time_unix_nano
            .max(item.span.start_time_unix_nano),
        side: side(item.span.kind()),
        process: item.process,
    });
    let logs = logs.iter().map(|item| Node {
        id: None,
        parent: span_id(&item.record.span_id),
        start: item.time(),
        end: item.time(),
        side: Side::Inner,
        process: item.process,
    });
    spans.chain(logs).collect()
}

fn side(kind: SpanKind) -> Side {
    match kind {
        SpanKind::Client | SpanKind::Producer => Side::Caller,
        SpanKind::Server | SpanKind::Consumer => Side::Callee,
        SpanKind::Internal | SpanKind::Unspecified => Side::Inner,
    }
}

/// A span or log without a time would stretch the axis back to 1970, so it does not count where others have one.
fn bounds(trace: &Trace) -> (u64, u64) {
    let spans = || {
        trace
            .nodes
            .iter()
            .take(trace.spans.len())
            .filter(|node| node.start > 0)
    };
    let logs = || {
        trace
            .nodes
            .iter()
            .skip(trace.spans.len())
            .filter(|node| node.start > 0)
    };
    let start = spans()
        .map(|node| node.start)
        .min()
        .or_else(|| logs().map(|node| node.start).min());
    let end = spans()
        .map(|node| node.end)
        .max()
        .or_else(|| logs().map(|node| node.end).max());
    (start.unwrap_or(0), end.unwrap_or(0))
}
