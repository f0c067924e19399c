#![doc = include_str!("../LANGUAGE.md")]
//! # In code
//! [`parse`] reads a [`Query`]; [`Query::matches`] asks it of a [`Record`]; printing gives its canonical spelling, which
//! reads back as the same query. [`Query::needs`] says what every match must have, so that a store can leave out what
//! cannot match. [`Query::with_term`] and its companions change a query by a click; [`Intrinsic::help`] is the data of a
//! help sheet and of completion; [`Query::hints`] finds fields that look misspelt.
//!
//! ```
//! let query = log_tracer_query::parse("service:checkout level>=warn (user.id:42 OR user.id:43)")?;
//! assert_eq!(query.to_string(), "service:checkout severity>=warn user.id:(42 OR 43)");
//!
//! let error = log_tracer_query::parse("duration>250msec").unwrap_err();
//! assert_eq!(error.column, 10);
//! assert_eq!(error.corrected().as_deref(), Some("duration>250ms"));
//! # Ok::<(), log_tracer_query::ParseError>(())
//! ```
//!
//! The way of a query through the crate: `parse` (text to [`Expr`]) -> `print` (its canonical spelling) and `compile`
//! (a tree of tests with texts lowered, numbers read and the cheap ones first) -> `matcher` (the tests), `select` (the tests
//! asked of many records at once) and `needs`.

mod ast;
mod compile;
mod edit;
mod error;
mod field;
mod hint;
mod limits;
mod literal;
mod matcher;
mod needs;
mod number;
mod parse;
mod print;
mod query;
mod record;
mod rows;
mod select;
pub mod text;
mod words;

pub use ast::{Comparison, Expr, Glob, Pattern, PatternError, Predicate, Test, Text, Words};
pub use error::ParseError;
pub use field::{FieldHelp, Signals};
pub use hint::Hint;
pub use limits::Limits;
pub use literal::{Literal, LiteralKind};
pub use needs::{Clause, Needle, Needs};
pub use print::quote;
pub use query::{Query, parse, parse_with};
pub use record::{Field, Intrinsic, Record, Value};
pub use rows::RowSet;
pub use select::{Finder, Records, TextTest, ValueTest};
