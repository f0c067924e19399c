//! Ids and the envelope.

use super::*;

#[test]
fn a_trace_id_is_read_in_every_form_that_front_ends_send() {
    let id = [
        0x5b, 0x8e, 0xff, 0xf7, 0x98, 0x03, 0x81, 0x03, 0xd2, 0x69, 0xb6, 0x33, 0x81, 0x3f, 0xc6,
        0x0c,
    ];
    for text in [
        "5b8efff798038103d269b633813fc60c",
        "5B8EFFF798038103D269B633813FC60C",
        "W47/95gDgQPSabYzgT/GDA==",
        "W47/95gDgQPSabYzgT/GDA",
        "W47_95gDgQPSabYzgT_GDA",
    ] {
        assert_eq!(trace_id(text).unwrap(), id, "{text}");
    }
}

#[test]
fn leading_zeros_of_a_trace_id_may_be_left_away() {
    let mut id = [0; 16];
    id[14] = 0x0a;
    id[15] = 0xbc;
    for text in [
        "abc",
        "0abc",
        "0000000000000abc",
        "00000000000000000000000000000abc",
    ] {
        assert_eq!(trace_id(text).unwrap(), id, "{text}");
    }
}

#[test]
fn what_is_no_trace_id_is_refused() {
    for text in [
        "",
        "0",
        "00000000000000000000000000000000",
        "5b8efff798038103d269b633813fc60c0",
        "xyz",
        "not an id at all",
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "W47/95gDgQPSabYzgT/GDA====W",
        "é",
    ] {
        let fault = trace_id(text).unwrap_err();
        assert_eq!(fault.status(), StatusCode::BAD_REQUEST, "{text}");
    }
}

#[test]
fn a_service_may_have_a_slash_in_its_name() {
    assert_eq!(
        parts("services/shop%2Fcart%20%E2%82%AC/operations"),
        ["services", "shop/cart €", "operations"]
    );
    // What is no UTF-8 is no reason to fail.
    assert_eq!(parts("services/%ff"), ["services", "\u{fffd}"]);
}
