//! The details of one span.

use log_tracer_proto::otlp::{
    common::KeyValue,
    trace::{
        Span,
        span::{Event, Link as SpanLink},
    },
};
use serde::Serialize;

use super::State;
use crate::{
    clock::Moment,
    lines::{Attribute, attributes, hex, level, one_line, trace_href, trace_term, valid_hex},
    palette::Palette,
    params::Link,
    trace::{
        fields,
        marks::marks,
        model::{LogItem, SpanItem, Trace},
        tree::{Id, Row},
    },
    units::{clip, duration, plural},
};

/// Events, links and logs of a span that are shown; the download has all.
const LIST_MAX: usize = 100;

/// The details of a span.
#[derive(Debug, Serialize)]
pub(crate) struct SpanView {
    /// False when the trace has no such span, or when it could not be read.
    found: bool,
    /// Whether the trace has it, and it could not be read whole.
    unread: bool,
    id: String,
    name: String,
    service: String,
    colour: usize,
    kind: &'static str,
    status: &'static str,
    status_message: String,
    start: Moment,
    offset: String,
    duration: String,
    parent: String,
    parent_href: String,
    notes: Vec<String>,
    attributes: Vec<AttributeView>,
    events: Vec<EventView>,
    links: Vec<LinkView>,
    logs: Vec<SpanLog>,
    more_logs: String,
    resource: Vec<AttributeView>,
    scope: String,
    scope_attributes: Vec<AttributeView>,
    schema_urls: Vec<String>,
    trace_state: String,
    dropped: Vec<String>,
    close: String,
    logs_href: String,
}

/// An attribute with a link to the traces that have it.
#[derive(Debug, Serialize)]
struct AttributeView {
    #[serde(flatten)]
    attribute: Attribute,
    href: String,
}

#[derive(Debug, Serialize)]
struct EventView {
    name: String,
    offset: String,
    attributes: Vec<AttributeView>,
    /// The stack trace of an exception, which needs room of its own.
    stack: String,
}

#[derive(Debug, Serialize)]
struct LinkView {
    trace: String,
    span: String,
    href: String,
    attributes: Vec<AttributeView>,
}

#[derive(Debug, Serialize)]
struct SpanLog {
    level: &'static str,
    offset: String,
    line: String,
}

impl SpanView {
    /// The span in a row; none when it could not be read whole.
    pub(crate) fn new(
        trace: &Trace,
        state: &State,
        palette: &Palette,
        row: &Row,
        item: &SpanItem,
    ) -> Option<Self> {
        let whole = trace.whole(item)?;
        let span = &whole.span;
        let process = trace.processes.get(item.process);
        let scope = trace.scopes.get(whole.scope);
        let service = trace.service(item.process);
        let parent = item.parent();
        let logs = logs_of(trace, item);
        Some(Self {
            found: true,
            unread: false,
            name: super::super::traces::name(&clip(&span.name, 500)),
            service: clip(service, 60),
            colour: palette.colour(service),
            kind: fields::kind(item.kind),
            status: fields::status_word(item.status),
            status_message: span
                .status
                .as_ref()
                .map_or_else(String::new, |status| clip(&status.message, 2_000)),
            start: Moment::new(item.start),
            offset: format!("+{}", duration(item.start.saturating_sub(trace.start))),
            duration: duration(item.duration()),
            parent: parent.map_or_else(String::new, |id| hex(&id)),
            parent_href: parent
                .filter(|id| trace.row_of(*id).is_some())
                .map_or_else(String::new, |id| select(state, id)),
            notes: marks(trace, row, item)
                .into_iter()
                .map(|mark| mark.words())
                .collect(),
            attributes: views(&span.attributes),
            events: span
                .events
                .iter()
                .take(LIST_MAX)
                .map(|event| event_view(trace, event))
                .collect(),
            links: span.links.iter().take(LIST_MAX).map(link_view).collect(),
            more_logs: match logs.len().saturating_sub(LIST_MAX) {
                0 => String::new(),
                more => plural(more as u64, "more record", "more records"),
            },
            logs: logs
                .into_iter()
                .take(LIST_MAX)
                .filter_map(|at| log_view(trace, trace.logs.get(at)?))
                .collect(),
            resource: process
                .map(|process| views(&process.resource.attributes))
                .unwrap_or_default(),
            scope: scope.map_or_else(String::new, |scope| {
                clip(
                    format!("{} {}", scope.scope.name, scope.scope.version).trim(),
                    200,
                )
            }),
            scope_attributes: scope
                .map(|scope| views(&scope.scope.attributes))
                .unwrap_or_default(),
            schema_urls: [
                process.map(|process| &process.schema_url),
                scope.map(|scope| &scope.schema_url),
            ]
            .into_iter()
            .flatten()
            .filter(|url| !url.is_empty())
            .map(|url| clip(url, 200))
            .collect(),
            trace_state: clip(&span.trace_state, 512),
            dropped: dropped(span),
            ..Self::missing(state, item.id().unwrap_or_default())
        })
    }

    /// A span that the trace has, and that could not be read whole.
    pub(crate) fn unread(state: &State, id: Id) -> Self {
        Self {
            unread: true,
            ..Self::missing(state, id)
        }
    }

    /// A span that the address names and the trace does not have.
    pub(crate) fn missing(state: &State, id: Id) -> Self {
        let id = hex(&id);
        let close = State {
            span: None,
            ..state.clone()
        };
        let logs = format!("{} span:\"{id}\"", trace_term(&hex(&state.id)));
        Self {
            found: false,
            unread: false,
            close: close.link().at(format!("s{id}")).to_string(),
            logs_href: Link::to("/logs")
                .with("q", logs)
                .with("range", "all")
                .to_string(),
            id,
            name: String::new(),
            service: String::new(),
            colour: 0,
            kind: "unspecified",
            status: "unset",
            status_message: String::new(),
            start: Moment::new(0),
            offset: String::new(),
            duration: String::new(),
            parent: String::new(),
            parent_href: String::new(),
            notes: Vec::new(),
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            logs: Vec::new(),
            more_logs: String::new(),
            resource: Vec::new(),
            scope: String::new(),
            scope_attributes: Vec::new(),
            schema_urls: Vec::new(),
            trace_state: String::new(),
            dropped: Vec::new(),
        }
    }
}

fn select(state: &State, id: Id) -> String {
    let state = State {
        span: Some(id),
        from: None,
        ..state.clone()
    };
    state.link().at(format!("s{}", hex(&id))).to_string()
}

fn views(pairs: &[KeyValue]) -> Vec<AttributeView> {
    attributes(pairs)
        .into_iter()
        .map(|attribute| AttributeView {
            href: match attribute.term.as_str() {
                "" => String::new(),
                term => Link::to("/traces").with("q", term).to_string(),
            },
            attribute,
        })
        .collect()
}

fn event_view(trace: &Trace, event: &Event) -> EventView {
    const STACK: &str = "exception.stacktrace";
    let (stack, rest): (Vec<KeyValue>, Vec<KeyValue>) = event
        .attributes
        .iter()
        .cloned()
        .partition(|pair| pair.key == STACK);
    EventView {
        name: clip(&event.name, 200),
        offset: format!(
            "+{}",
            duration(event.time_unix_nano.saturating_sub(trace.start))
        ),
        attributes: views(&rest),
        stack: stack.first().map_or_else(String::new, |pair| {
            crate::value::text(pair.value.as_ref(), 16 << 10)
        }),
    }
}

fn link_view(link: &SpanLink) -> LinkView {
    let trace = valid_hex::<16>(&link.trace_id).unwrap_or_default();
    let span = valid_hex::<8>(&link.span_id).unwrap_or_default();
    LinkView {
        href: if trace.is_empty() {
            String::new()
        } else {
            trace_href(&trace, &span)
        },
        trace,
        span,
        attributes: views(&link.attributes),
    }
}

/// The log records of a span by time, as places in the trace.
fn logs_of(trace: &Trace, item: &SpanItem) -> Vec<usize> {
    let id = item.id();
    let of_span = trace.logs.iter().enumerate();
    let mut logs: Vec<(u64, usize)> = of_span
        .filter(|(_, item)| id.is_some() && item.span == id)
        .map(|(at, item)| (item.time, at))
        .collect();
    logs.sort();
    logs.into_iter().map(|(_, at)| at).collect()
}

/// Those of them that the details of a span show.
pub(super) fn logs_shown(trace: &Trace, item: &SpanItem) -> Vec<usize> {
    let mut logs = logs_of(trace, item);
    logs.truncate(LIST_MAX);
    logs
}

fn log_view(trace: &Trace, item: &LogItem) -> Option<SpanLog> {
    let whole = trace.whole_log(item)?;
    Some(SpanLog {
        level: level(item.severity),
        offset: format!("+{}", duration(item.time.saturating_sub(trace.start))),
        line: one_line(&whole.record),
    })
}

/// What the sender left away before it sent the span.
fn dropped(span: &Span) -> Vec<String> {
    [
        (span.dropped_attributes_count, "attribute", "attributes"),
        (span.dropped_events_count, "event", "events"),
        (span.dropped_links_count, "link", "links"),
    ]
    .into_iter()
    .filter(|(number, ..)| *number > 0)
    .map(|(number, one, many)| plural(u64::from(number), one, many))
    .collect()
}
