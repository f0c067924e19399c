//! What a click on a value does to a query.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::generate::{expr, record};
use log_tracer_query::{Field, Hint, Intrinsic, Query, parse, quote, text::value_text};
use proptest::prelude::*;

fn attribute(key: &str) -> Field {
    Field::Attribute(key.to_owned())
}

#[test]
fn a_term_is_added_once() {
    let query = Query::default().with_term(&attribute("k"), "v").unwrap();
    assert_eq!(query.as_str(), "k:v");
    assert_eq!(query.with_term(&attribute("k"), "v").unwrap(), query);
    assert_eq!(
        query.with_term(&attribute("k"), "w").unwrap().as_str(),
        "k:v k:w"
    );
}

#[test]
fn including_and_excluding_replace_each_other() {
    let query = parse("a k:v b").unwrap();
    let excluded = query.without_term(&attribute("k"), "v").unwrap();
    assert_eq!(excluded.as_str(), "a b -k:v");
    let included = excluded.with_term(&attribute("k"), "v").unwrap();
    assert_eq!(included.as_str(), "a b k:v");
    assert_eq!(included.drop_term(&attribute("k"), "v").as_str(), "a b");
    assert_eq!(excluded.drop_term(&attribute("k"), "v").as_str(), "a b");
    assert!(
        parse("-k:v")
            .unwrap()
            .drop_term(&attribute("k"), "v")
            .is_empty()
    );
}

#[test]
fn a_term_joins_an_or_as_a_whole() {
    let query = parse("a OR b").unwrap();
    assert_eq!(
        query.with_term(&attribute("k"), "v").unwrap().as_str(),
        "(a OR b) k:v"
    );
}

#[test]
fn keys_and_values_are_quoted_where_they_must_be() {
    for (key, value, printed) in [
        ("odd key", "a \"b\"", "\"odd key\":\"a \\\"b\\\"\""),
        ("status", "500", "\"status\":500"),
        ("error", "true", "\"error\":true"),
        ("version", "1.10", "version:\"1.10\""),
        ("version", "1.5", "version:1.5"),
        ("k", "", "k:\"\""),
        ("k", "a*", "k:\"a*\""),
        ("k", "/a/", "k:\"/a/\""),
    ] {
        assert_eq!(
            Query::default()
                .with_term(&attribute(key), value)
                .unwrap()
                .as_str(),
            printed
        );
    }
}

#[test]
fn values_of_intrinsic_fields_are_checked() {
    let term = |field, value| {
        Query::default()
            .with_term(&Field::Intrinsic(field), value)
            .map(|query| query.to_string())
    };
    assert_eq!(
        term(Intrinsic::Duration, "250ms").unwrap(),
        "duration:250ms"
    );
    assert_eq!(term(Intrinsic::Kind, "SERVER").unwrap(), "kind:server");
    assert_eq!(term(Intrinsic::Severity, "17").unwrap(), "severity:17");
    assert_eq!(term(Intrinsic::Body, "→").unwrap(), "body=\"→\"");
    assert_eq!(
        term(Intrinsic::Time, "2026-03-01T00:00:00Z").unwrap(),
        "time:2026-03-01T00:00:00Z"
    );
    let error = term(Intrinsic::Duration, "long").unwrap_err();
    assert_eq!(error.column, 10, "{}", error.render());
}

#[test]
fn the_terms_of_a_query_are_what_a_record_must_match() {
    let texts = |query: &str| -> Vec<String> {
        parse(query)
            .unwrap()
            .terms()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(texts(""), Vec::<String>::new());
    assert_eq!(texts("a -k:v (b OR c)"), ["a", "-k:v", "b OR c"]);
    assert_eq!(texts("a OR b"), ["a OR b"]);
}

#[test]
fn a_quoted_text_is_read_back() {
    for text in ["", "a", "a \"b\"\\", "\n\r\t\u{0}\u{7f}é→"] {
        let query = parse(&format!("k={}", quote(text))).unwrap();
        let expected = Query::default().with_term(&attribute("k"), text).unwrap();
        assert_eq!(
            query.to_string(),
            expected.to_string().replacen(':', "=", 1)
        );
    }
}

#[test]
fn a_misspelt_field_gets_a_hint() {
    let hint = |field: &str, suggestion: &str| Hint {
        field: field.to_owned(),
        suggestion: suggestion.to_owned(),
    };
    let hints = parse("(servce:a OR -htp.route>1) user.id:5 zzz:1 word")
        .unwrap()
        .hints(["http.route", "user.id"]);
    assert_eq!(
        hints,
        [hint("htp.route", "http.route"), hint("servce", "service")]
    );
    assert_eq!(parse("service:a user.id:5").unwrap().hints(["user.id"]), []);
}

proptest! {
    #[test]
    fn a_clicked_value_is_found_with_its_term_and_not_without(record in record(), expr in expr()) {
        let query = parse(&expr.to_string()).unwrap();
        for (field, values) in &record.values {
            if !matches!(field, Field::Attribute(_) | Field::Intrinsic(Intrinsic::Name | Intrinsic::Body | Intrinsic::TraceId)) {
                continue;
            }
            for value in values {
                let text = value_text(value.borrowed());
                let with = query.with_term(field, &text).map_err(|error| TestCaseError::fail(error.render()))?;
                let without = query.without_term(field, &text).map_err(|error| TestCaseError::fail(error.render()))?;
                prop_assert!(Query::default().with_term(field, &text).unwrap().matches(&record), "{}", with);
                prop_assert!(!without.matches(&record), "{}", without);
            }
        }
    }
}
