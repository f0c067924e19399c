//! Errors for what people write who know another language, with what to write here.

use super::{KEYWORDS, Parser};
use crate::error::ParseError;
use crate::print::quote;

/// How alike two names must be to suggest one for the other; 1 is equal.
const LIKENESS_MIN: f64 = 0.7;

/// The most alike of the names, if any is alike enough.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            let likeness = strsim::jaro_winkler(&name, &candidate.to_lowercase());
            (candidate, likeness)
        })
        .filter(|(_, likeness)| *likeness >= LIKENESS_MIN)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(candidate, _)| candidate)
}

impl Parser<'_> {
    /// The error for a term that begins with an operator.
    pub(super) fn operator_without_field(&mut self, first: char) -> ParseError {
        let start = self.at;
        let word = self.take_word();
        let span = start..start + first.len_utf8();
        if first == '!' && !word.starts_with("!=") {
            return self
                .error(span, "`!` is no operator")
                .expected("`-` or `NOT` before a term to exclude")
                .suggest(String::from("-"));
        }
        self.error(span, format!("no field stands before `{first}`"))
            .expected("a field, as in `duration>250ms`, or quotes around a text")
            .suggest_for(start..self.at, quote(word))
    }

    /// The error for quotes that mean nothing here.
    pub(super) fn wrong_quotes(&mut self, open: char) -> ParseError {
        let start = self.at;
        let close = match open {
            '\u{201c}' => '\u{201d}',
            '\u{2018}' => '\u{2019}',
            other => other,
        };
        self.bump();
        let content = self.rest().split_once(close).map(|(content, _)| content);
        let end = content.map_or(self.at, |content| {
            self.at + content.len() + close.len_utf8()
        });
        self.error(start..end, format!("`{open}` is not a quote here"))
            .expected("double quotes")
            .suggest(content.map(quote))
    }

    /// The error for a keyword where a term should begin.
    pub(super) fn misplaced_keyword(&mut self) -> ParseError {
        let start = self.at;
        let keyword = KEYWORDS
            .into_iter()
            .find(|keyword| self.is_at_keyword(keyword))
            .unwrap_or_default();
        self.error(
            start..start + keyword.len(),
            format!("no term stands before this `{keyword}`"),
        )
        .expected("a term on both sides, or quotes around the word")
        .suggest(quote(keyword))
    }

    /// The error for what is opened and not closed before the end of the query.
    pub(super) fn unclosed(&self, open: usize, close: char, message: &str) -> ParseError {
        let rest = self.text.get(open..).unwrap_or_default().trim_end();
        // Behind a backslash, a quote would not close anything.
        let closed = (!rest.ends_with('\\')).then(|| format!("{rest}{close}"));
        self.error(open..open + rest.len(), message)
            .expected(format!("a {close} that closes it"))
            .suggest(closed)
    }

    /// The error for something that looks like an operator of another language.
    pub(super) fn foreign_operator(&self, foreign: &Foreign) -> ParseError {
        let span = self.at..self.at + foreign.operator.len();
        self.error(span, format!("unknown operator `{}`", foreign.operator))
            .expected(foreign.expected)
            .suggest(foreign.instead.map(str::to_owned))
    }
}

/// An operator of other languages.
#[derive(Debug)]
pub(super) struct Foreign {
    pub(super) operator: &'static str,
    expected: &'static str,
    instead: Option<&'static str>,
}

const fn foreign(operator: &'static str, instead: &'static str) -> Foreign {
    Foreign {
        operator,
        expected: "one of `:` `=` `!=` `>` `>=` `<` `<=`",
        instead: Some(instead),
    }
}

const fn tilde(operator: &'static str, expected: &'static str) -> Foreign {
    Foreign {
        operator,
        expected,
        instead: None,
    }
}

/// What others write; the longest first where one begins another.
pub(super) const FOREIGN_OPERATORS: &[Foreign] = &[
    foreign("===", "="),
    foreign("==", "="),
    foreign("!==", "!="),
    foreign("<>", "!="),
    foreign("=>", ">="),
    foreign("=<", "<="),
    foreign(">>", ">"),
    foreign("<<", "<"),
    tilde("=~", "`field:/re/` for a regular expression"),
    tilde("~=", "`field:/re/` for a regular expression"),
    tilde("!~", "`-field:/re/` to exclude a regular expression"),
];

/// A regular expression that finds `text` as it stands, `*` aside.
pub(super) fn regex_for(text: &str) -> Option<String> {
    let pieces: Vec<String> = text
        .split('*')
        .filter(|piece| !piece.is_empty())
        .map(|piece| regex::escape(piece).replace('/', "\\/"))
        .collect();
    (!pieces.is_empty()).then(|| format!("/{}/i", pieces.join(".*")))
}
