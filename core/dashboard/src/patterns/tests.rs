use proptest::prelude::*;

use super::*;

/// The words of a pattern as one text.
fn text(pattern: &Pattern) -> String {
    pattern.words.join(" ")
}

fn texts(messages: &[&str]) -> Vec<(String, usize)> {
    mine(messages.iter().copied())
        .iter()
        .map(|pattern| (text(pattern), pattern.members.len()))
        .collect()
}

#[test]
fn numbers_ids_and_quoted_texts_vary() {
    let found = texts(&[
        "charged order 17 in 3.5ms",
        "charged order 18 in 12ms",
        "trace deadbeefcafe done",
        "trace 0123abcd4567 done",
        "user \"ann\" left",
        "user \"bob\" left",
        "match \"gift under 30\", 4",
        "match \"rain\", 5",
        "retry (2), status=500",
        "retry (3), status=200",
    ]);
    assert_eq!(
        found,
        [
            ("charged order * in *".to_owned(), 2),
            ("match *, *".to_owned(), 2),
            ("retry (*), status=*".to_owned(), 2),
            ("trace * done".to_owned(), 2),
            ("user * left".to_owned(), 2),
        ]
    );
}

#[test]
fn few_words_in_a_place_are_different_events_and_many_are_a_variable() {
    assert_eq!(
        texts(&["job started", "job stopped", "job failed"]).len(),
        3
    );
    let found = texts(&[
        "loading plugin auth",
        "loading plugin cache",
        "loading plugin mail",
        "loading plugin search",
    ]);
    assert_eq!(found, [("loading plugin *".to_owned(), 4)]);
}

#[test]
fn two_places_that_vary_are_found_one_after_the_other() {
    let names = ["ann", "bob", "cy", "di", "ed"];
    let places = ["paris", "rome", "oslo", "bern", "cork"];
    let messages: Vec<String> = names
        .iter()
        .flat_map(|name| {
            places
                .iter()
                .map(move |place| format!("{name} went to {place}"))
        })
        .collect();
    let found = mine(messages.iter().map(String::as_str));
    assert_eq!(found.len(), 1);
    assert_eq!(text(&found[0]), "* went to *");
    assert_eq!(found[0].fixed(), ["went to"]);
}

#[test]
fn what_follows_a_wildcard_joins_it() {
    // Three names would stay apart, but one that looks variable is among them.
    let found = texts(&["user ann in", "user bob in", "user u17 in"]);
    assert_eq!(found, [("user * in".to_owned(), 3)]);
}

#[test]
fn words_alone_never_become_a_pattern_of_nothing() {
    let found = texts(&["alpha", "beta", "gamma", "delta", "epsilon"]);
    assert_eq!(found.len(), 5);
    assert_eq!(texts(&["1", "2"]), [("*".to_owned(), 2)]);
    assert_eq!(texts(&["", " "]), [(String::new(), 2)]);
}

#[test]
fn a_long_message_is_compared_by_its_beginning() {
    let long = |end: &str| format!("{} {end}", "word ".repeat(60).trim());
    let messages = [long("a"), long("b")];
    let found = mine(messages.iter().map(String::as_str));
    assert_eq!(found.len(), 1);
    assert!(text(&found[0]).ends_with("word …"));
}

fn message() -> impl Strategy<Value = String> {
    prop_oneof![
        "(get|put|drop) (key|row|file) [a-z]{1,3}( [0-9]{1,3})?",
        "[a-e =:,\"0-9]{0,20}",
        "\\PC{0,30}",
    ]
}

/// Whether a message is one of a pattern: its words are equal wherever the pattern has no wildcard.
fn fits(pattern: &Pattern, message: &str) -> bool {
    let words: Vec<String> = super::words(message);
    words.len() == pattern.words.len()
        && pattern
            .words
            .iter()
            .zip(&words)
            .all(|(own, word)| own == WILDCARD || own == word)
}

proptest! {
    #[test]
    fn every_message_is_in_exactly_one_pattern_and_fits_it(messages in prop::collection::vec(message(), 0..60)) {
        let found = mine(messages.iter().map(String::as_str));
        let mut members: Vec<usize> = found.iter().flat_map(|pattern| pattern.members.clone()).collect();
        members.sort_unstable();
        prop_assert_eq!(members, (0..messages.len()).collect::<Vec<_>>());
        for pattern in &found {
            for member in &pattern.members {
                prop_assert!(fits(pattern, &messages[*member]), "{:?} {}", pattern.words, messages[*member]);
            }
        }
    }

    #[test]
    fn the_order_of_the_messages_does_not_matter(
        messages in prop::collection::vec(message(), 0..40),
        seed: u64,
    ) {
        let mut shuffled: Vec<&str> = messages.iter().map(String::as_str).collect();
        let length = shuffled.len().max(1);
        for at in 0..shuffled.len() {
            shuffled.swap(at, (seed.wrapping_mul(at as u64 + 1) % length as u64) as usize);
        }
        let texts = |found: Vec<Pattern>| found.iter().map(|p| (text(p), p.members.len())).collect::<Vec<_>>();
        prop_assert_eq!(texts(mine(messages.iter().map(String::as_str))), texts(mine(shuffled)));
    }

    #[test]
    fn what_is_fixed_is_in_every_message(messages in prop::collection::vec(message(), 1..30)) {
        for pattern in mine(messages.iter().map(String::as_str)) {
            for part in pattern.fixed() {
                for member in &pattern.members {
                    let own = messages[*member].split_whitespace().collect::<Vec<_>>().join(" ");
                    prop_assert!(own.contains(&part), "{} in {}", part, own);
                }
            }
        }
    }

    #[test]
    fn a_digit_more_or_less_makes_no_new_pattern(a in 0_u64..1_000_000, b in 0_u64..1_000_000) {
        let messages = [format!("took {a} ms"), format!("took {b} ms")];
        prop_assert_eq!(mine(messages.iter().map(String::as_str)).len(), 1);
    }
}
