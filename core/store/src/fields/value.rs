//! Values and attributes of OTLP as the query language sees them.

use log_tracer_query::Value;
use log_tracer_record::otlp::common::{AnyValue, KeyValue, any_value};

/// Hands each leaf of a value to `visit`: the value itself, the elements of a list, the values of a map, at any depth.
pub(crate) fn any_leaf(value: &AnyValue, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
    use any_value::Value as Otlp;
    match &value.value {
        // An index into a table that only profiles have means nothing here.
        None | Some(Otlp::StringValueStrindex(_)) => false,
        Some(Otlp::StringValue(text)) => visit(Value::Str(text)),
        Some(Otlp::BoolValue(value)) => visit(Value::Bool(*value)),
        Some(Otlp::IntValue(value)) => visit(Value::Int(*value)),
        Some(Otlp::DoubleValue(value)) => visit(Value::Double(*value)),
        Some(Otlp::BytesValue(value)) => visit(Value::Bytes(value)),
        Some(Otlp::ArrayValue(list)) => list.values.iter().any(|value| any_leaf(value, visit)),
        Some(Otlp::KvlistValue(map)) => {
            let mut values = map.values.iter().filter_map(|pair| pair.value.as_ref());
            values.any(|value| any_leaf(value, visit))
        }
    }
}

/// Hands each text among the leaves of a value to `visit`.
pub(crate) fn any_leaf_text(value: &AnyValue, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    any_leaf(
        value,
        &mut |leaf| matches!(leaf, Value::Str(text) if visit(text)),
    )
}

/// Hands the texts of all attributes to `visit`.
pub(crate) fn any_text_of(attributes: &[KeyValue], visit: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut values = attributes.iter().filter_map(|pair| pair.value.as_ref());
    values.any(|value| any_leaf_text(value, visit))
}

/// Hands the leaves of what a path names to `visit`. Keys may have dots of their own, so that every way to cut the path
/// is tried: `a.b.c` names the attribute `a.b.c`, `c` in the map `a.b`, and `b.c` in the map `a`.
pub(crate) fn any_at(
    attributes: &[KeyValue],
    path: &str,
    visit: &mut dyn FnMut(Value<'_>) -> bool,
) -> bool {
    attributes
        .iter()
        .any(|pair| match (remainder(&pair.key, path), &pair.value) {
            (Some(rest), Some(value)) => any_below(value, rest, visit),
            _ => false,
        })
}

/// Hands the leaves of what a path names below a value to `visit`; the empty path names the value.
pub(crate) fn any_below(
    value: &AnyValue,
    path: &str,
    visit: &mut dyn FnMut(Value<'_>) -> bool,
) -> bool {
    if path.is_empty() {
        return any_leaf(value, visit);
    }
    match &value.value {
        Some(any_value::Value::KvlistValue(map)) => any_at(&map.values, path, visit),
        Some(any_value::Value::ArrayValue(list)) => list
            .values
            .iter()
            .any(|value| any_below(value, path, visit)),
        _ => false,
    }
}

/// What is left of a path below a key: nothing when the key is the whole path; none when the key is not on the path.
#[inline]
pub(crate) fn remainder<'a>(key: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(key)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix('.').filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use log_tracer_record::otlp::common::{ArrayValue, KeyValueList};

    use super::*;

    fn text(text: &str) -> AnyValue {
        AnyValue {
            value: Some(any_value::Value::StringValue(text.to_owned())),
        }
    }

    fn pair(key: &str, value: AnyValue) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(value),
            ..KeyValue::default()
        }
    }

    fn map(pairs: Vec<KeyValue>) -> AnyValue {
        AnyValue {
            value: Some(any_value::Value::KvlistValue(KeyValueList {
                values: pairs,
            })),
        }
    }

    fn list(values: Vec<AnyValue>) -> AnyValue {
        AnyValue {
            value: Some(any_value::Value::ArrayValue(ArrayValue { values })),
        }
    }

    fn at(attributes: &[KeyValue], path: &str) -> Vec<String> {
        let mut found = Vec::new();
        any_at(attributes, path, &mut |value| {
            found.push(format!("{value:?}"));
            false
        });
        found
    }

    #[test]
    fn a_path_is_cut_at_every_dot() {
        let attributes = [
            pair("a.b.c", text("flat")),
            pair("a.b", map(vec![pair("c", text("one down"))])),
            pair(
                "a",
                map(vec![
                    pair("b.c", text("other cut")),
                    pair("b", map(vec![pair("c", text("two down"))])),
                ]),
            ),
            pair("a.b.cd", text("longer")),
            pair("a.bc", text("no dot")),
        ];
        let expected = [
            r#"Str("flat")"#,
            r#"Str("one down")"#,
            r#"Str("other cut")"#,
            r#"Str("two down")"#,
        ];
        assert_eq!(at(&attributes, "a.b.c"), expected);
        assert!(at(&attributes, "a.b.c.").is_empty());
    }

    #[test]
    fn a_list_gives_its_elements_and_a_map_its_leaves() {
        let item = |sku| map(vec![pair("sku", text(sku))]);
        let attributes = [pair("items", list(vec![item("x"), item("y")]))];
        assert_eq!(at(&attributes, "items.sku"), [r#"Str("x")"#, r#"Str("y")"#]);
        assert_eq!(at(&attributes, "items"), [r#"Str("x")"#, r#"Str("y")"#]);
    }

    #[test]
    fn a_visit_that_answers_true_is_the_last() {
        let attributes = [pair("a", text("1")), pair("a", text("2"))];
        let mut visits = 0;
        let found = any_at(&attributes, "a", &mut |_| {
            visits += 1;
            true
        });
        assert!(found && visits == 1);
    }
}
