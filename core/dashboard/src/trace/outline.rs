//! A trace of which the outline is there, and those spans and log records whole that a page looks at.

use std::collections::HashMap;

use log_tracer_proto::{
    otlp::{
        logs::LogRecord,
        trace::{Span, span::SpanKind, status::StatusCode},
    },
    v1::{GetTraceOutlineResponse, GetTraceResponse, OutlineLogs, OutlineSpans, TraceSelection},
};

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
                trace.spans.extend(span_items(spans));
            }
            if let Some(logs) = &piece.logs {
                trace.logs.extend(log_items(logs));
            }
            trace.duplicate_spans += piece.duplicate_spans;
            if let Some(coverage) = piece.coverage {
                trace.coverage = coverage;
            }
        }
        trace.arranged()
    }

    /// The questions that have to be asked for what is wanted and not there.
    pub(crate) fn lacking(&self, wanted: &Wanted) -> Vec<TraceSelection> {
        let is_lacking = |at: &&usize| self.spans.get(**at).is_some_and(|it| it.whole.is_none());
        let ids = |places: &[usize], but: &[usize]| -> Vec<u8> {
            let lacking = places.iter().filter(is_lacking);
            let lacking = lacking.filter(|at| !but.contains(at));
            let ids = lacking.filter_map(|at| self.spans.get(*at));
            ids.flat_map(|item| item.id).collect()
        };
        let logs = wanted.logs.iter().filter_map(|at| self.logs.get(*at));
        let whole = TraceSelection {
            span_ids: ids(&wanted.spans, &[]).into(),
            log_times_unix_nano: logs
                .filter(|item| item.whole.is_none())
                .map(|item| item.time)
                .collect(),
            only_events: false,
        };
        let events = TraceSelection {
            span_ids: ids(&wanted.events, &wanted.spans).into(),
            log_times_unix_nano: Vec::new(),
            only_events: true,
        };
        [whole, events]
            .into_iter()
            .filter(|it| !it.span_ids.is_empty() || !it.log_times_unix_nano.is_empty())
            .collect()
    }

    /// Puts spans and log records into their places. What has no place, because it came after the outline was read, is
    /// left away; what is wanted and was not answered makes the trace partial.
    pub(crate) fn fill(&mut self, wanted: &Wanted, pieces: Vec<GetTraceResponse>) {
        let mut contexts = Contexts::default();
        let mut next_log = HashMap::new();
        for piece in pieces {
            for group in piece.resource_spans {
                for scoped in group.scope_spans {
                    let scope = contexts.scope(self, scoped.scope, scoped.schema_url);
                    for span in scoped.spans {
                        self.fill_span(span, scope);
                    }
                }
            }
            for group in piece.resource_logs {
                for scoped in group.scope_logs {
                    let scope = contexts.scope(self, scoped.scope, scoped.schema_url);
                    for record in scoped.log_records {
                        self.fill_log(record, scope, &mut next_log);
                    }
                }
            }
        }
        self.say_lacking(wanted);
    }

    /// Of several spans of one id it is the first that has the same times and nothing yet.
    fn fill_span(&mut self, span: Span, scope: usize) {
        let Some(id) = span_id(&span.span_id) else {
            return;
        };
        let parent = span_id(&span.parent_span_id);
        let fits = |item: &SpanItem| {
            item.whole.is_none()
                && item.start == span.start_time_unix_nano
                && item.end == span.end_time_unix_nano
                && item.parent() == parent
        };
        let mut places = self.nodes_of(id).iter().map(|(_, at)| *at);
        let place = places.find(|at| self.spans.get(*at).is_some_and(fits));
        if let Some(item) = place.and_then(|at| self.spans.get_mut(at)) {
            item.whole = Some(self.whole_spans.len() as u32);
            self.whole_spans.push(WholeSpan { span, scope });
        }
    }

    /// Records of one time and span are answered in the order of the outline. `next` knows where to go on.
    fn fill_log(
        &mut self,
        record: LogRecord,
        scope: usize,
        next: &mut HashMap<(u64, Option<Id>), usize>,
    ) {
        let key = (time(&record), span_id(&record.span_id));
        let from = next
            .entry(key)
            .or_insert_with(|| self.logs.partition_point(|item| item.time < key.0));
        let mut rest = self.logs.iter_mut().enumerate().skip(*from);
        let place = rest
            .by_ref()
            .take_while(|(_, item)| item.time == key.0)
            .find(|(_, item)| item.span == key.1);
        if let Some((at, item)) = place {
            *from = at + 1;
            if item.whole.is_none() {
                item.whole = Some(self.whole_logs.len() as u32);
                self.whole_logs.push(WholeLog { record, scope });
            }
        }
    }

    fn say_lacking(&mut self, wanted: &Wanted) {
        let spans = wanted.spans.iter().filter_map(|at| self.spans.get(*at));
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

fn span_items(spans: &OutlineSpans) -> impl Iterator<Item = SpanItem> + '_ {
    let columns = ids(&spans.span_ids)
        .zip(ids(&spans.parent_span_ids))
        .zip(spans.start_unix_nano.iter().zip(&spans.end_unix_nano))
        .zip(spans.names.iter().zip(&spans.resources))
        .zip(spans.kinds.iter().zip(&spans.statuses));
    columns.enumerate().map(
        |(at, ((((id, parent), (start, end)), (name, resource)), (kind, status)))| SpanItem {
            id,
            parent,
            start: *start,
            end: *end,
            process: *resource as usize,
            name: *name,
            kind: SpanKind::try_from(i32::from(*kind)).unwrap_or_default(),
            status: StatusCode::try_from(i32::from(*status)).unwrap_or_default(),
            copies: 1,
            shares_id: false,
            matches: spans.matches.get(at) == Some(&1),
            value: spans.values.get(at).and_then(|value| value.checked_sub(1)),
            whole: None,
        },
    )
}

fn log_items(logs: &OutlineLogs) -> impl Iterator<Item = LogItem> + '_ {
    let columns = ids(&logs.span_ids)
        .zip(&logs.time_unix_nano)
        .zip(logs.severities.iter().zip(&logs.resources));
    columns
        .enumerate()
        .map(|(at, ((span, time), (severity, resource)))| LogItem {
            span: named(span),
            time: *time,
            severity: i32::from(*severity),
            process: *resource as usize,
            matches: logs.matches.get(at) == Some(&1),
            whole: None,
        })
}

fn ids(column: &[u8]) -> impl Iterator<Item = Id> + '_ {
    column.as_chunks().0.iter().copied()
}
