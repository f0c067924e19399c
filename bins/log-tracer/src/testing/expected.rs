//! Values as a test writes them, to compare with values as OTLP carries them.

use std::fmt;

use log_tracer_proto::otlp::common::any_value::Value;

/// An attribute's value in a test: a string, a whole number, a number with a fraction, or true or false.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expected {
    /// Text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// True or false.
    Bool(bool),
}

impl Expected {
    /// Whether it is that value, of that type: 1 is not 1.0.
    #[must_use]
    pub fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Str(expected), Value::StringValue(found)) => expected == found,
            (Self::Int(expected), Value::IntValue(found)) => expected == found,
            (Self::Bool(expected), Value::BoolValue(found)) => expected == found,
            // Bits, so that NaN is NaN.
            (Self::Double(expected), Value::DoubleValue(found)) => {
                expected == found || expected.to_bits() == found.to_bits()
            }
            _ => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => write!(f, "{text:?}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Double(number) => write!(f, "{number:?}"),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

impl From<&str> for Expected {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Expected {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<i64> for Expected {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Expected {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<u32> for Expected {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for Expected {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Expected {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// As it would be written in a test, for messages.
pub(super) fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => format!("{number:?}"),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
    }
}
