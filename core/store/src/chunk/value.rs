//! Values of OTLP as columns: the body of a log record, and the values of attributes.

use std::ops::Range;

use arrow_array::{Array, BinaryArray, StringArray};
use arrow_buffer::ScalarBuffer;
use bytes::Bytes;
use log_tracer_query::Value;
use log_tracer_record::{
    otlp::common::{AnyValue, any_value::Value as Otlp},
    wire::{AnyValueView, ValueView},
};
use prost::Message;

use super::column::{
    MessageBuilder, TextBuilder, at, bytes_at, freeze, number_bytes, room_like, text_at,
};
use crate::fields::any_below;

/// What a row of a value column holds. On the wire, an absent value and one without content are different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    #[default]
    Absent,
    Empty,
    Text,
    Bool,
    Int,
    Double,
    Bytes,
    /// A list, a map, or an index into a table that only profiles have, as an encoded `AnyValue`.
    Nested,
}

/// A growing column of values.
#[derive(Debug, Default)]
pub(crate) struct ValueBuilder {
    kinds: Vec<Kind>,
    numbers: Vec<i64>,
    texts: TextBuilder,
    encoded: MessageBuilder,
}

/// What a value takes beside its text: its kind, number and offset.
const VALUE_BYTES: usize = size_of::<Kind>() + size_of::<i64>() + size_of::<i32>();

/// What an encoded value takes beside its bytes: its offset.
const ENCODED_BYTES: usize = size_of::<i32>();

impl ValueBuilder {
    /// An empty one with room for what another column has.
    pub(super) fn like(values: &Values) -> Self {
        Self {
            kinds: Vec::with_capacity(values.kinds.len()),
            numbers: room_like(&values.numbers),
            texts: TextBuilder::like(&values.texts),
            encoded: MessageBuilder::like(&values.encoded),
        }
    }

    /// Adds a value; answers how many bytes the column grew by.
    pub(crate) fn append(&mut self, value: Option<&AnyValue>) -> usize {
        let mut text = "";
        let mut bytes = VALUE_BYTES;
        let (kind, number) = match value {
            None => (Kind::Absent, 0),
            Some(any) => match &any.value {
                None => (Kind::Empty, 0),
                Some(Otlp::StringValue(value)) => {
                    text = value;
                    bytes += text.len();
                    (Kind::Text, 0)
                }
                Some(Otlp::BoolValue(value)) => (Kind::Bool, i64::from(*value)),
                Some(Otlp::IntValue(value)) => (Kind::Int, *value),
                Some(Otlp::DoubleValue(value)) => (Kind::Double, value.to_bits().cast_signed()),
                Some(Otlp::BytesValue(value)) => {
                    let number = self.encoded.len() as i64;
                    bytes += self.encoded.append_bytes(value) + ENCODED_BYTES;
                    (Kind::Bytes, number)
                }
                Some(Otlp::ArrayValue(_) | Otlp::KvlistValue(_) | Otlp::StringValueStrindex(_)) => {
                    let number = self.encoded.len() as i64;
                    bytes += self.encoded.append_message(any) + ENCODED_BYTES;
                    (Kind::Nested, number)
                }
            },
        };
        self.kinds.push(kind);
        self.numbers.push(number);
        self.texts.append(text);
        bytes
    }

    /// The same of a value in a request.
    #[inline]
    pub(super) fn append_view(&mut self, value: Option<AnyValueView<'_>>) -> usize {
        let Some(any) = value else {
            self.append_number(Kind::Absent, 0);
            return VALUE_BYTES;
        };
        match any.value {
            None => self.append_number(Kind::Empty, 0),
            Some(ValueView::String(text)) => {
                self.kinds.push(Kind::Text);
                self.numbers.push(0);
                self.texts.append_view(text);
                return VALUE_BYTES + text.as_bytes().len();
            }
            Some(ValueView::Bool(value)) => self.append_number(Kind::Bool, i64::from(value)),
            Some(ValueView::Int(value)) => self.append_number(Kind::Int, value),
            Some(ValueView::Double(value)) => {
                self.append_number(Kind::Double, value.to_bits().cast_signed());
            }
            Some(ValueView::Bytes(value)) => {
                self.append_bytes(value);
                return VALUE_BYTES + value.len() + ENCODED_BYTES;
            }
            Some(ValueView::Array(_) | ValueView::Map(_) | ValueView::Strindex(_)) => {
                let number = self.encoded.len() as i64;
                // Written by prost, as every encoded value here: equal values are then equal bytes.
                let bytes = self.encoded.append_message(&nested(any));
                self.append_number(Kind::Nested, number);
                return VALUE_BYTES + bytes + ENCODED_BYTES;
            }
        }
        VALUE_BYTES
    }

    pub(crate) fn freeze(mut self) -> Values {
        self.kinds.shrink_to_fit();
        Values {
            kinds: self.kinds,
            numbers: freeze(self.numbers),
            texts: self.texts.freeze(),
            encoded: self.encoded.freeze(),
        }
    }

    /// Adds a text.
    #[inline]
    pub(crate) fn append_text(&mut self, text: &str) {
        self.kinds.push(Kind::Text);
        self.numbers.push(0);
        self.texts.append(text);
    }

    /// Adds a value that is a number to this column: of a boolean, an integer or a double.
    #[inline]
    pub(crate) fn append_number(&mut self, kind: Kind, number: i64) {
        self.kinds.push(kind);
        self.numbers.push(number);
        self.texts.append("");
    }

    /// Adds bytes.
    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) {
        let number = self.encoded.len() as i64;
        self.encoded.append_bytes(bytes);
        self.append_number(Kind::Bytes, number);
    }

    pub(super) fn snapshot(&self) -> Values {
        Values {
            kinds: self.kinds.clone(),
            numbers: self.numbers.clone().into(),
            texts: self.texts.clone().freeze(),
            encoded: self.encoded.clone().freeze(),
        }
    }
}

/// A column of values.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) kinds: Vec<Kind>,
    /// An integer, the bits of a double, a boolean as 0 or 1, or the index of an encoded value.
    pub(crate) numbers: ScalarBuffer<i64>,
    pub(crate) texts: StringArray,
    pub(crate) encoded: BinaryArray,
}

impl Values {
    /// The value of a row as it came.
    pub(crate) fn value(&self, row: usize) -> Option<AnyValue> {
        let number = at(&self.numbers, row);
        let value = match at(&self.kinds, row) {
            Kind::Absent => return None,
            Kind::Empty => None,
            Kind::Text => Some(Otlp::StringValue(text_at(&self.texts, row).to_owned())),
            Kind::Bool => Some(Otlp::BoolValue(number != 0)),
            Kind::Int => Some(Otlp::IntValue(number)),
            Kind::Double => Some(Otlp::DoubleValue(f64::from_bits(number.cast_unsigned()))),
            Kind::Bytes => Some(Otlp::BytesValue(Bytes::copy_from_slice(
                self.encoded(number),
            ))),
            Kind::Nested => self.nested(number).value,
        };
        Some(AnyValue { value })
    }

    /// Hands the leaves of what a path names below the value of a row to `visit`; the empty path names the value.
    pub(crate) fn any_below(
        &self,
        row: usize,
        path: &str,
        visit: &mut dyn FnMut(Value<'_>) -> bool,
    ) -> bool {
        let number = at(&self.numbers, row);
        let kind = at(&self.kinds, row);
        if kind == Kind::Nested {
            return any_below(&self.nested(number), path, visit);
        }
        if !path.is_empty() {
            return false;
        }
        match kind {
            Kind::Absent | Kind::Empty | Kind::Nested => false,
            Kind::Text => visit(Value::Str(text_at(&self.texts, row))),
            Kind::Bool => visit(Value::Bool(number != 0)),
            Kind::Int => visit(Value::Int(number)),
            Kind::Double => visit(Value::Double(f64::from_bits(number.cast_unsigned()))),
            Kind::Bytes => visit(Value::Bytes(self.encoded(number))),
        }
    }

    /// Hands the texts among the leaves of the value of a row to `visit`.
    #[inline]
    pub(crate) fn any_text(&self, row: usize, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        match at(&self.kinds, row) {
            Kind::Text => visit(text_at(&self.texts, row)),
            Kind::Nested => {
                let value = self.nested(at(&self.numbers, row));
                crate::fields::any_leaf_text(&value, visit)
            }
            _ => false,
        }
    }

    pub(crate) fn encoded(&self, number: i64) -> &[u8] {
        bytes_at(&self.encoded, usize::try_from(number).unwrap_or(usize::MAX))
    }

    pub(crate) fn nested(&self, number: i64) -> AnyValue {
        // Encoded by this module from a value that had been decoded before, so that it can be decoded.
        AnyValue::decode(self.encoded(number)).unwrap_or_default()
    }

    /// Bytes of the texts and encoded values of neighbouring rows.
    pub(crate) fn text_bytes(&self, rows: Range<usize>) -> usize {
        let offsets = self.texts.value_offsets();
        let texts = at(offsets, rows.end).saturating_sub(at(offsets, rows.start));
        let encoded = match self.encoded.is_empty() {
            true => 0,
            false => rows
                .filter(|row| matches!(at(&self.kinds, *row), Kind::Bytes | Kind::Nested))
                .map(|row| self.encoded(at(&self.numbers, row)).len())
                .sum(),
        };
        usize::try_from(texts).unwrap_or(0) + encoded
    }

    pub(crate) fn bytes(&self) -> usize {
        self.kinds.capacity()
            + number_bytes(&self.numbers)
            + self.texts.get_buffer_memory_size()
            + self.encoded.get_buffer_memory_size()
    }
}

/// A value of a request that was checked, so that it can be decoded.
fn nested(any: AnyValueView<'_>) -> AnyValue {
    AnyValue::decode(any.message).unwrap_or_default()
}

/// The same as [`value_bytes_max`] of a value in a request.
pub(super) fn value_view_bytes_max(value: Option<AnyValueView<'_>>) -> usize {
    let content = value.map_or(0, |any| match any.value {
        Some(ValueView::String(text)) => text.as_bytes().len(),
        Some(ValueView::Bytes(bytes)) => bytes.len() + ENCODED_BYTES,
        Some(ValueView::Array(_) | ValueView::Map(_) | ValueView::Strindex(_)) => {
            nested(any).encoded_len() + ENCODED_BYTES
        }
        _ => 0,
    });
    VALUE_BYTES + content
}

/// At most so many bytes does a value add to its column.
pub(super) fn value_bytes_max(value: Option<&AnyValue>) -> usize {
    let content = match value.and_then(|any| any.value.as_ref()) {
        Some(Otlp::StringValue(text)) => text.len(),
        Some(Otlp::BytesValue(bytes)) => bytes.len() + ENCODED_BYTES,
        Some(Otlp::ArrayValue(_) | Otlp::KvlistValue(_) | Otlp::StringValueStrindex(_)) => {
            value.map_or(0, Message::encoded_len) + ENCODED_BYTES
        }
        _ => 0,
    };
    VALUE_BYTES + content
}
