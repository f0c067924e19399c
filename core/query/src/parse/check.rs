//! Whether a field can be asked what a term asks, and the test that it becomes.

use std::ops::Range;

use super::suggest::nearest;
use super::value::{Subject, Value};
use super::{Operator, Parser};
use crate::ast::{Comparison, Expr, Glob, Test, Words};
use crate::error::ParseError;
use crate::field::Type;
use crate::literal::{
    Literal, parse_duration_literal, parse_id, parse_severity, parse_time, severity_names,
};
use crate::number::{DURATION_UNITS, SIZE_UNITS, parse_number, split_unit};
use crate::record::{Field, Intrinsic};

impl Parser<'_> {
    /// The test that the value at `span` asks of the field.
    pub(super) fn checked_test(
        &self,
        subject: &Subject,
        value: Value,
        span: Range<usize>,
    ) -> Result<Expr, ParseError> {
        let (field, operator) = (&subject.field, subject.operator);
        let test = match value {
            Value::Anything => Test::Exists,
            Value::Regex(pattern) => {
                self.refuse_pattern(field, &span, "regular expression")?;
                Test::Regex(pattern)
            }
            Value::Pieces(pieces) => self.glob(field, pieces, &span)?,
            Value::Plain { text, quoted } => {
                let literal = self.literal(field, operator, text, quoted, &span)?;
                match operator {
                    Operator::Matches => Test::Is(literal),
                    Operator::Compares(comparison) => Test::Compare(comparison, literal),
                }
            }
        };
        Ok(Expr::field(field.clone(), test))
    }

    fn refuse_pattern(
        &self,
        field: &Field,
        span: &Range<usize>,
        what: &str,
    ) -> Result<(), ParseError> {
        let expected = match field.value_type() {
            Type::Any | Type::Name | Type::Prose | Type::Choice => return Ok(()),
            Type::Duration => "a duration, like `250ms`",
            Type::Severity => "a severity, like `warn`",
            Type::Time => "a time, like `2026-03-01T09:30:00Z`",
            Type::Id(_) => "hexadecimal digits",
        };
        let message = format!("`{field}` takes no {what}");
        Err(self.error(span.clone(), message).expected(expected))
    }

    fn glob(
        &self,
        field: &Field,
        pieces: Vec<String>,
        span: &Range<usize>,
    ) -> Result<Test, ParseError> {
        // The beginning of an id needs no wildcard, but may have one.
        if let (Type::Id(bytes), [digits, end]) = (field.value_type(), pieces.as_slice())
            && end.is_empty()
        {
            return self.id(field, digits, bytes, span).map(Test::Is);
        }
        self.refuse_pattern(field, span, "wildcard")?;
        if field.value_type() == Type::Prose {
            let words = match pieces.as_slice() {
                [text, end] if end.is_empty() => Words::new(text.as_str(), true),
                _ => None,
            };
            if words.is_none() {
                return Err(self
                    .error(
                        span.clone(),
                        format!("`{field}` is searched by words, which take `*` only at their end"),
                    )
                    .expected("a word, or a regular expression"));
            }
        }
        Glob::new(pieces)
            .map(Test::Glob)
            .ok_or_else(|| self.error(span.clone(), "no text beside the wildcards"))
    }

    fn literal(
        &self,
        field: &Field,
        operator: Operator,
        text: String,
        quoted: bool,
        span: &Range<usize>,
    ) -> Result<Literal, ParseError> {
        let exact = matches!(
            operator,
            Operator::Compares(Comparison::Equal | Comparison::NotEqual)
        );
        let ordered = matches!(operator, Operator::Compares(comparison) if comparison.is_ordered());
        match field.value_type() {
            Type::Any | Type::Name => {
                let literal = as_written(text, quoted);
                if ordered && !quoted {
                    self.refuse_unknown_unit(&literal, span)?;
                }
                Ok(literal)
            }
            Type::Prose => {
                if operator == Operator::Matches {
                    self.checked_words(&text, false, span)?;
                }
                Ok(as_written(text, quoted))
            }
            Type::Choice => {
                self.refuse_order(field, ordered, span)?;
                self.choice(field, &text, span)
            }
            Type::Duration => match parse_duration_literal(&text) {
                Some(_) => Ok(Literal::bare(text)),
                None => Err(self.not_a_duration(field, &text, span)),
            },
            Type::Severity => self.severity(text, span),
            Type::Time => self.time(text, span),
            Type::Id(bytes) => {
                self.refuse_order(field, ordered, span)?;
                if exact {
                    self.refuse_partial_id(&text, bytes, span)?;
                }
                self.id(field, &text, bytes, span)
            }
        }
    }

    fn severity(&self, text: String, span: &Range<usize>) -> Result<Literal, ParseError> {
        match parse_severity(&text) {
            Some(_) => Ok(Literal::bare(text)),
            None => Err(self
                .error(span.clone(), format!("unknown severity `{text}`"))
                .expected("trace, debug, info, warn, error, fatal, or a number from 1 to 24")
                .suggest(nearest(&text, severity_names()).map(str::to_owned))),
        }
    }

    fn time(&self, text: String, span: &Range<usize>) -> Result<Literal, ParseError> {
        match parse_time(&text) {
            Some(_) => Ok(Literal::bare(text)),
            None => Err(self
                .error(span.clone(), format!("`{text}` is no time"))
                .expected("a time like `2026-03-01T09:30:00Z`, or a day like `2026-03-01`")),
        }
    }

    fn refuse_partial_id(
        &self,
        text: &str,
        bytes: usize,
        span: &Range<usize>,
    ) -> Result<(), ParseError> {
        let digits = bytes * 2;
        if parse_id(text, bytes).is_none_or(|id| id.len() == digits) {
            return Ok(());
        }
        let message = format!("`{text}` is only the beginning of an id");
        Err(self.error(span.clone(), message).expected(format!(
            "all {digits} digits, or `:` instead of the comparison"
        )))
    }

    fn refuse_order(
        &self,
        field: &Field,
        ordered: bool,
        span: &Range<usize>,
    ) -> Result<(), ParseError> {
        if !ordered {
            return Ok(());
        }
        let message = format!("values of `{field}` have no order");
        Err(self
            .error(span.clone(), message)
            .expected("one of `:` `=` `!=` before the value"))
    }

    fn id(
        &self,
        field: &Field,
        text: &str,
        bytes: usize,
        span: &Range<usize>,
    ) -> Result<Literal, ParseError> {
        match parse_id(text, bytes) {
            Some(digits) => Ok(Literal::bare(digits)),
            None => Err(self
                .error(span.clone(), format!("`{text}` is no {field} id"))
                .expected(format!(
                    "{} hexadecimal digits, or the first of them",
                    bytes * 2
                ))),
        }
    }

    fn choice(
        &self,
        field: &Field,
        text: &str,
        span: &Range<usize>,
    ) -> Result<Literal, ParseError> {
        let Field::Intrinsic(intrinsic) = field else {
            return Ok(Literal::bare(text));
        };
        let values = intrinsic.help().values;
        let lower_case = text.to_ascii_lowercase();
        // The names of OTLP's enumerations.
        let short = ["span_kind_", "status_code_"]
            .iter()
            .find_map(|prefix| lower_case.strip_prefix(prefix))
            .unwrap_or(&lower_case);
        if values.contains(&short) {
            return Ok(Literal::bare(short));
        }
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let suggestion = match intrinsic {
            Intrinsic::Status if is_code => None,
            _ => nearest(short, values.iter().copied()).map(str::to_owned),
        };
        let expected = match intrinsic {
            Intrinsic::Status if is_code => {
                format!(
                    "{} (of HTTP, `http.response.status_code:{text}`)",
                    values.join(", ")
                )
            }
            _ => values.join(", "),
        };
        Err(self
            .error(span.clone(), format!("`{text}` is no {field} of a span"))
            .expected(format!("one of {expected}"))
            .suggest(suggestion))
    }

    fn not_a_duration(&self, field: &Field, text: &str, span: &Range<usize>) -> ParseError {
        let (message, suggestion) = match split_unit(text) {
            Some((number, unit)) => {
                let nearest = nearest_duration_unit(unit);
                (
                    format!("unknown unit `{unit}`"),
                    nearest.map(|unit| format!("{number}{unit}")),
                )
            }
            None => {
                let number = parse_number(text);
                (
                    format!("`{text}` is no {field}"),
                    number.map(|_| format!("{text}ms")),
                )
            }
        };
        self.error(span.clone(), message)
            .expected("a number with a unit: ns, us, ms, s, m, h or d")
            .suggest(suggestion)
    }

    /// A number with an unknown unit cannot be meant as a text when it is asked to be greater or less.
    fn refuse_unknown_unit(
        &self,
        literal: &Literal,
        span: &Range<usize>,
    ) -> Result<(), ParseError> {
        if literal.number().is_some() {
            return Ok(());
        }
        let Some((number, unit)) = split_unit(literal.text()) else {
            return Ok(());
        };
        let sizes = SIZE_UNITS.iter().map(|(name, _)| *name);
        let suggestion = nearest_duration_unit(unit).or_else(|| nearest(unit, sizes));
        Err(self
            .error(span.clone(), format!("unknown unit `{unit}`"))
            .expected("ns, us, ms, s, m, h, d, B, kB, KiB, MB, MiB, …, or quotes around a text")
            .suggest(suggestion.map(|unit| format!("{number}{unit}"))))
    }
}

/// Whole words for units are known by their beginnings.
fn nearest_duration_unit(unit: &str) -> Option<&'static str> {
    const WORDS: &[(&str, &str)] = &[
        ("nano", "ns"),
        ("nsec", "ns"),
        ("micro", "us"),
        ("usec", "us"),
        ("milli", "ms"),
        ("msec", "ms"),
        ("sec", "s"),
        ("min", "m"),
        ("hour", "h"),
        ("hr", "h"),
        ("day", "d"),
    ];
    let lower_case = unit.to_lowercase();
    WORDS
        .iter()
        .find(|(word, _)| lower_case.starts_with(word))
        .map(|(_, unit)| *unit)
        .or_else(|| {
            let mut units = DURATION_UNITS.iter().map(|(name, _)| *name);
            units.find(|name| name.eq_ignore_ascii_case(unit))
        })
}

fn as_written(text: String, quoted: bool) -> Literal {
    if quoted {
        Literal::quoted(text)
    } else {
        Literal::bare(text)
    }
}

/// `error:true` asks whether a record is about an error at all, whichever its kind.
pub(super) fn error_flag(subject: &Subject, value: &Value) -> Option<Expr> {
    let Value::Plain { text, .. } = value else {
        return None;
    };
    let is_flag = matches!(&subject.field, Field::Attribute(key) if key == "error");
    let asks = matches!(
        subject.operator,
        Operator::Matches | Operator::Compares(Comparison::Equal)
    );
    if subject.quoted || !is_flag || !asks {
        return None;
    }
    let any_error = Expr::or([
        Expr::field(
            Field::Intrinsic(Intrinsic::Status),
            Test::Is(Literal::bare("error")),
        ),
        Expr::field(
            Field::Intrinsic(Intrinsic::Severity),
            Test::Compare(Comparison::GreaterOrEqual, Literal::bare("error")),
        ),
    ]);
    match text.as_str() {
        "true" => Some(any_error),
        "false" => Some(Expr::negated(any_error)),
        _ => None,
    }
}
