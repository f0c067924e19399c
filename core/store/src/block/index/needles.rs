//! Which needles a piece has: the members of its filter, each as a 64-bit hash.
//!
//! | member | hash |
//! |---|---|
//! | a token of a text ([`Record::any_text`](log_tracer_query::Record::any_text)) or of a body | xxh3(token, seed 1) |
//! | a field | f = xxh3(key, seed 2) of an attribute, mix(256 + number) of another |
//! | a value of a field | xxh3(text in lower case, seed f) |
//! | a field has a value | mix(f + 1) |
//! | a field has values that are not held | mix(f + 2) |
//!
//! A text attribute of the record itself is not held as a value when one of its tokens is **telling**: of six
//! characters at least with a digit among them. Its tokens are there in any case, and such a one is as rare as the value.
//! Doubles and bytes are not held: hardly a query asks for one. Ids are not held: the table of traces answers for those
//! of traces, and the columns of the ids of spans are quick to read.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use log_tracer_query::{
    Field, Intrinsic, Needle, Needs, Value,
    text::{lower, tokens, value_text},
};
use log_tracer_record::{
    ResourceContext, ScopeContext,
    otlp::common::{AnyValue, KeyValue, any_value},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::fuse::{Fuse, mix};
use crate::{
    chunk::{
        attributes::Attributes,
        column::{at, text_at},
        value::{Kind, Values},
    },
    fields::any_leaf,
};

const TOKEN_SEED: u64 = 1;
const KEY_SEED: u64 = 2;
const PRESENT: u64 = 1;
const INEXACT: u64 = 2;
const OWN: u64 = 3;

/// A telling token has so many characters.
const TELLING_CHARS: usize = 6;

#[inline]
fn token_hash(token: &str) -> u64 {
    xxh3_64_with_seed(token.as_bytes(), TOKEN_SEED)
}

#[inline]
fn key_hash(key: &str) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), KEY_SEED)
}

fn intrinsic_hash(intrinsic: Intrinsic) -> u64 {
    let number = match intrinsic {
        Intrinsic::Service => 0,
        Intrinsic::Name => 1,
        Intrinsic::Kind => 2,
        Intrinsic::Status => 3,
        Intrinsic::StatusMessage => 4,
        Intrinsic::Duration => 5,
        Intrinsic::TraceId => 6,
        Intrinsic::SpanId => 7,
        Intrinsic::ParentId => 8,
        Intrinsic::Severity => 9,
        Intrinsic::Body => 10,
        Intrinsic::Scope => 11,
        Intrinsic::Event => 12,
        Intrinsic::Time => 13,
    };
    mix(256 + number)
}

fn field_hash(field: &Field) -> u64 {
    match field {
        Field::Intrinsic(intrinsic) => intrinsic_hash(*intrinsic),
        Field::Attribute(key) => key_hash(key),
    }
}

#[inline]
fn value_hash(field: u64, lowered: &str) -> u64 {
    xxh3_64_with_seed(lowered.as_bytes(), field)
}

#[inline]
fn mark(field: u64, mark: u64) -> u64 {
    mix(field.wrapping_add(mark))
}

/// Whether one of the tokens of a text in lower case is telling. Only for ASCII: elsewhere a text in lower case can be
/// cut into other tokens than the text itself.
fn is_telling(lowered: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    lowered.is_ascii()
        && lowered
            .as_bytes()
            .split(|byte| !is_letter(byte))
            .any(|token| token.len() >= TELLING_CHARS && token.iter().any(u8::is_ascii_digit))
}

/// A hash is its own hash.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type HashesSet = HashSet<u64, BuildHasherDefault<Identity>>;

/// The needles of the rows of a piece.
#[derive(Debug, Default)]
pub(crate) struct Needles {
    members: HashesSet,
    /// What was looked at before: most rows have texts that others had.
    seen: HashesSet,
}

impl Needles {
    /// The filter of all that was added, and starts anew. None when it cannot be made.
    pub(crate) fn take_filter(&mut self, bits: u32) -> Option<Fuse> {
        let hashes: Vec<u64> = self.members.drain().collect();
        self.seen.clear();
        Fuse::build(&hashes, bits)
    }

    /// Whether a filter has all that was added.
    pub(crate) fn are_all_in(&self, filter: &Fuse) -> bool {
        self.members.iter().all(|hash| filter.contains(*hash))
    }

    fn is_new(&mut self, what: u64) -> bool {
        self.seen.insert(what)
    }

    /// A field that all rows have, or that one has whose values are not held.
    pub(crate) fn add_presence(&mut self, intrinsic: Intrinsic) {
        self.members
            .insert(mark(intrinsic_hash(intrinsic), PRESENT));
    }

    /// A text that a bare word is searched in.
    pub(crate) fn add_text(&mut self, text: &str) {
        const TEXT_SEED: u64 = 3;
        if self.is_new(xxh3_64_with_seed(text.as_bytes(), TEXT_SEED)) {
            self.members
                .extend(tokens(text).map(|token| token_hash(&token)));
        }
    }

    /// A field that holds a name: one that is empty is none.
    pub(crate) fn add_name(&mut self, intrinsic: Intrinsic, name: &str) {
        if !name.is_empty() {
            self.add_value(intrinsic_hash(intrinsic), name);
        }
    }

    /// A name that may be empty.
    pub(crate) fn add_any_name(&mut self, intrinsic: Intrinsic, name: &str) {
        self.add_value(intrinsic_hash(intrinsic), name);
    }

    fn add_value(&mut self, field: u64, text: &str) {
        if self.is_new(value_hash(field, text)) {
            self.members.insert(value_hash(field, &lower(text)));
            self.members.insert(mark(field, PRESENT));
        }
    }

    /// What is shared by many rows: once a piece is enough.
    pub(crate) fn add_resource(&mut self, resource: &ResourceContext) {
        if self.is_new(mix(std::ptr::from_ref(resource).addr() as u64)) {
            self.add_any_name(Intrinsic::Service, resource.service());
            self.add_shared(&resource.resource.attributes);
        }
    }

    pub(crate) fn add_scope(&mut self, scope: &ScopeContext) {
        if self.is_new(mix(std::ptr::from_ref(scope).addr() as u64)) {
            self.add_name(Intrinsic::Scope, scope.name());
            if let Some(scope) = &scope.scope {
                self.add_shared(&scope.attributes);
            }
        }
    }

    /// Attributes that have fields, but in whose texts no word is searched.
    fn add_shared(&mut self, attributes: &[KeyValue]) {
        for attribute in attributes {
            let value = attribute.value.as_ref();
            self.add_paths(value, &attribute.key, &mut Vec::new(), false);
        }
    }

    /// The attributes of a row.
    pub(crate) fn add_attributes(&mut self, attributes: &Attributes, row: usize) {
        let values = &attributes.values;
        for item in attributes.lists.items(row) {
            let key = attributes.key(item);
            let number = at(&values.numbers, item);
            match at(&values.kinds, item) {
                Kind::Absent | Kind::Empty => {}
                Kind::Text => self.add_own_text(key_hash(key), text_at(&values.texts, item)),
                Kind::Bool => self.add_value(key_hash(key), &value_text(Value::Bool(number != 0))),
                Kind::Int => self.add_int(key_hash(key), number),
                Kind::Double | Kind::Bytes => self.add_inexact(key_hash(key)),
                Kind::Nested => {
                    let value = values.nested(number);
                    self.add_paths(Some(&value), key, &mut Vec::new(), true);
                }
            }
        }
    }

    /// The texts of attributes that are not fields: those of events.
    pub(crate) fn add_attribute_texts(&mut self, attributes: &Attributes, item: usize) {
        attributes.any_text(item, &mut |text| {
            self.add_text(text);
            false
        });
    }

    /// The body of a log record: words are searched in all its leaves, as a field.
    pub(crate) fn add_body(&mut self, bodies: &Values, row: usize) {
        let mut has_leaf = false;
        bodies.any_below(row, "", &mut |value| {
            has_leaf = true;
            self.add_text(&value_text(value));
            false
        });
        if has_leaf {
            self.add_presence(Intrinsic::Body);
        }
    }

    fn add_int(&mut self, field: u64, number: i64) {
        const INT_SEED: u64 = 4;
        if self.is_new(mix(field ^ mix(number.cast_unsigned() ^ INT_SEED))) {
            self.add_value(field, &value_text(Value::Int(number)));
        }
    }

    fn add_inexact(&mut self, field: u64) {
        self.members.insert(mark(field, PRESENT));
        self.members.insert(mark(field, INEXACT));
    }

    /// A text attribute of the record itself.
    fn add_own_text(&mut self, field: u64, text: &str) {
        // Not what `add_value` asks: a resource may have the same, whose words are not searched.
        if !self.is_new(mark(value_hash(field, text), OWN)) {
            return;
        }
        self.members.insert(mark(field, PRESENT));
        let lowered = lower(text);
        if !is_telling(&lowered) {
            self.members.insert(value_hash(field, &lowered));
        }
        self.members
            .extend(tokens(text).map(|token| token_hash(&token)));
    }

    /// All paths that lead to the leaves of a value, and what a query finds there: the leaves below `a`, `a.b`, `a.b.c`
    /// of an attribute `a` that holds maps. `ends` are where in the path its parts end.
    fn add_paths(
        &mut self,
        value: Option<&AnyValue>,
        path: &str,
        ends: &mut Vec<usize>,
        is_own: bool,
    ) {
        use any_value::Value as Otlp;
        let Some(value) = value else {
            return;
        };
        ends.push(path.len());
        match &value.value {
            Some(Otlp::KvlistValue(map)) => {
                for pair in &map.values {
                    let below = format!("{path}.{}", pair.key);
                    self.add_paths(pair.value.as_ref(), &below, ends, is_own);
                }
            }
            Some(Otlp::ArrayValue(list)) => {
                for value in &list.values {
                    self.add_paths(Some(value), path, ends, is_own);
                }
            }
            _ => {
                any_leaf(value, &mut |leaf| {
                    for end in ends.iter() {
                        let field = key_hash(path.get(..*end).unwrap_or(path));
                        self.add_leaf(field, leaf, is_own);
                    }
                    false
                });
            }
        }
        ends.pop();
    }

    fn add_leaf(&mut self, field: u64, leaf: Value<'_>, is_own: bool) {
        match leaf {
            Value::Str(text) if is_own => self.add_own_text(field, text),
            Value::Double(_) | Value::Bytes(_) => self.add_inexact(field),
            _ => self.add_value(field, &value_text(leaf)),
        }
    }
}

/// Whether a filter leaves a row that has what a query needs, its ids, times, durations and severities left aside.
pub(crate) fn can_have(filter: &Fuse, needs: &Needs) -> bool {
    needs.clauses.iter().all(|clause| {
        clause
            .any_of
            .iter()
            .any(|needle| can_have_needle(filter, needle))
    })
}

fn can_have_needle(filter: &Fuse, needle: &Needle) -> bool {
    match needle {
        Needle::Value(field, text) => can_have_value(filter, field, text),
        Needle::Token(None, token) => filter.contains(token_hash(token)),
        Needle::Token(
            Some(field @ Field::Intrinsic(Intrinsic::Body | Intrinsic::StatusMessage)),
            token,
        ) => {
            filter.contains(mark(field_hash(field), PRESENT)) && filter.contains(token_hash(token))
        }
        Needle::Token(Some(field), _)
        | Needle::TokenPrefix(Some(field), _)
        | Needle::ValuePrefix(field, _)
        | Needle::Present(field) => filter.contains(mark(field_hash(field), PRESENT)),
        Needle::Id(intrinsic, _)
        | Needle::IdPrefix(intrinsic, _)
        | Needle::Within(intrinsic, ..) => {
            filter.contains(mark(intrinsic_hash(*intrinsic), PRESENT))
        }
        Needle::TokenPrefix(None, _) => true,
    }
}

fn can_have_value(filter: &Fuse, field: &Field, lowered: &str) -> bool {
    let hash = field_hash(field);
    if !filter.contains(mark(hash, PRESENT)) {
        return false;
    }
    let has_tokens = || tokens(lowered).all(|token| filter.contains(token_hash(&token)));
    match field {
        Field::Intrinsic(Intrinsic::Body | Intrinsic::StatusMessage) => {
            !lowered.is_ascii() || has_tokens()
        }
        Field::Intrinsic(
            Intrinsic::Service
            | Intrinsic::Name
            | Intrinsic::Kind
            | Intrinsic::Status
            | Intrinsic::Scope
            | Intrinsic::Event,
        ) => filter.contains(value_hash(hash, lowered)),
        Field::Intrinsic(_) => true,
        Field::Attribute(_) => {
            filter.contains(mark(hash, INEXACT))
                || filter.contains(value_hash(hash, lowered))
                || is_telling(lowered) && has_tokens()
        }
    }
}

/// Which of a field's needles are of no use without the trace table.
pub(crate) fn trace_ids(needs: &Needs) -> Option<Vec<u128>> {
    let to_number = |id: &[u8]| Some(u128::from_be_bytes(id.try_into().ok()?));
    let ids = needs.ids(Intrinsic::TraceId)?;
    Some(ids.into_iter().filter_map(to_number).collect())
}
