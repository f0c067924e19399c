//! Tests of one value or one text, with everything about the query worked out beforehand.

use std::cmp::Ordering;

use crate::ast::{Comparison, Glob};
use crate::literal::{Literal, LiteralKind};
use crate::number::{Number, parse_duration, parse_number, parse_size};
use crate::record::Value;
use crate::text::{equals_lowered, hex, lower, value_text};

/// Doubles from here on print as rounded digits, so that a text can be theirs without being equal: 2^63.
const EXACT_TEXT_BELOW: f64 = 9_223_372_036_854_775_808.0;

/// Equality with a literal: of a number as a number, else of the text of the value.
#[derive(Debug)]
pub(crate) struct Equality {
    /// In lower case when case does not count.
    text: String,
    any_case: bool,
    number: Option<Number>,
}

impl Equality {
    pub(crate) fn any_case(literal: &Literal) -> Self {
        Equality {
            text: lower(literal.text()).into_owned(),
            any_case: true,
            number: literal.number(),
        }
    }

    pub(crate) fn exact(literal: &Literal) -> Self {
        Equality {
            text: literal.text().to_owned(),
            any_case: false,
            number: literal.number(),
        }
    }

    pub(crate) fn accepts(&self, value: Value<'_>) -> bool {
        match value {
            Value::Str(text) => self.is_text(text),
            Value::Int(number) => self.is_number(Number::Int(number.into()), value),
            Value::Double(number) => self.is_number(Number::Double(number), value),
            Value::Bool(_) | Value::Bytes(_) => self.is_text(&value_text(value)),
        }
    }

    /// Every text, lower-cased, that a value which is accepted can have.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = vec![lower(&self.text).into_owned()];
        let of_double = |number: f64| value_text(Value::Double(number)).into_owned();
        match self.number {
            Some(Number::Int(number)) => {
                texts.push(number.to_string());
                let double = number as f64;
                if Number::Double(double).equals(Number::Int(number)) {
                    texts.push(of_double(double));
                }
            }
            Some(Number::Double(number)) => texts.push(of_double(number)),
            None => {}
        }
        texts.sort();
        texts.dedup();
        texts
    }

    fn is_text(&self, text: &str) -> bool {
        if self.any_case {
            equals_lowered(text, &self.text)
        } else {
            text == self.text
        }
    }

    fn is_number(&self, number: Number, value: Value<'_>) -> bool {
        match self.number {
            Some(wanted) => {
                number.equals(wanted)
                    || matches!(number, Number::Double(double) if double.abs() >= EXACT_TEXT_BELOW)
                        && self.is_text(&value_text(value))
            }
            None => {
                let looks_like_number = self
                    .text
                    .starts_with(|c: char| c == '-' || c.is_ascii_digit());
                (looks_like_number
                    || matches!(number, Number::Double(double) if !double.is_finite()))
                    && self.is_text(&value_text(value))
            }
        }
    }
}

/// What a value must be greater or less than.
#[derive(Debug)]
pub(crate) enum Bound {
    /// A number; a text counts as what it reads as in this kind.
    Number(Number, LiteralKind),
    /// A text, compared by its bytes; only texts are.
    Text(String),
}

impl Bound {
    pub(crate) fn new(literal: &Literal) -> Self {
        match literal.number() {
            Some(number) => Bound::Number(number, literal.kind()),
            None => Bound::Text(literal.text().to_owned()),
        }
    }

    pub(crate) fn accepts(&self, comparison: Comparison, value: Value<'_>) -> bool {
        let ordering = match self {
            Bound::Number(bound, kind) => {
                number_of(value, *kind).and_then(|number| number.compare(*bound))
            }
            Bound::Text(bound) => match value {
                Value::Str(text) => Some(text.cmp(bound)),
                _ => None,
            },
        };
        match (comparison, ordering) {
            (_, None) => false,
            (Comparison::Equal, Some(ordering)) => ordering == Ordering::Equal,
            (Comparison::NotEqual, Some(ordering)) => ordering != Ordering::Equal,
            (Comparison::Greater, Some(ordering)) => ordering == Ordering::Greater,
            (Comparison::GreaterOrEqual, Some(ordering)) => ordering != Ordering::Less,
            (Comparison::Less, Some(ordering)) => ordering == Ordering::Less,
            (Comparison::LessOrEqual, Some(ordering)) => ordering != Ordering::Greater,
        }
    }
}

fn number_of(value: Value<'_>, kind: LiteralKind) -> Option<Number> {
    match value {
        Value::Int(number) => Some(Number::Int(number.into())),
        Value::Double(number) => Some(Number::Double(number)),
        Value::Str(text) => match kind {
            LiteralKind::Number | LiteralKind::Text => parse_number(text),
            LiteralKind::Duration => parse_duration(text).map(Number::Int),
            LiteralKind::Size => parse_size(text).map(Number::Int),
        },
        Value::Bool(_) | Value::Bytes(_) => None,
    }
}

/// The first hexadecimal digits of an id.
#[derive(Debug)]
pub(crate) struct IdPrefix {
    bytes: Vec<u8>,
    /// The last digit, when their number is odd.
    half: Option<u8>,
}

impl IdPrefix {
    /// From digits, which the parser has checked; what is no digit ends them.
    pub(crate) fn new(digits: &str) -> Self {
        let mut prefix = IdPrefix {
            bytes: Vec::new(),
            half: None,
        };
        for digit in digits.chars().map_while(|c| c.to_digit(16)) {
            let digit = u8::try_from(digit).unwrap_or_default();
            match prefix.half.take() {
                Some(high) => prefix.bytes.push(high << 4 | digit),
                None => prefix.half = Some(digit),
            }
        }
        prefix
    }

    pub(crate) fn begins(&self, id: &[u8]) -> bool {
        let Some(rest) = id.strip_prefix(self.bytes.as_slice()) else {
            return false;
        };
        match self.half {
            None => true,
            Some(half) => rest.first().is_some_and(|byte| byte >> 4 == half),
        }
    }

    /// The id when these are all of its digits.
    pub(crate) fn whole(&self, bytes: usize) -> Option<&[u8]> {
        (self.half.is_none() && self.bytes.len() == bytes).then_some(self.bytes.as_slice())
    }

    pub(crate) fn digits(&self) -> String {
        let mut digits = hex(&self.bytes);
        digits.extend(self.half.and_then(|half| char::from_digit(half.into(), 16)));
        digits
    }
}

/// Texts in a given order, the first at the beginning and the last at the end, in any case.
#[derive(Debug)]
pub(crate) struct GlobMatcher {
    first: String,
    middle: Vec<String>,
    last: String,
}

impl GlobMatcher {
    pub(crate) fn new(glob: &Glob) -> Self {
        let mut pieces: Vec<String> = glob
            .pieces()
            .iter()
            .map(|piece| lower(piece).into_owned())
            .collect();
        let last = pieces.pop().unwrap_or_default();
        let mut pieces = pieces.into_iter();
        GlobMatcher {
            first: pieces.next().unwrap_or_default(),
            middle: pieces.collect(),
            last,
        }
    }

    pub(crate) fn accepts(&self, value: Value<'_>) -> bool {
        let text = value_text(value);
        let lowered = lower(&text);
        let Some(mut rest) = lowered
            .strip_prefix(self.first.as_str())
            .and_then(|rest| rest.strip_suffix(self.last.as_str()))
        else {
            return false;
        };
        // The earliest place for each leaves the most room for the others.
        for piece in &self.middle {
            match rest.split_once(piece.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }

    /// What every accepted text begins with, lower-cased.
    pub(crate) fn prefix(&self) -> &str {
        &self.first
    }
}
