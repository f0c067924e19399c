//! One trace in numbers, put together from those who hold some of it.
//!
//! An outline is small, so that each is read to its end before it is merged: when one breaks off, the replica is asked for
//! all of it. When there are several, their spans are merged by start and their logs by time, and spans that are equal in
//! all their numbers, and lie on two consumers, are one. `GetTrace` compares whole spans instead; a difference that no
//! number shows is left to it.

mod pieces;
mod rows;

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use log_tracer_proto::v1::{GetTraceOutlineRequest, GetTraceOutlineResponse};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use super::missing;
use crate::{
    Config,
    config::limit,
    fan::{Client, Fan, Round},
    merge::covering::Covering,
    peer::Kind,
};
use pieces::{Form, Writer};
use rows::{Rows, Tables};

/// What one consumer has of a trace.
enum Found {
    Yes(Vec<GetTraceOutlineResponse>),
    /// As it said it.
    No(String),
}

/// Finds a trace; its pieces follow.
///
/// # Errors
/// As `find`.
pub(crate) async fn outline(
    fan: Arc<Fan>,
    mut request: GetTraceOutlineRequest,
    deadline: Instant,
) -> Result<impl Stream<Item = Result<GetTraceOutlineResponse, Status>> + Send + use<>, Status> {
    let begun = Instant::now();
    let _turn = fan.turn(deadline).await?;
    let view = fan.view(deadline).await;
    let config = &fan.config;
    let (spans_max, logs_max) = (config.trace_spans_max, config.trace_logs_max);
    request.spans_max = limit(request.spans_max, spans_max, spans_max);
    request.logs_max = limit(request.logs_max, logs_max, logs_max);
    let Round {
        answers,
        gaps,
        is_whole,
    } = fan
        .ask_all(&view, Kind::Outline, deadline, read(&request))
        .await?;
    let mut covering = Covering::since(begun);
    let mut found = Vec::new();
    let mut not_found = Vec::new();
    for answer in answers {
        match answer.body {
            Found::Yes(mut pieces) => {
                let coverage = pieces.last_mut().and_then(|last| last.coverage.take());
                covering.add(&answer.label, coverage);
                found.push(pieces);
            }
            Found::No(message) => not_found.push(message),
        }
    }
    if found.is_empty() {
        return Err(missing(not_found, gaps, is_whole));
    }
    gaps.into_iter().for_each(|gap| covering.miss(gap));
    let mut pieces = match found.len() {
        1 => found.pop().unwrap_or_default(),
        _ => merge(found, &request, config, &mut covering),
    };
    if let Some(last) = pieces.last_mut() {
        last.coverage = Some(covering.into_message());
    }
    Ok(stream::iter(pieces.into_iter().map(Ok)))
}

/// The question to one consumer, which is answered when its last piece is there.
fn read(
    request: &GetTraceOutlineRequest,
) -> impl Fn(Client, Duration) -> Pin<Box<dyn Future<Output = Result<Found, Status>> + Send>> + use<>
{
    let message = request.clone();
    move |mut client, timeout| {
        let mut request = Request::new(message.clone());
        request.set_timeout(timeout);
        Box::pin(async move {
            let mut answer = match client.get_trace_outline(request).await {
                Ok(answer) => answer.into_inner(),
                Err(status) if status.code() == Code::NotFound => {
                    return Ok(Found::No(status.message().to_owned()));
                }
                Err(status) => return Err(status),
            };
            let mut pieces: Vec<GetTraceOutlineResponse> = Vec::new();
            while let Some(piece) = answer.message().await? {
                pieces.push(piece);
            }
            match pieces.last() {
                Some(last) if last.coverage.is_some() => Ok(Found::Yes(pieces)),
                _ => Err(Status::data_loss("its answer broke off before its end")),
            }
        })
    }
}

/// The pieces of several consumers as one answer.
fn merge(
    found: Vec<Vec<GetTraceOutlineResponse>>,
    request: &GetTraceOutlineRequest,
    config: &Config,
    covering: &mut Covering,
) -> Vec<GetTraceOutlineResponse> {
    let mut tables = Tables::default();
    let mut rows = Rows::default();
    for (lane, pieces) in found.into_iter().enumerate() {
        rows.add(lane, pieces, &mut tables);
    }
    rows.sort();
    rows.leave_equal_spans_out();
    cut(&mut rows.spans, request.spans_max, "spans", covering);
    cut(&mut rows.logs, request.logs_max, "log records", covering);
    let mut writer = Writer::new(tables, Form::of(request, config));
    for (_, span) in &rows.spans {
        writer.add_span(span);
    }
    for (_, log) in &rows.logs {
        writer.add_log(log);
    }
    let (pieces, too_large) = writer.end(rows.duplicate_spans);
    covering.leave_out(too_large, "resources");
    pieces
}

fn cut<T>(rows: &mut Vec<T>, max: u32, name: &str, covering: &mut Covering) {
    let (count, max) = (rows.len(), max as usize);
    if count > max {
        rows.truncate(max);
        covering.miss(format!(
            "the trace has {count} {name} or more, of which the first {max} are answered"
        ));
    }
}
