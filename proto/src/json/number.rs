//! Numbers from their text, without a detour through a double.

/// Why a text is not the number that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// Not a number as JSON writes it.
    Syntax,
    /// Not a whole number.
    Fraction,
    /// Beyond what the type holds.
    Range,
}

/// The whole number that a text in JSON's syntax means: `1.5e3` is 1500.
pub(super) fn parse_integer<T: TryFrom<i128>>(text: &str) -> Result<T, NumberError> {
    let value = Decimal::parse(text)
        .ok_or(NumberError::Syntax)?
        .to_integer()?;
    T::try_from(value).map_err(|_| NumberError::Range)
}

/// The double that is nearest to a text in JSON's syntax.
pub(super) fn parse_double(text: &str) -> Result<f64, NumberError> {
    Decimal::parse(text).ok_or(NumberError::Syntax)?;
    let value: f64 = text.parse().map_err(|_| NumberError::Syntax)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(NumberError::Range)
    }
}

/// A number in its parts: `-12.50e3` has the digits 12 and 50 and the exponent 3.
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Decimal<'a> {
    /// JSON's syntax: no plus sign, no zero before other digits, digits on both sides of the point.
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, rest) = digits(rest);
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => Some(digits(rest)).filter(|(fraction, _)| !fraction.is_empty())?,
            None => ("", rest),
        };
        let exponent = match rest.strip_prefix(['e', 'E']) {
            Some(rest) => parse_exponent(rest)?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        Some(Self {
            negative,
            whole: whole.as_bytes(),
            fraction: fraction.as_bytes(),
            exponent,
        })
    }

    fn to_integer(&self) -> Result<i128, NumberError> {
        // How many of the digits stand before the point once the exponent has moved it.
        let whole_len = i64::try_from(self.whole.len()).unwrap_or(i64::MAX);
        let mut left = whole_len.saturating_add(self.exponent);
        let mut value = 0_i128;
        for digit in self.whole.iter().chain(self.fraction) {
            let digit = i128::from(digit - b'0');
            if left > 0 {
                value = shift(value, digit)?;
                left -= 1;
            } else if digit != 0 {
                return Err(NumberError::Fraction);
            }
        }
        while left > 0 && value != 0 {
            value = shift(value, 0)?;
            left -= 1;
        }
        Ok(if self.negative { -value } else { value })
    }
}

fn shift(value: i128, digit: i128) -> Result<i128, NumberError> {
    let shifted = value
        .checked_mul(10)
        .and_then(|value| value.checked_add(digit));
    shifted.ok_or(NumberError::Range)
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// One that no `i64` holds is as good as the largest or smallest.
fn parse_exponent(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (found, rest) = digits(unsigned);
    if found.is_empty() || !rest.is_empty() {
        return None;
    }
    let saturated = if text.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    Some(text.parse().unwrap_or(saturated))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_are_exact_however_they_are_written() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("0.000e99999999999999999999", 0),
            ("9007199254740993", 9_007_199_254_740_993),
            ("-9223372036854775808", i64::MIN),
            ("9223372036854775807", i64::MAX),
            ("9.223372036854775807e18", i64::MAX),
            ("9223372036854775807000e-3", i64::MAX),
            ("1.0e3", 1000),
            ("1E+3", 1000),
            ("12.50e2", 1250),
            ("1200e-2", 12),
            ("0.0", 0),
        ] {
            assert_eq!(parse_integer(text), Ok(expected), "{text}");
        }
        assert_eq!(parse_integer("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn what_is_no_whole_number_of_the_type_is_refused() {
        use NumberError::{Fraction, Range, Syntax};
        for (text, expected) in [
            ("9223372036854775808", Range),
            ("-9223372036854775809", Range),
            ("1e19", Range),
            ("1e99999999999999999999", Range),
            ("1.5", Fraction),
            ("1e-1", Fraction),
            ("1e-99999999999999999999", Fraction),
            ("9223372036854775807.000000001", Fraction),
            ("", Syntax),
            ("-", Syntax),
            ("+1", Syntax),
            ("007", Syntax),
            ("1.", Syntax),
            (".5", Syntax),
            ("1e", Syntax),
            ("1e+", Syntax),
            (" 1", Syntax),
            ("1 ", Syntax),
            ("0x10", Syntax),
            ("١", Syntax),
        ] {
            assert_eq!(parse_integer::<i64>(text), Err(expected), "{text}");
        }
        assert_eq!(parse_integer::<u64>("-1"), Err(Range));
        assert_eq!(parse_integer::<i32>("2147483648"), Err(Range));
    }

    #[test]
    fn doubles_are_the_nearest_and_too_large_ones_are_refused() {
        assert_eq!(parse_double("0.1"), Ok(0.1));
        assert_eq!(
            parse_double("-0.0").map(f64::to_bits),
            Ok((-0.0_f64).to_bits())
        );
        assert_eq!(
            parse_double("2.2250738585072011e-308"),
            Ok(2.225_073_858_507_201e-308)
        );
        assert_eq!(parse_double("1e400"), Err(NumberError::Range));
        assert_eq!(parse_double("inf"), Err(NumberError::Syntax));
        assert_eq!(parse_double("nan"), Err(NumberError::Syntax));
    }

    proptest! {
        #[test]
        fn a_text_is_a_number_exactly_when_serde_json_takes_it(text in r"[-+]?[0-9]{0,3}(\.[0-9]{0,3})?([eE][+-]?[0-9]{0,2})?") {
            // Only the syntax is compared: serde_json's doubles are not always the nearest.
            let taken = serde_json::from_str::<f64>(&text).is_ok();
            let double = parse_double(&text);
            prop_assert_eq!(double.is_ok(), taken);
            if let Ok(whole) = parse_integer::<i64>(&text) {
                // At most 6 digits and zeros behind them, which a double holds exactly up to 10^22.
                prop_assert_eq!(Ok(whole as f64), double);
            }
        }
    }
}
