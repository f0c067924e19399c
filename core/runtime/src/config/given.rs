//! A value that somebody gave, before it is known whether its key exists.

use toml::de::{DeTable, DeValue};

use super::{ENV_PREFIX, Origin, Override, node::Node};

/// One key with its value.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// Where each part of the path was written, for files.
    pub(super) parts: Vec<Origin>,
}

/// What was given for it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// From a file: its type is known.
    Typed(Node),
    /// From the environment or a flag: the key decides how it is read.
    Text(String),
}

impl Given {
    /// Of a variable of the environment, if it is one of ours.
    pub(super) fn of_env(name: &str, value: &str) -> Option<Self> {
        let key = name.strip_prefix(ENV_PREFIX)?;
        let path = key.split("__").map(str::to_lowercase).collect();
        Some(Self::text(path, value, Origin::Env(name.to_owned())))
    }

    pub(super) fn of_override(given: &Override) -> Self {
        let path = given.key.split('.').map(str::to_owned).collect();
        Self::text(path, &given.value, Origin::Flag(given.flag.clone()))
    }

    fn text(path: Vec<String>, value: &str, origin: Origin) -> Self {
        Self {
            parts: vec![origin.clone(); path.len()],
            value: Value::Text(value.to_owned()),
            path,
            origin,
        }
    }

    /// The place of a part of the path.
    pub(super) fn part_origin(&self, index: usize) -> &Origin {
        self.parts.get(index).unwrap_or(&self.origin)
    }

    /// Whether it is a table without a key in it, which says nothing.
    pub(super) fn is_empty_table(&self) -> bool {
        matches!(&self.value, Value::Typed(Node::Table(entries)) if entries.is_empty())
    }

    /// The ways to read the value for a key whose default is `shape`, the likeliest first.
    pub(super) fn readings(&self, shape: &Node) -> Vec<Node> {
        let mut readings = match &self.value {
            Value::Typed(node) => vec![node.clone()],
            Value::Text(text) => readings_of_text(text, shape),
        };
        if readings.contains(&Node::Str(String::new())) {
            // Unset is what an empty text means, unless the key is one that needs a text.
            let place = if *shape == Node::Null {
                0
            } else {
                readings.len()
            };
            readings.insert(place, Node::Null);
        }
        readings
    }
}

fn readings_of_text(text: &str, shape: &Node) -> Vec<Node> {
    let string = Node::Str(text.to_owned());
    let literal = DeValue::parse(text.trim())
        .ok()
        .and_then(|value| node_of(value.get_ref()).ok());
    match (shape, literal) {
        (Node::Str(_), _) | (Node::Null, None) => vec![string],
        // The type of a key that is not set is not known.
        (Node::Null, Some(literal)) => vec![string, literal],
        (Node::List(_), Some(list @ Node::List(_))) => vec![list],
        (Node::List(_), _) => vec![list_of_text(text, true), list_of_text(text, false)],
        (_, Some(literal)) => vec![literal],
        (_, None) => vec![string],
    }
}

/// `a,b` as a list: of what TOML reads in each, or of strings.
fn list_of_text(text: &str, as_literals: bool) -> Node {
    let items = text.split(',').map(str::trim);
    let items = items.filter(|item| !item.is_empty()).map(|item| {
        let literal = DeValue::parse(item)
            .ok()
            .and_then(|value| node_of(value.get_ref()).ok());
        match literal {
            Some(literal) if as_literals => literal,
            _ => Node::Str(item.to_owned()),
        }
    });
    Node::List(items.collect())
}

/// A TOML value as a tree.
///
/// # Errors
/// What no key takes: dates, and numbers beyond 128 bits.
pub(super) fn node_of(value: &DeValue<'_>) -> Result<Node, String> {
    Ok(match value {
        DeValue::String(text) => Node::Str(text.to_string()),
        DeValue::Boolean(value) => Node::Bool(*value),
        DeValue::Integer(value) => i128::from_str_radix(value.as_str(), value.radix())
            .map(Node::Int)
            .map_err(|_| format!("the number {value} is too large"))?,
        DeValue::Float(value) => value
            .as_str()
            .parse()
            .map(Node::Float)
            .map_err(|_| format!("{value} is not a number"))?,
        DeValue::Datetime(_) => return Err("no key takes a date; write a string".to_owned()),
        DeValue::Array(items) => Node::List(
            items
                .iter()
                .map(|item| node_of(item.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Node::Table(table_of(table)?),
    })
}

fn table_of(table: &DeTable<'_>) -> Result<Vec<(String, Node)>, String> {
    table
        .iter()
        .map(|(key, value)| Ok((key.get_ref().to_string(), node_of(value.get_ref())?)))
        .collect()
}
