//! The place in the query, and steps from it.

use std::ops::Range;

use super::Parser;
use crate::error::ParseError;

impl<'a> Parser<'a> {
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes one character on; answers where it stood.
    pub(super) fn bump(&mut self) -> usize {
        let at = self.at;
        self.at += self.peek().map_or(0, char::len_utf8);
        at
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(super) fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Whether a term may end here.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.peek().is_none_or(|c| c.is_whitespace() || c == ')')
    }

    pub(super) fn is_at_keyword(&self, keyword: &str) -> bool {
        self.rest().strip_prefix(keyword).is_some_and(|rest| {
            rest.chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '"'))
        })
    }

    pub(super) fn eat_keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let found = self.is_at_keyword(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    /// Everything up to a blank, a parenthesis or a quote.
    pub(super) fn take_word(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"'))
            .unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }
}
