//! Rates and the graph of services.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    EPOCH, MS, SECOND,
    shop::{is_whole, shop, violation},
};
use log_tracer_proto::v1;
use log_tracer_store::Sketch;

const MINUTE: u64 = 60 * SECOND;
/// 2023-11-14T22:13:00Z, where the minute of the shop begins.
const FIRST: u64 = EPOCH / MINUTE * MINUTE;

fn range() -> Option<v1::TimeRange> {
    Some(v1::TimeRange {
        start_unix_nano: EPOCH,
        end_unix_nano: EPOCH + 3 * SECOND,
    })
}

fn ask(group: v1::RateGroup) -> v1::RatesRequest {
    v1::RatesRequest {
        range: range(),
        group: group.into(),
        quantiles: vec![0.5, 1.0],
        with_sketches: true,
        ..v1::RatesRequest::default()
    }
}

#[tokio::test]
async fn rates_count_spans_and_errors_and_say_which_minutes_they_are_of() {
    let mut harness = shop().await;
    let found = harness
        .client
        .rates(ask(v1::RateGroup::Service))
        .await
        .unwrap()
        .into_inner();
    assert!(is_whole(found.coverage.as_ref()));
    assert_eq!(
        found.range,
        Some(v1::TimeRange {
            start_unix_nano: FIRST,
            end_unix_nano: FIRST + MINUTE,
        })
    );
    let services: Vec<_> = found
        .series
        .iter()
        .map(|one| {
            let total = one.total.clone().unwrap();
            (
                one.service.as_str(),
                total.count,
                total.errors,
                total.sum_nano,
            )
        })
        .collect();
    assert_eq!(
        services,
        [
            ("cart", 2, 0, 85 * MS),
            ("payment", 1, 1, 50 * MS),
            ("web", 1, 0, 100 * MS)
        ]
    );
    let cart = found.series[0].total.clone().unwrap();
    assert_eq!((cart.min_nano, cart.max_nano), (5 * MS, 80 * MS));
    assert_eq!(cart.quantiles_nano, [5 * MS, 80 * MS]);
    assert!(found.series[0].operation.is_none() && found.series[0].kind.is_none());
    assert!(found.series[0].steps.is_empty());
}

#[tokio::test]
async fn sketches_of_two_answers_add_up_to_one_of_both() {
    let mut harness = shop().await;
    let found = harness
        .client
        .rates(ask(v1::RateGroup::Service))
        .await
        .unwrap()
        .into_inner();
    let mut all = Sketch::default();
    for one in &found.series {
        all.merge(&Sketch::from_bytes(&one.total.as_ref().unwrap().sketch).unwrap());
    }
    assert_eq!((all.count(), all.sum_nano()), (4, 235 * MS));
    assert_eq!(
        (all.min_nano(), all.max_nano()),
        (Some(5 * MS), Some(100 * MS))
    );
    assert!(all.quantile(0.5).unwrap().abs_diff(50 * MS) <= MS / 2);
}

#[tokio::test]
async fn rates_of_one_operation_come_in_steps() {
    let mut harness = shop().await;
    let found = harness
        .client
        .rates(v1::RatesRequest {
            step_nano: 5 * MINUTE,
            service: "cart".to_owned(),
            operation: Some("checkout".to_owned()),
            ..ask(v1::RateGroup::OperationAndKind)
        })
        .await
        .unwrap()
        .into_inner();
    let [one] = found.series.as_slice() else {
        panic!("{:?}", found.series)
    };
    assert_eq!(one.operation.as_deref(), Some("checkout"));
    assert_eq!(
        one.kind(),
        log_tracer_proto::otlp::trace::span::SpanKind::Server
    );
    let [step] = one.steps.as_slice() else {
        panic!("{:?}", one.steps)
    };
    assert_eq!(step.start_unix_nano, EPOCH / (5 * MINUTE) * (5 * MINUTE));
    assert_eq!(step.rate, one.total);
}

#[tokio::test]
async fn the_graph_shows_who_calls_whom() {
    let mut harness = shop().await;
    let request = v1::ServiceGraphRequest {
        range: range(),
        quantiles: vec![0.99],
        with_sketches: false,
    };
    let found = harness
        .client
        .service_graph(request)
        .await
        .unwrap()
        .into_inner();
    assert!(is_whole(found.coverage.as_ref()));
    assert_eq!((found.unresolved, found.unlisted), (0, 0));
    let node = |node: &Option<v1::GraphNode>| {
        let node = node.clone().unwrap();
        assert_eq!(node.kind(), v1::NodeKind::Service);
        node.name
    };
    let edges: Vec<_> = found
        .edges
        .iter()
        .map(|edge| {
            let calls = edge.calls.clone().unwrap();
            assert!(calls.sketch.is_empty());
            (
                node(&edge.caller),
                node(&edge.callee),
                calls.count,
                calls.errors,
                calls.quantiles_nano,
            )
        })
        .collect();
    let edge = |from: &str, to: &str, errors, nano| {
        (from.to_owned(), to.to_owned(), 1, errors, vec![nano])
    };
    assert_eq!(
        edges,
        [
            edge("cart", "payment", 1, 50 * MS),
            edge("web", "cart", 0, 80 * MS)
        ]
    );
}

#[tokio::test]
async fn requests_that_cannot_be_answered_name_the_field() {
    let mut harness = shop().await;
    let whole = ask(v1::RateGroup::Service);
    let refused = [
        (
            "step_nano",
            v1::RatesRequest {
                step_nano: SECOND,
                ..whole.clone()
            },
        ),
        (
            "range",
            v1::RatesRequest {
                range: None,
                step_nano: MINUTE,
                ..whole.clone()
            },
        ),
        (
            "quantiles",
            v1::RatesRequest {
                quantiles: vec![99.0],
                ..whole.clone()
            },
        ),
        (
            "quantiles",
            v1::RatesRequest {
                quantiles: vec![f64::NAN],
                ..whole.clone()
            },
        ),
        (
            "quantiles",
            v1::RatesRequest {
                quantiles: vec![0.5; 17],
                ..whole.clone()
            },
        ),
        (
            "group",
            v1::RatesRequest {
                group: 7,
                ..whole.clone()
            },
        ),
    ];
    for (field, request) in refused {
        let status = harness.client.rates(request).await.unwrap_err();
        assert_eq!(violation(&status).0, field);
    }
    let far = v1::TimeRange {
        start_unix_nano: 0,
        end_unix_nano: EPOCH,
    };
    let status = harness
        .client
        .rates(v1::RatesRequest {
            range: Some(far),
            step_nano: MINUTE,
            ..whole
        })
        .await
        .unwrap_err();
    assert_eq!(violation(&status).0, "step_nano");
}

#[tokio::test]
async fn what_is_over_the_limit_is_left_out_and_said() {
    let mut config = log_tracer_consumer::Config::default();
    config.query.rate_series_max = 1;
    config.query.graph_edges_max = 1;
    let mut harness = common::shop::shop_with(config).await;
    let found = harness
        .client
        .rates(ask(v1::RateGroup::Service))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.series.len(), 1);
    assert_eq!(found.series[0].service, "cart", "the most spans");
    let coverage = found.coverage.unwrap();
    assert!(
        coverage.partial && coverage.reasons[0].contains("2 series"),
        "{coverage:?}"
    );
    let found = harness
        .client
        .service_graph(v1::ServiceGraphRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.edges.len(), 1);
    assert!(found.coverage.unwrap().partial);
}
