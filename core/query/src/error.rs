//! What is wrong with a query, where, and what to write instead.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::text::stands_alone;

/// How much of the query [`ParseError::render`] shows before and after the place, in characters.
const EXCERPT_CHARS: usize = 60;

/// A query that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, in characters from 1; one after the last when something is missing at the end.
    pub column: usize,
    /// Where, in bytes of the query; empty when something is missing.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What could stand there.
    pub expected: Option<Box<str>>,
    /// What to write instead; see [`ParseError::corrected`] for the whole query.
    pub suggestion: Option<String>,
    /// The query; empty when it was too long.
    pub query: Box<str>,
    /// What the suggestion replaces, in bytes of the query.
    replaced: Range<usize>,
}

impl ParseError {
    pub(crate) fn new(query: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = query.get(..span.start).unwrap_or(query);
        ParseError {
            column: before.chars().count() + 1,
            replaced: span.clone(),
            span,
            message: message.into(),
            expected: None,
            suggestion: None,
            query: query.into(),
        }
    }

    pub(crate) fn expected(mut self, expected: impl Into<Box<str>>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What to write in the place of the span.
    pub(crate) fn suggest(mut self, suggestion: impl Into<Option<String>>) -> Self {
        self.suggestion = suggestion.into();
        self
    }

    /// What to write in the place of something else than the span.
    pub(crate) fn suggest_for(mut self, replaced: Range<usize>, suggestion: String) -> Self {
        self.replaced = replaced;
        self.suggestion = Some(suggestion);
        self
    }

    pub(crate) fn without_query(mut self) -> Self {
        self.query = Box::default();
        self
    }

    /// The query with the suggestion followed, when there is one. It may have another error behind that.
    pub fn corrected(&self) -> Option<String> {
        let suggestion = self.suggestion.as_deref()?;
        let before = self.query.get(..self.replaced.start)?;
        let after = self.query.get(self.replaced.end..)?;
        Some(format!("{before}{suggestion}{after}"))
    }

    /// For a terminal: the error, the query (or the part around the place), and carets below the place.
    pub fn render(&self) -> String {
        let mut text = self.to_string();
        if self.query.is_empty() {
            return text;
        }
        let start = self.column.saturating_sub(1);
        let marked = self.query.get(self.span.clone()).unwrap_or_default();
        let length = marked.chars().count().max(1);
        let first = start.saturating_sub(EXCERPT_CHARS);
        let shown = start - first + length.min(EXCERPT_CHARS) + EXCERPT_CHARS;
        let excerpt = self.query.chars().skip(first).take(shown);
        let cut_before = if first > 0 { "…" } else { "" };
        let mut line = cut_before.to_owned();
        let mut carets = cut_before.replace('…', " ");
        for (index, c) in (first..).zip(excerpt) {
            line.push(if c.is_control() { ' ' } else { c });
            if index < start {
                // An ideographic space is as wide as the letters that fill two columns.
                carets.push(if stands_alone(c) { '\u{3000}' } else { ' ' });
            }
        }
        if self.query.chars().count() > first + shown {
            line.push('…');
        }
        carets.push_str(&"^".repeat(length.min(EXCERPT_CHARS)));
        text.push_str(&format!("\n  {line}\n  {carets}"));
        text
    }
}

/// In one line. Control characters of the query show as blanks, since they would move the cursor of a terminal.
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, visible(&self.message))?;
        if let Some(expected) = &self.expected {
            write!(f, ": expected {}", visible(expected))?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{}`?", visible(suggestion))?;
        }
        Ok(())
    }
}

fn visible(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.replace(char::is_control, " "))
    } else {
        Cow::Borrowed(text)
    }
}

impl std::error::Error for ParseError {}
