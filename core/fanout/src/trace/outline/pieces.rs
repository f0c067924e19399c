//! Rows as pieces of an answer.

use log_tracer_proto::{
    outline::{Asked, LogRow, SpanRow},
    v1::{
        GetTraceOutlineRequest, GetTraceOutlineResponse, OutlineLogs, OutlineSpans, ResourceEntry,
    },
};

use super::rows::{Table, Tables};
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
    spans: Asked,
    logs: Asked,
    piece_bytes_max: usize,
    /// A resource that is larger is left out.
    entry_bytes_max: usize,
}

impl Form {
    pub(super) fn of(request: &GetTraceOutlineRequest, config: &Config) -> Self {
        Self {
            spans: Asked {
                matches: !request.span_query.is_empty(),
                values: !request.span_field.is_empty(),
            },
            logs: Asked {
                matches: !request.log_query.is_empty(),
                values: false,
            },
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

/// A piece that is being written, without its columns.
#[derive(Default)]
struct Piece {
    bytes: usize,
    message: GetTraceOutlineResponse,
    spans: Vec<SpanRow>,
    logs: Vec<LogRow>,
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

    pub(super) fn add_span(&mut self, span: &SpanRow) {
        let (resource, new_resource) = self.take_resource(span.resource);
        let (name, new_name) = self.names.take(span.name);
        let (value, new_value) = match span.value {
            Some(value) if self.form.spans.values => {
                let (value, new) = self.values.take(value);
                (Some(value), new)
            }
            _ => (None, None),
        };
        let bytes = resource_bytes(new_resource.as_ref())
            + text_bytes(new_name.as_deref())
            + text_bytes(new_value.as_deref());
        self.make_room(ROW_BYTES + bytes);
        self.piece.message.resources.extend(new_resource);
        self.piece.message.names.extend(new_name);
        self.piece.message.values.extend(new_value);
        self.piece.spans.push(SpanRow {
            name,
            resource,
            value,
            ..*span
        });
    }

    pub(super) fn add_log(&mut self, log: &LogRow) {
        let (resource, new_resource) = self.take_resource(log.resource);
        self.make_room(ROW_BYTES + resource_bytes(new_resource.as_ref()));
        self.piece.message.resources.extend(new_resource);
        self.piece.logs.push(LogRow { resource, ..*log });
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
            self.pieces.push(piece.into_message(self.form));
        }
        self.piece.bytes += bytes;
    }

    /// All pieces, and how many resources are not in them because they are too large.
    pub(super) fn end(mut self, duplicate_spans: u64) -> (Vec<GetTraceOutlineResponse>, usize) {
        let mut last = self.piece.into_message(self.form);
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
    fn into_message(self, form: Form) -> GetTraceOutlineResponse {
        GetTraceOutlineResponse {
            spans: (!self.spans.is_empty()).then(|| OutlineSpans::of(self.spans, form.spans)),
            logs: (!self.logs.is_empty()).then(|| OutlineLogs::of(self.logs, form.logs)),
            ..self.message
        }
    }
}
