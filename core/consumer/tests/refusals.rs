//! Requests that cannot be answered, and how the field at fault is named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    EPOCH, MS, SECOND,
    shop::{shop, violation},
};
use log_tracer_proto::v1;

#[tokio::test]
async fn a_query_that_cannot_be_read_is_pointed_at() {
    let mut harness = shop().await;
    let query = "service:cart duration>".to_owned();
    let expected = log_tracer_query::parse(&query).unwrap_err();
    let refusals = [
        harness
            .client
            .search_traces(v1::SearchTracesRequest {
                query: query.clone(),
                ..v1::SearchTracesRequest::default()
            })
            .await
            .unwrap_err(),
        harness
            .client
            .search_logs(v1::SearchLogsRequest {
                query: query.clone(),
                ..v1::SearchLogsRequest::default()
            })
            .await
            .unwrap_err(),
        harness
            .client
            .facets(v1::FacetsRequest {
                signal: v1::Signal::Logs as i32,
                query: query.clone(),
                ..v1::FacetsRequest::default()
            })
            .await
            .unwrap_err(),
        harness
            .client
            .tail(v1::TailRequest {
                signal: v1::Signal::Logs as i32,
                query,
                backlog: 0,
            })
            .await
            .unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.message(), format!("query: {expected}"));
        assert_eq!(violation(&refused), ("query".to_owned(), expected.render()));
        assert!(
            refused
                .message()
                .contains(&format!("column {}", expected.column))
        );
    }
}

#[tokio::test]
async fn a_long_query_that_cannot_be_read_is_refused_within_the_limits_of_headers() {
    let mut harness = shop().await;
    let query = format!("\"{}", "ä".repeat(400_000));
    let refused = harness
        .client
        .search_logs(v1::SearchLogsRequest {
            query,
            ..v1::SearchLogsRequest::default()
        })
        .await
        .unwrap_err();
    assert_eq!(violation(&refused).0, "query");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_by_field() {
    let mut harness = shop().await;
    let backwards = Some(v1::TimeRange {
        start_unix_nano: 2,
        end_unix_nano: 1,
    });
    let traces = |change: fn(&mut v1::SearchTracesRequest)| {
        let mut request = v1::SearchTracesRequest::default();
        change(&mut request);
        request
    };
    let cursor = |trace_id: Vec<u8>| v1::TraceCursor {
        start_unix_nano: 1,
        trace_id: trace_id.into(),
    };
    let mut backwards_traces = traces(|_| {});
    backwards_traces.range = backwards;
    let mut bad_cursor = traces(|_| {});
    bad_cursor.after = Some(cursor(vec![1; 3]));
    let mut unpageable = traces(|request| request.order = v1::TraceOrder::Longest as i32);
    unpageable.after = Some(cursor(vec![1; 16]));
    for (request, field) in [
        (backwards_traces, "range"),
        (bad_cursor, "after.trace_id"),
        (unpageable, "after"),
        (traces(|request| request.order = 99), "order"),
        (
            traces(|request| {
                request.duration_min_nano = 2;
                request.duration_max_nano = 1;
            }),
            "duration_max_nano",
        ),
    ] {
        let refused = harness.client.search_traces(request).await.unwrap_err();
        assert_eq!(violation(&refused).0, field);
    }

    let refused = harness
        .client
        .search_logs(v1::SearchLogsRequest {
            after: Some(v1::RecordKey {
                partition: 70_000,
                ..v1::RecordKey::default()
            }),
            ..v1::SearchLogsRequest::default()
        })
        .await
        .unwrap_err();
    assert_eq!(violation(&refused).0, "after.partition");

    let histogram = |signal, end, step_nano, group| v1::HistogramRequest {
        signal,
        range: Some(v1::TimeRange {
            start_unix_nano: EPOCH,
            end_unix_nano: end,
        }),
        step_nano,
        group,
        ..v1::HistogramRequest::default()
    };
    for (request, field) in [
        (histogram(0, EPOCH + SECOND, MS, 0), "signal"),
        (histogram(1, EPOCH, MS, 0), "range"),
        (histogram(1, 0, MS, 0), "range"),
        (histogram(1, EPOCH + SECOND, 0, 0), "step_nano"),
        (histogram(1, EPOCH + 6_000 * SECOND, SECOND, 0), "step_nano"),
        (histogram(1, EPOCH + SECOND, MS, 9), "group"),
    ] {
        let refused = harness.client.histogram(request).await.unwrap_err();
        assert_eq!(violation(&refused).0, field);
    }

    let heatmap = |of, end, step_nano, buckets_per_octave| v1::DurationHeatmapRequest {
        of,
        range: Some(v1::TimeRange {
            start_unix_nano: EPOCH,
            end_unix_nano: end,
        }),
        step_nano,
        buckets_per_octave,
        ..v1::DurationHeatmapRequest::default()
    };
    let inverted = v1::DurationHeatmapRequest {
        duration_min_nano: 2,
        duration_max_nano: 1,
        ..heatmap(0, EPOCH + SECOND, SECOND, 3)
    };
    for (request, field) in [
        (heatmap(2, EPOCH + SECOND, SECOND, 3), "of"),
        (heatmap(0, EPOCH, SECOND, 3), "range"),
        (heatmap(0, 0, SECOND, 3), "range"),
        (heatmap(0, EPOCH + SECOND, 0, 3), "step_nano"),
        (heatmap(0, u64::MAX, 1, 3), "step_nano"),
        (heatmap(0, EPOCH + 1_000 * SECOND, SECOND, 36), "step_nano"),
        (heatmap(0, EPOCH + SECOND, SECOND, 5), "buckets_per_octave"),
        (inverted, "duration_max_nano"),
    ] {
        let refused = harness.client.duration_heatmap(request).await.unwrap_err();
        assert_eq!(violation(&refused).0, field);
    }

    for fields in [vec![String::new()], vec!["a".to_owned(); 33]] {
        let request = v1::FacetsRequest {
            signal: 1,
            fields,
            ..v1::FacetsRequest::default()
        };
        let refused = harness.client.facets(request).await.unwrap_err();
        assert_eq!(violation(&refused).0, "fields");
    }
}
