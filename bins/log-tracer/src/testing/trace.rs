//! A trace in a test, with helpers that assert.

use std::{fmt, ops::Deref};

use log_tracer_proto::otlp::common::any_value::Value;
use log_tracer_record::{SpanRow, TraceId, attribute};

use super::{Expected, Log, expected::shown};
use crate::{client::TraceRows, text, tree};

/// One trace: its spans in the order of their start, its logs in the order of time. Shown as a tree.
#[derive(Clone)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// In the order of their start.
    pub spans: Vec<Span>,
    /// In the order of time.
    pub logs: Vec<Log>,
}

/// One span with its resource and scope. It has the helpers of [`SpanRow`], and the span as it came in `span`.
#[derive(Clone, PartialEq)]
pub struct Span(SpanRow);

impl Trace {
    pub(super) fn new(id: TraceId, rows: TraceRows) -> Self {
        let mut spans: Vec<_> = rows.spans.into_iter().map(Span).collect();
        let mut logs: Vec<_> = rows.logs.into_iter().map(Log::new).collect();
        spans.sort_by_key(|span| span.start_unix_nano());
        logs.sort_by_key(|log| log.time_unix_nano());
        Self { id, spans, logs }
    }

    /// The only span of this name.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn span(&self, name: &str) -> &Span {
        match self.spans_named(name).as_slice() {
            [span] => span,
            found => panic!("{} spans are called `{name}` in\n{self}", found.len()),
        }
    }

    /// All spans of this name, in the order of their start.
    #[must_use]
    pub fn spans_named(&self, name: &str) -> Vec<&Span> {
        let spans = self.spans.iter();
        spans.filter(|span| span.0.span.name == name).collect()
    }

    /// The only span without a parent.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn root(&self) -> &Span {
        let roots: Vec<_> = self
            .spans
            .iter()
            .filter(|span| span.parent_id().is_none())
            .collect();
        match roots.as_slice() {
            [root] => root,
            found => panic!("{} spans have no parent in\n{self}", found.len()),
        }
    }

    /// The spans whose parent is `parent`, in the order of their start.
    #[must_use]
    pub fn children_of(&self, parent: &Span) -> Vec<&Span> {
        let id = parent.span_id();
        let spans = self.spans.iter();
        spans
            .filter(|span| id.is_some() && span.parent_id() == id)
            .collect()
    }

    /// The only log whose body contains this text.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn log(&self, text: &str) -> &Log {
        let found: Vec<_> = self
            .logs
            .iter()
            .filter(|log| log.text().contains(text))
            .collect();
        match found.as_slice() {
            [log] => log,
            found => panic!("{} logs contain `{text}` in\n{self}", found.len()),
        }
    }
}

impl Span {
    /// The row, to keep.
    #[must_use]
    pub fn into_row(self) -> SpanRow {
        self.0
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.span.name
    }

    /// The value of an attribute of the span; `None` when it has no such key.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        attribute(&self.0.span.attributes, key)
    }

    /// Asserts its name.
    ///
    /// # Panics
    /// When it is called otherwise.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn named(&self, expected: &str) -> &Self {
        if self.name() != expected {
            panic!("the span should be called `{expected}`: {self}");
        }
        self
    }

    /// Asserts the service that made it.
    ///
    /// # Panics
    /// When another one did.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn of_service(&self, expected: &str) -> &Self {
        if self.service() != expected {
            panic!("the span should be of the service `{expected}`: {self}");
        }
        self
    }

    /// Asserts its parent.
    ///
    /// # Panics
    /// When it has another one, or none.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn child_of(&self, parent: &Self) -> &Self {
        if self.trace_id() != parent.trace_id() || self.parent_id() != parent.span_id() {
            let own = self
                .parent_id()
                .map_or("none".to_owned(), |id| id.to_string());
            panic!("the span\n  {self}\nhas the parent {own} and should be a child of\n  {parent}");
        }
        self
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
                "the attribute `{key}` should be {expected}, and is {}, on the span\n  {self}",
                shown(found)
            );
        }
        self
    }

    /// Asserts that its status is an error.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion of a test")]
    pub fn failed(&self) -> &Self {
        if !self.is_error() {
            panic!("the span should have failed: {self}");
        }
        self
    }
}

impl Deref for Span {
    type Target = SpanRow;

    fn deref(&self) -> &SpanRow {
        &self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&tree::span_text(self))?;
        if let Some(id) = self.span_id() {
            write!(f, " ({id})")?;
        }
        let attributes = text::attributes(&self.0.span.attributes);
        if !attributes.is_empty() {
            write!(f, " {attributes}")?;
        }
        Ok(())
    }
}

/// As [`Display`](fmt::Display): the lists that a failed `assert!` prints stay readable.
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spans, logs) = (self.spans.len(), self.logs.len());
        writeln!(f, "trace {} with {spans} spans and {logs} logs", self.id)?;
        let spans: Vec<_> = self.spans.iter().map(|span| &**span).collect();
        let logs: Vec<_> = self.logs.iter().map(|log| &**log).collect();
        tree::write(f, &spans, &logs)
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
