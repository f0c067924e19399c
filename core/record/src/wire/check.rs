//! The walk that looks at every byte of a request once.

use std::mem::size_of;

use super::{
    NotPlain,
    key::{
        any_value, array, entity, event, key_value, link, log, map, resource, scope, span, status,
    },
    reader::Reader,
    view::Text,
};
use crate::{
    SpanId, TraceId,
    otlp::{
        common::{AnyValue, EntityRef, KeyValue},
        trace::span::{Event, Link},
    },
};

/// How many messages may lie in each other below a message: prost refuses deeper ones.
pub(super) type Depth = u32;

/// prost's limit (`RECURSION_LIMIT`), of a request itself.
pub(super) const DEPTH_MAX: Depth = 100;

/// What an allocator keeps for itself with each allocation, and what it rounds up to.
const ALLOCATION_BYTES: usize = 16;
/// The list that is allocated for a first element.
const FIRST_CAPACITY: usize = 4;

/// What is found out about a request on the way.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// What the decoded request would take, in bytes.
    pub(super) heap_bytes: usize,
}

/// What a record says about where it belongs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head<'a> {
    pub(crate) trace_id: &'a [u8],
    pub(super) span_id: &'a [u8],
    /// Whether its sender gave it a time.
    pub(super) is_timed: bool,
}

impl Head<'_> {
    /// Whether OTLP calls a span with these ids valid.
    pub(super) fn is_valid_span(&self) -> bool {
        TraceId::from_bytes(self.trace_id).is_some() && SpanId::from_bytes(self.span_id).is_some()
    }
}

/// A message that may be there once: twice, and prost merges the two.
#[derive(Default)]
pub(super) struct Once(bool);

impl Once {
    pub(super) fn see(&mut self) -> Result<(), NotPlain> {
        let first = !std::mem::replace(&mut self.0, true);
        first.then_some(()).ok_or(NotPlain)
    }
}

/// The depth of a message in another one.
pub(super) fn below(depth: Depth) -> Result<Depth, NotPlain> {
    depth.checked_sub(1).ok_or(NotPlain)
}

/// What the bytes of a message are, keys, lengths and numbers among them: where all of them are ASCII, so is every text.
/// Most attributes are, and to look at one as a whole costs less than to look at its key and its value.
#[derive(Clone, Copy)]
enum Letters {
    Ascii,
    Any,
}

impl Letters {
    #[inline]
    fn of(message: &[u8]) -> Self {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let (words, rest) = message.as_chunks::<8>();
        let words = words
            .iter()
            .fold(0, |all, word| all | u64::from_le_bytes(*word));
        // Of a short rest the bytes before it are looked at again.
        let rest = match message.last_chunk::<8>() {
            Some(last) => u64::from_le_bytes(*last),
            None => rest.iter().fold(0, |all, byte| all | u64::from(*byte)),
        };
        match (words | rest) & HIGH {
            0 => Self::Ascii,
            _ => Self::Any,
        }
    }
}

impl Walk {
    #[inline]
    fn allocated(&mut self, bytes: usize) {
        self.heap_bytes = self.heap_bytes.saturating_add(bytes);
    }

    /// Bytes of any kind.
    #[inline]
    pub(super) fn blob<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.allocated(bytes.len() + ALLOCATION_BYTES);
        bytes
    }

    #[inline]
    pub(super) fn text<'a>(&mut self, bytes: &'a [u8]) -> Result<Text<'a>, NotPlain> {
        self.text_in(bytes, Letters::Any)
    }

    /// A text in a message of which is known what its bytes are.
    #[inline]
    fn text_in<'a>(&mut self, bytes: &'a [u8], letters: Letters) -> Result<Text<'a>, NotPlain> {
        self.allocated(bytes.len() + ALLOCATION_BYTES);
        match letters {
            Letters::Ascii => Ok(Text::unchecked(bytes)),
            Letters::Any => Text::checked(bytes),
        }
    }

    /// A list of so many elements, which grows by doubling.
    pub(super) fn list<T>(&mut self, elements: usize) {
        if elements > 0 {
            let capacity = elements.next_power_of_two().max(FIRST_CAPACITY);
            self.allocated(capacity.saturating_mul(size_of::<T>()));
        }
    }

    /// A field that is none of `numbers`: unknown ones are skipped, and known ones of another type are errors.
    #[cold]
    pub(super) fn unknown(
        &mut self,
        fields: &mut Reader<'_>,
        key: u32,
        numbers: u32,
        depth: Depth,
    ) -> Result<(), NotPlain> {
        let is_known = 1_u32
            .checked_shl(key >> 3)
            .is_some_and(|bit| numbers & bit != 0);
        // At the limit, prost does not skip either.
        if is_known || depth == 0 {
            return Err(NotPlain);
        }
        if let Some(bytes) = fields.skip(key)? {
            self.blob(bytes);
        }
        Ok(())
    }

    pub(super) fn resource(&mut self, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let (mut attributes, mut entities) = (0, 0);
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                resource::ATTRIBUTES => {
                    attributes += 1;
                    self.key_value(fields.bytes()?, below(depth)?)?;
                }
                resource::DROPPED_ATTRIBUTES => fields.varint().map(drop)?,
                resource::ENTITIES => {
                    entities += 1;
                    self.entity(fields.bytes()?, below(depth)?)?;
                }
                _ => self.unknown(&mut fields, key, resource::NUMBERS, depth)?,
            }
        }
        self.list::<KeyValue>(attributes);
        self.list::<EntityRef>(entities);
        Ok(())
    }

    fn entity(&mut self, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let (mut id_keys, mut description_keys) = (0, 0);
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                entity::SCHEMA_URL | entity::TYPE => self.text(fields.bytes()?).map(drop)?,
                entity::ID_KEYS => {
                    id_keys += 1;
                    self.text(fields.bytes()?)?;
                }
                entity::DESCRIPTION_KEYS => {
                    description_keys += 1;
                    self.text(fields.bytes()?)?;
                }
                _ => self.unknown(&mut fields, key, entity::NUMBERS, depth)?,
            }
        }
        self.list::<String>(id_keys);
        self.list::<String>(description_keys);
        Ok(())
    }

    pub(super) fn scope(&mut self, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let mut attributes = 0;
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                scope::NAME | scope::VERSION => self.text(fields.bytes()?).map(drop)?,
                scope::ATTRIBUTES => {
                    attributes += 1;
                    self.key_value(fields.bytes()?, below(depth)?)?;
                }
                scope::DROPPED_ATTRIBUTES => fields.varint().map(drop)?,
                _ => self.unknown(&mut fields, key, scope::NUMBERS, depth)?,
            }
        }
        self.list::<KeyValue>(attributes);
        Ok(())
    }

    pub(super) fn span<'a>(
        &mut self,
        message: &'a [u8],
        depth: Depth,
    ) -> Result<Head<'a>, NotPlain> {
        let mut head = Head::default();
        let (mut attributes, mut events, mut links) = (0, 0, 0);
        let mut status = Once::default();
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                span::ATTRIBUTES => {
                    attributes += 1;
                    self.key_value(fields.bytes()?, below(depth)?)?;
                }
                span::TRACE_ID => head.trace_id = self.blob(fields.bytes()?),
                span::SPAN_ID => head.span_id = self.blob(fields.bytes()?),
                span::PARENT_SPAN_ID => fields.bytes().map(|bytes| self.blob(bytes)).map(drop)?,
                span::TRACE_STATE | span::NAME => self.text(fields.bytes()?).map(drop)?,
                span::START => head.is_timed = fields.fixed64()? != 0,
                span::END => fields.fixed64().map(drop)?,
                span::KIND
                | span::DROPPED_ATTRIBUTES
                | span::DROPPED_EVENTS
                | span::DROPPED_LINKS => fields.varint().map(drop)?,
                span::FLAGS => fields.fixed32().map(drop)?,
                span::EVENTS => {
                    events += 1;
                    self.event(fields.bytes()?, below(depth)?)?;
                }
                span::LINKS => {
                    links += 1;
                    self.link(fields.bytes()?, below(depth)?)?;
                }
                span::STATUS => {
                    status.see()?;
                    let message = self.blob(fields.bytes()?);
                    self.status(message, below(depth)?)?;
                }
                _ => self.unknown(&mut fields, key, span::NUMBERS, depth)?,
            }
        }
        self.list::<KeyValue>(attributes);
        self.list::<Event>(events);
        self.list::<Link>(links);
        Ok(head)
    }

    fn event(&mut self, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let mut attributes = 0;
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                event::TIME => fields.fixed64().map(drop)?,
                event::NAME => self.text(fields.bytes()?).map(drop)?,
                event::ATTRIBUTES => {
                    attributes += 1;
                    self.key_value(fields.bytes()?, below(depth)?)?;
                }
                event::DROPPED_ATTRIBUTES => fields.varint().map(drop)?,
                _ => self.unknown(&mut fields, key, event::NUMBERS, depth)?,
            }
        }
        self.list::<KeyValue>(attributes);
        Ok(())
    }

    fn link(&mut self, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let mut attributes = 0;
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                link::TRACE_ID | link::SPAN_ID => {
                    fields.bytes().map(|bytes| self.blob(bytes)).map(drop)?
                }
                link::TRACE_STATE => self.text(fields.bytes()?).map(drop)?,
                link::ATTRIBUTES => {
                    attributes += 1;
                    self.key_value(fields.bytes()?, below(depth)?)?;
                }
                link::DROPPED_ATTRIBUTES => fields.varint().map(drop)?,
                link::FLAGS => fields.fixed32().map(drop)?,
                _ => self.unknown(&mut fields, key, link::NUMBERS, depth)?,
            }
        }
        self.list::<KeyValue>(attributes);
        Ok(())
    }

    fn status(&mut self, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                // Its bytes are counted with those of the message.
                status::MESSAGE => Text::checked(fields.bytes()?).map(drop)?,
                status::CODE => fields.varint().map(drop)?,
                _ => self.unknown(&mut fields, key, status::NUMBERS, depth)?,
            }
        }
        Ok(())
    }

    pub(super) fn log<'a>(
        &mut self,
        message: &'a [u8],
        depth: Depth,
    ) -> Result<Head<'a>, NotPlain> {
        let mut head = Head::default();
        let (mut time, mut observed_time, mut attributes) = (0, 0, 0);
        let mut body = Once::default();
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                log::ATTRIBUTES => {
                    attributes += 1;
                    self.key_value(fields.bytes()?, below(depth)?)?;
                }
                log::BODY => {
                    body.see()?;
                    self.any_value(fields.bytes()?, Letters::Any, below(depth)?)?;
                }
                log::TIME => time = fields.fixed64()?,
                log::OBSERVED_TIME => observed_time = fields.fixed64()?,
                log::SEVERITY_NUMBER | log::DROPPED_ATTRIBUTES => fields.varint().map(drop)?,
                log::SEVERITY_TEXT | log::EVENT_NAME => self.text(fields.bytes()?).map(drop)?,
                log::FLAGS => fields.fixed32().map(drop)?,
                log::TRACE_ID => head.trace_id = self.blob(fields.bytes()?),
                log::SPAN_ID => head.span_id = self.blob(fields.bytes()?),
                _ => self.unknown(&mut fields, key, log::NUMBERS, depth)?,
            }
        }
        self.list::<KeyValue>(attributes);
        head.is_timed = time != 0 || observed_time != 0;
        Ok(head)
    }

    #[inline]
    fn key_value(&mut self, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let letters = Letters::of(message);
        let mut value = Once::default();
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                key_value::KEY => self.text_in(fields.bytes()?, letters).map(drop)?,
                key_value::VALUE => {
                    value.see()?;
                    self.any_value(fields.bytes()?, letters, below(depth)?)?;
                }
                key_value::KEY_STRINDEX => fields.varint().map(drop)?,
                _ => self.unknown(&mut fields, key, key_value::NUMBERS, depth)?,
            }
        }
        Ok(())
    }

    #[inline]
    fn any_value(
        &mut self,
        message: &[u8],
        letters: Letters,
        depth: Depth,
    ) -> Result<(), NotPlain> {
        // Of two alternatives the last one counts, but two lists, or two maps, become one.
        let mut merges_with = 0;
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                any_value::STRING => self.text_in(fields.bytes()?, letters).map(drop)?,
                any_value::INT | any_value::BOOL | any_value::STRINDEX => {
                    fields.varint().map(drop)?
                }
                any_value::DOUBLE => fields.fixed64().map(drop)?,
                any_value::BYTES => fields.bytes().map(|bytes| self.blob(bytes)).map(drop)?,
                any_value::ARRAY | any_value::MAP if merges_with == key => return Err(NotPlain),
                any_value::ARRAY => self.array(fields.bytes()?, letters, below(depth)?)?,
                any_value::MAP => self.map(fields.bytes()?, below(depth)?)?,
                _ => {
                    self.unknown(&mut fields, key, any_value::NUMBERS, depth)?;
                    continue;
                }
            }
            merges_with = key;
        }
        Ok(())
    }

    fn array(&mut self, message: &[u8], letters: Letters, depth: Depth) -> Result<(), NotPlain> {
        let mut values = 0;
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                array::VALUES => {
                    values += 1;
                    self.any_value(fields.bytes()?, letters, below(depth)?)?;
                }
                _ => self.unknown(&mut fields, key, array::NUMBERS, depth)?,
            }
        }
        self.list::<AnyValue>(values);
        Ok(())
    }

    fn map(&mut self, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let mut values = 0;
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                map::VALUES => {
                    values += 1;
                    self.key_value(fields.bytes()?, below(depth)?)?;
                }
                _ => self.unknown(&mut fields, key, map::NUMBERS, depth)?,
            }
        }
        self.list::<KeyValue>(values);
        Ok(())
    }
}
