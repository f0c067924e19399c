//! The canonical spelling of a query: one blank between terms, no `AND`, `-` for `NOT`, quotes and parentheses only
//! where they are needed, the canonical names of intrinsic fields, a list where an `OR` asks for values of one field.

use std::fmt::{self, Display, Formatter, Write};

use crate::ast::{Comparison, Expr, Glob, Pattern, Predicate, Test, Text, Words};
use crate::literal::{Literal, LiteralKind};
use crate::number::split_unit;
use crate::parse::is_keyword;
use crate::record::Field;
use crate::text::is_token_char;

/// The canonical spelling; [`Expr::All`] is `*`.
impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_expr(f, self, Place::Or)
    }
}

/// A text in quotes, with what needs it escaped, as the language reads it back.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    // Writing to a string does not fail.
    let _ = write_quoted(&mut quoted, text);
    quoted
}

pub(crate) fn write_quoted(f: &mut impl Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                f.write_char('\\')?;
                f.write_char(c)?;
            }
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// What may stand here without parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Place {
    /// Anything: the whole query, or within parentheses.
    Or,
    /// A part of an `OR`: also terms side by side.
    And,
    /// A part of an `AND`: also an excluded term.
    Unary,
    /// After `-`.
    Primary,
}

fn write_expr(f: &mut Formatter<'_>, expr: &Expr, place: Place) -> fmt::Result {
    let own = match expr {
        Expr::Or(parts) if value_list(parts).is_none() => Place::Or,
        Expr::And(_) => Place::And,
        Expr::Not(_) => Place::Unary,
        _ => Place::Primary,
    };
    if own < place {
        f.write_char('(')?;
        write_bare(f, expr)?;
        return f.write_char(')');
    }
    write_bare(f, expr)
}

fn write_bare(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::All => f.write_char('*'),
        Expr::And(parts) => {
            write_joined(f, parts, " ", |f, part| write_expr(f, part, Place::Unary))
        }
        Expr::Or(parts) => match value_list(parts) {
            Some(predicates) => write_list(f, &predicates),
            None => write_joined(f, parts, " OR ", |f, part| write_expr(f, part, Place::And)),
        },
        Expr::Not(inner) => {
            f.write_char('-')?;
            write_expr(f, inner, Place::Primary)
        }
        Expr::Text(Text::Words(words)) => write_words(f, words),
        Expr::Text(Text::Regex(pattern)) => write_pattern(f, pattern),
        Expr::Field(predicate) => write_predicate(f, predicate),
    }
}

fn write_joined<T>(
    f: &mut Formatter<'_>,
    parts: &[T],
    separator: &str,
    write_part: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write_part(f, part)?;
    }
    Ok(())
}

/// The parts as tests that can stand in a list of one field.
fn value_list(parts: &[Expr]) -> Option<Vec<&Predicate>> {
    let mut predicates: Vec<&Predicate> = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Expr::Field(predicate)
                if matches!(predicate.test, Test::Is(_) | Test::Glob(_) | Test::Regex(_))
                    && predicates
                        .first()
                        .is_none_or(|first| first.field == predicate.field) =>
            {
                predicates.push(predicate);
            }
            _ => return None,
        }
    }
    Some(predicates)
}

fn write_list(f: &mut Formatter<'_>, predicates: &[&Predicate]) -> fmt::Result {
    if let Some(first) = predicates.first() {
        write_field(
            f,
            &first.field,
            predicates.iter().map(|predicate| &predicate.test),
        )?;
        f.write_str(":(")?;
    }
    write_joined(f, predicates, " OR ", |f, predicate| {
        write_test_value(f, &predicate.test)
    })?;
    f.write_char(')')
}

fn write_predicate(f: &mut Formatter<'_>, predicate: &Predicate) -> fmt::Result {
    write_field(f, &predicate.field, [&predicate.test])?;
    match &predicate.test {
        Test::Compare(comparison, _) => write!(f, "{comparison}")?,
        _ => f.write_char(':')?,
    }
    write_test_value(f, &predicate.test)
}

/// The field; `error` in quotes when its tests would else be read as the question after any error.
fn write_field<'t>(
    f: &mut Formatter<'_>,
    field: &Field,
    tests: impl IntoIterator<Item = &'t Test>,
) -> fmt::Result {
    let is_flag = |test: &Test| match test {
        Test::Is(literal) | Test::Compare(Comparison::Equal, literal) => {
            matches!(literal.text(), "true" | "false")
        }
        _ => false,
    };
    match field {
        Field::Attribute(key) if key == "error" && tests.into_iter().any(is_flag) => {
            write_quoted(f, key)
        }
        _ => write!(f, "{field}"),
    }
}

fn write_test_value(f: &mut Formatter<'_>, test: &Test) -> fmt::Result {
    match test {
        Test::Exists => f.write_char('*'),
        Test::Compare(comparison, literal)
            if comparison.is_ordered() && reads_as_unknown_unit(literal) =>
        {
            write_quoted(f, literal.text())
        }
        Test::Is(literal) | Test::Compare(_, literal) => write_literal(f, literal),
        Test::Glob(glob) => write_glob(f, glob),
        Test::Regex(pattern) => write_pattern(f, pattern),
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
        })
    }
}

/// As a value is written after its field: in quotes when it would be read as something else without.
impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_literal(f, self)
    }
}

fn write_literal(f: &mut Formatter<'_>, literal: &Literal) -> fmt::Result {
    let text = literal.text();
    let reads_as_written = Literal::bare(text).kind() == literal.kind();
    if reads_as_written && is_plain_value(text) {
        f.write_str(text)
    } else {
        debug_assert!(literal.kind() == LiteralKind::Text, "{literal:?}");
        write_quoted(f, text)
    }
}

/// Whether an ordered comparison refuses the text without quotes, as a number with a unit that nobody knows.
fn reads_as_unknown_unit(literal: &Literal) -> bool {
    literal.kind() == LiteralKind::Text && split_unit(literal.text()).is_some()
}

fn write_glob(f: &mut Formatter<'_>, glob: &Glob) -> fmt::Result {
    for (index, piece) in glob.pieces().iter().enumerate() {
        if index > 0 {
            f.write_char('*')?;
        }
        if piece.is_empty() || is_plain_value(piece) {
            f.write_str(piece)?;
        } else {
            write_quoted(f, piece)?;
        }
    }
    Ok(())
}

fn write_pattern(f: &mut Formatter<'_>, pattern: &Pattern) -> fmt::Result {
    f.write_char('/')?;
    let mut escaped = false;
    for c in pattern.source().chars() {
        if c == '/' && !escaped {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
        escaped = c == '\\' && !escaped;
    }
    f.write_str(if pattern.ignores_case() { "/i" } else { "/" })
}

fn write_words(f: &mut Formatter<'_>, words: &Words) -> fmt::Result {
    let text = words.text();
    let plain =
        is_plain_value(text) && !text.starts_with('-') && !text.contains([':', '=', '<', '>', '!']);
    if plain {
        f.write_str(text)?;
    } else {
        write_quoted(f, text)?;
    }
    f.write_str(if words.is_prefix() { "*" } else { "" })
}

/// Whether a value can stand without quotes, whatever stands around it.
fn is_plain_value(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    // What starts like an operator, a range, another kind of quote or a regular expression.
    let starts_plain = is_token_char(first) || matches!(first, '-' | '+' | '.' | '#' | '$' | '@');
    starts_plain
        && !is_keyword(text)
        && text
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '(' | ')' | '*'))
}
