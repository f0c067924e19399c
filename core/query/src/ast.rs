//! A query as a tree. Every tree that the constructors here make is in normal form: no `And` directly in an `And`, no
//! `Or` in an `Or`, no `Not` in a `Not`, at least two parts each. A tree in normal form, printed and parsed, is itself.

use regex::{Regex, RegexBuilder};

use crate::literal::Literal;
use crate::record::Field;
use crate::text::{RawTokens, is_token_char};

/// A query or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// `*`: every record; also the empty query.
    All,
    /// All of two or more.
    And(Vec<Expr>),
    /// At least one of two or more.
    Or(Vec<Expr>),
    /// What the other does not match.
    Not(Box<Expr>),
    /// A search in the texts of a record.
    Text(Text),
    /// A test of one field.
    Field(Predicate),
}

/// What to search for in the texts of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Tokens that follow one another in one text.
    Words(Words),
    /// A regular expression that matches somewhere in one text.
    Regex(Pattern),
}

/// A word or a phrase; it has at least one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    text: String,
    prefix: bool,
}

/// A field and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicate {
    /// Whose values are tested.
    pub field: Field,
    /// True of the record when it is true of one of the values.
    pub test: Test,
}

/// What is asked of the values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `field:*`: there is a value.
    Exists,
    /// `field:value`.
    Is(Literal),
    /// `field:a*b`: the whole value in any case, `*` being any characters, also none.
    Glob(Glob),
    /// `field:/re/`: the regular expression matches somewhere in the value.
    Regex(Pattern),
    /// `field>value` and its like.
    Compare(Comparison, Literal),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`, exactly: unlike `:`, case counts.
    Equal,
    /// `!=`: the field has a value and none of its values is equal.
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Comparison {
    /// Whether it asks for more or less, not only for equality.
    pub(crate) fn is_ordered(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

/// A text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// The texts between the wildcards, so one more than there are wildcards; the first and the last may be empty, not
    /// all are.
    pieces: Vec<String>,
}

/// A regular expression that compiles.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    ignore_case: bool,
    regex: Regex,
}

impl Expr {
    /// All of these; [`Expr::All`] of none.
    pub fn and(parts: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expr::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        single_or(flat, Expr::And).unwrap_or(Expr::All)
    }

    /// One of these; nothing, which is `-*`, of none.
    pub fn or(parts: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expr::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        single_or(flat, Expr::Or).unwrap_or_else(|| Expr::negated(Expr::All))
    }

    /// What `expr` does not match.
    pub fn negated(expr: Expr) -> Expr {
        match expr {
            Expr::Not(inner) => *inner,
            other => Expr::Not(Box::new(other)),
        }
    }

    /// A test of a field.
    pub fn field(field: Field, test: Test) -> Expr {
        Expr::Field(Predicate { field, test })
    }
}

fn single_or(mut parts: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Option<Expr> {
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(many(parts)),
    }
}

impl Words {
    /// The words of `text`; `prefix` lets the last of them be the beginning of a longer one. None when there is no
    /// token in it, or when a prefix is asked for and the text does not end in a token.
    pub fn new(text: impl Into<String>, prefix: bool) -> Option<Words> {
        let text = text.into();
        let ends_in_token = text.chars().next_back().is_some_and(is_token_char);
        let usable = RawTokens::new(&text).next().is_some() && (ends_in_token || !prefix);
        usable.then_some(Words { text, prefix })
    }

    /// As it was written, without the wildcard.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the last token may go on.
    pub fn is_prefix(&self) -> bool {
        self.prefix
    }
}

impl Glob {
    /// From the texts between the wildcards. None when there is no wildcard (fewer than two pieces), or no text, which
    /// is [`Test::Exists`].
    pub fn new(pieces: impl IntoIterator<Item = String>) -> Option<Glob> {
        let pieces: Vec<String> = pieces.into_iter().collect();
        let last = pieces.len().saturating_sub(1);
        // Two wildcards side by side are one.
        let kept: Vec<String> = pieces
            .into_iter()
            .enumerate()
            .filter(|(index, piece)| *index == 0 || *index == last || !piece.is_empty())
            .map(|(_, piece)| piece)
            .collect();
        let usable = kept.len() >= 2 && kept.iter().any(|piece| !piece.is_empty());
        usable.then_some(Glob { pieces: kept })
    }

    /// The texts between the wildcards.
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }

    /// The text before the only wildcard, which ends the glob.
    pub(crate) fn as_prefix(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [prefix, end] if end.is_empty() => Some(prefix),
            _ => None,
        }
    }
}

impl Pattern {
    /// Compiles. A dot matches line breaks only after `(?s)`, as everywhere in the `regex` crate, whose syntax it is.
    pub fn new(
        source: impl Into<String>,
        ignore_case: bool,
        compiled_bytes_max: usize,
    ) -> Result<Pattern, PatternError> {
        let source = without_escaped_slashes(&source.into());
        if source.is_empty() {
            return Err(PatternError::Empty);
        }
        let regex = RegexBuilder::new(&source)
            .case_insensitive(ignore_case)
            .size_limit(compiled_bytes_max)
            .dfa_size_limit(compiled_bytes_max)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(bytes_max) => PatternError::TooBig { bytes_max },
                other => PatternError::Syntax(last_line(&other.to_string())),
            })?;
        Ok(Pattern {
            source,
            ignore_case,
            regex,
        })
    }

    /// The regular expression; slashes stand in it without a backslash.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether case does not count: the flag `i`.
    pub fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    pub(crate) fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// `\\/` as `/`: they mean the same, and only the spelling between slashes needs the first.
fn without_escaped_slashes(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next)) => {
                chars.next();
                if next != '/' {
                    plain.push(c);
                }
                plain.push(next);
            }
            _ => plain.push(c),
        }
    }
    plain
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.ignore_case == other.ignore_case
    }
}

impl Eq for Pattern {}

/// Why a regular expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It would match everything.
    #[error("empty regular expression")]
    Empty,
    /// It is not one.
    #[error("invalid regular expression: {0}")]
    Syntax(String),
    /// Its compiled form is over the limit.
    #[error("the regular expression takes more than {bytes_max} bytes when compiled")]
    TooBig {
        /// The limit.
        bytes_max: usize,
    },
}

/// The regex crate's message draws the expression over several lines; the last one says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().next_back().unwrap_or(message);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
