//! Live pages with a real producer and consumer: rows come and grow, nothing is doubled, and what is lost is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::time::Duration;

use common::{
    Site,
    canned::Canned,
    otlp::{error, logs, record, span, spans, trace_hex},
    real::Real,
};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use log_tracer_consumer::Config as ConsumerConfig;
use log_tracer_dashboard::Config;
use log_tracer_proto::{
    otlp::trace::Span,
    v1::{ListServicesResponse, RecordKey, ServiceInfo, SpanHit, TailResponse},
};

/// The events of a tail as they come.
struct Events {
    answer: http::Response<Incoming>,
    text: String,
}

/// One event.
#[derive(Debug)]
struct Event {
    name: String,
    data: String,
    id: String,
}

impl Events {
    async fn open(site: &Site, path: &str, headers: &[(&str, &str)]) -> Self {
        let answer = site.send(Method::GET, path, headers).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            answer,
            text: String::new(),
        }
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let of = |field: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(field));
                    found.unwrap_or_default().to_owned()
                };
                let event = Event {
                    name: of("event:"),
                    data: of("data:"),
                    id: of("id:"),
                };
                self.text = rest.to_owned();
                // What keeps the connection alive is a comment.
                if !event.name.is_empty() {
                    return event;
                }
                continue;
            }
            let frame = self.answer.body_mut().frame();
            let frame = tokio::time::timeout(Duration::from_secs(20), frame);
            let frame = frame.await.expect("an event").unwrap().unwrap();
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next rows, or lines, as HTML.
    async fn rows(&mut self) -> (String, String) {
        loop {
            let event = self.next().await;
            if matches!(event.name.as_str(), "rows" | "lines") {
                return (serde_json::from_str(&event.data).unwrap(), event.id);
            }
        }
    }
}

fn named(span: Span, name: &str) -> Span {
    Span {
        name: name.to_owned(),
        ..span
    }
}

fn row_of(html: &str, trace: u8) -> &str {
    let start = html.find(&format!("id=\"t{}\"", trace_hex(trace)));
    let row = &html[start.unwrap_or_else(|| panic!("no row of {trace} in {html}"))..];
    row.split("</li>").next().unwrap()
}

#[tokio::test]
async fn a_trace_appears_with_its_first_span_and_its_row_grows() {
    let real = Real::start().await;
    let mut events = Events::open(&real.site, "/traces/tail", &[]).await;
    real.send(
        vec![spans(
            "payment",
            vec![named(span(1, 2, 1, (5, 15)), "charge")],
        )],
        Vec::new(),
    )
    .await;
    let (first, _) = events.rows().await;
    let row = row_of(&first, 1);
    assert!(row.contains("data-n=\"1\"") && row.contains(">charge</a>") && row.contains("1 span<"));

    let root = error(named(span(1, 1, 0, (0, 40)), "POST /checkout"), "declined");
    real.send(vec![spans("web", vec![root])], Vec::new()).await;
    let (second, id) = events.rows().await;
    let row = row_of(&second, 1);
    assert!(row.contains("data-n=\"2\"") && row.contains(">POST /checkout</a>"));
    assert!(row.contains("1 error<") && row.contains("40 ms") && row.contains("2 spans<"));
    assert!(row.contains("payment <b>1</b>"));
    assert!(!id.is_empty(), "rows have an id to come back with");
}

#[tokio::test]
async fn a_live_page_of_traces_holds_the_newest_without_a_script() {
    let real = Real::start().await;
    let cart = |trace| named(span(trace, 1, 0, (u64::from(trace), 90)), "GET /cart");
    let all = (1..=60).map(cart).collect();
    real.send(vec![spans("web", all)], Vec::new()).await;
    let page = real.site.page("/traces/live").await;
    assert!(page.contains("http-equiv=\"refresh\" content=\"5\""));
    assert!(page.contains(&trace_hex(60)) && !page.contains(&trace_hex(10)));
    assert!(
        page.find(&trace_hex(30)) < page.find(&trace_hex(60)),
        "newest at the bottom"
    );
    assert!(page.len() < 100 << 10, "{} bytes", page.len());
    // From the list to the live page and back, with what was searched for.
    let list = real
        .site
        .page("/traces?q=name%3A%22GET+%2Fcart%22&service=web")
        .await;
    let live = "/traces/live?q=name%3A%22GET+%2Fcart%22&service=web";
    assert!(list.contains(&live.replace('&', "&amp;")));
    let live = real.site.page(live).await;
    assert!(live.contains("/traces?q=name%3A%22GET+%2Fcart%22&amp;service=web"));
    assert!(live.contains("1 matching span<"));
}

#[tokio::test]
async fn only_what_matches_the_query_and_the_service_comes() {
    let real = Real::start().await;
    let path = "/traces/tail?q=status%3Aerror&service=payment";
    let mut events = Events::open(&real.site, path, &[]).await;
    real.send(
        vec![
            spans("web", vec![error(span(1, 1, 0, (0, 9)), "no")]),
            spans("payment", vec![span(2, 1, 0, (0, 9))]),
            spans("payment", vec![error(span(3, 1, 0, (0, 9)), "declined")]),
        ],
        Vec::new(),
    )
    .await;
    let (rows, _) = events.rows().await;
    assert!(row_of(&rows, 3).contains("1 matching span<"));
    assert!(!rows.contains(&trace_hex(1)) && !rows.contains(&trace_hex(2)));
    let bad = real.site.get("/traces/tail?q=status%3A%28").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let bad = real.site.get("/traces/live?q=status%3A%28").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(bad.text().contains("Column"));
}

#[tokio::test]
async fn traces_that_came_too_fast_to_be_shown_are_counted() {
    let config = Config {
        live_traces_max: 3,
        ..Config::default()
    };
    let real = Real::with(config, ConsumerConfig::default()).await;
    let mut events = Events::open(&real.site, "/traces/tail", &[]).await;
    // Rows are told between two pieces of what arrives; what is told at once is never more than are remembered.
    let all = (1..=20).map(|trace| span(trace, 1, 0, (0, 9))).collect();
    real.send(vec![spans("web", all)], Vec::new()).await;
    let mut told = 0;
    let mut passed = 0;
    while told + passed < 20 {
        let event = events.next().await;
        match event.name.as_str() {
            "passed" => passed += event.data.parse::<usize>().unwrap(),
            "rows" => {
                let html: String = serde_json::from_str(&event.data).unwrap();
                let rows = html.matches("<li").count();
                assert!(rows <= 3, "{rows} rows at once");
                told += rows;
            }
            other => panic!("{other}"),
        }
    }
    assert!(passed > 0 && told >= 3, "{told} told, {passed} passed");
    assert_eq!(told + passed, 20);
}

#[tokio::test]
async fn a_slow_reader_is_told_how_many_records_it_lost() {
    let mut consumer = ConsumerConfig::default();
    consumer.tail.queue_records_max = 10;
    let real = Real::with(Config::default(), consumer).await;
    // One request is offered to the queue at once, and does not fit.
    let mut lines = Events::open(&real.site, "/logs/tail", &[]).await;
    let mut traces = Events::open(&real.site, "/traces/tail", &[]).await;
    let many = (0..200).map(|at| record(0, 0, at, 9, "tick")).collect();
    let all = (1..=200).map(|trace| span(trace, 1, 0, (0, 9))).collect();
    real.send(vec![spans("web", all)], vec![logs("web", many)])
        .await;
    let mut kept = 0;
    let mut dropped = 0;
    while kept + dropped < 200 {
        let event = lines.next().await;
        match event.name.as_str() {
            "dropped" => dropped += event.data.parse::<usize>().unwrap(),
            "lines" => {
                let html: String = serde_json::from_str(&event.data).unwrap();
                kept += html.matches("<li").count();
            }
            other => panic!("{other}"),
        }
    }
    assert!(dropped > 0 && kept >= 10, "{kept} kept, {dropped} dropped");
    assert_eq!(kept + dropped, 200);
    // Whatever the reader took before the queue was full may come first.
    let event = loop {
        let event = traces.next().await;
        if event.name != "rows" {
            break event;
        }
    };
    assert_eq!(event.name, "dropped");
    assert!(event.data.parse::<usize>().unwrap() > 0);
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_what_it_missed() {
    let real = Real::start().await;
    real.send(vec![], vec![logs("web", vec![record(0, 0, 1, 9, "first")])])
        .await;
    let mut events = Events::open(&real.site, "/logs/tail", &[]).await;
    let (lines, id) = events.rows().await;
    assert!(lines.contains("first"));
    drop(events);
    // More than a new reader gets.
    let missed = (0..300)
        .map(|at| record(0, 0, 10 + at, 9, &format!("missed {at}.")))
        .collect();
    real.send(Vec::new(), vec![logs("web", missed)]).await;

    let mut again = Events::open(&real.site, "/logs/tail", &[("last-event-id", &id)]).await;
    let mut all = String::new();
    while !all.contains("missed 299.") {
        let event = again.next().await;
        assert_eq!(event.name, "lines", "nothing is missing");
        all.push_str(&event.data);
    }
    assert!(all.contains("first") && all.contains("missed 0."));
    let by_param = format!("/logs/tail?last={id}");
    let mut again = Events::open(&real.site, &by_param, &[]).await;
    assert!(again.rows().await.0.contains("missed"));
    assert_eq!(
        real.site.get("/logs/tail?last=x").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_backlog_that_does_not_reach_back_says_that_there_is_a_gap() {
    let hit = |time| SpanHit {
        key: Some(RecordKey {
            time_unix_nano: time,
            ..RecordKey::default()
        }),
        span: Some(span(1, 1, 0, (0, 9))),
        ..SpanHit::default()
    };
    let canned = Canned {
        services: ListServicesResponse {
            services: vec![ServiceInfo::default()],
            ..ListServicesResponse::default()
        },
        tail: vec![TailResponse {
            spans: vec![hit(50), hit(60)],
            backlog_done: true,
            ..TailResponse::default()
        }],
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let mut cut = Events::open(&site, "/traces/tail?last=40-0-0-0", &[]).await;
    assert_eq!(cut.next().await.name, "gap");
    assert_eq!(cut.next().await.name, "rows");
    let mut whole = Events::open(&site, "/traces/tail?last=50-0-0-0", &[]).await;
    let event = whole.next().await;
    assert_eq!(
        (event.name.as_str(), event.id.as_str()),
        ("rows", "60-0-0-0")
    );
}

#[tokio::test]
async fn severities_can_be_hidden_and_keep_their_count() {
    let real = Real::start().await;
    let records = vec![
        record(0, 0, 1, 9, "an info"),
        record(0, 0, 2, 5, "a debug"),
        record(0, 0, 3, 5, "a debug"),
    ];
    real.send(Vec::new(), vec![logs("web", records)]).await;
    let page = real.site.page("/logs/live?hide=debug").await;
    assert!(page.contains("class=\"logs live hide-debug\""));
    assert!(page.contains("name=\"hide\" value=\"debug\""));
    assert!(page.contains("Debug <b data-n=\"2\">2</b>"));
    assert!(page.contains("Info <b data-n=\"1\">1</b>"));
    let wrong = real.site.get("/logs/live?hide=loud").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
