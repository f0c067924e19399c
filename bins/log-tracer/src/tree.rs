//! A trace as indented lines: each span below its parent, each log below its span, all in the order of time. Whatever
//! was sent has a place: orphans, cycles and spans that share an id included.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Write},
};

use log_tracer_proto::otlp::trace::span::SpanKind;
use log_tracer_record::{LogRow, SpanId, SpanRow};

use crate::text;

/// Deeper levels are not indented further.
const INDENT_MAX: usize = 40;

/// Writes the lines of a trace, each with a line break.
pub(crate) fn write(out: &mut dyn Write, spans: &[&SpanRow], logs: &[&LogRow]) -> fmt::Result {
    for line in lines(spans, logs) {
        let indent = "  ".repeat(line.depth.min(INDENT_MAX));
        match line.item {
            Item::Span(span) => writeln!(out, "{indent}{}{}", span_text(span), line.note)?,
            Item::Log(log) => writeln!(out, "{indent}· {}", log_text(log))?,
        }
    }
    Ok(())
}

/// `checkout: POST /pay 12.3ms`, and what failed.
pub(crate) fn span_text(span: &SpanRow) -> String {
    let mut shown = format!(
        "{}: {} {}",
        text::line(span.service()),
        text::line(&span.span.name),
        text::duration(span.duration_nano())
    );
    if span.is_error() {
        shown.push_str(" ERROR");
        if !span.status_message().is_empty() {
            // A write to a string cannot fail.
            let _ = write!(shown, " {}", text::line(span.status_message()));
        }
    }
    shown
}

/// `WARN checkout: the card was refused key=value`.
pub(crate) fn log_text(log: &LogRow) -> String {
    let mut shown = format!(
        "{} {}: {}",
        severity(log),
        text::line(log.service()),
        text::value(log.record.body.as_ref())
    );
    let attributes = text::attributes(&log.record.attributes);
    if !attributes.is_empty() {
        let _ = write!(shown, " {attributes}");
    }
    shown
}

/// The sender's own word for it, or OpenTelemetry's.
fn severity(log: &LogRow) -> String {
    if !log.record.severity_text.is_empty() {
        return text::line(&log.record.severity_text);
    }
    let name = log.severity().as_str_name();
    name.trim_start_matches("SEVERITY_NUMBER_").to_owned()
}

struct Line<'a> {
    depth: usize,
    item: Item<'a>,
    note: &'static str,
}

#[derive(Clone, Copy)]
enum Item<'a> {
    Span(&'a SpanRow),
    Log(&'a LogRow),
}

/// A span, a log, and the span above it, all by their index.
#[derive(Clone, Copy)]
enum Node {
    Span(usize),
    Log(usize),
}

fn lines<'a>(spans: &[&'a SpanRow], logs: &[&'a LogRow]) -> Vec<Line<'a>> {
    let forest = Forest::of(spans, logs);
    let mut lines = Vec::with_capacity(spans.len() + logs.len());
    let mut seen = HashSet::new();
    // A cycle has no root of its own: its earliest span becomes one.
    let of_cycles =
        (0..spans.len()).map(|index| (Node::Span(index), "  (its parents form a cycle)"));
    let roots = forest.roots.iter().copied().chain(of_cycles);
    for (root, note) in roots {
        let mut open = vec![(root, 0, note)];
        while let Some((node, depth, note)) = open.pop() {
            let (item, children) = match node {
                Node::Log(index) => match logs.get(index) {
                    Some(log) => (Item::Log(log), None),
                    None => continue,
                },
                Node::Span(index) => match spans.get(index) {
                    Some(span) if seen.insert(index) => {
                        (Item::Span(span), forest.children.get(&index))
                    }
                    _ => continue,
                },
            };
            lines.push(Line { depth, item, note });
            let children = children.into_iter().flatten().rev();
            open.extend(children.map(|child| (*child, depth + 1, "")));
        }
    }
    lines
}

struct Forest {
    /// With a note on those that are roots for want of a parent.
    roots: Vec<(Node, &'static str)>,
    children: HashMap<usize, Vec<Node>>,
}

impl Forest {
    fn of(spans: &[&SpanRow], logs: &[&LogRow]) -> Self {
        let mut by_id: HashMap<SpanId, Bearers> = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            if let Some(id) = span.span_id() {
                by_id.entry(id).or_default().add(index, span.kind());
            }
        }
        let mut nodes: Vec<_> = spans
            .iter()
            .enumerate()
            .map(|(index, span)| (span.start_unix_nano(), Node::Span(index)))
            .collect();
        nodes.extend(
            logs.iter()
                .enumerate()
                .map(|(index, log)| (log.time_unix_nano(), Node::Log(index))),
        );
        // Stable: what has the same time stays in the order in which it came.
        nodes.sort_by_key(|(time, _)| *time);

        let mut forest = Self {
            roots: Vec::new(),
            children: HashMap::new(),
        };
        for (_, node) in nodes {
            match parent_of(node, spans, logs, &by_id) {
                Parent::Span(above) => forest.children.entry(above).or_default().push(node),
                Parent::None => forest.roots.push((node, "")),
                Parent::Missing => forest.roots.push((node, "  (its parent is missing)")),
            }
        }
        forest
    }
}

/// The spans that have one id: usually one, but a caller and its server may share it, and a span may come twice.
#[derive(Default)]
struct Bearers {
    first: Option<usize>,
    second: Option<usize>,
    client: Option<usize>,
    server: Option<usize>,
}

impl Bearers {
    fn add(&mut self, index: usize, kind: SpanKind) {
        match self.first {
            None => self.first = Some(index),
            Some(_) => self.second = self.second.or(Some(index)),
        }
        match kind {
            SpanKind::Client => self.client = self.client.or(Some(index)),
            SpanKind::Server => self.server = self.server.or(Some(index)),
            _ => {}
        }
    }

    /// The span that names this id as its parent stands below the server's half, where the work is done.
    fn parent_for(&self, child: Option<usize>) -> Option<usize> {
        let candidates = [self.server, self.first, self.second];
        candidates
            .into_iter()
            .flatten()
            .find(|index| Some(*index) != child)
    }
}

enum Parent {
    Span(usize),
    None,
    Missing,
}

fn parent_of(
    node: Node,
    spans: &[&SpanRow],
    logs: &[&LogRow],
    by_id: &HashMap<SpanId, Bearers>,
) -> Parent {
    let above = |id: SpanId, child| by_id.get(&id).and_then(|bearers| bearers.parent_for(child));
    match node {
        Node::Log(index) => {
            let id = logs.get(index).and_then(|log| log.span_id());
            id.and_then(|id| above(id, None))
                .map_or(Parent::None, Parent::Span)
        }
        Node::Span(index) => {
            let Some(span) = spans.get(index) else {
                return Parent::None;
            };
            let bearers = span.span_id().and_then(|id| by_id.get(&id));
            let client = bearers.and_then(|bearers| bearers.client);
            if let (SpanKind::Server, Some(client)) = (span.kind(), client) {
                return Parent::Span(client);
            }
            match span.parent_id() {
                None => Parent::None,
                Some(id) => above(id, Some(index)).map_or(Parent::Missing, Parent::Span),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use log_tracer_proto::otlp::{
        common::{AnyValue, any_value::Value},
        logs::LogRecord,
        trace::Span,
    };

    use super::*;

    fn id(byte: u8) -> bytes::Bytes {
        match byte {
            0 => bytes::Bytes::new(),
            byte => vec![byte; 8].into(),
        }
    }

    fn span(name: &str, own: u8, parent: u8, start: u64) -> SpanRow {
        SpanRow {
            resource: Arc::default(),
            scope: Arc::default(),
            span: Span {
                name: name.to_owned(),
                span_id: id(own),
                parent_span_id: id(parent),
                start_time_unix_nano: start,
                end_time_unix_nano: start,
                ..Span::default()
            },
        }
    }

    fn of_kind(kind: SpanKind, mut span: SpanRow) -> SpanRow {
        span.span.kind = kind.into();
        span
    }

    fn log(body: &str, of: u8, time: u64) -> LogRow {
        LogRow {
            resource: Arc::default(),
            scope: Arc::default(),
            record: LogRecord {
                body: Some(AnyValue {
                    value: Some(Value::StringValue(body.to_owned())),
                }),
                span_id: id(of),
                time_unix_nano: time,
                ..LogRecord::default()
            },
        }
    }

    fn check(spans: &[SpanRow], logs: &[LogRow], expected: &[&str]) {
        let spans: Vec<_> = spans.iter().collect();
        let logs: Vec<_> = logs.iter().collect();
        let mut text = String::new();
        write(&mut text, &spans, &logs).unwrap();
        let shown: Vec<_> = text
            .lines()
            .map(|line| {
                line.replace("unknown_service: ", "")
                    .replace(" 0ns", "")
                    .replace("UNSPECIFIED ", "")
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn spans_and_logs_stand_below_their_parents_in_the_order_of_time() {
        check(
            &[
                span("second", 3, 1, 20),
                span("root", 1, 0, 0),
                span("first", 2, 1, 10),
                span("leaf", 4, 2, 11),
            ],
            &[
                log("between", 1, 15),
                log("of no span", 0, 5),
                log("in first", 2, 10),
            ],
            &[
                "root",
                "  first",
                "    · in first",
                "    leaf",
                "  · between",
                "  second",
                "· of no span",
            ],
        );
    }

    #[test]
    fn orphans_and_two_roots_are_roots() {
        check(
            &[
                span("orphan", 2, 9, 1),
                span("root", 1, 0, 0),
                span("other", 3, 0, 2),
            ],
            &[],
            &["root", "orphan  (its parent is missing)", "other"],
        );
    }

    #[test]
    fn every_span_of_a_cycle_is_shown_once() {
        check(
            &[
                span("a", 1, 2, 0),
                span("b", 2, 1, 1),
                span("self", 3, 3, 2),
            ],
            &[],
            &[
                "self  (its parent is missing)",
                "a  (its parents form a cycle)",
                "  b",
            ],
        );
    }

    #[test]
    fn a_span_id_shared_by_client_and_server_gives_two_lines_with_the_work_below_the_server() {
        check(
            &[
                of_kind(SpanKind::Client, span("call", 1, 0, 0)),
                of_kind(SpanKind::Server, span("serve", 1, 0, 1)),
                span("work", 2, 1, 2),
            ],
            &[],
            &["call", "  serve", "    work"],
        );
    }

    #[test]
    fn a_very_deep_trace_is_shown_without_recursion() {
        let parents = 0..20_000_u64;
        let spans: Vec<_> = parents
            .map(|depth| {
                let mut row = span("deep", 1, 0, depth);
                row.span.span_id = (depth + 1).to_be_bytes().to_vec().into();
                row.span.parent_span_id = depth.to_be_bytes().to_vec().into();
                row
            })
            .collect();
        let spans: Vec<_> = spans.iter().collect();
        assert_eq!(lines(&spans, &[]).len(), 20_000);
    }
}
