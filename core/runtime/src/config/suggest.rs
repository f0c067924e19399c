//! What was probably meant by a key that does not exist.

use super::{node::Node, resolve::all_keys};

/// The known key that is nearest to `wrong`, a path up to the first key that does not exist. It is looked for among the
/// keys of the same table first, then in all others.
pub(super) fn nearest(wrong: &[String], shape: &Node) -> Option<String> {
    let (name, table) = wrong.split_last()?;
    let keys = all_keys(shape);

    let siblings = keys.iter().filter(|key| {
        key.split_last()
            .is_some_and(|(_, of_table)| of_table == table)
    });
    let sibling = best(siblings, |key| {
        key.last().map_or(usize::MAX, |last| distance(name, last))
    });
    if let Some((key, found)) = sibling
        && found <= tolerance(name)
    {
        return Some(key.join("."));
    }

    let whole = wrong.join(".");
    let elsewhere = keys.iter().filter(|key| {
        key.last()
            .is_some_and(|last| distance(name, last) <= tolerance(name))
    });
    best(elsewhere, |key| distance(&whole, &key.join("."))).map(|(key, _)| key.join("."))
}

/// The keys of a table in words.
pub(super) fn siblings(table: &[String], shape: &Node) -> String {
    match shape.get(table) {
        Some(Node::Table(entries)) => {
            let names: Vec<_> = entries.iter().map(|(key, _)| format!("`{key}`")).collect();
            names.join(", ")
        }
        _ => "nothing".to_owned(),
    }
}

fn best<'a>(
    keys: impl Iterator<Item = &'a Vec<String>>,
    distance: impl Fn(&[String]) -> usize,
) -> Option<(&'a Vec<String>, usize)> {
    keys.map(|key| (key, distance(key)))
        .min_by_key(|(_, distance)| *distance)
}

/// Edits between two names; `-` and `_` are the same, and so are upper and lower case.
fn distance(a: &str, b: &str) -> usize {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    strsim::damerau_levenshtein(&plain(a), &plain(b))
}

/// The most edits after which a name is still taken for a mistyped one.
fn tolerance(name: &str) -> usize {
    (name.chars().count() / 3).max(1)
}
