//! A trace of which the outline is there, and those spans and log records whole that a page looks at.

use std::collections::HashMap;

use log_tracer_proto::{
    otlp::{
        logs::{LogRecord, SeverityNumber},
        resource::Resource,
        trace::{Span, span::SpanKind, status::StatusCode},
    },
    outline::{LogRow, SpanRow},
    v1::{GetTraceOutlineResponse, GetTraceResponse, TraceSelection},
};
use prost::Message;

use super::{
    model::{LogItem, Process, SpanItem, Trace, WholeLog, WholeSpan, named, span_id},
    tree::Id,
    whole::{Contexts, time},
};
use crate::units::plural;

/// What has to be there whole for a page, by places among the spans and logs of the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) spans: Vec<usize>,
    pub(crate) logs: Vec<usize>,
    /// Spans of which a picture shows the events, and nothing else.
    pub(crate) events: Vec<usize>,
}

/// A question for what is wanted and not there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lacking {
    pub(crate) selection: TraceSelection,
    /// Spans and log records of the trace that have such an id, or such a time, and some that may have come since.
    pub(crate) spans_max: usize,
    pub(crate) logs_max: usize,
}

/// What may have come since the outline was read.
const SINCE_MAX: usize = 64;

/// Of a log record what the outline knows: its time, its span, its sender by the first place among the senders, and its
/// severity.
type LogKey = (u64, Option<Id>, Option<usize>, i32);

impl Trace {
    /// Puts the pieces of an outline together.
    pub(crate) fn outlined(pieces: Vec<GetTraceOutlineResponse>) -> Self {
        let mut trace = Self::default();
        for piece in pieces {
            trace.names.extend(piece.names);
            trace.values.extend(piece.values);
            trace
                .processes
                .extend(piece.resources.into_iter().map(|entry| Process {
                    resource: entry.resource.unwrap_or_default(),
                    schema_url: entry.schema_url,
                    service: entry.service,
                }));
            if let Some(spans) = &piece.spans {
                trace.spans.extend(spans.rows().map(span_item));
            }
            if let Some(logs) = &piece.logs {
                trace.logs.extend(logs.rows().map(log_item));
            }
            trace.duplicate_spans += piece.duplicate_spans;
            if let Some(coverage) = piece.coverage {
                trace.coverage = coverage;
            }
        }
        trace.arranged()
    }

    /// The questions that have to be asked for what is wanted and not there.
    pub(crate) fn lacking(&self, wanted: &Wanted) -> Vec<Lacking> {
        let is_lacking = |at: &&usize| self.spans.get(**at).is_some_and(|it| it.whole.is_none());
        let ids = |places: &[usize], but: &[usize]| -> Vec<Id> {
            let lacking = places.iter().filter(is_lacking);
            let lacking = lacking.filter(|at| !but.contains(at));
            let ids = lacking.filter_map(|at| self.spans.get(*at));
            distinct(ids.map(|item| item.id))
        };
        let logs = wanted.logs.iter().filter_map(|at| self.logs.get(*at));
        let times = logs.filter(|item| item.whole.is_none());
        let times = distinct(times.map(|item| item.time));
        [
            self.lacking_of(ids(&wanted.spans, &[]), times, false),
            self.lacking_of(ids(&wanted.events, &wanted.spans), Vec::new(), true),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// A consumer answers all spans of an id and all records of a time, so that there has to be room for them.
    fn lacking_of(&self, ids: Vec<Id>, times: Vec<u64>, only_events: bool) -> Option<Lacking> {
        if ids.is_empty() && times.is_empty() {
            return None;
        }
        let spans: usize = ids.iter().map(|id| self.nodes_of(*id).len()).sum();
        let at = |time: u64| {
            let from = self.logs.partition_point(|item| item.time < time);
            let to = self.logs.partition_point(|item| item.time <= time);
            to - from
        };
        let logs: usize = times.iter().map(|time| at(*time)).sum();
        Some(Lacking {
            spans_max: spans + SINCE_MAX,
            logs_max: logs + SINCE_MAX,
            selection: TraceSelection {
                span_ids: ids.concat().into(),
                log_times_unix_nano: times,
                only_events,
            },
        })
    }

    /// Puts spans and log records into their places. What has no place, because it came after the outline was read, is
    /// left away; what is wanted and was not answered makes the trace partial.
    pub(crate) fn fill(&mut self, wanted: &Wanted, pieces: Vec<GetTraceResponse>) {
        let mut contexts = Contexts::default();
        let senders = Senders::of(&self.processes);
        let mut next_log = HashMap::new();
        for piece in pieces {
            for group in piece.resource_spans {
                let sender = senders.find(group.resource.as_ref(), &group.schema_url);
                for scoped in group.scope_spans {
                    let scope = contexts.scope(self, scoped.scope, scoped.schema_url);
                    for span in scoped.spans {
                        self.fill_span(span, scope, sender, &senders);
                    }
                }
            }
            for group in piece.resource_logs {
                let sender = senders.find(group.resource.as_ref(), &group.schema_url);
                for scoped in group.scope_logs {
                    let scope = contexts.scope(self, scoped.scope, scoped.schema_url);
                    for record in scoped.log_records {
                        self.fill_log(record, scope, sender, &senders, &mut next_log);
                    }
                }
            }
        }
        self.say_lacking(wanted);
    }

    /// Of several spans of one id it is the first that has the same numbers and nothing yet.
    fn fill_span(&mut self, span: Span, scope: usize, sender: Option<usize>, senders: &Senders) {
        let Some(id) = span_id(&span.span_id) else {
            return;
        };
        let parent = span_id(&span.parent_span_id);
        let kind = SpanKind::try_from(span.kind).unwrap_or_default();
        let status = span.status.as_ref().map(|status| status.code);
        let status = StatusCode::try_from(status.unwrap_or_default()).unwrap_or_default();
        // One with its events only does not tell the rest.
        let has_events_only = span.name.is_empty() && span.kind == 0;
        let fits = |item: &SpanItem| {
            item.whole.is_none()
                && item.start == span.start_time_unix_nano
                && item.end == span.end_time_unix_nano
                && item.parent() == parent
                && (has_events_only
                    || (item.kind == kind
                        && item.status == status
                        && senders.are_one(sender, item.process)))
        };
        let mut places = self.nodes_of(id).iter().map(|(_, at)| *at);
        let place = places.find(|at| self.spans.get(*at).is_some_and(fits));
        if let Some(item) = place.and_then(|at| self.spans.get_mut(at)) {
            item.whole = Some(self.whole_spans.len() as u32);
            self.whole_spans.push(WholeSpan { span, scope });
        }
    }

    /// An answer has records of one time in the order of the outline. `next` knows where to go on among those of one key.
    fn fill_log(
        &mut self,
        record: LogRecord,
        scope: usize,
        sender: Option<usize>,
        senders: &Senders,
        next: &mut HashMap<LogKey, usize>,
    ) {
        let severity = SeverityNumber::try_from(record.severity_number).unwrap_or_default() as i32;
        let (time, span) = (time(&record), span_id(&record.span_id));
        let from = next
            .entry((time, span, sender, severity))
            .or_insert_with(|| self.logs.partition_point(|item| item.time < time));
        let fits = |item: &LogItem| {
            item.span == span && item.severity == severity && senders.are_one(sender, item.process)
        };
        let mut rest = self.logs.iter_mut().enumerate().skip(*from);
        let place = rest
            .by_ref()
            .take_while(|(_, item)| item.time == time)
            .find(|(_, item)| fits(item));
        if let Some((at, item)) = place {
            *from = at + 1;
            if item.whole.is_none() {
                item.whole = Some(self.whole_logs.len() as u32);
                self.whole_logs.push(WholeLog { record, scope });
            }
        }
    }

    fn say_lacking(&mut self, wanted: &Wanted) {
        let spans = wanted.spans.iter().chain(&wanted.events);
        let spans = spans.filter_map(|at| self.spans.get(*at));
        let logs = wanted.logs.iter().filter_map(|at| self.logs.get(*at));
        let lacking = spans.filter(|item| item.whole.is_none()).count()
            + logs.filter(|item| item.whole.is_none()).count();
        if lacking > 0 {
            self.coverage.partial = true;
            self.coverage.reasons.push(format!(
                "{} of what is shown could not be read whole",
                plural(lacking as u64, "span or log record", "spans or log records")
            ));
        }
    }
}

/// The senders of a trace by what they say of themselves.
struct Senders {
    by_content: HashMap<(Vec<u8>, String), usize>,
    /// The first that says the same, of each.
    first: Vec<usize>,
}

impl Senders {
    fn of(processes: &[Process]) -> Self {
        let mut by_content = HashMap::new();
        let first = processes.iter().enumerate().map(|(at, process)| {
            let content = content(Some(&process.resource), &process.schema_url);
            *by_content.entry(content).or_insert(at)
        });
        let first = first.collect();
        Self { by_content, first }
    }

    /// None when the outline has no such sender: it may be too large for one.
    fn find(&self, resource: Option<&Resource>, schema_url: &str) -> Option<usize> {
        self.by_content.get(&content(resource, schema_url)).copied()
    }

    /// Whether a sender that was found is the one of an item. One that was not found may be that of an item whose sender the
    /// outline left out.
    fn are_one(&self, found: Option<usize>, process: usize) -> bool {
        let nothing = || self.by_content.get(&content(None, "")).copied();
        found.or_else(nothing) == self.first.get(process).copied()
    }
}

fn content(resource: Option<&Resource>, schema_url: &str) -> (Vec<u8>, String) {
    let resource = resource.map(Message::encode_to_vec).unwrap_or_default();
    (resource, schema_url.to_owned())
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

fn span_item(row: SpanRow) -> SpanItem {
    SpanItem {
        id: row.span_id,
        parent: row.parent_id,
        start: row.start_unix_nano,
        end: row.end_unix_nano,
        process: row.resource as usize,
        name: row.name,
        kind: SpanKind::try_from(i32::from(row.kind)).unwrap_or_default(),
        status: StatusCode::try_from(i32::from(row.status)).unwrap_or_default(),
        copies: 1,
        shares_id: false,
        matches: row.matches,
        value: row.value,
        whole: None,
    }
}

fn log_item(row: LogRow) -> LogItem {
    LogItem {
        span: named(row.span_id),
        time: row.time_unix_nano,
        severity: i32::from(row.severity),
        process: row.resource as usize,
        matches: row.matches,
        whole: None,
    }
}
