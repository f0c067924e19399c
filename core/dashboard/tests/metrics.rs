//! `/metrics` as Prometheus scrapes it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::collections::BTreeMap;

use common::{
    Site,
    canned::Canned,
    otlp::{logs, record, span, spans},
    real::Real,
};
use http::{Method, StatusCode};
use log_tracer_dashboard::Config;
use log_tracer_proto::v1::{Rate, RateSeries, RatesResponse, TimeRange};

/// The samples of a page.
async fn scrape(site: &Site) -> BTreeMap<String, f64> {
    let answer = site.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    answer
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn the_consumer_tells_what_it_holds_and_how_far_it_is() {
    let real = Real::start().await;
    real.send(
        vec![spans(
            "web",
            vec![span(1, 1, 0, (0, 10)), span(1, 2, 1, (1, 2))],
        )],
        vec![logs("web", vec![record(1, 1, 5, 9, "hello")])],
    )
    .await;
    let samples = scrape(&real.site).await;
    assert_eq!(samples["log_tracer_dashboard_consumer_up"], 1.0);
    assert_eq!(samples["log_tracer_store_rows{signal=\"spans\"}"], 2.0);
    assert_eq!(
        samples["log_tracer_store_applied_rows_total{signal=\"logs\"}"],
        1.0
    );
    assert_eq!(
        samples["log_tracer_partition_lag_envelopes{partition=\"0\"}"],
        0.0
    );
    assert_eq!(
        samples["log_tracer_transport_healthy{transport=\"channel\"}"],
        1.0
    );
    // Services are written only when they are asked for.
    assert!(
        !samples
            .keys()
            .any(|name| name.starts_with("log_tracer_service_"))
    );
}

#[tokio::test]
async fn requests_are_counted_by_the_template_of_their_address() {
    let site = Site::start(Canned::default().serve().await).await;
    for number in 0..5 {
        site.get(&format!("/trace/{number:032x}")).await;
        site.get(&format!("/made-up/{number}")).await;
        site.get(&format!("/api/services/{number}/operations"))
            .await;
    }
    site.request(Method::PUT, "/traces", &[]).await;
    let samples = scrape(&site).await;
    let count = |route: &str, method: &str, status: u16| {
        let name = format!(
            "log_tracer_dashboard_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}"
        );
        samples.get(&name).copied()
    };
    assert_eq!(
        count("/api/services/{service}/operations", "GET", 200),
        Some(5.0)
    );
    assert_eq!(count("/traces", "PUT", 405), Some(1.0));
    // What does not exist is counted together, so that nobody can make the page grow.
    assert_eq!(count("other", "GET", 404), Some(10.0));
    let took = "log_tracer_dashboard_http_request_duration_seconds_count{route=\"/api/services/{service}/operations\"}";
    assert_eq!(samples[took], 5.0);
    // The page counts itself from the second time on.
    let series = scrape(&site).await.len();
    for number in 0..50 {
        site.get(&format!("/other-{number}?x={number}")).await;
    }
    assert_eq!(scrape(&site).await.len(), series);
}

#[tokio::test]
async fn a_consumer_that_is_away_is_said_and_is_no_fault_of_the_page() {
    let canned = Canned {
        refusal: Some(tonic::Status::unavailable("gone")),
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let samples = scrape(&site).await;
    assert_eq!(samples["log_tracer_dashboard_consumer_up"], 0.0);
    assert!(!samples.contains_key("log_tracer_consumer_healthy"));
}

#[tokio::test]
async fn services_have_rate_errors_and_durations_when_they_are_asked_for() {
    let minute = 60_000_000_000;
    let canned = Canned {
        rates: RatesResponse {
            series: vec![RateSeries {
                service: "web \"1\"".to_owned(),
                total: Some(Rate {
                    count: 600,
                    errors: 150,
                    quantiles_nano: vec![1_000_000, 2_000_000, 3_500_000_000],
                    ..Rate::default()
                }),
                ..RateSeries::default()
            }],
            range: Some(TimeRange {
                start_unix_nano: minute,
                end_unix_nano: 6 * minute,
            }),
            ..RatesResponse::default()
        },
        ..Canned::default()
    };
    let config = Config {
        metrics_of_services: true,
        ..Config::default()
    };
    let site = Site::with(config, canned.serve().await, None).await;
    let samples = scrape(&site).await;
    let of = |name: &str| samples[&format!("log_tracer_service_{name}")];
    assert_eq!(of("spans_per_second{service=\"web \\\"1\\\"\"}"), 2.0);
    assert_eq!(of("errors_ratio{service=\"web \\\"1\\\"\"}"), 0.25);
    assert_eq!(
        of("duration_seconds{service=\"web \\\"1\\\"\",percentile=\"99\"}"),
        3.5
    );
}

#[tokio::test]
async fn openmetrics_is_spoken_with_those_who_prefer_it() {
    let site = Site::start(Canned::default().serve().await).await;
    let accept = [(
        "accept",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    )];
    let answer = site.request(Method::GET, "/metrics", &accept).await;
    assert_eq!(
        answer.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(answer.text().ends_with("# EOF\n"));
}
