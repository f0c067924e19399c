//! The resources and scopes of a chunk, each kept once.

use std::{collections::HashMap, sync::Arc};

use arrow_buffer::ScalarBuffer;
use bytes::Bytes;
use log_tracer_record::{
    ResourceContext, ScopeContext,
    otlp::{
        common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        resource::Resource,
    },
};
use prost::{Message, encoding::encode_varint};

use super::{
    column::{at, freeze, number_bytes, room_like},
    request::ContextView,
};

/// What rows share: a resource or a scope.
pub(super) trait Context: Default {
    /// Equal contexts, and only those, have equal encodings.
    fn encode(&self) -> Vec<u8>;
    /// The encoding of a context in a request, if the message is written as prost would; otherwise what decodes to it.
    fn encode_view(view: &ContextView<'_>) -> Vec<u8>;
    fn decode(encoded: Bytes) -> Self;
    /// Bytes of memory that it takes beside its encoding.
    fn memory(&self) -> usize;
}

impl Context for ResourceContext {
    fn encode(&self) -> Vec<u8> {
        let mut encoded = self.resource.encode_length_delimited_to_vec();
        encoded.extend_from_slice(self.schema_url.as_bytes());
        encoded
    }

    fn encode_view(view: &ContextView<'_>) -> Vec<u8> {
        let mut encoded = Vec::new();
        put_message(&mut encoded, view.message.unwrap_or_default());
        encoded.extend_from_slice(view.schema_url.as_bytes());
        encoded
    }

    fn decode(mut encoded: Bytes) -> Self {
        let resource = Resource::decode_length_delimited(&mut encoded).unwrap_or_default();
        Self::new(resource, String::from_utf8_lossy(&encoded).into_owned())
    }

    fn memory(&self) -> usize {
        let entities = self
            .resource
            .entity_refs
            .iter()
            .map(Message::encoded_len)
            .sum::<usize>();
        size_of::<Self>()
            + self.schema_url.len()
            + self.service().len()
            + attributes_memory(&self.resource.attributes)
            + ENTITY_FACTOR * entities
    }
}

impl Context for ScopeContext {
    fn encode(&self) -> Vec<u8> {
        let mut encoded = vec![u8::from(self.scope.is_some())];
        if let Some(scope) = &self.scope {
            encoded.extend(scope.encode_length_delimited_to_vec());
        }
        encoded.extend_from_slice(self.schema_url.as_bytes());
        encoded
    }

    fn encode_view(view: &ContextView<'_>) -> Vec<u8> {
        let mut encoded = vec![u8::from(view.message.is_some())];
        if let Some(message) = view.message {
            put_message(&mut encoded, message);
        }
        encoded.extend_from_slice(view.schema_url.as_bytes());
        encoded
    }

    fn decode(mut encoded: Bytes) -> Self {
        let has_scope = encoded.first() == Some(&1);
        bytes::Buf::advance(&mut encoded, 1);
        let scope = has_scope.then(|| {
            InstrumentationScope::decode_length_delimited(&mut encoded).unwrap_or_default()
        });
        Self {
            scope,
            schema_url: String::from_utf8_lossy(&encoded).into_owned(),
        }
    }

    fn memory(&self) -> usize {
        let scope = self.scope.as_ref();
        let of_scope = |scope: &InstrumentationScope| {
            scope.name.len() + scope.version.len() + attributes_memory(&scope.attributes)
        };
        size_of::<Self>() + self.schema_url.len() + scope.map_or(0, of_scope)
    }
}

/// A message with its length before it.
fn put_message(encoded: &mut Vec<u8>, message: &[u8]) {
    encoded.reserve(message.len() + 10);
    encode_varint(message.len() as u64, encoded);
    encoded.extend_from_slice(message);
}

/// An entity is texts: each takes a `String` of 24 bytes where the wire takes 2.
const ENTITY_FACTOR: usize = 13;

/// Bytes of memory that decoded attributes take.
fn attributes_memory(attributes: &[KeyValue]) -> usize {
    let of_one = |attribute: &KeyValue| {
        attribute.key.len() + attribute.value.as_ref().map_or(0, value_memory)
    };
    size_of_val(attributes) + attributes.iter().map(of_one).sum::<usize>()
}

fn value_memory(value: &AnyValue) -> usize {
    match &value.value {
        Some(Value::StringValue(text)) => text.len(),
        Some(Value::BytesValue(bytes)) => bytes.len(),
        Some(Value::ArrayValue(list)) => {
            size_of_val(list.values.as_slice())
                + list.values.iter().map(value_memory).sum::<usize>()
        }
        Some(Value::KvlistValue(map)) => attributes_memory(&map.values),
        _ => 0,
    }
}

/// A growing column of contexts.
#[derive(Debug)]
pub(super) struct ContextBuilder<C> {
    numbers: Vec<u32>,
    contexts: Vec<Arc<C>>,
    by_encoding: HashMap<Bytes, u32>,
    memory: usize,
    /// The context of the row before, as its sender shared it. Held only while rows are added: it would keep alive the
    /// whole request that it came in.
    last: Option<(Arc<C>, u32)>,
    /// The same of a row in a request: the place of its context there.
    last_place: Option<(u32, u32)>,
}

impl<C> Default for ContextBuilder<C> {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            contexts: Vec::new(),
            by_encoding: HashMap::new(),
            memory: 0,
            last: None,
            last_place: None,
        }
    }
}

/// What an entry of the tables takes beside the context and its encoding.
const ENTRY_BYTES: usize = 128;

impl<C: Context> ContextBuilder<C> {
    /// An empty one with room for as many rows as another column has.
    pub(super) fn like(contexts: &Contexts<C>) -> Self {
        Self {
            numbers: room_like(&contexts.numbers),
            ..Self::default()
        }
    }

    /// Adds the context of a row; answers how many bytes the column grew by.
    pub(super) fn append(&mut self, context: &Arc<C>) -> usize {
        let (number, grown) = match &self.last {
            Some((last, number)) if Arc::ptr_eq(last, context) => (*number, 0),
            _ => self.number_of(context),
        };
        self.numbers.push(number);
        size_of::<u32>() + grown
    }

    /// The same of the context of a row in a request.
    #[inline]
    pub(super) fn append_view(&mut self, view: &ContextView<'_>) -> usize {
        let (number, grown) = match self.last_place {
            Some((last, number)) if last == view.place => (number, 0),
            _ => self.number_of_view(view),
        };
        self.numbers.push(number);
        size_of::<u32>() + grown
    }

    fn number_of(&mut self, context: &Arc<C>) -> (u32, usize) {
        let (number, grown) = self.intern(context.encode().into());
        self.last = Some((Arc::clone(context), number));
        (number, grown)
    }

    fn number_of_view(&mut self, view: &ContextView<'_>) -> (u32, usize) {
        let encoded = Bytes::from(C::encode_view(view));
        // What prost wrote is found as it lies. Anything else is written anew, so that equal contexts are one.
        let (number, grown) = match self.by_encoding.get(&encoded) {
            Some(number) => (*number, 0),
            None => self.intern(C::decode(encoded).encode().into()),
        };
        self.last_place = Some((view.place, number));
        (number, grown)
    }

    /// The number of a context by its encoding, and how many bytes the column grew by.
    fn intern(&mut self, encoded: Bytes) -> (u32, usize) {
        if let Some(number) = self.by_encoding.get(&encoded) {
            return (*number, 0);
        }
        let number = u32::try_from(self.contexts.len()).unwrap_or(u32::MAX);
        // A copy of its own, so that nothing of the request stays.
        let copy = C::decode(encoded.clone());
        let grown = copy.memory() + encoded.len() + ENTRY_BYTES;
        self.contexts.push(Arc::new(copy));
        self.by_encoding.insert(encoded, number);
        self.memory += grown;
        (number, grown)
    }

    /// Lets go of what belongs to the sender.
    pub(super) fn release(&mut self) {
        self.last = None;
        self.last_place = None;
    }

    pub(super) fn freeze(self) -> Contexts<C> {
        Contexts {
            numbers: freeze(self.numbers),
            contexts: self.contexts,
            missing: Arc::default(),
            memory: self.memory,
        }
    }

    pub(super) fn snapshot(&self) -> Contexts<C> {
        Contexts {
            numbers: self.numbers.clone().into(),
            contexts: self.contexts.clone(),
            missing: Arc::default(),
            memory: self.memory,
        }
    }
}

/// A column of contexts.
#[derive(Debug)]
pub(crate) struct Contexts<C> {
    numbers: ScalarBuffer<u32>,
    contexts: Vec<Arc<C>>,
    /// The context of a row that is not there, which no caller asks for.
    missing: Arc<C>,
    memory: usize,
}

impl<C: Default> Contexts<C> {
    /// From the number of the context of each row. Whoever shares the contexts with others counts their bytes.
    pub(crate) fn shared(numbers: Vec<u32>, contexts: Vec<Arc<C>>) -> Self {
        let memory = contexts.len() * size_of::<Arc<C>>();
        Self {
            numbers: freeze(numbers),
            contexts,
            missing: Arc::default(),
            memory,
        }
    }
}

impl<C> Contexts<C> {
    /// The number of a row's context, below the length of [`Self::all`].
    #[inline]
    pub(crate) fn number(&self, row: usize) -> usize {
        at(&self.numbers, row) as usize
    }

    /// The context of a row.
    #[inline]
    pub(crate) fn of(&self, row: usize) -> &Arc<C> {
        self.contexts.get(self.number(row)).unwrap_or(&self.missing)
    }

    pub(crate) fn all(&self) -> &[Arc<C>] {
        &self.contexts
    }

    pub(crate) fn bytes(&self) -> usize {
        number_bytes(&self.numbers) + self.memory
    }
}
