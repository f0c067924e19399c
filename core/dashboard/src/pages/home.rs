//! The overview: every service with its rate, errors and durations over a range, what changed against the range before,
//! and the state of the pipeline in a line; or, while nothing came in, how to send something.

mod changes;
mod questions;
mod setup;
mod table;

use http::StatusCode;
use log_tracer_proto::v1::{ServiceInfo, StatusResponse};
use serde::Serialize;
use warp::reply::Response;

use self::{
    changes::Change,
    questions::{Answers, Bounds},
    setup::Language,
    table::ServiceRow,
};
use super::{
    pipeline::{self, Vitals},
    traces::{TraceRow, rows_alone},
};
use crate::{
    About,
    app::App,
    charts::histogram::Histogram,
    clock,
    fault::Fault,
    palette::Palette,
    params::{Link, Params},
    range::{Range, RangeView},
    red::{Red, frequency},
    reply,
    search::CoverageView,
    sorting::{self, Head, Pager},
    units::{age, clip, compact, count, percent},
    views::Shell,
    visitor::Visitor,
};

/// Changes that are listed; more are counted.
const CHANGES_MAX: usize = 12;

/// The state of the page.
#[derive(Clone, Debug)]
struct State {
    range: Range,
    sort: &'static str,
    /// The page of the table, from 1 on.
    page: u64,
}

impl State {
    fn read(params: &Params) -> Result<Self, Fault> {
        Ok(Self {
            range: Range::read(params)?,
            sort: sorting::read(params, &table::COLUMNS, table::SORT_DEFAULT)?,
            page: params.number("page", 1, 1_000_000)?.unwrap_or(1),
        })
    }

    fn link(&self) -> Link {
        sorting::write(
            self.range.write(Link::to("/")),
            self.sort,
            table::SORT_DEFAULT,
        )
    }

    /// Another page with the same range.
    fn to(&self, path: &str) -> Link {
        self.range.write(Link::to(path))
    }
}

/// Answers `/`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let state = State::read(params)?;
    let now = clock::now();
    let (services, status) = tokio::try_join!(app.ask.services(), app.ask.status())?;
    let seen = Seen {
        now,
        services: &services,
        status: &status,
    };
    let overview = if services.is_empty() {
        None
    } else {
        let bounds = Bounds::new(state.range, now, &status);
        let answers = questions::ask(&app.ask, &bounds).await?;
        Some(overview(&state, &seen, &bounds, &answers))
    };
    let view = View {
        empty: services.is_empty(),
        can_sample: app.ingest.is_some(),
        listening: Listening::new(&app.about),
        languages: setup::languages(&app.about),
        vitals: Vitals::new(&status),
        overview,
    };
    let shell = Shell {
        title: "Overview",
        section: "home",
        refresh_s: view.empty.then_some(3),
    };
    Ok(reply::html(
        StatusCode::OK,
        app.views.page("home.html", &shell, visitor, &view)?,
    ))
}

/// What is there, whatever the range.
struct Seen<'a> {
    now: u64,
    services: &'a [ServiceInfo],
    status: &'a StatusResponse,
}

#[derive(Debug, Serialize)]
struct View {
    /// Nothing has come in yet.
    empty: bool,
    can_sample: bool,
    listening: Listening,
    languages: Vec<Language>,
    vitals: Vitals,
    overview: Option<Overview>,
}

#[derive(Debug, Serialize)]
struct Listening {
    otlp_grpc: String,
    otlp_http: String,
}

impl Listening {
    fn new(about: &About) -> Self {
        Self {
            otlp_grpc: about.otlp_grpc.clone(),
            otlp_http: about.otlp_http.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Overview {
    range: RangeView,
    coverage: CoverageView,
    /// "Taking in 120 spans/s and 35 log records/s"; empty for a range in the past.
    ingest: String,
    lag: String,
    tiles: Vec<Tile>,
    changes: Vec<ChangeView>,
    more_changes: usize,
    /// Why nothing is compared; empty when it is.
    incomparable: &'static str,
    spans: Histogram,
    logs: Histogram,
    heads: Vec<Head>,
    rows: Vec<ServiceRow>,
    pager: Pager,
    /// Leads to all time when the range holds nothing.
    all_time: String,
    failed: Vec<TraceRow>,
    failed_href: String,
}

/// A number that leads to what it counts.
#[derive(Debug, Serialize)]
struct Tile {
    label: &'static str,
    value: String,
    note: String,
    href: String,
}

#[derive(Debug, Serialize)]
struct ChangeView {
    service: String,
    colour: usize,
    tone: &'static str,
    name: &'static str,
    before: String,
    after: String,
    factor: String,
    href: String,
}

fn overview(state: &State, seen: &Seen<'_>, bounds: &Bounds, answers: &Answers) -> Overview {
    let window = bounds.window(answers);
    let named = answers.rates.series.iter();
    let palette = Palette::new(
        seen.services.iter().map(|service| service.service.as_str()),
        named.map(|series| series.service.as_str()),
    );
    let (before, after) = answers.sides(bounds, &window);
    let changes = changes::compare(&before, &after);
    let table = table::Table::new(state, seen, &window, answers, &palette);
    let ends = (bounds.start, bounds.end);
    let chart = |answer, noun, path: &'static str| {
        Histogram::new(answer, ends, noun, |from, to| {
            Range::Between(from, to).write(Link::to(path)).to_string()
        })
    };
    Overview {
        range: state.range.view(),
        coverage: CoverageView::new(answers.rates.coverage.as_ref()),
        ingest: ingest(state.range, bounds, answers, window.nanos()),
        lag: lag(seen.status),
        tiles: tiles(state, seen, answers, window.nanos()),
        more_changes: changes.len().saturating_sub(CHANGES_MAX),
        changes: changes
            .iter()
            .take(CHANGES_MAX)
            .map(|change| change_view(change, state, &palette))
            .collect(),
        incomparable: incomparable(state.range, before.nanos),
        spans: chart(
            &window.histogram(&answers.rates),
            ("span", "spans"),
            "/traces",
        ),
        logs: chart(&answers.logs, ("record", "records"), "/logs"),
        heads: table::heads(state),
        pager: table.pager,
        rows: table.rows,
        all_time: match (state.range, answers.rates.series.is_empty()) {
            (Range::All, _) | (_, false) => String::new(),
            _ => Range::All.write(state.link()).to_string(),
        },
        failed: rows_alone(&answers.failed.traces, seen.services, seen.now),
        failed_href: state.to("/traces").with("q", "status:error").to_string(),
    }
}

/// Why there is no range before to compare with.
fn incomparable(range: Range, before_nanos: u64) -> &'static str {
    match (range, before_nanos) {
        (Range::All, _) => "All time has no time before it: choose a shorter range to compare.",
        (_, 0) => {
            "Nothing is kept from before this range, so there is nothing to compare it with yet."
        }
        _ => "",
    }
}

fn ingest(range: Range, bounds: &Bounds, answers: &Answers, nanos: u64) -> String {
    // What lies in the past is not taken in now.
    let Range::Last(_) = range else {
        return String::new();
    };
    let spans: u64 = all(answers).count;
    let logs: u64 = answers.log_count();
    format!(
        "Taking in {} and {}",
        rate_words(spans, "spans", nanos),
        rate_words(logs, "log records", bounds.log_nanos())
    )
}

/// "55 spans/s".
fn rate_words(number: u64, noun: &str, nanos: u64) -> String {
    match frequency(number, nanos).split_once('/') {
        Some((rate, unit)) => format!("{rate} {noun}/{unit}"),
        None if number == 0 => format!("no {noun}"),
        None => format!("{number} {noun}"),
    }
}

fn lag(status: &StatusResponse) -> String {
    let behind: u64 = status
        .partitions
        .iter()
        .map(|partition| partition.log_end.saturating_sub(partition.applied_next))
        .fold(0, u64::saturating_add);
    pipeline::behind(behind)
}

/// The spans of all services.
fn all(answers: &Answers) -> Red {
    let mut all = Red::default();
    for series in &answers.rates.series {
        let red = Red::new(series.total.as_ref());
        all.count = all.count.saturating_add(red.count);
        all.errors = all.errors.saturating_add(red.errors);
    }
    all
}

fn tiles(state: &State, seen: &Seen<'_>, answers: &Answers, nanos: u64) -> Vec<Tile> {
    let spans = all(answers);
    let logs = answers.log_count();
    let error_logs = answers
        .error_logs
        .iter()
        .fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let last_seen = seen
        .services
        .iter()
        .map(|service| service.last_seen_unix_nano)
        .max();
    let tile = |label, value, note, href: Link| Tile {
        label,
        value,
        note,
        href: href.to_string(),
    };
    vec![
        tile(
            "Services",
            count(answers.rates.series.len() as u64),
            format!("of {} that are kept", count(seen.services.len() as u64)),
            state.to("/map"),
        ),
        tile(
            "Spans",
            compact(spans.count),
            frequency(spans.count, nanos),
            state.to("/traces"),
        ),
        tile(
            "Spans with errors",
            percent(spans.errors, spans.count),
            compact(spans.errors),
            state.to("/traces").with("q", "status:error"),
        ),
        tile(
            "Log records",
            compact(logs),
            format!("{} of error and above", compact(error_logs)),
            state.to("/logs"),
        ),
        tile(
            "Last record",
            last_seen.map_or_else(|| "–".to_owned(), |time| age(seen.now, time)),
            "watch live".to_owned(),
            Link::to("/logs/live"),
        ),
    ]
}

fn change_view(change: &Change<'_>, state: &State, palette: &Palette) -> ChangeView {
    ChangeView {
        service: clip(change.service, 60),
        colour: palette.colour(change.service),
        tone: change.tone,
        name: change.name,
        before: change.before.clone(),
        after: change.after.clone(),
        factor: change.factor.clone(),
        href: table::change_href(change, state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_the_page_survives_its_link() {
        let params = Params::parse("range=6h&sort=p95&page=2").unwrap();
        let state = State::read(&params).unwrap();
        assert_eq!((state.sort, state.page), ("p95", 2));
        assert_eq!(state.link().to_string(), "/?range=6h&sort=p95");
        assert!(State::read(&Params::parse("sort=colour").unwrap()).is_err());
        assert!(State::read(&Params::parse("page=0").unwrap()).is_err());
    }

    #[test]
    fn it_is_said_why_nothing_is_compared() {
        assert!(incomparable(Range::All, 0).contains("All time"));
        assert!(incomparable(Range::DEFAULT, 0).contains("nothing to compare"));
        assert_eq!(incomparable(Range::DEFAULT, 1), "");
    }
}
