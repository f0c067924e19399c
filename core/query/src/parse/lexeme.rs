//! What is longer than a character: texts in quotes and regular expressions between slashes.

use super::Parser;
use crate::ast::Pattern;
use crate::error::ParseError;

impl Parser<'_> {
    /// The regular expression that begins here, if this `/` begins one: the next `/` that no backslash precedes, with
    /// or without the flag `i`, must end the term. Else the slash belongs to a path.
    pub(super) fn regex(&mut self) -> Result<Option<Pattern>, ParseError> {
        let start = self.at;
        let Some(source) = self
            .rest()
            .strip_prefix('/')
            .and_then(until_unescaped_slash)
        else {
            return Ok(None);
        };
        let after = start + source.len() + 2;
        let flags = if self
            .text
            .get(after..)
            .is_some_and(|rest| rest.starts_with('i'))
        {
            1
        } else {
            0
        };
        self.at = after + flags;
        if !self.is_at_boundary() {
            self.at = start;
            return Ok(None);
        }
        self.regexes += 1;
        if self.regexes > self.limits.regexes_max {
            return Err(self
                .error(start..self.at, "too many regular expressions")
                .expected(format!("at most {}", self.limits.regexes_max)));
        }
        Pattern::new(source, flags > 0, self.limits.regex_bytes_max)
            .map(Some)
            .map_err(|error| {
                self.error(start..self.at, error.to_string())
                    .expected("a regular expression between slashes, or quotes around a path")
            })
    }

    /// A text in quotes, from its first quote to behind its last.
    pub(super) fn quoted(&mut self) -> Result<String, ParseError> {
        let open = self.bump();
        let mut content = String::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(self.unclosed(open, '"', "this quote is never closed"));
            };
            let at = self.bump();
            match c {
                '"' => return Ok(content),
                '\\' => content.push(self.escape(at)?),
                c => content.push(c),
            }
        }
    }

    /// What stands after a backslash in quotes.
    fn escape(&mut self, backslash: usize) -> Result<char, ParseError> {
        let escaped = self.peek();
        if escaped.is_some() {
            self.bump();
        }
        match escaped {
            Some(c @ ('"' | '\\')) => Ok(c),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => self.unicode_escape(backslash),
            _ => {
                let span = backslash..self.at;
                let literally = self.text.get(span.clone()).map(|text| format!("\\{text}"));
                Err(self
                    .error(span, "unknown escape")
                    .expected("`\\\"`, `\\\\`, `\\n`, `\\r`, `\\t` or `\\u{…}` in quotes")
                    .suggest(literally))
            }
        }
    }

    fn unicode_escape(&mut self, backslash: usize) -> Result<char, ParseError> {
        let code = self
            .rest()
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map(|(digits, _)| digits);
        let character = code
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32);
        match (code, character) {
            (Some(digits), Some(c)) if !digits.starts_with('+') => {
                self.at += digits.len() + 2;
                Ok(c)
            }
            _ => Err(self
                .error(backslash..self.at, "not a character")
                .expected("its hexadecimal number, like `\\u{2192}`")),
        }
    }
}

/// The part of `text` before the first slash that no backslash precedes.
fn until_unescaped_slash(text: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == '/' && !escaped {
            return text.get(..at);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}
