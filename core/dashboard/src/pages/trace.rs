//! The page of one trace.

mod download;
mod overview;
mod rows;
mod span;
mod state;

use std::collections::HashSet;

use http::StatusCode;
use log_tracer_query::{Query, Signals, parse};
use serde::Serialize;
use warp::reply::Response;

pub(crate) use self::download::{logs_json, span_items, spans_json, whole_json};
use self::{overview::Overview, rows::RowView, span::SpanView, state::State};
use crate::{
    app::App,
    fault::Fault,
    lines::{LogLine, Origin, Sender, hex, trace_href, trace_term},
    palette::Palette,
    params::{Link, Params},
    reply,
    search::{self, CoverageView, Help, Problem},
    trace::{
        fields::SpanFields,
        model::{LogItem, SpanItem, Trace},
        tree::{Id, Row},
        visible::{self, Fold, Window, Wish},
    },
    units::{count, plural},
    uploads::Upload,
    views::Shell,
    visitor::Visitor,
};

/// Log records in the list of a trace at most; the search for logs shows all.
const LOGS_MAX: usize = 300;

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
struct View {
    overview: Overview,
    state: StateView,
    problem: Option<Problem>,
    help: Help,
    rows: Vec<RowView>,
    paging: Paging,
    detail: Option<SpanView>,
    lines: Vec<LogLine>,
    senders: Vec<Sender>,
    /// "300 of 1,204 log records", when not all are shown.
    lines_cut: String,
    coverage: CoverageView,
    logs_href: String,
    /// Set when the trace comes from a file.
    upload: Option<UploadView>,
}

impl View {
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

/// What the toolbar of the waterfall needs.
#[derive(Debug, Serialize)]
struct StateView {
    tab_logs: bool,
    timeline_href: String,
    logs_tab_href: String,
    fold: &'static str,
    auto_href: String,
    open_href: String,
    closed_href: String,
    inline_logs: bool,
    inline_href: String,
    filter: String,
    /// "12 of 340 spans match".
    filtered: String,
    unfiltered_href: String,
    /// The state as fields of the filter's form.
    fields: Vec<(String, String)>,
}

/// Where the window of rows is.
#[derive(Debug, Serialize)]
struct Paging {
    /// Whether there is more than the page shows.
    needed: bool,
    from: String,
    to: String,
    total: String,
    previous: String,
    next: String,
    /// What stands above the first row, from the root on.
    above: Vec<Above>,
}

#[derive(Debug, Serialize)]
struct Above {
    name: String,
    href: String,
}

/// The rows that a state shows.
struct Sight {
    window: Window,
    /// Of each row whether the filter matches; none without a filter.
    matches: Option<Vec<bool>>,
    problem: Option<Problem>,
}

fn view(trace: &Trace, state: &State, known: &[String], rows_max: usize) -> (StatusCode, View) {
    let palette = Palette::new(
        known.iter().map(String::as_str),
        trace
            .processes
            .iter()
            .map(|process| process.service.as_str()),
    );
    let errors = trace.errors();
    let selected = state.span.and_then(|id| trace.row_of(id));
    let sight = sight(trace, state, &errors, selected, rows_max);
    let overview = Overview::new(trace, state, &palette, &errors, &sight.window);
    let rows = if state.tab_logs {
        Vec::new()
    } else {
        rows::rows(
            trace,
            state,
            &palette,
            &errors,
            &sight.window,
            sight.matches.as_deref(),
        )
    };
    let (lines, lines_cut) = if state.tab_logs {
        lines(trace, &palette)
    } else {
        (Vec::new(), String::new())
    };
    let detail = state.span.map(|id| {
        let item = selected
            .and_then(|at| trace.rows.get(at))
            .and_then(|row| Some((row, trace.span(row)?)));
        match item {
            Some((row, item)) => SpanView::new(trace, state, &palette, row, item),
            None => SpanView::missing(state, id),
        }
    });
    let view = View {
        state: state_view(trace, state, &sight),
        help: search::help(Signals::Spans),
        rows,
        paging: paging(trace, state, &sight.window),
        detail,
        senders: if state.tab_logs {
            senders(trace, &palette)
        } else {
            Vec::new()
        },
        lines,
        lines_cut,
        coverage: CoverageView::new(Some(&trace.coverage)),
        logs_href: logs_href(&hex(&state.id)),
        problem: sight.problem,
        upload: None,
        overview,
    };
    let status = if view.problem.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    (status, view)
}

/// A search for all log records of a trace.
fn logs_href(trace_id: &str) -> String {
    Link::to("/logs")
        .with("q", trace_term(trace_id))
        .with("range", "all")
        .to_string()
}

fn sight(
    trace: &Trace,
    state: &State,
    errors: &[bool],
    selected: Option<usize>,
    rows_max: usize,
) -> Sight {
    let mut sight = Sight {
        window: Window::default(),
        matches: None,
        problem: None,
    };
    match parse(&state.filter) {
        Ok(query) if !query.is_empty() => sight.matches = Some(matches(trace, &query)),
        Ok(_) => {}
        Err(error) => sight.problem = Some(filter_problem(&error, state)),
    }
    let shown = match &sight.matches {
        Some(matches) => visible::filtered(&trace.rows, matches),
        None => {
            let wish = Wish {
                fold: state.fold,
                toggled: state.toggled.iter().copied().collect::<HashSet<Id>>(),
                logs: state.inline_logs,
                selected,
            };
            visible::visible(&trace.nodes, &trace.rows, errors, &wish)
        }
    };
    sight.window = visible::window(&shown, state.from, selected, rows_max);
    sight
}

fn filter_problem(error: &log_tracer_query::ParseError, state: &State) -> Problem {
    let link = State {
        filter: String::new(),
        ..state.clone()
    };
    // The correction goes to the filter, not to a search.
    let problem = Problem::new(error, &Link::to(""));
    let corrected = error.corrected().unwrap_or_default();
    problem.leading_to(link.link().with("f", corrected))
}

fn matches(trace: &Trace, query: &Query) -> Vec<bool> {
    trace
        .rows
        .iter()
        .map(|row| {
            trace
                .span(row)
                .is_some_and(|item| query.matches(&SpanFields::new(trace, item)))
        })
        .collect()
}

fn state_view(trace: &Trace, state: &State, sight: &Sight) -> StateView {
    // Another way to fold starts from its own beginning.
    let folded = |fold: Fold| {
        let state = State {
            fold,
            toggled: Vec::new(),
            from: None,
            ..state.clone()
        };
        state.link().to_string()
    };
    let tab = |tab_logs: bool| {
        State {
            tab_logs,
            from: None,
            ..state.clone()
        }
        .link()
        .to_string()
    };
    let unfiltered = State {
        filter: String::new(),
        from: None,
        ..state.clone()
    };
    let inline = State {
        inline_logs: !state.inline_logs,
        from: None,
        ..state.clone()
    };
    StateView {
        tab_logs: state.tab_logs,
        timeline_href: tab(false),
        logs_tab_href: tab(true),
        fold: match state.fold {
            Fold::Auto => "auto",
            Fold::Open => "open",
            Fold::Closed => "closed",
        },
        auto_href: folded(Fold::Auto),
        open_href: folded(Fold::Open),
        closed_href: folded(Fold::Closed),
        inline_logs: state.inline_logs,
        inline_href: inline.link().to_string(),
        filter: state.filter.clone(),
        filtered: sight.matches.as_ref().map_or_else(String::new, |matches| {
            let matched = matches.iter().filter(|matched| **matched).count();
            let verb = if matched == 1 { "matches" } else { "match" };
            format!(
                "{} of {} {verb}",
                count(matched as u64),
                plural(trace.spans.len() as u64, "span", "spans")
            )
        }),
        unfiltered_href: unfiltered.link().to_string(),
        fields: unfiltered
            .link()
            .params()
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
    }
}

fn paging(trace: &Trace, state: &State, window: &Window) -> Paging {
    let rows_max = window.shown.len().max(1);
    let to = window.from + window.shown.len();
    let at = |from: usize| {
        let state = State {
            from: Some(from),
            ..state.clone()
        };
        state.link().at("waterfall").to_string()
    };
    let first = window
        .shown
        .first()
        .and_then(|shown| trace.rows.get(shown.row));
    Paging {
        needed: window.total > window.shown.len(),
        from: count(window.from as u64 + 1),
        to: count(to as u64),
        total: count(window.total as u64),
        previous: if window.from > 0 {
            at(window.from.saturating_sub(rows_max))
        } else {
            String::new()
        },
        next: if to < window.total {
            at(to)
        } else {
            String::new()
        },
        above: match (window.from, first) {
            (0, _) | (_, None) => Vec::new(),
            (_, Some(row)) => above(trace, state, row),
        },
    }
}

/// The spans above a row, from the root on; of a long chain the nearest.
fn above(trace: &Trace, state: &State, row: &Row) -> Vec<Above> {
    const ABOVE_MAX: usize = 6;
    let parents = std::iter::successors(row.parent, |at| trace.rows.get(*at)?.parent);
    let mut above: Vec<Above> = parents
        .take(ABOVE_MAX)
        .filter_map(|at| trace.span(trace.rows.get(at)?))
        .map(|item| {
            let id = crate::trace::model::span_id(&item.span.span_id);
            let state = State {
                span: id,
                from: None,
                ..state.clone()
            };
            Above {
                name: format!(
                    "{} {}",
                    crate::units::clip(trace.service(item.process), 30),
                    super::traces::name(&crate::units::clip(&item.span.name, 60))
                ),
                href: state.link().to_string(),
            }
        })
        .collect();
    above.reverse();
    above
}

/// The log records of the trace by time.
fn lines(trace: &Trace, palette: &Palette) -> (Vec<LogLine>, String) {
    let mut logs: Vec<&LogItem> = trace.logs.iter().collect();
    logs.sort_by_key(|item| item.time());
    let lines: Vec<LogLine> = logs
        .iter()
        .take(LOGS_MAX)
        .enumerate()
        .map(|(at, item)| {
            let origin = Origin {
                service: trace.service(item.process),
                scope: trace
                    .scopes
                    .get(item.scope)
                    .map_or("", |scope| &scope.scope.name),
                sender: Some(item.process),
            };
            let mut line = LogLine::new(&item.record, origin, palette, format!("l{at}"));
            line.jump = "span";
            line
        })
        .collect();
    let cut = if lines.len() < logs.len() {
        format!(
            "The first {} of {} log records.",
            count(lines.len() as u64),
            count(logs.len() as u64)
        )
    } else {
        String::new()
    };
    (lines, cut)
}

fn senders(trace: &Trace, palette: &Palette) -> Vec<Sender> {
    trace
        .processes
        .iter()
        .enumerate()
        .map(|(index, process)| {
            Sender::new(
                index,
                &process.service,
                &process.resource,
                &process.schema_url,
                palette,
            )
        })
        .collect()
}

/// What the root of a trace is called: service and name.
fn root_of(trace: &Trace) -> Option<&SpanItem> {
    trace
        .main
        .and_then(|at| trace.rows.get(at))
        .and_then(|row| trace.span(row))
}
