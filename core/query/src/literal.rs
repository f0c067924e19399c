//! Values in a query, and what they mean for a field of a certain type.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use crate::number::{Number, parse_duration, parse_number, parse_size};
use crate::record::Value;
use crate::text::value_text;

/// A value as it was written. In quotes it is text. Without, it is a number, a duration or a size when it reads as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Literal {
    text: String,
    kind: LiteralKind,
}

/// How a literal reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiteralKind {
    /// Anything else, and what is in quotes.
    Text,
    /// `500`, `-0.5`, `1e6`.
    Number,
    /// `250ms`, `1h30m`: a number of nanoseconds.
    Duration,
    /// `10MB`, `4KiB`: a number of bytes.
    Size,
}

impl Literal {
    /// A text, however it reads: as in quotes.
    pub fn quoted(text: impl Into<String>) -> Literal {
        Literal {
            text: text.into(),
            kind: LiteralKind::Text,
        }
    }

    /// A value of the kind that it reads as: as without quotes.
    pub fn bare(text: impl Into<String>) -> Literal {
        let text = text.into();
        let kind = if parse_number(&text).is_some() {
            LiteralKind::Number
        } else if parse_duration(&text).is_some() {
            LiteralKind::Duration
        } else if parse_size(&text).is_some() {
            LiteralKind::Size
        } else {
            LiteralKind::Text
        };
        Literal { text, kind }
    }

    /// As it was written, without quotes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it reads.
    pub fn kind(&self) -> LiteralKind {
        self.kind
    }

    /// Whether it is spelt as a value with this meaning is printed, so that quotes would change nothing for `:`.
    pub(crate) fn is_canonical(&self) -> bool {
        match self.number() {
            None => true,
            Some(Number::Int(number)) => number.to_string() == self.text,
            Some(Number::Double(number)) => value_text(Value::Double(number)) == self.text,
        }
    }

    pub(crate) fn number(&self) -> Option<Number> {
        match self.kind {
            LiteralKind::Text => None,
            LiteralKind::Number => parse_number(&self.text),
            LiteralKind::Duration => parse_duration(&self.text).map(Number::Int),
            LiteralKind::Size => parse_size(&self.text).map(Number::Int),
        }
    }
}

/// Severity names and the first and last OTLP number that they stand for. A name with a digit is one number.
const SEVERITIES: &[(&str, i64, i64)] = &[
    ("trace", 1, 4),
    ("debug", 5, 8),
    ("info", 9, 12),
    ("information", 9, 12),
    ("notice", 10, 10),
    ("warn", 13, 16),
    ("warning", 13, 16),
    ("error", 17, 20),
    ("err", 17, 20),
    ("fatal", 21, 24),
    ("critical", 21, 24),
    ("crit", 21, 24),
    ("panic", 21, 24),
];

/// The numbers that a severity stands for: `warn` is 13 to 16, `warn2` and `14` are 14.
pub(crate) fn parse_severity(text: &str) -> Option<RangeInclusive<i64>> {
    if let Ok(number) = text.parse::<i64>() {
        return (1..=24).contains(&number).then_some(number..=number);
    }
    let (name, digit) = match text.char_indices().next_back() {
        Some((at, digit)) if digit.is_ascii_digit() => (text.get(..at)?, digit.to_digit(10)),
        _ => (text, None),
    };
    let (_, first, last) = SEVERITIES
        .iter()
        .find(|(known, _, _)| known.eq_ignore_ascii_case(name))?;
    match digit {
        None => Some(*first..=*last),
        Some(digit @ 1..=4) if last - first == 3 => {
            let number = first + i64::from(digit) - 1;
            Some(number..=number)
        }
        Some(_) => None,
    }
}

/// Names of severities, for suggestions.
pub(crate) fn severity_names() -> impl Iterator<Item = &'static str> {
    SEVERITIES.iter().map(|(name, _, _)| *name)
}

/// The nanoseconds since 1970 that a time stands for: an instant by RFC 3339 (without an offset it is UTC), or all of
/// a day in UTC. What does not fit 64 bits is the nearest that does.
pub(crate) fn parse_time(text: &str) -> Option<RangeInclusive<i64>> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        let nanos = clamp(instant.as_nanosecond());
        return Some(nanos..=nanos);
    }
    if text.len() == "2026-03-01".len() {
        let day = text.parse::<Date>().ok()?;
        let start = nanos_of(day.at(0, 0, 0, 0))?;
        let last = nanos_of(day.at(23, 59, 59, 999_999_999))?;
        return Some(clamp(start)..=clamp(last));
    }
    // A bare hour would be read as midnight of something else.
    let instant = text
        .contains(':')
        .then(|| text.parse::<DateTime>().ok())??;
    let nanos = clamp(nanos_of(instant)?);
    Some(nanos..=nanos)
}

fn nanos_of(civil: DateTime) -> Option<i128> {
    Offset::UTC
        .to_timestamp(civil)
        .ok()
        .map(|instant| instant.as_nanosecond())
}

fn clamp(nanos: i128) -> i64 {
    let bounded = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(bounded).unwrap_or(i64::MAX)
}

/// Nanoseconds of a duration; of the plain numbers only zero has a clear unit.
pub(crate) fn parse_duration_literal(text: &str) -> Option<i64> {
    match parse_number(text) {
        Some(number) => number.equals(Number::Int(0)).then_some(0),
        None => parse_duration(text).map(clamp),
    }
}

/// The hexadecimal digits of an id of so many bytes, or the first of them, in lower case.
pub(crate) fn parse_id(text: &str, bytes: usize) -> Option<String> {
    let fits = (1..=bytes * 2).contains(&text.len());
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (fits && is_hex).then(|| text.to_ascii_lowercase())
}
