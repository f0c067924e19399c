//! Traces: one of them whole, and many in a line each.

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
    EPOCH, Harness, MS, SECOND, attribute, failed, log_envelope, logs, record, resource, scope,
    shop::{error, get_trace, in_trace, is_whole, search, shop, violation, whole},
    span, span_envelope, spans, trace_id,
};
use log_tracer_proto::{otlp::trace::Span, v1};
use tonic::Code;

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

fn outline_of(trace: u8) -> v1::GetTraceOutlineRequest {
    v1::GetTraceOutlineRequest {
        trace_id: trace_id(trace),
        ..v1::GetTraceOutlineRequest::default()
    }
}

async fn outline(
    harness: &mut Harness,
    request: v1::GetTraceOutlineRequest,
) -> Result<Vec<v1::GetTraceOutlineResponse>, tonic::Status> {
    let mut stream = harness
        .client
        .get_trace_outline(request)
        .await?
        .into_inner();
    let mut pieces = Vec::new();
    while let Some(piece) = stream.message().await? {
        pieces.push(piece);
    }
    Ok(pieces)
}

#[tokio::test]
async fn an_outline_is_columns_of_numbers_into_tables() {
    let mut harness = shop().await;
    let request = v1::GetTraceOutlineRequest {
        span_query: "status:error".to_owned(),
        log_query: "severity:error".to_owned(),
        span_field: "service".to_owned(),
        ..outline_of(1)
    };
    let pieces = outline(&mut harness, request).await.unwrap();
    assert_eq!(pieces.len(), 1);
    let piece = &pieces[0];
    assert!(is_whole(piece.coverage.as_ref()));
    assert_eq!(piece.names, ["GET /checkout", "checkout", "charge"]);
    let services: Vec<_> = piece.resources.iter().map(|it| &it.service).collect();
    assert_eq!(services, ["web", "cart", "payment"]);
    assert_eq!(piece.values, ["web", "cart", "payment"]);
    let spans = piece.spans.as_ref().unwrap();
    assert_eq!(spans.span_ids.len(), 3 * 8);
    assert_eq!(spans.parent_span_ids[..8], [0; 8]);
    assert_eq!(spans.start_unix_nano, [0, 10, 20].map(|at| EPOCH + at * MS));
    assert_eq!(
        (&spans.names, &spans.resources),
        (&vec![0, 1, 2], &vec![0, 1, 2])
    );
    assert_eq!(spans.values, [1, 2, 3]);
    assert_eq!(
        (&spans.statuses[..], &spans.matches[..]),
        (&[0, 0, 2][..], &[0, 0, 1][..])
    );
    let logs = piece.logs.as_ref().unwrap();
    assert_eq!(logs.time_unix_nano, [25, 60].map(|at| EPOCH + at * MS));
    assert_eq!(
        (&logs.severities[1..], &logs.matches[..]),
        (&[17][..], &[0, 1][..])
    );
    assert_eq!(logs.resources, [2, 2]);
}

#[tokio::test]
async fn an_outline_in_pieces_sends_each_name_once() {
    let mut config = log_tracer_consumer::Config::default();
    config.query.piece_bytes_max = 4_096;
    let mut harness = Harness::with(config, 1).await;
    let all: Vec<Span> = (0..500_u64)
        .map(|index| {
            let mut one = span(1, 1, 0, &format!("step {:03}", index / 2), index, 1);
            one.span_id = Bytes::copy_from_slice(&(index + 1).to_be_bytes());
            one
        })
        .collect();
    let envelope = span_envelope(1, vec![spans("web", all)]);
    harness.write(vec![envelope]).await;
    let pieces = outline(&mut harness, outline_of(1)).await.unwrap();
    assert!(pieces.len() > 5, "{}", pieces.len());
    let (last, before) = pieces.split_last().unwrap();
    assert!(before.iter().all(|piece| piece.coverage.is_none()));
    assert!(is_whole(last.coverage.as_ref()));
    let mut names: Vec<&str> = Vec::new();
    let mut count = 0;
    for piece in &pieces {
        assert!(prost::Message::encoded_len(piece) <= 4_096 + 200);
        names.extend(piece.names.iter().map(String::as_str));
        for name in &piece.spans.as_ref().unwrap().names {
            assert_eq!(names[*name as usize], format!("step {:03}", count / 2));
            count += 1;
        }
    }
    assert_eq!((count, names.len()), (500, 250));
}

#[tokio::test]
async fn no_message_of_an_outline_is_larger_than_an_answer_when_its_resources_are_large() {
    let bytes_max = 64 << 10;
    let mut config = log_tracer_consumer::Config::default();
    config.query.answer_bytes_max = bytes_max;
    config.query.piece_bytes_max = bytes_max;
    let mut harness = Harness::with(config, 1).await;
    // Each takes 20 KiB, so that the third would come when a piece is nearly full.
    let groups = (0..6_u64).map(|sender| {
        let all = (0..180_u64).map(|index| {
            let mut one = span(1, 1, 0, "step", sender * 1_000 + index, 1);
            one.span_id = Bytes::copy_from_slice(&(sender * 1_000 + index + 1).to_be_bytes());
            one
        });
        let mut group = spans(&format!("sender {sender}"), all.collect());
        let resource = group.resource.get_or_insert_default();
        let large = attribute("large", &"x".repeat(20 << 10));
        resource.attributes.push(large);
        group
    });
    let envelopes = (1..).zip(groups);
    let envelopes = envelopes.map(|(batch, group)| span_envelope(batch, vec![group]));
    harness.write(envelopes.collect()).await;
    let pieces = outline(&mut harness, outline_of(1)).await.unwrap();
    let (mut count, mut resources) = (0, 0);
    for piece in &pieces {
        assert!(prost::Message::encoded_len(piece) <= bytes_max);
        resources += piece.resources.len() as u32;
        let of_piece = &piece.spans.as_ref().unwrap().resources;
        assert!(of_piece.iter().all(|resource| *resource < resources));
        count += of_piece.len();
    }
    assert_eq!((count, resources), (1_080, 6));
    assert!(is_whole(pieces.last().unwrap().coverage.as_ref()));
}

#[tokio::test]
async fn an_outline_of_nothing_is_not_found_and_a_query_that_cannot_be_read_is_refused() {
    let mut harness = shop().await;
    let missing = outline(&mut harness, outline_of(9)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let request = v1::GetTraceOutlineRequest {
        span_query: "status:".to_owned(),
        ..outline_of(1)
    };
    let refused = outline(&mut harness, request).await.unwrap_err();
    assert_eq!(violation(&refused).0, "query");
}

#[tokio::test]
async fn only_what_is_named_of_a_trace_is_answered() {
    let mut harness = shop().await;
    let only = |span_ids: Vec<u8>, log_times_unix_nano| v1::GetTraceRequest {
        only: Some(v1::TraceSelection {
            span_ids: span_ids.into(),
            log_times_unix_nano,
            only_events: false,
        }),
        ..whole(1)
    };
    let request = only(vec![2; 8], vec![EPOCH + 60 * MS]);
    let pieces = get_trace(&mut harness, request).await.unwrap();
    let all: Vec<_> = pieces
        .iter()
        .flat_map(|piece| &piece.resource_spans)
        .collect();
    assert_eq!(
        all,
        [&spans("cart", vec![span(1, 2, 1, "checkout", 10, 80)])]
    );
    assert_eq!(
        pieces[0].resource_logs[0].scope_logs[0].log_records.len(),
        1
    );
    let nothing = get_trace(&mut harness, only(vec![77; 8], Vec::new()))
        .await
        .unwrap();
    assert!(nothing[0].resource_spans.is_empty() && is_whole(nothing[0].coverage.as_ref()));
    let refused = get_trace(&mut harness, only(vec![2; 9], Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(violation(&refused).0, "only.span_ids");
}

#[tokio::test]
async fn log_records_of_one_time_that_are_named_keep_the_order_of_the_outline_whatever_their_scopes()
 {
    let mut harness = Harness::start().await;
    let of_scope = |name: &str, bodies: &[&str]| {
        let records = bodies.iter().map(|body| in_trace(record(body, 5), 1, 1));
        let mut group = logs("web", records.collect());
        group.scope_logs[0].scope.as_mut().unwrap().name = name.to_owned();
        group
    };
    let groups = [
        of_scope("a", &["1"]),
        of_scope("b", &["2", "3"]),
        of_scope("a", &["4"]),
    ];
    harness.write(vec![log_envelope(4, groups.to_vec())]).await;
    let request = v1::GetTraceRequest {
        only: Some(v1::TraceSelection {
            log_times_unix_nano: vec![EPOCH + 5 * MS],
            ..v1::TraceSelection::default()
        }),
        ..whole(1)
    };
    let pieces = get_trace(&mut harness, request).await.unwrap();
    let answered: Vec<_> = pieces
        .into_iter()
        .flat_map(|piece| piece.resource_logs)
        .flat_map(|group| group.scope_logs)
        .flat_map(|group| group.log_records)
        .collect();
    let sent: Vec<_> = groups
        .into_iter()
        .flat_map(|group| group.scope_logs)
        .flat_map(|group| group.log_records)
        .collect();
    assert_eq!(answered, sent);
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
async fn a_span_that_was_sent_twice_is_answered_once_and_counted() {
    let mut harness = Harness::start().await;
    let one = span(1, 1, 0, "sent twice", 0, 1);
    let client = span(1, 2, 1, "call", 0, 1);
    let mut server = client.clone();
    server.name = "same id on the other side".to_owned();
    harness
        .write(vec![
            span_envelope(1, vec![spans("web", vec![one.clone(), client.clone()])]),
            span_envelope(2, vec![spans("web", vec![one.clone(), server.clone()])]),
        ])
        .await;
    let pieces = get_trace(&mut harness, whole(1)).await.unwrap();
    assert_eq!(pieces[0].duplicate_spans, 1);
    let mut received: Vec<_> = pieces[0].resource_spans[0].scope_spans[0].spans.clone();
    received.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(received, [client, server, one]);
}
