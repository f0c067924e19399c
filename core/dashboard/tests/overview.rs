//! The overview, the page of a service and the service map: what they say, and that they stay small.

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
    html::{attributes, links},
    otlp::{epoch, error, logs, pair, record, span, spans},
    real::Real,
};
use http::StatusCode;
use log_tracer_dashboard::Config;
use log_tracer_proto::{
    otlp::trace::{Span, span::SpanKind},
    v1::{
        GraphEdge, GraphNode, ListServicesResponse, NodeKind, Rate, RateSeries, RateStep,
        RatesResponse, ServiceGraphResponse, ServiceInfo, Signal, StatusResponse, StoreStatus,
        TimeRange,
    },
};

const MINUTE: u64 = 60_000_000_000;

/// The most that a page may weigh.
const PAGE_BYTES_MAX: usize = 100_000;

fn of_kind(kind: SpanKind, span: Span) -> Span {
    Span {
        kind: kind.into(),
        ..span
    }
}

/// A shop whose web calls a cart, which asks a database; one of the calls fails.
async fn shop() -> Real {
    let real = Real::start().await;
    let query = Span {
        attributes: vec![pair("db.system.name", "postgresql")],
        ..of_kind(SpanKind::Client, span(1, 4, 3, (6, 9)))
    };
    let cart = error(
        of_kind(SpanKind::Server, span(1, 3, 2, (5, 12))),
        "no stock",
    );
    real.send(
        vec![
            spans(
                "web",
                vec![
                    of_kind(SpanKind::Server, span(1, 1, 0, (0, 20))),
                    of_kind(SpanKind::Client, span(1, 2, 1, (4, 13))),
                ],
            ),
            spans("cart", vec![cart, query]),
        ],
        vec![logs("cart", vec![record(1, 3, 7, 17, "no stock left")])],
    )
    .await;
    real
}

#[tokio::test]
async fn every_service_stands_with_its_rate_errors_and_durations() {
    let real = shop().await;
    let page = real.site.page("/").await;
    for text in [
        "/service?name=cart",
        "50%",
        "/traces?service=cart&amp;q=status%3Aerror",
        "/logs?service=cart&amp;level=error",
        "Everything acknowledged can be found",
        "no lag",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // The services, two of them, and a head of the table that is sorted by rate.
    assert_eq!(page.matches("<th scope=\"row\">").count(), 2);
    assert!(page.contains("aria-sort=\"descending\"><a href=\"/#services\">Rate"));
    assert!(page.contains("Nothing is kept from before this range"));
}

#[tokio::test]
async fn a_range_without_spans_says_so_and_leads_on() {
    let real = shop().await;
    let page = real
        .site
        .page("/?from=2020-01-01T00:00&to=2020-01-01T01:00")
        .await;
    assert!(page.contains("No service sent a span in the chosen range"));
    assert!(links(&page, "/").iter().any(|link| link == "/?range=all"));
    let refused = real.site.get("/?sort=colour").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_page_of_a_service_has_its_operations_neighbours_and_error_logs() {
    let real = shop().await;
    let page = real.site.page("/service?name=cart").await;
    for text in [
        "2 operations",
        "operation 3",
        "Called by",
        "/service?name=web",
        "postgresql",
        "no stock left",
        "name%3A%22operation+3%22+kind%3Aserver",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let nobody = real.site.get("/service?name=nobody").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    let nameless = real.site.get("/service").await;
    assert_eq!(nameless.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_a_number_counts_is_found_where_it_leads() {
    let real = shop().await;
    for path in ["/", "/service?name=cart", "/map"] {
        let page = real.site.page(path).await;
        let searches: Vec<String> = links(&page, path)
            .into_iter()
            .filter(|link| link.starts_with("/traces?") || link.starts_with("/logs?"))
            .filter(|link| link.contains("service") && !link.contains("from="))
            .collect();
        assert!(searches.len() >= 2, "{path}");
        for search in searches {
            // What has nothing to show has no link; the longest span is one of those that took as long.
            let found = real.site.page(&search).await;
            let is_empty =
                found.contains("No trace matches") || found.contains("No record matches");
            let may_be_empty = search.contains("service=web") && search.contains("error")
                || search == "/logs?service=web";
            assert!(!is_empty || may_be_empty, "{search} on {path}");
        }
    }
}

#[tokio::test]
async fn the_map_has_services_databases_and_the_calls_between_them() {
    let real = shop().await;
    let page = real.site.page("/map").await;
    assert!(page.contains("2 services, 1 database"), "{page}");
    assert!(page.contains("class=\"node database"));
    assert!(page.contains("web → cart"));
    assert!(page.contains("cart → postgresql"));
    let focused = real.site.page("/map?focus=database:postgresql").await;
    assert!(focused.contains("cart → postgresql") && !focused.contains("web → cart"));
    let further = real
        .site
        .page("/map?focus=database:postgresql&depth=2")
        .await;
    assert!(further.contains("web → cart"));
    // Whoever is not there is shown alone, not refused: another range may have them.
    let absent = real.site.page("/map?focus=service:absent").await;
    assert!(absent.contains("absent") && absent.contains("no calls"));
}

fn rate(count: u64) -> Option<Rate> {
    Some(Rate {
        count,
        errors: count / 50,
        sum_nano: count * 1_000_000,
        quantiles_nano: vec![1_234_567, 34_567_890, 156_789_012],
        ..Rate::default()
    })
}

/// So many services with long names, all of them busy for an hour, and three times as many calls.
fn crowd(services: u64) -> Canned {
    let name = |number: u64| format!("team-{}/service-number-{number}", number % 7);
    let start = epoch() / MINUTE * MINUTE - 60 * MINUTE;
    let series = |number: u64| RateSeries {
        service: name(number),
        operation: Some(format!("POST /api/v1/things/{number}")),
        kind: Some(SpanKind::Server.into()),
        total: rate(1_000 + number),
        steps: (0..30)
            .map(|step| RateStep {
                start_unix_nano: start + step * 2 * MINUTE,
                rate: rate(500 + (step * 7919 + number * 104_729) % 500),
            })
            .collect(),
    };
    let node = |number: u64| {
        Some(GraphNode {
            kind: NodeKind::Service.into(),
            name: name(number),
        })
    };
    let edges = (1..services).flat_map(|number| {
        (1..4).map(move |part| GraphEdge {
            caller: node((number * part * 31) % number),
            callee: node(number),
            calls: rate(1_000 * part + number),
        })
    });
    Canned {
        services: ListServicesResponse {
            services: (0..services)
                .map(|number| ServiceInfo {
                    service: name(number),
                    span_count: 1_000,
                    last_seen_unix_nano: epoch(),
                    ..ServiceInfo::default()
                })
                .collect(),
            coverage: None,
        },
        rates: RatesResponse {
            series: (0..services).map(series).collect(),
            range: Some(TimeRange {
                start_unix_nano: start,
                end_unix_nano: start + 60 * MINUTE,
            }),
            step_nano: 2 * MINUTE,
            coverage: None,
        },
        graph: ServiceGraphResponse {
            edges: edges.collect(),
            ..ServiceGraphResponse::default()
        },
        status: StatusResponse {
            stores: vec![StoreStatus {
                signal: Signal::Spans.into(),
                rows: 1,
                oldest_unix_nano: 1,
                newest_unix_nano: epoch(),
                ..StoreStatus::default()
            }],
            ..StatusResponse::default()
        },
        ..Canned::default()
    }
}

#[tokio::test]
async fn pages_of_hundreds_of_services_stay_small_and_say_what_they_leave_out() {
    let site = Site::start(crowd(300).serve().await).await;
    let service = "/service?name=team-1%2Fservice-number-1";
    for path in ["/", "/?range=24h&sort=p95&page=4", "/map", service] {
        let page = site.page(path).await;
        assert!(page.len() < PAGE_BYTES_MAX, "{path}: {} bytes", page.len());
    }
    let page = site.page("/").await;
    assert!(page.contains("1 to 30 of 300"));
    let page = site.page("/map").await;
    assert_eq!(page.matches("<a class=\"node ").count(), 100);
    assert!(
        page.contains("200 nodes and"),
        "what is not drawn is counted"
    );
}

#[tokio::test]
async fn the_pages_of_the_table_are_all_services() {
    let site = Site::start(crowd(70).serve().await).await;
    let mut seen = std::collections::BTreeSet::new();
    let mut next = Some("/?sort=service".to_owned());
    while let Some(address) = next {
        let page = site.page(&address).await;
        let hrefs = attributes(&page, "href");
        seen.extend(
            hrefs
                .iter()
                .filter(|href| href.starts_with("/service?"))
                .cloned(),
        );
        let forward = page
            .split(" rel=\"next\"")
            .next()
            .filter(|_| page.contains("rel=\"next\""));
        next = forward.map(|before| {
            let href = attributes(before, "href").pop().unwrap();
            href.split('#').next().unwrap().to_owned()
        });
    }
    assert_eq!(seen.len(), 70);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_consumer_with_its_default_limits_refuses_none_of_many_visitors() {
    // However slow the machine is: this is about what a consumer refuses.
    let patient = Config {
        query_deadline_ms: 120_000,
        ..Config::default()
    };
    let real = Real::with(patient, log_tracer_consumer::Config::default()).await;
    let all = (1..=50).map(|trace| span(trace, 1, 0, (0, 9))).collect();
    real.send(
        vec![spans("web", all)],
        vec![logs("web", vec![record(0, 0, 1, 17, "failed")])],
    )
    .await;
    // Seven questions each, far more together than the 72 that a consumer takes.
    let visits = (0..120).map(|_| real.site.get("/"));
    for answer in futures_util::future::join_all(visits).await {
        assert_eq!(answer.status, http::StatusCode::OK, "{}", answer.text());
    }
}
