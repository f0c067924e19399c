//! Traces with a span that matches, counted by their own start and duration.

use super::{Cells, Grid, HeatmapSpec};
use crate::{
    chunk::SpanChunk,
    search::{
        candidates::{CANDIDATE_BYTES, Candidates},
        filter::{Filter, FilterOnAll},
        spans_of_trace::SpansOfTrace,
        traces::{SPAN_BYTES, duration_nano, find_all},
        units::Asking,
    },
    stop::Progress,
    table::Snapshot,
};

pub(super) fn count(
    spans: &Snapshot<SpanChunk>,
    spec: &HeatmapSpec,
    filter: &Filter<'_>,
    grid: &Grid,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
) -> Cells {
    let range = spec.range();
    let mut candidates = Candidates::new(spans, filter, range, asking);
    let are_named = candidates.are_named();
    let at_most = |bytes: u64| usize::try_from(asking.answer_bytes_max / bytes);
    let count_max = at_most(CANDIDATE_BYTES).unwrap_or(usize::MAX);
    let found = find_all(spans, &mut candidates, count_max, asking, progress);
    let spans_max = at_most(SPAN_BYTES).unwrap_or(usize::MAX);
    let mut cells = Cells::new(grid.clone());
    for trace in found.into_values() {
        let is_asked = range.contains(trace.start_unix_nano)
            && (!are_named || matches(spans, trace.id, filter, spans_max, progress));
        if is_asked {
            let is_error = trace.error_count > 0;
            cells.add(trace.start_unix_nano, duration_nano(&trace), is_error);
        }
    }
    cells
}

/// Whether a span of a trace that the query names matches all of it.
fn matches(
    snapshot: &Snapshot<SpanChunk>,
    id: u128,
    filter: &Filter<'_>,
    spans_max: usize,
    progress: &mut Progress<'_>,
) -> bool {
    let spans = SpansOfTrace::read(snapshot, id, &filter.columns(), spans_max, progress).spans;
    let filter = FilterOnAll::new(filter, &spans.chunks);
    let mut places = spans.rows.iter();
    places.any(|place| filter.query_matches(place.chunk_number, place.row))
}
