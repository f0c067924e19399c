//! Parameters as queries.

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_772_373_787_123_456_789;

fn v1(raw: &str) -> Result<Find, Fault> {
    Find::v1(&Params::parse(raw).unwrap(), NOW)
}

fn v3(raw: &str) -> Result<Find, Fault> {
    let times = "query.startTimeMin=2026-03-01T14:00:00Z&query.startTimeMax=2026-03-01T15:00:00.5Z";
    Find::v3(&Params::parse(&format!("{times}&{raw}")).unwrap())
}

#[test]
fn a_search_of_version_1_is_one_query() {
    let find = v1(
        "service=cart&operation=GET+%2Fa&tag=http.method%3AGET&tag=a%3Ab%3Ac\
        &tags=%7B%22error%22%3A%22true%22%7D&minDuration=1.2s&maxDuration=1h30m&limit=20\
        &start=1772370000000000&end=1772373600000000&lookback=custom",
    )
    .unwrap();
    assert_eq!(
        find.query,
        "service=\"cart\" name=\"GET /a\" http.method=\"GET\" a=\"b:c\" status:error duration>=1200000000ns \
         duration<=5400000000000ns"
    );
    assert_eq!(find.range.start_unix_nano, 1_772_370_000_000_000_000);
    // Its end is within.
    assert_eq!(find.range.end_unix_nano, 1_772_373_600_000_000_001);
    assert_eq!(find.limit, 20);
}

#[test]
fn a_search_that_says_nothing_looks_two_days_back_for_a_hundred_traces() {
    let find = v1("").unwrap();
    assert_eq!(find.query, "");
    assert_eq!(find.limit, 100);
    assert_eq!(
        find.range.end_unix_nano - find.range.start_unix_nano,
        2 * DAY + 1
    );
    let hour = v1("lookback=1h&limit=0").unwrap();
    assert_eq!(
        hour.range.end_unix_nano - hour.range.start_unix_nano,
        HOUR + 1
    );
    assert_eq!(hour.limit, 100);
    assert_eq!(v1("limit=99999").unwrap().limit, 1_000);
}

#[test]
fn tags_come_as_json_or_as_logfmt() {
    let json = v1("tags=%7B%22a%22%3A%22x+y%22%2C%22n%22%3A5%2C%22ok%22%3Atrue%7D").unwrap();
    assert_eq!(json.query, "a=\"x y\" n=\"5\" ok=true");
    let logfmt = v1("tags=a%3D%22x+y%22+n%3D5+ok").unwrap();
    assert_eq!(logfmt.query, json.query);
}

#[test]
fn tags_that_stand_for_other_parts_are_looked_for_there() {
    for (tag, want) in [
        ("error%3Afalse", "-status:error"),
        ("span.kind%3Aserver", "kind:\"server\""),
        ("otel.status_code%3AERROR", "status:\"error\""),
        ("otel.scope.name%3Ahttp", "scope=\"http\""),
        ("service.name%3Acart", "service=\"cart\""),
        // A key that the query language has for itself.
        ("status%3A500", "\"status\"=\"500\""),
    ] {
        assert_eq!(v1(&format!("tag={tag}")).unwrap().query, want);
    }
}

#[test]
fn version_3_takes_both_spellings() {
    let want = "service=\"cart\" name=\"pay\" a=\"b\" duration>=5000000ns";
    let camel = v3(
        "query.serviceName=cart&query.operationName=pay&query.attributes=%7B%22a%22%3A%22b%22%7D\
        &query.durationMin=5ms&query.searchDepth=7",
    )
    .unwrap();
    let snake = v3(
        "query.service_name=cart&query.operation_name=pay&query.attributes=%7B%22a%22%3A%22b%22%7D\
        &query.duration_min=5ms&query.num_traces=7",
    )
    .unwrap();
    assert_eq!(camel.query, want);
    assert_eq!(camel, snake);
    assert_eq!(camel.limit, 7);
    assert_eq!(
        camel.range.end_unix_nano - camel.range.start_unix_nano,
        HOUR + 500_000_000
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_its_name() {
    for (raw, says) in [
        ("tag=novalue", "'tag'"),
        ("tags=%7Bbroken", "'tags'"),
        ("tags=%7B%22a%22%3A%5B%5D%7D", "'tags'"),
        ("tag=%3Ax", "no key"),
        ("minDuration=5", "minDuration"),
        ("maxDuration=-1s", "maxDuration"),
        ("minDuration=2s&maxDuration=1s", "maxDuration"),
        ("limit=many", "limit"),
        ("start=yesterday", "start"),
        ("tag=span.kind%3Asideways", "no search"),
    ] {
        let fault = v1(raw).unwrap_err();
        assert_eq!(fault.status(), http::StatusCode::BAD_REQUEST);
        assert!(fault.message().contains(says), "{raw}: {}", fault.message());
    }
    assert!(v3("query.filter=%7B%7D").is_err());
    for raw in ["", "query.startTimeMin=2026-03-01T14:00:00Z"] {
        let fault = Find::v3(&Params::parse(raw).unwrap()).unwrap_err();
        assert_eq!(
            fault.message(),
            "query.startTimeMin and query.startTimeMax are required"
        );
    }
    let turned = "query.startTimeMin=2026-03-01T15:00:00Z&query.startTimeMax=2026-03-01T14:00:00Z";
    assert!(Find::v3(&Params::parse(turned).unwrap()).is_err());
}

#[test]
fn a_search_has_a_bound_of_tags() {
    let many = vec!["tag=a%3Ab"; TAGS_MAX + 1].join("&");
    assert!(v1(&many).unwrap_err().message().contains("at most"));
}

#[test]
fn durations_are_gos() {
    for (text, nanos) in [
        ("0", 0),
        ("300ms", 300_000_000),
        ("1.5s", 1_500_000_000),
        ("1h30m", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("+2us", 2_000),
        ("2µs", 2_000),
        ("0.0000000001h", 360),
    ] {
        assert_eq!(go_duration(text), Ok(nanos), "{text}");
    }
    for text in [
        "",
        "5",
        "s",
        "1x",
        "1.2.3s",
        ".s",
        "-1s",
        "99999999999h",
        "1h 2m",
        "1 s",
        "٣s",
    ] {
        assert!(go_duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_time_is_told_by_its_size() {
    let nanos = 1_772_373_787_000_000_000;
    for text in [
        "1772373787",
        "1772373787000",
        "1772373787000000",
        "1772373787000000000",
    ] {
        assert_eq!(unix_time(text), Ok(nanos), "{text}");
    }
    for text in ["", "-1", "1.5", "99999999999999999999"] {
        assert!(unix_time(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_tag_makes_a_query_that_can_be_read(key in "\\PC{1,20}", value in "\\PC{0,20}") {
        let mut raw = form_urlencoded::Serializer::new(String::new());
        let map = serde_json::json!({ &*key: value });
        raw.append_pair("tags", &map.to_string());
        match v1(&raw.finish()) {
            Ok(find) => prop_assert!(parse(&find.query).is_ok()),
            Err(fault) => prop_assert_eq!(fault.status(), http::StatusCode::BAD_REQUEST),
        }
    }

    #[test]
    fn logfmt_takes_any_text(text in "\\PC{0,60}") {
        for (key, _) in logfmt(&text) {
            prop_assert!(!key.contains(char::is_whitespace));
        }
    }

    #[test]
    fn a_duration_takes_any_text(text in "[0-9.a-zµ+-]{0,16}") {
        let _ = go_duration(&text);
        let _ = unix_time(&text);
    }
}
