//! Traces as they should not be, and as large as they get.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    Site,
    canned::Canned,
    html,
    large::large,
    otlp::{self, MS, error, id_hex, logs, record, span, spans, trace_hex},
};
use http::Method;
use http_body_util::BodyExt;
use log_tracer_proto::{
    otlp::trace::{ResourceSpans, Span, span::SpanKind},
    v1::GetTraceResponse,
};

fn address() -> String {
    format!("/trace/{}", trace_hex(1))
}

async fn site(resource_spans: Vec<ResourceSpans>) -> Site {
    let canned = Canned {
        pieces: vec![GetTraceResponse {
            resource_spans,
            ..GetTraceResponse::default()
        }],
        ..Canned::default()
    };
    Site::start(canned.serve().await).await
}

async fn page(resource_spans: Vec<ResourceSpans>) -> String {
    site(resource_spans).await.page(&address()).await
}

/// The spans in the order of the page: id, depth.
fn rows(page: &str) -> Vec<(String, usize)> {
    page.split("<li id=\"s")
        .skip(1)
        .map(|row| {
            // The second row of an id has its number after it.
            let anchor = row.split('"').next().unwrap();
            let id = anchor.split('-').next().unwrap().to_owned();
            let class = html::attributes(row, "class")[0].clone();
            let depth = class
                .split(' ')
                .find_map(|name| name.strip_prefix('d')?.parse().ok());
            (id, depth.unwrap())
        })
        .collect()
}

#[tokio::test]
async fn exact_copies_of_a_span_are_one_row_that_says_so() {
    let twice = span(1, 2, 1, (1, 5));
    let page = page(vec![spans(
        "a",
        vec![span(1, 1, 0, (0, 9)), twice.clone(), twice],
    )])
    .await;
    assert_eq!(rows(&page), [(id_hex(1), 0), (id_hex(2), 1)]);
    assert!(page.contains("sent more than once"));
    assert!(page.contains("1 exact copy of a span came and is left out"));
}

#[tokio::test]
async fn both_sides_of_a_call_may_have_one_id() {
    let client = Span {
        kind: SpanKind::Client.into(),
        name: "ask".to_owned(),
        ..span(1, 2, 1, (1, 8))
    };
    let server = Span {
        kind: SpanKind::Server.into(),
        name: "answer".to_owned(),
        ..span(1, 2, 1, (2, 7))
    };
    let page = page(vec![
        spans("b", vec![server, span(1, 3, 2, (3, 4))]),
        spans("a", vec![span(1, 1, 0, (0, 9)), client]),
    ])
    .await;
    assert_eq!(
        rows(&page),
        [
            (id_hex(1), 0),
            (id_hex(2), 1),
            (id_hex(2), 2),
            (id_hex(3), 3)
        ]
    );
    assert!(page.find("</small>ask").unwrap() < page.find("</small>answer").unwrap());
    assert!(!page.contains("id used twice"));
}

#[tokio::test]
async fn different_spans_of_one_id_are_both_shown_and_marked() {
    let page = page(vec![spans(
        "a",
        vec![
            span(1, 1, 0, (0, 9)),
            span(1, 2, 1, (1, 2)),
            span(1, 2, 1, (3, 4)),
        ],
    )])
    .await;
    assert_eq!(rows(&page).len(), 3);
    assert_eq!(page.matches("id used twice").count(), 2);
}

#[tokio::test]
async fn an_orphan_is_a_root_that_says_what_is_missing() {
    let site = site(vec![spans(
        "a",
        vec![span(1, 1, 0, (0, 9)), span(1, 2, 7, (1, 5))],
    )])
    .await;
    let page = site
        .page(&format!("{}?span={}", address(), id_hex(2)))
        .await;
    assert_eq!(rows(&page), [(id_hex(1), 0), (id_hex(2), 0)]);
    assert!(page.contains("parent missing"));
    assert!(page.contains("not in this trace: it was not sent"));
    assert!(page.contains(&id_hex(7)), "the missing parent is named");
}

#[tokio::test]
async fn two_roots_are_both_shown() {
    let page = page(vec![spans(
        "a",
        vec![span(1, 1, 0, (5, 9)), span(1, 2, 0, (1, 3))],
    )])
    .await;
    assert_eq!(rows(&page), [(id_hex(2), 0), (id_hex(1), 0)]);
    assert!(page.contains("2 spans have no parent: the trace has several roots"));
}

#[tokio::test]
async fn cycles_of_parents_are_cut_once_and_marked() {
    let page = page(vec![spans(
        "a",
        vec![
            span(1, 1, 3, (1, 9)),
            span(1, 2, 1, (2, 8)),
            span(1, 3, 2, (3, 7)),
            span(1, 4, 4, (4, 5)),
        ],
    )])
    .await;
    assert_eq!(
        rows(&page),
        [
            (id_hex(1), 0),
            (id_hex(2), 1),
            (id_hex(3), 2),
            (id_hex(4), 0)
        ]
    );
    assert_eq!(page.matches(">parent cycle<").count(), 2);
}

#[tokio::test]
async fn a_clock_that_is_behind_is_said_in_words() {
    let site = site(vec![
        spans("a", vec![span(1, 1, 0, (100, 900))]),
        spans("b", vec![span(1, 2, 1, (40, 700))]),
    ])
    .await;
    let page = site
        .page(&format!("{}?span={}", address(), id_hex(2)))
        .await;
    assert!(page.contains("clock skew"));
    assert!(page.contains("It starts 60 ms before its parent, which another process sent"));
}

#[tokio::test]
async fn zero_negative_and_absent_times_are_drawn_and_marked() {
    let backwards = Span {
        end_time_unix_nano: otlp::epoch() + 2 * MS,
        ..span(1, 2, 1, (5, 5))
    };
    let endless = Span {
        end_time_unix_nano: 0,
        ..span(1, 3, 1, (6, 6))
    };
    let timeless = Span {
        start_time_unix_nano: 0,
        end_time_unix_nano: 0,
        ..span(1, 4, 1, (0, 0))
    };
    let instant = span(1, 5, 1, (7, 7));
    let page = page(vec![spans(
        "a",
        vec![span(1, 1, 0, (0, 9)), backwards, endless, timeless, instant],
    )])
    .await;
    assert_eq!(rows(&page).len(), 5);
    for words in ["ends before it starts", "no end time", "no start time"] {
        assert!(page.contains(words), "{words}");
    }
    // A span without a time does not stretch the axis back to 1970.
    assert!(page.contains("<dd>9 ms</dd>"));
}

#[tokio::test]
async fn logs_stand_between_the_spans_and_without_spans_alone() {
    let trace = |resource_spans| Canned {
        pieces: vec![GetTraceResponse {
            resource_spans,
            resource_logs: vec![logs(
                "a",
                vec![
                    record(1, 1, 5, 9, "in between"),
                    record(1, 0, 6, 17, "of no span"),
                ],
            )],
            ..GetTraceResponse::default()
        }],
        ..Canned::default()
    };
    let both = trace(vec![spans(
        "a",
        vec![
            span(1, 1, 0, (0, 9)),
            span(1, 2, 1, (1, 2)),
            span(1, 3, 1, (7, 8)),
        ],
    )]);
    let site = Site::start(both.serve().await).await;
    let page = site.page(&address()).await;
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(at(&format!("id=\"s{}\"", id_hex(2))) < at("in between"));
    assert!(at("in between") < at("of no span"));
    assert!(at("of no span") < at(&format!("id=\"s{}\"", id_hex(3))));
    assert!(
        !site
            .page(&format!("{}?logs=0", address()))
            .await
            .contains("in between")
    );
    assert!(
        site.page(&format!("{}?tab=logs", address()))
            .await
            .contains("in between")
    );

    let site = Site::start(trace(Vec::new()).serve().await).await;
    let page = site.page(&address()).await;
    assert!(page.contains("(logs without a span)") && page.contains("in between"));
}

#[tokio::test]
async fn huge_texts_are_cut_and_the_page_stays_small() {
    let long = "x".repeat(1 << 20);
    let span = Span {
        name: long.clone(),
        attributes: (0..200)
            .map(|n| otlp::pair(&format!("key.{n}.{}", &long[..300]), &long[..10_000]))
            .collect(),
        ..error(span(1, 1, 0, (0, 9)), &long)
    };
    let site = site(vec![spans(&long[..5_000], vec![span])]).await;
    let page = site
        .page(&format!("{}?span={}", address(), id_hex(1)))
        .await;
    assert!(page.len() < 512 << 10, "{} bytes", page.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_of_a_hundred_thousand_spans_is_a_small_page_with_its_errors_in_sight() {
    let canned = Canned {
        pieces: large(2_500, 40),
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let page = site.page(&address()).await;
    assert!(page.contains("<dd>100,001</dd>"));
    assert!(page.len() < 100_000, "{} bytes", page.len());
    assert!(rows(&page).len() <= 150);
    assert!(
        page.contains(">error<"),
        "the way to the first error is open"
    );

    // The next window begins where this one ends.
    let next = html::links(&page, &address())
        .into_iter()
        .find(|link| link.contains("from=150"))
        .unwrap();
    let second = site.page(&next).await;
    assert!(second.contains("rows 151 to 300"));
    assert!(
        second.contains("within"),
        "what is above the window is named"
    );
    assert!(second.len() < 100_000);

    // A span deep in a chain that is closed comes into sight when it is asked for.
    let deep = format!("{:016x}", 40 * 2_000 + 40);
    let page = site.page(&format!("{}?span={deep}", address())).await;
    assert!(rows(&page).iter().any(|(id, _)| *id == deep));

    let closed = site.page(&format!("{}?fold=closed", address())).await;
    assert_eq!(rows(&closed).len(), 1);
    let filtered = site.page(&format!("{}?f=status:error", address())).await;
    assert!(filtered.contains("100 of 100,001 spans match"));
}

#[tokio::test]
async fn a_trace_over_the_limit_of_bytes_is_shown_in_part_and_says_so() {
    let config = log_tracer_dashboard::Config {
        trace_bytes_max: 100_000,
        ..Default::default()
    };
    let canned = Canned {
        pieces: large(1_000, 10),
        ..Canned::default()
    };
    let site = Site::with(config, canned.serve().await, None).await;
    let page = site.page(&address()).await;
    assert!(page.contains("This is not everything."));
    assert!(page.contains("the trace is larger than the 97.7 KiB that its page reads"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let canned = Canned {
        pieces: large(1, 1),
        cut_off: true,
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let page = site.page(&address()).await;
    assert!(page.contains("the consumer&#39;s answer broke off before its end"));
    let file = site
        .send(Method::GET, &format!("{}.json", address()), &[])
        .await;
    assert!(file.into_body().collect().await.is_err());
}
