//! The search for log records.

pub(crate) mod columns;
pub(crate) mod level;
mod patterns;

use http::StatusCode;
use log_tracer_proto::v1::{
    HistogramGroup, HistogramRequest, HistogramResponse, LogHit, RecordKey, SearchLogsRequest,
    SearchLogsResponse, ServiceInfo, Signal, StatusResponse, TimeRange,
};
use log_tracer_query::{Query, Signals, parse};
use serde::Serialize;
use warp::reply::Response;

use self::{columns::ColumnHead, patterns::Patterns};

use crate::{
    app::App,
    charts::histogram::{self, Histogram},
    clock,
    counting::Counting,
    fault::Fault,
    fit,
    lines::{self, LogLine, Sender, Tables, key_param, parse_key},
    palette::Palette,
    params::{Link, Params},
    range::Range,
    reply,
    search::{self, Choice, CoverageView, Edit, FacetsView, Problem, SearchForm},
    units::plural,
    views::Shell,
    visitor::Visitor,
};

/// As many as keep a page of ordinary records below 100 KB.
const LIMIT_DEFAULT: u32 = 40;
const LIMIT_MAX: u32 = 500;

/// Records before and after the one whose surroundings are asked for.
const AROUND: u32 = 40;

/// What is searched for: the state of the page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Search {
    pub(crate) q: String,
    pub(crate) range: Range,
    pub(crate) service: String,
    pub(crate) level: String,
    pub(crate) limit: u32,
    /// Fields that stand in columns of their own.
    pub(crate) columns: Vec<String>,
    /// Whether patterns are shown in place of records.
    pub(crate) patterns: bool,
    pub(crate) after: Option<RecordKey>,
    pub(crate) counting: Counting,
}

impl Search {
    pub(crate) fn read(params: &Params) -> Result<Self, Fault> {
        let limit = params.number("limit", 1, u64::from(LIMIT_MAX))?;
        Ok(Self {
            q: params.text("q"),
            range: Range::read(params)?,
            service: params.text("service"),
            level: level::read(params)?.to_owned(),
            limit: limit.map_or(LIMIT_DEFAULT, |limit| limit as u32),
            columns: params.read("cols", columns::parse)?.unwrap_or_default(),
            patterns: params
                .read("view", |text| match text {
                    "patterns" => Ok(true),
                    "records" => Ok(false),
                    _ => Err(format!(
                        "`{text}` is not a view; it is one of records, patterns"
                    )),
                })?
                .unwrap_or(false),
            after: params.read("after", parse_key)?,
            counting: Counting::read(params)?,
        })
    }

    /// The first page of this search.
    pub(crate) fn link(&self) -> Link {
        self.link_to("/logs")
    }

    /// The same search on another page.
    pub(crate) fn link_to(&self, path: &str) -> Link {
        let limit = if self.limit == LIMIT_DEFAULT {
            String::new()
        } else {
            self.limit.to_string()
        };
        let link = Link::to(path)
            .with("q", &*self.q)
            .with("service", &*self.service)
            .with("level", &*self.level)
            .with("limit", limit)
            .with("cols", columns::param(&self.columns))
            .with("view", if self.patterns { "patterns" } else { "" });
        self.range.write(self.counting.write(link))
    }

    pub(crate) fn query(&self) -> String {
        let level = level::term(&self.level);
        search::compose(&self.q, &[search::service_term(&self.service), level])
    }

    pub(crate) fn request(&self, now: u64) -> SearchLogsRequest {
        SearchLogsRequest {
            query: self.query(),
            range: Some(self.range.bounds(now)),
            limit: self.limit,
            after: self.after,
            oldest_first: false,
        }
    }

    /// The same search with a field in a column of its own.
    fn with_column(&self, field: &str) -> Self {
        Self {
            columns: columns::with(&self.columns, field),
            ..self.clone()
        }
    }

    /// The same search as records or as patterns.
    fn view_link(&self, patterns: bool) -> Link {
        Self {
            patterns,
            ..self.clone()
        }
        .link()
    }

    fn is_narrowed(&self) -> bool {
        !self.q.is_empty() || !self.service.is_empty() || !self.level.is_empty()
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
            signal: "logs",
            q: self.q.clone(),
            placeholder: "\"connection refused\" http.response.status_code>=500",
            problem,
            range: self.range.view(),
            services: search::service_choices(services, &self.service),
            help: search::help(Signals::Logs),
        }
    }

    pub(crate) fn levels(&self) -> Vec<Choice> {
        level::choices(&self.level)
    }
}

/// Answers `/logs`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let search = Search::read(params)?;
    if let Some(edited) = edited(&search, params)? {
        return Ok(reply::see_other(&edited.link().to_string()));
    }
    let now = clock::now();
    let services = app.ask.services().await?;
    let (status, view) = match (params.read("around", parse_key)?, parse(&search.q)) {
        (Some(key), _) => (StatusCode::OK, around(app, &search, &services, key).await?),
        (None, Err(error)) => {
            let problem = Problem::new(&error, &search.link());
            (
                StatusCode::BAD_REQUEST,
                View::new(&search, &services, Found::default(), Some(problem)),
            )
        }
        (None, Ok(query)) => (
            StatusCode::OK,
            find(app, &search, now, &services, &query).await?,
        ),
    };
    let shell = Shell {
        title: "Logs",
        section: "logs",
        refresh_s: None,
    };
    Ok(reply::html(
        status,
        app.views.page("logs.html", &shell, visitor, &view)?,
    ))
}

/// The buttons beside a value send the form with a term to add or to exclude, or with a field for a column.
pub(crate) fn edited(search: &Search, params: &Params) -> Result<Option<Search>, Fault> {
    if let Some(column) = params.get("col") {
        return Ok(Some(search.with_column(column)));
    }
    let (term, how) = match (params.get("add"), params.get("not")) {
        (Some(term), _) => (term, Edit::Add),
        (None, Some(term)) => (term, Edit::Exclude),
        (None, None) => return Ok(None),
    };
    Ok(Some(Search {
        q: search::edit(&search.q, term, how)?,
        after: None,
        ..search.clone()
    }))
}

async fn find(
    app: &App,
    search: &Search,
    now: u64,
    services: &[ServiceInfo],
    query: &Query,
) -> Result<View, Fault> {
    let kept = match search.range {
        Range::Last(_) => None,
        _ => kept(&app.ask.status().await?, Signal::Logs),
    };
    let (start, end) = search.range.closed(now, kept);
    let counting = search.counting;
    let range = TimeRange {
        start_unix_nano: start,
        end_unix_nano: end,
    };
    let histogram = HistogramRequest {
        signal: Signal::Logs.into(),
        query: search.query(),
        range: Some(range),
        step_nano: histogram::step(start, end),
        group: HistogramGroup::Level.into(),
        records_max: counting.records_max(app.config.histogram_records_max),
    };
    let facets = counting.facets(&app.config, Signal::Logs, search.query(), search.range);
    let records = if search.patterns {
        SearchLogsRequest {
            limit: app.config.pattern_records_max,
            ..search.request(now)
        }
    } else {
        search.request(now)
    };
    let (mut answer, histogram, facets) = tokio::try_join!(
        app.ask.search_logs(records),
        app.ask.histogram(histogram),
        app.ask.facets(facets)
    )?;
    if !search.patterns {
        fit::fit(&mut answer, fit::LINES_BYTES_MAX);
    }
    let patterns = search.patterns.then(|| {
        let palette = palette(services, &answer);
        patterns::view(&answer, search, query, &palette)
    });
    let found = Found {
        patterns,
        chart: Some(chart(&histogram, (start, end), search)),
        facets: FacetsView::new(&facets, query, &search.link())
            .with_columns(|field| search.with_column(field).link().to_string()),
        next: answer.next.as_ref().map_or_else(String::new, |next| {
            search.link().with("after", key_param(next)).to_string()
        }),
        answer,
        around: None,
    };
    Ok(View::new(search, services, found, None))
}

/// What stands before and after a record, of the service that wrote it.
async fn around(
    app: &App,
    search: &Search,
    services: &[ServiceInfo],
    key: RecordKey,
) -> Result<View, Fault> {
    let request = |after: RecordKey, oldest_first: bool, query: String| SearchLogsRequest {
        query,
        range: Some(Range::All.bounds(0)),
        limit: if oldest_first { AROUND } else { AROUND + 1 },
        after: Some(after),
        oldest_first,
    };
    // The record itself is the first that is older than a key that stands just after its own.
    let above = RecordKey {
        index: key.index.saturating_add(1),
        ..key
    };
    let own = SearchLogsRequest {
        limit: 1,
        ..request(above, false, String::new())
    };
    let own = app.ask.search_logs(own).await?;
    let hit = own.hits.first().filter(|hit| hit.key == Some(key));
    let Some(hit) = hit else {
        return Err(Fault::missing("this log record is no longer kept"));
    };
    let service = own
        .resources
        .get(hit.resource as usize)
        .map_or("", |entry| entry.service.as_str());
    let query = search::service_term(service);
    let (mut older, mut newer) = tokio::try_join!(
        app.ask.search_logs(request(above, false, query.clone())),
        app.ask.search_logs(request(key, true, query))
    )?;
    // The nearest come first in both.
    fit::fit(&mut older, fit::LINES_BYTES_MAX / 2);
    fit::fit(&mut newer, fit::LINES_BYTES_MAX / 2);
    let found = Found {
        answer: joined(newer, older),
        around: Some(key),
        ..Found::default()
    };
    Ok(View::new(search, services, found, None))
}

/// Two answers as one, newest first: the newer records came oldest first.
fn joined(newer: SearchLogsResponse, older: SearchLogsResponse) -> SearchLogsResponse {
    let (resources, scopes) = (newer.resources.len() as u32, newer.scopes.len() as u32);
    let mut joined = newer;
    joined.hits.reverse();
    joined.hits.extend(older.hits.into_iter().map(|hit| LogHit {
        resource: hit.resource.saturating_add(resources),
        scope: hit.scope.saturating_add(scopes),
        ..hit
    }));
    joined.resources.extend(older.resources);
    joined.scopes.extend(older.scopes);
    joined.next = None;
    joined
}

/// The times of the oldest and the newest record that is kept.
pub(crate) fn kept(status: &StatusResponse, signal: Signal) -> Option<(u64, u64)> {
    let store = status
        .stores
        .iter()
        .find(|store| store.signal() == signal && store.rows > 0)?;
    Some((store.oldest_unix_nano, store.newest_unix_nano))
}

fn chart(answer: &HistogramResponse, bounds: (u64, u64), search: &Search) -> Histogram {
    let chart = Histogram::new(answer, bounds, ("record", "records"), |from, to| {
        Range::Between(from, to).write(search.link()).to_string()
    });
    chart.with_all(&Counting::All.write(search.link()))
}

/// Colours of the services of a page.
fn palette(services: &[ServiceInfo], answer: &SearchLogsResponse) -> Palette {
    Palette::new(
        services.iter().map(|service| service.service.as_str()),
        lines::services_of(&answer.resources),
    )
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    patterns: Option<Patterns>,
    answer: SearchLogsResponse,
    chart: Option<Histogram>,
    facets: FacetsView,
    next: String,
    /// The record whose surroundings these are.
    around: Option<RecordKey>,
}

#[derive(Debug, Serialize)]
struct View {
    form: SearchForm,
    levels: Vec<Choice>,
    chart: Option<Histogram>,
    patterns: Option<Patterns>,
    columns: Vec<ColumnHead>,
    /// For the hidden fields of the form.
    cols: String,
    view: &'static str,
    counts_all: bool,
    records_href: String,
    patterns_href: String,
    ndjson_href: String,
    csv_href: String,
    lines: Vec<LogLine>,
    senders: Vec<Sender>,
    facets: FacetsView,
    coverage: CoverageView,
    shown: String,
    first: String,
    next: String,
    live: String,
    all_time: String,
    unconditional: String,
    around: bool,
    nothing_yet: bool,
}

impl View {
    fn new(
        search: &Search,
        services: &[ServiceInfo],
        found: Found,
        problem: Option<Problem>,
    ) -> Self {
        let answer = &found.answer;
        let palette = palette(services, answer);
        let tables = Tables {
            resources: &answer.resources,
            scopes: &answer.scopes,
        };
        let shown = if found.patterns.is_some() {
            0
        } else {
            answer.hits.len()
        };
        let lines: Vec<LogLine> = answer
            .hits
            .iter()
            .take(shown)
            .map(|hit| {
                let mut line = LogLine::of_hit(hit, tables, &palette, true);
                line.cells = columns::cells(&search.columns, hit, tables);
                line.marked = hit.key.is_some() && hit.key == found.around;
                line
            })
            .collect();
        let unconditional = Search {
            q: String::new(),
            service: String::new(),
            level: String::new(),
            ..search.clone()
        };
        Self {
            form: search.form("/logs", services, problem),
            levels: search.levels(),
            chart: found.chart,
            columns: columns::heads(search),
            cols: columns::param(&search.columns),
            view: if search.patterns { "patterns" } else { "" },
            counts_all: search.counting == Counting::All,
            records_href: search.view_link(false).to_string(),
            patterns_href: search.view_link(true).to_string(),
            ndjson_href: search
                .link_to("/api/v1/export")
                .with("view", "")
                .with("cols", "")
                .with("format", "ndjson")
                .to_string(),
            csv_href: search
                .link_to("/api/v1/export")
                .with("view", "")
                .with("format", "csv")
                .to_string(),
            senders: if found.patterns.is_some() {
                Vec::new()
            } else {
                lines::senders(&answer.resources, &palette)
            },
            patterns: found.patterns,
            facets: found.facets,
            coverage: CoverageView::new(answer.coverage.as_ref()),
            shown: plural(lines.len() as u64, "record", "records"),
            lines,
            first: search
                .after
                .map_or_else(String::new, |_| search.link().to_string()),
            next: if search.patterns {
                String::new()
            } else {
                found.next
            },
            live: search.link_to("/logs/live").to_string(),
            all_time: match search.range {
                Range::All => String::new(),
                _ => Range::All.write(search.link()).to_string(),
            },
            unconditional: if search.is_narrowed() {
                unconditional.link().to_string()
            } else {
                String::new()
            },
            around: found.around.is_some(),
            nothing_yet: services.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<Search, Fault> {
        Search::read(&Params::parse(raw).unwrap())
    }

    #[test]
    fn a_search_survives_its_link() {
        let raw = "q=refused&service=cart&level=warn&limit=50&range=all&cols=a.b,c&view=patterns&count=all";
        let search = read(raw).unwrap();
        assert_eq!(search.query(), "service:\"cart\" severity>=warn (refused)");
        let link = search.link().to_string();
        assert_eq!(read(link.split_once('?').unwrap().1).unwrap(), search);
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (raw, key) in [
            ("level=loud", "level"),
            ("limit=9999", "limit"),
            ("after=1-2", "after"),
            ("cols=a,b,c,d,e,f,g", "cols"),
            ("view=sideways", "view"),
        ] {
            assert!(read(raw).unwrap_err().message().starts_with(key));
        }
    }

    #[test]
    fn every_severity_to_choose_is_a_query() {
        for (level, _) in level::LEVELS {
            parse(&read(&format!("level={level}")).unwrap().query()).unwrap();
        }
    }

    #[test]
    fn joined_answers_point_into_joined_tables() {
        let hit = |index| LogHit {
            key: Some(RecordKey {
                index,
                ..RecordKey::default()
            }),
            record: None,
            resource: 0,
            scope: 0,
        };
        let answer = |hits, service: &str| SearchLogsResponse {
            hits,
            resources: vec![log_tracer_proto::v1::ResourceEntry {
                service: service.to_owned(),
                ..Default::default()
            }],
            scopes: vec![log_tracer_proto::v1::ScopeEntry::default()],
            ..Default::default()
        };
        let joined = joined(
            answer(vec![hit(3), hit(4)], "new"),
            answer(vec![hit(2), hit(1)], "old"),
        );
        let order: Vec<u32> = joined
            .hits
            .iter()
            .map(|hit| hit.key.unwrap().index)
            .collect();
        assert_eq!(order, [4, 3, 2, 1]);
        let services: Vec<&str> = joined
            .hits
            .iter()
            .map(|hit| joined.resources[hit.resource as usize].service.as_str())
            .collect();
        assert_eq!(services, ["new", "new", "old", "old"]);
    }
}
