//! Attribute values as text.

use std::fmt::Write;

use log_tracer_proto::otlp::common::{AnyValue, KeyValue, any_value::Value};

/// A text of at most so many bytes, with what was cut away said at its end.
struct Text {
    out: String,
    bytes_max: usize,
}

/// A value as a person reads it: text as it is, lists and maps as JSON, bytes in hexadecimal digits.
pub(crate) fn text(value: Option<&AnyValue>, bytes_max: usize) -> String {
    let mut text = Text {
        out: String::new(),
        bytes_max,
    };
    match value.and_then(|value| value.value.as_ref()) {
        None => {}
        Some(Value::StringValue(own)) => text.push(own),
        Some(other) => text.json(other),
    }
    text.finish()
}

/// The type of a value in a word.
pub(crate) fn kind(value: Option<&AnyValue>) -> &'static str {
    match value.and_then(|value| value.value.as_ref()) {
        None => "empty",
        Some(Value::StringValue(_) | Value::StringValueStrindex(_)) => "text",
        Some(Value::BoolValue(_)) => "bool",
        Some(Value::IntValue(_)) => "int",
        Some(Value::DoubleValue(_)) => "double",
        Some(Value::ArrayValue(_)) => "list",
        Some(Value::KvlistValue(_)) => "map",
        Some(Value::BytesValue(_)) => "bytes",
    }
}

/// The value as a single text that a query can ask for: none for lists, maps and what is empty.
pub(crate) fn scalar(value: Option<&AnyValue>) -> Option<String> {
    Some(match value?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        Value::DoubleValue(value) => double(*value),
        _ => return None,
    })
}

/// The first attribute of a key, as text.
pub(crate) fn of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes
        .iter()
        .find(|pair| pair.key == key)?
        .value
        .as_ref()?;
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn double(value: f64) -> String {
    // Unlike Display, Debug keeps the point of 1.0 and writes very large numbers with an exponent.
    format!("{value:?}")
}

impl Text {
    fn is_full(&self) -> bool {
        self.out.len() > self.bytes_max
    }

    fn push(&mut self, text: &str) {
        if self.is_full() {
            return;
        }
        // One byte more than the limit says that something was cut.
        let room = self.bytes_max + 1 - self.out.len();
        self.out
            .push_str(text.get(..text.floor_char_boundary(room)).unwrap_or(text));
        if text.len() > room && !self.is_full() {
            // A character of several bytes did not fit.
            self.bytes_max = self.out.len().saturating_sub(1);
        }
    }

    fn json(&mut self, value: &Value) {
        match value {
            Value::StringValue(text) => self.quoted(text),
            Value::BoolValue(value) => self.push(if *value { "true" } else { "false" }),
            Value::IntValue(value) => self.push(&value.to_string()),
            Value::DoubleValue(value) => self.push(&double(*value)),
            Value::ArrayValue(list) => {
                self.push("[");
                for (at, item) in list.values.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    self.push(if at > 0 { ", " } else { "" });
                    self.any(item.value.as_ref());
                }
                self.push("]");
            }
            Value::KvlistValue(map) => {
                self.push("{");
                for (at, pair) in map.values.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    self.push(if at > 0 { ", " } else { "" });
                    self.quoted(&pair.key);
                    self.push(": ");
                    self.any(pair.value.as_ref().and_then(|value| value.value.as_ref()));
                }
                self.push("}");
            }
            Value::BytesValue(bytes) => {
                for byte in bytes.iter().take(self.bytes_max) {
                    // Writing to a string does not fail.
                    let _ = write!(self.out, "{byte:02x}");
                }
                if bytes.len() > self.bytes_max {
                    self.push("…");
                }
            }
            // An index into a table that only profiles have.
            Value::StringValueStrindex(index) => self.push(&format!("#{index}")),
        }
    }

    fn any(&mut self, value: Option<&Value>) {
        match value {
            Some(value) => self.json(value),
            None => self.push("null"),
        }
    }

    fn quoted(&mut self, text: &str) {
        let end = text.floor_char_boundary(self.bytes_max + 1);
        let quoted = serde_json::to_string(text.get(..end).unwrap_or(text)).unwrap_or_default();
        self.push(&quoted);
    }

    fn finish(mut self) -> String {
        if self.is_full() {
            self.out
                .truncate(self.out.floor_char_boundary(self.bytes_max));
            self.out.push('…');
        }
        self.out
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use log_tracer_proto::otlp::common::{ArrayValue, KeyValueList};
    use proptest::prelude::*;

    use super::*;

    fn of_value(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    /// Arbitrary values, nested a little.
    pub(crate) fn any_value() -> impl Strategy<Value = AnyValue> {
        let leaf = prop_oneof![
            Just(AnyValue { value: None }),
            "\\PC{0,30}".prop_map(|text| of_value(Value::StringValue(text))),
            any::<bool>().prop_map(|value| of_value(Value::BoolValue(value))),
            any::<i64>().prop_map(|value| of_value(Value::IntValue(value))),
            any::<f64>().prop_map(|value| of_value(Value::DoubleValue(value))),
            prop::collection::vec(any::<u8>(), 0..20)
                .prop_map(|bytes| of_value(Value::BytesValue(bytes.into()))),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| of_value(Value::ArrayValue(ArrayValue { values }))),
                prop::collection::vec(("\\PC{0,8}", inner), 0..4).prop_map(|pairs| {
                    let values = pairs
                        .into_iter()
                        .map(|(key, value)| KeyValue {
                            key,
                            value: Some(value),
                            key_strindex: 0,
                        })
                        .collect();
                    of_value(Value::KvlistValue(KeyValueList { values }))
                }),
            ]
        })
    }

    #[test]
    fn scalars_read_as_they_are_and_nested_values_as_json() {
        assert_eq!(
            text(Some(&of_value(Value::StringValue("a \"b\"".into()))), 99),
            "a \"b\""
        );
        assert_eq!(
            text(Some(&of_value(Value::IntValue(i64::MAX))), 99),
            "9223372036854775807"
        );
        assert_eq!(text(Some(&of_value(Value::DoubleValue(1.0))), 99), "1.0");
        assert_eq!(
            text(Some(&of_value(Value::BytesValue(vec![1, 255].into()))), 99),
            "01ff"
        );
        assert_eq!(text(None, 99), "");
        let list = of_value(Value::ArrayValue(ArrayValue {
            values: vec![
                of_value(Value::StringValue("x\n".into())),
                AnyValue { value: None },
            ],
        }));
        assert_eq!(text(Some(&list), 99), "[\"x\\n\", null]");
    }

    proptest! {
        #[test]
        fn a_text_stays_within_its_limit(value in any_value(), bytes_max in 0_usize..40) {
            let whole = text(Some(&value), 10_000);
            let cut = text(Some(&value), bytes_max);
            prop_assert!(cut.len() <= 2 * bytes_max + '…'.len_utf8() * 2, "{}", cut);
            if whole.len() <= bytes_max {
                prop_assert_eq!(cut, whole);
            }
        }
    }
}
