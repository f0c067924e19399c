//! Script in every text that a sender, a consumer or a visitor controls: all of it is shown, none of it runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    Site,
    hostile::{SCRIPT, assert_harmless, hostile},
    otlp,
};
use http::Method;
use http_body_util::BodyExt;
use log_tracer_dashboard::Config;
use log_tracer_proto::{
    otlp::trace::Span,
    v1::{ResourceEntry, SpanHit, TailResponse},
};

async fn site() -> Site {
    Site::with(Config::default(), hostile().serve().await, None).await
}

fn trace() -> String {
    format!("/trace/{}", otlp::trace_hex(1))
}

#[tokio::test]
async fn script_in_what_senders_and_consumers_say_is_only_shown() {
    let site = site().await;
    let trace = trace();
    let script: String = form_urlencoded::byte_serialize(SCRIPT.as_bytes()).collect();
    for path in [
        "/".to_owned(),
        format!("/service?name={script}"),
        "/map".to_owned(),
        format!("/map?focus=service:{script}"),
        format!("/map?focus=database:{script}&depth=3"),
        "/traces".to_owned(),
        "/traces?view=heat".to_owned(),
        "/traces?view=heat&of=spans&range=all".to_owned(),
        "/logs".to_owned(),
        "/logs?around=0-0-0-0".to_owned(),
        "/logs/live".to_owned(),
        "/traces/live".to_owned(),
        "/pipeline".to_owned(),
        trace.clone(),
        format!("{trace}?span={}", otlp::id_hex(2)),
        format!("{trace}?tab=logs"),
        format!("{trace}?zoom=0ns..1h"),
        format!("{trace}?tab=spans"),
        format!("{trace}?tab=operations"),
        format!("{trace}?tab=operations&group={script}"),
        format!("{trace}?tab=flame"),
        format!("{trace}?tab=graph"),
        format!("{trace}?tab=graph&by=service&colour=total"),
        format!("/compare?a={}", otlp::trace_hex(1)),
        format!("/compare?a={0}&b={0}&show=all", otlp::trace_hex(1)),
        format!("/compare?a={0}&b={0}&sort=self", otlp::trace_hex(1)),
        format!("{trace}?f=status:error&fold=open"),
    ] {
        let page = site.page(&path).await;
        assert_harmless(&page, &path);
        assert!(
            page.contains("&lt;script&gt;alert(1)"),
            "{path} shows what was sent"
        );
    }
}

#[tokio::test]
async fn script_in_the_address_is_only_shown() {
    let site = site().await;
    let encoded: String = form_urlencoded::byte_serialize(SCRIPT.as_bytes()).collect();
    let keys = [
        "q", "service", "min", "max", "order", "limit", "after", "range", "from", "to", "level",
        "around", "add", "not", "span", "t", "fold", "from", "logs", "tab", "f", "theme", "back",
        "zoom", "lq", "group", "a", "b", "id", "at", "by", "colour", "show", "of", "smin", "smax",
        "buckets", "hide", "x", "name", "focus", "depth", "sort", "page", "before", "cols", "col",
        "view", "format", "count",
    ];
    let trace = trace();
    for path in [
        "/",
        "/service",
        "/map",
        "/traces",
        "/traces?view=heat",
        "/logs",
        "/logs/live",
        "/traces/live",
        "/pipeline",
        "/open",
        "/api",
        "/compare",
        &format!("/compare?a={0}&b={0}", otlp::trace_hex(1)),
        &trace,
        &format!("{trace}?tab=spans"),
        &format!("{trace}?tab=operations"),
        &format!("{trace}?tab=logs"),
        &format!("{trace}?tab=flame"),
        &format!("{trace}?tab=graph"),
    ] {
        for key in keys {
            let mark = if path.contains('?') { '&' } else { '?' };
            let address = format!("{path}{mark}{key}={encoded}");
            let answer = site.get(&address).await;
            if answer.header("content-type").starts_with("text/html") {
                assert_harmless(&answer.text(), &address);
            }
            assert!(!answer.header("location").contains('<'), "{address}");
        }
    }
    for path in [
        format!("/{encoded}"),
        format!("/trace/{encoded}"),
        format!("/static/{encoded}"),
    ] {
        assert_harmless(&site.get(&path).await.text(), &path);
    }
}

#[tokio::test]
async fn script_in_headers_changes_nothing() {
    let site = site().await;
    let cookie = "log-tracer-theme=\"><script>alert(1)</script>";
    let answer = site
        .request(
            Method::GET,
            "/traces",
            &[
                ("cookie", cookie),
                ("referer", SCRIPT.split('\0').next().unwrap()),
            ],
        )
        .await;
    assert_harmless(&answer.text(), "a cookie");
    let back =
        form_urlencoded::byte_serialize(b"//evil.example\r\nset-cookie: a=b").collect::<String>();
    let answer = site
        .request(Method::POST, &format!("/theme?to=dark&back={back}"), &[])
        .await;
    assert_eq!(answer.header("location"), "/");
}

#[tokio::test]
async fn live_lines_are_escaped_before_the_script_of_the_page_gets_them() {
    let site = site().await;
    let lines = first_rows(&site, "/logs/tail").await;
    assert!(lines.contains("&lt;script&gt;alert(1)"));
    assert!(!lines.contains("<script") && !lines.contains("<img"));
}

/// The HTML of the first event of a tail that has any.
async fn first_rows(site: &Site, path: &str) -> String {
    let mut answer = site.send(Method::GET, path, &[]).await;
    let mut events = String::new();
    loop {
        let html = events
            .split_inclusive("\n\n")
            .filter(|event| event.ends_with("\n\n"))
            .filter(|event| event.contains("event:lines") || event.contains("event:rows"))
            .find_map(|event| event.lines().find_map(|line| line.strip_prefix("data:")));
        if let Some(html) = html {
            return serde_json::from_str(html).unwrap();
        }
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        events.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn live_traces_are_escaped_before_the_script_of_the_page_gets_them() {
    let span = Span {
        trace_id: vec![7; 16].into(),
        span_id: vec![7; 8].into(),
        name: SCRIPT.to_owned(),
        ..Span::default()
    };
    let canned = common::canned::Canned {
        tail: vec![TailResponse {
            spans: vec![SpanHit {
                span: Some(span),
                ..SpanHit::default()
            }],
            resources: vec![ResourceEntry {
                service: SCRIPT.to_owned(),
                ..ResourceEntry::default()
            }],
            interrupted: SCRIPT.to_owned(),
            backlog_done: true,
            ..TailResponse::default()
        }],
        ..Default::default()
    };
    let site = Site::start(canned.serve().await).await;
    let rows = first_rows(&site, "/traces/tail").await;
    assert!(rows.contains("&lt;script&gt;alert(1)"));
    assert!(!rows.contains("<script") && !rows.contains("<img"));
    let page = site.page("/traces/live").await;
    assert_harmless(&page, "/traces/live");
    assert!(page.contains("&lt;script&gt;alert(1)"));
}

#[tokio::test]
async fn the_interface_is_json_that_no_browser_takes_for_a_page() {
    let site = site().await;
    for path in [
        "/api/v1/traces".to_owned(),
        format!("/api/v1/traces/{}", otlp::trace_hex(1)),
        format!("/api/v1/traces/{}/spans", otlp::trace_hex(1)),
        format!("/api/v1/traces/{}/statistics", otlp::trace_hex(1)),
        "/api/v1/logs".to_owned(),
        "/api/v1/services".to_owned(),
        "/api/v1/operations".to_owned(),
        "/api/v1/histogram".to_owned(),
        "/api/v1/status".to_owned(),
        "/api/v1/facets".to_owned(),
        "/api/v1/rates".to_owned(),
        "/api/v1/graph".to_owned(),
        format!("/api/v1/compare?a={0}&b={0}", otlp::trace_hex(1)),
        "/api/v1/openapi.json".to_owned(),
        format!("/api/v1/traces/{}/download?format=jaeger", otlp::trace_hex(1)),
        "/api/services".to_owned(),
        "/api/operations?service=a".to_owned(),
        "/api/services/a/operations".to_owned(),
        "/api/traces".to_owned(),
        format!("/api/traces/{}", otlp::trace_hex(1)),
        "/api/dependencies".to_owned(),
        "/api/v3/services".to_owned(),
        "/api/v3/operations?service=a".to_owned(),
        format!("/api/v3/traces/{}", otlp::trace_hex(1)),
        "/api/v3/trace-summaries?query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2027-01-01T00:00:00Z".to_owned(),
        format!("{}.json", trace()),
        format!("{}/logs.json", trace()),
        format!("{}.json?format=jaeger", trace()),
    ] {
        let answer = site.get(&path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        answer.json();
    }
}
