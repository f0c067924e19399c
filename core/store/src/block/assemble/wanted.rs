//! Which columns of a file have to be read.

use log_tracer_query::{Field, Intrinsic};

use crate::block::{Columns, decode::Footer, schema::ColumnType};

/// What the columns of a table are for.
#[derive(Debug)]
pub(crate) struct ColumnsOf {
    /// The time of a row.
    pub(crate) time: &'static str,
    /// What `Storable::grade` and `Chunk::is_error` need.
    pub(crate) level: &'static str,
    /// The texts that words are searched in, beside the attributes.
    pub(crate) texts: &'static [&'static str],
    /// What a field needs.
    pub(crate) of_field: fn(Intrinsic) -> &'static [&'static str],
}

/// By column: whether it is read. One that has no value is not.
pub(crate) fn wanted(footer: &Footer, columns: &Columns, table: &ColumnsOf) -> Vec<bool> {
    let schema = &footer.schema;
    let mut wanted = Wanted {
        footer,
        columns: vec![columns.all; schema.columns.len()],
    };
    wanted.add(&[table.time]);
    if columns.all {
        // It stands in the resource.
        wanted.set("service", false);
        return wanted.filled();
    }
    if columns.keys {
        wanted.add(&["partition", "offset", "index"]);
    }
    if columns.levels {
        wanted.add(&[table.level]);
    }
    if columns.resources {
        wanted.add(&["resource"]);
    }
    if columns.traces {
        wanted.add(&["trace_id"]);
    }
    if columns.flags {
        wanted.add(&["flags"]);
    }
    if columns.texts {
        wanted.add(table.texts);
        wanted.add_attributes(|_, r#type| r#type == ColumnType::Text);
    }
    for field in &columns.fields {
        match field {
            Field::Intrinsic(intrinsic) => wanted.add((table.of_field)(*intrinsic)),
            Field::Attribute(path) => {
                wanted.add(&["resource", "scope"]);
                // A column holds no maps, so that nothing is below its key.
                wanted.add_attributes(|key, _| key == path);
            }
        }
    }
    wanted.filled()
}

struct Wanted<'f> {
    footer: &'f Footer,
    columns: Vec<bool>,
}

impl Wanted<'_> {
    fn set(&mut self, name: &str, wanted: bool) {
        let number = self.footer.schema.number_of(name);
        if let Some(column) = number.and_then(|number| self.columns.get_mut(number)) {
            *column = wanted;
        }
    }

    fn add(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.set(name, true));
    }

    fn add_attributes(&mut self, is_wanted: impl Fn(&str, ColumnType) -> bool) {
        self.add(&["other_attributes", "attribute_order"]);
        for (number, key, r#type) in self.footer.schema.attributes() {
            if is_wanted(key, r#type)
                && let Some(column) = self.columns.get_mut(number)
            {
                *column = true;
            }
        }
    }

    fn filled(mut self) -> Vec<bool> {
        for (wanted, filled) in self.columns.iter_mut().zip(&self.footer.filled) {
            *wanted &= *filled > 0;
        }
        let is_wanted = |number: usize| self.columns.get(number).copied().unwrap_or(false);
        let schema = &self.footer.schema;
        let of_columns = schema
            .attributes()
            .filter(|(number, ..)| is_wanted(*number));
        let others = schema
            .number_of("other_attributes")
            .filter(|other| is_wanted(*other));
        // One column has no order. Of the others alone, each row has those that its text has.
        if of_columns.count() + usize::from(others.is_some()) * 2 <= 1 {
            self.set("attribute_order", false);
        }
        self.columns
    }
}
