//! The query language for logs and spans: parse, print, match.

mod record;

pub use record::{Field, Intrinsic, Record, Value};
