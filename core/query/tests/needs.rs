//! What a query says that it needs; that it is true of every match is in `evaluation.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_query::{Clause, Field, Intrinsic, Needle, Needs, parse};

fn needs(query: &str) -> Needs {
    parse(query)
        .unwrap_or_else(|error| panic!("{}", error.render()))
        .needs()
}

fn attribute(key: &str) -> Field {
    Field::Attribute(key.to_owned())
}

fn value(key: &str, text: &str) -> Needle {
    Needle::Value(attribute(key), text.to_owned())
}

fn token(text: &str) -> Needle {
    Needle::Token(None, text.to_owned())
}

fn clauses(of: impl IntoIterator<Item = Vec<Needle>>) -> Vec<Clause> {
    of.into_iter()
        .map(|needles| Clause {
            any_of: needles.into_iter().collect(),
        })
        .collect()
}

#[test]
fn the_empty_query_needs_nothing() {
    assert_eq!(needs(""), Needs::default());
}

#[test]
fn ranges_meet_in_an_and_and_span_an_or() {
    let both = needs("duration>1us duration<=5us severity>=warn");
    assert_eq!(both.duration, Some(1001..=5000));
    assert_eq!(both.severity, Some(13..=i64::MAX));
    assert_eq!(both.time, None);
    let either = needs("duration:1us OR (duration:5us severity:info)");
    assert_eq!(either.duration, Some(1000..=5000));
    assert_eq!(either.severity, None);
    assert_eq!(needs("time:1970-01-01").time, Some(0..=86_399_999_999_999));
}

#[test]
fn what_is_excluded_bounds_nothing() {
    let excluded = needs("-duration>1s -k:v -word");
    assert_eq!((excluded.duration, excluded.clauses), (None, vec![]));
    assert_eq!(needs("-(-k:v)").clauses, needs("k:v").clauses);
    assert_eq!(needs("-(-k:v OR word)").clauses, needs("k:v").clauses);
}

#[test]
fn a_contradiction_never_matches() {
    assert!(needs("duration>5s duration<1s").never);
    assert!(needs("-*").never);
    assert!(needs("a (-* OR severity<trace severity>fatal)").never);
    assert!(!needs("a OR -*").never);
    assert_eq!(needs("a OR -*").clauses, needs("a").clauses);
}

#[test]
fn words_need_their_tokens() {
    assert_eq!(
        needs("\"Connection refused by\" host*").clauses,
        clauses([
            vec![token("by")],
            vec![token("connection")],
            vec![token("refused")],
            vec![Needle::TokenPrefix(None, "host".to_owned())],
        ])
    );
    let body = Field::Intrinsic(Intrinsic::Body);
    assert_eq!(
        needs("body:Refused").clauses,
        clauses([vec![Needle::Token(Some(body), "refused".to_owned())]])
    );
}

#[test]
fn values_need_their_text_in_lower_case_as_each_type_prints_it() {
    assert_eq!(needs("k:Abc").clauses, clauses([vec![value("k", "abc")]]));
    assert_eq!(needs("k=Abc").clauses, clauses([vec![value("k", "abc")]]));
    assert_eq!(needs("k:500").clauses, clauses([vec![value("k", "500")]]));
    assert_eq!(
        needs("k:1.10").clauses,
        clauses([vec![value("k", "1.1"), value("k", "1.10")]])
    );
    assert_eq!(
        needs("k:250ms").clauses,
        clauses([vec![value("k", "250000000"), value("k", "250ms")]])
    );
    assert_eq!(
        needs("k:ab*c").clauses,
        clauses([vec![Needle::ValuePrefix(attribute("k"), "ab".to_owned())]])
    );
    for query in ["k:*", "k:*a", "k:/a/", "k>5", "k!=5"] {
        assert_eq!(
            needs(query).clauses,
            clauses([vec![Needle::Present(attribute("k"))]]),
            "{query}"
        );
    }
}

#[test]
fn a_number_beyond_64_bits_needs_the_rounded_text_of_its_double_too() {
    assert_eq!(
        needs("k:18446744073709551616").clauses,
        clauses([vec![
            value("k", "18446744073709551616"),
            value("k", "18446744073709552000")
        ]])
    );
}

#[test]
fn alternatives_are_combined() {
    assert_eq!(
        needs("k:(a OR b)").clauses,
        clauses([vec![value("k", "a"), value("k", "b")]])
    );
    assert_eq!(
        needs("(k:a l:b) OR k:c").clauses,
        clauses([
            vec![value("k", "a"), value("k", "c")],
            vec![value("k", "c"), value("l", "b")]
        ])
    );
    assert_eq!(needs("k:a OR -k:b").clauses, vec![]);
    assert_eq!(needs("k:a OR /x/").clauses, vec![]);
}

#[test]
fn a_long_list_stays_one_clause() {
    let list: Vec<String> = (0..400).map(|number| format!("v{number}")).collect();
    let needs = needs(&format!("k:({})", list.join(" OR ")));
    assert_eq!(needs.clauses.len(), 1);
    assert_eq!(needs.values(&attribute("k")).unwrap().len(), 400);
}

#[test]
fn whole_ids_are_needles() {
    let id = "5b8efff798038103d269b633813fc60c";
    let one = needs(&format!("trace:{id} level:warn"));
    assert_eq!(
        one.ids(Intrinsic::TraceId).unwrap(),
        [&[
            0x5b, 0x8e, 0xff, 0xf7, 0x98, 0x03, 0x81, 0x03, 0xd2, 0x69, 0xb6, 0x33, 0x81, 0x3f,
            0xc6, 0x0c
        ][..]]
    );
    assert_eq!(one.ids(Intrinsic::SpanId), None);
    let two = needs(&format!("trace:({id} OR {})", id.replace('5', "6")));
    assert_eq!(two.ids(Intrinsic::TraceId).unwrap().len(), 2);
    assert_eq!(needs("trace:5b8").ids(Intrinsic::TraceId), None);
    assert_eq!(
        needs("trace:5b8").clauses,
        clauses([vec![Needle::IdPrefix(Intrinsic::TraceId, "5b8".to_owned())]])
    );
    assert_eq!(
        needs(&format!("trace:{id} OR word")).ids(Intrinsic::TraceId),
        None
    );
}

#[test]
fn the_most_selective_clause_comes_first() {
    let needs = needs("kind:server k:* word user.id:42 trace:5b8efff798038103d269b633813fc60c");
    let first: Vec<&Needle> = needs
        .clauses
        .iter()
        .flat_map(|clause| &clause.any_of)
        .collect();
    assert!(
        matches!(
            first.as_slice(),
            [
                Needle::Id(..),
                Needle::Value(Field::Attribute(_), _),
                Needle::Token(..),
                Needle::Value(..),
                Needle::Present(_)
            ]
        ),
        "{first:?}"
    );
}

#[test]
fn services_can_be_read_off() {
    let service = Field::Intrinsic(Intrinsic::Service);
    assert_eq!(
        needs("service:(Cart OR pay) x").values(&service).unwrap(),
        ["cart", "pay"]
    );
    assert_eq!(needs("service:cart OR x").values(&service), None);
}

#[test]
fn fields_are_all_that_are_looked_at() {
    let needs = needs("a:1 OR -(b>2 service:x)");
    assert_eq!(
        needs.fields.into_iter().collect::<Vec<_>>(),
        [
            Field::Intrinsic(Intrinsic::Service),
            attribute("a"),
            attribute("b")
        ]
    );
    assert!(!needs.texts);
    assert!(self::needs("-word").texts);
    assert!(self::needs("/re/").texts);
}
