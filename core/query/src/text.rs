//! Texts as the language sees them: characters compared in lower case, text cut into tokens, values as text. Whoever
//! builds an index for queries must cut and lower with these functions, or the index will not find what a scan finds.
//!
//! A **token** is a longest run of letters, digits (both as Unicode says, the properties Alphabetic and Numeric) and
//! `_`; everything else separates. In scripts that are written without spaces or glue particles to words (Chinese,
//! Japanese, Korean, Thai, Lao, Burmese, Khmer) each letter is a token of its own, so that a part of a sentence is
//! found. Tokens are compared lower-cased, character by character, with no other normalisation: `é` of one character
//! and of two differ.

use std::borrow::Cow;
use std::fmt::Write;

use crate::record::Value;

/// The tokens of a text in their order, lower-cased.
pub fn tokens(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    RawTokens::new(text).map(lower)
}

/// A text in lower case, character by character: unlike [`str::to_lowercase`] no character depends on its neighbours,
/// so the lower-cased prefix of a text is a prefix of the lower-cased text.
pub fn lower(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_lower) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
    }
}

/// A value as text: strings as they are, numbers in decimal and without an exponent (a double without a fraction like
/// an integer), `true` and `false`, bytes in lower-case hexadecimal.
pub fn value_text(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::Double(number) => Cow::Owned(double_text(number)),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Bytes(bytes) => Cow::Owned(hex(bytes)),
    }
}

/// A double that is a whole number of 64 bits reads like that number, since it equals it; -0.0 equals 0.
fn double_text(number: f64) -> String {
    // The first double beyond 64 bits is 2^63.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if number.trunc() == number && (-LIMIT..LIMIT).contains(&number) {
        (number as i64).to_string()
    } else {
        number.to_string()
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Whether a character belongs to a token.
pub(crate) fn is_token_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether a letter is a token of its own. By blocks: radicals, kana, bopomofo, Hangul and Han; Thai and Lao; Burmese;
/// Khmer; the compatibility and half-width forms of these.
pub(crate) fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{2fdf}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3021}'..='\u{3029}'
        | '\u{3031}'..='\u{318f}'
        | '\u{31a0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ffdc}'
        | '\u{20000}'..='\u{3ffff}')
}

/// The tokens of a text as they stand in it.
#[derive(Clone, Debug)]
pub(crate) struct RawTokens<'a> {
    rest: &'a str,
}

impl<'a> RawTokens<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        RawTokens { rest: text }
    }
}

impl<'a> Iterator for RawTokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let start = self.rest.find(is_token_char)?;
        let from_token = self.rest.get(start..)?;
        let first = from_token.chars().next()?;
        let end = if stands_alone(first) {
            first.len_utf8()
        } else {
            from_token
                .find(|c| !is_token_char(c) || stands_alone(c))
                .unwrap_or(from_token.len())
        };
        let (token, rest) = from_token.split_at_checked(end)?;
        self.rest = rest;
        Some(token)
    }
}

/// Whether `text` in lower case is `lowered`.
pub(crate) fn equals_lowered(text: &str, lowered: &str) -> bool {
    if text.is_ascii() {
        // In ASCII the lower case has the same length.
        text.len() == lowered.len() && starts_with_lowered(text, lowered)
    } else {
        text.chars()
            .flat_map(char::to_lowercase)
            .eq(lowered.chars())
    }
}

/// Whether `text` in lower case starts with `lowered`.
pub(crate) fn starts_with_lowered(text: &str, lowered: &str) -> bool {
    if text.is_ascii() {
        text.len() >= lowered.len()
            && text
                .bytes()
                .zip(lowered.bytes())
                .all(|(t, l)| t.to_ascii_lowercase() == l)
    } else {
        let mut lower_case = text.chars().flat_map(char::to_lowercase);
        lowered.chars().all(|l| lower_case.next() == Some(l))
    }
}

fn is_lower(c: char) -> bool {
    if c.is_ascii() {
        !c.is_ascii_uppercase()
    } else {
        c.to_lowercase().eq([c])
    }
}
