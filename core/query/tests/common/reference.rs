//! The meaning of a query, written as plainly as possible and without a thought of speed, to compare with.

use std::cmp::Ordering;

use log_tracer_query::{
    Comparison, Expr, Field, Intrinsic, Literal, LiteralKind, Predicate, Test, Text, Value,
};

use super::generate::{DURATIONS, SEVERITIES, TIMES};
use super::{Owned, TestRecord};

pub(crate) fn matches(expr: &Expr, record: &TestRecord) -> bool {
    match expr {
        Expr::All => true,
        Expr::And(parts) => parts.iter().all(|part| matches(part, record)),
        Expr::Or(parts) => parts.iter().any(|part| matches(part, record)),
        Expr::Not(inner) => !matches(inner, record),
        Expr::Text(Text::Words(words)) => record
            .texts
            .iter()
            .any(|text| has_words(text, words.text(), words.is_prefix())),
        Expr::Text(Text::Regex(pattern)) => record
            .texts
            .iter()
            .any(|text| has_regex(text, pattern.source(), pattern.ignores_case())),
        Expr::Field(predicate) => {
            let none = Vec::new();
            let values = record.values.get(&predicate.field).unwrap_or(&none);
            if let Test::Compare(Comparison::NotEqual, literal) = &predicate.test {
                let equal = Test::Compare(Comparison::Equal, literal.clone());
                let equal = Predicate {
                    field: predicate.field.clone(),
                    test: equal,
                };
                return !values.is_empty() && !values.iter().any(|value| accepts(&equal, value));
            }
            values.iter().any(|value| accepts(predicate, value))
        }
    }
}

fn accepts(predicate: &Predicate, value: &Owned) -> bool {
    let shown = shown(value);
    match (&predicate.field, &predicate.test) {
        (_, Test::Exists) => true,
        (_, Test::Regex(pattern)) => has_regex(&shown, pattern.source(), pattern.ignores_case()),
        (Field::Intrinsic(Intrinsic::Body), Test::Is(literal)) => {
            has_words(&shown, literal.text(), false)
        }
        (Field::Intrinsic(Intrinsic::Body), Test::Glob(glob)) => {
            has_words(&shown, &glob.pieces()[0], true)
        }
        (Field::Intrinsic(Intrinsic::TraceId), Test::Is(literal) | Test::Compare(_, literal)) => {
            shown.starts_with(literal.text())
        }
        (Field::Intrinsic(Intrinsic::Severity | Intrinsic::Duration | Intrinsic::Time), test) => {
            let Owned::Int(number) = value else {
                return false;
            };
            in_range(test, *number)
        }
        (_, Test::Glob(glob)) => {
            let pieces: Vec<String> = glob.pieces().iter().map(|piece| lowered(piece)).collect();
            has_pieces(&lowered(&shown), &pieces, true)
        }
        (_, Test::Is(literal)) => is_equal(literal, value, true),
        (_, Test::Compare(Comparison::Equal, literal)) => is_equal(literal, value, false),
        (_, Test::Compare(comparison, literal)) => is_ordered(*comparison, literal, value),
    }
}

/// Severities, durations and times by the tables that they were made from.
fn in_range(test: &Test, number: i64) -> bool {
    let (Test::Is(literal) | Test::Compare(_, literal)) = test else {
        return false;
    };
    let text = literal.text();
    let severity = SEVERITIES
        .iter()
        .find(|(name, ..)| *name == text)
        .map(|(_, a, b)| (*a, *b));
    let duration = DURATIONS
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, nanos)| (*nanos, *nanos));
    let time = TIMES
        .iter()
        .find(|(name, ..)| *name == text)
        .map(|(_, a, b)| (*a, *b));
    let (first, last) = severity
        .or(duration)
        .or(time)
        .expect("a value of the tables");
    match test {
        Test::Compare(Comparison::Greater, _) => number > last,
        Test::Compare(Comparison::GreaterOrEqual, _) => number >= first,
        Test::Compare(Comparison::Less, _) => number < first,
        Test::Compare(Comparison::LessOrEqual, _) => number <= last,
        _ => first <= number && number <= last,
    }
}

fn is_equal(literal: &Literal, value: &Owned, any_case: bool) -> bool {
    let shown = shown(value);
    let same_text = if any_case {
        lowered(&shown) == lowered(literal.text())
    } else {
        shown == literal.text()
    };
    let same_number = match (number(literal), digits(value)) {
        (Some(wanted), Some(number)) => compare_decimals(&number, &wanted) == Ordering::Equal,
        _ => false,
    };
    same_text || same_number
}

fn is_ordered(comparison: Comparison, literal: &Literal, value: &Owned) -> bool {
    let ordering = match number(literal) {
        Some(wanted) => {
            let number = match value {
                Owned::Str(text) => {
                    let read = Literal::bare(text.as_str());
                    if read.kind() == literal.kind() {
                        self::number(&read)
                    } else {
                        None
                    }
                }
                other => digits(other),
            };
            number.map(|number| compare_decimals(&number, &wanted))
        }
        None => match value {
            Owned::Str(text) => Some(text.as_bytes().cmp(literal.text().as_bytes())),
            _ => None,
        },
    };
    match comparison {
        Comparison::Greater => ordering == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::Less => ordering == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Equal | Comparison::NotEqual => unreachable!("handled before"),
    }
}

/// The decimal digits of a literal's number. Fractions go through a double, as the language does.
fn number(literal: &Literal) -> Option<String> {
    let text = literal.text();
    match literal.kind() {
        LiteralKind::Text => None,
        LiteralKind::Number if text.contains(['.', 'e', 'E']) => exact(text.parse().ok()?),
        LiteralKind::Number => Some(text.trim_start_matches('+').to_owned()),
        LiteralKind::Duration => Some(match text {
            "250ms" => "250000000".to_owned(),
            "1.5s" => "1500000000".to_owned(),
            other => panic!("no such duration in the tables: {other}"),
        }),
        LiteralKind::Size => Some(match text {
            "4KiB" => "4096".to_owned(),
            other => panic!("no such size in the tables: {other}"),
        }),
    }
}

fn digits(value: &Owned) -> Option<String> {
    match value {
        Owned::Int(number) => Some(number.to_string()),
        Owned::Double(number) => exact(*number),
        _ => None,
    }
}

/// All digits of a double; infinity as more than any double has.
fn exact(number: f64) -> Option<String> {
    if number.is_nan() {
        None
    } else if number.is_infinite() {
        let sign = if number < 0.0 { "-" } else { "" };
        Some(format!("{sign}1{}", "0".repeat(400)))
    } else {
        Some(format!("{number:.1080}"))
    }
}

fn compare_decimals(a: &str, b: &str) -> Ordering {
    let (a_negative, a_digits) = parts(a);
    let (b_negative, b_digits) = parts(b);
    match (a_negative, b_negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => a_digits.cmp(&b_digits),
        (true, true) => b_digits.cmp(&a_digits),
    }
}

/// The sign, and the digits such that their order is that of the numbers; zero has no sign.
fn parts(decimal: &str) -> (bool, String) {
    let unsigned = decimal.trim_start_matches('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole:0>420}.{}", fraction.trim_end_matches('0'));
    let is_zero = digits.chars().all(|c| c == '0' || c == '.');
    (decimal.starts_with('-') && !is_zero, digits)
}

fn shown(value: &Owned) -> String {
    match value.borrowed() {
        Value::Str(text) => text.to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => {
            format!("{}", number as i64)
        }
        Value::Double(number) => format!("{number}"),
        Value::Bool(flag) => flag.to_string(),
        Value::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn lowered(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn has_regex(text: &str, source: &str, ignore_case: bool) -> bool {
    let flags = if ignore_case { "(?i)" } else { "" };
    regex::Regex::new(&format!("{flags}{source}"))
        .expect("a pattern that compiles")
        .is_match(text)
}

fn has_words(text: &str, words: &str, prefix: bool) -> bool {
    let text = tokens(text);
    let words = tokens(words);
    text.windows(words.len()).any(|window| {
        let last = words.len() - 1;
        let last_fits = if prefix {
            window[last].starts_with(&words[last])
        } else {
            window[last] == words[last]
        };
        window[..last] == words[..last] && last_fits
    })
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    for c in text.chars() {
        let is_part = c == '_' || c.is_alphanumeric();
        let is_alone = ('\u{3400}'..='\u{9fff}').contains(&c);
        if !is_part {
            tokens.push(String::new());
        } else if is_alone {
            tokens.push(c.to_string());
            tokens.push(String::new());
        } else {
            tokens
                .last_mut()
                .expect("never empty")
                .extend(c.to_lowercase());
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// Whether the pieces stand in `text` in their order, with anything between them.
fn has_pieces(text: &str, pieces: &[String], at_start: bool) -> bool {
    let Some((piece, others)) = pieces.split_first() else {
        return false;
    };
    if others.is_empty() {
        return text.ends_with(piece.as_str());
    }
    let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    starts.push(text.len());
    starts.retain(|start| !at_start || *start == 0);
    starts.iter().any(|start| {
        text[*start..]
            .strip_prefix(piece.as_str())
            .is_some_and(|rest| has_pieces(rest, others, false))
    })
}
