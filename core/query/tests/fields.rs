//! What terms of particular fields mean, by examples.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{Owned, TestRecord, check, text, with};
use log_tracer_query::Intrinsic;

#[test]
fn durations_take_every_unit() {
    let record =
        TestRecord::default().intrinsic(Intrinsic::Duration, Owned::Int(5_400_000_000_000));
    check(
        &record,
        &[
            "duration:1h30m",
            "duration:1.5h",
            "dur=90m",
            "duration:5400s",
            "duration>5399999ms",
            "duration<5400000001us",
            "duration>1ns",
            "duration<1d",
            "duration>0",
            "duration<=5400000000µs",
        ],
        &["duration>1h30m", "duration<1h30m", "duration!=90m"],
    );
}

#[test]
fn severities_are_ranges() {
    let severity =
        |number| TestRecord::default().intrinsic(Intrinsic::Severity, Owned::Int(number));
    check(
        &severity(14),
        &[
            "level:warn",
            "level:warning",
            "severity>=warn",
            "severity<=warn",
            "level=warn2",
            "level:14",
            "level!=error",
            "severity<error",
            "lvl>info",
        ],
        &[
            "severity>warn",
            "severity<warn",
            "level:warn1",
            "level:13",
            "level!=warn",
            "level:error",
        ],
    );
    check(
        &severity(21),
        &["severity>error", "level:fatal", "level:critical"],
        &["severity<=error4"],
    );
    check(
        &TestRecord::default(),
        &["-level:warn"],
        &["level:warn", "level!=warn", "level:*"],
    );
}

#[test]
fn times_are_instants_or_days() {
    let day = 86_400_000_000_000;
    let time = |nanos| TestRecord::default().intrinsic(Intrinsic::Time, Owned::Int(nanos));
    check(
        &time(day),
        &[
            "time:1970-01-02",
            "time:1970-01-02T00:00:00Z",
            "time:1970-01-02T01:00:00+01:00",
            "time:\"1970-01-02 00:00:00\"",
            "time>1970-01-01",
            "time>=1970-01-02",
            "ts<=1970-01-02",
            "timestamp>1970-01-01T23:59:59.999999999Z",
        ],
        &[
            "time:1970-01-01",
            "time>1970-01-02",
            "time<1970-01-02",
            "time<=1970-01-01",
        ],
    );
    check(
        &time(2 * day - 1),
        &["time:1970-01-02"],
        &["time>=1970-01-03"],
    );
    check(
        &time(i64::MAX),
        &["time<=9999-01-01", "time>2262-01-01"],
        &["time>9999-01-01"],
    );
}

#[test]
fn ids_are_found_by_their_first_digits() {
    let id = vec![
        0x5b, 0x8e, 0xff, 0xf7, 0x98, 0x03, 0x81, 0x03, 0xd2, 0x69, 0xb6, 0x33, 0x81, 0x3f, 0xc6,
        0x0c,
    ];
    let record = TestRecord::default().intrinsic(Intrinsic::TraceId, Owned::Bytes(id));
    check(
        &record,
        &[
            "trace:5b8efff798038103d269b633813fc60c",
            "traceId:5B8E",
            "trace:5b8ef",
            "trace:5b8*",
            "trace=5b8efff798038103d269b633813fc60c",
            "trace:*",
        ],
        &[
            "trace:b8e",
            "trace:5b8efff798038103d269b633813fc60d",
            "trace!=5b8efff798038103d269b633813fc60c",
        ],
    );
    check(
        &TestRecord::default(),
        &["-parent:*"],
        &["parent:*", "trace:5b"],
    );
}

#[test]
fn bodies_are_searched_for_words() {
    let record =
        TestRecord::default().intrinsic(Intrinsic::Body, text("Connection refused by host"));
    check(
        &record,
        &[
            "body:refused",
            "msg:\"connection refused\"",
            "message:conn*",
            "body:/ref.sed/",
            "body=\"Connection refused by host\"",
            "body:*",
        ],
        &["body:connection-by", "body=refused", "refused"],
    );
}

#[test]
fn an_error_is_a_failed_span_or_a_severe_log() {
    let span = TestRecord::default().intrinsic(Intrinsic::Status, text("error"));
    let log = TestRecord::default().intrinsic(Intrinsic::Severity, Owned::Int(17));
    let attribute = with("error", text("true"));
    check(
        &span,
        &["error:true", "status:STATUS_CODE_ERROR"],
        &["error:false", "\"error\":true", "error:*"],
    );
    check(&log, &["error:true", "error=true"], &["error:false"]);
    check(
        &attribute,
        &["\"error\":true", "error:false", "error:*"],
        &["error:true"],
    );
}

#[test]
fn a_key_that_an_intrinsic_field_has_is_reached_in_quotes() {
    let record = with("status", Owned::Int(500))
        .attribute("service.name", text("inner"))
        .intrinsic(Intrinsic::Service, text("outer"));
    check(
        &record,
        &[
            "\"status\":500",
            "service.name:outer",
            "\"service.name\":inner",
        ],
        &["status:ok", "service:inner"],
    );
}
