//! The dashboard in front of a real producer and consumer: what is sent is found, and every link leads somewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::collections::{BTreeSet, VecDeque};

use common::{
    html::{self, links},
    otlp::{error, id_hex, logs, record, span, spans, trace_hex},
    real::Real,
};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use log_tracer_proto::otlp::{common::KeyValue, logs::LogRecord, trace::Span};

/// Three traces with logs, one of them with an error.
async fn shop() -> Real {
    let real = Real::start().await;
    let named = |span: Span, name: &str, attributes: Vec<KeyValue>| Span {
        name: name.to_owned(),
        attributes,
        ..span
    };
    let cart = |trace| {
        named(
            span(trace, 1, 0, (0, 20)),
            "GET /cart",
            vec![common::otlp::pair("http.route", "/cart")],
        )
    };
    let pay = error(
        named(span(3, 2, 1, (5, 15)), "charge", Vec::new()),
        "card declined",
    );
    let with = |record: LogRecord, key: &str, value: &str| LogRecord {
        attributes: vec![common::otlp::pair(key, value)],
        ..record
    };
    real.send(
        vec![
            spans("web", vec![cart(1), cart(2), cart(3)]),
            spans("payment", vec![pay]),
        ],
        vec![
            logs(
                "web",
                vec![
                    record(1, 1, 2, 9, "cart opened"),
                    record(2, 1, 3, 9, "cart opened"),
                    record(0, 0, 4, 5, "tick"),
                ],
            ),
            logs(
                "payment",
                vec![with(
                    record(3, 2, 6, 17, "charge failed: card declined"),
                    "order.id",
                    "o-1",
                )],
            ),
        ],
    )
    .await;
    real
}

#[tokio::test]
async fn an_empty_dashboard_shows_how_to_send_something() {
    let real = Real::start().await;
    let page = real.site.page("/").await;
    assert!(page.contains("Nothing has arrived yet"));
    assert!(page.contains("export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317"));
    assert!(
        page.contains("<noscript><meta http-equiv=\"refresh\""),
        "it looks again without a script"
    );
    assert!(
        page.contains("gone when the process ends"),
        "what an ack is worth"
    );
    assert!(
        real.site
            .page("/traces")
            .await
            .contains("Nothing has arrived yet")
    );
}

#[tokio::test]
async fn a_sample_trace_can_be_sent_and_is_there_at_once() {
    let real = Real::start().await;
    let sent = real.site.request(Method::POST, "/sample", &[]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    let address = sent.header("location").to_owned();
    let page = real.site.page(&address).await;
    for text in [
        "sample-web",
        "POST /checkout",
        "2 errors",
        "charge failed: connection reset by card processor",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let home = real.site.page("/").await;
    assert!(home.contains("sample-payment"));
}

#[tokio::test]
async fn what_was_sent_is_found_by_service_word_and_value() {
    let real = shop().await;
    let site = &real.site;
    let page = site.page("/traces").await;
    assert!(
        page.contains(&trace_hex(1))
            && page.contains(&trace_hex(2))
            && page.contains(&trace_hex(3))
    );
    let page = site.page("/traces?q=status:error").await;
    assert!(page.contains(&trace_hex(3)) && !page.contains(&trace_hex(1)));
    let page = site.page("/traces?service=payment&min=1ms").await;
    assert!(page.contains(&trace_hex(3)) && !page.contains(&trace_hex(1)));
    let page = site.page("/traces?min=1s").await;
    assert!(page.contains("No trace matches"));

    let page = site.page("/logs?q=declined").await;
    assert!(page.contains("charge failed: card declined") && !page.contains("cart opened"));
    let page = site.page("/logs?level=info").await;
    assert!(page.contains("cart opened") && !page.contains(">tick<"));
}

#[tokio::test]
async fn the_pages_of_a_list_are_the_list() {
    let real = Real::start().await;
    let many: Vec<Span> = (1..=45)
        .map(|n| span(n, 1, 0, (u64::from(n), u64::from(n) + 5)))
        .collect();
    let lines: Vec<LogRecord> = (1..=45)
        .map(|n| record(0, 0, n, 9, &format!("line {n} of many")))
        .collect();
    real.send(vec![spans("web", many)], vec![logs("web", lines)])
        .await;

    let mut seen = Vec::new();
    let mut next = Some("/traces?limit=20".to_owned());
    while let Some(address) = next {
        let page = real.site.page(&address).await;
        let list = page
            .split("<ol class=\"traces\"")
            .nth(1)
            .unwrap()
            .split("</ol>")
            .next()
            .unwrap();
        seen.extend(html::attributes(list, "href"));
        next = links(&page, "/traces")
            .into_iter()
            .find(|link| link.contains("after=") && link != &address);
        assert!(seen.len() <= 45);
    }
    let want: Vec<String> = (1..=45)
        .rev()
        .map(|n| format!("/trace/{}", trace_hex(n)))
        .collect();
    assert_eq!(seen, want);

    let mut seen = String::new();
    let mut next = Some("/logs?limit=20".to_owned());
    while let Some(address) = next {
        let page = real.site.page(&address).await;
        seen.push_str(&page);
        next = links(&page, "/logs")
            .into_iter()
            .find(|link| link.contains("after=") && link != &address);
    }
    for n in 1..=45 {
        assert_eq!(
            seen.matches(&format!(">line {n} of many<")).count(),
            1,
            "line {n}"
        );
    }
}

#[tokio::test]
async fn a_value_can_be_added_to_the_search_and_excluded_from_it() {
    let real = shop().await;
    let page = real.site.page("/logs?q=declined").await;
    let term = html::attributes(&page, "value")
        .into_iter()
        .find(|value| value.starts_with("order.id"))
        .unwrap();
    let encoded: String = form_urlencoded::byte_serialize(term.as_bytes()).collect();
    for (button, found) in [("add", true), ("not", false)] {
        let answer = real
            .site
            .get(&format!("/logs?q=declined&{button}={encoded}"))
            .await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let page = real.site.page(answer.header("location")).await;
        assert_eq!(page.contains("charge failed"), found, "{button}");
    }
}

#[tokio::test]
async fn surrounding_lines_are_those_of_the_same_service() {
    let real = shop().await;
    let page = real.site.page("/logs?q=tick").await;
    let around = links(&page, "/logs")
        .into_iter()
        .find(|link| link.contains("around="))
        .unwrap();
    let page = real.site.page(&around).await;
    assert!(page.contains("log debug marked"));
    assert_eq!(page.matches(">cart opened<").count(), 2);
    assert!(!page.contains("charge failed"));
    let gone = real.site.get("/logs?around=1-0-0-0").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_download_and_the_interface_hold_what_was_sent() {
    let real = shop().await;
    let id = trace_hex(3);
    let file = real.site.get(&format!("/trace/{id}.json")).await;
    assert!(file.header("content-disposition").contains("attachment"));
    let sent = log_tracer_proto::json::decode_traces(&file.body).unwrap();
    let names: BTreeSet<String> = sent
        .resource_spans
        .iter()
        .flat_map(|group| &group.scope_spans)
        .flat_map(|group| &group.spans)
        .map(|span| span.name.clone())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from(["GET /cart".to_owned(), "charge".to_owned()])
    );
    let file = real.site.get(&format!("/trace/{id}/logs.json")).await;
    let sent = log_tracer_proto::json::decode_logs(&file.body).unwrap();
    assert_eq!(sent.resource_logs.len(), 1);

    let whole = real.site.get(&format!("/api/v1/traces/{id}")).await.json();
    assert_eq!(whole["resourceSpans"].as_array().unwrap().len(), 2);
    assert_eq!(whole["resourceLogs"].as_array().unwrap().len(), 1);
    assert_eq!(whole["coverage"]["partial"], false);

    let found = real.site.get("/api/v1/traces?q=status:error").await.json();
    assert_eq!(found["traces"][0]["traceId"], id);
    assert_eq!(found["traces"][0]["errors"], 1);
    let found = real.site.get("/api/v1/logs?q=declined").await.json();
    let body = &found["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"]["stringValue"];
    assert_eq!(body, "charge failed: card declined");
    let services = real.site.get("/api/v1/services").await.json();
    assert_eq!(services["services"][0]["service"], "payment");
    let operations = real
        .site
        .get("/api/v1/operations?service=payment")
        .await
        .json();
    assert_eq!(operations["operations"][0]["name"], "charge");
    let counts = real
        .site
        .get("/api/v1/histogram?signal=logs&range=all")
        .await
        .json();
    assert!(
        counts["series"]
            .as_array()
            .unwrap()
            .iter()
            .any(|series| series["group"] == "error")
    );
    let none = real.site.get("/api/v1/logs?q=nosuchword").await.json();
    assert_eq!(none["coverage"]["matched"], "0");
}

#[tokio::test]
async fn a_live_tail_gets_what_arrives() {
    let real = shop().await;
    let mut tail = real
        .site
        .send(Method::GET, "/logs/tail?level=error", &[])
        .await;
    assert_eq!(tail.status(), StatusCode::OK);
    real.send(
        Vec::new(),
        vec![logs(
            "web",
            vec![
                record(0, 0, 50, 9, "not this"),
                record(0, 0, 51, 17, "just arrived"),
            ],
        )],
    )
    .await;
    let mut events = String::new();
    while !events.contains("just arrived") {
        let frame = tail.body_mut().frame().await.unwrap().unwrap();
        events.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    assert!(!events.contains("not this"));
    assert!(
        events.contains("charge failed"),
        "it begins with what is there"
    );
}

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere() {
    let real = shop().await;
    let trace = format!("/trace/{}", trace_hex(3));
    let mut waiting: VecDeque<String> = [
        "/".to_owned(),
        "/service?name=web".to_owned(),
        "/map?focus=service:web".to_owned(),
        "/service?name=nobody".to_owned(),
        "/traces?q=status:eror".to_owned(),
        "/traces?min=1h".to_owned(),
        "/logs?from=2020-01-01T00:00&to=2020-01-02T00:00".to_owned(),
        "/logs/live".to_owned(),
        "/traces/live?q=service:web".to_owned(),
        "/pipeline".to_owned(),
        "/nowhere".to_owned(),
        format!("{trace}?span={}", id_hex(2)),
        format!("{trace}?tab=logs"),
        format!("{trace}?tab=spans&f=status:error"),
        format!("{trace}?tab=operations&group=http.route"),
        format!("{trace}?f=nosuchthing"),
    ]
    .into();
    let starts = waiting.len();
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    // Wide enough for every kind of link, without walking through every combination of facets.
    const PAGES_MAX: usize = 160;
    let mut visited = 0;
    while let Some(address) = waiting.pop_front() {
        visited += 1;
        let answer = real.site.get(&address).await;
        let wrong_on_purpose = visited <= starts && answer.status.is_client_error();
        assert!(
            answer.status.is_success() || wrong_on_purpose,
            "{address}: {}",
            answer.status
        );
        if visited > PAGES_MAX || !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        let here = address.split('?').next().unwrap();
        let page = answer.text();
        for (at, anchor) in page.match_indices("href=\"#") {
            let id = page[at + anchor.len()..].split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "#{id} on {address}");
        }
        for link in links(&page, here) {
            if waiting.len() < PAGES_MAX && seen.insert(link.clone()) {
                waiting.push_back(link);
            }
        }
    }
    assert!(visited > 100, "{visited} pages");
}
