//! A query made ready to be asked of many records: texts lowered, numbers read, ids turned into bytes, and what is
//! cheap to ask put before what is dear.

use std::ops::RangeInclusive;

use regex::Regex;

use crate::ast::{Comparison, Expr, Predicate, Test, Text, Words};
use crate::field::Type;
use crate::literal::{Literal, parse_duration_literal, parse_severity, parse_time};
use crate::matcher::{Bound, Equality, GlobMatcher, IdPrefix};
use crate::record::{Field, Record, Value};
use crate::text::value_text;
use crate::words::TokenRun;

/// A part of a query, ready to be asked.
#[derive(Debug)]
pub(crate) enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Tokens in any text of the record.
    Words(TokenRun),
    /// A regular expression in any text of the record.
    Regex(Regex),
    Field {
        field: Field,
        check: Check,
    },
}

/// A question to the values of a field.
#[derive(Debug)]
pub(crate) enum Check {
    Exists,
    Equals(Equality),
    Ordered(Comparison, Bound),
    /// True of no value.
    Never,
    /// A whole number in this range, which is not empty.
    Within(RangeInclusive<i64>),
    Id(IdPrefix),
    Glob(GlobMatcher),
    Regex(Regex),
    Words(TokenRun),
    /// There is a value, and the other is true of none.
    Differs(Box<Check>),
}

impl Node {
    pub(crate) fn compile(expr: &Expr) -> Node {
        match expr {
            Expr::All => Node::All,
            Expr::And(parts) => Node::And(compile_cheap_first(parts)),
            Expr::Or(parts) => Node::Or(compile_cheap_first(parts)),
            Expr::Not(inner) => Node::Not(Box::new(Node::compile(inner))),
            Expr::Text(Text::Words(words)) => Node::Words(TokenRun::new(words)),
            Expr::Text(Text::Regex(pattern)) => Node::Regex(pattern.regex().clone()),
            Expr::Field(predicate) => Node::Field {
                field: predicate.field.clone(),
                check: Check::compile(predicate),
            },
        }
    }

    pub(crate) fn matches<R: Record + ?Sized>(&self, record: &R) -> bool {
        match self {
            Node::All => true,
            Node::And(parts) => parts.iter().all(|part| part.matches(record)),
            Node::Or(parts) => parts.iter().any(|part| part.matches(record)),
            Node::Not(inner) => !inner.matches(record),
            Node::Words(words) => record.any_text(&mut |text| words.found_in(text)),
            Node::Regex(regex) => record.any_text(&mut |text| regex.is_match(text)),
            Node::Field {
                field,
                check: Check::Differs(check),
            } => {
                let mut present = false;
                let equal = record.any_value(field, &mut |value| {
                    present = true;
                    check.accepts(value)
                });
                present && !equal
            }
            Node::Field { field, check } => {
                record.any_value(field, &mut |value| check.accepts(value))
            }
        }
    }

    /// A guess at the work per record, for the order only.
    fn cost(&self) -> u32 {
        match self {
            Node::All => 0,
            Node::And(parts) | Node::Or(parts) => parts.iter().map(Node::cost).sum(),
            Node::Not(inner) => inner.cost(),
            Node::Words(_) => 40,
            Node::Regex(_) => 100,
            Node::Field { field, check } => {
                let look_up = match field {
                    Field::Intrinsic(_) => 1,
                    Field::Attribute(_) => 4,
                };
                look_up + check.cost()
            }
        }
    }
}

fn compile_cheap_first(parts: &[Expr]) -> Vec<Node> {
    let mut nodes: Vec<Node> = parts.iter().map(Node::compile).collect();
    nodes.sort_by_key(Node::cost);
    nodes
}

impl Check {
    fn compile(predicate: &Predicate) -> Check {
        let field_type = predicate.field.value_type();
        match &predicate.test {
            Test::Exists => Check::Exists,
            Test::Regex(pattern) => Check::Regex(pattern.regex().clone()),
            Test::Glob(glob) => match (field_type, glob.as_prefix()) {
                (Type::Prose, Some(prefix)) => words_or_equality(prefix, true),
                _ => Check::Glob(GlobMatcher::new(glob)),
            },
            Test::Is(literal) => match field_type {
                Type::Prose => words_or_equality(literal.text(), false),
                Type::Id(_) => Check::Id(IdPrefix::new(literal.text())),
                Type::Any | Type::Name | Type::Choice => Check::Equals(Equality::any_case(literal)),
                Type::Duration | Type::Severity | Type::Time => {
                    within(range_of(field_type, literal))
                }
            },
            Test::Compare(comparison, literal) => {
                Check::compile_comparison(field_type, *comparison, literal)
            }
        }
    }

    fn compile_comparison(field_type: Type, comparison: Comparison, literal: &Literal) -> Check {
        let equal = || match field_type {
            Type::Id(_) => Check::Id(IdPrefix::new(literal.text())),
            Type::Duration | Type::Severity | Type::Time => within(range_of(field_type, literal)),
            Type::Any | Type::Name | Type::Prose | Type::Choice => {
                Check::Equals(Equality::exact(literal))
            }
        };
        match (comparison, field_type) {
            (Comparison::Equal, _) => equal(),
            (Comparison::NotEqual, _) => Check::Differs(Box::new(equal())),
            (_, Type::Duration | Type::Severity | Type::Time) => {
                let range = range_of(field_type, literal);
                within(range.and_then(|range| compared_to(comparison, range)))
            }
            _ => Check::Ordered(comparison, Bound::new(literal)),
        }
    }

    pub(crate) fn accepts(&self, value: Value<'_>) -> bool {
        match self {
            Check::Exists => true,
            Check::Equals(equality) => equality.accepts(value),
            Check::Ordered(comparison, bound) => bound.accepts(*comparison, value),
            Check::Never => false,
            Check::Within(range) => matches!(value, Value::Int(number) if range.contains(&number)),
            Check::Id(prefix) => matches!(value, Value::Bytes(bytes) if prefix.begins(bytes)),
            Check::Glob(glob) => glob.accepts(value),
            Check::Regex(regex) => regex.is_match(&value_text(value)),
            Check::Words(words) => words.found_in(&value_text(value)),
            Check::Differs(check) => !check.accepts(value),
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Check::Never | Check::Exists | Check::Within(_) | Check::Id(_) => 1,
            Check::Equals(_) => 2,
            Check::Ordered(..) => 3,
            Check::Glob(_) => 6,
            Check::Words(_) => 10,
            Check::Regex(_) => 20,
            Check::Differs(check) => check.cost(),
        }
    }
}

/// Prose is asked for words; a tree made by hand may ask it for a text that has none.
fn words_or_equality(text: &str, prefix: bool) -> Check {
    match Words::new(text, prefix) {
        Some(words) => Check::Words(TokenRun::new(&words)),
        None => Check::Equals(Equality::any_case(&Literal::quoted(text))),
    }
}

fn within(range: Option<RangeInclusive<i64>>) -> Check {
    range.map_or(Check::Never, Check::Within)
}

/// The numbers that a literal stands for; None when it stands for nothing, which the parser refuses.
fn range_of(field_type: Type, literal: &Literal) -> Option<RangeInclusive<i64>> {
    match field_type {
        Type::Duration => parse_duration_literal(literal.text()).map(|nanos| nanos..=nanos),
        Type::Severity => parse_severity(literal.text()),
        Type::Time => parse_time(literal.text()),
        _ => None,
    }
}

/// The numbers above, from, below or up to all of a range; None when there are none.
fn compared_to(comparison: Comparison, range: RangeInclusive<i64>) -> Option<RangeInclusive<i64>> {
    let (first, last) = (*range.start(), *range.end());
    match comparison {
        Comparison::Greater => last.checked_add(1).map(|after| after..=i64::MAX),
        Comparison::GreaterOrEqual => Some(first..=i64::MAX),
        Comparison::Less => first.checked_sub(1).map(|before| i64::MIN..=before),
        Comparison::LessOrEqual => Some(i64::MIN..=last),
        Comparison::Equal | Comparison::NotEqual => Some(range),
    }
}
