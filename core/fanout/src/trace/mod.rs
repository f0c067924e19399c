//! One trace, put together from those who hold some of it.
//!
//! Mostly that is one: its pieces are passed on as they come. When it breaks off, a replica is asked from the start, and
//! what was passed on already is left out. When there are several (see the crate's documentation), their spans are merged
//! by start and then their logs by time, equal spans of two consumers once, and the limits of the request hold for the
//! whole: what is over them is left out, the newest first.

mod lane;
mod merger;
mod outline;

use std::sync::Arc;

use futures_util::{Stream, stream};
use log_tracer_proto::v1::{GetTraceRequest, GetTraceResponse};
use tokio::time::Instant;
use tonic::Status;

use crate::{
    config::limit,
    fan::{Fan, Round, clip},
    merge::covering::Covering,
    peer::Kind,
};
use lane::{Found, Lane, find_at};
use merger::Merger;
pub(crate) use outline::outline;

/// Finds a trace; its pieces follow.
///
/// # Errors
/// NOT_FOUND when all consumers say so; UNAVAILABLE when those who answer do, and others are away.
pub(crate) async fn find(
    fan: Arc<Fan>,
    mut request: GetTraceRequest,
    deadline: Instant,
) -> Result<impl Stream<Item = Result<GetTraceResponse, Status>> + Send + use<>, Status> {
    let begun = Instant::now();
    let turn = fan.turn(deadline).await?;
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
        .ask_all(&view, Kind::Trace, deadline, find_at(&request))
        .await?;
    let mut lanes = Vec::new();
    let mut not_found = Vec::new();
    for answer in answers {
        match answer.body {
            Found::Yes(opened) => {
                let sets = view.sets.iter();
                let mut set = sets.filter(|set| set.members.contains(&answer.member));
                let others = set.next().map(|set| {
                    let all = set.members.iter().copied();
                    all.filter(|one| *one != answer.member).collect()
                });
                let others = others.unwrap_or_default();
                lanes.push(Lane::new(answer.member, answer.label, others, *opened));
            }
            Found::No(message) => not_found.push(message),
        }
    }
    if lanes.is_empty() {
        return Err(missing(not_found, gaps, is_whole));
    }
    let mut covering = Covering::since(begun);
    gaps.into_iter().for_each(|gap| covering.miss(gap));
    let merger = Merger::new(fan, view, request, deadline, lanes, covering);
    let state = (merger, turn);
    Ok(stream::unfold(state, |(mut merger, turn)| async {
        let piece = merger.next().await?;
        Some((Ok(piece), (merger, turn)))
    }))
}

/// Nobody who answered has it.
fn missing(not_found: Vec<String>, gaps: Vec<String>, is_whole: bool) -> Status {
    // Each begins with the same sentence.
    let mut text = String::new();
    for message in not_found {
        for part in message.split("; ") {
            if !text.contains(part) {
                text.push_str(if text.is_empty() { "" } else { "; " });
                text.push_str(part);
            }
        }
    }
    for gap in gaps {
        text.push_str("; ");
        text.push_str(&gap);
    }
    match is_whole {
        true => Status::not_found(clip(text)),
        false => Status::unavailable(clip(format!("not all consumers answer: {text}"))),
    }
}
