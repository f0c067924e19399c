//! Values as text for a terminal. What comes from outside may hold control characters, with which a terminal can be
//! made to do things: they are shown as escapes.

use std::fmt::Write;

use jiff::Timestamp;
use log_tracer_proto::otlp::common::{AnyValue, KeyValue, any_value::Value};

/// Levels of lists and maps that are shown.
const DEPTH_MAX: usize = 16;

/// A text on one line without control characters.
pub(crate) fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// A value of any type: strings as they are, the rest as JSON would have it.
pub(crate) fn value(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => line(text),
        other => {
            let mut text = String::new();
            write_value(&mut text, other, 0);
            text
        }
    }
}

/// `key=value key=value`, with quotes where a value has spaces.
pub(crate) fn attributes(attributes: &[KeyValue]) -> String {
    let pairs = attributes.iter().map(|attribute| {
        let value = value(attribute.value.as_ref());
        let key = line(&attribute.key);
        if value.is_empty() || value.contains([' ', '"', '=']) {
            // Escaped already, but for the quotes.
            format!("{key}=\"{}\"", value.replace('"', "\\\""))
        } else {
            format!("{key}={value}")
        }
    });
    pairs.collect::<Vec<_>>().join(" ")
}

/// Nanoseconds in the unit in which a person would say them: `850ns`, `12.3ms`, `1.5s`.
pub(crate) fn duration(nano: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let unit = units.into_iter().find(|(size, _)| nano >= *size);
    let Some((size, name)) = unit else {
        return format!("{nano}ns");
    };
    // Tenths, cut off: integers keep large values exact.
    let tenths = nano / (size / 10);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole}{name}"),
        (whole, tenth) => format!("{whole}.{tenth}{name}"),
    }
}

/// A time in UTC, to the microsecond: `2026-01-31T12:00:00.000000Z`.
pub(crate) fn time(unix_nano: u64) -> String {
    Timestamp::from_nanosecond(i128::from(unix_nano)).map_or_else(
        |_| format!("{unix_nano}ns"),
        |time| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
    )
}

/// Control characters, and those that turn the direction of the text around them.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn write_value(text: &mut String, value: Option<&Value>, depth: usize) {
    if depth > DEPTH_MAX {
        text.push('…');
        return;
    }
    // A write to a string cannot fail.
    let _ = match value {
        None => write!(text, "null"),
        Some(Value::StringValue(string)) => write!(text, "{string:?}"),
        Some(Value::BoolValue(value)) => write!(text, "{value}"),
        Some(Value::IntValue(value)) => write!(text, "{value}"),
        Some(Value::DoubleValue(value)) => write!(text, "{value:?}"),
        Some(Value::BytesValue(bytes)) => bytes.iter().try_for_each(|b| write!(text, "{b:02x}")),
        // An index into a table of strings, which spans and logs do not have.
        Some(Value::StringValueStrindex(index)) => write!(text, "string #{index}"),
        Some(Value::ArrayValue(list)) => {
            text.push('[');
            for (index, item) in list.values.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                write_value(text, item.value.as_ref(), depth + 1);
            }
            write!(text, "]")
        }
        Some(Value::KvlistValue(map)) => {
            text.push('{');
            for (index, entry) in map.values.iter().enumerate() {
                let gap = if index > 0 { ", " } else { "" };
                let _ = write!(text, "{gap}{:?}: ", entry.key);
                let inner = entry.value.as_ref();
                write_value(text, inner.and_then(|v| v.value.as_ref()), depth + 1);
            }
            write!(text, "}}")
        }
    };
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::otlp::common::{ArrayValue, KeyValueList};

    use super::*;

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    #[test]
    fn control_characters_of_foreign_text_never_reach_the_terminal() {
        let shown = line("a\u{1b}[2Jb\nc\u{202e}d");
        assert_eq!(shown, "a\\u{1b}[2Jb\\nc\\u{202e}d");
        let nested = any(Value::ArrayValue(ArrayValue {
            values: vec![any(Value::StringValue("\u{7}".to_owned()))],
        }));
        assert_eq!(value(Some(&nested)), "[\"\\u{7}\"]");
    }

    #[test]
    fn an_attribute_with_a_space_stands_in_quotes() {
        let pair = |key: &str, text: &str| KeyValue {
            key: key.to_owned(),
            value: Some(any(Value::StringValue(text.to_owned()))),
            ..KeyValue::default()
        };
        let shown = attributes(&[pair("a", "x"), pair("b", "say \"hi\"\n"), pair("c", "")]);
        assert_eq!(shown, r#"a=x b="say \"hi\"\n" c="""#);
    }

    #[test]
    fn values_of_every_type_are_shown() {
        let list = Value::ArrayValue(ArrayValue {
            values: vec![any(Value::IntValue(1)), any(Value::BoolValue(true))],
        });
        let map = Value::KvlistValue(KeyValueList {
            values: vec![KeyValue {
                key: "k".to_owned(),
                value: Some(any(Value::BytesValue(vec![1, 255].into()))),
                ..KeyValue::default()
            }],
        });
        for (given, shown) in [
            (any(Value::StringValue("a b".to_owned())), "a b"),
            (any(Value::DoubleValue(1.0)), "1.0"),
            (any(list), "[1, true]"),
            (any(map), "{\"k\": 01ff}"),
            (AnyValue::default(), "null"),
        ] {
            assert_eq!(value(Some(&given)), shown);
        }
    }

    #[test]
    fn durations_have_the_unit_that_a_person_would_use() {
        for (nano, shown) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1µs"),
            (12_345_678, "12.3ms"),
            (1_500_000_000, "1.5s"),
            (u64::MAX, "18446744073.7s"),
        ] {
            assert_eq!(duration(nano), shown);
        }
    }

    #[test]
    fn any_time_is_shown() {
        assert_eq!(time(1_000), "1970-01-01T00:00:00.000001Z");
        assert_eq!(time(u64::MAX), "2554-07-21T23:34:33.709551Z");
    }
}
