//! Values and attributes.

use std::{collections::HashSet, fmt};

use bytes::Bytes;
use log_tracer_query::text::hex;
use log_tracer_record::otlp::common::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq, SerializeTuple},
};

/// A value as JSON.
pub(crate) fn value_to_json(value: &AnyValue) -> serde_json::Result<String> {
    serde_json::to_string(&ValueOut(value))
}

pub(crate) fn value_from_json(text: &str) -> serde_json::Result<AnyValue> {
    Ok(AnyValue {
        value: serde_json::from_str::<ValueIn>(text)?.0.flatten(),
    })
}

/// Attributes as JSON.
pub(crate) fn attributes_to_json(attributes: &[KeyValue]) -> serde_json::Result<String> {
    serde_json::to_string(&PairsOut(attributes))
}

pub(crate) fn attributes_from_json(text: &str) -> serde_json::Result<Vec<KeyValue>> {
    Ok(serde_json::from_str::<PairsIn>(text)?.0)
}

/// Bytes from hexadecimal digits.
pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

struct ValueOut<'a>(&'a AnyValue);

impl Serialize for ValueOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.value {
            None => serializer.serialize_unit(),
            Some(Value::StringValue(text)) => serializer.serialize_str(text),
            Some(Value::BoolValue(value)) => serializer.serialize_bool(*value),
            Some(Value::IntValue(value)) => serializer.serialize_i64(*value),
            Some(Value::DoubleValue(value)) if value.is_finite() => {
                serializer.serialize_f64(*value)
            }
            Some(Value::DoubleValue(value)) => {
                serialize_tagged(serializer, "$double", &format!("{:016x}", value.to_bits()))
            }
            Some(Value::BytesValue(value)) => serialize_tagged(serializer, "$bytes", &hex(value)),
            Some(Value::ArrayValue(list)) => {
                let mut seq = serializer.serialize_seq(Some(list.values.len()))?;
                for value in &list.values {
                    seq.serialize_element(&ValueOut(value))?;
                }
                seq.end()
            }
            Some(Value::KvlistValue(map)) => PairsOut(&map.values).serialize(serializer),
            Some(Value::StringValueStrindex(index)) => {
                serialize_tagged(serializer, "$text_index", index)
            }
        }
    }
}

fn serialize_tagged<S: Serializer, T: Serialize>(
    serializer: S,
    tag: &str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, value)?;
    map.end()
}

/// The value of a pair, which may be absent.
struct MaybeOut<'a>(Option<&'a AnyValue>);

impl Serialize for MaybeOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) => ValueOut(value).serialize(serializer),
            None => serialize_tagged(serializer, "$absent", &true),
        }
    }
}

/// A map.
pub(super) struct PairsOut<'a>(pub(super) &'a [KeyValue]);

impl PairsOut<'_> {
    fn is_plain(&self) -> bool {
        const FEW: usize = 8;
        let odd = |pair: &KeyValue| pair.key_strindex != 0 || pair.key.starts_with('$');
        if self.0.iter().any(odd) {
            return false;
        }
        if self.0.len() <= FEW {
            let mut keys = self.0.iter().enumerate();
            return keys
                .all(|(at, pair)| self.0.iter().take(at).all(|other| other.key != pair.key));
        }
        let mut keys = HashSet::with_capacity(self.0.len());
        self.0.iter().all(|pair| keys.insert(&pair.key))
    }
}

impl Serialize for PairsOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_plain() {
            let mut map = serializer.serialize_map(Some(self.0.len()))?;
            for pair in self.0 {
                map.serialize_entry(&pair.key, &MaybeOut(pair.value.as_ref()))?;
            }
            return map.end();
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("$pairs", &TuplesOut(self.0))?;
        map.end()
    }
}

struct TuplesOut<'a>(&'a [KeyValue]);

impl Serialize for TuplesOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for pair in self.0 {
            seq.serialize_element(&TupleOut(pair))?;
        }
        seq.end()
    }
}

struct TupleOut<'a>(&'a KeyValue);

impl Serialize for TupleOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_index = self.0.key_strindex != 0;
        let mut tuple = serializer.serialize_tuple(2 + usize::from(has_index))?;
        tuple.serialize_element(&self.0.key)?;
        tuple.serialize_element(&MaybeOut(self.0.value.as_ref()))?;
        if has_index {
            tuple.serialize_element(&self.0.key_strindex)?;
        }
        tuple.end()
    }
}

/// None when it is absent, `Some(None)` when it has no content.
struct ValueIn(Option<Option<Value>>);

impl<'de> Deserialize<'de> for ValueIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = ValueIn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the value of an attribute")
            }
            fn visit_unit<E>(self) -> Result<ValueIn, E> {
                Ok(ValueIn(Some(None)))
            }
            fn visit_bool<E>(self, value: bool) -> Result<ValueIn, E> {
                Ok(known(Value::BoolValue(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<ValueIn, E> {
                Ok(known(Value::IntValue(value)))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ValueIn, E> {
                i64::try_from(value)
                    .map(|value| known(Value::IntValue(value)))
                    .map_err(E::custom)
            }
            fn visit_f64<E>(self, value: f64) -> Result<ValueIn, E> {
                Ok(known(Value::DoubleValue(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<ValueIn, E> {
                Ok(known(Value::StringValue(value.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ValueIn, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element::<ValueIn>()? {
                    values.push(AnyValue {
                        value: value.0.flatten(),
                    });
                }
                Ok(known(Value::ArrayValue(ArrayValue { values })))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueIn, A::Error> {
                read_map(map)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

fn known(value: Value) -> ValueIn {
    ValueIn(Some(Some(value)))
}

fn read_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<ValueIn, A::Error> {
    let mut pairs = Vec::new();
    while let Some(key) = map.next_key::<String>()? {
        if key.starts_with('$') {
            let value = read_tagged(&key, &mut map)?;
            return match map.next_key::<IgnoredAny>()? {
                None if pairs.is_empty() => Ok(value),
                _ => Err(de::Error::custom(format!(
                    "{key} is not alone in its object"
                ))),
            };
        }
        pairs.push(pair(key, map.next_value::<ValueIn>()?));
    }
    Ok(known(Value::KvlistValue(KeyValueList { values: pairs })))
}

fn pair(key: String, value: ValueIn) -> KeyValue {
    KeyValue {
        key,
        value: value.0.map(|value| AnyValue { value }),
        ..KeyValue::default()
    }
}

fn read_tagged<'de, A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<ValueIn, A::Error> {
    let malformed = || de::Error::custom(format!("{tag} has a malformed value"));
    match tag {
        "$absent" => {
            map.next_value::<bool>()?;
            Ok(ValueIn(None))
        }
        "$text_index" => Ok(known(Value::StringValueStrindex(map.next_value()?))),
        "$bytes" => {
            let bytes = unhex(&map.next_value::<String>()?).ok_or_else(malformed)?;
            Ok(known(Value::BytesValue(Bytes::from(bytes))))
        }
        "$double" => {
            let bits = u64::from_str_radix(&map.next_value::<String>()?, 16);
            let value = f64::from_bits(bits.map_err(|_| malformed())?);
            Ok(known(Value::DoubleValue(value)))
        }
        "$pairs" => {
            let values = map.next_value::<Vec<TupleIn>>()?;
            let values = values.into_iter().map(|tuple| tuple.0).collect();
            Ok(known(Value::KvlistValue(KeyValueList { values })))
        }
        _ => Err(de::Error::custom(format!("{tag} is unknown"))),
    }
}

struct TupleIn(KeyValue);

impl<'de> Deserialize<'de> for TupleIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = TupleIn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key, a value, and at times an index")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TupleIn, A::Error> {
                let missing = || de::Error::invalid_length(0, &"two or three elements");
                let key = seq.next_element::<String>()?.ok_or_else(missing)?;
                let value = seq.next_element::<ValueIn>()?.ok_or_else(missing)?;
                let mut pair = pair(key, value);
                pair.key_strindex = seq.next_element::<i32>()?.unwrap_or(0);
                Ok(TupleIn(pair))
            }
        }
        deserializer.deserialize_seq(Visit)
    }
}

/// A map that was read.
#[derive(Default)]
pub(super) struct PairsIn(pub(super) Vec<KeyValue>);

impl<'de> Deserialize<'de> for PairsIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match ValueIn::deserialize(deserializer)?.0.flatten() {
            Some(Value::KvlistValue(map)) => Ok(Self(map.values)),
            _ => Err(de::Error::custom("attributes are not an object")),
        }
    }
}
