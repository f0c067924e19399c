//! Arrays of arrow as columns of a chunk. A column that was not read is empty, and reads like one of defaults.

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Int32Array,
    Int64Array, StringArray, TimestampNanosecondArray, UInt16Array, UInt32Array, UInt64Array,
    builder::StringBuilder, types::Int32Type,
};
use arrow_buffer::{ArrowNativeType, ScalarBuffer};

use crate::{
    block::{decode::Decoded, error::Malformed},
    chunk::{
        column::{LabelBuilder, Labels, at},
        ids::{IdBuilder, Ids},
    },
};

/// The array of a column in its type.
pub(super) fn typed<'d, A: Array + 'static>(
    decoded: &'d Decoded<'_>,
    name: &str,
) -> Result<Option<&'d A>, Malformed> {
    match decoded.array(name) {
        None => Ok(None),
        Some(array) => cast(array, name).map(Some),
    }
}

pub(super) fn cast<'a, A: Array + 'static>(
    array: &'a ArrayRef,
    name: &str,
) -> Result<&'a A, Malformed> {
    array
        .as_any()
        .downcast_ref()
        .ok_or_else(|| Malformed(format!("its column {name:?} has another type")))
}

/// The values of a column of numbers; those that are null as the default.
fn numbers<T: ArrowNativeType>(array: &dyn Array, values: &ScalarBuffer<T>) -> ScalarBuffer<T> {
    match array.nulls() {
        None => values.clone(),
        Some(nulls) => {
            let values = values.iter().zip(nulls.iter());
            values
                .map(|(value, is_valid)| if is_valid { *value } else { T::default() })
                .collect()
        }
    }
}

macro_rules! numbers_of {
    ($name:ident, $array:ty, $native:ty) => {
        pub(super) fn $name(
            decoded: &Decoded<'_>,
            name: &str,
        ) -> Result<ScalarBuffer<$native>, Malformed> {
            let array = typed::<$array>(decoded, name)?;
            Ok(array.map_or_else(
                || ScalarBuffer::from(Vec::new()),
                |array| numbers(array, array.values()),
            ))
        }
    };
}

numbers_of!(u16s, UInt16Array, u16);
numbers_of!(u32s, UInt32Array, u32);
numbers_of!(u64s, UInt64Array, u64);
numbers_of!(i32s, Int32Array, i32);
numbers_of!(i64s, Int64Array, i64);

pub(super) fn times(decoded: &Decoded<'_>, name: &str) -> Result<ScalarBuffer<u64>, Malformed> {
    let array = typed::<TimestampNanosecondArray>(decoded, name)?;
    let Some(array) = array else {
        return Ok(ScalarBuffer::from(Vec::new()));
    };
    // The same bits.
    Ok(ScalarBuffer::from(array.values().inner().clone()))
}

pub(super) fn bools(decoded: &Decoded<'_>, name: &str) -> Result<Vec<bool>, Malformed> {
    let array = typed::<BooleanArray>(decoded, name)?;
    Ok(array.map_or_else(Vec::new, |array| {
        array.iter().map(|value| value.unwrap_or(false)).collect()
    }))
}

pub(super) fn ids<const N: usize>(decoded: &Decoded<'_>, name: &str) -> Result<Ids<N>, Malformed> {
    let mut builder = IdBuilder::<N>::default();
    if let Some(array) = typed::<FixedSizeBinaryArray>(decoded, name)? {
        for row in 0..array.len() {
            let bytes = if array.is_valid(row) {
                array.value(row)
            } else {
                &[]
            };
            builder.append(bytes);
        }
    }
    Ok(builder.freeze())
}

/// A column of texts, or of bytes, whichever way it is kept.
#[derive(Debug)]
pub(crate) enum Cells<'d, A> {
    Missing,
    Plain(&'d A),
    Labels(&'d DictionaryArray<Int32Type>, &'d A),
}

pub(crate) type TextCells<'d> = Cells<'d, StringArray>;
pub(super) type BytesCells<'d> = Cells<'d, BinaryArray>;

impl<'d, A: Array + 'static> Cells<'d, A> {
    pub(crate) fn of(decoded: &'d Decoded<'_>, name: &str) -> Result<Self, Malformed> {
        match decoded.array(name) {
            None => Ok(Self::Missing),
            Some(array) => Self::new(array, name),
        }
    }

    pub(super) fn new(array: &'d ArrayRef, name: &str) -> Result<Self, Malformed> {
        if let Some(labels) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>() {
            return Ok(Self::Labels(labels, cast(labels.values(), name)?));
        }
        Ok(Self::Plain(cast(array, name)?))
    }

    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Plain(array) => array.len(),
            Self::Labels(labels, _) => labels.len(),
        }
    }

    /// Different texts, when they are numbered.
    pub(crate) fn label_count(&self) -> usize {
        match self {
            Self::Labels(_, texts) => texts.len(),
            _ => 0,
        }
    }

    /// The number of the text of a row, when they are numbered and it has one.
    #[inline]
    pub(crate) fn label_number(&self, row: usize) -> Option<usize> {
        match self {
            Self::Labels(labels, _) if labels.is_valid(row) => {
                usize::try_from(at(labels.keys().values(), row)).ok()
            }
            _ => None,
        }
    }

    /// The array that has the value of a row, and its place there.
    #[inline]
    fn place(&self, row: usize) -> Option<(&'d A, usize)> {
        let (array, place) = match self {
            Self::Missing => return None,
            Self::Plain(array) => (*array, row),
            Self::Labels(_, texts) => (*texts, self.label_number(row)?),
        };
        (place < array.len() && array.is_valid(place)).then_some((array, place))
    }
}

impl<'d> TextCells<'d> {
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<&'d str> {
        self.place(row).map(|(array, place)| array.value(place))
    }

    /// As a column of labels; none is the empty text.
    pub(super) fn labels(&self) -> Labels {
        if let Self::Labels(labels, texts) = self
            && labels.null_count() == 0
            && texts.null_count() == 0
        {
            let numbers = labels.keys().values().iter().map(|number| *number as u32);
            return Labels {
                numbers: numbers.collect(),
                labels: (*texts).clone(),
            };
        }
        let mut builder = LabelBuilder::default();
        for row in 0..self.rows() {
            builder.append(self.get(row).unwrap_or_default());
        }
        builder.freeze()
    }

    /// As a column of texts; none is the empty text.
    pub(super) fn texts(&self) -> StringArray {
        match self {
            Self::Plain(array) if array.null_count() == 0 => (*array).clone(),
            _ => {
                let mut builder = StringBuilder::with_capacity(self.rows(), 0);
                for row in 0..self.rows() {
                    builder.append_value(self.get(row).unwrap_or_default());
                }
                builder.finish()
            }
        }
    }
}

impl<'d> BytesCells<'d> {
    #[inline]
    pub(super) fn get(&self, row: usize) -> Option<&'d [u8]> {
        self.place(row).map(|(array, place)| array.value(place))
    }
}
