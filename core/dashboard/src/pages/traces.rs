//! The search for traces.

pub(crate) mod heat;

use http::StatusCode;
use log_tracer_proto::v1::{
    FacetsResponse, SearchTracesRequest, SearchTracesResponse, ServiceInfo, Signal, TraceCursor,
    TraceOrder, TraceSummary,
};
use log_tracer_query::{Query, Signals, parse};
use serde::Serialize;
use warp::reply::Response;

use self::heat::{HeatState, HeatView, Picture, bound};
use crate::{
    app::App,
    charts::{
        percent,
        scatter::{Leads, Point, Scatter},
    },
    clock::{self, Moment},
    counting::Counting,
    fault::Fault,
    lines::{from_hex, hex, trace_href},
    palette::Palette,
    params::{Link, Params},
    range::Range,
    reply,
    search::{self, Choice, CoverageView, FacetsView, Problem, SearchForm},
    units::{age, clip, compact, duration, duration_term, parse_duration, plural},
    views::Shell,
    visitor::Visitor,
};

const LIMIT_DEFAULT: u32 = 40;
const LIMIT_MAX: u32 = 200;

/// Services of a trace that are named; more are counted.
const CHIPS_MAX: usize = 8;

/// How the results can be ordered.
const ORDERS: [(TraceOrder, &str, &str); 4] = [
    (TraceOrder::Newest, "newest", "Newest first"),
    (TraceOrder::Longest, "longest", "Longest first"),
    (TraceOrder::MostSpans, "spans", "Most spans first"),
    (TraceOrder::MostErrors, "errors", "Most errors first"),
];

/// What is searched for: the state of the page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Search {
    pub(crate) q: String,
    pub(crate) range: Range,
    pub(crate) service: String,
    pub(crate) duration_min: u64,
    pub(crate) duration_max: u64,
    pub(crate) order: TraceOrder,
    pub(crate) limit: u32,
    pub(crate) after: Option<TraceCursor>,
    pub(crate) heat: HeatState,
    pub(crate) counting: Counting,
}

impl Search {
    pub(crate) fn read(params: &Params) -> Result<Self, Fault> {
        let order = params.read("order", |text| {
            let known = ORDERS.iter().find(|(_, name, _)| *name == text);
            known.map(|(order, ..)| *order).ok_or_else(|| {
                format!("`{text}` is not an order; it is one of newest, longest, spans, errors")
            })
        })?;
        let limit = params.number("limit", 1, u64::from(LIMIT_MAX))?;
        Ok(Self {
            q: params.text("q"),
            range: Range::read(params)?,
            service: params.text("service"),
            duration_min: params.read("min", parse_duration)?.unwrap_or(0),
            duration_max: params.read("max", parse_duration)?.unwrap_or(0),
            order: order.unwrap_or(TraceOrder::Newest),
            limit: limit.map_or(LIMIT_DEFAULT, |limit| limit as u32),
            after: params.read("after", parse_cursor)?,
            heat: HeatState::read(params)?,
            counting: Counting::read(params)?,
        })
    }

    /// The first page of this search.
    pub(crate) fn link(&self) -> Link {
        self.link_to("/traces")
    }

    /// The same search on another page.
    pub(crate) fn link_to(&self, path: &str) -> Link {
        let order = ORDERS.iter().find(|(order, ..)| *order == self.order);
        let link = Link::to(path)
            .with("q", &*self.q)
            .with("service", &*self.service)
            .with("min", bound(self.duration_min))
            .with("max", bound(self.duration_max));
        let link = self.counting.write(self.heat.write(link));
        let link = match order {
            Some((TraceOrder::Newest, ..)) | None => link,
            Some((_, name, _)) => link.with("order", *name),
        };
        let limit = if self.limit == LIMIT_DEFAULT {
            String::new()
        } else {
            self.limit.to_string()
        };
        self.range.write(link.with("limit", limit))
    }

    pub(crate) fn request(&self, now: u64) -> SearchTracesRequest {
        SearchTracesRequest {
            query: self.query(),
            range: Some(self.range.bounds(now)),
            duration_min_nano: self.duration_min,
            duration_max_nano: self.duration_max,
            order: self.order.into(),
            limit: self.limit,
            after: self.after.clone(),
        }
    }

    pub(crate) fn query(&self) -> String {
        let [min, max] = self.heat.terms();
        search::compose(&self.q, &[search::service_term(&self.service), min, max])
    }

    /// The form, as the page of the list and the live page show it.
    pub(crate) fn form(
        &self,
        action: &'static str,
        services: &[ServiceInfo],
        problem: Option<Problem>,
    ) -> SearchForm {
        SearchForm {
            action,
            signal: "spans",
            q: self.q.clone(),
            placeholder: "status:error duration>250ms name:\"POST /checkout\"",
            problem,
            range: self.range.view(),
            services: search::service_choices(services, &self.service),
            help: search::help(Signals::Spans),
        }
    }

    /// Whether anything but the range restricts the search.
    fn is_narrowed(&self) -> bool {
        !self.q.is_empty()
            || !self.service.is_empty()
            || self.duration_min > 0
            || self.duration_max > 0
            || self.heat.is_narrowed()
    }

    /// The same with another picture above the list.
    fn with_heat(&self, heat: HeatState) -> Link {
        Self {
            heat,
            ..self.clone()
        }
        .link()
    }
}

impl Leads for Search {
    fn between(&self, from: u64, to: u64) -> String {
        heat::Leads::between(self, from, to)
    }

    fn at_least(&self, nanos: u64) -> String {
        self.link().with("min", duration_term(nanos)).to_string()
    }
}

/// A cursor as a parameter: start and id.
pub(crate) fn cursor_param(cursor: &TraceCursor) -> String {
    format!("{}-{}", cursor.start_unix_nano, hex(&cursor.trace_id))
}

fn parse_cursor(text: &str) -> Result<TraceCursor, String> {
    let cursor = text.split_once('-').and_then(|(start, id)| {
        Some(TraceCursor {
            start_unix_nano: start.parse().ok()?,
            trace_id: from_hex::<16>(id)?.to_vec().into(),
        })
    });
    cursor.ok_or_else(|| format!("`{text}` is not a place in the list; follow its links"))
}

/// Answers `/traces`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let search = Search::read(params)?;
    let now = clock::now();
    let services = app.ask.services().await?;
    let (status, view) = match parse(&search.q) {
        Err(error) => {
            let problem = Problem::new(&error, &search.link());
            (
                StatusCode::BAD_REQUEST,
                view(&search, now, &services, Err(problem)),
            )
        }
        Ok(query) => {
            let counting = search.counting;
            let facets = counting.facets(&app.config, Signal::Spans, search.query(), search.range);
            let (traces, facets, heat) = tokio::try_join!(
                app.ask.search_traces(search.request(now)),
                app.ask.facets(facets),
                heat::ask(app, &search, now)
            )?;
            let found = Found {
                query: &query,
                traces: &traces,
                facets: &facets,
                heat,
            };
            (StatusCode::OK, view(&search, now, &services, Ok(found)))
        }
    };
    let shell = Shell {
        title: "Traces",
        section: "traces",
        refresh_s: None,
    };
    Ok(reply::html(
        status,
        app.views.page("traces.html", &shell, visitor, &view)?,
    ))
}

#[derive(Debug, Serialize)]
struct View {
    form: SearchForm,
    /// The same search on the live page; empty where there is none.
    live: String,
    orders: Vec<Choice>,
    /// The same, as links above the list.
    sorts: Vec<SortLink>,
    limits: Vec<Choice>,
    min: String,
    max: String,
    span_min: String,
    span_max: String,
    picture: Picture,
    /// Whether the further fields of the form are in use.
    refined: bool,
    /// For the hidden field of the form.
    counts_all: bool,
    rows: Vec<TraceRow>,
    scatter: Option<Scatter>,
    heat: Option<HeatView>,
    facets: FacetsView,
    coverage: CoverageView,
    shown: String,
    first: String,
    next: String,
    /// For an empty list: the same search over all time, and without conditions.
    all_time: String,
    unconditional: String,
    /// Whether anything is kept at all.
    nothing_yet: bool,
}

/// Leads to the same traces in another order.
#[derive(Debug, Serialize)]
struct SortLink {
    label: &'static str,
    href: String,
    chosen: bool,
}

/// A trace in the list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TraceRow {
    pub(crate) id: String,
    short: String,
    href: String,
    service: String,
    colour: usize,
    name: String,
    status: String,
    errors: String,
    orphans: String,
    spans: String,
    logs: String,
    duration: String,
    /// In percent of the longest in the list.
    share: String,
    start: Moment,
    age: String,
    services: Vec<ServiceChip>,
    more_services: usize,
    matched: String,
}

impl TraceRow {
    /// With another address to lead to than the trace's own.
    pub(crate) fn leading_to(self, href: String) -> Self {
        Self { href, ..self }
    }
}

#[derive(Clone, Debug, Serialize)]
struct ServiceChip {
    name: String,
    colour: usize,
    spans: String,
    error: bool,
}

/// What the consumer answered.
struct Found<'a> {
    query: &'a Query,
    traces: &'a SearchTracesResponse,
    facets: &'a FacetsResponse,
    heat: Option<HeatView>,
}

fn view(
    search: &Search,
    now: u64,
    services: &[ServiceInfo],
    answers: Result<Found<'_>, Problem>,
) -> View {
    let empty = SearchTracesResponse::default();
    let (found, facets, heat, problem) = match answers {
        Ok(answers) => {
            let facets = FacetsView::new(answers.facets, answers.query, &search.link());
            (answers.traces, facets, answers.heat, None)
        }
        Err(problem) => (&empty, FacetsView::default(), None, Some(problem)),
    };
    let palette = palette(services, &found.traces);
    let rows = rows(&found.traces, &palette, now, search.is_narrowed());
    let unconditional = Search {
        q: String::new(),
        service: String::new(),
        duration_min: 0,
        duration_max: 0,
        heat: HeatState {
            span_min: 0,
            span_max: 0,
            ..search.heat
        },
        ..search.clone()
    };
    View {
        // Nothing comes in of a query that cannot be read.
        live: match &problem {
            Some(_) => String::new(),
            None => search.link_to("/traces/live").to_string(),
        },
        form: search.form("/traces", services, problem),
        orders: ORDERS
            .iter()
            .map(|(order, name, label)| Choice {
                value: (*name).to_owned(),
                label: (*label).to_owned(),
                selected: *order == search.order,
            })
            .collect(),
        sorts: ORDERS
            .iter()
            .map(|(order, _, label)| SortLink {
                label,
                href: Search {
                    order: *order,
                    after: None,
                    ..search.clone()
                }
                .link()
                .to_string(),
                chosen: *order == search.order,
            })
            .collect(),
        limits: limits(search.limit),
        min: bound(search.duration_min),
        max: bound(search.duration_max),
        span_min: bound(search.heat.span_min),
        span_max: bound(search.heat.span_max),
        picture: Picture::new(search),
        counts_all: search.counting == Counting::All,
        refined: search.duration_min > 0
            || search.duration_max > 0
            || search.heat.is_narrowed()
            || search.order != TraceOrder::Newest
            || search.limit != LIMIT_DEFAULT,
        scatter: Scatter::new(points(&found.traces, &palette), search)
            .filter(|_| found.traces.len() > 1 && !search.heat.shown),
        heat,
        facets,
        coverage: CoverageView::new(found.coverage.as_ref()),
        shown: plural(rows.len() as u64, "trace", "traces"),
        rows,
        first: search
            .after
            .as_ref()
            .map_or_else(String::new, |_| search.link().to_string()),
        next: found.next.as_ref().map_or_else(String::new, |next| {
            search.link().with("after", cursor_param(next)).to_string()
        }),
        all_time: match search.range {
            Range::All => String::new(),
            _ => Range::All.write(search.link()).to_string(),
        },
        unconditional: if search.is_narrowed() {
            unconditional.link().to_string()
        } else {
            String::new()
        },
        nothing_yet: services.is_empty(),
    }
}

fn limits(own: u32) -> Vec<Choice> {
    let mut limits = vec![20, LIMIT_DEFAULT, 100, LIMIT_MAX, own];
    limits.sort_unstable();
    limits.dedup();
    limits
        .into_iter()
        .map(|limit| Choice {
            value: limit.to_string(),
            label: limit.to_string(),
            selected: limit == own,
        })
        .collect()
}

fn palette(services: &[ServiceInfo], traces: &[TraceSummary]) -> Palette {
    let shown = traces.iter().flat_map(|trace| {
        let named = trace
            .services
            .iter()
            .map(|service| service.service.as_str());
        named.chain([trace.root_service.as_str()])
    });
    Palette::new(
        services.iter().map(|service| service.service.as_str()),
        shown,
    )
}

/// Traces as rows of a list.
pub(crate) fn rows(
    traces: &[TraceSummary],
    palette: &Palette,
    now: u64,
    narrowed: bool,
) -> Vec<TraceRow> {
    let longest = traces
        .iter()
        .map(|trace| trace.duration_nano)
        .max()
        .unwrap_or(0);
    traces
        .iter()
        .map(|trace| row(trace, palette, now, longest, narrowed))
        .collect()
}

/// Rows of a page that has no other lists of services.
pub(crate) fn rows_alone(
    traces: &[TraceSummary],
    services: &[ServiceInfo],
    now: u64,
) -> Vec<TraceRow> {
    rows(traces, &palette(services, traces), now, false)
}

fn row(
    trace: &TraceSummary,
    palette: &Palette,
    now: u64,
    longest: u64,
    narrowed: bool,
) -> TraceRow {
    let id = hex(&trace.trace_id);
    let count = |number: u32, one: &str, many: &str| match number {
        0 => String::new(),
        number => plural(u64::from(number), one, many),
    };
    TraceRow {
        short: id.chars().take(8).collect(),
        href: trace_href(&id, ""),
        id,
        service: clip(&trace.root_service, 60),
        colour: palette.colour(&trace.root_service),
        name: name(&trace.root_name),
        status: clip(&trace.root_status, 40),
        errors: count(trace.error_count, "error", "errors"),
        orphans: count(
            trace.orphan_count,
            "span without its parent",
            "spans without their parents",
        ),
        spans: plural(u64::from(trace.span_count), "span", "spans"),
        logs: count(trace.log_count, "log", "logs"),
        duration: duration(trace.duration_nano),
        share: percent(trace.duration_nano as f64, longest as f64),
        start: Moment::new(trace.start_unix_nano),
        age: age(now, trace.start_unix_nano),
        services: trace
            .services
            .iter()
            .take(CHIPS_MAX)
            .map(|service| ServiceChip {
                name: clip(&service.service, 40),
                colour: palette.colour(&service.service),
                spans: compact(u64::from(service.span_count)),
                error: service.error_count > 0,
            })
            .collect(),
        more_services: trace.services.len().saturating_sub(CHIPS_MAX),
        matched: if narrowed && trace.matched_count > 0 && trace.matched_count < trace.span_count {
            format!("{} match", compact(u64::from(trace.matched_count)))
        } else {
            String::new()
        },
    }
}

/// A name that is always something to click on.
pub(crate) fn name(name: &str) -> String {
    let name = name.trim();
    if name.is_empty() {
        "(no name)".to_owned()
    } else {
        clip(name, 160)
    }
}

fn points(traces: &[TraceSummary], palette: &Palette) -> Vec<Point> {
    traces
        .iter()
        .map(|trace| Point {
            time: trace.start_unix_nano,
            duration: trace.duration_nano,
            error: trace.error_count > 0,
            colour: palette.colour(&trace.root_service),
            title: format!(
                "{} {}, {}, {}",
                clip(&trace.root_service, 40),
                name(&clip(&trace.root_name, 60)),
                duration(trace.duration_nano),
                plural(u64::from(trace.error_count), "error", "errors")
            ),
            href: trace_href(&hex(&trace.trace_id), ""),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_survives_its_link() {
        let raw = "q=status%3Aerror&service=cart&min=250ms&max=2s&order=longest&limit=20&range=6h";
        let search = Search::read(&Params::parse(raw).unwrap()).unwrap();
        assert_eq!(search.duration_min, 250_000_000);
        assert_eq!(search.order, TraceOrder::Longest);
        let link = search.link().to_string();
        let again = Params::parse(link.split_once('?').unwrap().1).unwrap();
        assert_eq!(Search::read(&again).unwrap(), search);
    }

    #[test]
    fn a_cursor_reads_back() {
        let cursor = TraceCursor {
            start_unix_nano: 7,
            trace_id: vec![1; 16].into(),
        };
        assert_eq!(parse_cursor(&cursor_param(&cursor)), Ok(cursor));
        for bad in ["", "7", "7-00", "x-01010101010101010101010101010101"] {
            assert!(parse_cursor(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (raw, key) in [
            ("order=best", "order"),
            ("min=5", "min"),
            ("limit=0", "limit"),
            ("after=x", "after"),
        ] {
            let fault = Search::read(&Params::parse(raw).unwrap()).unwrap_err();
            assert!(fault.message().starts_with(key), "{}", fault.message());
        }
    }
}
