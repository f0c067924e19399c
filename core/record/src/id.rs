//! The ids of traces and spans, valid by construction.

use std::{fmt, str::FromStr};

use bytes::Bytes;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// It is too short or too long.
    #[error("expected {expected} hexadecimal digits, found {found} characters")]
    Length {
        /// Digits that an id has.
        expected: usize,
        /// Characters in the text.
        found: usize,
    },
    /// It has a character that is not a hexadecimal digit.
    #[error("expected {expected} hexadecimal digits, found {found:?} at character {column}")]
    Digit {
        /// Digits that an id has.
        expected: usize,
        /// The first character that is none.
        found: char,
        /// Where it stands, from 1.
        column: usize,
    },
    /// It is all zero, which the W3C Trace Context and OTLP call invalid.
    #[error("an id must not be all zero")]
    Zero,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// How many bytes it has.
            pub const LEN: usize = $len;

            /// `None` when there are more or fewer bytes than [`Self::LEN`], or all are zero.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let id = <[u8; $len]>::try_from(bytes).ok()?;
                (id != [0; $len]).then_some(Self(id))
            }

            /// Reads hexadecimal digits in either case.
            ///
            /// # Errors
            ///
            /// When there are not twice [`Self::LEN`] of them, or all are zero.
            pub fn from_hex(text: &str) -> Result<Self, IdError> {
                let expected = 2 * $len;
                let digits = text.chars().count();
                if digits != expected {
                    return Err(IdError::Length { expected, found: digits });
                }
                let bad = text.chars().zip(1..).find(|(digit, _)| !digit.is_ascii_hexdigit());
                if let Some((found, column)) = bad {
                    return Err(IdError::Digit { expected, found, column });
                }
                let id: [u8; $len] = const_hex::decode_to_array(text)
                    .map_err(|_| IdError::Length { expected, found: digits })?;
                Self::from_bytes(&id).ok_or(IdError::Zero)
            }

            /// Its bytes, in the order of its digits.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Its bytes, as the OTLP messages hold them.
            #[must_use]
            pub fn to_bytes(self) -> Bytes {
                Bytes::copy_from_slice(&self.0)
            }
        }

        /// Lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(const_hex::Buffer::<$len>::new().format(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::from_hex(text)
            }
        }
    };
}

id! {
    /// The id of a trace: 16 bytes, not all zero.
    TraceId, 16
}

id! {
    /// The id of a span within its trace: 8 bytes, not all zero.
    SpanId, 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case_are_read_and_lower_case_is_printed() {
        let id = TraceId::from_hex("5B8EFFF798038103D269B633813FC60C").unwrap();
        assert_eq!(id.to_string(), "5b8efff798038103d269b633813fc60c");
        assert_eq!(id.as_bytes()[..2], [0x5b, 0x8e]);
        assert_eq!(
            format!("{id:?}"),
            "TraceId(5b8efff798038103d269b633813fc60c)"
        );
        assert_eq!(
            "eee19b7ec3c1b174".parse(),
            SpanId::from_hex("eee19b7ec3c1b174")
        );
    }

    #[test]
    fn only_the_right_number_of_bytes_that_are_not_all_zero_is_an_id() {
        assert_eq!(TraceId::from_bytes(&[0; 16]), None);
        assert_eq!(TraceId::from_bytes(&[1; 15]), None);
        assert_eq!(TraceId::from_bytes(&[1; 17]), None);
        assert_eq!(SpanId::from_bytes(&[]), None);
        assert!(SpanId::from_bytes(&[0, 0, 0, 0, 0, 0, 0, 1]).is_some());
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_with_the_reason() {
        let error = |text: &str| SpanId::from_hex(text).unwrap_err().to_string();
        assert_eq!(
            error(""),
            "expected 16 hexadecimal digits, found 0 characters"
        );
        assert_eq!(error("0000000000000000"), "an id must not be all zero");
        assert_eq!(
            error("0x19b7ec3c1b174a"),
            "expected 16 hexadecimal digits, found 'x' at character 2"
        );
        assert_eq!(
            error("eee19b7ec3c1b17é"),
            "expected 16 hexadecimal digits, found 'é' at character 16"
        );
    }
}
