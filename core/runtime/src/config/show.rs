//! A configuration as text, each value with the place that it comes from.

use std::fmt::Write;

use super::{Origin, node::Node};

/// The column at which the place of a value is written, where there is room.
const ORIGIN_COLUMN: usize = 48;

pub(super) fn to_toml<'a>(tree: &Node, origin: impl Fn(&str) -> &'a Origin) -> String {
    let mut text = String::new();
    table(&mut text, &mut Vec::new(), tree, &origin);
    text
}

pub(super) fn to_json<'a>(tree: &Node, origin: impl Fn(&str) -> &'a Origin) -> String {
    let entries = tree.leaves().into_iter().map(|(path, value)| {
        let key = path.join(".");
        let origin = origin(&key).to_string();
        let value = value.to_json().unwrap_or(serde_json::Value::Null);
        (key, serde_json::json!({ "value": value, "origin": origin }))
    });
    serde_json::Value::Object(entries.collect()).to_string()
}

/// Values of a table first, tables below it after, as TOML has it.
fn table<'a>(
    text: &mut String,
    path: &mut Vec<String>,
    node: &Node,
    origin: &impl Fn(&str) -> &'a Origin,
) {
    let Node::Table(entries) = node else { return };
    let is_table = |node: &Node| matches!(node, Node::Table(entries) if !entries.is_empty());
    let (tables, values): (Vec<_>, Vec<_>) = entries.iter().partition(|(_, node)| is_table(node));
    if !path.is_empty() && !values.is_empty() {
        let gap = if text.is_empty() { "" } else { "\n" };
        // A write to a string cannot fail.
        let _ = writeln!(text, "{gap}[{}]", path.join("."));
    }
    for (key, value) in values {
        path.push(key.clone());
        let line = match value {
            Node::Null => format!("# {key} is not set"),
            value => format!("{key} = {value}"),
        };
        let origin = origin(&path.join("."));
        let _ = writeln!(text, "{line:ORIGIN_COLUMN$} # {origin}");
        path.pop();
    }
    for (key, inner) in tables {
        path.push(key.clone());
        table(text, path, inner, origin);
        path.pop();
    }
}
