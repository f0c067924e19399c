//! All traces, counted by what the tables of traces know: without a query no span is looked at, and no trace is kept.

use super::{Cells, Grid, HeatmapSpec};
use crate::{
    chunk::SpanChunk,
    search::{tables::for_each_trace, traces::duration_nano, units::Asking},
    stop::Progress,
    table::Snapshot,
};

pub(super) fn count(
    spans: &Snapshot<SpanChunk>,
    spec: &HeatmapSpec,
    grid: &Grid,
    asking: Asking<'_>,
    progress: &mut Progress<'_>,
) -> Cells {
    let range = spec.range();
    let mut all = Cells::new(grid.clone());
    let counted = for_each_trace(
        spans,
        asking,
        progress,
        || Cells::new(grid.clone()),
        |cells, trace| {
            let start = trace.start_unix_nano;
            if range.contains(start) {
                cells.add(start, duration_nano(&trace), trace.error_count > 0);
            }
        },
    );
    for cells in counted {
        all.absorb(&cells);
    }
    all
}
