//! What the documentation and the help sheet show is true.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_query::{Field, Intrinsic, Limits, parse};

const PAGE: &str = include_str!("../LANGUAGE.md");

/// The first column of the table whose first heading is `heading`, without its backticks.
fn first_column(heading: &str) -> Vec<Vec<&'static str>> {
    let start = PAGE
        .find(&format!("| {heading} |"))
        .expect("a table of that heading");
    PAGE[start..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn every_query_on_the_page_is_read() {
    let rows = first_column("query");
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let query = code(row[0]);
        if let Err(error) = parse(query) {
            panic!("{}", error.render());
        }
    }
}

#[test]
fn the_page_lists_every_field_with_every_alias() {
    let rows = first_column("field");
    let listed: Vec<(String, Vec<String>)> = rows
        .iter()
        .map(|row| {
            let aliases = row[1]
                .split(", ")
                .map(|alias| code(alias).to_owned())
                .collect();
            (code(row[0]).to_owned(), aliases)
        })
        .collect();
    let known: Vec<(String, Vec<String>)> = Intrinsic::ALL
        .iter()
        .map(|field| {
            let help = field.help();
            let aliases = help
                .aliases
                .iter()
                .map(|alias| (*alias).to_owned())
                .collect();
            (help.name.to_owned(), aliases)
        })
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn the_page_states_the_default_limits() {
    let limits = Limits::default();
    let stated = format!(
        "A query has at most {} KiB, {} terms, {} levels of parentheses and {} regular expressions.",
        limits.query_bytes_max >> 10,
        limits.terms_max,
        limits.depth_max,
        limits.regexes_max
    );
    assert!(PAGE.contains(&stated), "{stated}");
}

#[test]
fn every_example_of_the_help_sheet_asks_about_its_field() {
    for field in Intrinsic::ALL {
        let help = field.help();
        assert!(!help.examples.is_empty());
        for example in help.examples {
            let query = parse(example).unwrap_or_else(|error| panic!("{}", error.render()));
            let asked = query.needs().fields;
            assert!(asked.contains(&Field::Intrinsic(field)), "{example}");
        }
        for value in help.values {
            let term = format!("{}:{value}", help.name);
            assert_eq!(parse(&term).unwrap().to_string(), term);
        }
    }
}

#[test]
fn every_name_and_alias_means_one_field_in_any_case() {
    for field in Intrinsic::ALL {
        let help = field.help();
        for name in std::iter::once(&help.name).chain(help.aliases) {
            assert_eq!(Field::named(name), Field::Intrinsic(field));
            assert_eq!(Field::named(&name.to_uppercase()), Field::Intrinsic(field));
        }
        assert_eq!(Field::Intrinsic(field).to_string(), field.name());
    }
}
