//! One trace, whole, with its logs.

use std::{borrow::Cow, sync::Arc};

use log_tracer_record::{LogRow, SpanRow, TraceId, otlp::trace::Span};

use super::{
    rows_of_trace::{Gathered, Gatherer, RowsOfTrace},
    source::Source,
    spans_of_trace::SpansOfTrace,
};
use crate::{
    Coverage, Stop, TimeRange,
    block::{BlockError, Columns},
    chunk::{Chunk, LogChunk, SpanChunk, trace_number},
    stop::Progress,
    table::Snapshot,
};

/// How much of a trace is answered. What is over a limit is left out, the newest first, and the answer is partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLimits {
    /// Spans at most.
    pub spans_max: usize,
    /// Log records at most.
    pub logs_max: usize,
}

/// One trace with its logs. It holds the rows where they are stored: each becomes a message of its own when it is asked
/// for, so that a trace of any size can be sent on piece by piece.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(super) spans: Gathered<SpanChunk>,
    pub(super) logs: Gathered<LogChunk>,
    /// Of which trace the spans are, when no more is asked of them than ids, times and events.
    pub(super) only_events_of: Option<TraceId>,
    /// Spans that were left out because the same span, equal in all its fields, is among those answered. Spans that
    /// only share their id, such as the two sides of a call, are all answered.
    pub duplicate_count: u64,
    /// What was covered.
    pub coverage: Coverage,
}

impl Trace {
    /// Whether there is neither a span nor a log record of it.
    pub fn is_empty(&self) -> bool {
        self.spans.rows.is_empty() && self.logs.rows.is_empty()
    }

    /// How many spans are answered.
    pub fn span_count(&self) -> usize {
        self.spans.rows.len()
    }

    /// How many log records are answered.
    pub fn log_count(&self) -> usize {
        self.logs.rows.len()
    }

    /// The spans by their start.
    pub fn spans(&self) -> impl Iterator<Item = SpanRow> + '_ {
        self.spans.iter().map(|(chunk, row)| {
            let row = chunk.row(row);
            match self.only_events_of {
                Some(id) => with_events_only(row, id),
                None => row,
            }
        })
    }

    /// The log records by their time.
    pub fn logs(&self) -> impl Iterator<Item = LogRow> + '_ {
        self.logs.iter().map(|(chunk, row)| chunk.row(row))
    }
}

/// A span without all but ids, times and events, wherever it was read from: in memory all of it is there, and on disk when
/// it had to be compared.
fn with_events_only(row: SpanRow, id: TraceId) -> SpanRow {
    let span = row.span;
    SpanRow {
        resource: Arc::default(),
        scope: Arc::default(),
        span: Span {
            trace_id: id.to_bytes(),
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            start_time_unix_nano: span.start_time_unix_nano,
            end_time_unix_nano: span.end_time_unix_nano,
            events: span.events,
            ..Span::default()
        },
    }
}

pub(crate) fn find_trace(
    spans: &Snapshot<SpanChunk>,
    logs: &Snapshot<LogChunk>,
    id: TraceId,
    limits: TraceLimits,
    stop: &Stop,
) -> Trace {
    let mut progress = Progress::start(stop);
    let number = trace_number(id);
    let columns = Columns::all();
    let found = SpansOfTrace::read(spans, number, &columns, limits.spans_max, &mut progress);
    let of_logs = LogsOfTrace::read(logs, number, Columns::all(), limits.logs_max, &mut progress);
    progress.coverage.matched = progress.coverage.scanned;

    cover(spans, logs, &found, &of_logs, limits, &mut progress);
    Trace {
        spans: found.spans,
        logs: of_logs.logs,
        only_events_of: None,
        duplicate_count: found.duplicate_count,
        coverage: progress.finish(),
    }
}

/// Says what may be missing of a trace.
pub(super) fn cover(
    spans: &Snapshot<SpanChunk>,
    logs: &Snapshot<LogChunk>,
    found: &SpansOfTrace,
    of_logs: &LogsOfTrace,
    limits: TraceLimits,
    progress: &mut Progress<'_>,
) {
    // A span that has left may lie before all that are still there: then something refers to it.
    let start = found
        .spans
        .iter()
        .next()
        .map(|(chunk, row)| chunk.time(row));
    let reach = if found.is_whole() {
        start.unwrap_or(0)
    } else {
        // As early as can be: not 0, which would ask for no more than what is kept.
        1
    };
    let from_start = TimeRange {
        start_unix_nano: reach,
        end_unix_nano: None,
    };
    spans.cover(from_start, &mut progress.coverage);
    logs.cover(from_start, &mut progress.coverage);
    say_limits("the trace has", found, of_logs, limits, progress);
}

/// Says what is over a limit. `has` begins the sentence: what it is that has so many.
pub(super) fn say_limits(
    has: &str,
    found: &SpansOfTrace,
    of_logs: &LogsOfTrace,
    limits: TraceLimits,
    progress: &mut Progress<'_>,
) {
    let mut say_limit = |count: usize, max: usize, left_out: u64, name: &str| {
        if count >= max && left_out > 0 {
            progress.coverage.miss(format!(
                "{has} {} {name}, of which the first {max} are answered",
                count as u64 + left_out
            ));
        }
    };
    let span_count = found.spans.rows.len();
    say_limit(span_count, limits.spans_max, found.left_out, "spans");
    let log_count = of_logs.logs.rows.len();
    say_limit(log_count, limits.logs_max, of_logs.left_out, "log records");
}

/// The first log records of a trace, by their key.
#[derive(Debug, Default)]
pub(super) struct LogsOfTrace {
    pub(super) logs: Gathered<LogChunk>,
    pub(super) left_out: u64,
}

impl LogsOfTrace {
    /// With at least these columns.
    pub(super) fn read<'s>(
        snapshot: &'s Snapshot<LogChunk>,
        id: u128,
        columns: Columns,
        logs_max: usize,
        progress: &mut Progress<'_>,
    ) -> Self {
        let all = |source: Source<'s, LogChunk>, _: &mut Progress<'_>| source.rows_of_trace(id);
        Self::read_found(snapshot, all, columns, logs_max, progress)
    }

    /// Likewise of the rows that are found in each place.
    pub(super) fn read_found<'s>(
        snapshot: &'s Snapshot<LogChunk>,
        find: impl Fn(Source<'s, LogChunk>, &mut Progress<'_>) -> Result<Cow<'s, [u32]>, BlockError>,
        columns: Columns,
        logs_max: usize,
        progress: &mut Progress<'_>,
    ) -> Self {
        let mut rows = RowsOfTrace::found(snapshot, find, columns, logs_max, progress);
        let mut gatherer = Gatherer::default();
        while gatherer.rows() < logs_max
            && let Some((chunk, row)) = rows.next(progress)
        {
            gatherer.add(chunk, row);
        }
        Self {
            left_out: rows.row_count().saturating_sub(gatherer.rows() as u64),
            logs: gatherer.end(),
        }
    }
}
