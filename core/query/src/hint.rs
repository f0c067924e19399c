//! Fields that look misspelt. Any key may be an attribute, so a misspelt field is no error: it just finds nothing.

use std::collections::BTreeSet;

use crate::ast::Expr;
use crate::query::Query;
use crate::record::{Field, Intrinsic};

/// How alike two names must be to take one for the other; 1 is equal.
const LIKENESS_MIN: f64 = 0.85;

/// A field of a query that no record has, and one with a name much like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The attribute key in the query.
    pub field: String,
    /// The field that may be meant, as it is written in a query.
    pub suggestion: String,
}

impl Query {
    /// The attributes that the query asks for and that are not among the `known` keys, as far as a known key or an
    /// intrinsic field has a name much like theirs.
    pub fn hints<'k>(&self, known: impl IntoIterator<Item = &'k str>) -> Vec<Hint> {
        let known: BTreeSet<&str> = known.into_iter().collect();
        let mut asked = BTreeSet::new();
        collect_keys(self.expr(), &mut asked);
        asked
            .into_iter()
            .filter(|key| !known.contains(key))
            .filter_map(|key| {
                let suggestion = nearest_field(key, &known)?;
                Some(Hint {
                    field: key.to_owned(),
                    suggestion,
                })
            })
            .collect()
    }
}

fn collect_keys<'q>(expr: &'q Expr, keys: &mut BTreeSet<&'q str>) {
    match expr {
        Expr::All | Expr::Text(_) => {}
        Expr::And(parts) | Expr::Or(parts) => {
            parts.iter().for_each(|part| collect_keys(part, keys));
        }
        Expr::Not(inner) => collect_keys(inner, keys),
        Expr::Field(predicate) => {
            if let Field::Attribute(key) = &predicate.field {
                keys.insert(key);
            }
        }
    }
}

fn nearest_field(key: &str, known: &BTreeSet<&str>) -> Option<String> {
    let lower_case = key.to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&lower_case, &name.to_lowercase());
    let attributes = known
        .iter()
        .map(|name| (likeness(name), Field::Attribute((*name).to_owned())));
    let intrinsics = Intrinsic::ALL.into_iter().flat_map(|intrinsic| {
        let help = intrinsic.help();
        let names = std::iter::once(&help.name).chain(help.aliases);
        names.map(move |name| (likeness(name), Field::Intrinsic(intrinsic)))
    });
    attributes
        .chain(intrinsics)
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, field)| field.to_string())
}
