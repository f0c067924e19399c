//! The parts that columns are made of.

use std::{hash::BuildHasher, ops::Range};

use arrow_array::{Array, BinaryArray, StringArray};
use arrow_buffer::{ArrowNativeType, Buffer, OffsetBuffer, ScalarBuffer};
use hashbrown::{DefaultHashBuilder, HashTable};
use log_tracer_record::wire::Text;
use prost::Message;

/// The value of a row; a row that is not there has the default, which no caller asks for.
#[inline]
pub(crate) fn at<T: Copy + Default>(values: &[T], row: usize) -> T {
    values.get(row).copied().unwrap_or_default()
}

/// Freezes a column of numbers. A finished column gives back what it did not use.
pub(super) fn freeze<T: ArrowNativeType>(mut values: Vec<T>) -> ScalarBuffer<T> {
    values.shrink_to_fit();
    values.into()
}

/// Bytes that a column of numbers takes.
pub(super) fn number_bytes<T: ArrowNativeType>(values: &ScalarBuffer<T>) -> usize {
    values.inner().capacity()
}

/// An empty column of numbers with room for as many values as another one has.
pub(super) fn room_like<T: ArrowNativeType>(values: &ScalarBuffer<T>) -> Vec<T> {
    Vec::with_capacity(values.len())
}

/// A growing column of texts. That they are UTF-8 is looked at when all of them are there, at once.
#[derive(Clone, Debug, Default)]
pub(super) struct TextBuilder(MessageBuilder);

impl TextBuilder {
    /// An empty one with room for what another column has.
    pub(super) fn like(texts: &StringArray) -> Self {
        Self(MessageBuilder::with_room(texts.values().len(), texts.len()))
    }

    #[inline]
    pub(super) fn append(&mut self, text: &str) {
        self.0.append_bytes(text.as_bytes());
    }

    /// Adds a text of a request, which was checked there.
    #[inline]
    pub(super) fn append_view(&mut self, text: Text<'_>) {
        self.0.append_bytes(text.as_bytes());
    }

    /// Freezes the column. A finished column gives back what it did not use.
    pub(super) fn freeze(self) -> StringArray {
        let bytes = self.0.freeze();
        let (offsets, values, nulls) = bytes.clone().into_parts();
        // Every text was one when it came, so that this does not fail.
        StringArray::try_new(offsets, values, nulls).unwrap_or_else(|_| {
            let texts = bytes.iter().map(Option::unwrap_or_default);
            StringArray::from_iter_values(texts.map(String::from_utf8_lossy))
        })
    }
}

/// A growing column of encoded messages.
#[derive(Clone, Debug)]
pub(crate) struct MessageBuilder {
    data: Vec<u8>,
    offsets: Vec<i32>,
}

impl Default for MessageBuilder {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            offsets: vec![0],
        }
    }
}

impl MessageBuilder {
    /// An empty one with room for what another column has.
    pub(super) fn like(messages: &BinaryArray) -> Self {
        Self::with_room(messages.values().len(), messages.len())
    }

    fn with_room(bytes: usize, rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            data: Vec::with_capacity(bytes),
            offsets,
        }
    }

    /// Adds the encoding of a message; answers how many bytes it has.
    pub(crate) fn append_message(&mut self, message: &impl Message) -> usize {
        self.append_bytes(&message.encode_to_vec())
    }

    /// Adds bytes as they are; answers how many.
    #[inline]
    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) -> usize {
        self.data.extend_from_slice(bytes);
        // A chunk stays far below 2 GiB: see `ROW_BYTES_CEILING` and `Config::validate`.
        self.offsets
            .push(i32::try_from(self.data.len()).unwrap_or(i32::MAX));
        bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn freeze(mut self) -> BinaryArray {
        self.data.shrink_to_fit();
        self.offsets.shrink_to_fit();
        BinaryArray::new(
            OffsetBuffer::new(self.offsets.into()),
            Buffer::from_vec(self.data),
            None,
        )
    }
}

/// A growing set of texts, each with a number.
#[derive(Clone, Debug)]
pub(crate) struct DictionaryBuilder {
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    text: String,
    ends: Vec<usize>,
}

impl Default for DictionaryBuilder {
    fn default() -> Self {
        Self {
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            text: String::new(),
            ends: Vec::new(),
        }
    }
}

/// What an entry takes beside its text: its place in the table, which is at most half empty, and its offsets.
const DICTIONARY_ENTRY_BYTES: usize = 24;

impl DictionaryBuilder {
    /// The number of a text, and how many bytes the dictionary grew by.
    pub(super) fn number_of(&mut self, text: &str) -> (u32, usize) {
        let hash = self.hasher.hash_one(text);
        if let Some(number) = self
            .numbers
            .find(hash, |number| self.text_of(*number) == text)
        {
            return (*number, 0);
        }
        let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        self.ends.push(self.text.len());
        let (all, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.numbers.insert_unique(hash, number, |number| {
            hasher.hash_one(text_between(all, ends, *number))
        });
        (number, text.len() + DICTIONARY_ENTRY_BYTES)
    }

    pub(super) fn text_of(&self, number: u32) -> &str {
        text_between(&self.text, &self.ends, number)
    }

    /// Whether a text has this number.
    #[inline]
    pub(super) fn has(&self, number: u32) -> bool {
        (number as usize) < self.ends.len()
    }

    /// The bytes of a text, for those who only compare; none of a number that no text has.
    #[inline]
    pub(super) fn bytes_of(&self, number: u32) -> &[u8] {
        let range = range_of(&self.ends, number);
        self.text.as_bytes().get(range).unwrap_or_default()
    }

    pub(super) fn freeze(self) -> StringArray {
        let texts =
            (0..self.ends.len()).map(|number| text_between(&self.text, &self.ends, number as u32));
        let mut texts = StringArray::from_iter_values(texts);
        texts.shrink_to_fit();
        texts
    }
}

fn text_between<'a>(text: &'a str, ends: &[usize], number: u32) -> &'a str {
    text.get(range_of(ends, number)).unwrap_or_default()
}

#[inline]
fn range_of(ends: &[usize], number: u32) -> Range<usize> {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| at(ends, before));
    start..at(ends, number)
}

/// A growing column of texts of which few are different.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelBuilder {
    numbers: Vec<u32>,
    labels: DictionaryBuilder,
}

impl LabelBuilder {
    /// An empty one with room for as many rows as another column has.
    pub(super) fn like(labels: &Labels) -> Self {
        Self {
            numbers: room_like(&labels.numbers),
            labels: DictionaryBuilder::default(),
        }
    }

    /// Adds a text; answers how many bytes the column grew by.
    pub(crate) fn append(&mut self, text: &str) -> usize {
        // Neighbours are often equal: a comparison is cheaper than a hash.
        let last = self.numbers.last().copied();
        let (number, bytes) = match last {
            Some(last) if self.labels.text_of(last) == text => (last, 0),
            _ => self.labels.number_of(text),
        };
        self.numbers.push(number);
        size_of::<u32>() + bytes
    }

    /// The same of a text in a request.
    #[inline]
    pub(super) fn append_view(&mut self, text: Text<'_>) -> usize {
        let last = self.numbers.last().copied();
        let (number, bytes) = match last {
            Some(last) if self.labels.bytes_of(last) == text.as_bytes() => (last, 0),
            _ => self.labels.number_of(text.as_str()),
        };
        self.numbers.push(number);
        size_of::<u32>() + bytes
    }

    pub(crate) fn freeze(self) -> Labels {
        Labels {
            numbers: freeze(self.numbers),
            labels: self.labels.freeze(),
        }
    }
}

/// A column of texts of which few are different: the number of a label for each row. Arrow's dictionary array in its
/// parts.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) numbers: ScalarBuffer<u32>,
    pub(crate) labels: StringArray,
}

impl Labels {
    /// The number of the label of a row.
    #[inline]
    pub(crate) fn number(&self, row: usize) -> u32 {
        at(&self.numbers, row)
    }

    /// A label by its number.
    pub(crate) fn label(&self, number: u32) -> &str {
        text_at(&self.labels, number as usize)
    }

    #[inline]
    pub(crate) fn value(&self, row: usize) -> &str {
        text_at(&self.labels, at(&self.numbers, row) as usize)
    }

    pub(crate) fn bytes(&self) -> usize {
        number_bytes(&self.numbers) + self.labels.get_buffer_memory_size()
    }
}

/// The text of a row; a row that is not there has the empty one, which no caller asks for.
#[inline]
pub(crate) fn text_at(texts: &StringArray, row: usize) -> &str {
    if row < texts.len() {
        texts.value(row)
    } else {
        ""
    }
}

/// The bytes of a row; a row that is not there has none, which no caller asks for.
#[inline]
pub(crate) fn bytes_at(values: &BinaryArray, row: usize) -> &[u8] {
    if row < values.len() {
        values.value(row)
    } else {
        &[]
    }
}

/// A growing column of lists: where each row's list ends among the items of all.
#[derive(Clone, Debug)]
pub(crate) struct ListBuilder(Vec<u32>);

impl Default for ListBuilder {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl ListBuilder {
    /// An empty one with room for as many lists as another column has.
    pub(super) fn like(lists: &Lists) -> Self {
        let mut ends = room_like(&lists.0);
        ends.push(0);
        Self(ends)
    }

    /// Ends the list of a row after so many items of all rows.
    pub(super) fn end(&mut self, items: usize) -> usize {
        self.0.push(u32::try_from(items).unwrap_or(u32::MAX));
        size_of::<u32>()
    }

    pub(super) fn freeze(self) -> Lists {
        Lists(freeze(self.0))
    }
}

/// A column of lists.
#[derive(Clone, Debug)]
pub(crate) struct Lists(pub(crate) ScalarBuffer<u32>);

impl Lists {
    /// Which items belong to a row.
    #[inline]
    pub(crate) fn items(&self, row: usize) -> Range<usize> {
        at(&self.0, row) as usize..at(&self.0, row + 1) as usize
    }

    pub(crate) fn bytes(&self) -> usize {
        number_bytes(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_labels_have_one_number_and_come_back() {
        let mut builder = LabelBuilder::default();
        let rows = ["a", "b", "", "a", "", "ä", "b", "b"];
        for row in rows {
            builder.append(row);
        }
        let labels = builder.clone().freeze();
        assert_eq!(labels.labels.len(), 4);
        for (row, text) in rows.iter().enumerate() {
            assert_eq!(labels.value(row), *text);
        }
        assert_eq!(
            builder.append("b"),
            4,
            "a label that is there takes its number only"
        );
    }

    #[test]
    fn texts_come_back_and_what_is_none_comes_back_as_far_as_it_can_be_read() {
        let rows = ["a", "", "äöü", "日本"];
        let mut builder = TextBuilder::default();
        rows.iter().for_each(|text| builder.append(text));
        let texts = builder.clone().freeze();
        assert!(texts.iter().eq(rows.map(Some)));
        assert_eq!(TextBuilder::like(&texts).freeze().len(), 0);
        // A character that is cut in two is one in the whole, but not in either of its texts.
        for part in "ä".as_bytes().chunks(1) {
            builder.0.append_bytes(part);
        }
        builder.append("b");
        let texts = builder.freeze();
        assert_eq!(texts.len(), 7);
        assert_eq!((texts.value(2), texts.value(6)), ("äöü", "b"));
    }

    #[test]
    fn thousands_of_labels_are_found_again() {
        let mut dictionary = DictionaryBuilder::default();
        for round in 0..2 {
            for number in 0..5000 {
                let (found, bytes) = dictionary.number_of(&format!("label {number}"));
                assert_eq!(found, number);
                assert_eq!(bytes > 0, round == 0);
            }
        }
    }
}
