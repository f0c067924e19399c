//! The outline of one trace, of consumers that hold some of it each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::time::Duration;

use common::{
    Client, asked_as_one,
    fake::{Act, Fake},
    is_whole,
};
use log_tracer_fanout::Config;
use log_tracer_proto::{
    otlp::{
        common::InstrumentationScope,
        logs::{LogRecord, ResourceLogs, ScopeLogs},
    },
    v1,
};
use prost::Message;
use tonic::{Code, Request, Status};

fn outlined(ids: &[u8], ends: bool) -> v1::GetTraceOutlineResponse {
    let rows = ids.len();
    v1::GetTraceOutlineResponse {
        names: vec!["work".to_owned()],
        resources: vec![v1::ResourceEntry::default()],
        spans: Some(v1::OutlineSpans {
            span_ids: ids
                .iter()
                .flat_map(|id| [*id; 8])
                .collect::<Vec<u8>>()
                .into(),
            parent_span_ids: vec![0; 8 * rows].into(),
            start_unix_nano: ids.iter().map(|id| u64::from(*id)).collect(),
            end_unix_nano: vec![100; rows],
            names: vec![0; rows],
            resources: vec![0; rows],
            kinds: vec![1; rows].into(),
            statuses: vec![0; rows].into(),
            ..v1::OutlineSpans::default()
        }),
        coverage: ends.then(v1::Coverage::default),
        ..v1::GetTraceOutlineResponse::default()
    }
}

/// The spans of the outline of trace 1, and what is said of it.
async fn outline(client: &mut Client) -> Result<(Vec<u8>, v1::GetTraceOutlineResponse), Status> {
    let request = v1::GetTraceOutlineRequest {
        trace_id: vec![1; 16].into(),
        ..v1::GetTraceOutlineRequest::default()
    };
    let mut pieces = client.get_trace_outline(request).await?.into_inner();
    let mut found = Vec::new();
    while let Some(piece) = pieces.message().await? {
        let spans = piece.spans.clone().unwrap_or_default();
        found.extend(spans.span_ids.chunks(8).map(|id| id[0]));
        if piece.coverage.is_some() {
            return Ok((found, piece));
        }
    }
    panic!("the answer broke off");
}

#[tokio::test(start_paused = true)]
async fn an_outline_that_breaks_off_comes_whole_from_a_replica() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    a.outline(vec![
        Ok(outlined(&[1, 2], false)),
        Err(Status::unavailable("gone")),
    ]);
    b.outline(vec![Ok(outlined(&[1], false)), Ok(outlined(&[2, 3], true))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!(found, [1, 2, 3]);
    assert!(is_whole(last.coverage.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn spans_of_two_consumers_are_one_outline_and_equal_ones_are_one() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    a.outline(vec![Ok(outlined(&[1, 3], true))]);
    b.outline(vec![Ok(outlined(&[2, 3, 4], true))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!(found, [1, 2, 3, 4]);
    assert_eq!(last.duplicate_spans, 1);
    assert_eq!((last.names.len(), last.resources.len()), (1, 1));
    assert!(is_whole(last.coverage.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn an_outline_without_one_of_its_consumers_names_it() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    a.outline(vec![Ok(outlined(&[1], true))]);
    b.act("get_trace_outline", Act::Fail(Status::unavailable("gone")));
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!(found, [1]);
    let coverage = last.coverage.unwrap();
    assert!(
        coverage.partial && coverage.reasons[0].contains('b'),
        "{coverage:?}"
    );
}

/// A log record of a time that all have, with its number as a time of observation.
fn logged(number: u64, scope: &str) -> v1::GetTraceResponse {
    let record = LogRecord {
        time_unix_nano: 5,
        observed_time_unix_nano: number,
        trace_id: vec![1; 16].into(),
        ..LogRecord::default()
    };
    let scope = InstrumentationScope {
        name: scope.to_owned(),
        ..InstrumentationScope::default()
    };
    v1::GetTraceResponse {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                scope: Some(scope),
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
        ..v1::GetTraceResponse::default()
    }
}

#[tokio::test(start_paused = true)]
async fn log_records_of_one_time_that_are_named_keep_their_order_whatever_their_scopes() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    let end = v1::GetTraceResponse {
        coverage: Some(v1::Coverage::default()),
        ..v1::GetTraceResponse::default()
    };
    a.trace(vec![
        Ok(logged(1, "x")),
        Ok(logged(2, "y")),
        Ok(logged(3, "x")),
        Ok(end.clone()),
    ]);
    b.trace(vec![Ok(logged(4, "y")), Ok(end)]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let request = v1::GetTraceRequest {
        trace_id: vec![1; 16].into(),
        only: Some(v1::TraceSelection {
            log_times_unix_nano: vec![5],
            ..v1::TraceSelection::default()
        }),
        ..v1::GetTraceRequest::default()
    };
    let mut pieces = client.get_trace(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        let groups = piece.resource_logs.iter();
        let scopes = groups.flat_map(|group| &group.scope_logs);
        let records = scopes.flat_map(|scope| &scope.log_records);
        found.extend(records.map(|record| record.observed_time_unix_nano));
    }
    assert_eq!(found, [1, 2, 3, 4]);
}

/// Spans of ids and starts from a number on, each with a value of 1 KiB of its own.
fn valued(first: u64, count: u64) -> v1::GetTraceOutlineResponse {
    let numbers = first..first + count;
    let rows = numbers.clone().count();
    let mut piece = outlined(&vec![1; rows], false);
    piece.values = numbers.clone().map(value).collect();
    let spans = piece.spans.as_mut().unwrap();
    let ids: Vec<u8> = numbers.clone().flat_map(u64::to_be_bytes).collect();
    spans.span_ids = ids.into();
    spans.start_unix_nano = numbers.collect();
    spans.values = (1..).take(rows).collect();
    piece
}

fn value(number: u64) -> String {
    format!("{number:01024}")
}

fn ended(piece: v1::GetTraceOutlineResponse) -> v1::GetTraceOutlineResponse {
    v1::GetTraceOutlineResponse {
        coverage: Some(v1::Coverage::default()),
        ..piece
    }
}

/// The pieces of the outline of trace 1, with a field.
async fn pieces(client: &mut Client) -> Vec<v1::GetTraceOutlineResponse> {
    let request = v1::GetTraceOutlineRequest {
        trace_id: vec![1; 16].into(),
        span_field: "user".to_owned(),
        ..v1::GetTraceOutlineRequest::default()
    };
    let mut stream = client
        .get_trace_outline(request)
        .await
        .unwrap()
        .into_inner();
    let mut pieces = Vec::new();
    while let Some(piece) = stream.message().await.unwrap() {
        pieces.push(piece);
    }
    assert!(pieces.last().unwrap().coverage.is_some());
    pieces
}

/// The start and the value of each span.
fn starts_and_values(pieces: &[v1::GetTraceOutlineResponse]) -> Vec<(u64, String)> {
    let mut values: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for piece in pieces {
        values.extend(piece.values.iter().cloned());
        let spans = piece.spans.clone().unwrap_or_default();
        let rows = spans.start_unix_nano.iter().zip(&spans.values);
        // An entry stands in the same piece as its first use, or in an earlier one.
        found.extend(rows.map(|(start, value)| (*start, values[*value as usize - 1].clone())));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_piece_of_a_merged_outline_has_its_size_whichever_consumer_has_the_earliest_span() {
    const PIECE_BYTES: usize = 16 << 10;
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    a.outline(vec![
        Ok(valued(1_000, 150)),
        Ok(ended(after(150, valued(1_150, 150)))),
    ]);
    // The earliest span, and one that the other consumer has as well.
    let mut of_b = valued(1, 1);
    of_b.names.push("of no span".to_owned());
    b.outline(vec![Ok(of_b), Ok(ended(after(1, valued(1_010, 1))))]);
    let config = Config {
        piece_bytes_max: PIECE_BYTES,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let pieces = pieces(&mut client).await;
    for piece in &pieces {
        let bytes = piece.encoded_len();
        assert!(bytes <= PIECE_BYTES, "{bytes}");
    }
    assert!(pieces.len() < 40, "{}", pieces.len());
    let expected: Vec<u64> = std::iter::once(1).chain(1_000..1_300).collect();
    let expected: Vec<(u64, String)> = expected.into_iter().map(|at| (at, value(at))).collect();
    assert!(starts_and_values(&pieces) == expected);
    assert_eq!(pieces.last().unwrap().duplicate_spans, 1);
    // What no span uses is not sent, and no text is sent twice.
    let names: Vec<&String> = pieces.iter().flat_map(|piece| &piece.names).collect();
    assert_eq!(names, ["work"]);
    let values: usize = pieces.iter().map(|piece| piece.values.len()).sum();
    assert_eq!(values, 301);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_no_message_can_carry_is_left_out_of_a_merged_outline_and_said() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    let mut large = outlined(&[1], true);
    large.resources[0].service = "x".repeat(40 << 10);
    a.outline(vec![Ok(large)]);
    b.outline(vec![Ok(outlined(&[2], true))]);
    let config = Config {
        answer_bytes_max: 64 << 10,
        piece_bytes_max: 1_024,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let (_, last) = outline(&mut client).await.unwrap();
    assert!(last.encoded_len() < 2_048);
    let coverage = last.coverage.unwrap();
    assert_eq!(
        coverage.reasons,
        ["1 resources did not fit into a message and were left out"]
    );
}

/// A consumer of before outlines.
fn old(name: &str, partitions: &[u32]) -> Fake {
    let fake = Fake::start(name, partitions, "cart");
    fake.act("get_trace_outline", Act::Fail(Status::unimplemented("")));
    fake
}

#[tokio::test(start_paused = true)]
async fn an_outline_that_a_set_does_not_know_is_unimplemented_so_that_callers_ask_otherwise() {
    let known = Fake::start("a", &[0, 1], "cart");
    known.outline(vec![Ok(outlined(&[1], true))]);
    for peers in [
        [&known, &old("b", &[2, 3])],
        [&old("a", &[0, 1]), &old("b", &[2, 3])],
    ] {
        let (_fanout, mut client) = asked_as_one(&peers, Config::default());
        let refused = outline(&mut client).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outline_comes_from_the_replica_that_knows_it() {
    let a = old("a", &[0, 1, 2, 3]);
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    b.outline(vec![Ok(outlined(&[1], true))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!((found.as_slice(), a.asked()), ([1].as_slice(), 1));
    assert!(is_whole(last.coverage.as_ref()));
}

/// A piece that goes on after another one with so many spans.
fn after(count: u32, mut piece: v1::GetTraceOutlineResponse) -> v1::GetTraceOutlineResponse {
    // The tables grow from piece to piece.
    (piece.names, piece.resources) = (Vec::new(), Vec::new());
    let values = &mut piece.spans.as_mut().unwrap().values;
    values.iter_mut().for_each(|value| *value += count);
    piece
}

/// An outline of about 40 KiB a piece.
fn long(pieces: u32) -> Vec<Result<v1::GetTraceOutlineResponse, Status>> {
    let piece = |number: u32| {
        let piece = valued(1_000 + 40 * u64::from(number), 40);
        Ok(match number {
            0 => piece,
            _ => after(40 * number, piece),
        })
    };
    let mut all: Vec<_> = (0..pieces).map(piece).collect();
    let last = all.pop().unwrap();
    all.push(last.map(ended));
    all
}

#[tokio::test(start_paused = true)]
async fn of_an_outline_so_much_is_read_as_may_be_held_and_what_is_missing_is_said() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    a.outline(long(5));
    let config = Config {
        outline_bytes_max: 64 << 10,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let said = "consumer a at http://f0: its outline is larger than the 65536 bytes that are read of it, and its end is missing";
    // As well when nobody else has a part of the trace.
    let found = pieces(&mut client).await;
    let starts = |found: &[v1::GetTraceOutlineResponse]| -> Vec<u64> {
        let spans = starts_and_values(found).into_iter();
        spans.map(|(start, _)| start).collect()
    };
    assert_eq!(starts(&found), (1_000..1_080).collect::<Vec<u64>>());
    let coverage = found.last().unwrap().coverage.clone().unwrap();
    assert!(coverage.partial);
    assert_eq!(coverage.reasons, [said]);
    // What another one has after that would look as if there were nothing between.
    b.outline(vec![
        Ok(valued(1, 1)),
        Ok(ended(after(1, valued(1_100, 1)))),
    ]);
    let found = pieces(&mut client).await;
    let expected: Vec<u64> = std::iter::once(1).chain(1_000..1_080).collect();
    assert_eq!(starts(&found), expected);
    let coverage = found.last().unwrap().coverage.clone().unwrap();
    assert!(coverage.partial);
    assert_eq!(
        coverage.reasons,
        [
            said,
            "the trace has 82 spans or more, of which the first 81 are answered"
        ]
    );
    // An outline that ends with the bytes that are read is whole.
    a.outline(long(2));
    let found = pieces(&mut client).await;
    assert_eq!(starts(&found).len(), 82);
    assert!(is_whole(found.last().unwrap().coverage.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn an_outline_has_no_gap_after_the_last_span_of_a_consumer_that_has_more_than_it_may_answer()
{
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    a.outline(vec![Ok(outlined(&[1, 4], true))]);
    // Two that differ in what no number shows: as one that the other consumer has, they are one.
    let mut cut = outlined(&[1, 1, 2], true);
    cut.coverage.as_mut().unwrap().partial = true;
    b.outline(vec![Ok(cut)]);
    let config = Config {
        trace_spans_max: 3,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!(found, [1, 2]);
    assert!(last.coverage.unwrap().partial);
    // It has no more when it does not say so.
    b.outline(vec![Ok(outlined(&[1, 1, 2], true))]);
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!(found, [1, 2, 4]);
    assert!(is_whole(last.coverage.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn an_outline_takes_its_turn_until_the_caller_has_all_of_it() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    // More than what is under way between two ends.
    a.outline(long(300));
    b.outline(vec![Ok(ended(valued(1, 1)))]);
    let config = Config {
        queries_max: 1,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let request = v1::GetTraceOutlineRequest {
        trace_id: vec![1; 16].into(),
        span_field: "user".to_owned(),
        ..v1::GetTraceOutlineRequest::default()
    };
    let mut held = client
        .get_trace_outline(request)
        .await
        .unwrap()
        .into_inner();
    assert!(held.message().await.unwrap().is_some());
    let mut request = Request::new(v1::ListServicesRequest {});
    request.set_timeout(Duration::from_secs(2));
    let refused = client.list_services(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    while held.message().await.unwrap().is_some() {}
    client
        .list_services(v1::ListServicesRequest {})
        .await
        .unwrap();
    // And no longer than the caller wants it.
    let request = v1::GetTraceOutlineRequest {
        trace_id: vec![1; 16].into(),
        ..v1::GetTraceOutlineRequest::default()
    };
    drop(client.get_trace_outline(request).await.unwrap());
    client
        .list_services(v1::ListServicesRequest {})
        .await
        .unwrap();
}
