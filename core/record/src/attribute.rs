//! Looking an attribute up.

use crate::otlp::common::{KeyValue, any_value::Value};

/// The value of the first attribute with this key; `None` when there is none or its value is empty.
#[must_use]
pub fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::common::AnyValue;

    fn pair(key: &str, value: Option<Value>) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value }),
            ..KeyValue::default()
        }
    }

    #[test]
    fn the_first_of_two_equal_keys_counts() {
        let attributes = [
            pair("a", None),
            pair("b", Some(Value::IntValue(1))),
            pair("b", Some(Value::IntValue(2))),
        ];
        assert_eq!(attribute(&attributes, "b"), Some(&Value::IntValue(1)));
        assert_eq!(attribute(&attributes, "a"), None);
        assert_eq!(attribute(&attributes, "c"), None);
    }
}
