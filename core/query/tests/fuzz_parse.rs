//! Whatever is typed or sent: an answer, never a panic, and an error that lies within the text.
//! `PROPTEST_CASES=100000 cargo test -p log-tracer-query --test fuzz_parse` runs it longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::generate::{expr, record};
use log_tracer_query::{Limits, parse, parse_with};
use proptest::prelude::*;

fn check(text: &str) -> Result<(), TestCaseError> {
    let error = match parse(text) {
        Ok(query) => {
            prop_assert_eq!(
                parse(query.as_str()).map(|again| again == query),
                Ok(true),
                "{}",
                query
            );
            return Ok(());
        }
        Err(error) => error,
    };
    prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error);
    prop_assert_eq!(error.column, text[..error.span.start].chars().count() + 1);
    prop_assert!(!error.message.is_empty());
    prop_assert!(
        error.suggestion.is_none() || error.corrected().is_some(),
        "{:?}",
        error
    );
    prop_assert_ne!(error.corrected(), Some(text.to_owned()));
    prop_assert_eq!(error.render().lines().count(), 3, "{}", error.render());
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn signs_of_the_language_in_any_order_are_read_or_refused(
        text in "([ -/:-@\\[-`{-~]|OR|AND|NOT|TO|f|level|trace|duration|time|status|error|1|ms|\u{3000}|é|\n){0,24}"
    ) {
        check(&text)?;
    }

    #[test]
    fn a_query_with_a_part_cut_or_changed_is_read_or_refused(
        expr in expr(),
        at in any::<prop::sample::Index>(),
        length in 0_usize..4,
        instead in "[ -~é\n]{0,3}",
        record in record(),
    ) {
        let mut chars: Vec<char> = expr.to_string().chars().collect();
        let start = at.index(chars.len() + 1);
        let end = (start + length).min(chars.len());
        chars.splice(start..end, instead.chars());
        let text: String = chars.into_iter().collect();
        check(&text)?;
        if let Ok(query) = parse(&text) {
            let matches = query.matches(&record);
            prop_assert!(!matches || query.needs().admit(&record));
        }
    }
}

#[test]
fn nothing_overflows_the_stack() {
    for (open, close) in [
        ("(", ")"),
        ("-(", ")"),
        ("NOT (a OR ", ")"),
        ("f:(", ")"),
        ("-", ""),
        ("NOT ", ""),
        ("\"", "\""),
        ("/(", ")/"),
    ] {
        for times in [31, 32, 33, 5_000, 1_000_000] {
            let text = format!("{}a{}", open.repeat(times), close.repeat(times));
            // On a quarter of the stack that threads have by default; without the limit of bytes, so that depth alone decides.
            let limits = Limits {
                query_bytes_max: usize::MAX,
                ..Limits::default()
            };
            std::thread::Builder::new()
                .stack_size(512 << 10)
                .spawn(move || {
                    if let Ok(query) = parse_with(&text, &limits) {
                        drop(query.needs());
                    }
                })
                .unwrap()
                .join()
                .unwrap();
        }
    }
}

#[test]
fn a_query_of_the_largest_size_is_answered() {
    let limits = Limits::default();
    for piece in [
        "a ",
        "(",
        "a:b OR ",
        "\"",
        "f:(",
        "/a/ ",
        "-",
        "a=~",
        "\\",
        "*",
        "é",
        "/\\w{1,50}/ ",
    ] {
        let text = piece.repeat(limits.query_bytes_max / piece.len());
        let _ = parse(&text).map(|query| query.needs());
        let _ = parse_with(
            &text,
            &Limits {
                terms_max: usize::MAX,
                ..limits
            },
        )
        .map(|query| query.needs());
    }
}
