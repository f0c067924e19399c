//! Logs, histograms, facets, services, operations and the status, with every answer to the last value.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::collections::BTreeMap;

use common::{
    EPOCH, MS, SECOND, body, record, resource, scope,
    shop::{error, in_trace, is_whole, shop},
};
use log_tracer_proto::{otlp::trace::span::SpanKind, v1};

#[tokio::test]
async fn logs_are_found_with_their_keys_resources_and_scopes() {
    let mut harness = shop().await;
    let found = harness
        .client
        .search_logs(v1::SearchLogsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(is_whole(found.coverage.as_ref()));
    assert!(found.next.is_none());
    let bodies: Vec<_> = found
        .hits
        .iter()
        .map(|hit| body(hit.record.as_ref().unwrap()))
        .collect();
    assert_eq!(bodies, ["started", "card declined", "calling the bank"]);
    let keys: Vec<_> = found.hits.iter().map(|hit| hit.key.unwrap()).collect();
    let key = |at_ms: u64, index| v1::RecordKey {
        time_unix_nano: EPOCH + at_ms * MS,
        partition: 0,
        offset: 3,
        index,
    };
    assert_eq!(keys, [key(2_000, 2), key(60, 1), key(25, 0)]);
    assert_eq!(found.resources.len(), 2);
    assert_eq!(found.scopes.len(), 1);
    assert_eq!(found.scopes[0].scope, Some(scope()));
    let services: Vec<_> = found
        .hits
        .iter()
        .map(|hit| {
            let entry = &found.resources[hit.resource as usize];
            assert_eq!(entry.resource, Some(resource(&entry.service)));
            assert_eq!(hit.scope, 0);
            entry.service.as_str()
        })
        .collect();
    assert_eq!(services, ["cart", "payment", "payment"]);
    assert_eq!(
        found.hits[1].record,
        Some(in_trace(error(record("card declined", 60)), 1, 3))
    );
}

#[tokio::test]
async fn logs_are_paged_in_both_directions() {
    let mut harness = shop().await;
    for oldest_first in [false, true] {
        let mut bodies = Vec::new();
        let mut after = None;
        for _ in 0..4 {
            let page = harness
                .client
                .search_logs(v1::SearchLogsRequest {
                    limit: 1,
                    after,
                    oldest_first,
                    ..v1::SearchLogsRequest::default()
                })
                .await
                .unwrap()
                .into_inner();
            bodies.extend(
                page.hits
                    .iter()
                    .map(|hit| body(hit.record.as_ref().unwrap())),
            );
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if oldest_first {
            bodies.reverse();
        }
        assert_eq!(bodies, ["started", "card declined", "calling the bank"]);
    }
}

#[tokio::test]
async fn a_histogram_counts_by_step_and_level() {
    let mut harness = shop().await;
    let response = harness
        .client
        .histogram(v1::HistogramRequest {
            signal: v1::Signal::Logs as i32,
            query: String::new(),
            range: Some(v1::TimeRange {
                start_unix_nano: EPOCH,
                end_unix_nano: EPOCH + 3 * SECOND,
            }),
            step_nano: SECOND,
            group: v1::HistogramGroup::Level as i32,
            records_max: 0,
        })
        .await
        .unwrap()
        .into_inner();
    assert!(is_whole(response.coverage.as_ref()));
    assert_eq!(response.start_unix_nano, EPOCH);
    assert_eq!(response.step_nano, SECOND);
    let series: BTreeMap<_, _> = response
        .series
        .into_iter()
        .map(|one| (one.group, one.counts))
        .collect();
    let expected: BTreeMap<_, _> = [
        ("error".to_owned(), vec![1, 0, 0]),
        ("info".to_owned(), vec![1, 0, 1]),
    ]
    .into();
    assert_eq!(series, expected);
}

#[tokio::test]
async fn a_heat_map_counts_spans_and_traces_by_start_and_duration() {
    let mut harness = shop().await;
    let request = |of: v1::HeatmapOf| v1::DurationHeatmapRequest {
        of: of.into(),
        range: Some(v1::TimeRange {
            start_unix_nano: EPOCH,
            end_unix_nano: EPOCH + 3 * SECOND,
        }),
        step_nano: SECOND,
        buckets_per_octave: 1,
        ..v1::DurationHeatmapRequest::default()
    };
    let step = |start_unix_nano, first_bucket, counts: &[u64], errors: &[u64]| v1::HeatmapStep {
        start_unix_nano,
        first_bucket,
        counts: counts.to_vec(),
        errors: errors.to_vec(),
    };
    // 5, 50, 80 and 100 ms lie in the octaves from 2^22, 2^25, 2^26 and 2^26 ns.
    let later = step(EPOCH + SECOND, 23, &[1], &[0]);
    for (of, expected, matched) in [
        (
            v1::HeatmapOf::Spans,
            vec![step(EPOCH, 26, &[1, 2], &[1, 0]), later.clone()],
            4,
        ),
        (
            v1::HeatmapOf::Traces,
            vec![step(EPOCH, 27, &[1], &[1]), later],
            2,
        ),
    ] {
        let answer = harness.client.duration_heatmap(request(of)).await;
        let answer = answer.unwrap().into_inner();
        assert!(is_whole(answer.coverage.as_ref()));
        assert_eq!(answer.coverage.unwrap().matched, matched);
        assert_eq!(answer.steps, expected);
        assert_eq!((answer.step_nano, answer.buckets_per_octave), (SECOND, 1));
        assert_eq!(answer.first_bucket, 23);
        let edges: Vec<u64> = (22..=27).map(|octave| 1 << octave).collect();
        assert_eq!(answer.edges_nano, edges);
    }
    let nothing = v1::DurationHeatmapRequest {
        query: "nosuchword".to_owned(),
        ..request(v1::HeatmapOf::Traces)
    };
    let answer = harness.client.duration_heatmap(nothing).await;
    let answer = answer.unwrap().into_inner();
    assert!(answer.steps.is_empty() && answer.edges_nano.is_empty());
}

#[tokio::test]
async fn facets_list_the_most_frequent_values_first() {
    let mut harness = shop().await;
    let response = harness
        .client
        .facets(v1::FacetsRequest {
            signal: v1::Signal::Spans as i32,
            fields: vec!["service".to_owned(), "status".to_owned()],
            values_max: 2,
            ..v1::FacetsRequest::default()
        })
        .await
        .unwrap()
        .into_inner();
    let value = |value: &str, count| v1::FacetValue {
        value: value.to_owned(),
        count,
    };
    assert_eq!(
        response.facets,
        [
            v1::Facet {
                field: "service".to_owned(),
                values: vec![value("cart", 2), value("payment", 1)],
                other_count: 1,
            },
            v1::Facet {
                field: "status".to_owned(),
                values: vec![value("unset", 3), value("error", 1)],
                other_count: 0,
            },
        ]
    );
}

#[tokio::test]
async fn services_and_operations_are_listed_with_their_counts() {
    let mut harness = shop().await;
    let services = harness
        .client
        .list_services(v1::ListServicesRequest {})
        .await
        .unwrap()
        .into_inner();
    let info =
        |service: &str, spans, logs, span_errors, log_errors, seen_ms: u64| v1::ServiceInfo {
            service: service.to_owned(),
            span_count: spans,
            log_count: logs,
            error_span_count: span_errors,
            error_log_count: log_errors,
            last_seen_unix_nano: EPOCH + seen_ms * MS,
        };
    assert_eq!(
        services.services,
        [
            info("cart", 2, 1, 0, 0, 2_000),
            info("payment", 1, 2, 1, 1, 60),
            info("web", 1, 0, 0, 0, 0),
        ]
    );

    let operation = |service: &str, name: &str| v1::OperationInfo {
        service: service.to_owned(),
        name: name.to_owned(),
        kind: SpanKind::Server as i32,
        span_count: 1,
    };
    let mut list = async |service: &str| {
        let service = service.to_owned();
        let request = v1::ListOperationsRequest { service };
        let response = harness.client.list_operations(request).await.unwrap();
        let mut operations = response.into_inner().operations;
        operations.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        operations
    };
    assert_eq!(
        list("cart").await,
        [operation("cart", "checkout"), operation("cart", "view")]
    );
    assert_eq!(list("").await.len(), 4);
    assert_eq!(list("nobody").await, []);
}

#[tokio::test]
async fn the_status_tells_what_is_held_and_promised() {
    let mut harness = shop().await;
    let status = harness.status().await;
    assert_eq!(status.name, "consumer");
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert!(status.started_unix_nano > EPOCH);
    assert_eq!(status.health, "ready");

    let transport = status.transport.unwrap();
    assert_eq!(transport.kind, "channel");
    assert_eq!(transport.health, "ready");
    assert!(
        !transport.survives_process_crash
            && !transport.survives_os_crash
            && !transport.survives_node_loss
    );
    assert_eq!(
        transport.durability,
        "An acked record is in memory only: it is gone when the process ends."
    );

    assert_eq!(status.partitions.len(), 1);
    let partition = &status.partitions[0];
    assert_eq!(
        (
            partition.partition,
            partition.applied_next,
            partition.log_end
        ),
        (0, 4, 4)
    );
    assert!(partition.log_bytes > 0);
    assert_eq!(
        (partition.health.as_str(), partition.lost_offsets),
        ("ready", 0)
    );

    let [of_spans, of_logs] = status.stores.as_slice() else {
        panic!("{:?}", status.stores)
    };
    assert_eq!(
        (of_spans.signal(), of_spans.rows, of_spans.applied_rows),
        (v1::Signal::Spans, 4, 4)
    );
    assert_eq!(
        (of_logs.signal(), of_logs.rows, of_logs.applied_rows),
        (v1::Signal::Logs, 3, 3)
    );
    assert!(of_spans.bytes > 0 && of_spans.bytes < of_spans.bytes_max);
    assert_eq!(of_logs.oldest_unix_nano, EPOCH + 25 * MS);
    assert_eq!(of_logs.newest_unix_nano, EPOCH + 2 * SECOND);
    assert_eq!(
        (status.duplicate_envelopes, status.quarantined_envelopes),
        (0, 0)
    );
    assert_eq!(
        (
            status.running_queries,
            status.running_queries_max,
            status.tail_readers
        ),
        (0, 8, 0)
    );
}
