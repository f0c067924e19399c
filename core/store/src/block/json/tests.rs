//! What is written is read back bit by bit.

use log_tracer_record::{
    ScopeContext, arbitrary,
    otlp::common::{AnyValue, KeyValue, any_value::Value},
};
use proptest::prelude::*;
use prost::Message;

use super::*;

proptest! {
    #[test]
    fn values_and_attributes_come_back(value in arbitrary::any_value(), pairs in arbitrary::attributes()) {
        let read = value_from_json(&value_to_json(&value).unwrap()).unwrap();
        prop_assert_eq!(read.encode_to_vec(), value.encode_to_vec());
        let read = attributes_from_json(&attributes_to_json(&pairs).unwrap()).unwrap();
        let bytes = |pairs: &[KeyValue]| pairs.iter().map(Message::encode_to_vec).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&read), bytes(&pairs));
    }

    #[test]
    fn resources_scopes_events_and_links_come_back(rows in arbitrary::span_rows()) {
        for row in rows {
            let resource = resource_from_json(&resource_to_json(&row.resource).unwrap()).unwrap();
            prop_assert_eq!(resource.resource.encode_to_vec(), row.resource.resource.encode_to_vec());
            prop_assert_eq!(&resource.schema_url, &row.resource.schema_url);
            let scope = scope_from_json(&scope_to_json(&row.scope).unwrap()).unwrap();
            let bytes = |scope: &ScopeContext| {
                (scope.schema_url.clone(), scope.scope.as_ref().map(Message::encode_to_vec))
            };
            prop_assert_eq!(bytes(&scope), bytes(&row.scope));
            let mut span = row.span.clone();
            span.events = events_from_json(&events_to_json(&span.events).unwrap()).unwrap();
            span.links = links_from_json(&links_to_json(&span.links).unwrap()).unwrap();
            prop_assert_eq!(span.encode_to_vec(), row.span.encode_to_vec());
        }
    }

    #[test]
    fn any_double_comes_back_by_its_bits(bits in any::<u64>()) {
        let value = AnyValue { value: Some(Value::DoubleValue(f64::from_bits(bits))) };
        let read = value_from_json(&value_to_json(&value).unwrap()).unwrap();
        let Some(Value::DoubleValue(read)) = read.value else {
            panic!("{read:?}");
        };
        prop_assert_eq!(read.to_bits(), bits);
    }

    #[test]
    fn fuzz_texts_that_are_no_document_are_refused_without_a_panic(text in ".{0,40}") {
        let _ = (value_from_json(&text), attributes_from_json(&text), resource_from_json(&text));
        let _ = (scope_from_json(&text), events_from_json(&text), links_from_json(&text));
    }
}

#[test]
fn the_forms_are_the_documented_ones() {
    let pair = |key: &str, value: Option<Value>| KeyValue {
        key: key.to_owned(),
        value: value.map(|value| AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let plain = [
        pair("a", Some(Value::IntValue(1))),
        pair("b", Some(Value::DoubleValue(1.0))),
        pair("c", None),
        pair("d", Some(Value::BytesValue(vec![0, 255].into()))),
        pair("e", Some(Value::DoubleValue(f64::INFINITY))),
    ];
    assert_eq!(
        attributes_to_json(&plain).unwrap(),
        r#"{"a":1,"b":1.0,"c":{"$absent":true},"d":{"$bytes":"00ff"},"e":{"$double":"7ff0000000000000"}}"#
    );
    let twice = [
        pair("a", Some(Value::IntValue(1))),
        pair("a", Some(Value::BoolValue(true))),
    ];
    assert_eq!(
        attributes_to_json(&twice).unwrap(),
        r#"{"$pairs":[["a",1],["a",true]]}"#
    );
}
