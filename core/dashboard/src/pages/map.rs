//! The service map: which service calls which, and what else they call, as a drawing and as a table.

mod picture;
mod table;

use http::StatusCode;
use log_tracer_proto::v1::{
    RateGroup, RatesRequest, RatesResponse, ServiceGraphRequest, ServiceGraphResponse, ServiceInfo,
    Signal, StatusResponse, TimeRange,
};
use serde::Serialize;
use warp::reply::Response;

use self::{picture::Picture, table::EdgeRow};
use super::{links, logs::kept};
use crate::{
    app::App,
    clock,
    fault::Fault,
    graph::{Graph, Kind, Node},
    palette::Palette,
    params::{Link, Params},
    range::{Range, RangeView},
    red::{QUANTILES, Red, RedView},
    reply,
    search::{Choice, CoverageView},
    sorting::{self, Head, Pager},
    units::{clip, count, plural},
    views::Shell,
    visitor::Visitor,
};

/// How many calls away from the focus there may be a node.
const DEPTHS: [u64; 3] = [1, 2, 3];

/// Nodes that the select offers.
const CHOICES_MAX: usize = 150;

/// The state of the page.
#[derive(Clone, Debug)]
struct State {
    range: Range,
    focus: Option<Node>,
    depth: u64,
    sort: &'static str,
    page: u64,
}

impl State {
    fn read(params: &Params) -> Result<Self, Fault> {
        Ok(Self {
            range: Range::read(params)?,
            focus: params.read("focus", Node::parse)?,
            depth: params.number("depth", 1, DEPTHS.len() as u64)?.unwrap_or(1),
            sort: sorting::read(params, &table::COLUMNS, table::SORT_DEFAULT)?,
            page: params.number("page", 1, 1_000_000)?.unwrap_or(1),
        })
    }

    fn link(&self) -> Link {
        let focus = self.focus.as_ref().map_or_else(String::new, Node::param);
        let depth = match self.depth {
            1 => String::new(),
            depth => depth.to_string(),
        };
        let link = Link::to("/map").with("focus", focus).with("depth", depth);
        sorting::write(self.range.write(link), self.sort, table::SORT_DEFAULT)
    }

    /// The map around a node.
    fn around(&self, node: &Node) -> Link {
        Self {
            focus: Some(node.clone()),
            ..self.clone()
        }
        .link()
    }
}

/// Answers `/map`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let state = State::read(params)?;
    let now = clock::now();
    let (services, status) = tokio::try_join!(app.ask.services(), app.ask.status())?;
    let counted = Counted::new(state.range, now, &status);
    let range = Some(counted.range);
    let graph = ServiceGraphRequest {
        range,
        quantiles: QUANTILES.to_vec(),
        with_sketches: false,
    };
    let rates = RatesRequest {
        range,
        group: RateGroup::Service.into(),
        quantiles: QUANTILES.to_vec(),
        ..RatesRequest::default()
    };
    let (graph, rates) = tokio::try_join!(app.ask.service_graph(graph), app.ask.rates(rates))?;
    let sizes = (app.config.map_nodes_max, app.config.map_edges_max);
    let view = view(&state, &services, &graph, &rates, counted.nanos, sizes)?;
    let shell = Shell {
        title: "Service map",
        section: "map",
        refresh_s: None,
    };
    Ok(reply::html(
        StatusCode::OK,
        app.views.page("map.html", &shell, visitor, &view)?,
    ))
}

/// The range that is asked for, and how many nanoseconds of it can hold spans.
struct Counted {
    range: TimeRange,
    nanos: u64,
}

impl Counted {
    fn new(range: Range, now: u64, status: &StatusResponse) -> Self {
        let kept = kept(status, Signal::Spans);
        let (start, end) = range.closed(now, kept);
        let first = start.max(kept.map_or(0, |(oldest, _)| oldest));
        Self {
            range: TimeRange {
                start_unix_nano: start,
                end_unix_nano: end,
            },
            nanos: end.min(now.max(first)).saturating_sub(first).max(1),
        }
    }
}

#[derive(Debug, Serialize)]
struct View {
    range: RangeView,
    coverage: CoverageView,
    choices: Vec<Choice>,
    /// For the hidden field of the form.
    depth: String,
    focus: Option<Focus>,
    picture: Picture,
    /// "12 services, 3 databases".
    summary: String,
    /// What the picture leaves out; empty when nothing.
    left_out: String,
    /// Calls whose caller is not known.
    unresolved: String,
    heads: Vec<Head>,
    rows: Vec<EdgeRow>,
    pager: Pager,
    all_time: String,
    nothing_yet: bool,
}

/// The node that the map is drawn around.
#[derive(Debug, Serialize)]
struct Focus {
    name: String,
    kind: &'static str,
    words: &'static str,
    colour: usize,
    red: RedView,
    callers: String,
    callees: String,
    depths: Vec<Depth>,
    whole_href: String,
    /// Empty for what is no service.
    service_href: String,
    traces_href: String,
    errors_href: String,
    logs_href: String,
}

#[derive(Debug, Serialize)]
struct Depth {
    label: String,
    href: String,
    chosen: bool,
}

/// What the drawing and the table are made of.
struct Map<'a> {
    state: &'a State,
    graph: &'a Graph,
    /// Of each node of the graph.
    reds: Vec<NodeRed>,
    palette: &'a Palette,
    nanos: u64,
}

/// A node's numbers.
#[derive(Clone, Copy, Debug, Default)]
struct NodeRed {
    red: Red,
    /// The p95 is of one of several callers, the slowest: quantiles do not add up, but that of all is not above it.
    is_bound: bool,
}

fn view(
    state: &State,
    services: &[ServiceInfo],
    answer: &ServiceGraphResponse,
    rates: &RatesResponse,
    nanos: u64,
    (nodes_max, edges_max): (usize, usize),
) -> Result<View, Fault> {
    let own: Vec<&str> = rates
        .series
        .iter()
        .map(|series| series.service.as_str())
        .collect();
    let whole = Graph::new(answer, own.iter().copied());
    let graph = match &state.focus {
        None => whole.clone(),
        Some(focus) => match whole.find(focus) {
            Some(number) => whole.around(number, state.depth as usize),
            None => Graph::of_one(focus.clone()),
        },
    };
    let focused = state.focus.as_ref().and_then(|focus| graph.find(focus));
    let drawn = graph.busiest(nodes_max, edges_max, focused);
    let known = services.iter().map(|service| service.service.as_str());
    let palette = Palette::new(known, own);
    let map = |graph| Map {
        state,
        graph,
        reds: reds(graph, rates),
        palette: &palette,
        nanos,
    };
    let table = table::Table::new(&map(&graph));
    let left_out = left_out(&graph, &drawn);
    Ok(View {
        range: state.range.view(),
        coverage: CoverageView::new(answer.coverage.as_ref()),
        choices: choices(&whole, state),
        depth: state.depth.to_string(),
        focus: focused.map(|number| focus(&map(&graph), number)),
        picture: Picture::new(&map(&drawn)),
        summary: summary(&graph),
        left_out,
        unresolved: if answer.unresolved == 0 {
            String::new()
        } else {
            plural(
                answer.unresolved,
                "span names a parent that was not found",
                "spans name a parent that was not found",
            )
        },
        heads: table::heads(state),
        rows: table.rows,
        pager: table.pager,
        all_time: match (state.range, whole.nodes.is_empty()) {
            (Range::All, _) | (_, false) => String::new(),
            _ => Range::All.write(state.link()).to_string(),
        },
        nothing_yet: services.is_empty(),
    })
}

/// Of a service its own spans; of anything else the calls to it.
fn reds(graph: &Graph, rates: &RatesResponse) -> Vec<NodeRed> {
    graph
        .nodes
        .iter()
        .enumerate()
        .map(|(number, node)| match node.kind {
            Kind::Service => {
                let series = rates
                    .series
                    .iter()
                    .find(|series| series.service == node.name);
                NodeRed {
                    red: Red::new(series.and_then(|series| series.total.as_ref())),
                    is_bound: false,
                }
            }
            Kind::Unknown => called(graph.calls_from(number).map(|edge| edge.calls)),
            _ => called(graph.calls_to(number).map(|edge| edge.calls)),
        })
        .collect()
}

fn called(calls: impl Iterator<Item = Red>) -> NodeRed {
    let mut all = NodeRed::default();
    for (at, calls) in calls.enumerate() {
        all.is_bound = at > 0;
        let red = &mut all.red;
        *red = Red {
            count: red.count.saturating_add(calls.count),
            errors: red.errors.saturating_add(calls.errors),
            sum: red.sum.saturating_add(calls.sum),
            p50: red.p50.max(calls.p50),
            p95: red.p95.max(calls.p95),
            p99: red.p99.max(calls.p99),
        };
    }
    all
}

fn left_out(whole: &Graph, drawn: &Graph) -> String {
    let nodes = whole.nodes.len().saturating_sub(drawn.nodes.len());
    let edges = whole.edges.len().saturating_sub(drawn.edges.len());
    match (nodes, edges) {
        (0, 0) => String::new(),
        (0, edges) => format!(
            "{} with the fewest calls are not drawn; the table has them",
            plural(edges as u64, "line", "lines")
        ),
        (nodes, edges) => format!(
            "{} and {} with the fewest calls are not drawn; the table has them, and a focus draws them",
            plural(nodes as u64, "node", "nodes"),
            plural(edges as u64, "line", "lines")
        ),
    }
}

fn summary(graph: &Graph) -> String {
    let of = |kind: Kind| graph.nodes.iter().filter(|node| node.kind == kind).count() as u64;
    [
        (Kind::Service, "service", "services"),
        (Kind::Database, "database", "databases"),
        (Kind::Queue, "queue", "queues"),
        (Kind::Outside, "outside service", "outside services"),
        (Kind::Unknown, "unknown caller", "unknown callers"),
    ]
    .into_iter()
    .filter(|(kind, ..)| of(*kind) > 0)
    .map(|(kind, one, many)| plural(of(kind), one, many))
    .collect::<Vec<_>>()
    .join(", ")
}

fn choices(whole: &Graph, state: &State) -> Vec<Choice> {
    let chosen = state.focus.as_ref();
    let missing = chosen.filter(|focus| whole.find(focus).is_none());
    whole
        .nodes
        .iter()
        .take(CHOICES_MAX)
        .chain(missing)
        .map(|node| Choice {
            value: node.param(),
            label: match node.kind {
                Kind::Service => clip(&node.name, 50),
                kind => format!("{} ({})", clip(node.label(), 40), kind.words()),
            },
            selected: chosen == Some(node),
        })
        .collect()
}

fn focus(map: &Map<'_>, number: usize) -> Focus {
    let none = Node::service("");
    let node = map.graph.nodes.get(number).unwrap_or(&none);
    let red = map.reds.get(number).copied().unwrap_or_default();
    let search = |path: &str, query: &str| match node.kind {
        Kind::Service => map
            .state
            .range
            .write(Link::to(path).with("service", &*node.name).with("q", query))
            .to_string(),
        _ => String::new(),
    };
    let whole = State {
        focus: None,
        depth: 1,
        ..map.state.clone()
    };
    Focus {
        name: clip(node.label(), 80),
        kind: node.kind.key(),
        words: node.kind.words(),
        colour: map.palette.colour(&node.name),
        red: picture::view(red, map.nanos),
        callers: plural(
            map.graph.calls_to(number).count() as u64,
            "caller",
            "callers",
        ),
        callees: count(map.graph.calls_from(number).count() as u64),
        depths: DEPTHS
            .into_iter()
            .map(|depth| Depth {
                label: plural(depth, "step", "steps"),
                href: State {
                    depth,
                    ..map.state.clone()
                }
                .link()
                .to_string(),
                chosen: depth == map.state.depth,
            })
            .collect(),
        whole_href: whole.link().to_string(),
        service_href: match node.kind {
            Kind::Service => links::node(node, map.state.range).to_string(),
            _ => String::new(),
        },
        traces_href: match node.kind {
            Kind::Service => search("/traces", ""),
            _ => links::calls(&Node::new(Kind::Unknown, ""), node, map.state.range),
        },
        errors_href: search("/traces", "status:error"),
        logs_href: search("/logs", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_the_page_survives_its_link() {
        let raw = "focus=database%3Aredis&depth=2&range=6h&sort=p95";
        let state = State::read(&Params::parse(raw).unwrap()).unwrap();
        assert_eq!(state.link().to_string(), format!("/map?{raw}"));
        for bad in ["focus=redis", "depth=9", "sort=colour"] {
            assert!(State::read(&Params::parse(bad).unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_p95_of_several_callers_is_a_bound() {
        let red = |count, p95| Red {
            count,
            p95,
            ..Red::default()
        };
        let one = called([red(1, 5)].into_iter());
        assert!(!one.is_bound);
        let two = called([red(1, 5), red(2, 9)].into_iter());
        assert_eq!((two.is_bound, two.red.p95, two.red.count), (true, 9, 3));
    }
}
