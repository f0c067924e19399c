//! Random queries in normal form, and random records made of the same few words, numbers and keys, so that matches
//! happen.

use log_tracer_query::{
    Comparison, Expr, Field, Glob, Intrinsic, Literal, Pattern, Test, Text, Words,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Owned, TestRecord};

/// Texts that are near one another, and near what the language could take for something else.
pub(crate) const TEXTS: &[&str] = &[
    "error",
    "Error",
    "ERROR",
    "connection refused",
    "Connection  Refused!",
    "refused connection",
    "conn",
    "a",
    "ab",
    "aba",
    "A*b",
    "true",
    "false",
    "500",
    "500.0",
    "-5",
    "1e3",
    "1000",
    "250ms",
    "4KiB",
    "0C",
    "-5 C",
    "20msec",
    "5e8f",
    "NaN",
    "GET /cart",
    "/api/v1",
    "/a/",
    "x_y",
    "x-y",
    "x y",
    "日本語",
    "本",
    "ÄÖ",
    "äö",
    "İ",
    "ß",
    "ſ",
    "k",
    "\u{212a}",
    "istanbul",
    "İstanbul",
    "\"quoted\"",
    "back\\slash",
    "new\nline",
    "OR",
    "NOT",
    "-x",
    "(a)",
    "10:30",
    "f=1",
    "",
    "…",
    "*",
];

/// Bare literals of every kind.
pub(crate) const BARE: &[&str] = &[
    "error",
    "true",
    "500",
    "500.0",
    "-5",
    "1e3",
    "1000",
    "9007199254740993",
    "9007199254740992",
    "1e19",
    "18446744073709552000",
    "18446744073709551616",
    "500.5",
    "0.5",
    "250ms",
    "250000000",
    "4KiB",
    "4096",
    "1.5s",
    "nan",
    "5e8f",
];

pub(crate) const KEYS: &[&str] = &[
    "k",
    "http.route",
    "odd key",
    "status",
    "error",
    "10",
    "OR",
    "a/b-c",
    "ключ",
    "x:y",
    "true!",
];

pub(crate) const PATTERNS: &[&str] = &[
    "err", "^a", "re.used", "a/b", "\\d+", "(?i)conn", "x|y", "\\\\", "[/]", "^$", " ",
];

pub(crate) const SEVERITIES: &[(&str, i64, i64)] = &[
    ("info", 9, 12),
    ("warn", 13, 16),
    ("WARNING", 13, 16),
    ("error2", 18, 18),
    ("7", 7, 7),
    ("fatal", 21, 24),
];
pub(crate) const DURATIONS: &[(&str, i64)] = &[
    ("0", 0),
    ("1ns", 1),
    ("250ms", 250_000_000),
    ("0.25s", 250_000_000),
    ("1h30m", 5_400_000_000_000),
    ("-1us", -1000),
];
pub(crate) const TIMES: &[(&str, i64, i64)] = &[
    ("1970-01-01T00:00:00Z", 0, 0),
    ("1970-01-01", 0, 86_399_999_999_999),
    ("1970-01-01T01:00:00.5+01:00", 500_000_000, 500_000_000),
    (
        "1970-01-02 00:00:00",
        86_400_000_000_000,
        86_400_000_000_000,
    ),
];
pub(crate) const IDS: &[&str] = &[
    "5",
    "5b",
    "5b8",
    "0",
    "5b8efff798038103",
    "ffffffffffffffff",
];
pub(crate) const TRACE: &str = "5b8efff798038103d269b633813fc60c";

const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
    Comparison::Less,
    Comparison::LessOrEqual,
];

/// A query as a tree in normal form.
pub(crate) fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        1 => Just(Expr::All),
        4 => text_term(),
        10 => attribute_term(),
        6 => typed_term(),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Expr::and),
            vec(inner.clone(), 1..4).prop_map(Expr::or),
            inner.prop_map(Expr::negated),
        ]
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(TEXTS).prop_map(str::to_owned),
        1 => ".{0,6}",
        1 => "[-a*/\"\\\\ :=<>!()Or0.'\u{b}]{0,6}",
    ]
}

fn text_term() -> impl Strategy<Value = Expr> {
    let words = (any_text(), any::<bool>()).prop_filter_map("no token", |(text, prefix)| {
        Words::new(text, prefix).map(|words| Expr::Text(Text::Words(words)))
    });
    prop_oneof![3 => words, 1 => pattern().prop_map(|pattern| Expr::Text(Text::Regex(pattern)))]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    (select(PATTERNS), any::<bool>()).prop_map(|(source, ignore_case)| {
        Pattern::new(source, ignore_case, 1 << 20).expect("a pattern that compiles")
    })
}

fn glob() -> impl Strategy<Value = Glob> {
    vec(prop_oneof![Just(String::new()), any_text()], 2..4)
        .prop_filter_map("only wildcards", Glob::new)
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any_text().prop_map(Literal::quoted),
        select(BARE).prop_map(Literal::bare),
        any::<i64>().prop_map(|number| Literal::bare(number.to_string())),
    ]
}

fn attribute_key() -> impl Strategy<Value = Field> {
    prop_oneof![9 => select(KEYS).prop_map(str::to_owned), 1 => ".{0,4}"].prop_map(Field::Attribute)
}

/// Tests of an attribute, or of an intrinsic field that is text of any kind.
fn attribute_term() -> impl Strategy<Value = Expr> {
    let field = prop_oneof![
        4 => attribute_key(),
        1 => select(&[Intrinsic::Service, Intrinsic::Name, Intrinsic::Event][..]).prop_map(Field::Intrinsic),
    ];
    let test = prop_oneof![
        1 => Just(Test::Exists),
        3 => literal().prop_map(Test::Is),
        2 => glob().prop_map(Test::Glob),
        1 => pattern().prop_map(Test::Regex),
        3 => (select(&COMPARISONS[..]), literal()).prop_map(|(how, literal)| Test::Compare(how, literal)),
    ];
    (field, test).prop_map(|(field, test)| Expr::field(field, test))
}

/// Tests of fields that take only some values.
fn typed_term() -> impl Strategy<Value = Expr> {
    let severities: Vec<&str> = SEVERITIES.iter().map(|(name, ..)| *name).collect();
    let durations: Vec<&str> = DURATIONS.iter().map(|(name, _)| *name).collect();
    let times: Vec<&str> = TIMES.iter().map(|(name, ..)| *name).collect();
    let body = any_text().prop_filter_map("no token", |text| {
        let words = Words::new(text, false)?;
        Some((
            Field::Intrinsic(Intrinsic::Body),
            Test::Is(Literal::quoted(words.text())),
        ))
    });
    let begun_body = any_text().prop_filter_map("no token at the end", |text| {
        let words = Words::new(text, true)?;
        let glob = Glob::new([words.text().to_owned(), String::new()])?;
        Some((Field::Intrinsic(Intrinsic::Body), Test::Glob(glob)))
    });
    let id = prop_oneof![select(IDS), Just(&TRACE[..7])].prop_map(|digits| {
        (
            Field::Intrinsic(Intrinsic::TraceId),
            Test::Is(Literal::bare(digits)),
        )
    });
    let whole_id = select(&COMPARISONS[..2]).prop_map(|how| {
        (
            Field::Intrinsic(Intrinsic::TraceId),
            Test::Compare(how, Literal::bare(TRACE)),
        )
    });
    let status = (
        select(&["unset", "ok", "error"][..]),
        select(&[None, Some(Comparison::Equal), Some(Comparison::NotEqual)][..]),
    )
        .prop_map(|(status, how)| {
            (
                Field::Intrinsic(Intrinsic::Status),
                asked(how, Literal::bare(status)),
            )
        });
    prop_oneof![
        comparable(Intrinsic::Severity, severities),
        comparable(Intrinsic::Duration, durations),
        comparable(Intrinsic::Time, times),
        body,
        begun_body,
        id,
        whole_id,
        status,
    ]
    .prop_map(|(field, test)| Expr::field(field, test))
}

fn comparable(field: Intrinsic, values: Vec<&'static str>) -> BoxedStrategy<(Field, Test)> {
    let how = prop_oneof![1 => Just(None), 4 => select(&COMPARISONS[..]).prop_map(Some)];
    (select(values), how)
        .prop_map(move |(value, how)| (Field::Intrinsic(field), asked(how, Literal::bare(value))))
        .boxed()
}

fn asked(how: Option<Comparison>, literal: Literal) -> Test {
    match how {
        None => Test::Is(literal),
        Some(comparison) => Test::Compare(comparison, literal),
    }
}

/// A record with some of the keys, some of the intrinsic fields and some texts.
pub(crate) fn record() -> impl Strategy<Value = TestRecord> {
    let attributes = vec((attribute_key(), value()), 0..4);
    let names = vec(
        (
            select(
                &[
                    Intrinsic::Service,
                    Intrinsic::Name,
                    Intrinsic::Event,
                    Intrinsic::Body,
                ][..],
            ),
            any_text(),
        ),
        0..3,
    );
    let severity = proptest::option::of(1_i64..=24);
    let duration = proptest::option::of(near(DURATIONS.iter().map(|(_, nanos)| *nanos).collect()));
    let time = proptest::option::of(near(
        TIMES
            .iter()
            .flat_map(|(_, first, last)| [*first, *last])
            .collect(),
    ));
    let trace = proptest::option::of(select(
        &[
            TRACE,
            "5b8f0000000000000000000000000000",
            "05b80000000000000000000000000001",
        ][..],
    ));
    let status = proptest::option::of(select(&["unset", "ok", "error"][..]));
    (
        attributes,
        names,
        severity,
        duration,
        time,
        trace,
        status,
        vec(any_text(), 0..3),
    )
        .prop_map(
            |(attributes, names, severity, duration, time, trace, status, texts)| {
                let mut record = TestRecord {
                    texts,
                    ..TestRecord::default()
                };
                for (field, value) in attributes {
                    record.values.entry(field).or_default().push(value);
                }
                for (field, value) in names {
                    record = record.intrinsic(field, Owned::Str(value));
                }
                let single = [
                    (Intrinsic::Severity, severity.map(Owned::Int)),
                    (Intrinsic::Duration, duration.map(Owned::Int)),
                    (Intrinsic::Time, time.map(Owned::Int)),
                    (
                        Intrinsic::TraceId,
                        trace.map(|digits| Owned::Bytes(bytes(digits))),
                    ),
                    (
                        Intrinsic::Status,
                        status.map(|status| Owned::Str(status.to_owned())),
                    ),
                ];
                for (field, value) in single {
                    if let Some(value) = value {
                        record = record.intrinsic(field, value);
                    }
                }
                record
            },
        )
}

/// One of the numbers, or one beside it.
fn near(numbers: Vec<i64>) -> impl Strategy<Value = i64> {
    (select(numbers), -1_i64..=1).prop_map(|(number, step)| number.saturating_add(step))
}

fn value() -> impl Strategy<Value = Owned> {
    prop_oneof![
        6 => any_text().prop_map(Owned::Str),
        2 => select(BARE).prop_map(|text| Owned::Str(text.to_owned())),
        2 => select(&[500, -5, 1000, 250_000_000, 4096, 9_007_199_254_740_993, i64::MAX, 0][..]).prop_map(Owned::Int),
        2 => select(&[500.0, 0.5, 1e3, 9_007_199_254_740_992.0, 18_446_744_073_709_551_616.0, -0.0, f64::NAN, f64::INFINITY, 1e19, 1.5e9][..]).prop_map(Owned::Double),
        1 => any::<i64>().prop_map(Owned::Int),
        1 => any::<f64>().prop_map(Owned::Double),
        1 => any::<bool>().prop_map(Owned::Bool),
        1 => select(&["", "5e8f", "00"][..]).prop_map(|digits| Owned::Bytes(bytes(digits))),
    ]
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|index| {
            u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).expect("hexadecimal")
        })
        .collect()
}
