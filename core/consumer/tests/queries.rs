//! Every question of QueryService, with its answer to the last value.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{
    EPOCH, Harness, MS, SECOND, attribute, body, failed, log_envelope, logs, record, resource,
    scope, span, span_envelope, span_id, spans, trace_id,
};
use log_tracer_proto::{
    otlp::{
        logs::LogRecord,
        trace::{Span, span::SpanKind},
    },
    v1,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Trace 1: a checkout that failed, of three services, with two logs. Trace 2: a quick look at the cart, one second
/// later. And a log that belongs to no trace.
async fn shop() -> Harness {
    let mut harness = Harness::start().await;
    let payment = failed(span(1, 3, 2, "charge", 20, 50), "card declined");
    harness
        .write(vec![
            span_envelope(
                1,
                vec![
                    spans("web", vec![span(1, 1, 0, "GET /checkout", 0, 100)]),
                    spans("cart", vec![span(1, 2, 1, "checkout", 10, 80)]),
                ],
            ),
            span_envelope(2, vec![spans("payment", vec![payment])]),
            span_envelope(
                3,
                vec![spans("cart", vec![span(2, 4, 0, "view", 1_000, 5)])],
            ),
            log_envelope(
                4,
                vec![
                    logs(
                        "payment",
                        vec![
                            in_trace(record("calling the bank", 25), 1, 3),
                            in_trace(error(record("card declined", 60)), 1, 3),
                        ],
                    ),
                    logs("cart", vec![record("started", 2_000)]),
                ],
            ),
        ])
        .await;
    harness
}

fn in_trace(mut record: LogRecord, trace: u8, span: u8) -> LogRecord {
    record.trace_id = trace_id(trace);
    record.span_id = span_id(span);
    record
}

fn error(mut record: LogRecord) -> LogRecord {
    record.severity_number = 17;
    record
}

async fn get_trace(
    harness: &mut Harness,
    request: v1::GetTraceRequest,
) -> Result<Vec<v1::GetTraceResponse>, Status> {
    let mut stream = harness.client.get_trace(request).await?.into_inner();
    let mut pieces = Vec::new();
    while let Some(piece) = stream.message().await? {
        pieces.push(piece);
    }
    Ok(pieces)
}

fn whole(trace: u8) -> v1::GetTraceRequest {
    v1::GetTraceRequest {
        trace_id: trace_id(trace),
        ..v1::GetTraceRequest::default()
    }
}

fn is_whole(coverage: Option<&v1::Coverage>) -> bool {
    coverage.is_some_and(|coverage| !coverage.partial && coverage.reasons.is_empty())
}

/// The field that a request is refused for, and what is said about it.
fn violation(status: &Status) -> (String, String) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_details_bad_request().unwrap();
    let violation = details.field_violations.into_iter().next().unwrap();
    (violation.field, violation.description)
}

#[tokio::test]
async fn a_trace_comes_whole_with_its_logs() {
    let mut harness = shop().await;
    let pieces = get_trace(&mut harness, whole(1)).await.unwrap();
    assert_eq!(pieces.len(), 1);
    let piece = &pieces[0];
    assert!(is_whole(piece.coverage.as_ref()));

    let of_service: BTreeMap<_, _> = piece
        .resource_spans
        .iter()
        .map(|one| {
            assert_eq!(one.scope_spans.len(), 1);
            assert_eq!(one.scope_spans[0].scope, Some(scope()));
            (
                one.resource.clone().unwrap(),
                one.scope_spans[0].spans.clone(),
            )
        })
        .map(|(resource, spans)| (format!("{resource:?}"), spans))
        .collect();
    let key = |service| format!("{:?}", resource(service));
    let expected: BTreeMap<String, Vec<Span>> = [
        (key("web"), vec![span(1, 1, 0, "GET /checkout", 0, 100)]),
        (key("cart"), vec![span(1, 2, 1, "checkout", 10, 80)]),
        (
            key("payment"),
            vec![failed(span(1, 3, 2, "charge", 20, 50), "card declined")],
        ),
    ]
    .into();
    assert_eq!(of_service, expected);
    assert_eq!(
        piece.resource_logs,
        [logs(
            "payment",
            vec![
                in_trace(record("calling the bank", 25), 1, 3),
                in_trace(error(record("card declined", 60)), 1, 3),
            ]
        )]
    );
}

#[tokio::test]
async fn a_large_trace_comes_in_pieces_and_only_the_last_has_the_coverage() {
    let mut config = log_tracer_consumer::Config::default();
    config.query.piece_bytes_max = 4_096;
    let mut harness = Harness::with(config, 1).await;
    let all: Vec<Span> = (0..500_u64)
        .map(|index| {
            let mut one = span(1, 1, 0, &format!("step {index:03}"), index, 1);
            one.span_id = Bytes::copy_from_slice(&(index + 1).to_be_bytes());
            one.attributes = vec![attribute("padding", &"x".repeat(50))];
            one
        })
        .collect();
    harness
        .write(vec![span_envelope(1, vec![spans("web", all.clone())])])
        .await;
    let pieces = get_trace(&mut harness, whole(1)).await.unwrap();
    assert!(pieces.len() > 10, "{}", pieces.len());
    for piece in &pieces {
        assert!(prost::Message::encoded_len(piece) <= 4_096 + 200);
        assert_eq!(piece.resource_spans.len(), 1);
    }
    let (last, before) = pieces.split_last().unwrap();
    assert!(before.iter().all(|piece| piece.coverage.is_none()));
    assert!(is_whole(last.coverage.as_ref()));
    let received: Vec<Span> = pieces
        .into_iter()
        .flat_map(|piece| piece.resource_spans)
        .flat_map(|one| one.scope_spans)
        .flat_map(|one| one.spans)
        .collect();
    assert_eq!(received, all);
}

#[tokio::test]
async fn what_is_over_a_limit_of_a_trace_is_left_out_and_said() {
    let mut harness = shop().await;
    let request = v1::GetTraceRequest {
        spans_max: 2,
        logs_max: 1,
        ..whole(1)
    };
    let pieces = get_trace(&mut harness, request).await.unwrap();
    let names: Vec<_> = pieces
        .iter()
        .flat_map(|piece| &piece.resource_spans)
        .flat_map(|one| &one.scope_spans)
        .flat_map(|one| &one.spans)
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(names, ["GET /checkout", "checkout"]);
    let coverage = pieces.last().unwrap().coverage.as_ref().unwrap();
    assert!(coverage.partial);
    assert!(!coverage.reasons.is_empty());
}

#[tokio::test]
async fn a_trace_of_logs_alone_is_found() {
    let mut harness = Harness::start().await;
    let lonely = in_trace(record("no span", 0), 7, 7);
    harness
        .write(vec![log_envelope(
            1,
            vec![logs("cart", vec![lonely.clone()])],
        )])
        .await;
    let pieces = get_trace(&mut harness, whole(7)).await.unwrap();
    assert_eq!(pieces.len(), 1);
    assert!(pieces[0].resource_spans.is_empty());
    assert_eq!(pieces[0].resource_logs, [logs("cart", vec![lonely])]);
}

#[tokio::test]
async fn a_trace_that_is_not_there_is_not_found_and_an_id_that_is_none_is_refused() {
    let mut harness = shop().await;
    let missing = get_trace(&mut harness, whole(9)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(
        missing.message(),
        format!("there is no span and no log of trace {}", "09".repeat(16))
    );
    for (bytes, got) in [
        (vec![0; 16], "16 bytes of zero"),
        (vec![1; 15], "15 bytes"),
        (vec![], "0 bytes"),
    ] {
        let request = v1::GetTraceRequest {
            trace_id: bytes.into(),
            ..v1::GetTraceRequest::default()
        };
        let refused = get_trace(&mut harness, request).await.unwrap_err();
        let expected = format!("expected 16 bytes that are not all zero, got {got}");
        assert_eq!(violation(&refused), ("trace_id".to_owned(), expected));
    }
}

async fn search(
    harness: &mut Harness,
    request: v1::SearchTracesRequest,
) -> v1::SearchTracesResponse {
    harness
        .client
        .search_traces(request)
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn traces_are_found_with_their_summary() {
    let mut harness = shop().await;
    let found = search(
        &mut harness,
        v1::SearchTracesRequest {
            query: "status:error".to_owned(),
            ..v1::SearchTracesRequest::default()
        },
    )
    .await;
    assert!(is_whole(found.coverage.as_ref()));
    let service = |service: &str, span_count, error_count| v1::ServiceCount {
        service: service.to_owned(),
        span_count,
        error_count,
    };
    assert_eq!(found.traces.len(), 1);
    let mut trace = found.traces[0].clone();
    trace.services.sort_by(|a, b| a.service.cmp(&b.service));
    assert_eq!(
        trace,
        v1::TraceSummary {
            trace_id: trace_id(1),
            root_service: "web".to_owned(),
            root_name: "GET /checkout".to_owned(),
            start_unix_nano: EPOCH,
            duration_nano: 100 * MS,
            span_count: 3,
            error_count: 1,
            orphan_count: 0,
            log_count: 2,
            services: vec![
                service("cart", 1, 0),
                service("payment", 1, 1),
                service("web", 1, 0)
            ],
            matched_count: 1,
            root_status: String::new(),
        }
    );
}

#[tokio::test]
async fn traces_are_paged_newest_first_and_filtered_by_range_and_duration() {
    let mut harness = shop().await;
    let first = search(
        &mut harness,
        v1::SearchTracesRequest {
            limit: 1,
            ..v1::SearchTracesRequest::default()
        },
    )
    .await;
    assert_eq!(first.traces[0].trace_id, trace_id(2));
    let next = first.next.unwrap();
    assert_eq!(
        next,
        v1::TraceCursor {
            start_unix_nano: EPOCH + SECOND,
            trace_id: trace_id(2)
        }
    );
    let second = search(
        &mut harness,
        v1::SearchTracesRequest {
            limit: 1,
            after: Some(next),
            ..v1::SearchTracesRequest::default()
        },
    )
    .await;
    assert_eq!(second.traces[0].trace_id, trace_id(1));
    if let Some(after) = second.next {
        let third = search(
            &mut harness,
            v1::SearchTracesRequest {
                after: Some(after),
                ..v1::SearchTracesRequest::default()
            },
        )
        .await;
        assert!(third.traces.is_empty());
    }

    let ids = |response: v1::SearchTracesResponse| -> Vec<u8> {
        response
            .traces
            .iter()
            .map(|trace| trace.trace_id[0])
            .collect()
    };
    let long = v1::SearchTracesRequest {
        duration_min_nano: 50 * MS,
        ..v1::SearchTracesRequest::default()
    };
    assert_eq!(ids(search(&mut harness, long).await), [1]);
    let short = v1::SearchTracesRequest {
        duration_max_nano: 50 * MS,
        ..v1::SearchTracesRequest::default()
    };
    assert_eq!(ids(search(&mut harness, short).await), [2]);
    let early = v1::SearchTracesRequest {
        range: Some(v1::TimeRange {
            start_unix_nano: EPOCH,
            end_unix_nano: EPOCH + SECOND,
        }),
        ..v1::SearchTracesRequest::default()
    };
    assert_eq!(ids(search(&mut harness, early).await), [1]);
    let longest = v1::SearchTracesRequest {
        order: v1::TraceOrder::Longest as i32,
        ..v1::SearchTracesRequest::default()
    };
    assert_eq!(ids(search(&mut harness, longest).await), [1, 2]);
}

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
