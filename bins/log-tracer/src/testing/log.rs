//! A log record in a test.

use std::{fmt, ops::Deref};

use log_tracer_proto::otlp::common::any_value::Value;
use log_tracer_record::{LogRow, attribute};

use super::{Expected, Span, expected::shown};
use crate::{text, tree};

/// One log record with its resource and scope. It has the helpers of [`LogRow`], and the record as it came in
/// `record`.
#[derive(Clone, PartialEq)]
pub struct Log(LogRow);

impl Log {
    pub(super) fn new(row: LogRow) -> Self {
        Self(row)
    }

    /// The row, to keep.
    #[must_use]
    pub fn into_row(self) -> LogRow {
        self.0
    }

    /// Its body as text: a string as it is, anything else as JSON would have it, and without control characters.
    #[must_use]
    pub fn text(&self) -> String {
        text::value(self.record.body.as_ref())
    }

    /// The value of an attribute of the record; `None` when it has no such key.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        attribute(&self.0.record.attributes, key)
    }

    /// Asserts the value of an attribute.
    ///
    /// # Panics
    /// When it is absent, or another.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn with_attribute(&self, key: &str, expected: impl Into<Expected>) -> &Self {
        let expected = expected.into();
        let found = self.attribute(key);
        if !found.is_some_and(|value| expected.is(value)) {
            panic!(
                "the attribute `{key}` should be {expected}, and is {}, on the log\n  {self}",
                shown(found)
            );
        }
        self
    }

    /// Asserts that it was written within a span.
    ///
    /// # Panics
    /// When it was written within another one, or none.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn in_span(&self, span: &Span) -> &Self {
        if self.trace_id() != span.trace_id() || self.span_id() != span.span_id() {
            panic!("the log\n  {self}\nshould be within the span\n  {span}");
        }
        self
    }
}

impl Deref for Log {
    type Target = LogRow;

    fn deref(&self) -> &LogRow {
        &self.0
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&tree::log_text(self))
    }
}

/// As [`Display`](fmt::Display): the lists that a failed `assert!` prints stay readable.
impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
