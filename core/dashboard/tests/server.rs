//! What holds for every answer: headers, checks of where a request comes from, methods, faults of the consumer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::{io::Read, time::Duration};

use common::{Answer, Site, canned::Canned};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use log_tracer_dashboard::Config;
use log_tracer_proto::v1::{ListServicesResponse, ServiceInfo, TailResponse};
use tonic::{Status, transport::Endpoint};

const ADDRESSES: [&str; 17] = [
    "/",
    "/traces",
    "/trace/5b8efff798038103d269b633813fc60c",
    "/trace/5b8efff798038103d269b633813fc60c.json",
    "/trace/5b8efff798038103d269b633813fc60c/logs.json",
    "/trace/nonsense",
    "/logs",
    "/logs/live",
    "/traces/live",
    "/pipeline",
    "/healthz",
    "/nowhere",
    "/static/nothing.css",
    "/api/v1/traces",
    "/api/v1/services",
    "/api/v1/status",
    "/api/v1/nothing",
];

fn assert_guarded(answer: &Answer, path: &str) {
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{path}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    assert_eq!(
        answer.header("cross-origin-opener-policy"),
        "same-origin",
        "{path}"
    );
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let site = Site::start(Canned::default().serve().await).await;
    for path in ADDRESSES {
        let answer = site.get(path).await;
        assert_guarded(&answer, path);
        assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    let refused = site
        .request(Method::GET, "/", &[("host", "evil.example")])
        .await;
    assert_guarded(&refused, "another host");
    let refused = site.request(Method::DELETE, "/traces", &[]).await;
    assert_guarded(&refused, "another method");
}

#[tokio::test]
async fn another_host_name_is_answered_only_when_it_is_allowed() {
    let site = Site::start(Canned::default().serve().await).await;
    let ask = async |site: &Site, host: &str| {
        site.request(Method::GET, "/traces", &[("host", host)])
            .await
            .status
    };
    assert_eq!(ask(&site, "localhost:1234").await, StatusCode::OK);
    assert_eq!(
        ask(&site, "evil.example").await,
        StatusCode::MISDIRECTED_REQUEST
    );
    let probe = site
        .request(Method::GET, "/healthz", &[("host", "any.name")])
        .await;
    assert_eq!(probe.status, StatusCode::OK);

    let config = Config {
        allowed_hosts: vec!["tracer.example".to_owned()],
        ..Config::default()
    };
    let site = Site::with(config, Canned::default().serve().await, None).await;
    assert_eq!(ask(&site, "tracer.example:8080").await, StatusCode::OK);
}

#[tokio::test]
async fn a_post_from_another_site_is_refused() {
    let site = Site::start(Canned::default().serve().await).await;
    let post = async |headers: &[(&str, &str)]| {
        site.request(Method::POST, "/theme?to=dark&back=/logs", headers)
            .await
    };
    let own = format!("http://{}", site.authority);
    assert_eq!(
        post(&[("origin", "https://evil.example")]).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post(&[("sec-fetch-site", "cross-site")]).await.status,
        StatusCode::FORBIDDEN
    );
    let answer = post(&[("origin", &own), ("sec-fetch-site", "same-origin")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.header("location"), "/logs");
    assert!(
        answer
            .header("set-cookie")
            .starts_with("log-tracer-theme=dark")
    );
    let page = site
        .request(
            Method::GET,
            "/traces",
            &[("cookie", "log-tracer-theme=dark")],
        )
        .await;
    assert!(page.text().contains("data-theme=\"dark\""));
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_allowed_say_so() {
    let site = Site::start(Canned::default().serve().await).await;
    for (method, path, status) in [
        (Method::GET, "/nowhere", StatusCode::NOT_FOUND),
        (Method::GET, "/trace/xyz", StatusCode::NOT_FOUND),
        (
            Method::GET,
            "/trace/5b8efff798038103d269b633813fc60c",
            StatusCode::NOT_FOUND,
        ),
        (Method::POST, "/traces", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/sample", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/sample", StatusCode::NOT_FOUND),
        (Method::GET, "/traces?limit=many", StatusCode::BAD_REQUEST),
        (
            Method::GET,
            "/traces?q=status%3Aeror",
            StatusCode::BAD_REQUEST,
        ),
        (Method::GET, "/logs?q=%28", StatusCode::BAD_REQUEST),
        (Method::GET, "/logs?around=1-2", StatusCode::BAD_REQUEST),
        (Method::POST, "/theme?to=pink", StatusCode::BAD_REQUEST),
    ] {
        let answer = site.request(method.clone(), path, &[]).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(
            answer.text().contains("<title>"),
            "{method} {path} is a page"
        );
    }
    let answer = site.request(Method::POST, "/logs", &[]).await;
    assert_eq!(answer.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn the_interface_answers_faults_as_json() {
    let site = Site::start(Canned::default().serve().await).await;
    for (path, status) in [
        ("/api/v1/nothing", 404),
        ("/api/v1/traces/xyz", 404),
        ("/api/v1/traces?q=status%3Aeror", 400),
        ("/api/v1/logs?limit=-1", 400),
        ("/api/v1/histogram?signal=sounds", 400),
        ("/api/v1/histogram?range=1h&step=1ns", 400),
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert_eq!(answer.json()["error"]["status"], status, "{path}");
        assert!(answer.json()["error"]["message"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let site = Site::start(Canned::default().serve().await).await;
    for path in [
        "/?x=1",
        "/traces?utm=a&limit=20",
        "/logs?x",
        "/pipeline?%ff=%fe",
    ] {
        assert_eq!(site.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn while_the_consumer_is_away_pages_ask_to_try_again() {
    // Nothing listens there.
    let query = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let site = Site::start(query).await;
    for path in [
        "/",
        "/traces",
        "/logs",
        "/logs/live",
        "/traces/live",
        "/traces/tail",
        "/pipeline",
        "/api/v1/services",
        "/logs/tail",
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.header("retry-after"), "2", "{path}");
        assert!(
            !answer.text().contains("tcp"),
            "{path} keeps the details to itself"
        );
    }
    assert_eq!(site.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_of_the_consumer_keeps_its_meaning() {
    for (refusal, status) in [
        (
            Status::resource_exhausted("too many queries"),
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            Status::deadline_exceeded("slow"),
            StatusCode::GATEWAY_TIMEOUT,
        ),
        (Status::internal("broken"), StatusCode::BAD_GATEWAY),
        (
            Status::invalid_argument("column 3"),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let canned = Canned {
            refusal: Some(refusal),
            ..Canned::default()
        };
        let site = Site::start(canned.serve().await).await;
        assert_eq!(site.get("/traces").await.status, status);
    }
}

#[tokio::test]
async fn a_consumer_that_does_not_answer_costs_the_deadline_and_no_more() {
    let canned = Canned {
        delay: Duration::from_secs(600),
        ..Canned::default()
    };
    let config = Config {
        query_deadline_ms: 50,
        ..Config::default()
    };
    let site = Site::with(config, canned.serve().await, None).await;
    assert_eq!(site.get("/logs").await.status, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn pages_are_compressed_for_those_who_ask() {
    let site = Site::start(Canned::default().serve().await).await;
    let plain = site.get("/traces").await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed = site
        .request(Method::GET, "/traces", &[("accept-encoding", "br, gzip")])
        .await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() * 2 < plain.body.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, plain.text());
}

#[tokio::test]
async fn a_head_request_gets_the_headers_alone() {
    let site = Site::start(Canned::default().serve().await).await;
    let answer = site.request(Method::HEAD, "/traces", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn static_files_may_be_kept_for_ever_and_pages_not() {
    let site = Site::start(Canned::default().serve().await).await;
    let page = site.get("/traces").await;
    assert!(page.header("cache-control").contains("no-cache"));
    let files: Vec<String> = [
        common::html::attributes(&page.text(), "href"),
        common::html::attributes(&page.text(), "src"),
    ]
    .concat()
    .into_iter()
    .filter(|address| address.starts_with("/static/"))
    .collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let answer = site.get(&file).await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert!(
            answer.header("cache-control").contains("immutable"),
            "{file}"
        );
    }
}

#[tokio::test]
async fn tails_are_limited_and_end_with_the_dashboard() {
    let canned = Canned {
        services: ListServicesResponse {
            services: vec![ServiceInfo::default()],
            ..ListServicesResponse::default()
        },
        tail: vec![TailResponse {
            dropped: 7,
            ..TailResponse::default()
        }],
        ..Canned::default()
    };
    let config = Config {
        tails_max: 1,
        ..Config::default()
    };
    let mut site = Site::with(config, canned.serve().await, None).await;
    let mut first = site.send(Method::GET, "/logs/tail", &[]).await;
    assert_eq!(first.headers()["content-type"], "text/event-stream");
    let event = first
        .body_mut()
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    assert_eq!(event, "event:dropped\ndata:7\n\n");

    let second = site.get("/logs/tail").await;
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);

    site.stop();
    while let Some(frame) = first.body_mut().frame().await {
        frame.unwrap();
    }
    let served = tokio::time::timeout(Duration::from_secs(10), site.served.take().unwrap());
    served.await.unwrap().unwrap().unwrap();
}
