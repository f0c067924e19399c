//! Rows as pieces of an answer.

use log_tracer_proto::v1::{
    GetTraceOutlineRequest, GetTraceOutlineResponse, OutlineLogs, OutlineSpans, ResourceEntry,
};

use super::rows::{Log, Span, Table, Tables};
use crate::{
    Config,
    merge::room::{Room, framed_bytes},
};

/// What a span or a log record takes in its columns, at most.
const ROW_BYTES: usize = 64;

/// What a text takes beside itself: its tag and its length.
const TEXT_FIXED_BYTES: usize = 8;

/// Which columns an answer has, and how large it may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    span_matches: bool,
    log_matches: bool,
    values: bool,
    piece_bytes_max: usize,
    /// A resource that is larger is left out.
    entry_bytes_max: usize,
}

impl Form {
    pub(super) fn of(request: &GetTraceOutlineRequest, config: &Config) -> Self {
        Self {
            span_matches: !request.span_query.is_empty(),
            log_matches: !request.log_query.is_empty(),
            values: !request.span_field.is_empty(),
            piece_bytes_max: config.piece_bytes_max,
            entry_bytes_max: Room::in_answer(config.answer_bytes_max).left() / 2,
        }
    }
}

/// Writes rows as pieces, each with what its rows are the first to use of the tables. So a piece has its size whichever
/// consumer's tables came first, and what no row uses is not sent.
pub(super) struct Writer {
    form: Form,
    resources: Used<ResourceEntry>,
    names: Used<String>,
    values: Used<String>,
    piece: Piece,
    pieces: Vec<GetTraceOutlineResponse>,
    /// Resources that no message can carry.
    too_large: usize,
}

/// A table whose entries get their numbers when they are first used.
struct Used<T> {
    entries: Vec<T>,
    /// One more than the number of each entry in the answer; 0 when it was not used yet.
    numbers: Vec<u32>,
    count: u32,
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

impl<T: Default> Used<T> {
    fn new(table: Table<T>) -> Self {
        Self {
            numbers: vec![0; table.entries.len()],
            entries: table.entries,
            count: 0,
        }
    }

    /// The number of an entry in the answer, and the entry itself when it is used for the first time.
    fn take(&mut self, number: u32) -> (u32, Option<T>) {
        let number = number as usize;
        // A consumer may name an entry that it did not send.
        if self.numbers.len() <= number {
            self.numbers.resize(number + 1, 0);
        }
        let Some(given) = self.numbers.get_mut(number) else {
            return (0, None);
        };
        if let Some(number) = given.checked_sub(1) {
            return (number, None);
        }
        self.count += 1;
        *given = self.count;
        let entry = self.entries.get_mut(number).map(std::mem::take);
        (self.count - 1, Some(entry.unwrap_or_default()))
    }
}

impl Writer {
    pub(super) fn new(tables: Tables, form: Form) -> Self {
        Self {
            form,
            resources: Used::new(tables.resources),
            names: Used::new(tables.names),
            values: Used::new(tables.values),
            piece: Piece::default(),
            pieces: Vec::new(),
            too_large: 0,
        }
    }

    pub(super) fn add_span(&mut self, span: &Span) {
        let (resource, new_resource) = self.take_resource(span.resource);
        let (name, new_name) = self.names.take(span.name);
        let (value, new_value) = match span.value.checked_sub(1) {
            Some(value) if self.form.values => {
                let (value, new) = self.values.take(value);
                (value + 1, new)
            }
            _ => (0, None),
        };
        let bytes = resource_bytes(new_resource.as_ref())
            + text_bytes(new_name.as_deref())
            + text_bytes(new_value.as_deref());
        self.make_room(ROW_BYTES + bytes);
        let (form, piece) = (self.form, &mut self.piece);
        piece.message.resources.extend(new_resource);
        piece.message.names.extend(new_name);
        piece.message.values.extend(new_value);
        let [own, parents, kinds, statuses, matches] = &mut piece.span_bytes;
        own.extend_from_slice(&span.id);
        parents.extend_from_slice(&span.parent);
        kinds.push(span.kind);
        statuses.push(span.status);
        if form.span_matches {
            matches.push(span.matches);
        }
        piece.spans.start_unix_nano.push(span.start);
        piece.spans.end_unix_nano.push(span.end);
        piece.spans.names.push(name);
        piece.spans.resources.push(resource);
        if form.values {
            piece.spans.values.push(value);
        }
    }

    pub(super) fn add_log(&mut self, log: &Log) {
        let (resource, new_resource) = self.take_resource(log.resource);
        self.make_room(ROW_BYTES + resource_bytes(new_resource.as_ref()));
        let (form, piece) = (self.form, &mut self.piece);
        piece.message.resources.extend(new_resource);
        let [spans, severities, matches] = &mut piece.log_bytes;
        spans.extend_from_slice(&log.span);
        severities.push(log.severity);
        if form.log_matches {
            matches.push(log.matches);
        }
        piece.logs.time_unix_nano.push(log.time);
        piece.logs.resources.push(resource);
    }

    fn take_resource(&mut self, number: u32) -> (u32, Option<ResourceEntry>) {
        let (number, mut new) = self.resources.take(number);
        if let Some(entry) = &mut new
            && framed_bytes(entry) > self.form.entry_bytes_max
        {
            self.too_large += 1;
            *entry = ResourceEntry::default();
        }
        (number, new)
    }

    /// Makes room for one row. One fits always, whatever it brings along.
    fn make_room(&mut self, bytes: usize) {
        let is_full = self.piece.bytes + bytes > self.form.piece_bytes_max;
        if is_full && self.piece.bytes > 0 {
            let piece = std::mem::take(&mut self.piece);
            self.pieces.push(piece.into_message());
        }
        self.piece.bytes += bytes;
    }

    /// All pieces, and how many resources are not in them because they are too large.
    pub(super) fn end(mut self, duplicate_spans: u64) -> (Vec<GetTraceOutlineResponse>, usize) {
        let mut last = self.piece.into_message();
        last.duplicate_spans = duplicate_spans;
        self.pieces.push(last);
        (self.pieces, self.too_large)
    }
}

fn text_bytes(text: Option<&str>) -> usize {
    text.map_or(0, |text| text.len() + TEXT_FIXED_BYTES)
}

fn resource_bytes(entry: Option<&ResourceEntry>) -> usize {
    entry.map_or(0, framed_bytes)
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
