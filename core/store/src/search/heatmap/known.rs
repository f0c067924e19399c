//! Traces that are counted by what the tables of traces know: no span is looked at, and no trace is kept. That is enough
//! without a query, and for one that looks at nothing but services and statuses.

use super::{Cells, Grid, HeatmapSpec};
use crate::{
    chunk::SpanChunk,
    search::{
        by_kind::{ByKind, Matches},
        filter::Filter,
        tables::{asked_spans, cost_less, for_each_trace},
        traces::duration_nano,
        units::Asking,
    },
    stop::Progress,
    table::Snapshot,
};

/// Counts; none when spans have to be looked at, or when that is quicker.
pub(super) fn count(
    spans: &Snapshot<SpanChunk>,
    spec: &HeatmapSpec,
    filter: &Filter<'_>,
    grid: &Grid,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
) -> Option<Cells> {
    let (range, by_kind) = (spec.range(), ByKind::new(filter));
    let asked = || asked_spans(spans, filter, range, asking);
    if !by_kind.is_exact() || !cost_less(spans, filter, asked()) {
        return None;
    }
    let counted = for_each_trace(
        spans,
        &by_kind,
        asking,
        progress,
        || (Cells::new(grid.clone()), true),
        |(cells, is_certain), trace, matches| {
            let start = trace.start_unix_nano;
            if range.contains(start) && matches != Matches::No {
                *is_certain &= matches == Matches::Yes;
                cells.add(start, duration_nano(&trace), trace.error_count > 0);
            }
        },
    );
    let mut all = Cells::new(grid.clone());
    let mut is_certain = true;
    for (cells, of_worker) in counted {
        all.absorb(&cells);
        is_certain &= of_worker;
    }
    is_certain.then_some(all)
}
