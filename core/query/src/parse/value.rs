//! What stands after a field: an operator, then a value, a pattern or a list of them.

use std::ops::Range;

use super::check::error_flag;
use super::suggest::{FOREIGN_OPERATORS, Foreign};
use super::{Operator, Parser, is_keyword};
use crate::ast::{Comparison, Expr, Pattern};
use crate::error::ParseError;
use crate::print::quote;
use crate::record::Field;

/// What stands before a value.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) field: Field,
    /// Whether the field stood in quotes.
    pub(super) quoted: bool,
    pub(super) operator: Operator,
    /// Where the field begins.
    pub(super) start: usize,
}

/// A value as it stands in the query.
#[derive(Debug)]
pub(super) enum Value {
    /// `*`
    Anything,
    /// A text, and whether it stood in quotes.
    Plain { text: String, quoted: bool },
    /// Texts with wildcards between them.
    Pieces(Vec<String>),
    /// `/re/`
    Regex(Pattern),
}

/// Operators by their spelling, the longest first.
const COMPARISONS: &[(&str, Comparison)] = &[
    ("!=", Comparison::NotEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
    ("=", Comparison::Equal),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
];

impl Parser<'_> {
    /// The operator here, if there is one, and the cursor behind it. Blanks may stand around a comparison, not around
    /// `:`, since `error: connection refused` is a text that people paste.
    pub(super) fn operator(&mut self) -> Result<Option<Operator>, ParseError> {
        let start = self.at;
        if self.peek() == Some(':') {
            self.bump();
            return match self.comparison()? {
                // `field:>5` is how others write `field>5`.
                Some(comparison) => Ok(Some(Operator::Compares(comparison))),
                None => Ok(Some(Operator::Matches)),
            };
        }
        self.skip_space();
        let comparison = self.comparison()?;
        if comparison.is_none() {
            self.at = start;
        }
        Ok(comparison.map(Operator::Compares))
    }

    fn comparison(&mut self) -> Result<Option<Comparison>, ParseError> {
        let begins_here = |foreign: &&Foreign| self.rest().starts_with(foreign.operator);
        if let Some(foreign) = FOREIGN_OPERATORS.iter().find(begins_here) {
            return Err(self.foreign_operator(foreign));
        }
        let found = COMPARISONS
            .iter()
            .find(|(spelling, _)| self.rest().starts_with(spelling));
        self.at += found.map_or(0, |(spelling, _)| spelling.len());
        Ok(found.map(|(_, comparison)| *comparison))
    }

    /// The test of a field, from behind its operator.
    pub(super) fn tested(&mut self, subject: &Subject) -> Result<Expr, ParseError> {
        let after_operator = self.at;
        if matches!(subject.operator, Operator::Compares(_)) {
            self.skip_space();
        }
        if self.is_at_boundary() {
            return Err(self.value_missing(subject.start, after_operator));
        }
        if self.peek() == Some('(') {
            return self.list(subject);
        }
        self.value_test(subject)
    }

    fn value_missing(&mut self, start: usize, after_operator: usize) -> ParseError {
        let term = self.text.get(start..after_operator).unwrap_or_default();
        self.skip_space();
        let next = self.take_word();
        let error = self
            .error(
                after_operator..after_operator,
                format!("no value follows `{term}`"),
            )
            .expected("a value right after it, or quotes around a text");
        // A blank between the two may be a slip.
        if next.starts_with(char::is_alphanumeric) && !is_keyword(next) {
            error.suggest_for(start..self.at, format!("{term}{next}"))
        } else {
            error
        }
    }

    /// `field:(a OR b)`
    fn list(&mut self, subject: &Subject) -> Result<Expr, ParseError> {
        let open = self.bump();
        if subject.operator != Operator::Matches {
            return Err(self
                .error(open..open + 1, "a list stands only after `:`")
                .expected("one value, or `field:(a OR b)`"));
        }
        self.descend(open)?;
        let mut values = Vec::new();
        loop {
            self.skip_space();
            if self.at_end() {
                return Err(self.unclosed(open, ')', "this `(` is never closed"));
            }
            if self.peek() == Some(')') || self.is_at_keyword("OR") || self.is_at_keyword("AND") {
                let at = self.at;
                return Err(self
                    .error(at..at, "a value is missing in this list")
                    .expected("a value"));
            }
            values.push(self.value_test(subject)?);
            if self.eat_keyword("OR") {
                continue;
            }
            if self.at_end() || self.peek() == Some(')') {
                self.close(open)?;
                return Ok(Expr::or(values));
            }
            let next = self.at;
            self.take_word();
            return Err(self
                .error(
                    next..self.at.max(next),
                    "the values of a list are not joined",
                )
                .expected("`OR` between values, or quotes around one with blanks"));
        }
    }

    fn value_test(&mut self, subject: &Subject) -> Result<Expr, ParseError> {
        let at = self.at;
        let value = self.value(subject.operator, subject.start)?;
        if let Some(expr) = error_flag(subject, &value) {
            return self.error_term(expr, at);
        }
        let expr = self.checked_test(subject, value, at..self.at)?;
        self.counted(expr)
    }

    /// Two terms, which are printed in parentheses beside others; they count as what they are printed as.
    fn error_term(&mut self, expr: Expr, at: usize) -> Result<Expr, ParseError> {
        self.descend(at)?;
        self.depth -= 1;
        let expr = self.counted(expr)?;
        self.counted(expr)
    }

    /// A value, from its first character to behind its last.
    fn value(&mut self, operator: Operator, start: usize) -> Result<Value, ParseError> {
        let first = self.peek().unwrap_or_default();
        match first {
            ':' | '=' | '<' | '>' | '!' | '~' => return Err(self.value_like_operator(start)),
            '[' | '{' if self.looks_like_range() => return Err(self.range(start)),
            '/' if operator == Operator::Matches => {
                if let Some(pattern) = self.regex()? {
                    return Ok(Value::Regex(pattern));
                }
                self.refuse_unclosed_regex(start)?;
            }
            _ => {}
        }
        let at = self.at;
        let (mut pieces, quoted) = self.pieces()?;
        if pieces.len() > 1 {
            if let Operator::Compares(comparison) = operator {
                let error = self
                    .error(at..self.at, format!("`{comparison}` takes no `*`"))
                    .expected("`:` before a wildcard, or quotes around `*` itself");
                return Err(match self.with_colon(start, at, comparison) {
                    Some(instead) => error.suggest_for(start..self.at, instead),
                    None => error,
                });
            }
            if pieces.iter().all(String::is_empty) {
                return Ok(Value::Anything);
            }
            return Ok(Value::Pieces(pieces));
        }
        let text = pieces.pop().unwrap_or_default();
        Ok(Value::Plain { text, quoted })
    }

    /// The texts between the wildcards of a value, and whether any stood in quotes. A quoted and an unquoted text side
    /// by side are refused: nobody can say what was meant.
    fn pieces(&mut self) -> Result<(Vec<String>, bool), ParseError> {
        let mut pieces = Vec::new();
        let mut piece: Option<String> = None;
        let mut any_quoted = false;
        while !self.is_at_boundary() {
            let at = self.at;
            if self.peek() == Some('*') {
                self.bump();
                pieces.push(piece.take().unwrap_or_default());
                continue;
            }
            if piece.is_some() || self.peek() == Some('(') {
                return Err(self
                    .error(at..at, "a term begins right after a value")
                    .expected("a blank between terms, or quotes around the whole value"));
            }
            piece = Some(if self.peek() == Some('"') {
                any_quoted = true;
                self.quoted()?
            } else {
                self.unquoted_piece()
            });
        }
        pieces.push(piece.unwrap_or_default());
        Ok((pieces, any_quoted))
    }

    fn unquoted_piece(&mut self) -> String {
        let rest = self.rest();
        let length = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '*'))
            .unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default().to_owned()
    }

    /// `=a*` as `:a*`, for a suggestion about the value that begins at `at`.
    fn with_colon(&self, start: usize, at: usize, comparison: Comparison) -> Option<String> {
        let value = self.text.get(at..self.at)?;
        let field = self
            .text
            .get(start..at)?
            .split(['=', '!', ':'])
            .next()?
            .trim_end();
        match comparison {
            Comparison::Equal => Some(format!("{field}:{value}")),
            Comparison::NotEqual => Some(format!("-{field}:{value}")),
            _ => None,
        }
    }

    fn value_like_operator(&mut self, start: usize) -> ParseError {
        let at = self.at;
        let first = self.peek().unwrap_or_default();
        self.take_word();
        let whole = self.text.get(start..self.at).unwrap_or_default();
        let error = self
            .error(at..self.at, format!("a value cannot begin with `{first}`"))
            .expected("a value, or quotes around the text");
        // What has no blanks is likely meant as one text.
        if whole.contains(char::is_whitespace) {
            error
        } else {
            error.suggest_for(start..self.at, quote(whole))
        }
    }

    fn looks_like_range(&self) -> bool {
        let rest = self.rest();
        let end = rest.find([']', '}']).unwrap_or(rest.len());
        rest.get(..end)
            .is_some_and(|inside| inside.contains(" TO "))
    }

    fn range(&self, start: usize) -> ParseError {
        let rest = self.rest();
        let length = rest.find([']', '}']).map_or(rest.len(), |at| at + 1);
        let end = self.at + length;
        let error = self
            .error(
                self.at..end,
                "ranges in brackets are not part of the language",
            )
            .expected("two comparisons, like `duration>=1s duration<2s`");
        let field = self
            .text
            .get(start..self.at)
            .unwrap_or_default()
            .trim_end_matches(':');
        let range = rest.get(..length).unwrap_or_default();
        match as_comparisons(field, range) {
            Some(comparisons) => error.suggest_for(start..end, comparisons),
            None => error,
        }
    }

    /// `/re` without its second slash is a path, unless it has what a path does not have.
    pub(super) fn refuse_unclosed_regex(&self, start: usize) -> Result<(), ParseError> {
        let rest = self.rest();
        let word = rest
            .split(|c: char| c.is_whitespace() || c == ')')
            .next()
            .unwrap_or_default();
        if !word.contains(['\\', '[', ']', '|', '^']) && !word.starts_with("//") {
            return Ok(());
        }
        let span: Range<usize> = start..self.at + word.len();
        let whole = self.text.get(span.clone()).unwrap_or_default();
        if word.starts_with("//") {
            return Err(self
                .error(span, "an address without quotes")
                .expected("quotes around it, or a field before it")
                .suggest(quote(whole)));
        }
        Err(self
            .error(
                self.at..self.at + word.len(),
                "this regular expression is never closed",
            )
            .expected("a `/` at its end, or quotes around a path")
            .suggest(format!("{word}/")))
    }
}

/// `[1 TO 5}` as `f>=1 f<5`; an end that is `*` is open.
fn as_comparisons(field: &str, range: &str) -> Option<String> {
    let (first, last) = range
        .get(1..range.len().checked_sub(1)?)?
        .split_once(" TO ")?;
    let from = if range.starts_with('[') { ">=" } else { ">" };
    let to = if range.ends_with(']') { "<=" } else { "<" };
    let comparisons: Vec<String> = [(from, first.trim()), (to, last.trim())]
        .into_iter()
        .filter(|(_, end)| !matches!(*end, "" | "*"))
        .map(|(operator, end)| format!("{field}{operator}{end}"))
        .collect();
    (!comparisons.is_empty()).then(|| comparisons.join(" "))
}
