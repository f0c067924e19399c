//! An error says what is wrong, points at the place, and offers what to write instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_query::{Limits, ParseError, parse, parse_with};

fn error(query: &str) -> ParseError {
    match parse(query) {
        Ok(read) => panic!("{query} was read as {read}"),
        Err(error) => error,
    }
}

#[test]
fn errors_point_at_the_column_and_correct_what_they_can() {
    // query, column, part of the message, the corrected query if one is offered
    for (query, column, message, corrected) in [
        (
            "level >> warn",
            7,
            "unknown operator `>>`",
            Some("level > warn"),
        ),
        (
            "service == x",
            9,
            "unknown operator `==`",
            Some("service = x"),
        ),
        ("a=>1", 2, "unknown operator `=>`", Some("a>=1")),
        ("a<>1", 2, "unknown operator `<>`", Some("a!=1")),
        ("a=~1", 2, "unknown operator `=~`", None),
        ("a!~1", 2, "unknown operator `!~`", None),
        ("!a", 1, "`!` is no operator", Some("-a")),
        (">5", 1, "no field stands before `>`", Some("\">5\"")),
        ("a b > > 5", 7, "a value cannot begin with `>`", None),
        (
            "duration>250",
            10,
            "`250` is no duration",
            Some("duration>250ms"),
        ),
        (
            "duration>250msec",
            10,
            "unknown unit `msec`",
            Some("duration>250ms"),
        ),
        (
            "duration>2 min",
            10,
            "`2` is no duration",
            Some("duration>2ms min"),
        ),
        ("duration:abc", 10, "`abc` is no duration", None),
        ("duration:2*", 10, "`duration` takes no wildcard", None),
        (
            "duration:/2/",
            10,
            "`duration` takes no regular expression",
            None,
        ),
        (
            "size>10MBytes",
            6,
            "unknown unit `MBytes`",
            Some("size>10MB"),
        ),
        (
            "severity:wran",
            10,
            "unknown severity `wran`",
            Some("severity:warn"),
        ),
        ("severity>=25", 11, "unknown severity `25`", None),
        ("status:err", 8, "`err` is no status", Some("status:error")),
        ("status:500", 8, "`500` is no status", None),
        ("status>ok", 8, "values of `status` have no order", None),
        ("kind:sever", 6, "`sever` is no kind", Some("kind:server")),
        ("time>=noon", 7, "`noon` is no time", None),
        ("trace:xyz", 7, "`xyz` is no trace id", None),
        ("trace=5b8e", 7, "only the beginning of an id", None),
        ("trace>5b8e", 7, "values of `trace` have no order", None),
        ("span:0123456789abcdef0", 6, "is no span id", None),
        ("a=b*", 3, "`=` takes no `*`", Some("a:b*")),
        ("a!=b*", 4, "`!=` takes no `*`", Some("-a:b*")),
        ("a>b*", 3, "`>` takes no `*`", None),
        ("a:[1 TO 5]", 3, "ranges in brackets", Some("a>=1 a<=5")),
        ("a:{1 TO *]", 3, "ranges in brackets", Some("a>1")),
        ("a:(b c)", 6, "are not joined", None),
        ("a:()", 4, "a value is missing", None),
        ("a:(b OR )", 9, "a value is missing", None),
        ("a>(1 OR 2)", 3, "a list stands only after `:`", None),
        ("a:(b", 3, "this `(` is never closed", Some("a:(b)")),
        ("(a OR b", 1, "this `(` is never closed", Some("(a OR b)")),
        ("a)", 2, "this `)` closes nothing", None),
        ("(a))", 4, "this `)` closes nothing", None),
        ("()", 1, "nothing stands between", None),
        ("\"a b", 1, "this quote is never closed", Some("\"a b\"")),
        ("a:\"b", 3, "this quote is never closed", Some("a:\"b\"")),
        ("\"a\\qb\"", 3, "unknown escape", Some("\"a\\\\qb\"")),
        ("\"\\u{110000}\"", 2, "not a character", None),
        ("“a b”", 1, "is not a quote here", Some("\"a b\"")),
        ("'a b'", 1, "is not a quote here", Some("\"a b\"")),
        ("\"a\"b", 4, "right after the closing quote", None),
        ("a:\"b\"c", 6, "right after a value", None),
        ("f(x)", 2, "`(` stands right after a word", None),
        (
            "service: checkout",
            9,
            "no value follows `service:`",
            Some("service:checkout"),
        ),
        ("service:", 9, "no value follows `service:`", None),
        ("a:b c=", 7, "no value follows `c=`", None),
        (
            "std::vec",
            5,
            "a value cannot begin with `:`",
            Some("\"std::vec\""),
        ),
        (
            "http://host/x",
            1,
            "an address without quotes",
            Some("\"http://host/x\""),
        ),
        ("a OR", 5, "the query ends here", None),
        ("a AND", 6, "the query ends here", None),
        ("NOT", 4, "the query ends here", None),
        (
            "OR a",
            1,
            "no term stands before this `OR`",
            Some("\"OR\" a"),
        ),
        (
            "a OR OR b",
            6,
            "no term stands before this `OR`",
            Some("a OR \"OR\" b"),
        ),
        ("a - b", 3, "nothing follows this `-`", None),
        ("*a*", 1, "a word cannot begin with `*`", Some("/a/i")),
        (
            "a*b",
            1,
            "a word takes `*` only at its end",
            Some("/a.*b/i"),
        ),
        ("body:*a*", 6, "`body` is searched by words", None),
        ("→ !", 1, "no letter or digit", Some("/→/i !")),
        ("body:→", 6, "no letter or digit", Some("body:/→/i")),
        ("\"a \"*", 1, "does not touch a word", Some("/a /i")),
        ("/a(/", 1, "unclosed group", None),
        ("a:/a(b/", 3, "unclosed group", None),
        ("a://", 3, "empty regular expression", None),
        ("//", 1, "empty regular expression", None),
        ("a:/b[c]", 3, "never closed", Some("a:/b[c]/")),
        ("日本 語:", 6, "no value follows `語:`", None),
    ] {
        let error = error(query);
        assert_eq!(error.column, column, "{}", error.render());
        assert!(error.message.contains(message), "{}", error.render());
        assert_eq!(
            error.corrected().as_deref(),
            corrected,
            "{}",
            error.render()
        );
    }
}

#[test]
fn a_status_code_is_told_where_it_belongs() {
    assert!(
        error("status:500")
            .to_string()
            .contains("`http.response.status_code:500`")
    );
}

#[test]
fn rendering_puts_carets_below_the_place() {
    assert_eq!(
        error("level >> warn").render(),
        "column 7: unknown operator `>>`: expected one of `:` `=` `!=` `>` `>=` `<` `<=`; did you mean `>`?\n  \
         level >> warn\n  \
         \x20     ^^"
    );
    assert!(error("a OR").render().ends_with("\n  a OR\n      ^"));
    // Letters of two columns have a blank of two columns below them; a control character has no effect.
    assert!(
        error("日\u{7} x:")
            .render()
            .ends_with("\n  日  x:\n  \u{3000}    ^")
    );
}

#[test]
fn an_error_is_one_line_whatever_is_in_the_query() {
    let error = error("body:\"x\ny");
    assert_eq!(error.corrected().unwrap(), "body:\"x\ny\"");
    assert_eq!(error.to_string().lines().count(), 1);
    assert_eq!(error.render().lines().count(), 3);
}

#[test]
fn rendering_shows_a_part_of_a_long_query() {
    let query = format!("{} level>>warn {}", "x ".repeat(100), "y ".repeat(100));
    let rendered = error(&query).render();
    let lines: Vec<&str> = rendered.lines().collect();
    let place = lines[2].chars().position(|c| c == '^').unwrap();
    let marked: String = lines[1].chars().skip(place).take(2).collect();
    assert_eq!(marked, ">>");
    assert!(
        lines[1].starts_with("  …") && lines[1].ends_with('…'),
        "{rendered}"
    );
    assert!(lines[1].chars().count() < 150, "{rendered}");
}

#[test]
fn limits_are_refused_by_name() {
    let limits = Limits {
        query_bytes_max: 40,
        depth_max: 2,
        terms_max: 3,
        regexes_max: 1,
        regex_bytes_max: 1 << 14,
    };
    for (query, message, limit) in [
        ("x".repeat(41), "the query is too long", "at most 40 bytes"),
        ("é".repeat(21), "the query is too long", "at most 40 bytes"),
        (
            "(((a)))".to_owned(),
            "nested too deeply",
            "at most 2 levels",
        ),
        (
            "((f:(a OR b)))".to_owned(),
            "nested too deeply",
            "at most 2 levels",
        ),
        ("a b c d".to_owned(), "too many terms", "at most 3"),
        (
            "a f:(b OR c OR d)".to_owned(),
            "too many terms",
            "at most 3",
        ),
        (
            "/a/ /b/".to_owned(),
            "too many regular expressions",
            "at most 1",
        ),
        (
            "/\\w{9}{9}/".to_owned(),
            "takes more than 16384 bytes",
            "a regular expression",
        ),
    ] {
        let error = parse_with(&query, &limits).unwrap_err();
        assert!(error.message.contains(message), "{}", error.render());
        assert!(
            error.expected.as_deref().unwrap().contains(limit),
            "{}",
            error.render()
        );
    }
    for query in [
        "x".repeat(40),
        "((a))".to_owned(),
        "a b c".to_owned(),
        "/a/".to_owned(),
    ] {
        parse_with(&query, &limits).unwrap();
    }
}

#[test]
fn a_query_that_would_print_beyond_the_limit_is_refused() {
    let limits = Limits {
        query_bytes_max: 20,
        ..Limits::default()
    };
    let error = parse_with("error:true", &limits).unwrap_err();
    assert!(error.message.contains("too long"), "{error}");
}
