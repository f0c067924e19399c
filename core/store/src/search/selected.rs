//! Some spans and log records of one trace.

use std::{borrow::Cow, collections::HashSet};

use log_tracer_query::{Field, Intrinsic};
use log_tracer_record::TraceId;

use super::{
    rows_of_trace::NARROW_BATCH_ROWS,
    source::Source,
    spans_of_trace::SpansOfTrace,
    trace::{LogsOfTrace, Trace, TraceLimits, say_limits},
};
use crate::{
    Stop,
    block::{BlockError, Columns, Storable},
    chunk::{Chunk, LogChunk, SpanChunk, trace_number},
    stop::Progress,
    table::Snapshot,
};

/// Which spans and log records of a trace are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceSelection {
    /// Spans of these ids.
    pub span_ids: HashSet<[u8; 8]>,
    /// Log records of these times: each its own, or when it was observed where it has none.
    pub log_times: HashSet<u64>,
    /// Spans with no more than ids, times and events: also without name, resource and scope.
    pub only_events: bool,
}

/// Finds them. What is over a limit is said; whether something of the trace may be missing beside that is not: who asks
/// knows the trace.
pub(crate) fn find_selected<'s>(
    spans: &'s Snapshot<SpanChunk>,
    logs: &'s Snapshot<LogChunk>,
    id: TraceId,
    selection: &TraceSelection,
    limits: TraceLimits,
    stop: &Stop,
) -> Trace {
    let mut progress = Progress::start(stop);
    let number = trace_number(id);
    let columns = match selection.only_events {
        true => with_fields(&[
            Intrinsic::SpanId,
            Intrinsic::ParentId,
            Intrinsic::Duration,
            Intrinsic::Event,
        ]),
        false => Columns::all(),
    };
    let found = match selection.span_ids.is_empty() {
        true => SpansOfTrace::default(),
        false => {
            let ids = with_fields(&[Intrinsic::SpanId]);
            let find = |source: Source<'s, SpanChunk>, progress: &mut Progress<'_>| {
                narrowed(source, number, &ids, progress, |chunk, row| {
                    selection.span_ids.contains(&chunk.span_id(row))
                })
            };
            SpansOfTrace::read_found(spans, find, &columns, limits.spans_max, &mut progress)
        }
    };
    let of_logs = match selection.log_times.is_empty() {
        true => LogsOfTrace::default(),
        false => {
            let times = Columns::default();
            let find = |source: Source<'s, LogChunk>, progress: &mut Progress<'_>| {
                let bounds = source.bounds();
                let mut wanted = selection.log_times.iter();
                if !wanted.any(|time| (bounds.first..=bounds.last).contains(time)) {
                    return Ok(Cow::Borrowed(&[][..]));
                }
                narrowed(source, number, &times, progress, |chunk, row| {
                    selection.log_times.contains(&chunk.time(row))
                })
            };
            LogsOfTrace::read_found(logs, find, Columns::all(), limits.logs_max, &mut progress)
        }
    };
    progress.coverage.matched = (found.spans.rows.len() + of_logs.logs.rows.len()) as u64;
    let has = "what was asked for of the trace has";
    say_limits(has, &found, &of_logs, limits, &mut progress);
    Trace {
        spans: found.spans,
        logs: of_logs.logs,
        only_events_of: selection.only_events.then_some(id),
        duplicate_count: found.duplicate_count,
        coverage: progress.finish(),
    }
}

fn with_fields(fields: &[Intrinsic]) -> Columns {
    Columns {
        fields: fields.iter().copied().map(Field::Intrinsic).collect(),
        ..Columns::default()
    }
}

/// The rows of a trace that are wanted, by columns that are read of all its rows, a little at a time. When the search has
/// to end, those that were found until then.
fn narrowed<'s, C: Storable>(
    source: Source<'s, C>,
    id: u128,
    columns: &Columns,
    progress: &mut Progress<'_>,
    is_wanted: impl Fn(&C, usize) -> bool,
) -> Result<Cow<'s, [u32]>, BlockError> {
    let rows = source.rows_of_trace(id)?;
    let mut wanted = Vec::new();
    for some in rows.chunks(NARROW_BATCH_ROWS) {
        if !progress.scan(some.len() as u64) {
            break;
        }
        let taken = source.take(some, columns)?;
        let of_some = taken.rows.iter().zip(some);
        let of_some = of_some.filter(|(at, _)| is_wanted(&taken.chunk, **at as usize));
        wanted.extend(of_some.map(|(_, row)| *row));
    }
    Ok(Cow::Owned(wanted))
}
