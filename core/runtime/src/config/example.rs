//! Checks the example files that show every key: what they say is what the program does.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};

use super::{file, node::Node, resolve::resolve};

/// Checks a TOML file in which every key stands with its default as `#key = value` below a line of comment. The tables
/// themselves are not commented out. A key that is not set by default stands there as `#key = ""`.
///
/// # Errors
/// Every key that is missing, unknown, has another default or no comment, a line each.
pub fn check_example<T>(text: &str) -> Result<(), String>
where
    T: DeserializeOwned + Serialize + Default,
{
    check_example_without::<T>(text, None)
}

/// The same for a file that leaves the keys of one table to another file, all but its `kind`.
///
/// # Errors
/// As [`check_example`].
pub fn check_example_without<T>(text: &str, elsewhere: Option<&str>) -> Result<(), String>
where
    T: DeserializeOwned + Serialize + Default,
{
    let is_elsewhere = |key: &str| {
        let below = elsewhere.and_then(|table| key.strip_prefix(table)?.strip_prefix('.'));
        below.is_some_and(|name| name != "kind")
    };
    let whole = |error: &dyn std::fmt::Display| error.to_string();
    let untouched = file::parse(text, "example").map_err(|error| whole(&error))?;
    if !untouched.is_empty() && untouched.iter().any(|given| !given.is_empty_table()) {
        return Err("a key is not commented out, so the file is not the default".to_owned());
    }

    let shown = file::parse(&uncommented(text), "example").map_err(|error| whole(&error))?;
    let loaded = resolve(&T::default(), &shown).map_err(|error| whole(&error))?;
    let defaults = Node::of(&T::default())?;
    let defaults: BTreeMap<_, _> = leaves(&defaults);
    let values = leaves(&loaded.tree);

    let mut faults = Vec::new();
    for (key, default) in defaults.iter().filter(|(key, _)| !is_elsewhere(key)) {
        if !loaded.origins.contains_key(key) {
            let name = key.rsplit('.').next().unwrap_or(key);
            faults.push(format!("`{key}` is missing: `#{name} = {default}`"));
        } else if values.get(key) != Some(default) {
            let shown = values.get(key).map_or(String::new(), ToString::to_string);
            faults.push(format!(
                "`{key}` is shown as {shown}, its default is {default}"
            ));
        }
    }
    faults.extend(without_comment(text));
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}

fn leaves(tree: &Node) -> BTreeMap<String, &Node> {
    tree.leaves()
        .into_iter()
        .map(|(path, value)| (path.join("."), value))
        .collect()
}

/// `key = value` of a line `#key = value`.
fn setting(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('#')?;
    let (key, _) = rest.split_once(" = ")?;
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_key.then_some(rest)
}

fn uncommented(text: &str) -> String {
    let lines = text.lines().map(|line| setting(line).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn without_comment(text: &str) -> Vec<String> {
    let lines = text.lines().zip(text.lines().skip(1));
    lines
        .filter(|(above, line)| setting(line).is_some() && !above.starts_with("# "))
        .map(|(_, line)| format!("no comment stands above `{line}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, Serialize)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        port: u16,
        name: Option<String>,
        inner: Inner,
    }

    #[derive(Debug, Default, Deserialize, Serialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        list: Vec<u8>,
    }

    const GOOD: &str =
        "# The port.\n#port = 0\n\n# The name.\n#name = \"\"\n\n[inner]\n# Numbers.\n#list = []\n";

    #[test]
    fn a_file_that_shows_every_default_with_a_comment_is_right() {
        assert_eq!(check_example::<Config>(GOOD), Ok(()));
    }

    #[test]
    fn what_is_missing_wrong_unknown_or_bare_is_named() {
        for (from, to, expected) in [
            ("#port = 0", "# no", "`port` is missing: `#port = 0`"),
            (
                "#port = 0",
                "#port = 1",
                "`port` is shown as 1, its default is 0",
            ),
            ("#port", "#prt", "unknown key `prt`, did you mean `port`?"),
            ("# Numbers.", "", "no comment stands above `#list = []`"),
            ("#port = 0", "port = 0", "a key is not commented out"),
        ] {
            let fault = check_example::<Config>(&GOOD.replace(from, to)).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
