//! What is printed is read back as the same query.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::generate::expr;
use log_tracer_query::{Expr, Limits, parse};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_printed_tree_is_read_back_as_itself(expr in expr()) {
        let printed = expr.to_string();
        let query = parse(&printed).map_err(|error| TestCaseError::fail(error.render()))?;
        prop_assert_eq!(query.expr(), &expr, "{}", printed);
        let expected = if expr == Expr::All { "" } else { printed.as_str() };
        prop_assert_eq!(query.as_str(), expected);
    }

    #[test]
    fn whatever_can_be_read_prints_as_the_same_query(text in query_like()) {
        if let Ok(query) = parse(&text) {
            let again = parse(query.as_str()).map_err(|error| TestCaseError::fail(error.render()))?;
            prop_assert_eq!(again.expr(), query.expr());
            prop_assert_eq!(again.as_str(), query.as_str());
        }
    }
}

/// Texts in which the signs of the language are frequent, so that many can be read.
fn query_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-c1-3]{1,3}",
        4 => prop::sample::select(vec![
            " ", " OR ", " AND ", " NOT ", "-", "(", ")", "\"", ":", "=", "!=", ">", ">=", "<", "*", "/", "\\", "i", "!",
            "severity", "level>=", "duration>", "250ms", "trace:", "5b8e", "error:", "true", "f:(", "\u{3000}", "'", "[",
        ]).prop_map(str::to_owned),
        1 => ".",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn spelling_is_canonical() {
    for (written, printed) in [
        ("", ""),
        (" \t\n", ""),
        ("*", ""),
        ("a AND b", "a b"),
        ("a  b", "a b"),
        ("NOT a", "-a"),
        ("NOT NOT a", "a"),
        ("--a", "a"),
        ("((a))", "a"),
        ("(a b) c", "a b c"),
        ("a OR (b OR c)", "a OR b OR c"),
        ("(a OR b) c", "(a OR b) c"),
        ("a OR b c", "a OR b c"),
        ("-(a b)", "-(a b)"),
        ("f:x OR f:y", "f:(x OR y)"),
        ("-(f:x OR f:y)", "-f:(x OR y)"),
        ("f:x OR g:y", "f:x OR g:y"),
        ("f:x OR f>1", "f:x OR f>1"),
        ("LEVEL >= WARN", "severity>=WARN"),
        ("service.name:\"checkout\"", "service:checkout"),
        ("\"service.name\":checkout", "\"service.name\":checkout"),
        ("duration:>1s", "duration>1s"),
        ("trace:5B8E*", "trace:5b8e"),
        ("kind:SPAN_KIND_SERVER", "kind:server"),
        ("f:\"500\"", "f:\"500\""),
        ("f:500", "f:500"),
        ("f:a**b", "f:a*b"),
        ("f:\"a b\"*", "f:\"a b\"*"),
        ("/a\\/b/", "/a\\/b/"),
        ("/api/cart", "\"/api/cart\""),
        ("\"\\u{2192}x\"", "\"→x\""),
        ("f:\"\\u{0}\"", "f:\"\\u{0}\""),
        ("error:true", "status:error OR severity>=error"),
        ("error:true a", "(status:error OR severity>=error) a"),
        ("error:false", "-(status:error OR severity>=error)"),
        ("error:timeout", "error:timeout"),
        ("\"error\":true", "\"error\":true"),
        ("or and not", "or and not"),
        ("\"OR\"", "\"OR\""),
    ] {
        let query = parse(written).unwrap_or_else(|error| panic!("{}", error.render()));
        assert_eq!(query.to_string(), printed, "{written}");
    }
}

#[test]
fn a_query_at_the_limits_prints_within_them() {
    let limits = Limits::default();
    let nested = |inner: &str, levels: usize| {
        let open: String = (0..levels)
            .map(|level| if level % 2 == 0 { "a (" } else { "b OR (" })
            .collect();
        format!("{open}{inner}{}", ")".repeat(levels))
    };
    let mut read = 0;
    for text in [
        vec!["error:true"; limits.terms_max / 2].join(" "),
        vec!["error:true"; limits.terms_max].join(" "),
        vec!["f:(a OR b)"; limits.terms_max / 2].join(" "),
        nested("error:true c", limits.depth_max - 1),
        nested("error:true c", limits.depth_max),
        nested("f:(x OR y) c", limits.depth_max - 1),
        nested("f:x OR f:y", limits.depth_max),
        nested("-(x OR y) c", limits.depth_max - 1),
        vec!["/a/"; limits.regexes_max].join(" OR "),
    ] {
        if let Ok(query) = parse(&text) {
            read += 1;
            let again = parse(query.as_str()).unwrap_or_else(|error| panic!("{}", error.render()));
            assert_eq!(again, query);
        }
    }
    assert_eq!(read, 7);
}
