//! Attributes as columns: a list of keys and values for each row.

use std::sync::OnceLock;

use arrow_array::{Array, StringArray};
use arrow_buffer::ScalarBuffer;
use log_tracer_query::Value;
use log_tracer_record::{
    otlp::common::{AnyValue, KeyValue},
    wire::{Elements, KeyValueView},
};

use super::{
    column::{DictionaryBuilder, ListBuilder, Lists, at, freeze, number_bytes, room_like, text_at},
    plan::FieldPlan,
    value::{ValueBuilder, Values, value_bytes_max, value_view_bytes_max},
};
use crate::fields::remainder;

/// A growing column of attributes.
#[derive(Debug, Default)]
pub(crate) struct AttributesBuilder {
    lists: ListBuilder,
    keys: Vec<u32>,
    key_names: DictionaryBuilder,
    followers: Followers,
    values: ValueBuilder,
    /// Attributes that carry an index into a table of profiles, which no sender of spans or logs uses.
    key_indexes: Vec<(u32, i32)>,
}

const KEY_BYTES: usize = size_of::<u32>();

/// Which key came after which when it was seen last: attributes mostly stand in the order of some row before, and a
/// comparison is cheaper than a hash.
#[derive(Debug, Default)]
struct Followers {
    first: u32,
    after: Vec<u32>,
}

impl Followers {
    /// The number of the likely key after another one, or of the first of a row.
    #[inline]
    fn of(&self, before: Option<u32>) -> u32 {
        match before {
            None => self.first,
            Some(before) => at(&self.after, before as usize),
        }
    }

    #[inline]
    fn see(&mut self, before: Option<u32>, key: u32, likely: u32) {
        if key == likely {
            return;
        }
        let Some(before) = before else {
            self.first = key;
            return;
        };
        let before = before as usize;
        if before >= self.after.len() {
            self.after.resize(before + 1, 0);
        }
        if let Some(after) = self.after.get_mut(before) {
            *after = key;
        }
    }
}

impl AttributesBuilder {
    /// An empty one with room for what another column has.
    pub(super) fn like(attributes: &Attributes) -> Self {
        Self {
            lists: ListBuilder::like(&attributes.lists),
            keys: room_like(&attributes.keys),
            values: ValueBuilder::like(&attributes.values),
            ..Self::default()
        }
    }

    /// Adds the attributes of a row; answers how many bytes the columns grew by.
    pub(crate) fn append(&mut self, attributes: &[KeyValue]) -> usize {
        let mut bytes = attributes.len() * KEY_BYTES;
        let mut before = None;
        for attribute in attributes {
            let likely = self.followers.of(before);
            let (key, grown) = match self.key_names.bytes_of(likely) == attribute.key.as_bytes() {
                true if self.key_names.has(likely) => (likely, 0),
                _ => self.key_names.number_of(&attribute.key),
            };
            self.followers.see(before, key, likely);
            before = Some(key);
            if attribute.key_strindex != 0 {
                self.key_indexes
                    .push((self.keys.len() as u32, attribute.key_strindex));
                bytes += size_of::<(u32, i32)>();
            }
            self.keys.push(key);
            bytes += grown + self.values.append(attribute.value.as_ref());
        }
        bytes + self.lists.end(self.keys.len())
    }

    /// The same of the attributes of a row in a request.
    pub(super) fn append_views<'a>(&mut self, attributes: Elements<'a, KeyValueView<'a>>) -> usize {
        let mut bytes = 0;
        let mut before = None;
        for attribute in attributes.iter() {
            let likely = self.followers.of(before);
            let (key, grown) = match self.key_names.bytes_of(likely) == attribute.key.as_bytes() {
                true if self.key_names.has(likely) => (likely, 0),
                _ => self.key_names.number_of(attribute.key.as_str()),
            };
            self.followers.see(before, key, likely);
            before = Some(key);
            if attribute.key_strindex != 0 {
                self.key_indexes
                    .push((self.keys.len() as u32, attribute.key_strindex));
                bytes += size_of::<(u32, i32)>();
            }
            self.keys.push(key);
            bytes += KEY_BYTES + grown + self.values.append_view(attribute.value);
        }
        bytes + self.lists.end(self.keys.len())
    }

    pub(crate) fn freeze(mut self) -> Attributes {
        self.key_indexes.shrink_to_fit();
        Attributes {
            lists: self.lists.freeze(),
            keys: freeze(self.keys),
            key_names: self.key_names.freeze(),
            values: self.values.freeze(),
            key_indexes: self.key_indexes,
            key_hashes: OnceLock::new(),
        }
    }

    /// The number of a key, for [`Self::values_of`].
    pub(crate) fn key_number(&mut self, key: &str) -> u32 {
        self.key_names.number_of(key).0
    }

    /// Adds an attribute of the row that is being put together: its value has to be appended to what this answers.
    #[inline]
    pub(crate) fn values_of(&mut self, key: u32) -> &mut ValueBuilder {
        self.keys.push(key);
        &mut self.values
    }

    /// Adds an attribute of the row that is being put together as it came.
    pub(crate) fn push(&mut self, attribute: &KeyValue) {
        if attribute.key_strindex != 0 {
            self.key_indexes
                .push((self.keys.len() as u32, attribute.key_strindex));
        }
        let key = self.key_number(&attribute.key);
        self.values_of(key).append(attribute.value.as_ref());
    }

    /// Ends the attributes of a row that was put together.
    pub(crate) fn end_row(&mut self) {
        self.lists.end(self.keys.len());
    }

    pub(super) fn snapshot(&self) -> Attributes {
        Attributes {
            lists: self.lists.clone().freeze(),
            keys: self.keys.clone().into(),
            key_names: self.key_names.clone().freeze(),
            values: self.values.snapshot(),
            key_indexes: self.key_indexes.clone(),
            key_hashes: OnceLock::new(),
        }
    }
}

/// At most so many bytes do the attributes of a row add to their columns.
pub(super) fn attributes_bytes_max(attributes: &[KeyValue]) -> usize {
    let of_one = |attribute: &KeyValue| {
        KEY_BYTES + attribute.key.len() + value_bytes_max(attribute.value.as_ref())
    };
    attributes.iter().map(of_one).sum()
}

/// The same of the attributes of a row in a request.
pub(super) fn attribute_views_bytes_max<'a>(attributes: Elements<'a, KeyValueView<'a>>) -> usize {
    let of_one = |attribute: KeyValueView<'_>| {
        KEY_BYTES + attribute.key.as_bytes().len() + value_view_bytes_max(attribute.value)
    };
    attributes.iter().map(of_one).sum()
}

/// A column of attributes.
#[derive(Debug)]
pub(crate) struct Attributes {
    pub(crate) lists: Lists,
    pub(crate) keys: ScalarBuffer<u32>,
    pub(crate) key_names: StringArray,
    pub(crate) values: Values,
    pub(crate) key_indexes: Vec<(u32, i32)>,
    /// By the number of a key, its hash; worked out when it is asked for first.
    key_hashes: OnceLock<Vec<u64>>,
}

impl Attributes {
    /// By the number of a key, its hash; every caller hashes alike.
    #[inline]
    pub(crate) fn key_hashes(&self, hash: fn(&str) -> u64) -> &[u64] {
        self.key_hashes.get_or_init(|| {
            let keys = 0..self.key_names.len();
            keys.map(|key| hash(text_at(&self.key_names, key)))
                .collect()
        })
    }

    /// The attributes of a row as they came.
    pub(crate) fn row(&self, row: usize) -> Vec<KeyValue> {
        self.lists.items(row).map(|item| self.item(item)).collect()
    }

    pub(crate) fn item(&self, item: usize) -> KeyValue {
        let index = self
            .key_indexes
            .binary_search_by_key(&item, |(item, _)| *item as usize);
        KeyValue {
            key: self.key(item).to_owned(),
            value: self.values.value(item),
            key_strindex: index
                .ok()
                .and_then(|found| self.key_indexes.get(found))
                .map_or(0, |(_, index)| *index),
        }
    }

    #[inline]
    pub(crate) fn key(&self, item: usize) -> &str {
        text_at(&self.key_names, at(&self.keys, item) as usize)
    }

    /// By the number of a key: where in a path begins what is to be found below an attribute with it.
    pub(super) fn keys_on(&self, path: &str) -> Vec<Option<u32>> {
        let below = |key| {
            let rest = remainder(key, path)?;
            u32::try_from(path.len() - rest.len()).ok()
        };
        (0..self.key_names.len())
            .map(|key| below(text_at(&self.key_names, key)))
            .collect()
    }

    /// The value of the first attribute of a row with a key.
    pub(crate) fn first(&self, row: usize, key: &str) -> Option<AnyValue> {
        let item = self.lists.items(row).find(|item| self.key(*item) == key)?;
        self.values.value(item)
    }

    /// Hands the leaves of what a path names among the attributes of a row to `visit`.
    pub(super) fn any_at(
        &self,
        row: usize,
        path: &str,
        visit: &mut dyn FnMut(Value<'_>) -> bool,
    ) -> bool {
        self.lists.items(row).any(|item| {
            remainder(self.key(item), path)
                .is_some_and(|rest| self.values.any_below(item, rest, visit))
        })
    }

    /// The same of a path that was looked up before.
    pub(crate) fn any_planned(
        &self,
        row: usize,
        plan: &FieldPlan,
        visit: &mut dyn FnMut(Value<'_>) -> bool,
    ) -> bool {
        self.lists.items(row).any(|item| {
            let rest = plan.below(at(&self.keys, item));
            rest.is_some_and(|rest| self.values.any_below(item, rest, visit))
        })
    }

    /// Hands the texts among the leaves of the attributes of a row to `visit`.
    pub(crate) fn any_text(&self, row: usize, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.lists
            .items(row)
            .any(|item| self.values.any_text(item, visit))
    }

    /// Bytes of the texts and encoded values of a row.
    pub(crate) fn text_bytes(&self, row: usize) -> usize {
        self.values.text_bytes(self.lists.items(row))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lists.bytes()
            + number_bytes(&self.keys)
            + self.key_names.get_buffer_memory_size()
            + self.values.bytes()
            + self.key_indexes.capacity() * size_of::<(u32, i32)>()
    }
}
