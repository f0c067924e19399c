//! Which columns of a block are wanted.

use std::collections::BTreeSet;

use log_tracer_query::{Field, Needs};

/// Columns to read. The time of a row is always among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Columns {
    /// All of them: rows can be read whole, and everything below is true.
    pub(crate) all: bool,
    /// What `Record::any_value` needs to answer for these fields.
    pub(crate) fields: BTreeSet<Field>,
    /// What `Record::any_text` needs.
    pub(crate) texts: bool,
    /// What `Chunk::key` and `Chunk::origin` need.
    pub(crate) keys: bool,
    /// What `Storable::grade` and `Chunk::is_error` need.
    pub(crate) levels: bool,
    /// What `Chunk::service` and `Chunk::resources` need.
    pub(crate) resources: bool,
    /// What `Chunk::traces` needs.
    pub(crate) traces: bool,
    /// The flags of spans.
    pub(crate) flags: bool,
}

impl Columns {
    /// All columns.
    pub(crate) fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// What a query looks at.
    pub(crate) fn of_query(needs: &Needs) -> Self {
        Self {
            fields: needs.fields.clone(),
            texts: needs.texts,
            ..Self::default()
        }
    }
}
