//! One trace in numbers, put together from those who hold some of it.
//!
//! An outline is small, so that each is read to its end before it is merged: when one breaks off, the replica is asked for
//! all of it. Of one that is not small so much is read as [`Config::outline_bytes_max`] says. When there are several, their
//! spans are merged by start and their logs by time, and spans that are equal in all their numbers, and lie on two
//! consumers, are one. `GetTrace` compares whole spans instead; a difference that no number shows is left to it.
//!
//! When a consumer has more than it answers, nothing is answered that is later than the last of what it did answer: there
//! would be a gap before it.

mod pieces;
mod rows;

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use log_tracer_proto::v1::{GetTraceOutlineRequest, GetTraceOutlineResponse};
use prost::Message;
use slog::error;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
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
    Yes(Part),
    /// As it said it.
    No(String),
}

/// What was read of the outline of one consumer.
struct Part {
    pieces: Vec<GetTraceOutlineResponse>,
    /// Whether there was more than is read.
    is_cut: bool,
}

/// Finds a trace; its pieces follow.
///
/// # Errors
/// As `find`; and UNIMPLEMENTED when a set of consumers is too old to know outlines.
pub(crate) async fn outline(
    fan: Arc<Fan>,
    mut request: GetTraceOutlineRequest,
    deadline: Instant,
) -> Result<impl Stream<Item = Result<GetTraceOutlineResponse, Status>> + Send + use<>, Status> {
    let begun = Instant::now();
    let turn = fan.turn(deadline).await?;
    let view = fan.view(deadline).await;
    let config = &fan.config;
    let (spans_max, logs_max) = (config.trace_spans_max, config.trace_logs_max);
    request.spans_max = limit(request.spans_max, spans_max, spans_max);
    request.logs_max = limit(request.logs_max, logs_max, logs_max);
    let bytes_max = config.outline_bytes_max;
    let Round {
        answers,
        gaps,
        is_whole,
    } = fan
        .ask_all(&view, Kind::Outline, deadline, read(&request, bytes_max))
        .await?;
    let mut covering = Covering::since(begun);
    let mut found = Vec::new();
    let mut not_found = Vec::new();
    for answer in answers {
        match answer.body {
            Found::Yes(part) => {
                let coverage = part.pieces.last().and_then(|last| last.coverage.clone());
                match part.is_cut {
                    true => covering.miss(format!(
                        "{}: its outline is larger than the {bytes_max} bytes that are read of it, and its end is missing",
                        answer.label
                    )),
                    false => covering.add(&answer.label, coverage),
                }
                found.push(part);
            }
            Found::No(message) => not_found.push(message),
        }
    }
    if found.is_empty() {
        return Err(missing(not_found, gaps, is_whole));
    }
    gaps.into_iter().for_each(|gap| covering.miss(gap));
    let work = Work {
        found,
        request,
        covering,
        turn,
    };
    let (pieces, turn) = work.run(fan).await?;
    // The turn lasts until the client has all of it, since it is held until then.
    let state = (pieces.into_iter(), turn);
    Ok(stream::unfold(state, |(mut pieces, turn)| async {
        let piece = pieces.next()?;
        Some((Ok(piece), (pieces, turn)))
    }))
}

/// The question to one consumer, which is answered when its last piece is there, or as much as is read.
fn read(
    request: &GetTraceOutlineRequest,
    bytes_max: usize,
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
            let mut bytes = 0;
            while let Some(piece) = answer.message().await? {
                bytes += piece.encoded_len() + size_of_val(&piece);
                let is_cut = piece.coverage.is_none();
                pieces.push(piece);
                if bytes > bytes_max {
                    return Ok(Found::Yes(Part { pieces, is_cut }));
                }
            }
            match pieces.last() {
                Some(last) if last.coverage.is_some() => Ok(Found::Yes(Part {
                    pieces,
                    is_cut: false,
                })),
                _ => Err(Status::data_loss("its answer broke off before its end")),
            }
        })
    }
}

/// What is put together, and whose turn it is meanwhile.
struct Work {
    found: Vec<Part>,
    request: GetTraceOutlineRequest,
    covering: Covering,
    turn: OwnedSemaphorePermit,
}

impl Work {
    /// The answer, and the turn that it takes. On a blocking thread, since that of a large trace takes a while; when
    /// nobody waits for it any more the turn ends with it.
    async fn run(
        self,
        fan: Arc<Fan>,
    ) -> Result<(Vec<GetTraceOutlineResponse>, OwnedSemaphorePermit), Status> {
        let log = fan.log.clone();
        let done = tokio::task::spawn_blocking(move || {
            let Self {
                mut found,
                request,
                mut covering,
                turn,
            } = self;
            let mut pieces = match found.len() {
                1 => found.pop().map_or_else(Vec::new, |part| part.pieces),
                _ => merge(found, &request, &fan.config, &mut covering),
            };
            if let Some(last) = pieces.last_mut() {
                last.coverage = Some(covering.into_message());
            }
            (pieces, turn)
        });
        done.await.map_err(|cause| {
            error!(log, "the outline of a trace could not be put together: this is a bug"; "error" => %cause);
            Status::internal("the answers could not be put together; the log says more")
        })
    }
}

/// The pieces of several consumers as one answer.
fn merge(
    found: Vec<Part>,
    request: &GetTraceOutlineRequest,
    config: &Config,
    covering: &mut Covering,
) -> Vec<GetTraceOutlineResponse> {
    let mut tables = Tables::default();
    let mut rows = Rows::default();
    let (mut spans_reach, mut logs_reach) = (Reach::default(), Reach::default());
    for (lane, part) in found.into_iter().enumerate() {
        let last = part.pieces.last();
        let has_more = part.is_cut
            || last.is_some_and(|last| last.coverage.as_ref().is_some_and(|it| it.partial));
        let (spans, logs) = (rows.spans.len(), rows.logs.len());
        rows.add(lane, part.pieces, &mut tables);
        let (spans, logs) = (rows.spans.get(spans..), rows.logs.get(logs..));
        let (spans, logs) = (spans.unwrap_or_default(), logs.unwrap_or_default());
        // All its spans come before its logs.
        let is_full = has_more && spans.len() >= request.spans_max as usize;
        if is_full || part.is_cut && logs.is_empty() {
            spans_reach.end_at(spans.last().map(|(_, span)| span.start_unix_nano));
        }
        let is_full = has_more && logs.len() >= request.logs_max as usize;
        if is_full || part.is_cut {
            logs_reach.end_at(logs.last().map(|(_, log)| log.time_unix_nano));
        }
    }
    rows.sort();
    rows.leave_equal_spans_out();
    let spans_end = spans_reach.count(&rows.spans, |span| span.start_unix_nano);
    cut(
        &mut rows.spans,
        spans_end,
        request.spans_max,
        "spans",
        covering,
    );
    let logs_end = logs_reach.count(&rows.logs, |log| log.time_unix_nano);
    cut(
        &mut rows.logs,
        logs_end,
        request.logs_max,
        "log records",
        covering,
    );
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

/// Until when all consumers have said what they have.
#[derive(Debug, Default)]
struct Reach(Option<u64>);

impl Reach {
    /// The last of a consumer that has more. One that has answered nothing is no bound: what others have is worth more than
    /// an empty answer.
    fn end_at(&mut self, last: Option<u64>) {
        self.0 = match (self.0, last) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// How many of the rows, which are sorted, are before that.
    fn count<T>(&self, rows: &[(usize, T)], at: impl Fn(&T) -> u64) -> usize {
        let Some(last) = self.0 else {
            return rows.len();
        };
        rows.partition_point(|(_, row)| at(row) <= last)
    }
}

fn cut<T>(rows: &mut Vec<T>, end: usize, max: u32, name: &str, covering: &mut Covering) {
    let (count, max) = (rows.len(), end.min(max as usize));
    if count > max {
        rows.truncate(max);
        covering.miss(format!(
            "the trace has {count} {name} or more, of which the first {max} are answered"
        ));
    }
}
