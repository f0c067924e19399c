//! [`Query`]: a query that was read, ready to be matched, printed, changed and asked what it needs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ast::Expr;
use crate::compile::Node;
use crate::error::ParseError;
use crate::limits::Limits;
use crate::needs::Needs;
use crate::parse::{parse_expr, too_long};
use crate::record::Record;
use crate::rows::RowSet;
use crate::select::Records;

/// A query. A clone is cheap and shares everything.
#[derive(Clone, Debug)]
pub struct Query {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    expr: Expr,
    canonical: String,
    program: Node,
}

/// Reads a query with the default [`Limits`]. An empty text, or only blanks, matches every record.
///
/// # Errors
/// Says what is wrong, where, and what to write instead.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    parse_with(text, &Limits::default())
}

/// Reads a query with limits of one's own.
///
/// # Errors
/// As [`parse`]. A query whose canonical spelling is over the limit of bytes is refused too, so that what is printed
/// can be read again.
pub fn parse_with(text: &str, limits: &Limits) -> Result<Query, ParseError> {
    let query = Query::new(parse_expr(text, limits)?);
    if query.as_str().len() > limits.query_bytes_max {
        return Err(too_long(query.as_str(), limits));
    }
    Ok(query)
}

impl Query {
    pub(crate) fn new(expr: Expr) -> Query {
        let canonical = match &expr {
            Expr::All => String::new(),
            other => other.to_string(),
        };
        let program = Node::compile(&expr);
        Query {
            inner: Arc::new(Inner {
                expr,
                canonical,
                program,
            }),
        }
    }

    /// Whether it matches every record because it asks nothing.
    pub fn is_empty(&self) -> bool {
        *self.expr() == Expr::All
    }

    /// Whether the record is one that the query asks for.
    pub fn matches<R: Record + ?Sized>(&self, record: &R) -> bool {
        self.inner.program.matches(record)
    }

    /// Of some numbered records, those among `among` that the query asks for. Answers what [`Self::matches`] would of
    /// each.
    ///
    /// # Errors
    /// The records cannot be looked at.
    pub fn select<R: Records>(&self, records: &mut R, among: RowSet) -> Result<RowSet, R::Error> {
        self.inner.program.select(records, among)
    }

    /// What every record that matches has, for leaving out parts of a store without looking at their records.
    pub fn needs(&self) -> Needs {
        Needs::of(&self.inner.program)
    }

    /// The query as a tree.
    pub fn expr(&self) -> &Expr {
        &self.inner.expr
    }

    /// The canonical spelling, as it is printed; empty when the query is.
    pub fn as_str(&self) -> &str {
        &self.inner.canonical
    }
}

/// The empty query.
impl Default for Query {
    fn default() -> Self {
        Query::new(Expr::All)
    }
}

/// The canonical spelling.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Query {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
    }
}

/// Queries are equal when they are spelt alike, not when they mean the same.
impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.expr() == other.expr()
    }
}

impl Eq for Query {}
