//! Records as they arrive, as server-sent events of OTLP/JSON.

use std::{convert::Infallible, sync::Arc};

use futures_util::Stream;
use log_tracer_proto::{
    json,
    v1::{Signal, TailRequest, TailResponse},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use warp::{
    reply::{Reply, Response},
    sse::Event,
};

use super::{Call, check, export, signal};
use crate::{app::App, fault::Fault};

/// Events that wait for a slow reader; beyond them the consumer drops records, and says how many.
const WAITING_MAX: usize = 16;

/// Answers a tail, until the reader leaves, the consumer ends it, or the dashboard stops.
pub(super) async fn tail(call: &Call<'_>) -> Result<Response, Fault> {
    let signal = signal(call.params)?;
    check(&call.params.text("q"))?;
    let backlog = call.params.number("backlog", 0, 1_000)?.unwrap_or(0);
    let request = TailRequest {
        signal: signal.into(),
        query: export::query(call.params, signal)?,
        // At most 1,000, so it fits.
        backlog: backlog as u32,
    };
    let slot = Arc::clone(&call.app.tail_slots)
        .try_acquire_owned()
        .map_err(|_| {
            Fault::busy("as many live tails are open as the dashboard serves at a time")
        })?;
    let source = call.app.ask.tail(request).await?;
    let events = events(Arc::clone(call.app), source, signal, slot);
    Ok(warp::sse::reply(warp::sse::keep_alive().stream(events)).into_response())
}

fn events(
    app: Arc<App>,
    mut source: Streaming<TailResponse>,
    signal: Signal,
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
                // The reader connects again; a closed channel means that it has left.
                let _ = sender
                    .send(Ok(Event::default().event("away").data("")))
                    .await;
                break;
            };
            for event in step_events(step, signal) {
                if sender.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        }
        drop(slot);
    });
    ReceiverStream::new(receiver)
}

fn step_events(step: TailResponse, signal: Signal) -> Vec<Event> {
    let mut events = Vec::new();
    if step.dropped > 0 {
        let dropped = step.dropped.to_string();
        events.push(Event::default().event("dropped").data(dropped));
    }
    if !step.interrupted.is_empty() {
        // As JSON, since a line break would end the event's data. A text always is.
        let said = serde_json::Value::from(step.interrupted.as_str()).to_string();
        events.push(Event::default().event("interrupted").data(said));
    }
    let records = match signal {
        Signal::Spans if !step.spans.is_empty() => {
            let groups = export::span_groups(step.spans, &step.resources, &step.scopes);
            json::traces_to_json(&groups)
        }
        Signal::Logs if !step.hits.is_empty() => {
            let groups = export::log_groups(step.hits, &step.resources, &step.scopes);
            json::logs_to_json(&groups)
        }
        _ => return events,
    };
    events.push(Event::default().event("records").data(records));
    events
}
