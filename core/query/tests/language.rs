//! What terms mean, by examples.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{Owned, TestRecord, check, text, with};
use log_tracer_query::parse;

#[test]
fn words_are_whole_tokens_in_any_case_and_phrases_follow_one_another() {
    let record = TestRecord::default()
        .text("Connection refused by db-01.internal:5432, order_id=4711")
        .text("GET /api/cart?id=1");
    check(
        &record,
        &[
            "connection",
            "REFUSED",
            "\"connection refused\"",
            "connection-refused",
            "db-01.internal",
            "\"db 01\"",
            "4711",
            "order_id",
            "conn*",
            "\"refused b\"*",
            "/api/cart",
            "\"GET /api\"",
            "connection cart",
        ],
        &[
            "connect",
            "\"refused connection\"",
            "order",
            "order_i",
            "471",
            "\"refused db\"",
            "\"4711 get\"",
            "onnection*",
            "connection -cart",
        ],
    );
}

#[test]
fn scripts_without_blanks_are_searched_by_letter() {
    let record = TestRecord::default()
        .text("接続が拒否されました ERR42 결제가 실패했습니다 เชื่อมต่อ log接続log");
    check(
        &record,
        &[
            "拒否",
            "接続が",
            "\"否され\"",
            "결제",
            "err42",
            "เชื",
            "拒否 실패",
            "log接続",
            "log",
        ],
        &["否拒", "err4", "接拒", "接log"],
    );
}

#[test]
fn regular_expressions_find_parts() {
    let record = with("k", text("GET /api/v12")).text("took 250ms");
    check(
        &record,
        &[
            "/ook \\d+/",
            "/TOOK/i",
            "k:/v\\d+$/",
            "k:/^get/i",
            "k:/\\/api\\//",
        ],
        &["/TOOK/", "k:/^api/", "/api/"],
    );
}

#[test]
fn a_colon_ignores_case_and_an_equals_sign_does_not() {
    let record = with("region", text("EU-West")).attribute("größe", text("ÄUßERST"));
    check(
        &record,
        &[
            "region:eu-west",
            "region:EU-WEST",
            "region=EU-West",
            "größe:äußerst",
            "region!=eu-west",
            "region:eu*",
            "region:*WEST",
        ],
        &[
            "region=eu-west",
            "region:eu",
            "region!=EU-West",
            "Region:eu-west",
            "region:*east",
        ],
    );
}

#[test]
fn the_texts_between_wildcards_stand_in_their_order() {
    check(
        &with("k", text("GET /Cart/items")),
        &[
            "k:get*cart*items",
            "k:*a*i*",
            "k:*",
            "k:\"GET /\"*",
            "k:*items",
            "k:*t*t*t*",
        ],
        &[
            "k:*items*cart*",
            "k:*a*a*",
            "k:cart*",
            "k:*cart",
            "k:get*get*",
            "k:*t*t*t*t*",
        ],
    );
    check(
        &with("k", text("aba")),
        &["k:ab*a", "k:a*a"],
        &["k:aba*aba", "k:ab*ba"],
    );
}

#[test]
fn numbers_and_texts_that_look_like_numbers_meet() {
    let int = with("code", Owned::Int(500));
    let double = with("code", Owned::Double(500.0));
    let string = with("code", text("500"));
    for record in [&int, &double, &string] {
        check(
            record,
            &[
                "code:500",
                "code=500",
                "code:\"500\"",
                "code>=500",
                "code>499.5",
                "code<501",
                "code:(404 OR 500)",
                "code:5*",
                "code:/^5..$/",
            ],
            &["code:50", "code>500", "code<500", "code!=500", "code:5000"],
        );
    }
    check(
        &int,
        &["code:500.0", "code:5e2", "code:0500"],
        &["code:\"500.0\""],
    );
    check(&string, &[], &["code:500.0"]);
    check(
        &with("version", text("1.10")),
        &["version:1.10", "version>1.05", "version<\"1.2\""],
        &["version:1.1", "version>\"1.2\""],
    );
}

#[test]
fn numbers_are_compared_exactly() {
    let beyond = with("n", Owned::Int(9_007_199_254_740_993));
    check(
        &beyond,
        &[
            "n:9007199254740993",
            "n>9007199254740992",
            "n>9007199254740992.0",
            "n<9007199254740994.0",
        ],
        &[
            "n:9007199254740992",
            "n:9007199254740992.0",
            "n<=9007199254740992.0",
        ],
    );
    check(
        &with("n", Owned::Double(9_007_199_254_740_992.0)),
        &["n:9007199254740992", "n<9007199254740993"],
        &["n:9007199254740993"],
    );
    check(
        &with("n", Owned::Int(i64::MAX)),
        &["n<9223372036854775808", "n<1e19", "n:9223372036854775807"],
        &["n:9.223372036854775807e18"],
    );
    check(
        &with("n", Owned::Double(-0.0)),
        &["n:0", "n=0", "n>=0", "n:\"0\""],
        &["n<0", "n:-1"],
    );
    for (number, below, above) in [
        (500, "499.5", "500.5"),
        (-5, "-5.5", "-4.5"),
        (0, "-0.5", "0.5"),
    ] {
        let (below, above) = (
            format!("n>{below} n>={below}"),
            format!("n<{above} n<={above}"),
        );
        let record = with("n", Owned::Int(number));
        check(
            &record,
            &[&below, &above],
            &[&below.replace('>', "<"), &above.replace('<', ">")],
        );
    }
    check(
        &with("n", Owned::Double(0.1)),
        &["n:0.1", "n>0.09"],
        &["n>0.1", "n<0.1"],
    );
}

#[test]
fn nan_is_neither_equal_to_nor_less_nor_greater_than_a_number() {
    let record = with("n", Owned::Double(f64::NAN));
    check(
        &record,
        &["n:nan", "n!=5", "n:*", "-n>5"],
        &["n:5", "n>5", "n<5", "n>=5", "n<=5", "n>-1e308"],
    );
    check(
        &with("n", Owned::Double(f64::INFINITY)),
        &["n>1e308", "n:inf"],
        &["n<1e308"],
    );
}

#[test]
fn booleans_and_bytes_have_a_text() {
    check(
        &with("ok", Owned::Bool(true)),
        &["ok:true", "ok:TRUE", "ok=true", "ok:t*", "ok!=false"],
        &["ok:false", "ok=True", "ok:1", "ok>0"],
    );
    check(
        &with("hash", Owned::Bytes(vec![0x5e, 0x8f])),
        &["hash:5e8f", "hash:5E8F", "hash:5e*"],
        &["hash:5e8", "hash>5"],
    );
}

#[test]
fn units_are_read_in_the_query_and_in_texts() {
    let nanos = with("took", Owned::Int(300_000_000));
    let written = with("took", text("0.3s"));
    for record in [&nanos, &written] {
        check(
            record,
            &["took>250ms", "took<=300ms", "took<1m"],
            &["took>300ms", "took<1us", "took>1d"],
        );
    }
    check(&nanos, &["took:300ms", "took:0.3s"], &["took:301ms"]);
    check(&written, &["took:0.3s"], &["took:300ms"]);
    check(
        &with("size", Owned::Int(4096)),
        &["size:4KiB", "size>4kB", "size>=4kib", "size<1MB"],
        &["size>4KiB", "size:4kB"],
    );
    check(
        &with("size", text("5 MB")),
        &["size:\"5 MB\""],
        &["size>1MB"],
    );
    check(
        &with("size", text("5MB")),
        &["size>1MB", "size<1GB"],
        &["size>1s"],
    );
}

#[test]
fn any_value_of_a_field_suffices_and_a_missing_field_matches_nothing() {
    let record = with("tag", text("a")).attribute("tag", text("b"));
    check(
        &record,
        &["tag:a", "tag:b", "tag:a tag:b", "tag!=c"],
        &["-tag:a", "tag!=a", "tag:c"],
    );
    check(
        &record,
        &["-nope:a", "-nope:*", "-nope!=a"],
        &[
            "nope:a", "nope!=a", "nope>1", "nope<1", "nope:*", "nope:/a/",
        ],
    );
}

#[test]
fn or_binds_less_than_and_and_minus_most() {
    let a = TestRecord::default().text("a");
    let c = TestRecord::default().text("c");
    check(
        &a,
        &["a OR b c", "-(b a)", "-b a", "NOT b AND a", "a -b OR c"],
        &["(a OR b) c", "-a OR b", "-(a OR b)"],
    );
    check(&c, &["a b OR c", "-a -b"], &["a (b OR c)", "-*"]);
}

#[test]
fn the_empty_query_matches_everything() {
    check(&TestRecord::default(), &["", "  ", "*"], &["-*"]);
    assert!(parse("").unwrap().is_empty());
    assert!(!parse("-*").unwrap().is_empty());
}
