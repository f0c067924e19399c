//! Numbers, durations and sizes as they are written, and exact comparison of numbers.

use std::cmp::Ordering;

/// A number: whole ones exactly, others as a double.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i128),
    Double(f64),
}

/// Units of time and how many nanoseconds they are.
pub(crate) const DURATION_UNITS: &[(&str, i128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5, micro sign
    ("μs", 1_000), // U+03BC, Greek letter
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Units of size, read in any case, and how many bytes they are.
pub(crate) const SIZE_UNITS: &[(&str, i128)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
];

/// The most digits of a number with a unit: more do not fit 128 bits in every unit.
const DIGITS_MAX: usize = 18;

impl Number {
    /// Compares the mathematical values; None when one is not a number.
    pub(crate) fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Double(a), Number::Double(b)) => a.partial_cmp(&b),
            (Number::Int(a), Number::Double(b)) => compare_int_to_double(a, b),
            (Number::Double(a), Number::Int(b)) => {
                compare_int_to_double(b, a).map(Ordering::reverse)
            }
        }
    }

    pub(crate) fn equals(self, other: Number) -> bool {
        self.compare(other) == Some(Ordering::Equal)
    }
}

/// Reads `-12`, `0.5`, `1e6`; no blanks, no other base, neither `inf` nor `nan`.
pub(crate) fn parse_number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent_digits = exponent.map(|digits| digits.strip_prefix(['-', '+']).unwrap_or(digits));
    let well_formed =
        is_digits(whole) && fraction.is_none_or(is_digits) && exponent_digits.is_none_or(is_digits);
    if !well_formed {
        return None;
    }
    if fraction.is_none()
        && exponent.is_none()
        && let Ok(number) = text.parse()
    {
        return Some(Number::Int(number));
    }
    text.parse().ok().map(Number::Double)
}

/// Reads a duration like `250ms`, `-1.5s` or `1h30m` into nanoseconds, exactly.
pub(crate) fn parse_duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = split_sign(text);
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end_of_number = rest.find(|c: char| !is_number_char(c))?;
        let (number, after) = rest.split_at_checked(end_of_number)?;
        let end_of_unit = after.find(is_number_char).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end_of_unit)?;
        let (_, nanos) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scale(number, *nanos)?)?;
        rest = after;
    }
    let magnitude = (!text.is_empty() && text.len() > usize::from(negative)).then_some(total)?;
    Some(if negative { -magnitude } else { magnitude })
}

/// Reads a size like `10MB` or `1.5KiB` into bytes, exactly.
pub(crate) fn parse_size(text: &str) -> Option<i128> {
    let (negative, rest) = split_sign(text);
    let end_of_number = rest.find(|c: char| !is_number_char(c))?;
    let (number, unit) = rest.split_at_checked(end_of_number)?;
    let (_, bytes) = SIZE_UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let total = scale(number, *bytes)?;
    Some(if negative { -total } else { total })
}

/// Splits `250msec` into `250` and `msec`, when it is a number followed by letters.
pub(crate) fn split_unit(text: &str) -> Option<(&str, &str)> {
    let (_, unsigned) = split_sign(text);
    let end = unsigned.find(|c: char| !is_number_char(c))?;
    let (number, unit) = text.split_at_checked(text.len() - unsigned.len() + end)?;
    let is_unit = unit.chars().all(char::is_alphabetic);
    (is_unit && parse_number(number).is_some()).then_some((number, unit))
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// A decimal number times a unit; None when it is not whole or not a number.
fn scale(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > DIGITS_MAX || fraction.len() > DIGITS_MAX {
        return None;
    }
    let tens = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<i128>().ok()?
    };
    let scaled_fraction = fraction.checked_mul(unit)?;
    if scaled_fraction % tens != 0 {
        return None;
    }
    whole
        .parse::<i128>()
        .ok()?
        .checked_mul(unit)?
        .checked_add(scaled_fraction / tens)
}

fn is_number_char(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Exact, also where a double cannot hold the integer.
fn compare_int_to_double(int: i128, double: f64) -> Option<Ordering> {
    // 2^127, the first double beyond every i128.
    const LIMIT: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    if double.is_nan() {
        None
    } else if double >= LIMIT {
        Some(Ordering::Less)
    } else if double < -LIMIT {
        Some(Ordering::Greater)
    } else {
        // The whole part of a double below the limit is an exact i128; the fraction decides only between equals.
        let whole = double.trunc();
        let fraction = double - whole;
        Some(
            int.cmp(&(whole as i128))
                .then_with(|| 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal)),
        )
    }
}
