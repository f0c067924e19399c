//! From what was given to a configuration: every key is looked up among those that exist, every value is tried alone, so
//! that each mistake is found and has its place.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, de::DeserializeOwned};

use super::{ConfigError, Loaded, Origin, Problem, given::Given, node::Node, plain, suggest};

/// The key that decides which other keys its table has.
const KIND: &str = "kind";

/// Later values of a key win over earlier ones.
pub(super) fn resolve<T>(defaults: &T, given: &[Given]) -> Result<Loaded<T>, ConfigError>
where
    T: DeserializeOwned + Serialize,
{
    let mut problems = BTreeMap::new();
    let mut report = |rank: usize, problem: Problem| {
        problems.entry(problem).or_insert(rank);
    };
    let (shape, mut origins) = shape_of(defaults, given, &mut report)?;

    let mut tree = shape.clone();
    for (rank, one) in given.iter().enumerate() {
        if decides_kind(one, &shape) {
            continue;
        }
        match read::<T>(one, &shape) {
            Ok(Some(value)) => {
                origins.insert(one.path.join("."), one.origin.clone());
                tree.put(&one.path, value);
            }
            Ok(None) => {}
            Err(problem) => report(rank, problem),
        }
    }

    let mut problems: Vec<_> = problems.into_iter().collect();
    problems.sort_by_key(|(_, rank)| *rank);
    ConfigError::unless_empty(problems.into_iter().map(|(problem, _)| problem).collect())?;
    let config = tree.build().map_err(ConfigError::of_whole)?;
    Ok(Loaded {
        config,
        tree,
        origins,
    })
}

/// All keys with their defaults, where a table whose `kind` was given has the keys and defaults of that kind; and where
/// the kinds come from.
fn shape_of<T>(
    defaults: &T,
    given: &[Given],
    report: &mut impl FnMut(usize, Problem),
) -> Result<(Node, BTreeMap<String, Origin>), ConfigError>
where
    T: DeserializeOwned + Serialize,
{
    let mut shape = Node::of(defaults).map_err(ConfigError::of_whole)?;
    // The last one of each table wins.
    let mut kinds = BTreeMap::new();
    for (rank, one) in given.iter().enumerate() {
        if decides_kind(one, &shape) {
            kinds.insert(one.path.clone(), (rank, one));
        }
    }
    let mut origins = BTreeMap::new();
    for (path, (rank, one)) in kinds {
        let Some((_, table)) = path.split_last() else {
            continue;
        };
        let default = shape.get(&path).cloned().unwrap_or(Node::Null);
        let kind = one.readings(&default).into_iter().next();
        let mut candidate = shape.clone();
        let only_kind = Node::Table(vec![(KIND.to_owned(), kind.unwrap_or(Node::Null))]);
        candidate.put(table, only_kind);
        match candidate.build::<T>().and_then(|config| Node::of(&config)) {
            Ok(with_kind) => {
                shape = with_kind;
                origins.insert(path.join("."), one.origin.clone());
            }
            Err(message) => report(rank, wrong_value(one, &message, Some(&default))),
        }
    }
    Ok((shape, origins))
}

/// Whether it chooses between sets of keys; the last such choice of a table is the one that counts.
fn decides_kind(given: &Given, shape: &Node) -> bool {
    given.path.last().is_some_and(|key| key == KIND) && shape.get(&given.path).is_some()
}

/// The value of one key, `None` for an empty table, which says nothing.
fn read<T: DeserializeOwned>(given: &Given, shape: &Node) -> Result<Option<Node>, Problem> {
    let default = find(given, shape)?;
    let mut first_error = None;
    for reading in given.readings(default) {
        if matches!((&reading, default), (Node::Table(entries), Node::Table(_)) if entries.is_empty())
        {
            return Ok(None);
        }
        if let (Node::Table(_), Node::Table(entries)) = (&reading, default)
            && let Some((key, _)) = entries.first()
        {
            let table = given.path.join(".");
            return Err(Problem {
                origin: given.origin.clone(),
                message: format!(
                    "`{table}` is a table: set its keys one by one, such as `{table}.{key}`"
                ),
                key: table,
            });
        }
        let mut candidate = shape.clone();
        candidate.put(&given.path, reading.clone());
        match candidate.build::<T>() {
            Ok(_) => return Ok(Some(reading)),
            Err(message) => {
                first_error.get_or_insert(message);
            }
        }
    }
    let message = first_error.unwrap_or_default();
    Err(wrong_value(given, &message, Some(default)))
}

/// The default of the key that was given.
fn find<'a>(given: &Given, shape: &'a Node) -> Result<&'a Node, Problem> {
    let mut node = shape;
    for (index, key) in given.path.iter().enumerate() {
        let so_far = given.path.get(..index).unwrap_or(&[]);
        match node {
            // A table without keys in the default is one of free keys.
            Node::Table(entries) if entries.is_empty() => return Ok(node),
            Node::Table(_) => {
                let Some(child) = node.child(key) else {
                    return Err(unknown_key(given, index, shape));
                };
                node = child;
            }
            // The table that an unset key may hold is not known; its own type checks it.
            Node::Null => return Ok(node),
            leaf => {
                let expected = leaf.type_name();
                return Err(Problem {
                    origin: given.part_origin(index).clone(),
                    message: format!(
                        "`{}` has no keys below it, expected {expected} (the default is {leaf})",
                        so_far.join(".")
                    ),
                    key: so_far.join("."),
                });
            }
        }
    }
    Ok(node)
}

fn unknown_key(given: &Given, index: usize, shape: &Node) -> Problem {
    let wrong = given.path.get(..=index).unwrap_or(&given.path);
    let hint = match suggest::nearest(wrong, shape) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => {
            let table = wrong.split_last().map_or(wrong, |(_, table)| table);
            format!("expected one of {}", suggest::siblings(table, shape))
        }
    };
    Problem {
        origin: given.part_origin(index).clone(),
        message: format!("unknown key `{}`, {hint}", wrong.join(".")),
        key: wrong.join("."),
    }
}

fn wrong_value(given: &Given, message: &str, default: Option<&Node>) -> Problem {
    let key = given.path.join(".");
    let default = match default {
        Some(Node::Null) => " (it is not set by default)".to_owned(),
        Some(default) => format!(" (the default is {default})"),
        None => String::new(),
    };
    Problem {
        origin: given.origin.clone(),
        message: format!("`{key}`: {}{default}", plain::words(message)),
        key,
    }
}

impl ConfigError {
    fn of_whole(message: String) -> Self {
        Self::of(Problem {
            origin: Origin::Default,
            message: plain::words(&message),
            key: String::new(),
        })
    }
}

/// The keys of a tree, tables included, for suggestions.
pub(super) fn all_keys(shape: &Node) -> BTreeSet<Vec<String>> {
    let mut keys = BTreeSet::new();
    for (path, _) in shape.leaves() {
        for length in 1..=path.len() {
            keys.extend(path.get(..length).map(<[String]>::to_vec));
        }
    }
    keys
}
