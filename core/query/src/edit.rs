//! Changing a query by terms: what a click on a value does.

use crate::ast::{Comparison, Expr, Test};
use crate::error::ParseError;
use crate::field::Type;
use crate::literal::Literal;
use crate::query::{Query, parse};
use crate::record::Field;

impl Query {
    /// The query that also asks for `field:value`. The same term is not added twice, and its opposite goes.
    ///
    /// The value is text as [`text::value_text`](crate::text::value_text) gives it, or for the fields of a certain type
    /// as it is written in a query: a duration with its unit, a severity's name or number, a time by RFC 3339, an id in
    /// hexadecimal.
    ///
    /// # Errors
    /// When the field cannot have such a value, or the query would be over a limit. The error points into the new query.
    pub fn with_term(&self, field: &Field, value: &str) -> Result<Query, ParseError> {
        let term = term(field, value);
        let opposite = Expr::negated(term.clone());
        self.with_instead_of(term, &opposite)
    }

    /// The query that also excludes `field:value`: `-field:value`. The same term is not added twice, and its opposite
    /// goes.
    ///
    /// # Errors
    /// As [`Query::with_term`].
    pub fn without_term(&self, field: &Field, value: &str) -> Result<Query, ParseError> {
        let opposite = term(field, value);
        self.with_instead_of(Expr::negated(opposite.clone()), &opposite)
    }

    /// The query that neither asks for `field:value` nor excludes it.
    pub fn drop_term(&self, field: &Field, value: &str) -> Query {
        let term = term(field, value);
        let opposite = Expr::negated(term.clone());
        Query::new(Expr::and(
            self.terms()
                .iter()
                .filter(|part| **part != term && **part != opposite)
                .cloned(),
        ))
    }

    /// The terms that a record must all match: what the search box shows as chips.
    pub fn terms(&self) -> &[Expr] {
        match self.expr() {
            Expr::All => &[],
            Expr::And(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }

    fn with_instead_of(&self, term: Expr, opposite: &Expr) -> Result<Query, ParseError> {
        let mut parts: Vec<Expr> = self
            .terms()
            .iter()
            .filter(|part| *part != opposite)
            .cloned()
            .collect();
        if !parts.contains(&term) {
            parts.push(term);
        }
        // What was made by hand is checked like what is written by hand.
        parse(&Expr::and(parts).to_string())
    }
}

/// `field:value` such that it matches the value with this text; `field=value` where `:` would search words.
fn term(field: &Field, value: &str) -> Expr {
    let bare = Literal::bare(value);
    // Without quotes a number also equals other spellings of it; one spelt as values print equals no others.
    let literal = if bare.is_canonical() {
        bare
    } else {
        Literal::quoted(value)
    };
    let test = match field.value_type() {
        Type::Prose => Test::Compare(Comparison::Equal, literal),
        Type::Any | Type::Name => Test::Is(literal),
        Type::Choice | Type::Id(_) => Test::Is(Literal::bare(value.to_ascii_lowercase())),
        Type::Duration | Type::Severity | Type::Time => Test::Is(Literal::bare(value)),
    };
    Expr::field(field.clone(), test)
}
