//! The page of one trace: its head, and below it one of several views.

mod download;
mod filter;
mod logs;
mod operations;
mod overview;
mod rows;
mod shape;
mod span;
mod spans;
mod state;
mod timeline;

use http::StatusCode;
use serde::Serialize;
use warp::reply::Response;

pub(crate) use self::{
    download::{logs_json, span_items, spans_json, whole_json},
    shape::{filter, html_bytes, kind_word},
    spans::file::{self as table, Format},
    state::State,
};
use self::{
    filter::{FilterView, Sieve},
    logs::LogsView,
    operations::OperationsView,
    overview::Overview,
    shape::{flame::FlameView, graph::GraphView},
    span::SpanView,
    spans::SpansView,
    state::View,
    timeline::TimelineView,
};
use crate::{
    app::App,
    fault::Fault,
    lines::{hex, trace_href, trace_term},
    palette::Palette,
    params::{Link, Params},
    reply,
    search::{CoverageView, Problem},
    trace::{critical::Segment, model::Trace, zoom::Axis},
    units::count,
    uploads::Upload,
    views::{Shell, Views},
    visitor::Visitor,
};

/// Answers `/trace/{id}`.
pub(crate) async fn page(
    app: &App,
    visitor: &Visitor,
    params: &Params,
    id: &str,
) -> Result<Response, Fault> {
    let state = State::read(id, params)?;
    if let Some(edited) = logs::edited(&state, params)? {
        return Ok(reply::see_other(&edited.address()));
    }
    let _slot = app.trace_slot().await?;
    let (pieces, services) = tokio::try_join!(app.ask.trace(state.id), app.ask.services())?;
    let known: Vec<String> = services
        .into_iter()
        .map(|service| service.service)
        .collect();
    let views = app.views.clone();
    let visitor = visitor.clone();
    let rows_max = app.config.trace_rows_max;
    let upload = app.ask.upload(&state.id);
    // Arranging a hundred thousand spans is work for a thread of its own.
    let built = tokio::task::spawn_blocking(move || {
        let around = Around {
            known: &known,
            rows_max,
            upload,
        };
        render(&views, &visitor, &Trace::new(pieces), &state, around)
    })
    .await;
    let (status, page) = built
        .map_err(|error| Fault::internal(format!("building a trace page failed: {error}")))??;
    Ok(reply::html(status, page))
}

/// What a page needs to know beside its trace.
#[derive(Debug)]
pub(crate) struct Around<'a> {
    /// All services, for their colours.
    pub(crate) known: &'a [String],
    /// Rows of the timeline on one page at most.
    pub(crate) rows_max: usize,
    /// Set when the trace comes from a file.
    pub(crate) upload: Option<Upload>,
}

/// The page of a state.
pub(crate) fn render(
    views: &Views,
    visitor: &Visitor,
    trace: &Trace,
    state: &State,
    around: Around<'_>,
) -> Result<(StatusCode, String), Fault> {
    let (status, mut view) = view(trace, state, around.known, around.rows_max);
    if let Some(upload) = around.upload {
        view.comes_from(upload);
    }
    let title = view.overview.title.clone();
    let shell = Shell {
        title: &title,
        section: "traces",
        refresh_s: None,
    };
    let page = views.page("trace.html", &shell, visitor, &view)?;
    Ok((status, page))
}

#[derive(Debug, Serialize)]
struct PageView {
    overview: Overview,
    tabs: Vec<Tab>,
    /// The filter of spans, where the view takes it.
    filter: Option<FilterView>,
    problem: Option<Problem>,
    body: Body,
    detail: Option<SpanView>,
    coverage: CoverageView,
    logs_href: String,
    /// Set when the trace comes from a file.
    upload: Option<UploadView>,
}

/// What the chosen view shows; the template of each is a component of its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    Timeline(Box<TimelineView>),
    Spans(Box<SpansView>),
    Operations(Box<OperationsView>),
    Flame(Box<FlameView>),
    Graph(Box<GraphView>),
    Logs(Box<LogsView>),
}

/// The way to a view.
#[derive(Debug, Serialize)]
struct Tab {
    key: &'static str,
    label: &'static str,
    /// How many it lists; empty where that says nothing.
    count: String,
    href: String,
    current: bool,
}

/// What every view is made from.
#[derive(Clone, Copy, Debug)]
struct Scene<'a> {
    trace: &'a Trace,
    state: &'a State,
    palette: &'a Palette,
    /// Of each row whether it is an error.
    errors: &'a [bool],
    /// The critical path.
    path: &'a [Segment],
    /// The time that bars are drawn over.
    axis: Axis,
    sieve: &'a Sieve,
    /// The row of the span whose details are open.
    selected: Option<usize>,
    /// Rows on one page at most.
    rows_max: usize,
}

impl PageView {
    /// Says which file the trace comes from, and calls it by the id that it has there.
    fn comes_from(&mut self, upload: Upload) {
        let trace_id = hex(&upload.trace_id);
        self.logs_href = logs_href(&trace_id);
        self.overview.call(&trace_id);
        self.upload = Some(UploadView {
            file: upload.file,
            stored_href: trace_href(&trace_id, ""),
            trace_id,
        });
    }
}

/// The file that a trace comes from.
#[derive(Debug, Serialize)]
struct UploadView {
    file: String,
    trace_id: String,
    stored_href: String,
}

fn view(trace: &Trace, state: &State, known: &[String], rows_max: usize) -> (StatusCode, PageView) {
    let palette = Palette::new(
        known.iter().map(String::as_str),
        trace
            .processes
            .iter()
            .map(|process| process.service.as_str()),
    );
    let sieve = Sieve::new(trace, state);
    let scene = Scene {
        trace,
        state,
        palette: &palette,
        errors: &trace.errors(),
        path: &trace.critical_path(),
        axis: Axis::new(trace.start, trace.end, state.zoom),
        sieve: &sieve,
        selected: state.span.and_then(|id| trace.row_of(id)),
        rows_max,
    };
    let window = (state.view == View::Timeline).then(|| timeline::window(&scene));
    let overview = Overview::new(&scene, window.as_ref());
    let mut body = match state.view {
        View::Timeline => Body::Timeline(Box::new(timeline::view(
            &scene,
            &window.unwrap_or_default(),
        ))),
        View::Spans => Body::Spans(Box::new(spans::view(&scene))),
        View::Operations => Body::Operations(Box::new(operations::view(&scene))),
        View::Flame => Body::Flame(Box::new(shape::flame::view(&scene))),
        View::Graph => Body::Graph(Box::new(shape::graph::view(&scene))),
        View::Logs => Body::Logs(Box::new(logs::view(&scene))),
    };
    let problem = match &mut body {
        Body::Logs(view) => view.problem.take(),
        _ => sieve.problem.clone(),
    };
    let view = PageView {
        overview,
        body,
        tabs: tabs(trace, state),
        filter: state
            .view
            .takes_filter()
            .then(|| FilterView::new(trace, state, &sieve)),
        detail: detail(&scene),
        coverage: CoverageView::new(Some(&trace.coverage)),
        logs_href: logs_href(&hex(&state.id)),
        problem,
        upload: None,
    };
    let status = if view.problem.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    (status, view)
}

fn tabs(trace: &Trace, state: &State) -> Vec<Tab> {
    View::ALL
        .into_iter()
        .map(|view| Tab {
            key: view.key(),
            label: view.label(),
            count: match view {
                View::Logs => count(trace.logs.len() as u64),
                _ => String::new(),
            },
            href: state.seen_as(view).link().to_string(),
            current: view == state.view,
        })
        .collect()
}

/// The details of the chosen span.
fn detail(scene: &Scene<'_>) -> Option<SpanView> {
    let Scene { trace, state, .. } = *scene;
    let id = state.span?;
    let found = scene
        .selected
        .and_then(|at| trace.rows.get(at))
        .and_then(|row| Some((row, trace.span(row)?)));
    Some(match found {
        Some((row, item)) => SpanView::new(trace, state, scene.palette, row, item),
        None => SpanView::missing(state, id),
    })
}

/// A search for all log records of a trace.
fn logs_href(trace_id: &str) -> String {
    Link::to("/logs")
        .with("q", trace_term(trace_id))
        .with("range", "all")
        .to_string()
}
