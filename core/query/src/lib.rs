//! The query language for logs and spans: parse, print, match.

mod ast;
mod compile;
mod edit;
mod error;
mod field;
mod limits;
mod literal;
mod matcher;
mod needs;
mod number;
mod parse;
mod print;
mod query;
mod record;
pub mod text;

pub use ast::{Comparison, Expr, Glob, Pattern, PatternError, Predicate, Test, Text, Words};
pub use error::ParseError;
pub use field::{FieldHelp, Signals};
pub use limits::Limits;
pub use literal::{Literal, LiteralKind};
pub use needs::{Clause, Needle, Needs};
pub use print::quote;
pub use query::{Query, parse, parse_with};
pub use record::{Field, Intrinsic, Record, Value};
