//! Log records as they arrive: a page that grows at its end.
//!
//! The list comes rendered from the server, the first of it with the page and the rest as server-sent events, so there
//! is one template for a line. Without a script the page loads itself anew.

use std::{convert::Infallible, sync::Arc};

use futures_util::Stream;
use http::StatusCode;
use log_tracer_proto::v1::{SearchLogsRequest, Signal, TailRequest, TailResponse};
use log_tracer_query::parse;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use warp::{
    reply::{Reply, Response},
    sse::Event,
};

use super::logs::{Search, edited};
use crate::{
    app::App,
    clock,
    fault::Fault,
    fit,
    lines::{LogLine, Tables, services_of},
    palette::Palette,
    params::Params,
    range::Range,
    reply,
    search::{Choice, Problem, SearchForm},
    units::clip,
    views::Shell,
    visitor::Visitor,
};

/// Lines that the page begins with.
const LINES: u32 = 200;

/// Lines that a tail repeats, so that nothing falls between the page and its events; the script drops what it has.
const BACKLOG: u32 = 100;

/// Events that wait for a slow browser; beyond them the consumer drops lines, and says how many.
const WAITING_MAX: usize = 16;

/// Answers `/logs/live`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let search = Search::read(params)?;
    if let Some(edited) = edited(&search, params)? {
        return Ok(reply::see_other(&edited.link_to("/logs/live").to_string()));
    }
    let services = app.ask.services().await?;
    let parsed =
        parse(&search.q).map_err(|error| Problem::new(&error, &search.link_to("/logs/live")));
    let mut lines = Vec::new();
    if parsed.is_ok() {
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
        lines = answer
            .hits
            .iter()
            .rev()
            .map(|hit| LogLine::of_hit(hit, tables, &palette, false))
            .collect();
    }
    let problem = parsed.err();
    let status = if problem.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let view = View {
        tail: if problem.is_some() {
            String::new()
        } else {
            search.link_to("/logs/tail").to_string()
        },
        list: search.link().to_string(),
        form: search.form("/logs/live", &services, problem),
        levels: search.levels(),
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

#[derive(Debug, Serialize)]
struct View {
    form: SearchForm,
    levels: Vec<Choice>,
    lines: Vec<LogLine>,
    /// Where the events come from.
    tail: String,
    /// The list of the same search.
    list: String,
}

/// Answers `/logs/tail`: server-sent events `lines` (rendered lines as a JSON text), `dropped` (a count), `interrupted`
/// (which of several consumers was lost or is back, as a JSON text) and `away`.
pub(crate) async fn tail(app: &Arc<App>, params: &Params) -> Result<Response, Fault> {
    let search = Search::read(params)?;
    parse(&search.q).map_err(|error| Fault::input(error.to_string()))?;
    let slot = Arc::clone(&app.tail_slots)
        .try_acquire_owned()
        .map_err(|_| {
            Fault::busy("as many live tails are open as the dashboard serves at a time")
        })?;
    let request = TailRequest {
        signal: Signal::Logs.into(),
        query: search.query(),
        backlog: BACKLOG,
    };
    let services = app.ask.services().await?;
    let known = services
        .into_iter()
        .map(|service| service.service)
        .collect();
    let source = app.ask.tail(request).await?;
    let events = events(Arc::clone(app), source, known, slot);
    Ok(warp::sse::reply(warp::sse::keep_alive().stream(events)).into_response())
}

/// Events until the browser leaves, the consumer ends the tail, or the dashboard stops.
fn events(
    app: Arc<App>,
    mut source: Streaming<TailResponse>,
    known: Vec<String>,
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
            for event in step_events(&app, &step, &known) {
                if sender.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        }
        drop(slot);
    });
    ReceiverStream::new(receiver)
}

fn step_events(app: &App, step: &TailResponse, known: &[String]) -> Vec<Event> {
    let mut events = Vec::new();
    if step.dropped > 0 {
        events.push(
            Event::default()
                .event("dropped")
                .data(step.dropped.to_string()),
        );
    }
    if !step.interrupted.is_empty() {
        // As JSON, since a line break would end the event's data.
        let said = Event::default().event("interrupted");
        match said.json_data(clip(&step.interrupted, 300)) {
            Ok(event) => events.push(event),
            Err(error) => slog::error!(app.log, "what a tail says is no JSON"; "error" => %error),
        }
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
    let html = app
        .views
        .part("lines.html", &serde_json::json!({ "lines": lines }));
    // As JSON, since a line break would end the event's data.
    match html.map(|html| Event::default().event("lines").json_data(html)) {
        Ok(Ok(event)) => events.push(event),
        Ok(Err(error)) => slog::error!(app.log, "a tail's lines are no JSON"; "error" => %error),
        Err(fault) => {
            slog::error!(app.log, "a tail's lines could not be rendered"; "error" => fault.message())
        }
    }
    events
}
