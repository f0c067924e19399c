//! What a case saw instead of what it expected.

use std::fmt;

/// Why a case fails, for people: what was expected, what was seen, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(String);

impl Seen {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when an error came that should not have come.
pub(crate) trait SeenWhile<T> {
    fn seen_while(self, doing: impl fmt::Display) -> Result<T, Seen>;
}

impl<T, E: fmt::Display> SeenWhile<T> for Result<T, E> {
    fn seen_while(self, doing: impl fmt::Display) -> Result<T, Seen> {
        self.map_err(|error| Seen(format!("{doing}: {error}")))
    }
}

/// Ends a case with what was seen unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($seen:tt)+) => {
        if !$condition {
            return Err($crate::seen::Seen::new(format!($($seen)+)));
        }
    };
}

pub(crate) use ensure;
