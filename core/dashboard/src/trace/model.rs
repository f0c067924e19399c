//! A trace, ready for its page: spans and logs in flat lists, resources and scopes once, and the arrangement of the rows.
//!
//! Of each span and log record a few numbers are there always: what stands in a picture. What was sent whole is there for
//! all of them (`whole`), or for those that are looked at (`outline`).

use bytes::Bytes;
use log_tracer_proto::{
    otlp::{
        common::InstrumentationScope,
        logs::LogRecord,
        resource::Resource,
        trace::{Span, span::SpanKind, status::StatusCode},
    },
    v1::Coverage,
};

use super::{
    critical::{Segment, critical_path},
    tree::{self, Id, Node, Row, Side},
};

/// What a service is called that gave no name.
pub(super) const UNKNOWN_SERVICE: &str = "unknown_service";

/// Bytes of the names and values of an outline at most.
const TEXT_BYTES_MAX: usize = 1024;

/// Whether a name or a value of an outline was cut: then it ends in an ellipsis, as near to those bytes as a character may.
pub(crate) fn is_cut(text: &str) -> bool {
    const LONGEST_CHAR_BYTES: usize = 4;
    (TEXT_BYTES_MAX + 1 - LONGEST_CHAR_BYTES..=TEXT_BYTES_MAX).contains(&text.len())
        && text.ends_with('…')
}

/// A trace with its logs.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Senders; equal resources are one.
    pub(crate) processes: Vec<Process>,
    /// Instrumentation scopes of what is there whole; equal ones are one.
    pub(crate) scopes: Vec<Scope>,
    /// Names of spans, and values of the field that was asked about; equal ones are one.
    pub(super) names: Vec<String>,
    pub(super) values: Vec<String>,
    /// By start, end and id, without exact copies.
    pub(crate) spans: Vec<SpanItem>,
    /// In the order in which they came.
    pub(crate) logs: Vec<LogItem>,
    /// What is there whole.
    pub(super) whole_spans: Vec<WholeSpan>,
    pub(super) whole_logs: Vec<WholeLog>,
    /// The spans, then the logs.
    pub(crate) nodes: Vec<Node>,
    /// In the order of display.
    pub(crate) rows: Vec<Row>,
    /// Of each node its row.
    row_of_node: Vec<usize>,
    /// The spans among the nodes by their ids.
    by_id: Vec<(u64, usize)>,
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

/// A span, as far as it stands in a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanItem {
    /// Zeros for none.
    pub(super) id: Id,
    pub(super) parent: Id,
    /// Nanoseconds since 1970, as they were sent.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Index into the processes, and into the names.
    pub(crate) process: usize,
    pub(crate) name: u32,
    pub(crate) kind: SpanKind,
    pub(crate) status: StatusCode,
    /// How many times exactly this span came.
    pub(crate) copies: u32,
    /// Whether another span of the trace has the same id and is not the other side of a call.
    pub(crate) shares_id: bool,
    /// Whether it matches what was asked.
    pub(crate) matches: bool,
    /// Index into the values of the field that was asked about.
    pub(super) value: Option<u32>,
    /// Index into what is there whole.
    pub(super) whole: Option<u32>,
}

/// A log record, as far as it stands in a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogItem {
    /// The span that it belongs to.
    pub(crate) span: Option<Id>,
    /// Its own, or when it was observed.
    pub(crate) time: u64,
    pub(crate) severity: i32,
    /// Index into the processes.
    pub(crate) process: usize,
    /// Whether it matches what was asked.
    pub(crate) matches: bool,
    /// Index into what is there whole.
    pub(super) whole: Option<u32>,
}

/// A span as it was sent; `scope` is an index into the scopes.
#[derive(Debug)]
pub(crate) struct WholeSpan {
    pub(crate) span: Span,
    pub(crate) scope: usize,
}

/// A log record as it was sent; `scope` is an index into the scopes.
#[derive(Debug)]
pub(crate) struct WholeLog {
    pub(crate) record: LogRecord,
    pub(crate) scope: usize,
}

/// What stands in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item<'a> {
    Span(&'a SpanItem),
    Log(&'a LogItem),
}

impl SpanItem {
    pub(crate) fn id(&self) -> Option<Id> {
        named(self.id)
    }

    pub(crate) fn parent(&self) -> Option<Id> {
        named(self.parent)
    }

    /// The number of its first value of the field that was asked about.
    pub(crate) fn value_number(&self) -> Option<u32> {
        self.value
    }

    pub(crate) fn is_error(&self) -> bool {
        self.status == StatusCode::Error
    }

    /// Zero when the end lies before the start.
    pub(crate) fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl Trace {
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

    /// The span that stands for the trace.
    pub(crate) fn root(&self) -> Option<&SpanItem> {
        self.span(self.rows.get(self.main?)?)
    }

    /// The name of a span.
    pub(crate) fn name(&self, item: &SpanItem) -> &str {
        self.name_of(item.name)
    }

    /// The name of a number.
    pub(crate) fn name_of(&self, number: u32) -> &str {
        let name = self.names.get(number as usize);
        name.map_or("", String::as_str)
    }

    /// The value of a number, of the field that was asked about.
    pub(crate) fn value_of(&self, number: u32) -> &str {
        let value = self.values.get(number as usize);
        value.map_or("", String::as_str)
    }

    /// A span as it was sent, where it is there whole.
    pub(crate) fn whole(&self, item: &SpanItem) -> Option<&WholeSpan> {
        self.whole_spans.get(item.whole? as usize)
    }

    /// A log record as it was sent, where it is there whole.
    pub(crate) fn whole_log(&self, item: &LogItem) -> Option<&WholeLog> {
        self.whole_logs.get(item.whole? as usize)
    }

    /// The name of a process's service.
    pub(crate) fn service(&self, process: usize) -> &str {
        self.processes
            .get(process)
            .map_or(UNKNOWN_SERVICE, |process| &process.service)
    }

    /// The services in the order of their names, and of each process the place of its service among them.
    pub(crate) fn services(&self) -> (Vec<&str>, Vec<usize>) {
        let all = || self.processes.iter().map(|one| one.service.as_str());
        let mut names: Vec<&str> = all().collect();
        names.sort_unstable();
        names.dedup();
        let places = all().map(|name| names.partition_point(|other| *other < name));
        let places = places.collect();
        (names, places)
    }

    /// Of each name its place in the order of the alphabet.
    pub(crate) fn name_ranks(&self) -> Vec<usize> {
        let mut sorted: Vec<(&str, usize)> = (0..)
            .zip(&self.names)
            .map(|(at, name)| (name.as_str(), at))
            .collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()];
        for (rank, (_, at)) in sorted.into_iter().enumerate() {
            if let Some(place) = ranks.get_mut(at) {
                *place = rank;
            }
        }
        ranks
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
        let of_id = self.nodes_of(id).iter();
        of_id
            .filter_map(|(_, node)| self.row_of_node.get(*node))
            .min()
            .copied()
    }

    /// The spans of an id, as nodes.
    pub(super) fn nodes_of(&self, id: Id) -> &[(u64, usize)] {
        let id = u64::from_be_bytes(id);
        let from = self.by_id.partition_point(|(other, _)| *other < id);
        let same = self.by_id.get(from..).unwrap_or_default();
        let to = same.partition_point(|(other, _)| *other == id);
        same.get(..to).unwrap_or_default()
    }

    /// Arranges the spans and logs that are there.
    pub(super) fn arranged(mut self) -> Self {
        sort(&mut self.spans);
        self.nodes = nodes(&self.spans, &self.logs);
        self.by_id = tree::by_id(&self.nodes);
        mark_shared_ids(&mut self.spans, &self.by_id);
        self.rows = tree::arrange_by(&self.nodes, &self.by_id);
        self.row_of_node = vec![0; self.rows.len()];
        for (at, row) in self.rows.iter().enumerate() {
            if let Some(place) = self.row_of_node.get_mut(row.node) {
                *place = at;
            }
        }
        self.main = tree::main_root(&self.nodes, &self.rows);
        (self.start, self.end) = bounds(&self);
        self
    }
}

/// Eight bytes that are not all zero.
pub(crate) fn span_id(bytes: &Bytes) -> Option<Id> {
    Id::try_from(bytes.as_ref()).ok().and_then(named)
}

pub(super) fn named(id: Id) -> Option<Id> {
    (id != Id::default()).then_some(id)
}

/// By start, end and id. A consumer sends them by their start, so that only those that start at once are to be sorted.
fn sort(spans: &mut [SpanItem]) {
    if !spans.is_sorted_by_key(|item| item.start) {
        spans.sort_by_key(|item| item.start);
    }
    for moment in spans.chunk_by_mut(|a, b| a.start == b.start) {
        if moment.len() > 1 {
            moment.sort_by_key(|item| (item.end, u64::from_be_bytes(item.id)));
        }
    }
}

/// Marks different spans that have one id.
fn mark_shared_ids(spans: &mut [SpanItem], by_id: &[(u64, usize)]) {
    for group in by_id.chunk_by(|a, b| a.0 == b.0) {
        if group.len() < 2 {
            continue;
        }
        let of_side = |wanted: Side| {
            let sides = group.iter().filter_map(|(_, at)| spans.get(*at));
            sides.filter(|item| side(item.kind) == wanted).count()
        };
        let is_call = group.len() == 2 && of_side(Side::Caller) == 1 && of_side(Side::Callee) == 1;
        for (_, at) in group {
            if let Some(item) = spans.get_mut(*at) {
                item.shares_id = !is_call;
            }
        }
    }
}

fn nodes(spans: &[SpanItem], logs: &[LogItem]) -> Vec<Node> {
    let spans = spans.iter().map(|item| Node {
        // A span without a valid id is refused at the door; should one come, it is still a span.
        id: Some(item.id),
        parent: item.parent(),
        start: item.start,
        end: item.end.max(item.start),
        side: side(item.kind),
        process: item.process,
    });
    let logs = logs.iter().map(|item| Node {
        id: None,
        parent: item.span,
        start: item.time,
        end: item.time,
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
