//! Writes a message anew in ways that protobuf allows: fields in another order, unknown ones between them, some twice,
//! numbers in more bytes than they need.

use prost::encoding::{WireType, decode_key, decode_varint, encode_varint};

/// Which of the fields of a message are messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TraceRequest,
    LogsRequest,
    ResourceSpans,
    ResourceLogs,
    ScopeSpans,
    ScopeLogs,
    Resource,
    Entity,
    Scope,
    Span,
    Event,
    Link,
    Status,
    LogRecord,
    KeyValue,
    AnyValue,
    Array,
    Map,
}

/// What to do to a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    /// Puts fields into another order. The elements of a list keep theirs.
    pub(crate) shuffle: bool,
    pub(crate) unknown: bool,
    pub(crate) long_numbers: bool,
    /// Repeats numbers and texts with another value before them.
    pub(crate) repeat_scalars: bool,
    /// Cuts messages that may stand once in two.
    pub(crate) split_messages: bool,
    /// Repeats an alternative of a value.
    pub(crate) repeat_alternatives: bool,
    pub(crate) groups: bool,
}

impl Ways {
    pub(crate) const NONE: Self = Self {
        shuffle: false,
        unknown: false,
        long_numbers: false,
        repeat_scalars: false,
        split_messages: false,
        repeat_alternatives: false,
        groups: false,
    };
}

impl Kind {
    /// What a field of a message is, and whether it may stand more than once.
    fn field(self, number: u32) -> Option<(Self, bool)> {
        use Kind::*;
        Some(match (self, number) {
            (TraceRequest, 1) => (ResourceSpans, true),
            (LogsRequest, 1) => (ResourceLogs, true),
            (ResourceSpans | ResourceLogs, 1) => (Resource, false),
            (ResourceSpans, 2) => (ScopeSpans, true),
            (ResourceLogs, 2) => (ScopeLogs, true),
            (ScopeSpans | ScopeLogs, 1) => (Scope, false),
            (ScopeSpans, 2) => (Span, true),
            (ScopeLogs, 2) => (LogRecord, true),
            (Resource, 1)
            | (Scope | Event, 3)
            | (Span, 9)
            | (Link, 4)
            | (LogRecord, 6)
            | (Map, 1) => (KeyValue, true),
            (Resource, 3) => (Entity, true),
            (Span, 11) => (Event, true),
            (Span, 13) => (Link, true),
            (Span, 15) => (Status, false),
            (LogRecord, 5) | (KeyValue, 2) => (AnyValue, false),
            (AnyValue, 5) => (Array, false),
            (AnyValue, 6) => (Map, false),
            (Array, 1) => (AnyValue, true),
            _ => return None,
        })
    }

    fn is_text_list(self, number: u32) -> bool {
        self == Self::Entity && matches!(number, 3 | 4)
    }
}

#[derive(Clone)]
struct Field {
    number: u32,
    wire: WireType,
    varint: u64,
    content: Vec<u8>,
}

/// Decides by numbers that run out into zeros.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn is(&mut self, wanted: bool) -> bool {
        wanted && self.next() % 3 == 1
    }
}

pub(crate) fn rewrite(
    kind: Kind,
    message: &[u8],
    ways: Ways,
    choices: &mut Choices<'_>,
) -> Vec<u8> {
    let mut fields = read(message);
    if ways.shuffle {
        shuffle(&mut fields, choices);
    }
    let mut out = Vec::new();
    for field in &fields {
        if choices.is(ways.unknown) {
            unknown(&mut out, choices);
        }
        if choices.is(ways.groups) {
            put_varint(&mut out, 900 << 3 | 3, ways, choices);
            put_varint(&mut out, 900 << 3 | 4, ways, choices);
        }
        put(kind, &mut out, field, ways, choices);
    }
    out
}

fn put(kind: Kind, out: &mut Vec<u8>, field: &Field, ways: Ways, choices: &mut Choices<'_>) {
    let below = kind.field(field.number);
    let is_list = below.is_some_and(|(_, is_list)| is_list) || kind.is_text_list(field.number);
    if below.is_none() && !is_list && choices.is(ways.repeat_scalars) {
        let mut before = field.clone();
        before.varint ^= 1;
        before.content = match field.wire {
            WireType::LengthDelimited => b"before".to_vec(),
            _ => vec![7; field.content.len()],
        };
        put_field(out, &before, ways, choices);
    }
    if kind == Kind::AnyValue && choices.is(ways.repeat_alternatives) {
        // Another alternative first, and then this one.
        let number = Field {
            number: 3,
            wire: WireType::Varint,
            varint: 5,
            content: Vec::new(),
        };
        if below.is_some() && choices.is(true) {
            put_field(out, field, Ways::NONE, choices);
        }
        put_field(out, &number, ways, choices);
    }
    let Some((below, is_list)) = below else {
        return put_field(out, field, ways, choices);
    };
    let cut_in_two = !is_list && choices.is(ways.split_messages);
    let parts = match cut_in_two {
        true => halves(&field.content),
        false => vec![field.content.clone()],
    };
    for part in parts {
        let field = Field {
            content: rewrite(below, &part, ways, choices),
            ..field.clone()
        };
        put_field(out, &field, ways, choices);
    }
}

/// A message as two, cut between two of its fields.
fn halves(message: &[u8]) -> Vec<Vec<u8>> {
    let fields = read(message);
    let (first, second) = fields.split_at(fields.len() / 2);
    let write = |fields: &[Field]| {
        let mut out = Vec::new();
        for field in fields {
            put_field(&mut out, field, Ways::NONE, &mut Choices(&[]));
        }
        out
    };
    vec![write(first), write(second)]
}

/// Elements of a list keep their order: only neighbours with different numbers change places.
fn shuffle(fields: &mut [Field], choices: &mut Choices<'_>) {
    for _ in 0..3 {
        for at in 1..fields.len() {
            if fields[at - 1].number != fields[at].number && choices.is(true) {
                fields.swap(at - 1, at);
            }
        }
    }
}

fn unknown(out: &mut Vec<u8>, choices: &mut Choices<'_>) {
    match choices.next() % 5 {
        0 => {
            encode_varint(40 << 3, out);
            encode_varint(u64::MAX, out);
        }
        1 => {
            encode_varint(1_000 << 3 | 1, out);
            out.extend([0xff; 8]);
        }
        2 => {
            encode_varint(17 << 3 | 2, out);
            encode_varint(3, out);
            out.extend([0xff; 3]);
        }
        3 => {
            encode_varint(31 << 3 | 5, out);
            out.extend([0xff; 4]);
        }
        _ => {
            encode_varint(32 << 3 | 2, out);
            encode_varint(0, out);
        }
    }
}

fn put_field(out: &mut Vec<u8>, field: &Field, ways: Ways, choices: &mut Choices<'_>) {
    let key = u64::from(field.number << 3 | field.wire as u32);
    put_varint(out, key, ways, choices);
    match field.wire {
        WireType::Varint => put_varint(out, field.varint, ways, choices),
        WireType::LengthDelimited => {
            put_varint(out, field.content.len() as u64, ways, choices);
            out.extend_from_slice(&field.content);
        }
        _ => out.extend_from_slice(&field.content),
    }
}

fn put_varint(out: &mut Vec<u8>, value: u64, ways: Ways, choices: &mut Choices<'_>) {
    encode_varint(value, out);
    if value < 1 << 40 && choices.is(ways.long_numbers) {
        if let Some(last) = out.last_mut() {
            *last |= 0x80;
        }
        out.extend([0x80, 0x00]);
    }
}

fn read(mut message: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let (number, wire) = decode_key(&mut message).unwrap();
        let mut varint = 0;
        let len = match wire {
            WireType::Varint => {
                varint = decode_varint(&mut message).unwrap();
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => decode_varint(&mut message).unwrap() as usize,
            WireType::StartGroup | WireType::EndGroup => panic!("prost writes no groups"),
        };
        let (content, rest) = message.split_at(len);
        message = rest;
        fields.push(Field {
            number,
            wire,
            varint,
            content: content.to_vec(),
        });
    }
    fields
}
