//! A trace is saved as a file, and a file is opened and looked at.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    Answer, Site,
    canned::Canned,
    otlp::{error, id_hex, logs, record, span, spans, trace_hex},
    real::Real,
};
use http::{Method, StatusCode};
use log_tracer_dashboard::Config;
use log_tracer_proto::json::traces_to_json;

const FORM: &str = "multipart/form-data; boundary=XX";

fn form(name: &str, content: &str) -> String {
    format!(
        "--XX\r\ncontent-disposition: form-data; name=\"other\"\r\n\r\n1\r\n--XX\r\ncontent-disposition: form-data; \
         name=\"file\"; filename=\"{name}\"\r\ncontent-type: application/json\r\n\r\n{content}\r\n--XX--\r\n"
    )
}

async fn open(site: &Site, name: &str, content: &str) -> Answer {
    site.post("/open", FORM, form(name, content)).await
}

async fn shop() -> Real {
    let real = Real::start().await;
    real.send(
        vec![spans(
            "web",
            vec![
                span(1, 1, 0, (0, 100)),
                error(span(1, 2, 1, (10, 50)), "refused"),
            ],
        )],
        vec![logs("web", vec![record(1, 2, 30, 17, "no cups left")])],
    )
    .await;
    real
}

#[tokio::test]
async fn a_trace_that_was_saved_looks_the_same_when_it_is_opened() {
    let real = shop().await;
    let id = trace_hex(1);
    for (saved, has_logs) in [
        (format!("/trace/{id}.json"), false),
        (format!("/trace/{id}.json?format=otlp"), false),
        (format!("/trace/{id}.json?format=jaeger"), true),
        (format!("/api/v1/traces/{id}"), true),
        (format!("/api/v1/traces/{id}/download?format=jaeger"), true),
        (format!("/api/v3/traces/{id}"), false),
        (format!("/api/traces/{id}"), true),
    ] {
        let file = real.site.get(&saved).await;
        assert_eq!(file.status, StatusCode::OK, "{saved}");
        // Elsewhere, where nothing is stored.
        let other = Site::start(Canned::default().serve().await).await;
        let answer = open(&other, "trace.json", &file.text()).await;
        assert_eq!(
            answer.status,
            StatusCode::SEE_OTHER,
            "{saved}: {}",
            answer.text()
        );
        let place = answer.header("location").to_owned();
        assert!(
            !place.contains(&id),
            "a file does not stand in the place of what is stored"
        );
        let page = other.page(&place).await;
        for shown in ["operation 1", "operation 2", "trace.json", &id] {
            assert!(page.contains(shown), "{shown} of {saved}");
        }
        // Every view of it, and its download, works as with a stored one.
        for view in [
            "?fold=open",
            "?tab=logs",
            "?tab=spans",
            "?tab=operations",
            "/spans.csv",
            "?f=status:error",
            ".json",
            ".json?format=jaeger",
        ] {
            assert_eq!(
                other.get(&format!("{place}{view}")).await.status,
                StatusCode::OK,
                "{view}"
            );
        }
        let span = other.page(&format!("{place}?span={}", id_hex(2))).await;
        assert!(span.contains("refused"), "{saved}");
        assert_eq!(span.contains("no cups left"), has_logs, "{saved}");
    }
}

#[tokio::test]
async fn a_download_has_a_name_and_a_known_format() {
    let real = shop().await;
    let path = format!("/trace/{}.json", trace_hex(1));
    let answer = real.site.get(&format!("{path}?format=jaeger")).await;
    let name = format!(
        "attachment; filename=\"trace-{}-jaeger.json\"",
        trace_hex(1)
    );
    assert_eq!(answer.header("content-disposition"), name);
    assert_eq!(
        answer.json()["data"][0]["spans"].as_array().unwrap().len(),
        2
    );
    assert_eq!(
        real.site.get(&format!("{path}?format=xml")).await.status,
        StatusCode::BAD_REQUEST
    );
    let missing = format!("/trace/{}.json?format=jaeger", trace_hex(9));
    assert_eq!(real.site.get(&missing).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_file_with_several_traces_lists_them() {
    let site = Site::start(Canned::default().serve().await).await;
    let file = traces_to_json(&[spans(
        "web",
        vec![span(1, 1, 0, (0, 1)), span(2, 1, 0, (0, 1))],
    )]);
    let answer = open(&site, "two.json", &file).await;
    assert_eq!(answer.status, StatusCode::OK);
    let page = answer.text();
    assert!(
        page.contains("two.json") && page.contains(&trace_hex(1)) && page.contains(&trace_hex(2))
    );
    let places: Vec<String> = common::html::links(&page, "/open")
        .into_iter()
        .filter(|link| link.starts_with("/trace/"))
        .collect();
    assert_eq!(places.len(), 2);
    for place in places {
        site.page(&place).await;
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_with_the_reason() {
    let config = Config {
        upload_bytes_max: 4_096,
        ..Config::default()
    };
    let site = Site::with(config, Canned::default().serve().await, None).await;
    for (answer, status, says) in [
        (open(&site, "a.json", "").await, 400, "no file was chosen"),
        (open(&site, "a.json", "hello").await, 400, "not JSON"),
        (open(&site, "a.json", "{}").await, 400, "neither OTLP"),
        (
            open(&site, "a.json", &"x".repeat(5_000)).await,
            413,
            "not taken",
        ),
        (
            site.post("/open", "text/plain", "{}").await,
            400,
            "multipart/form-data",
        ),
        (
            site.post("/open", FORM, "--XX\r\nbroken").await,
            400,
            "form cannot be read",
        ),
        (
            site.post("/open", "multipart/form-data", "").await,
            400,
            "multipart/form-data",
        ),
        (site.request(Method::PUT, "/open", &[]).await, 405, "method"),
    ] {
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
    }
    let cross = [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    assert_eq!(
        site.request(Method::POST, "/open", &cross).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_program_sends_the_file_as_it_is() {
    let site = Site::start(Canned::default().serve().await).await;
    let file = traces_to_json(&[spans("web", vec![span(1, 1, 0, (0, 1))])]);
    let answer = site
        .post("/open", "application/json; charset=utf-8", file)
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(
        site.page(answer.header("location"))
            .await
            .contains("operation 1")
    );
}

#[tokio::test]
async fn the_form_works_without_a_script() {
    let site = Site::start(Canned::default().serve().await).await;
    let page = site.page("/open").await;
    assert!(page.contains(
        "<form class=\"upload\" method=\"post\" action=\"/open\" enctype=\"multipart/form-data\">"
    ));
    assert!(page.contains("type=\"file\" name=\"file\""));
    assert!(site.page("/traces").await.contains("href=\"/open\""));
}
