//! Rows of chunks as the columns of a file.

mod attributes;
mod contexts;
mod logs;
mod spans;

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Int32Array, StringArray,
    TimestampNanosecondArray, UInt16Array, UInt32Array, UInt64Array,
    builder::{BinaryBuilder, Int64Builder, StringBuilder},
};
use arrow_buffer::NullBufferBuilder;

pub(crate) use attributes::{AttributePlan, count_attributes};
pub(crate) use contexts::ContextTexts;
pub(crate) use logs::{COLUMNS as LOG_COLUMNS, columns as log_columns};
pub(crate) use spans::{COLUMNS as SPAN_COLUMNS, columns as span_columns};

use super::{Storable, error::Malformed};

/// A row of one of several chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chunk: u32,
    pub(crate) row: u32,
}

/// Rows of chunks, in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Picked<'a, C> {
    pub(crate) chunks: &'a [Arc<C>],
    pub(crate) places: &'a [Place],
}

impl<C> Clone for Picked<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Picked<'_, C> {}

impl<'a, C: Storable> Picked<'a, C> {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a C, usize)> {
        self.places.iter().filter_map(move |place| {
            let chunk = self.chunks.get(place.chunk as usize)?;
            Some((chunk.as_ref(), place.row as usize))
        })
    }

    pub(super) fn map<T>(self, value: impl Fn(&'a C, usize) -> T) -> impl Iterator<Item = T> {
        self.iter().map(move |(chunk, row)| value(chunk, row))
    }

    /// The value of each row. How many there are is known, so that they are never copied to make room.
    fn values<T>(self, value: impl Fn(&'a C, usize) -> T) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len());
        values.extend(self.map(value));
        values
    }

    fn times(self, value: impl Fn(&C, usize) -> u64) -> ArrayRef {
        let values = self.values(|chunk, row| value(chunk, row).cast_signed());
        Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC"))
    }

    fn i64s(self, value: impl Fn(&C, usize) -> Option<i64>) -> ArrayRef {
        let mut builder = Int64Builder::with_capacity(self.len());
        self.map(value)
            .for_each(|value| builder.append_option(value));
        Arc::new(builder.finish())
    }

    fn i32s(self, value: impl Fn(&C, usize) -> i32) -> ArrayRef {
        Arc::new(Int32Array::from(self.values(value)))
    }

    fn u32s(self, value: impl Fn(&C, usize) -> u32) -> ArrayRef {
        Arc::new(UInt32Array::from(self.values(value)))
    }

    fn bools(self, value: impl Fn(&C, usize) -> bool) -> ArrayRef {
        Arc::new(BooleanArray::from(self.values(value)))
    }

    fn texts(self, value: impl Fn(&'a C, usize) -> Option<&'a str>) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(self.len(), self.len() * 16);
        for (chunk, row) in self.iter() {
            builder.append_option(value(chunk, row));
        }
        Arc::new(builder.finish())
    }

    fn owned_texts(
        self,
        value: impl Fn(&C, usize) -> Result<Option<String>, Malformed>,
    ) -> Result<ArrayRef, Malformed> {
        let mut builder = StringBuilder::new();
        for (chunk, row) in self.iter() {
            builder.append_option(value(chunk, row)?);
        }
        Ok(Arc::new(builder.finish()))
    }

    /// All zero is none.
    fn ids<const N: usize>(
        self,
        value: impl Fn(&C, usize) -> [u8; N],
    ) -> Result<ArrayRef, Malformed> {
        let mut bytes = Vec::with_capacity(self.len() * N);
        let mut nulls = NullBufferBuilder::new(self.len());
        for (chunk, row) in self.iter() {
            let id = value(chunk, row);
            bytes.extend_from_slice(&id);
            nulls.append(id != [0; N]);
        }
        let ids = FixedSizeBinaryArray::try_new(N as i32, bytes.into(), nulls.finish())?;
        Ok(Arc::new(ids))
    }
}

/// The columns that say where the rows came from: partition, offset, index.
fn origins<C: Storable>(picked: Picked<'_, C>) -> [ArrayRef; 3] {
    let origins = picked.values(|chunk, row| chunk.origin(row));
    let partitions = origins.iter().map(|(origin, _)| origin.partition);
    let offsets = origins.iter().map(|(origin, _)| origin.offset);
    let indexes = origins.iter().map(|(_, index)| *index);
    [
        Arc::new(UInt16Array::from_iter_values(partitions)),
        Arc::new(UInt64Array::from_iter_values(offsets)),
        Arc::new(UInt32Array::from_iter_values(indexes)),
    ]
}

/// Texts and bytes of which most are none.
fn sparse_texts(values: &[Option<String>]) -> ArrayRef {
    Arc::new(values.iter().map(Option::as_deref).collect::<StringArray>())
}

fn sparse_bytes(values: &[Option<Vec<u8>>]) -> ArrayRef {
    let mut builder = BinaryBuilder::new();
    for value in values {
        builder.append_option(value.as_deref());
    }
    let bytes: BinaryArray = builder.finish();
    Arc::new(bytes)
}

/// A text that is empty is none.
fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// How many of something were dropped; none for 0.
fn counts(counts: impl Iterator<Item = u32>) -> ArrayRef {
    let counts = counts.map(|count| (count > 0).then_some(count));
    Arc::new(UInt32Array::from_iter(counts))
}
