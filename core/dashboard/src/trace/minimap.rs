//! A whole trace in a few lines: the overview above the waterfall.

use super::model::{SpanItem, Trace};

/// Lines of the overview; a larger trace puts several rows on one.
const LINES_MAX: usize = 40;

/// Spans drawn on one line at most.
const BARS_PER_LINE_MAX: usize = 3;

/// Some rows of the trace as one line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// The first row on it.
    pub(crate) row: usize,
    pub(crate) bars: Vec<Bar>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bar {
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Whose it is, as an index into the processes.
    pub(crate) process: usize,
    pub(crate) error: bool,
}

/// The lines of a trace, from the first row to the last.
pub(crate) fn minimap(trace: &Trace) -> Vec<Line> {
    let spans: Vec<(usize, &SpanItem)> = trace
        .rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| Some((at, trace.span(row)?)))
        .collect();
    let per_line = spans.len().div_ceil(LINES_MAX).max(1);
    spans
        .chunks(per_line)
        .filter_map(|chunk| line(trace, chunk))
        .collect()
}

/// The first span of the line for itself, the errors for themselves, and the rest of them in one.
fn line(trace: &Trace, spans: &[(usize, &SpanItem)]) -> Option<Line> {
    let (row, _) = spans.first()?;
    let mut bars: Vec<Bar> = Vec::new();
    for (_, item) in spans {
        let start = item.start.max(trace.start);
        let bar = Bar {
            start,
            end: start.saturating_add(item.duration()),
            process: item.process,
            error: item.is_error(),
        };
        let room = bars.len() < BARS_PER_LINE_MAX || bar.error;
        match bars
            .iter_mut()
            .find(|other| (other.process, other.error) == (bar.process, bar.error))
        {
            Some(other) => {
                other.start = other.start.min(bar.start);
                other.end = other.end.max(bar.end);
            }
            None if room => bars.push(bar),
            None => {}
        }
    }
    // The longest first, so that the short ones and the errors are drawn over them.
    bars.sort_by_key(|bar| (bar.error, std::cmp::Reverse(bar.end - bar.start)));
    let surplus = bars.len().saturating_sub(2 * BARS_PER_LINE_MAX);
    bars.drain(..surplus);
    Some(Line { row: *row, bars })
}

/// Levels of spans, the root's counted as one.
pub(crate) fn depth(trace: &Trace) -> usize {
    trace
        .rows
        .iter()
        .filter(|row| trace.span(row).is_some())
        .map(|row| row.depth + 1)
        .max()
        .unwrap_or(0)
}
