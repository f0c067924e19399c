//! Log records as they arrive: a page that grows at its end. [`traces`] is the same for traces.
//!
//! The list comes rendered from the server, the first of it with the page and the rest as server-sent events, so there
//! is one template for a line. Without a script the page loads itself anew.

mod open;
mod resume;
pub(crate) mod traces;

use std::{convert::Infallible, sync::Arc};

use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use log_tracer_proto::v1::{SearchLogsRequest, ServiceInfo, Signal, TailRequest, TailResponse};
use log_tracer_query::parse;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use warp::{
    reply::{Reply, Response},
    sse::Event,
};

use self::resume::Resume;
use super::logs::{Search, edited};
use crate::{
    Config,
    app::App,
    clock,
    fault::Fault,
    fit,
    lines::{LogLine, Tables, services_of},
    palette::Palette,
    params::{Link, Params},
    range::Range,
    reply,
    search::{Choice, Problem, SearchForm},
    units::{clip, compact},
    views::Shell,
    visitor::Visitor,
};

/// Lines that the page begins with.
const LINES: u32 = 200;

/// Lines that a tail repeats, so that nothing falls between the page and its events; the script drops what it has.
const BACKLOG: u32 = 100;

/// The severities that lines have as a class, and what the switch of each is called.
const LEVELS: [(&str, &str); 7] = [
    ("fatal", "Fatal"),
    ("error", "Error"),
    ("warn", "Warn"),
    ("info", "Info"),
    ("debug", "Debug"),
    ("trace", "Trace"),
    ("unspecified", "None"),
];

/// Events that wait for a slow browser; beyond them the consumer drops lines, and says how many.
const WAITING_MAX: usize = 16;

/// What a browser keeps of a live page at most; beyond either, the oldest rows leave.
#[derive(Clone, Copy, Debug, Serialize)]
struct Limits {
    rows: usize,
    /// Of the rows as they are rendered.
    bytes: usize,
}

impl Limits {
    fn new(config: &Config, rows: usize) -> Self {
        Self {
            rows,
            bytes: config.live_bytes_max,
        }
    }
}

/// What the live page of log records is narrowed to: the search, and the severities that are not shown.
#[derive(Debug)]
struct State {
    search: Search,
    hidden: Vec<&'static str>,
}

impl State {
    fn read(params: &Params) -> Result<Self, Fault> {
        let hidden = params.read("hide", |text| {
            let named = text.split(',').map(|one| {
                let known = LEVELS.iter().find(|(level, _)| *level == one);
                known.map(|(level, _)| *level).ok_or_else(|| {
                    format!("`{one}` is not a severity; it is one of fatal, error, warn, info, debug, trace, unspecified")
                })
            });
            named.collect::<Result<Vec<_>, String>>()
        })?;
        Ok(Self {
            search: Search::read(params)?,
            hidden: hidden.unwrap_or_default(),
        })
    }

    fn link(&self) -> Link {
        self.search
            .link_to("/logs/live")
            .with("hide", self.hidden.join(","))
    }

    /// The switch of each severity, with the number of its lines.
    fn switches(&self, lines: &[LogLine]) -> Vec<Switch> {
        let switch = |(level, label): &(&'static str, &'static str)| {
            let is_hidden = self.hidden.contains(level);
            let mut others = self.hidden.clone();
            match is_hidden {
                true => others.retain(|one| one != level),
                false => others.push(level),
            }
            let lines = lines.iter().filter(|line| line.level == *level).count();
            Switch {
                level,
                label,
                is_shown: !is_hidden,
                lines: compact(lines as u64),
                number: lines,
                href: self.link().with("hide", others.join(",")).to_string(),
            }
        };
        LEVELS.iter().map(switch).collect()
    }
}

/// Shows and hides the lines of a severity.
#[derive(Debug, Serialize)]
struct Switch {
    level: &'static str,
    label: &'static str,
    is_shown: bool,
    lines: String,
    number: usize,
    href: String,
}

/// Answers `/logs/live`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let state = State::read(params)?;
    let search = &state.search;
    if let Some(edited) = edited(search, params)? {
        return Ok(reply::see_other(&edited.link_to("/logs/live").to_string()));
    }
    let services = app.ask.services().await?;
    let problem = parse(&search.q)
        .map_err(|error| Problem::new(&error, &state.link()))
        .err();
    let lines = match &problem {
        Some(_) => Vec::new(),
        None => newest(app, search, &services).await?,
    };
    let status = match &problem {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let view = View {
        tail: match &problem {
            Some(_) => String::new(),
            None => search.link_to("/logs/tail").to_string(),
        },
        list: search.link().to_string(),
        form: search.form("/logs/live", &services, problem),
        levels: search.levels(),
        limits: Limits::new(&app.config, app.config.live_lines_max),
        switches: state.switches(&lines),
        hidden: state.hidden.join(","),
        hide: state
            .hidden
            .iter()
            .map(|level| format!("hide-{level}"))
            .collect(),
        lines,
    };
    let shell = Shell {
        title: "Live logs",
        section: "logs",
        refresh_s: Some(5),
    };
    Ok(reply::html(
        status,
        app.views.page("live.html", &shell, visitor, &view)?,
    ))
}

/// The lines that the page begins with, oldest first.
async fn newest(
    app: &App,
    search: &Search,
    services: &[ServiceInfo],
) -> Result<Vec<LogLine>, Fault> {
    let request = SearchLogsRequest {
        query: search.query(),
        range: Some(Range::All.bounds(clock::now())),
        limit: LINES,
        ..SearchLogsRequest::default()
    };
    let mut answer = app.ask.search_logs(request).await?;
    fit::fit(&mut answer, fit::LINES_BYTES_MAX);
    let palette = Palette::new(
        services.iter().map(|service| service.service.as_str()),
        services_of(&answer.resources),
    );
    let tables = Tables {
        resources: &answer.resources,
        scopes: &answer.scopes,
    };
    let line = |hit| LogLine::of_hit(hit, tables, &palette, false);
    Ok(answer.hits.iter().rev().map(line).collect())
}

#[derive(Debug, Serialize)]
struct View {
    form: SearchForm,
    levels: Vec<Choice>,
    lines: Vec<LogLine>,
    /// Where the events come from.
    tail: String,
    /// The list of the same search.
    list: String,
    limits: Limits,
    switches: Vec<Switch>,
    /// The severities that are not shown, as the parameter has them, and as classes of the list.
    hidden: String,
    hide: Vec<String>,
}

/// Answers `/logs/tail`: server-sent events `lines` (rendered lines as a JSON text), `dropped` (a count), `gap` (what came
/// while the connection was lost may not be all there), `interrupted` (which of several consumers was lost or is back,
/// as a JSON text) and `away`.
pub(crate) async fn tail(
    app: &Arc<App>,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let search = Search::read(params)?;
    parse(&search.q).map_err(|error| Fault::input(error.to_string()))?;
    let resume = Resume::read(params, headers)?;
    let slot = slot(app)?;
    let request = TailRequest {
        signal: Signal::Logs.into(),
        query: search.query(),
        backlog: resume.backlog(BACKLOG),
    };
    let services = app.ask.services().await?;
    let known = services
        .into_iter()
        .map(|service| service.service)
        .collect();
    let source = app.ask.tail(request).await?;
    let events = events(Arc::clone(app), source, known, resume, slot);
    Ok(warp::sse::reply(warp::sse::keep_alive().stream(events)).into_response())
}

/// Room for one more live tail, for as long as it is held.
fn slot(app: &Arc<App>) -> Result<OwnedSemaphorePermit, Fault> {
    Arc::clone(&app.tail_slots)
        .try_acquire_owned()
        .map_err(|_| Fault::busy("as many live tails are open as the dashboard serves at a time"))
}

/// What a tail says of its consumers, cut to a sentence.
fn said(words: &str) -> String {
    clip(words, 300)
}

/// An event with a text, as JSON, since a line break would end the event's data.
fn text_event(app: &App, name: &'static str, text: &str) -> Option<Event> {
    match Event::default().event(name).json_data(text) {
        Ok(event) => Some(event),
        Err(error) => {
            slog::error!(app.log, "an event of a tail is no JSON"; "error" => %error);
            None
        }
    }
}

/// Events until the browser leaves, the consumer ends the tail, or the dashboard stops.
fn events(
    app: Arc<App>,
    mut source: Streaming<TailResponse>,
    known: Vec<String>,
    mut resume: Resume,
    slot: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + Sync + 'static {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        loop {
            let step = tokio::select! {
                () = app.shutdown.cancelled() => break,
                () = sender.closed() => break,
                step = source.message() => step,
            };
            let Ok(Some(step)) = step else {
                // The browser connects again by itself; a closed channel means that it has left.
                let _ = sender
                    .send(Ok(Event::default().event("away").data("")))
                    .await;
                break;
            };
            for event in step_events(&app, &step, &known, &mut resume) {
                if sender.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        }
        drop(slot);
    });
    ReceiverStream::new(receiver)
}

fn step_events(
    app: &App,
    step: &TailResponse,
    known: &[String],
    resume: &mut Resume,
) -> Vec<Event> {
    let mut events = Vec::new();
    let keys = step.hits.iter().filter_map(|hit| hit.key.as_ref());
    if resume.see(keys, step.backlog_done) {
        events.push(Event::default().event("gap").data(""));
    }
    if step.dropped > 0 {
        events.push(
            Event::default()
                .event("dropped")
                .data(step.dropped.to_string()),
        );
    }
    if !step.interrupted.is_empty() {
        events.extend(text_event(app, "interrupted", &said(&step.interrupted)));
    }
    if step.hits.is_empty() {
        return events;
    }
    let palette = Palette::new(
        known.iter().map(String::as_str),
        services_of(&step.resources),
    );
    let tables = Tables {
        resources: &step.resources,
        scopes: &step.scopes,
    };
    let lines: Vec<LogLine> = step
        .hits
        .iter()
        .map(|hit| LogLine::of_hit(hit, tables, &palette, false))
        .collect();
    let view = serde_json::json!({ "lines": lines });
    match app.views.part("lines.html", &view) {
        Ok(html) => {
            let event = text_event(app, "lines", &html);
            events.extend(event.map(|event| event.id(resume.id())));
        }
        Err(fault) => {
            slog::error!(app.log, "a tail's lines could not be rendered"; "error" => fault.message());
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_leads_to_the_page_with_and_without_its_severity() {
        let params = Params::parse("q=a&hide=debug").unwrap();
        let state = State::read(&params).unwrap();
        let switches = state.switches(&[]);
        let of = |level| switches.iter().find(|one| one.level == level).unwrap();
        assert!(of("warn").is_shown && !of("debug").is_shown);
        assert_eq!(of("debug").href, "/logs/live?q=a");
        assert_eq!(of("warn").href, "/logs/live?q=a&hide=debug%2Cwarn");
    }

    #[test]
    fn a_severity_that_does_not_exist_is_refused() {
        assert!(State::read(&Params::parse("hide=loud").unwrap()).is_err());
    }
}
