//! The heat map of the search for traces: over all that match, not only those of the page.
//!
//! It counts traces by the duration of the whole trace, as the list shows them, or the spans that match by their own. A
//! part of it leads to a narrower search: of traces, by `from`, `to`, `min` and `max`; of spans, by `from`, `to`, `smin` and
//! `smax`, which ask for a span of such a duration.

use log_tracer_proto::v1::{
    DurationHeatmapRequest, DurationHeatmapResponse, HeatmapOf, Signal, TimeRange,
};
use serde::Serialize;

use super::Search;
pub(super) use crate::charts::heat::Leads;
use crate::{
    app::App,
    charts::heat::{BUCKETS_PER_OCTAVE, Heat, Noun, step},
    fault::Fault,
    pages::logs::kept,
    params::{Link, Params},
    range::Range,
    search::CoverageView,
    units::{duration_term, parse_duration},
};

/// Which picture stands above the list, and what it is narrowed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeatState {
    /// Whether it is the heat map; else it is the scatter of the traces that were found.
    pub(crate) shown: bool,
    pub(crate) of: HeatmapOf,
    /// Bounds of the duration of the spans that match, in nanoseconds; 0 is no bound.
    pub(crate) span_min: u64,
    pub(crate) span_max: u64,
}

impl HeatState {
    pub(crate) fn read(params: &Params) -> Result<Self, Fault> {
        let shown = params.read("view", |text| match text {
            "heat" => Ok(true),
            "scatter" => Ok(false),
            _ => Err(format!("`{text}` is not one of scatter, heat")),
        })?;
        Ok(Self {
            shown: shown.unwrap_or(false),
            of: params.read("of", parse_of)?.unwrap_or(HeatmapOf::Traces),
            span_min: params.read("smin", parse_duration)?.unwrap_or(0),
            span_max: params.read("smax", parse_duration)?.unwrap_or(0),
        })
    }

    pub(crate) fn write(self, link: Link) -> Link {
        let link = link
            .with("view", if self.shown { "heat" } else { "" })
            .with("smin", bound(self.span_min))
            .with("smax", bound(self.span_max));
        match self.of {
            HeatmapOf::Spans => link.with("of", "spans"),
            HeatmapOf::Traces => link.with("of", ""),
        }
    }

    /// What the bounds ask of a span, as terms of the query.
    pub(crate) fn terms(self) -> [String; 2] {
        let term = |sign: &str, nanos: u64| match nanos {
            0 => String::new(),
            nanos => format!("duration{sign}{}", duration_term(nanos)),
        };
        [term(">=", self.span_min), term("<=", self.span_max)]
    }

    pub(crate) fn is_narrowed(self) -> bool {
        self.span_min > 0 || self.span_max > 0
    }
}

/// What a heat map counts, as the address says it.
pub(crate) fn parse_of(text: &str) -> Result<HeatmapOf, String> {
    match text {
        "traces" => Ok(HeatmapOf::Traces),
        "spans" => Ok(HeatmapOf::Spans),
        _ => Err(format!("`{text}` is not one of traces, spans")),
    }
}

/// A bound of a duration as a parameter.
pub(super) fn bound(nanos: u64) -> String {
    match nanos {
        0 => String::new(),
        nanos => duration_term(nanos),
    }
}

/// Asks for the heat map when it is shown.
pub(super) async fn ask(app: &App, search: &Search, now: u64) -> Result<Option<HeatView>, Fault> {
    if !search.heat.shown {
        return Ok(None);
    }
    let kept = match search.range {
        Range::Last(_) => None,
        _ => kept(&app.ask.status().await?, Signal::Spans),
    };
    let bounds = search.range.closed(now, kept);
    let answer = app.ask.heatmap(request(search, bounds)).await?;
    Ok(Some(HeatView::new(&answer, search, bounds)))
}

/// The choice of the picture, and the state that a form has to keep.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    heat: bool,
    of_spans: bool,
    scatter_href: String,
    heat_href: String,
}

impl Picture {
    pub(super) fn new(search: &Search) -> Self {
        let shown = |shown: bool| {
            search.with_heat(HeatState {
                shown,
                ..search.heat
            })
        };
        Self {
            heat: search.heat.shown,
            of_spans: search.heat.of == HeatmapOf::Spans,
            scatter_href: shown(false).to_string(),
            heat_href: shown(true).to_string(),
        }
    }
}

/// The question of a search with both ends of its range.
pub(super) fn request(search: &Search, (start, end): (u64, u64)) -> DurationHeatmapRequest {
    let (min, max) = match search.heat.of {
        HeatmapOf::Traces => (search.duration_min, search.duration_max),
        HeatmapOf::Spans => (0, 0),
    };
    DurationHeatmapRequest {
        of: search.heat.of.into(),
        query: search.query(),
        range: Some(TimeRange {
            start_unix_nano: start,
            end_unix_nano: end,
        }),
        step_nano: step(start, end),
        buckets_per_octave: BUCKETS_PER_OCTAVE,
        duration_min_nano: min,
        duration_max_nano: max,
    }
}

/// The heat map of a page.
#[derive(Debug, Serialize)]
pub(super) struct HeatView {
    /// None when nothing matches.
    chart: Option<Heat>,
    coverage: CoverageView,
    /// What is counted: "traces" or "spans"; the same page with the other.
    of: &'static str,
    traces_href: String,
    spans_href: String,
    /// The parameters that a chosen part sets.
    min_key: &'static str,
    max_key: &'static str,
}

impl HeatView {
    pub(super) fn new(
        answer: &DurationHeatmapResponse,
        search: &Search,
        bounds: (u64, u64),
    ) -> Self {
        let counting = |of: HeatmapOf| search.with_heat(HeatState { of, ..search.heat });
        let (of, noun, min_key, max_key) = match search.heat.of {
            HeatmapOf::Traces => ("traces", ("trace", "traces"), "min", "max"),
            HeatmapOf::Spans => ("spans", ("span", "spans"), "smin", "smax"),
        };
        let noun = Noun {
            one: noun.0,
            many: noun.1,
        };
        Self {
            chart: Heat::new(answer, bounds, step(bounds.0, bounds.1), noun, search),
            coverage: CoverageView::new(answer.coverage.as_ref()),
            of,
            traces_href: counting(HeatmapOf::Traces).to_string(),
            spans_href: counting(HeatmapOf::Spans).to_string(),
            min_key,
            max_key,
        }
    }
}

impl Leads for Search {
    fn between(&self, from: u64, to: u64) -> String {
        Range::Between(from, to).write(self.link()).to_string()
    }

    fn durations(&self, min: u64, max: Option<u64>) -> String {
        let (min_key, max_key) = match self.heat.of {
            HeatmapOf::Traces => ("min", "max"),
            HeatmapOf::Spans => ("smin", "smax"),
        };
        // An upper bound that was chosen before stays where this one has none.
        let link = self.link().with(min_key, bound(min));
        let link = match max {
            Some(max) => link.with(max_key, bound(max)),
            None => link,
        };
        link.to_string()
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_query::parse;

    use super::*;

    fn search(raw: &str) -> Search {
        Search::read(&Params::parse(raw).unwrap()).unwrap()
    }

    #[test]
    fn the_state_of_the_picture_survives_its_link() {
        for raw in [
            "",
            "view=heat",
            "view=heat&of=spans&smin=1048576ns&smax=2s",
            "of=spans&min=1ms",
        ] {
            let own = search(raw);
            let link = own.link().to_string();
            let again = link.split_once('?').map_or("", |(_, raw)| raw);
            assert_eq!(search(again), own, "{raw}");
        }
    }

    #[test]
    fn bounds_of_spans_are_terms_of_the_query() {
        let own = search("q=a+OR+b&service=cart&smin=1048576ns&smax=2s");
        let query = own.query();
        assert_eq!(
            query,
            "service:\"cart\" duration>=1048576ns duration<=2s (a OR b)"
        );
        assert!(parse(&query).is_ok());
        let request = request(&own, (0, 60_000_000_000));
        assert_eq!(
            (request.duration_min_nano, request.duration_max_nano),
            (0, 0)
        );
    }

    #[test]
    fn a_row_leads_to_what_it_counts() {
        let traces = search("view=heat&min=1s&q=x");
        let link = traces.durations(5, Some(9));
        assert!(
            link.contains("min=5ns") && link.contains("max=9ns"),
            "{link}"
        );
        let spans = search("view=heat&of=spans&min=1s&max=9s");
        let link = spans.durations(5, None);
        assert!(
            link.contains("min=1s") && link.contains("max=9s") && link.contains("smin=5ns"),
            "{link}"
        );
    }

    #[test]
    fn what_is_neither_traces_nor_spans_is_refused() {
        for raw in ["of=logs", "view=pie", "smin=5", "smax=-1s"] {
            assert!(Search::read(&Params::parse(raw).unwrap()).is_err(), "{raw}");
        }
    }
}
