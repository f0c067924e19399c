//! The page of one trace: its head, and below it one of several views.

mod download;
mod filter;
mod logs;
mod overview;
mod rows;
mod shape;
mod span;
mod state;
mod timeline;

use http::StatusCode;
use serde::Serialize;
use warp::reply::Response;

pub(crate) use self::{
    download::{logs_json, span_items, spans_json, whole_json},
    shape::{filter, html_bytes, kind_word},
};
use self::{
    filter::{FilterView, Sieve},
    logs::LogsView,
    overview::Overview,
    shape::{flame::FlameView, graph::GraphView},
    span::SpanView,
    state::{State, View},
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
    trace::model::Trace,
    units::count,
    uploads::Upload,
    views::Shell,
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
        let trace = Trace::new(pieces);
        let (status, mut view) = view(&trace, &state, &known, rows_max);
        if let Some(upload) = upload {
            view.comes_from(upload);
        }
        let title = view.overview.title.clone();
        let shell = Shell {
            title: &title,
            section: "traces",
            refresh_s: None,
        };
        views
            .page("trace.html", &shell, &visitor, &view)
            .map(|page| (status, page))
    })
    .await;
    let (status, page) = built
        .map_err(|error| Fault::internal(format!("building a trace page failed: {error}")))??;
    Ok(reply::html(status, page))
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
    Flame(Box<FlameView>),
    Graph(Box<GraphView>),
    Logs(Box<LogsView>),
}

/// The way to a view.
#[derive(Debug, Serialize)]
struct Tab {
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
        sieve: &sieve,
        selected: state.span.and_then(|id| trace.row_of(id)),
        rows_max,
    };
    let (overview, body) = match state.view {
        View::Timeline => {
            let window = timeline::window(&scene);
            (
                Overview::new(&scene, Some(&window)),
                Body::Timeline(Box::new(timeline::view(&scene, &window))),
            )
        }
        View::Flame => (
            Overview::new(&scene, None),
            Body::Flame(Box::new(shape::flame::view(&scene))),
        ),
        View::Graph => (
            Overview::new(&scene, None),
            Body::Graph(Box::new(shape::graph::view(&scene))),
        ),
        View::Logs => (
            Overview::new(&scene, None),
            Body::Logs(Box::new(logs::view(&scene))),
        ),
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
        problem: sieve.problem,
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
            label: view.label(),
            count: match view {
                View::Logs => count(trace.logs.len() as u64),
                View::Timeline | View::Flame | View::Graph => String::new(),
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
