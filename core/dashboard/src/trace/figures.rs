//! What each span of a trace adds to its time: how long it ran by itself, and how long the whole waited for it.

use super::{critical::Segment, model::Trace, self_time::self_times};

/// Times by row, in nanoseconds; those of log records are zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    own: Vec<u64>,
    critical: Vec<u64>,
    /// Of all spans together.
    pub(crate) own_total: u64,
    pub(crate) critical_total: u64,
}

impl Figures {
    /// `path` is the critical path of the trace.
    pub(crate) fn new(trace: &Trace, path: &[Segment]) -> Self {
        let own = self_times(&trace.nodes, &trace.rows);
        let mut by_node = vec![0_u64; trace.nodes.len()];
        for segment in path {
            if let Some(sum) = by_node.get_mut(segment.node) {
                *sum += segment.end - segment.start;
            }
        }
        let critical: Vec<u64> = trace
            .rows
            .iter()
            .map(|row| by_node.get(row.node).copied().unwrap_or(0))
            .collect();
        Self {
            own_total: own.iter().copied().fold(0, u64::saturating_add),
            critical_total: critical.iter().sum(),
            own,
            critical,
        }
    }

    /// How long the span in a row ran while none of its children did.
    pub(crate) fn own(&self, row: usize) -> u64 {
        self.own.get(row).copied().unwrap_or(0)
    }

    /// How long the trace waited for the span in a row.
    pub(crate) fn critical(&self, row: usize) -> u64 {
        self.critical.get(row).copied().unwrap_or(0)
    }
}
