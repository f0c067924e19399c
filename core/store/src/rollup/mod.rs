//! Rollups: what rates, percentiles, the graph of services and the volume of logs are answered from without a look at a row.
//!
//! Of each minute: for every service, operation, kind and status how many spans there are and a sketch of their durations;
//! for every edge between services how many calls, how many errors, and a sketch; for every service and level how many log
//! records. They are worked out when a block is written, from its rows and nothing else, and stand in its index file, so
//! that they are durable with it and leave with it. Rows in memory, and blocks that were written before there were rollups,
//! are summed up when they are asked for.
//!
//! | module | what it does |
//! |---|---|
//! | `log_tracer_sketch` | durations as a sketch, its encoding, and bits |
//! | `cells`, `names` | counting, within bounds |
//! | `spans`, `logs`, `peers` | rows to series |
//! | `edges`, `links` | calls that have both ends in one place, and those that have not |
//! | `section` | the section of the index file |
//! | `source` | the section of a block, or one made of rows |
//! | `rates`, `graph`, `volume`, `durations` | the answers |
//!
//! # Bounds
//!
//! A block has [`Settings::series_max`] series at most, and as many services, names, peers and edges; what is more is
//! counted under "(other)", by service as long as these are few. It has [`Settings::links_max`] links of either kind.

mod cells;
mod durations;
mod edges;
mod graph;
mod links;
mod logs;
mod names;
mod peers;
mod rates;
mod section;
mod source;
mod spans;
mod volume;

pub(crate) use cells::MINUTE_NANO;
pub(crate) use durations::durations;
pub(crate) use graph::service_graph;
pub use graph::{GraphEdge, GraphSpec, Node, NodeKind, ServiceGraph};
pub use log_tracer_sketch::{RELATIVE_ERROR, Sketch, SketchError};
pub(crate) use logs::LogRollup;
pub(crate) use rates::rates;
pub use rates::{Rate, RateGroup, RateSeries, RateStep, Rates, RatesError, RatesSpec};
pub(crate) use section::{Head, PREFIX_BYTES};
#[cfg(test)]
pub(crate) use source::scan;
pub(crate) use source::{add_all, split};
pub(crate) use spans::SpanRollup;
pub(crate) use volume::log_volume;
pub use volume::{LogVolume, VolumeSeries};

/// What is counted in place of what is too much to be told apart.
pub const OTHER_NAME: &str = "(other)";

/// The bounds of the rollups of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Series of a block at most: services, names of operations, kinds and statuses that occur together.
    pub(crate) series_max: u32,
    /// Calls that are kept one by one because the other end is elsewhere, at most, of either end.
    pub(crate) links_max: u32,
    /// Whether edges are wanted. Those of a block always are.
    pub(crate) with_edges: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            series_max: 4096,
            links_max: 8_192,
            with_edges: true,
        }
    }
}

/// Rows of either table that are counted.
#[derive(Debug)]
pub(crate) struct Rollup {
    pub(crate) spans: SpanRollup,
    pub(crate) logs: LogRollup,
}

impl Rollup {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            spans: SpanRollup::new(settings),
            logs: LogRollup::new(settings),
        }
    }
}
