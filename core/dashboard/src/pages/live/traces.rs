//! Traces as they arrive: a row appears with the first span of a trace and grows with those that follow.
//!
//! Rows are made of what the consumer hands out as it takes it in, so a live page costs the store nothing but the
//! backlog it begins with. With a query they count the spans that match. Server-sent events:
//!
//! | event | data |
//! |---|---|
//! | `rows` | rendered rows as a JSON text; one that is on the page already takes the place of the older |
//! | `dropped` | how many spans the consumer dropped, because this reader was too slow |
//! | `passed` | how many traces came and went without a row, because too many came at a time |
//! | `gap` | after a connection was lost: what came in between may not be all there |
//! | `interrupted` | which of several consumers was lost or is back, as a JSON text |
//! | `away` | the consumer has ended the tail |
//!
//! A reader that is slow gets the state of the rows that changed when it is ready for it, and not each step on the way.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use log_tracer_proto::v1::{ServiceInfo, Signal, TailRequest, TailResponse};
use log_tracer_query::parse;
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{MissedTickBehavior, interval},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use warp::{
    reply::{Reply, Response},
    sse::Event,
};

use super::{
    Limits,
    open::{Open, OpenTraces},
    resume::Resume,
    said, slot, text_event,
};
use crate::{
    app::App,
    clock::Moment,
    fault::Fault,
    lines::{hex, trace_href},
    pages::traces::{Search, name},
    palette::Palette,
    params::Params,
    reply,
    search::{Problem, SearchForm},
    units::{clip, compact, duration, plural},
    views::Shell,
    visitor::Visitor,
};

/// Rows that the page begins with: as many as keep it below 100 KB.
const ROWS_FIRST: usize = 50;

/// Spans that a tail repeats, so that its rows begin with what the page knows; as many as a consumer repeats by default.
const BACKLOG: u32 = 1_000;

/// Rows in an event at most.
const ROWS_OF_EVENT: usize = 50;

/// Events that wait for a slow browser; what changes meanwhile waits as rows.
const WAITING_MAX: usize = 2;

/// How often rows are told at most.
const RHYTHM: Duration = Duration::from_millis(200);

/// Answers `/traces/live`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let search = Search::read(params)?;
    let services = app.ask.services().await?;
    let problem = parse(&search.q)
        .map_err(|error| Problem::new(&error, &search.link_to("/traces/live")))
        .err();
    let rows = match &problem {
        Some(_) => Vec::new(),
        None => {
            let mut open = OpenTraces::new(app.config.live_traces_max);
            for step in app.ask.backlog(request(&search, BACKLOG)).await? {
                open.take(&step.spans, &step.resources);
            }
            open.tell_only_the_last(ROWS_FIRST);
            rows(&open.changes(ROWS_FIRST), &names(&services), &search)
        }
    };
    let status = match &problem {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let view = View {
        tail: match &problem {
            Some(_) => String::new(),
            None => search.link_to("/traces/tail").to_string(),
        },
        list: search.link().to_string(),
        limits: Limits::new(&app.config, app.config.live_traces_max),
        form: search.form("/traces/live", &services, problem),
        rows,
    };
    let shell = Shell {
        title: "Live traces",
        section: "traces",
        refresh_s: Some(5),
    };
    Ok(reply::html(
        status,
        app.views.page("live_traces.html", &shell, visitor, &view)?,
    ))
}

#[derive(Debug, Serialize)]
struct View {
    form: SearchForm,
    rows: Vec<Row>,
    /// Where the events come from.
    tail: String,
    /// The list of the same search.
    list: String,
    limits: Limits,
}

/// A trace in the list.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    short: String,
    /// Spans so far: of two rows of a trace the one with more is the newer.
    number: u64,
    href: String,
    service: String,
    colour: usize,
    name: String,
    spans: String,
    errors: String,
    services: Vec<Chip>,
    has_more_services: bool,
    duration: String,
    start: Moment,
}

#[derive(Debug, Serialize)]
struct Chip {
    name: String,
    colour: usize,
    spans: String,
    error: bool,
}

fn names(services: &[ServiceInfo]) -> Vec<String> {
    services
        .iter()
        .map(|service| service.service.clone())
        .collect()
}

fn request(search: &Search, backlog: u32) -> TailRequest {
    TailRequest {
        signal: Signal::Spans.into(),
        query: search.query(),
        backlog,
    }
}

fn rows(traces: &[Open], known: &[String], search: &Search) -> Vec<Row> {
    let shown = traces
        .iter()
        .flat_map(|open| open.services.keys().chain([&open.service]));
    let palette = Palette::new(known.iter().map(String::as_str), shown.map(String::as_str));
    let nouns = match search.query().is_empty() {
        true => ("span", "spans"),
        false => ("matching span", "matching spans"),
    };
    traces
        .iter()
        .map(|open| row(open, &palette, nouns))
        .collect()
}

fn row(open: &Open, palette: &Palette, (one, many): (&str, &str)) -> Row {
    let id = hex(&open.id);
    let chip = |(service, (spans, errors)): (&String, &(u64, u64))| Chip {
        name: clip(service, 40),
        colour: palette.colour(service),
        spans: compact(*spans),
        error: *errors > 0,
    };
    Row {
        short: id.chars().take(8).collect(),
        number: open.spans,
        href: trace_href(&id, ""),
        id,
        service: open.service.clone(),
        colour: palette.colour(&open.service),
        name: name(&open.name),
        spans: plural(open.spans, one, many),
        errors: match open.errors {
            0 => String::new(),
            errors => plural(errors, "error", "errors"),
        },
        services: open.services.iter().map(chip).collect(),
        has_more_services: open.has_more_services,
        duration: duration(open.duration_nano()),
        start: Moment::new(open.start_unix_nano),
    }
}

/// Answers `/traces/tail`.
pub(crate) async fn tail(
    app: &Arc<App>,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let search = Search::read(params)?;
    parse(&search.q).map_err(|error| Fault::input(error.to_string()))?;
    let resume = Resume::read(params, headers)?;
    let slot = slot(app)?;
    let services = app.ask.services().await?;
    let source = app
        .ask
        .tail(request(&search, resume.backlog(BACKLOG)))
        .await?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let reader = Reader {
        open: OpenTraces::new(app.config.live_traces_max),
        app: Arc::clone(app),
        known: names(&services),
        search,
        resume,
        is_in_backlog: true,
        dropped: 0,
        passed: 0,
        gap: false,
        interrupted: None,
    };
    tokio::spawn(reader.run(source, sender, slot));
    let events: ReceiverStream<Result<Event, Infallible>> = ReceiverStream::new(receiver);
    Ok(reply_with(events))
}

fn reply_with(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + Sync + 'static,
) -> Response {
    warp::sse::reply(warp::sse::keep_alive().stream(events)).into_response()
}

/// One reader of the tail: what it is told next.
struct Reader {
    app: Arc<App>,
    search: Search,
    known: Vec<String>,
    open: OpenTraces,
    resume: Resume,
    /// Nothing is told before the backlog is there, so that the rows begin as the page has them.
    is_in_backlog: bool,
    dropped: u64,
    passed: u64,
    gap: bool,
    interrupted: Option<String>,
}

impl Reader {
    /// Runs until the browser leaves, the consumer ends the tail, or the dashboard stops.
    async fn run(
        mut self,
        mut source: Streaming<TailResponse>,
        sender: mpsc::Sender<Result<Event, Infallible>>,
        _slot: OwnedSemaphorePermit,
    ) {
        let mut rhythm = interval(RHYTHM);
        rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_due = true;
        let app = Arc::clone(&self.app);
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                () = sender.closed() => return,
                step = source.message() => match step {
                    Ok(Some(step)) => self.take(step),
                    _ => break,
                },
                _ = rhythm.tick(), if !is_due => is_due = true,
                room = sender.reserve(), if is_due && self.has_news() => {
                    let Ok(room) = room else { return };
                    if let Some(event) = self.event() {
                        room.send(Ok(event));
                    }
                    is_due = self.has_news();
                }
            }
        }
        // The browser connects again; a closed channel means that it has left.
        let _ = sender
            .send(Ok(Event::default().event("away").data("")))
            .await;
    }

    fn take(&mut self, step: TailResponse) {
        self.dropped = self.dropped.saturating_add(step.dropped);
        if !step.interrupted.is_empty() {
            self.interrupted = Some(said(&step.interrupted));
        }
        self.open.take(&step.spans, &step.resources);
        let keys = step.spans.iter().filter_map(|hit| hit.key.as_ref());
        self.gap |= self.resume.see(keys, step.backlog_done);
        if self.is_in_backlog && step.backlog_done {
            self.is_in_backlog = false;
            // More than can be remembered is no loss of a reader that has just come.
            self.open.take_unseen();
            if !self.resume.is_again() {
                self.open.tell_only_the_last(ROWS_FIRST);
            }
        }
        self.passed = self.passed.saturating_add(match self.is_in_backlog {
            true => 0,
            false => self.open.take_unseen(),
        });
    }

    fn has_news(&self) -> bool {
        let has_words = self.gap || self.dropped > 0 || self.passed > 0;
        let has_rows = !self.is_in_backlog && self.open.has_changes();
        has_words || self.interrupted.is_some() || has_rows
    }

    /// What is told next: losses first.
    fn event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.gap) {
            return Some(Event::default().event("gap").data(""));
        }
        for (name, count) in [("dropped", &mut self.dropped), ("passed", &mut self.passed)] {
            if *count > 0 {
                let count = std::mem::take(count).to_string();
                return Some(Event::default().event(name).data(count));
            }
        }
        if let Some(words) = self.interrupted.take() {
            return text_event(&self.app, "interrupted", &words);
        }
        let changes = self.open.changes(ROWS_OF_EVENT);
        let rows = rows(&changes, &self.known, &self.search);
        let view = serde_json::json!({ "rows": rows });
        match self.app.views.part("live_rows.html", &view) {
            Ok(html) => {
                text_event(&self.app, "rows", &html).map(|event| event.id(self.resume.id()))
            }
            Err(fault) => {
                slog::error!(self.app.log, "a tail's rows could not be rendered"; "error" => fault.message());
                None
            }
        }
    }
}
