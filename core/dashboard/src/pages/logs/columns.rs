//! Columns of the list of log records that the visitor chose: fields, in the URL as `cols=http.route,user.id`.

use log_tracer_proto::{
    otlp::{common::KeyValue, logs::LogRecord},
    v1::LogHit,
};
use log_tracer_query::{Field, Intrinsic};
use serde::Serialize;

use super::Search;
use crate::{
    lines::{Tables, valid_hex},
    units::clip,
    value,
};

/// Columns at most: more do not fit beside the message.
pub(super) const COLUMNS_MAX: usize = 6;

/// The length of a name in bytes.
const NAME_BYTES_MAX: usize = 200;

/// Characters of a cell.
const CELL_CHARS_MAX: usize = 120;

/// The head of a column.
#[derive(Debug, Serialize)]
pub(super) struct ColumnHead {
    name: String,
    /// Leads to the list without it.
    remove_href: String,
}

/// Reads `cols`.
pub(crate) fn parse(text: &str) -> Result<Vec<String>, String> {
    let mut columns: Vec<String> = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        if name.len() > NAME_BYTES_MAX {
            return Err(format!(
                "the name of a column has {} bytes; at most {NAME_BYTES_MAX} are read",
                name.len()
            ));
        }
        if !columns.iter().any(|column| column == name) {
            columns.push(name.to_owned());
        }
    }
    if columns.len() > COLUMNS_MAX {
        return Err(format!(
            "there are {} columns; at most {COLUMNS_MAX} are shown",
            columns.len()
        ));
    }
    Ok(columns)
}

pub(super) fn param(columns: &[String]) -> String {
    columns.join(",")
}

/// With one more column; when there are as many as are shown already, the last makes room.
pub(super) fn with(columns: &[String], name: &str) -> Vec<String> {
    let mut columns = columns.to_vec();
    let name = name.trim();
    // A name with a comma cannot be told from two.
    if !name.is_empty()
        && !name.contains(',')
        && name.len() <= NAME_BYTES_MAX
        && !columns.iter().any(|column| column == name)
    {
        columns.truncate(COLUMNS_MAX - 1);
        columns.push(name.to_owned());
    }
    columns
}

pub(super) fn heads(search: &Search) -> Vec<ColumnHead> {
    search
        .columns
        .iter()
        .map(|name| {
            let rest = search.columns.iter().filter(|own| *own != name).cloned();
            let without = Search {
                columns: rest.collect(),
                ..search.clone()
            };
            ColumnHead {
                name: clip(name, 40),
                remove_href: without.link().to_string(),
            }
        })
        .collect()
}

/// What a record has in each of the columns, cut to what a page shows; empty where it has nothing.
pub(super) fn cells(columns: &[String], hit: &LogHit, tables: Tables<'_>) -> Vec<String> {
    values(columns, hit, tables, 4 * CELL_CHARS_MAX)
        .iter()
        .map(|value| clip(value, CELL_CHARS_MAX))
        .collect()
}

/// The same, with the values of attributes up to so many bytes.
pub(crate) fn values(
    columns: &[String],
    hit: &LogHit,
    tables: Tables<'_>,
    bytes_max: usize,
) -> Vec<String> {
    let none = LogRecord::default();
    let record = hit.record.as_ref().unwrap_or(&none);
    columns
        .iter()
        .map(|name| cell(name, record, hit, tables, bytes_max))
        .collect()
}

fn cell(
    name: &str,
    record: &LogRecord,
    hit: &LogHit,
    tables: Tables<'_>,
    bytes_max: usize,
) -> String {
    let resource = tables.resources.get(hit.resource as usize);
    let scope = tables
        .scopes
        .get(hit.scope as usize)
        .and_then(|entry| entry.scope.as_ref());
    match Field::named(name) {
        Field::Intrinsic(Intrinsic::Service) => {
            resource.map_or_else(String::new, |entry| entry.service.clone())
        }
        Field::Intrinsic(Intrinsic::Name | Intrinsic::Event) => record.event_name.clone(),
        Field::Intrinsic(Intrinsic::TraceId) => {
            valid_hex::<16>(&record.trace_id).unwrap_or_default()
        }
        Field::Intrinsic(Intrinsic::SpanId) => valid_hex::<8>(&record.span_id).unwrap_or_default(),
        Field::Intrinsic(Intrinsic::Scope) => {
            scope.map_or_else(String::new, |scope| scope.name.clone())
        }
        Field::Intrinsic(Intrinsic::Severity) => record.severity_text.clone(),
        Field::Intrinsic(_) => String::new(),
        Field::Attribute(key) => {
            let resource = resource.and_then(|entry| entry.resource.as_ref());
            [
                Some(record.attributes.as_slice()),
                scope.map(|scope| scope.attributes.as_slice()),
                resource.map(|resource| resource.attributes.as_slice()),
            ]
            .into_iter()
            .flatten()
            .find_map(|attributes| attribute(attributes, &key, bytes_max))
            .unwrap_or_default()
        }
    }
}

fn attribute(attributes: &[KeyValue], key: &str, bytes_max: usize) -> Option<String> {
    let pair = attributes.iter().find(|pair| pair.key == key)?;
    Some(value::text(pair.value.as_ref(), bytes_max))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_named_once_and_not_too_many() {
        assert_eq!(parse("a, b,a,,").unwrap(), ["a", "b"]);
        assert!(parse("a,b,c,d,e,f,g").is_err());
        let six = parse("a,b,c,d,e,f").unwrap();
        assert_eq!(with(&six, "g"), ["a", "b", "c", "d", "e", "g"]);
        assert_eq!(with(&six, "b"), six);
        assert_eq!(with(&[], "a,b"), [""; 0]);
    }

    proptest! {
        #[test]
        fn columns_survive_the_address(names in prop::collection::vec("[a-z.]{1,8}", 0..6)) {
            let mut columns = Vec::new();
            for name in &names {
                columns = with(&columns, name);
            }
            prop_assert_eq!(parse(&param(&columns)), Ok(columns));
        }
    }
}
