//! The JSON forms of values that are not messages.

use std::{borrow::Cow, marker::PhantomData};

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use super::{
    codec::Codec,
    number::{NumberError, parse_double, parse_integer},
    read::{Context, read_bool, read_list, read_text, unexpected},
    write::{Writer, write_elements},
};

/// Text.
pub(super) struct Text;

impl Codec for Text {
    type Value = String;

    fn read<'de, D: Deserializer<'de>>(
        input: D,
        _: Context<'_>,
    ) -> Result<Option<String>, D::Error> {
        read_text(input, |text| Ok(text.to_owned()))
    }

    fn is_default(value: &String) -> bool {
        value.is_empty()
    }

    fn write(value: &String, out: &mut Writer) {
        out.text(value);
    }
}

/// A trace or span id.
pub(super) struct Id;

impl Codec for Id {
    type Value = Bytes;

    fn read<'de, D: Deserializer<'de>>(
        input: D,
        _: Context<'_>,
    ) -> Result<Option<Bytes>, D::Error> {
        read_text(input, |text| {
            let bad = text
                .chars()
                .zip(1..)
                .find(|(digit, _)| !digit.is_ascii_hexdigit());
            if let Some((found, column)) = bad {
                return Err(format!(
                    "expected hexadecimal digits, found {found:?} at character {column}"
                ));
            }
            let bytes = const_hex::decode(text).map_err(|_| {
                format!(
                    "expected an even number of hexadecimal digits, found {}",
                    text.len()
                )
            })?;
            Ok(Bytes::from(bytes))
        })
    }

    fn is_default(value: &Bytes) -> bool {
        value.is_empty()
    }

    fn write(value: &Bytes, out: &mut Writer) {
        out.text(&const_hex::encode(value));
    }
}

/// Bytes that are no id.
pub(super) struct Base64;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, ANY_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);

impl Codec for Base64 {
    type Value = Bytes;

    fn read<'de, D: Deserializer<'de>>(
        input: D,
        _: Context<'_>,
    ) -> Result<Option<Bytes>, D::Error> {
        read_text(input, |text| {
            let base64 = if text.contains(['-', '_']) {
                BASE64_URL
            } else {
                BASE64
            };
            let bytes = base64
                .decode(text)
                .map_err(|error| format!("not base64: {error}"))?;
            Ok(Bytes::from(bytes))
        })
    }

    fn is_default(value: &Bytes) -> bool {
        value.is_empty()
    }

    fn write(value: &Bytes, out: &mut Writer) {
        out.text(&BASE64.encode(value));
    }
}

/// True or false.
pub(super) struct Boolean;

impl Codec for Boolean {
    type Value = bool;

    fn read<'de, D: Deserializer<'de>>(input: D, _: Context<'_>) -> Result<Option<bool>, D::Error> {
        read_bool(input)
    }

    fn is_default(value: &bool) -> bool {
        !value
    }

    fn write(value: &bool, out: &mut Writer) {
        out.raw(if *value { "true" } else { "false" });
    }
}

/// An integer of 32 bits, a number in JSON.
pub(super) struct Small<T>(PhantomData<T>);

/// An integer of 64 bits, a string in JSON: a JavaScript reader has no number that holds it.
pub(super) struct Large<T>(PhantomData<T>);

/// The integers of protobuf, of either sign and size.
pub(super) trait Integer: TryFrom<i128> + Default + PartialEq + ToString {
    const NAME: &'static str;
}

impl Integer for i32 {
    const NAME: &'static str = "a signed integer of 32 bits";
}

impl Integer for u32 {
    const NAME: &'static str = "an unsigned integer of 32 bits";
}

impl Integer for i64 {
    const NAME: &'static str = "a signed integer of 64 bits";
}

impl Integer for u64 {
    const NAME: &'static str = "an unsigned integer of 64 bits";
}

impl<T: Integer> Codec for Small<T> {
    type Value = T;

    fn read<'de, D: Deserializer<'de>>(input: D, _: Context<'_>) -> Result<Option<T>, D::Error> {
        read_number(input, T::NAME, parse_integer)
    }

    fn is_default(value: &T) -> bool {
        *value == T::default()
    }

    fn write(value: &T, out: &mut Writer) {
        out.raw(&value.to_string());
    }
}

impl<T: Integer> Codec for Large<T> {
    type Value = T;

    fn read<'de, D: Deserializer<'de>>(input: D, _: Context<'_>) -> Result<Option<T>, D::Error> {
        read_number(input, T::NAME, parse_integer)
    }

    fn is_default(value: &T) -> bool {
        *value == T::default()
    }

    fn write(value: &T, out: &mut Writer) {
        out.text(&value.to_string());
    }
}

/// The number of an enum.
pub(super) struct Enum;

impl Codec for Enum {
    type Value = i32;

    fn read<'de, D: Deserializer<'de>>(input: D, _: Context<'_>) -> Result<Option<i32>, D::Error> {
        const EXPECTED: &str = "the number of an enum";
        let Some(token) = Token::read::<D>(input, EXPECTED)? else {
            return Ok(None);
        };
        match token {
            Token::Text(_) => Err(D::Error::custom(
                "expected the number of an enum, found a string: OTLP/JSON has no enum names",
            )),
            Token::Number(text) => parse_integer(text)
                .map(Some)
                .map_err(|error| number_error(EXPECTED, error)),
        }
    }

    fn is_default(value: &i32) -> bool {
        *value == 0
    }

    fn write(value: &i32, out: &mut Writer) {
        out.raw(&value.to_string());
    }
}

/// A double.
pub(super) struct Double;

impl Codec for Double {
    type Value = f64;

    fn read<'de, D: Deserializer<'de>>(input: D, _: Context<'_>) -> Result<Option<f64>, D::Error> {
        read_number(input, "a double", |text| match text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            number => parse_double(number),
        })
    }

    fn is_default(value: &f64) -> bool {
        value.to_bits() == 0
    }

    fn write(value: &f64, out: &mut Writer) {
        if value.is_nan() {
            out.text("NaN");
        } else if value.is_infinite() {
            out.text(if *value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            });
        } else {
            // The shortest text that reads as the same double, in JSON's syntax.
            out.raw(&format!("{value:?}"));
        }
    }
}

/// A list.
pub(super) struct List<C>(PhantomData<C>);

impl<C: Codec> Codec for List<C> {
    type Value = Vec<C::Value>;

    fn read<'de, D: Deserializer<'de>>(
        input: D,
        context: Context<'_>,
    ) -> Result<Option<Self::Value>, D::Error> {
        read_list::<C, D>(input, context)
    }

    fn is_default(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn write(value: &Self::Value, out: &mut Writer) {
        write_elements::<C>(value, out);
    }
}

/// A number as it is written, bare or in a string.
enum Token<'de> {
    Number(&'de str),
    Text(Cow<'de, str>),
}

impl<'de> Token<'de> {
    /// serde_json's own numbers are doubles where they are not plain integers, so the text itself is taken.
    fn read<D: Deserializer<'de>>(input: D, expected: &str) -> Result<Option<Self>, D::Error> {
        let Some(raw) = Option::<&RawValue>::deserialize(input)? else {
            return Ok(None);
        };
        let raw = raw.get();
        let found = match raw.bytes().next() {
            Some(b'-' | b'0'..=b'9') => return Ok(Some(Self::Number(raw))),
            Some(b'"') => return Self::unquote(raw).map(|text| Some(Self::Text(text))),
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            _ => "a boolean",
        };
        Err(unexpected(expected, found))
    }

    fn unquote<E: Error>(raw: &'de str) -> Result<Cow<'de, str>, E> {
        let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
        match inner {
            Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
            _ => serde_json::from_str(raw).map(Cow::Owned).map_err(E::custom),
        }
    }
}

fn read_number<'de, T, D: Deserializer<'de>>(
    input: D,
    expected: &str,
    parse: impl FnOnce(&str) -> Result<T, NumberError>,
) -> Result<Option<T>, D::Error> {
    let Some(token) = Token::read::<D>(input, expected)? else {
        return Ok(None);
    };
    let text = match &token {
        Token::Number(text) => text,
        Token::Text(text) => text.as_ref(),
    };
    parse(text)
        .map(Some)
        .map_err(|error| number_error(expected, error))
}

fn number_error<E: Error>(expected: &str, error: NumberError) -> E {
    match error {
        NumberError::Syntax => unexpected(expected, "a string that is no number"),
        NumberError::Fraction => unexpected(expected, "a number with a fraction"),
        NumberError::Range => unexpected(expected, "a number that is out of its range"),
    }
}
