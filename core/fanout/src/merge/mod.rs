//! Answers of several consumers as one, each within the limit of a message. What does not fit is left out and said, or is
//! on the next page.

pub(crate) mod counts;
pub(crate) mod covering;
pub(crate) mod facets;
pub(crate) mod heatmap;
pub(crate) mod history;
pub(crate) mod hits;
pub(crate) mod lists;
pub(crate) mod rates;
pub(crate) mod room;
pub(crate) mod tables;
pub(crate) mod traces;

use log_tracer_proto::v1::Coverage;

use self::covering::Covering;
use crate::fan::Round;

/// An answer that says what it covers.
pub(crate) trait Covers {
    fn coverage_mut(&mut self) -> &mut Option<Coverage>;
}

/// The answer of the only set that was asked, which got the question as it is.
pub(crate) fn alone<T: Covers + Default>(mut round: Round<T>, covering: Covering) -> T {
    let only = round.answers.pop();
    let mut only = only.map_or_else(T::default, |answer| answer.body);
    *only.coverage_mut() = Some(covering.into_message());
    only
}

macro_rules! covers {
    ($($name:ident),+ $(,)?) => {
        $(impl Covers for log_tracer_proto::v1::$name {
            fn coverage_mut(&mut self) -> &mut Option<Coverage> {
                &mut self.coverage
            }
        })+
    };
}

covers!(
    SearchTracesResponse,
    SearchLogsResponse,
    HistogramResponse,
    DurationHeatmapResponse,
    FacetsResponse,
    ListServicesResponse,
    ListOperationsResponse,
    RatesResponse,
    ServiceGraphResponse,
    GetTraceResponse,
    ExportResponse,
    StatusHistoryResponse,
);
