//! The table of OTLP's rules in the documentation names tests that exist.

use std::{collections::BTreeSet, fs, path::Path};

const TABLE: &str = include_str!("../../src/rules.md");

#[test]
fn every_test_that_the_table_of_rules_names_exists() {
    let tests = tests_below(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")));
    let mut named = 0;
    for line in TABLE.lines().filter(|line| line.starts_with('|')) {
        for name in line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|text| text.contains("::"))
        {
            named += 1;
            assert!(tests.contains(name), "there is no test {name}");
        }
    }
    assert!(named > 30, "the table names {named} tests");
}

#[test]
fn every_rule_of_the_table_has_a_test() {
    let rules = TABLE
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| rule"));
    for rule in rules {
        assert!(rule.contains("::"), "no test: {rule}");
    }
}

/// `file::test` for each test in the files of a directory and of those below.
fn tests_below(directory: &Path) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests.extend(tests_below(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let file = path.file_stem().unwrap().to_str().unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let signature = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
            if let Some(signature) = signature {
                let name = signature.split('(').next().unwrap();
                if std::mem::take(&mut is_test) {
                    tests.insert(format!("{file}::{name}"));
                }
            }
        }
    }
    tests
}
