//! One trace, whole, with its logs.

use std::{collections::HashMap, sync::Arc};

use log_tracer_record::{LogRow, SpanRow, TraceId};

use super::spans_of_trace::{RowRef, SpansOfTrace};
use crate::{
    Coverage, Stop, TimeRange,
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
    span_chunks: Vec<Arc<SpanChunk>>,
    spans: Vec<RowRef>,
    log_chunks: Vec<Arc<LogChunk>>,
    logs: Vec<RowRef>,
    /// Spans that were left out because the same span, equal in all its fields, is among those answered. Spans that
    /// only share their id, such as the two sides of a call, are all answered.
    pub duplicate_count: u64,
    /// What was covered.
    pub coverage: Coverage,
}

impl Trace {
    /// Whether there is neither a span nor a log record of it.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.logs.is_empty()
    }

    /// How many spans are answered.
    pub fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// How many log records are answered.
    pub fn log_count(&self) -> usize {
        self.logs.len()
    }

    /// The spans by their start.
    pub fn spans(&self) -> impl Iterator<Item = SpanRow> + '_ {
        read(&self.span_chunks, &self.spans)
    }

    /// The log records by their time.
    pub fn logs(&self) -> impl Iterator<Item = LogRow> + '_ {
        read(&self.log_chunks, &self.logs)
    }
}

fn read<'t, C: Chunk>(
    chunks: &'t [Arc<C>],
    rows: &'t [RowRef],
) -> impl Iterator<Item = C::Row> + 't {
    rows.iter().filter_map(|place| {
        let chunk = chunks.get(place.chunk_number as usize)?;
        Some(chunk.row(place.row as usize))
    })
}

pub(crate) fn find_trace(
    spans: Snapshot<SpanChunk>,
    logs: Snapshot<LogChunk>,
    id: TraceId,
    limits: TraceLimits,
    stop: &Stop,
) -> Trace {
    let mut progress = Progress::start(stop);
    let number = trace_number(id);
    let of_trace = SpansOfTrace::of(&spans.chunks, parts(&spans, number));
    let duplicate_count = of_trace.duplicate_count;
    let is_whole = of_trace.is_whole();
    let start = of_trace.iter().map(|(chunk, row)| chunk.time(row)).min();
    let mut span_rows = of_trace.rows;
    let mut log_rows = log_rows(&logs, number);
    progress.scan(span_rows.len() as u64 + log_rows.len() as u64 + duplicate_count);
    progress.coverage.matched = progress.coverage.scanned;

    // A span that has left may lie before all that are still there: then something refers to it.
    let reach = if is_whole { start.unwrap_or(0) } else { 0 };
    let from_start = TimeRange {
        start_unix_nano: reach,
        end_unix_nano: None,
    };
    spans.cover(from_start, &mut progress.coverage);
    logs.cover(from_start, &mut progress.coverage);
    limit(
        &mut span_rows,
        limits.spans_max,
        "spans",
        &mut progress.coverage,
    );
    limit(
        &mut log_rows,
        limits.logs_max,
        "log records",
        &mut progress.coverage,
    );
    Trace {
        span_chunks: keep_used(&spans.chunks, &mut span_rows),
        spans: span_rows,
        log_chunks: keep_used(&logs.chunks, &mut log_rows),
        logs: log_rows,
        duplicate_count,
        coverage: progress.finish(),
    }
}

/// The rows of a trace in each chunk.
fn parts<C: Chunk>(snapshot: &Snapshot<C>, id: u128) -> impl Iterator<Item = (u32, &[u32])> {
    (0..)
        .zip(&snapshot.chunks)
        .map(move |(chunk_number, chunk)| (chunk_number, chunk.traces().rows_of(id)))
}

fn log_rows(logs: &Snapshot<LogChunk>, id: u128) -> Vec<RowRef> {
    let of_part = |(chunk_number, rows): (u32, &'_ [u32])| {
        let places = rows.iter().map(|row| RowRef {
            chunk_number,
            row: *row,
        });
        places.collect::<Vec<_>>()
    };
    let mut rows: Vec<RowRef> = parts(logs, id).flat_map(of_part).collect();
    rows.sort_by_cached_key(|place| {
        let chunk = logs.chunks.get(place.chunk_number as usize);
        chunk.map(|chunk| chunk.key(place.row as usize))
    });
    rows
}

/// The chunks that rows are in, and no others: an answer must not keep alive what the store evicts meanwhile.
fn keep_used<C>(chunks: &[Arc<C>], rows: &mut [RowRef]) -> Vec<Arc<C>> {
    let mut used = Vec::new();
    let mut new_numbers: HashMap<u32, u32> = HashMap::new();
    for place in rows {
        let number = new_numbers.entry(place.chunk_number).or_insert_with(|| {
            used.extend(chunks.get(place.chunk_number as usize).map(Arc::clone));
            used.len() as u32 - 1
        });
        place.chunk_number = *number;
    }
    used
}

fn limit(rows: &mut Vec<RowRef>, max: usize, name: &str, coverage: &mut Coverage) {
    if rows.len() > max {
        coverage.miss(format!(
            "the trace has {} {name}, of which the first {max} are answered",
            rows.len()
        ));
        rows.truncate(max);
        rows.shrink_to_fit();
    }
}
