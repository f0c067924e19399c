//! One service: its rate, errors and durations over time, its operations, who calls it and what it calls, its latest
//! failed traces and its latest error logs.

mod operations;

use http::StatusCode;
use log_tracer_proto::v1::{
    HistogramGroup, HistogramRequest, HistogramResponse, RateGroup, RatesRequest, RatesResponse,
    SearchLogsRequest, SearchLogsResponse, SearchTracesRequest, SearchTracesResponse,
    ServiceGraphRequest, ServiceGraphResponse, ServiceInfo, Signal, TimeRange,
};
use serde::Serialize;
use warp::reply::Response;

use self::operations::OperationRow;
use super::{
    links,
    logs::kept,
    traces::{TraceRow, rows_alone},
};
use crate::{
    app::App,
    charts::{histogram::Histogram, lines::Lines},
    clock,
    fault::Fault,
    graph::{Edge, Graph, Node},
    lines::{LogLine, Tables},
    palette::Palette,
    params::{Link, Params},
    range::{Range, RangeView},
    red::{self, QUANTILES, Red, RedView},
    reply,
    search::{CoverageView, service_term},
    sorting::{self, Head, Pager},
    units::{age, clip, plural},
    views::Shell,
    visitor::Visitor,
    window::{Window, quantile},
};

/// Steps of the charts: as on the overview.
const STEPS_MAX: u64 = 40;

/// Failed traces and error logs that are listed.
const FAILED_MAX: u32 = 5;
const ERROR_LOGS_MAX: u32 = 8;

/// Neighbours on each side that are listed; more are on the map.
const NEIGHBOURS_MAX: usize = 20;

/// The state of the page.
#[derive(Clone, Debug)]
struct State {
    name: String,
    range: Range,
    sort: &'static str,
    page: u64,
}

impl State {
    fn read(params: &Params) -> Result<Self, Fault> {
        let name = params
            .get("name")
            .ok_or_else(|| Fault::input("name: expected the name of a service"))?;
        Ok(Self {
            name: name.to_owned(),
            range: Range::read(params)?,
            sort: sorting::read(params, &operations::COLUMNS, operations::SORT_DEFAULT)?,
            page: params.number("page", 1, 1_000_000)?.unwrap_or(1),
        })
    }

    fn link(&self) -> Link {
        let link = Link::to("/service").with("name", &*self.name);
        sorting::write(self.range.write(link), self.sort, operations::SORT_DEFAULT)
    }

    fn to(&self, path: &str) -> Link {
        self.range.write(Link::to(path))
    }

    /// A search of this service's spans or logs.
    fn search(&self, path: &str) -> Link {
        self.to(path).with("service", &*self.name)
    }
}

/// Answers `/service`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let state = State::read(params)?;
    let now = clock::now();
    let (services, status) = tokio::try_join!(app.ask.services(), app.ask.status())?;
    let info = services
        .iter()
        .find(|service| service.service == state.name)
        .ok_or_else(|| Fault::missing("no service of this name is kept"))?;
    let kept_spans = kept(&status, Signal::Spans);
    let both = [kept_spans, kept(&status, Signal::Logs)]
        .into_iter()
        .flatten();
    let (start, end) = state
        .range
        .closed(now, both.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))));
    let answers = ask(app, &state, (start, end), now).await?;
    let window = Window::new(
        &answers.rates,
        (start, end),
        kept_spans.map(|(oldest, _)| oldest),
        now,
    );
    let view = view(&state, info, &services, &answers, &window, now);
    let shell = Shell {
        title: &view.name,
        section: "home",
        refresh_s: None,
    };
    Ok(reply::html(
        StatusCode::OK,
        app.views.page("service.html", &shell, visitor, &view)?,
    ))
}

/// What was answered.
struct Answers {
    /// Of the service, in steps.
    rates: RatesResponse,
    /// By operation and kind, in steps.
    operations: RatesResponse,
    graph: ServiceGraphResponse,
    logs: HistogramResponse,
    failed: SearchTracesResponse,
    error_logs: SearchLogsResponse,
}

async fn ask(
    app: &App,
    state: &State,
    (start, end): (u64, u64),
    now: u64,
) -> Result<Answers, Fault> {
    let range = Some(TimeRange {
        start_unix_nano: start,
        end_unix_nano: end,
    });
    let step_nano = red::step(start, end, STEPS_MAX);
    let term = service_term(&state.name);
    let rates = |group: RateGroup| RatesRequest {
        range,
        step_nano,
        group: group.into(),
        service: state.name.clone(),
        quantiles: QUANTILES.to_vec(),
        ..RatesRequest::default()
    };
    let graph = ServiceGraphRequest {
        range,
        quantiles: QUANTILES.to_vec(),
        with_sketches: false,
    };
    let logs = HistogramRequest {
        signal: Signal::Logs.into(),
        query: term.clone(),
        range,
        step_nano,
        group: HistogramGroup::Level.into(),
        records_max: 0,
    };
    let failed = SearchTracesRequest {
        query: format!("{term} status:error"),
        range: Some(state.range.bounds(now)),
        limit: FAILED_MAX,
        ..SearchTracesRequest::default()
    };
    let error_logs = SearchLogsRequest {
        query: format!("{term} severity>=error"),
        range: Some(state.range.bounds(now)),
        limit: ERROR_LOGS_MAX,
        ..SearchLogsRequest::default()
    };
    let (rates, operations, graph, logs, failed, error_logs) = tokio::try_join!(
        app.ask.rates(rates(RateGroup::Service)),
        app.ask.rates(rates(RateGroup::OperationAndKind)),
        app.ask.service_graph(graph),
        app.ask.histogram(logs),
        app.ask.search_traces(failed),
        app.ask.search_logs(error_logs)
    )?;
    Ok(Answers {
        rates,
        operations,
        graph,
        logs,
        failed,
        error_logs,
    })
}

#[derive(Debug, Serialize)]
struct View {
    name: String,
    colour: usize,
    /// The whole name, which the form sends.
    param: String,
    last_seen: String,
    range: RangeView,
    coverage: CoverageView,
    red: RedView,
    spans: Histogram,
    durations: Option<Lines>,
    logs: Histogram,
    heads: Vec<Head>,
    operations: Vec<OperationRow>,
    operation_count: String,
    pager: Pager,
    callers: Side,
    callees: Side,
    failed: Vec<TraceRow>,
    lines: Vec<LogLine>,
    traces_href: String,
    errors_href: String,
    slow_href: String,
    logs_href: String,
    error_logs_href: String,
    map_href: String,
    all_time: String,
}

/// Who calls the service, or what it calls.
#[derive(Debug, Serialize)]
struct Side {
    neighbours: Vec<Neighbour>,
    more: usize,
}

#[derive(Debug, Serialize)]
struct Neighbour {
    name: String,
    /// A class: "database".
    kind: &'static str,
    words: &'static str,
    colour: usize,
    red: RedView,
    href: String,
    calls_href: String,
}

fn view(
    state: &State,
    info: &ServiceInfo,
    services: &[ServiceInfo],
    answers: &Answers,
    window: &Window,
    now: u64,
) -> View {
    let known = services.iter().map(|service| service.service.as_str());
    let palette = Palette::new(known, []);
    let total = answers.rates.series.first();
    let red = Red::new(total.and_then(|series| series.total.as_ref()));
    let values = |of: fn(&Red) -> u64| {
        total.map_or_else(Vec::new, |series| window.values(series, quantile(of)))
    };
    let durations = [
        ("p50", values(|red| red.p50)),
        ("p95", values(|red| red.p95)),
        ("p99", values(|red| red.p99)),
    ];
    let chart = |answer, noun, path: &'static str| {
        Histogram::new(answer, window.axis(), noun, |from, to| {
            let link = Link::to(path).with("service", &*state.name);
            Range::Between(from, to).write(link).to_string()
        })
    };
    let operations = operations::Table::new(state, &answers.operations, window);
    let graph = Graph::new(&answers.graph, []);
    let own = graph.find(&Node::service(&state.name));
    let side = |edges: Vec<&Edge>, other: fn(&Edge) -> usize| Side {
        more: edges.len().saturating_sub(NEIGHBOURS_MAX),
        neighbours: edges
            .into_iter()
            .take(NEIGHBOURS_MAX)
            .filter_map(|edge| {
                neighbour(state, &graph, edge, other(edge), window.nanos(), &palette)
            })
            .collect(),
    };
    View {
        name: clip(&state.name, 80),
        colour: palette.colour(&state.name),
        param: state.name.clone(),
        last_seen: age(now, info.last_seen_unix_nano),
        range: state.range.view(),
        coverage: CoverageView::new(answers.rates.coverage.as_ref()),
        red: red.view(window.nanos()),
        spans: chart(
            &window.histogram(&answers.rates),
            ("span", "spans"),
            "/traces",
        ),
        durations: Lines::new(&durations, window.axis()),
        logs: chart(&answers.logs, ("record", "records"), "/logs"),
        heads: operations::heads(state),
        operations: operations.rows,
        operation_count: plural(operations.total as u64, "operation", "operations"),
        pager: operations.pager,
        callers: side(
            own.map_or_else(Vec::new, |own| graph.calls_to(own).collect()),
            |edge| edge.caller,
        ),
        callees: side(
            own.map_or_else(Vec::new, |own| graph.calls_from(own).collect()),
            |edge| edge.callee,
        ),
        failed: rows_alone(&answers.failed.traces, services, now),
        lines: log_lines(&answers.error_logs, &palette),
        traces_href: state.search("/traces").to_string(),
        errors_href: state
            .search("/traces")
            .with("q", "status:error")
            .to_string(),
        slow_href: links::slower(state.search("/traces"), "", red.p95).to_string(),
        logs_href: state.search("/logs").to_string(),
        error_logs_href: state.search("/logs").with("level", "error").to_string(),
        map_href: state
            .to("/map")
            .with("focus", Node::service(&state.name).param())
            .to_string(),
        all_time: match (state.range, red.count) {
            (Range::All, _) | (_, 1..) => String::new(),
            _ => Range::All.write(state.link()).to_string(),
        },
    }
}

fn neighbour(
    state: &State,
    graph: &Graph,
    edge: &Edge,
    other: usize,
    nanos: u64,
    palette: &Palette,
) -> Option<Neighbour> {
    let node = graph.nodes.get(other)?;
    let callee = graph.nodes.get(edge.callee)?;
    let caller = graph.nodes.get(edge.caller)?;
    Some(Neighbour {
        name: clip(node.label(), 60),
        kind: node.kind.key(),
        words: node.kind.words(),
        colour: palette.colour(&node.name),
        red: edge.calls.view(nanos),
        href: links::node(node, state.range).to_string(),
        calls_href: links::calls(caller, callee, state.range),
    })
}

fn log_lines(answer: &SearchLogsResponse, palette: &Palette) -> Vec<LogLine> {
    let tables = Tables {
        resources: &answer.resources,
        scopes: &answer.scopes,
    };
    answer
        .hits
        .iter()
        .map(|hit| LogLine::of_hit(hit, tables, palette, false))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_a_name_and_its_state_survives_its_link() {
        assert!(State::read(&Params::default()).is_err());
        let params = Params::parse("name=a+b&range=6h&sort=p95").unwrap();
        let link = State::read(&params).unwrap().link().to_string();
        assert_eq!(link, "/service?name=a+b&range=6h&sort=p95");
    }
}
