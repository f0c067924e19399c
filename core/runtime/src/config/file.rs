//! Reads a TOML file into the values that it gives, each with its line and column.

use std::{fs::File, io::Read, ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    ConfigError, FILE_BYTES_MAX, Origin, Problem,
    given::{Given, Value, node_of},
    node::Node,
};

/// All values of the file at `path`, in the order of their lines.
pub(super) fn read(path: &Path) -> Result<Vec<Given>, ConfigError> {
    let name = path.display().to_string();
    let text = text_of(path).map_err(|message| {
        ConfigError::of(Problem {
            origin: Origin::Default,
            message: format!("the configuration file {name} {message}"),
            key: String::new(),
        })
    })?;
    parse(&text, &name)
}

fn text_of(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > FILE_BYTES_MAX) {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 text, at byte {at}")
    })
}

/// All values of the TOML `text` of a file called `name`.
pub(super) fn parse(text: &str, name: &str) -> Result<Vec<Given>, ConfigError> {
    let places = Places { text, name };
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<_> = errors
        .iter()
        .map(|error| Problem {
            origin: places.origin(error.span()),
            message: format!("not TOML: {}", error.message()),
            key: String::new(),
        })
        .collect();
    let mut walk = Walk {
        places,
        path: Vec::new(),
        parts: Vec::new(),
        found: Vec::new(),
        problems: Vec::new(),
    };
    walk.table(root.get_ref());
    // After a syntax error the rest is a guess, good for finding more syntax errors only.
    if problems.is_empty() {
        problems = walk.problems;
    }
    ConfigError::unless_empty(problems)?;
    walk.found.sort_by(|a, b| a.origin.cmp(&b.origin));
    Ok(walk.found)
}

struct Walk<'a> {
    places: Places<'a>,
    path: Vec<String>,
    parts: Vec<Origin>,
    found: Vec<Given>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            self.path.push(key.get_ref().to_string());
            self.parts.push(self.places.origin(Some(key.span())));
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() => self.table(inner),
                DeValue::Table(_) => self.found(Node::Table(Vec::new()), value.span()),
                leaf => match node_of(leaf) {
                    Ok(node) => self.found(node, value.span()),
                    Err(message) => self.problems.push(Problem {
                        origin: self.places.origin(Some(value.span())),
                        message,
                        key: self.path.join("."),
                    }),
                },
            }
            self.path.pop();
            self.parts.pop();
        }
    }

    fn found(&mut self, node: Node, span: Range<usize>) {
        self.found.push(Given {
            path: self.path.clone(),
            value: Value::Typed(node),
            origin: self.places.origin(Some(span)),
            parts: self.parts.clone(),
        });
    }
}

struct Places<'a> {
    text: &'a str,
    name: &'a str,
}

impl Places<'_> {
    /// The line and column at which a span of bytes starts; the end of the file when there is none.
    fn origin(&self, span: Option<Range<usize>>) -> Origin {
        let at = span.map_or(self.text.len(), |span| span.start);
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            path: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        }
    }
}
