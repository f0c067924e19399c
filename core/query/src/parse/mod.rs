//! The parser: recursive descent over the characters, one function per rule of the grammar in the crate's docs.
//!
//! It descends only into parentheses, and counts them, so no query overflows the stack.

mod check;
mod cursor;
mod lexeme;
mod suggest;
mod value;

use std::ops::Range;

use suggest::regex_for;
use value::Subject;

use crate::ast::{Comparison, Expr, Text, Words};
use crate::error::ParseError;
use crate::field::{can_be_in_field, can_start_field};
use crate::limits::Limits;
use crate::record::Field;

/// Words that join terms, in upper case only.
const KEYWORDS: [&str; 3] = ["AND", "OR", "NOT"];

const QUOTES_THAT_ARE_NONE: [char; 6] = ['\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];

pub(crate) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word)
}

/// Reads a query; an empty one is [`Expr::All`].
pub(crate) fn parse_expr(text: &str, limits: &Limits) -> Result<Expr, ParseError> {
    if text.len() > limits.query_bytes_max {
        return Err(too_long(text, limits));
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        terms: 0,
        regexes: 0,
        limits,
    };
    parser.skip_space();
    if parser.at_end() {
        return Ok(Expr::All);
    }
    let expr = parser.alternatives()?;
    parser.skip_space();
    if parser.at_end() {
        return Ok(expr);
    }
    // Only a closing parenthesis ends the alternatives before the end of the text.
    Err(parser
        .error(parser.at..parser.at + 1, "this `)` closes nothing")
        .expected("as many `(` as `)`, or quotes around a text"))
}

/// The error for a query, read or printed, beyond the limit of bytes.
pub(crate) fn too_long(text: &str, limits: &Limits) -> ParseError {
    let fits = text.floor_char_boundary(limits.query_bytes_max);
    ParseError::new(text, fits..text.len(), "the query is too long")
        .expected(format!("at most {} bytes", limits.query_bytes_max))
        .without_query()
}

/// An operator between a field and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    /// `:`
    Matches,
    Compares(Comparison),
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes, always at the start of a character.
    at: usize,
    depth: usize,
    terms: usize,
    regexes: usize,
    limits: &'a Limits,
}

impl<'a> Parser<'a> {
    /// `alternatives = terms { "OR" terms }`
    fn alternatives(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.terms()?];
        while self.eat_keyword("OR") {
            parts.push(self.terms()?);
        }
        Ok(Expr::or(parts))
    }

    /// `terms = term { [ "AND" ] term }`
    fn terms(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.term()?];
        loop {
            self.skip_space();
            if self.at_end() || self.peek() == Some(')') || self.is_at_keyword("OR") {
                return Ok(Expr::and(parts));
            }
            self.eat_keyword("AND");
            parts.push(self.term()?);
        }
    }

    /// `term = { "-" | "NOT" } primary`
    fn term(&mut self) -> Result<Expr, ParseError> {
        let mut negative = false;
        loop {
            self.skip_space();
            if self.eat_keyword("NOT") {
                negative = !negative;
            } else if self.peek() == Some('-') {
                let start = self.bump();
                if self.peek().is_none_or(|c| c.is_whitespace() || c == ')') {
                    return Err(self
                        .error(start..self.at, "nothing follows this `-`")
                        .expected("the term to exclude right after it, like `-status:ok`"));
                }
                negative = !negative;
            } else {
                break;
            }
        }
        let primary = self.primary()?;
        Ok(if negative {
            Expr::negated(primary)
        } else {
            primary
        })
    }

    /// `primary = "(" alternatives ")" | "*" | regex | text | predicate`
    fn primary(&mut self) -> Result<Expr, ParseError> {
        let Some(first) = self.peek() else {
            return Err(self
                .error(self.at..self.at, "the query ends here")
                .expected("a term"));
        };
        match first {
            '(' => self.parentheses(),
            ')' => Err(self
                .error(self.at..self.at + 1, "nothing stands before this `)`")
                .expected("a term")),
            '"' => self.quoted_term(),
            '*' => self.everything(),
            '/' => match self.regex()? {
                Some(pattern) => self.counted(Expr::Text(Text::Regex(pattern))),
                None => {
                    self.refuse_unclosed_regex(self.at)?;
                    self.word_term()
                }
            },
            ':' | '=' | '<' | '>' | '!' => Err(self.operator_without_field(first)),
            c if QUOTES_THAT_ARE_NONE.contains(&c) => Err(self.wrong_quotes(c)),
            _ if KEYWORDS.iter().any(|keyword| self.is_at_keyword(keyword)) => {
                Err(self.misplaced_keyword())
            }
            _ => self.word_term(),
        }
    }

    fn parentheses(&mut self) -> Result<Expr, ParseError> {
        let open = self.bump();
        self.descend(open)?;
        self.skip_space();
        if self.peek() == Some(')') {
            return Err(self
                .error(
                    open..self.at + 1,
                    "nothing stands between these parentheses",
                )
                .expected("a term"));
        }
        let expr = self.alternatives()?;
        self.close(open)?;
        Ok(expr)
    }

    fn descend(&mut self, open: usize) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > self.limits.depth_max {
            return Err(self
                .error(open..open + 1, "parentheses are nested too deeply")
                .expected(format!("at most {} levels", self.limits.depth_max)));
        }
        Ok(())
    }

    fn close(&mut self, open: usize) -> Result<(), ParseError> {
        self.skip_space();
        if self.peek() == Some(')') {
            self.bump();
            self.depth -= 1;
            return Ok(());
        }
        Err(self.unclosed(open, ')', "this `(` is never closed"))
    }

    /// `"*"`, every record.
    fn everything(&mut self) -> Result<Expr, ParseError> {
        let start = self.bump();
        if self.is_at_boundary() {
            return self.counted(Expr::All);
        }
        let word = self.take_word();
        let rest = word.trim_matches('*');
        Err(self
            .error(start..self.at, "a word cannot begin with `*`")
            .expected("`*` at the end of a word, or a regular expression for a part of a text")
            .suggest(regex_for(rest)))
    }

    /// A term that begins with a quote: a phrase, or a test of the attribute of that key.
    fn quoted_term(&mut self) -> Result<Expr, ParseError> {
        let start = self.at;
        let content = self.quoted()?;
        if let Some(operator) = self.operator()? {
            let field = Field::Attribute(content);
            return self.tested(&Subject {
                field,
                quoted: true,
                operator,
                start,
            });
        }
        let prefix = self.peek() == Some('*');
        if prefix {
            self.bump();
        }
        if !self.is_at_boundary() {
            return Err(self
                .error(
                    self.at..self.at,
                    "a term begins right after the closing quote",
                )
                .expected("a blank between terms"));
        }
        self.words(content, prefix, start..self.at)
    }

    /// A term that begins with anything else: a word, or a test of a field.
    fn word_term(&mut self) -> Result<Expr, ParseError> {
        let start = self.at;
        if let Some(subject) = self.unquoted_subject()? {
            return self.tested(&subject);
        }
        let word = self.take_word();
        if !self.is_at_boundary() {
            let next = self.peek().unwrap_or_default();
            return Err(self
                .error(
                    self.at..self.at + next.len_utf8(),
                    format!("`{next}` stands right after a word"),
                )
                .expected("a blank between terms, or quotes around all of it"));
        }
        let stem = word.strip_suffix('*').unwrap_or(word);
        if stem.contains('*') {
            return Err(self
                .error(start..self.at, "a word takes `*` only at its end")
                .expected("a regular expression for a part of a text")
                .suggest(regex_for(word)));
        }
        self.words(stem.to_owned(), stem.len() < word.len(), start..self.at)
    }

    /// The field and the operator that begin here, if they do. Something like `10:30` or `/a?b=c` is a text.
    fn unquoted_subject(&mut self) -> Result<Option<Subject>, ParseError> {
        let start = self.at;
        if !self.peek().is_some_and(can_start_field) {
            return Ok(None);
        }
        let rest = self.rest();
        let length = rest.find(|c| !can_be_in_field(c)).unwrap_or(rest.len());
        self.at += length;
        let Some(operator) = self.operator()? else {
            self.at = start;
            return Ok(None);
        };
        let field = Field::named(rest.get(..length).unwrap_or_default());
        Ok(Some(Subject {
            field,
            quoted: false,
            operator,
            start,
        }))
    }

    fn words(
        &mut self,
        text: String,
        prefix: bool,
        span: Range<usize>,
    ) -> Result<Expr, ParseError> {
        let words = self.checked_words(&text, prefix, &span)?;
        self.counted(Expr::Text(Text::Words(words)))
    }

    fn checked_words(
        &self,
        text: &str,
        prefix: bool,
        span: &Range<usize>,
    ) -> Result<Words, ParseError> {
        if let Some(words) = Words::new(text, prefix) {
            return Ok(words);
        }
        let error = if Words::new(text, false).is_some() {
            self.error(span.clone(), "this `*` does not touch a word")
                .expected("a letter or a digit before `*`")
        } else {
            self.error(span.clone(), "no letter or digit to search for")
                .expected("a word, or a regular expression for other characters")
        };
        Err(error.suggest(regex_for(text)))
    }

    /// Counts a finished term.
    fn counted(&mut self, expr: Expr) -> Result<Expr, ParseError> {
        self.terms += 1;
        if self.terms > self.limits.terms_max {
            return Err(self
                .error(self.at..self.at, "too many terms")
                .expected(format!("at most {}", self.limits.terms_max)));
        }
        Ok(expr)
    }
}
