//! The parts that columns are made of.

use std::hash::BuildHasher;

use arrow_array::{Array, BinaryArray, StringArray, builder::StringBuilder};
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

/// An empty text column that takes no memory yet.
pub(super) fn text_builder() -> StringBuilder {
    StringBuilder::with_capacity(0, 0)
}

/// Freezes a column of texts.
pub(super) fn freeze_text(mut builder: StringBuilder) -> StringArray {
    let mut texts = builder.finish();
    texts.shrink_to_fit();
    texts
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
    /// Adds the encoding of a message; answers how many bytes it has.
    pub(crate) fn append_message(&mut self, message: &impl Message) -> usize {
        self.append_bytes(&message.encode_to_vec())
    }

    /// Adds bytes as they are; answers how many.
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

    pub(super) fn freeze(self) -> StringArray {
        let texts =
            (0..self.ends.len()).map(|number| text_between(&self.text, &self.ends, number as u32));
        let mut texts = StringArray::from_iter_values(texts);
        texts.shrink_to_fit();
        texts
    }
}

fn text_between<'a>(text: &'a str, ends: &[usize], number: u32) -> &'a str {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| at(ends, before));
    text.get(start..at(ends, number)).unwrap_or_default()
}

/// A growing column of texts of which few are different.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelBuilder {
    numbers: Vec<u32>,
    labels: DictionaryBuilder,
}

impl LabelBuilder {
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
            Some(last) if self.labels.text_of(last).as_bytes() == text.as_bytes() => (last, 0),
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
    pub(crate) fn items(&self, row: usize) -> std::ops::Range<usize> {
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
