//! One trace in numbers, put together from those who hold some of it.
//!
//! An outline is small, so that each is read to its end before it is merged: when one breaks off, the replica is asked for
//! all of it. When there are several, their spans are merged by start and their logs by time, and spans that are equal in
//! all their numbers, and lie on two consumers, are one. `GetTrace` compares whole spans instead; a difference that no
//! number shows is left to it.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, stream};
use log_tracer_proto::v1::{
    GetTraceOutlineRequest, GetTraceOutlineResponse, OutlineLogs, OutlineSpans, ResourceEntry,
};
use prost::Message;
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use super::missing;
use crate::{
    config::limit,
    fan::{Client, Fan, Round},
    merge::covering::Covering,
    peer::Kind,
};

/// What a span or a log record takes in its columns, at most, and a text or a resource beside itself.
const ROW_BYTES: usize = 64;
const ENTRY_BYTES: usize = 16;

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
        .ask_all(&view, Kind::Trace, deadline, read(&request))
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
        _ => merge(found, &request, config.piece_bytes_max, &mut covering),
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

/// A span, with its numbers in the tables of all consumers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Span {
    start: u64,
    end: u64,
    id: [u8; 8],
    parent: [u8; 8],
    name: u32,
    resource: u32,
    value: u32,
    kind: u8,
    status: u8,
    matches: u8,
}

#[derive(Clone, Copy, Debug)]
struct Log {
    time: u64,
    span: [u8; 8],
    resource: u32,
    severity: u8,
    matches: u8,
}

/// Texts or resources, each once, and where each is used first.
#[derive(Debug)]
struct Table<T> {
    entries: Vec<T>,
    by_key: HashMap<Vec<u8>, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            by_key: HashMap::new(),
        }
    }
}

impl<T> Table<T> {
    fn number(&mut self, key: Vec<u8>, entry: T) -> u32 {
        let next = self.entries.len() as u32;
        let number = *self.by_key.entry(key).or_insert(next);
        if number == next {
            self.entries.push(entry);
        }
        number
    }
}

#[derive(Debug, Default)]
struct Tables {
    resources: Table<ResourceEntry>,
    names: Table<String>,
    values: Table<String>,
}

/// All spans and logs, by the number of their consumer.
#[derive(Debug, Default)]
struct Rows {
    spans: Vec<(usize, Span)>,
    logs: Vec<(usize, Log)>,
    duplicate_spans: u64,
}

fn merge(
    found: Vec<Vec<GetTraceOutlineResponse>>,
    request: &GetTraceOutlineRequest,
    piece_bytes_max: usize,
    covering: &mut Covering,
) -> Vec<GetTraceOutlineResponse> {
    let mut tables = Tables::default();
    let mut rows = Rows::default();
    for (lane, pieces) in found.into_iter().enumerate() {
        rows.add(lane, pieces, &mut tables);
    }
    rows.spans.sort_by_key(|(_, span)| span.start);
    rows.logs.sort_by_key(|(_, log)| log.time);
    rows.leave_equal_spans_out();
    cut(&mut rows.spans, request.spans_max, "spans", covering);
    cut(&mut rows.logs, request.logs_max, "log records", covering);
    let mut writer = Writer {
        tables: &tables,
        request,
        piece_bytes_max,
        sent: Sent::default(),
        piece: Piece::default(),
        pieces: Vec::new(),
    };
    for (_, span) in &rows.spans {
        writer.add_span(span);
    }
    for (_, log) in &rows.logs {
        writer.add_log(log);
    }
    writer.end(rows.duplicate_spans)
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

impl Rows {
    fn add(&mut self, lane: usize, pieces: Vec<GetTraceOutlineResponse>, tables: &mut Tables) {
        // The numbers of this consumer's tables in those of all.
        let (mut resources, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let of = |numbers: &[u32], own: u32| numbers.get(own as usize).copied().unwrap_or(0);
        for piece in pieces {
            let all = &mut tables.resources;
            let entries = piece.resources.into_iter();
            resources.extend(entries.map(|entry| all.number(entry.encode_to_vec(), entry)));
            let all = &mut tables.names;
            let texts = piece.names.into_iter();
            names.extend(texts.map(|text| all.number(text.clone().into_bytes(), text)));
            let all = &mut tables.values;
            let texts = piece.values.into_iter();
            values.extend(texts.map(|text| all.number(text.clone().into_bytes(), text)));
            self.duplicate_spans = self.duplicate_spans.saturating_add(piece.duplicate_spans);
            let spans = piece.spans.unwrap_or_default();
            self.spans.extend(span_rows(&spans).map(|span| {
                let value = match span.value.checked_sub(1) {
                    None => 0,
                    Some(value) => of(&values, value) + 1,
                };
                let span = Span {
                    name: of(&names, span.name),
                    resource: of(&resources, span.resource),
                    value,
                    ..span
                };
                (lane, span)
            }));
            let logs = piece.logs.unwrap_or_default();
            self.logs.extend(log_rows(&logs).map(|log| {
                let resource = of(&resources, log.resource);
                (lane, Log { resource, ..log })
            }));
        }
    }

    /// Of spans that are equal and lie on several consumers the first is left.
    fn leave_equal_spans_out(&mut self) {
        let mut is_copy = vec![false; self.spans.len()];
        let mut at = 0;
        for moment in self.spans.chunk_by(|a, b| a.1.start == b.1.start) {
            let lanes: HashSet<usize> = moment.iter().map(|(lane, _)| *lane).collect();
            let mut owners: HashMap<Span, usize> = HashMap::new();
            for (lane, span) in moment.iter().filter(|_| lanes.len() > 1) {
                let is_others = *owners.entry(*span).or_insert(*lane) != *lane;
                if let Some(is_copy) = is_copy.get_mut(at) {
                    *is_copy = is_others;
                }
                self.duplicate_spans += u64::from(is_others);
                at += 1;
            }
            if lanes.len() == 1 {
                at += moment.len();
            }
        }
        let mut is_copy = is_copy.into_iter();
        self.spans.retain(|_| is_copy.next() != Some(true));
    }
}

fn ids(column: &[u8]) -> impl Iterator<Item = [u8; 8]> + '_ {
    column.as_chunks().0.iter().copied()
}

fn span_rows(spans: &OutlineSpans) -> impl Iterator<Item = Span> + '_ {
    let columns = ids(&spans.span_ids)
        .zip(ids(&spans.parent_span_ids))
        .zip(spans.start_unix_nano.iter().zip(&spans.end_unix_nano))
        .zip(spans.names.iter().zip(&spans.resources))
        .zip(spans.kinds.iter().zip(&spans.statuses));
    columns.enumerate().map(
        |(at, ((((id, parent), (start, end)), (name, resource)), (kind, status)))| Span {
            start: *start,
            end: *end,
            id,
            parent,
            name: *name,
            resource: *resource,
            value: spans.values.get(at).copied().unwrap_or(0),
            kind: *kind,
            status: *status,
            matches: spans.matches.get(at).copied().unwrap_or(0),
        },
    )
}

fn log_rows(logs: &OutlineLogs) -> impl Iterator<Item = Log> + '_ {
    let columns = ids(&logs.span_ids)
        .zip(&logs.time_unix_nano)
        .zip(logs.severities.iter().zip(&logs.resources));
    columns
        .enumerate()
        .map(|(at, ((span, time), (severity, resource)))| Log {
            time: *time,
            span,
            resource: *resource,
            severity: *severity,
            matches: logs.matches.get(at).copied().unwrap_or(0),
        })
}

/// Writes rows as pieces, with what they use of the tables first. Tables are sent in the order of their numbers, so that a
/// row may bring some along that only later ones use.
struct Writer<'a> {
    tables: &'a Tables,
    request: &'a GetTraceOutlineRequest,
    piece_bytes_max: usize,
    sent: Sent,
    piece: Piece,
    pieces: Vec<GetTraceOutlineResponse>,
}

/// How much of each table was sent.
#[derive(Default)]
struct Sent {
    resources: usize,
    names: usize,
    values: usize,
}

/// A piece that is being written: its columns of bytes apart, which a message does not let grow.
#[derive(Default)]
struct Piece {
    bytes: usize,
    message: GetTraceOutlineResponse,
    spans: OutlineSpans,
    span_bytes: [Vec<u8>; 5],
    logs: OutlineLogs,
    log_bytes: [Vec<u8>; 3],
}

impl Writer<'_> {
    fn add_span(&mut self, span: &Span) {
        self.make_room();
        let Self {
            tables,
            sent,
            piece,
            ..
        } = self;
        let Piece { message, .. } = piece;
        piece.bytes += ROW_BYTES
            + send(
                &tables.resources,
                &mut sent.resources,
                span.resource,
                &mut message.resources,
            )
            + send(
                &tables.names,
                &mut sent.names,
                span.name,
                &mut message.names,
            );
        if let Some(value) = span.value.checked_sub(1) {
            let values = &mut message.values;
            piece.bytes += send(&tables.values, &mut sent.values, value, values);
        }
        let [own, parents, kinds, statuses, matches] = &mut piece.span_bytes;
        own.extend_from_slice(&span.id);
        parents.extend_from_slice(&span.parent);
        kinds.push(span.kind);
        statuses.push(span.status);
        if !self.request.span_query.is_empty() {
            matches.push(span.matches);
        }
        piece.spans.start_unix_nano.push(span.start);
        piece.spans.end_unix_nano.push(span.end);
        piece.spans.names.push(span.name);
        piece.spans.resources.push(span.resource);
        if !self.request.span_field.is_empty() {
            piece.spans.values.push(span.value);
        }
    }

    fn add_log(&mut self, log: &Log) {
        self.make_room();
        let Self {
            tables,
            sent,
            piece,
            ..
        } = self;
        let resources = &mut piece.message.resources;
        piece.bytes += ROW_BYTES
            + send(
                &tables.resources,
                &mut sent.resources,
                log.resource,
                resources,
            );
        let [spans, severities, matches] = &mut piece.log_bytes;
        spans.extend_from_slice(&log.span);
        severities.push(log.severity);
        if !self.request.log_query.is_empty() {
            matches.push(log.matches);
        }
        piece.logs.time_unix_nano.push(log.time);
        piece.logs.resources.push(log.resource);
    }

    fn make_room(&mut self) {
        if self.piece.bytes >= self.piece_bytes_max {
            let piece = std::mem::take(&mut self.piece);
            self.pieces.push(piece.into_message());
        }
    }

    fn end(mut self, duplicate_spans: u64) -> Vec<GetTraceOutlineResponse> {
        let mut last = self.piece.into_message();
        last.duplicate_spans = duplicate_spans;
        self.pieces.push(last);
        self.pieces
    }
}

/// Adds what was not sent of a table, up to a number; answers its bytes.
fn send<T>(table: &Table<T>, sent: &mut usize, number: u32, piece: &mut Vec<T>) -> usize
where
    T: Clone + EntryBytes,
{
    let upto = (number as usize + 1).max(*sent);
    let new = table.entries.get(*sent..upto).unwrap_or_default();
    *sent = upto;
    piece.extend_from_slice(new);
    new.iter().map(|entry| entry.bytes() + ENTRY_BYTES).sum()
}

trait EntryBytes {
    fn bytes(&self) -> usize;
}

impl EntryBytes for String {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl EntryBytes for ResourceEntry {
    fn bytes(&self) -> usize {
        self.encoded_len()
    }
}

impl Piece {
    fn into_message(self) -> GetTraceOutlineResponse {
        let [ids, parents, kinds, statuses, matches] = self.span_bytes.map(bytes::Bytes::from);
        let spans = (!ids.is_empty()).then_some(OutlineSpans {
            span_ids: ids,
            parent_span_ids: parents,
            kinds,
            statuses,
            matches,
            ..self.spans
        });
        let [ids, severities, matches] = self.log_bytes.map(bytes::Bytes::from);
        let logs = (!ids.is_empty()).then_some(OutlineLogs {
            span_ids: ids,
            severities,
            matches,
            ..self.logs
        });
        GetTraceOutlineResponse {
            spans,
            logs,
            ..self.message
        }
    }
}
