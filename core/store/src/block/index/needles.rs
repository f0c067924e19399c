//! Which needles a piece has, each as a 64-bit hash. Where they are is told by [`places`](super::places), and in blocks
//! that were written before it by a filter of each piece.
//!
//! | member | hash |
//! |---|---|
//! | a token of a text ([`Record::any_text`](log_tracer_query::Record::any_text)) or of a body | xxh3(token, seed 1) |
//! | a field | f = xxh3(key, seed 2) of an attribute, mix(256 + number) of another |
//! | a value of a field | xxh3(text in lower case, seed f) |
//! | marks of a field, two members each | mix(f + n), mix(f + n + 2^32) |
//!
//! A field has mark 1 when a row has a value of it, mark 2 when it has values that are not held, and mark 3 when it has
//! values that do not come from a text attribute of the record itself; these are held.
//!
//! A text attribute of the record itself is not held as a value when one of its tokens is **telling**: of four
//! characters at least with a digit among them. Its tokens are there in any case, and such a one is as rare as the value.
//! Doubles and bytes are not held: hardly a query asks for one. Ids are not held: the table of traces answers for those
//! of traces, and the columns of the ids of spans are quick to read.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    mem,
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

use super::{
    fuse::mix,
    places::{PieceSet, PlacesWriter},
};
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
const SHARED: u64 = 3;

/// So that one wrong answer is not enough for a mark, which many questions begin with.
const SECOND: u64 = 1 << 32;

/// A telling token has so many characters.
const TELLING_CHARS: usize = 4;

#[inline]
fn token_hash(token: &str) -> u64 {
    xxh3_64_with_seed(token.as_bytes(), TOKEN_SEED)
}

#[inline]
fn key_hash(key: &str) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), KEY_SEED)
}

fn intrinsic_hash(intrinsic: Intrinsic) -> u64 {
    mix(256 + u64::from(intrinsic_number(intrinsic)))
}

#[inline]
fn intrinsic_number(intrinsic: Intrinsic) -> u32 {
    match intrinsic {
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
    }
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

/// The hash of a text that need not be in lower case.
fn value_hash_of(field: u64, text: &str) -> u64 {
    let is_lowered = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    match text.bytes().all(is_lowered) {
        true => value_hash(field, text),
        false => value_hash(field, &lower(text)),
    }
}

#[inline]
fn mark(field: u64, mark: u64) -> u64 {
    mix(field.wrapping_add(mark))
}

#[inline]
const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether one of the tokens of a text in lower case is telling. Only for ASCII: elsewhere a text in lower case can be
/// cut into other tokens than the text itself.
fn is_telling(lowered: &str) -> bool {
    lowered.is_ascii()
        && lowered
            .as_bytes()
            .split(|byte| !is_letter(*byte))
            .any(is_telling_token)
}

#[inline]
fn is_telling_token(token: &[u8]) -> bool {
    token.len() >= TELLING_CHARS && token.iter().any(u8::is_ascii_digit)
}

/// Stands for a byte that is not part of a token.
const NO_LETTER: u8 = 0;

/// By byte: as part of a token, in lower case; else [`NO_LETTER`].
static LOWER_LETTERS: [u8; 256] = lower_letters();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn lower_letters() -> [u8; 256] {
    let mut letters = [NO_LETTER; 256];
    let mut byte = 0;
    while byte < 256 {
        if is_letter(byte as u8) {
            letters[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    letters
}

#[inline]
fn lower_letter(byte: u8) -> u8 {
    let letter = LOWER_LETTERS.get(usize::from(byte));
    letter.copied().unwrap_or(NO_LETTER)
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

type Hashes = HashSet<u64, BuildHasherDefault<Identity>>;

/// Places for what was looked at before; as many as fit into the nearest cache.
const RECENT: usize = 2048;

/// The needles of the rows of a piece.
#[derive(Debug)]
pub(crate) struct Needles {
    members: Hashes,
    /// What was looked at before, each at a place of its own unless another took it: most rows have texts that others
    /// had, and to look at one twice costs time only.
    recent: Vec<u64>,
    /// Intrinsic fields that a row has: a bit for each number.
    present: u32,
    /// The letters of a text in lower case.
    lowered: Vec<u8>,
}

impl Default for Needles {
    fn default() -> Self {
        Self {
            members: Hashes::default(),
            recent: vec![0; RECENT],
            present: 0,
            lowered: Vec::new(),
        }
    }
}

impl Needles {
    /// Hands all that was added over as what a piece has, and starts anew.
    pub(crate) fn hand_over(&mut self, piece: u32, places: &mut PlacesWriter) {
        self.finish();
        self.members
            .drain()
            .for_each(|hash| places.add(hash, piece));
        self.recent.fill(0);
    }

    /// All that was added.
    pub(crate) fn hashes(&mut self) -> impl Iterator<Item = u64> {
        self.finish();
        self.members.iter().copied()
    }

    fn finish(&mut self) {
        let present = mem::take(&mut self.present);
        for intrinsic in Intrinsic::ALL {
            if present >> intrinsic_number(intrinsic) & 1 == 1 {
                self.mark(intrinsic_hash(intrinsic), PRESENT);
            }
        }
    }

    #[inline]
    fn is_new(&mut self, what: u64) -> bool {
        let place = self.recent.get_mut(what as usize % RECENT);
        place.is_none_or(|place| mem::replace(place, what) != what)
    }

    fn mark(&mut self, field: u64, number: u64) {
        let hash = mark(field, number);
        if self.is_new(hash) {
            self.members.insert(hash);
            self.members.insert(mark(field, number + SECOND));
        }
    }

    /// A field that a row has.
    #[inline]
    pub(crate) fn add_presence(&mut self, intrinsic: Intrinsic) {
        self.present |= 1 << intrinsic_number(intrinsic);
    }

    /// A text that a bare word is searched in.
    pub(crate) fn add_text(&mut self, text: &str) {
        const TEXT_SEED: u64 = 3;
        if self.is_new(xxh3_64_with_seed(text.as_bytes(), TEXT_SEED)) {
            self.add_tokens(text);
        }
    }

    /// Adds the tokens of a text. Answers whether one of them is telling.
    fn add_tokens(&mut self, text: &str) -> bool {
        if !text.is_ascii() {
            let hashes = tokens(text).map(|token| token_hash(&token));
            self.members.extend(hashes);
            return false;
        }
        let mut lowered = mem::take(&mut self.lowered);
        lowered.clear();
        lowered.extend(text.bytes().map(lower_letter));
        let (mut start, mut has_digit, mut has_telling) = (0, false, false);
        // The end of the text ends a token, too.
        for (at, letter) in (0..).zip(lowered.iter().copied().chain([NO_LETTER])) {
            if letter != NO_LETTER {
                has_digit |= letter.is_ascii_digit();
                continue;
            }
            if let Some(token) = lowered.get(start..at)
                && !token.is_empty()
            {
                has_telling |= has_digit && token.len() >= TELLING_CHARS;
                let hash = xxh3_64_with_seed(token, TOKEN_SEED);
                if self.is_new(hash) {
                    self.members.insert(hash);
                }
            }
            (start, has_digit) = (at + 1, false);
        }
        self.lowered = lowered;
        has_telling
    }

    /// Whether something of a chunk, which has a number there, was not looked at before in the piece. `of` is what holds it,
    /// and stays where it is as long as rows of the piece are looked at.
    pub(crate) fn is_new_of<T>(&mut self, of: &T, number: u32) -> bool {
        let address = std::ptr::from_ref(of).addr() as u64;
        self.is_new(mix(mix(address).wrapping_add(number.into())))
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
        // Not what `add_own_text` asks: of that, the value need not be held.
        let exact = value_hash(field, text);
        if self.is_new(mix(exact)) {
            self.members.insert(value_hash_of(field, text));
            self.mark(field, PRESENT);
            self.mark(field, SHARED);
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
        let (values, fields) = (&attributes.values, attributes.key_hashes(key_hash));
        for item in attributes.lists.items(row) {
            let number = at(&values.numbers, item);
            let field = || at(fields, at(&attributes.keys, item) as usize);
            match at(&values.kinds, item) {
                Kind::Absent | Kind::Empty => {}
                Kind::Text => self.add_own_text(field(), text_at(&values.texts, item)),
                Kind::Bool => self.add_value(field(), &value_text(Value::Bool(number != 0))),
                Kind::Int => self.add_int(field(), number),
                Kind::Double | Kind::Bytes => self.add_inexact(field()),
                Kind::Nested => {
                    let value = values.nested(number);
                    let key = attributes.key(item);
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
        self.mark(field, PRESENT);
        self.mark(field, INEXACT);
    }

    /// A text attribute of the record itself.
    fn add_own_text(&mut self, field: u64, text: &str) {
        let exact = value_hash(field, text);
        if !self.is_new(exact) {
            return;
        }
        self.mark(field, PRESENT);
        if !self.add_tokens(text) {
            self.members.insert(value_hash_of(field, text));
        }
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

/// The pieces of a block that can have a row with what a query needs, its ids, times, durations and severities left
/// aside. `find` says which pieces can have a hash.
pub(crate) fn pieces_with<E>(
    needs: &Needs,
    pieces: usize,
    find: &mut dyn FnMut(u64) -> Result<PieceSet, E>,
) -> Result<PieceSet, E> {
    let mut asked = Asked { pieces, find };
    let mut found = PieceSet::all(pieces);
    for clause in &needs.clauses {
        let mut any = PieceSet::none(pieces);
        for needle in &clause.any_of {
            any = any.or(&asked.needle(needle)?);
        }
        found = found.and(&any);
        if found.is_empty() {
            break;
        }
    }
    Ok(found)
}

struct Asked<'f, E> {
    pieces: usize,
    find: &'f mut dyn FnMut(u64) -> Result<PieceSet, E>,
}

impl<E> Asked<'_, E> {
    fn hash(&mut self, hash: u64) -> Result<PieceSet, E> {
        (self.find)(hash)
    }

    /// Those that have all of some hashes, as far as is asked: what is ruled out already is not.
    fn all_of(&mut self, hashes: impl Iterator<Item = u64>) -> Result<PieceSet, E> {
        let mut found = PieceSet::all(self.pieces);
        for hash in hashes {
            found = found.and(&self.hash(hash)?);
            if found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    fn mark(&mut self, field: u64, number: u64) -> Result<PieceSet, E> {
        self.all_of([mark(field, number), mark(field, number + SECOND)].into_iter())
    }

    fn tokens(&mut self, lowered: &str) -> Result<PieceSet, E> {
        self.all_of(tokens(lowered).map(|token| token_hash(&token)))
    }

    fn needle(&mut self, needle: &Needle) -> Result<PieceSet, E> {
        match needle {
            Needle::Value(field, text) => self.value(field, text),
            Needle::Token(None, token) => self.hash(token_hash(token)),
            Needle::Token(
                Some(field @ Field::Intrinsic(Intrinsic::Body | Intrinsic::StatusMessage)),
                token,
            ) => {
                let found = self.hash(token_hash(token))?;
                self.of_field(found, field_hash(field))
            }
            Needle::Token(Some(field), _)
            | Needle::TokenPrefix(Some(field), _)
            | Needle::ValuePrefix(field, _)
            | Needle::Present(field) => self.mark(field_hash(field), PRESENT),
            Needle::Id(intrinsic, _)
            | Needle::IdPrefix(intrinsic, _)
            | Needle::Within(intrinsic, ..) => self.mark(intrinsic_hash(*intrinsic), PRESENT),
            Needle::TokenPrefix(None, _) => Ok(PieceSet::all(self.pieces)),
        }
    }

    /// Those among some that have a field. Not asked when there are none.
    fn of_field(&mut self, found: PieceSet, field: u64) -> Result<PieceSet, E> {
        match found.is_empty() {
            true => Ok(found),
            false => Ok(found.and(&self.mark(field, PRESENT)?)),
        }
    }

    fn value(&mut self, field: &Field, lowered: &str) -> Result<PieceSet, E> {
        let hash = field_hash(field);
        let found = match field {
            Field::Intrinsic(Intrinsic::Body | Intrinsic::StatusMessage) if lowered.is_ascii() => {
                self.tokens(lowered)?
            }
            Field::Intrinsic(
                Intrinsic::Service
                | Intrinsic::Name
                | Intrinsic::Kind
                | Intrinsic::Status
                | Intrinsic::Scope
                | Intrinsic::Event,
            ) => self.hash(value_hash(hash, lowered))?,
            Field::Intrinsic(_) => PieceSet::all(self.pieces),
            Field::Attribute(_) => {
                let inexact = self.mark(hash, INEXACT)?;
                self.attribute(hash, lowered)?.or(&inexact)
            }
        };
        self.of_field(found, hash)
    }

    fn attribute(&mut self, hash: u64, lowered: &str) -> Result<PieceSet, E> {
        if !is_telling(lowered) {
            return self.hash(value_hash(hash, lowered));
        }
        let mut shared = self.hash(value_hash(hash, lowered))?;
        if !shared.is_empty() {
            shared = shared.and(&self.mark(hash, SHARED)?);
        }
        Ok(self.tokens(lowered)?.or(&shared))
    }
}

/// Which of a field's needles are of no use without the trace table.
pub(crate) fn trace_ids(needs: &Needs) -> Option<Vec<u128>> {
    let to_number = |id: &[u8]| Some(u128::from_be_bytes(id.try_into().ok()?));
    let ids = needs.ids(Intrinsic::TraceId)?;
    Some(ids.into_iter().filter_map(to_number).collect())
}
