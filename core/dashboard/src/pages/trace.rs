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
mod subject;
mod timeline;

use http::StatusCode;
use serde::Serialize;
use warp::reply::Response;

pub(crate) use self::{
    download::{logs_json, span_items, spans_json, whole_json},
    operations::{Key as GroupKey, groups_of, sorted_groups},
    shape::{filter, html_bytes, kind_word},
    spans::{
        file::{self as table, Format},
        sorted_spans,
    },
    state::{State, View},
};
pub(crate) use self::{
    filter::question,
    subject::{Around, Subject},
};
use self::{
    filter::{FilterView, Sieve},
    logs::LogsView,
    operations::OperationsView,
    overview::Overview,
    shape::{flame::FlameView, graph::GraphView},
    span::SpanView,
    spans::SpansView,
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
    trace::{critical::Segment, model::Trace, visible::Window, zoom::Axis},
    units::count,
    uploads::Upload,
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
    let question = question(&state);
    let (answer, services) =
        tokio::try_join!(app.ask.outline(state.id, &question), app.ask.services())?;
    let known: Vec<String> = services
        .into_iter()
        .map(|service| service.service)
        .collect();
    let id = state.id;
    let around = Around {
        known,
        rows_max: app.config.trace_rows_max,
        upload: app.ask.upload(&id),
    };
    let subject = blocking(move || Subject::new(answer.trace(&question), state, around)).await?;
    let pieces = app.ask.selected(id, subject.lacking()).await?;
    let views = app.views.clone();
    let visitor = visitor.clone();
    let built = blocking(move || subject.filled(pieces).render(&views, &visitor)).await?;
    let (status, page) = built?;
    Ok(reply::html(status, page))
}

/// Arranging a hundred thousand spans is work for a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Fault::internal(format!("building a trace page failed: {error}")))
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
    /// The rows that the timeline shows.
    window: Option<&'a Window>,
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
    fn comes_from(&mut self, upload: &Upload) {
        let trace_id = hex(&upload.trace_id);
        self.logs_href = logs_href(&trace_id);
        self.overview.call(&trace_id);
        self.upload = Some(UploadView {
            file: upload.file.clone(),
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

fn view(scene: &Scene<'_>) -> (StatusCode, PageView) {
    let Scene {
        trace,
        state,
        sieve,
        ..
    } = *scene;
    let overview = Overview::new(scene);
    let mut body = match state.view {
        View::Timeline => Body::Timeline(Box::new(timeline::view(scene))),
        View::Spans => Body::Spans(Box::new(spans::view(scene))),
        View::Operations => Body::Operations(Box::new(operations::view(scene))),
        View::Flame => Body::Flame(Box::new(shape::flame::view(scene))),
        View::Graph => Body::Graph(Box::new(shape::graph::view(scene))),
        View::Logs => Body::Logs(Box::new(logs::view(scene))),
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
            .then(|| FilterView::new(trace, state, sieve)),
        detail: detail(scene),
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
    let Some((row, item)) = found else {
        return Some(SpanView::missing(state, id));
    };
    let view = SpanView::new(trace, state, scene.palette, row, item);
    Some(view.unwrap_or_else(|| SpanView::unread(state, id)))
}

/// A search for all log records of a trace.
fn logs_href(trace_id: &str) -> String {
    Link::to("/logs")
        .with("q", trace_term(trace_id))
        .with("range", "all")
        .to_string()
}
