//! Consumers that are away, hang, answer late or break off: what is missing is said, what has a replica is whole, and
//! nothing waits longer than it may.

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
    records::{span, spans},
};
use log_tracer_fanout::Config;
use log_tracer_proto::{otlp::trace::ResourceSpans, v1};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

async fn services(client: &mut Client) -> Result<(Vec<String>, v1::Coverage), Status> {
    within(client, Duration::from_secs(10)).await
}

async fn within(
    client: &mut Client,
    timeout: Duration,
) -> Result<(Vec<String>, v1::Coverage), Status> {
    let mut request = Request::new(v1::ListServicesRequest {});
    request.set_timeout(timeout);
    let answer = client.list_services(request).await?.into_inner();
    let names = answer.services.into_iter().map(|one| one.service);
    Ok((names.collect(), answer.coverage.unwrap()))
}

#[tokio::test(start_paused = true)]
async fn what_a_consumer_that_is_away_would_have_is_missing_and_it_is_named() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (names, coverage) = services(&mut client).await.unwrap();
    assert_eq!(names, ["cart", "web"]);
    assert!(is_whole(Some(&coverage)));

    b.go_down();
    let (names, coverage) = services(&mut client).await.unwrap();
    assert_eq!(names, ["cart"]);
    assert!(coverage.partial);
    assert_eq!(
        coverage.reasons,
        ["partitions 2, 3 are missing: consumer b at http://f1: connection refused"]
    );
    // From then on it is not asked, so that nothing waits for it, until it says that it is back.
    let asked = b.asked();
    services(&mut client).await.unwrap();
    assert_eq!(b.asked(), asked);
    b.come_back();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (names, coverage) = services(&mut client).await.unwrap();
    assert_eq!(names, ["cart", "web"]);
    assert!(is_whole(Some(&coverage)));
}

#[tokio::test(start_paused = true)]
async fn a_replica_answers_for_one_that_is_away_and_nothing_is_missing() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    services(&mut client).await.unwrap();
    assert_eq!((a.asked(), b.asked()), (1, 0));
    a.go_down();
    let (names, coverage) = services(&mut client).await.unwrap();
    assert_eq!(names, ["cart"]);
    assert!(is_whole(Some(&coverage)));
    assert_eq!(b.asked(), 1);
    // When the other one goes as well, all reasons are told.
    b.go_down();
    let refused = services(&mut client).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    for part in ["consumer a at http://f0", "consumer b at http://f1"] {
        assert!(refused.message().contains(part), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_replays_is_asked_only_when_its_replica_fails() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    a.status(|status| status.replaying = "the log is being replayed".to_owned());
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    services(&mut client).await.unwrap();
    assert_eq!((a.asked(), b.asked()), (0, 1));
    b.act("list_services", Act::Fail(Status::internal("broken")));
    let (names, _) = services(&mut client).await.unwrap();
    assert_eq!((names.len(), a.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_overtaken_by_its_replica_and_told_to_stop() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    a.act("list_services", Act::After(Duration::from_secs(8)));
    let config = Config {
        hedge_ms: 300,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let begun = Instant::now();
    let (_, coverage) = services(&mut client).await.unwrap();
    let took = begun.elapsed();
    assert!(is_whole(Some(&coverage)));
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(1),
        "{took:?}"
    );
    assert_eq!((a.asked(), b.asked()), (1, 1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(a.given_up(), 1);
    // An answer in time asks nobody else.
    a.act("list_services", Act::After(Duration::from_millis(200)));
    services(&mut client).await.unwrap();
    assert_eq!(a.asked() + b.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_left_out_before_the_deadline_of_the_caller() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    b.act("list_services", Act::Hang);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let begun = Instant::now();
    let (names, coverage) = within(&mut client, Duration::from_secs(2)).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(names, ["cart"]);
    assert_eq!(coverage.reasons.len(), 1);
    assert!(
        coverage.reasons[0].starts_with("partitions 2, 3 are missing: consumer b"),
        "{coverage:?}"
    );
    // Without a limit of the caller, ours counts.
    let config = Config {
        deadline_ms: 700,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let begun = Instant::now();
    let answer = client.list_services(v1::ListServicesRequest {}).await;
    assert!(answer.unwrap().into_inner().coverage.unwrap().partial);
    assert!(begun.elapsed() < Duration::from_millis(1_500));
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_say_how_it_is_holds_nothing_up_for_long() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    b.act("status", Act::Hang);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let begun = Instant::now();
    let (names, coverage) = services(&mut client).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_millis(2_100));
    // All partitions are answered: whoever else there is can only be a replica.
    assert_eq!(names, ["cart"]);
    assert!(is_whole(Some(&coverage)));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_refused_is_refused_once_and_as_it_is() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    let refusal = || {
        use tonic_types::{ErrorDetails, StatusExt};
        let details = ErrorDetails::with_bad_request_violation("query", "column 3");
        Status::with_error_details(Code::InvalidArgument, "query: column 3", details)
    };
    for fake in [&a, &b] {
        fake.act("search_logs", Act::Fail(refusal()));
    }
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let refused = client
        .search_logs(v1::SearchLogsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "query: column 3");
    assert_eq!(refused.details(), refusal().details());
}

#[tokio::test(start_paused = true)]
async fn all_that_are_busy_are_busy_and_say_when_to_ask_again() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    for fake in [&a, &b] {
        let busy = Status::resource_exhausted("all queries are busy");
        fake.act("list_services", Act::Fail(busy));
    }
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let refused = services(&mut client).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    a.act("list_services", Act::Answer);
    let (names, coverage) = services(&mut client).await.unwrap();
    assert_eq!(names, ["cart"]);
    assert!(coverage.reasons[0].contains("all queries are busy"));
}

#[tokio::test(start_paused = true)]
async fn a_single_consumer_is_asked_directly() {
    let a = Fake::start("a", &[0], "cart");
    let (fanout, mut client) = asked_as_one(&[&a], Config::default());
    // There is nothing between: it works without the fan-out, and nobody asks it how it is.
    drop(fanout);
    let (names, coverage) = services(&mut client).await.unwrap();
    assert_eq!(names, ["cart"]);
    assert!(is_whole(Some(&coverage)));
    let status = client.status(v1::StatusRequest {}).await.unwrap();
    assert!(status.into_inner().consumers.is_empty());
}

fn piece(ids: &[u8]) -> v1::GetTraceResponse {
    let all = ids
        .iter()
        .map(|id| span(1, *id, 0, "op", u64::from(*id), 1));
    v1::GetTraceResponse {
        resource_spans: vec![spans("cart", all.collect())],
        ..v1::GetTraceResponse::default()
    }
}

fn last_piece(ids: &[u8]) -> v1::GetTraceResponse {
    v1::GetTraceResponse {
        coverage: Some(v1::Coverage::default()),
        ..piece(ids)
    }
}

fn ids(resources: &[ResourceSpans]) -> Vec<u8> {
    let scopes = resources.iter().flat_map(|it| &it.scope_spans);
    let spans = scopes.flat_map(|it| &it.spans);
    spans.map(|span| span.span_id[0]).collect()
}

/// The spans of trace 1, and what is said of it.
async fn trace(client: &mut Client) -> Result<(Vec<u8>, v1::GetTraceResponse), Status> {
    let request = v1::GetTraceRequest {
        trace_id: vec![1; 16].into(),
        ..v1::GetTraceRequest::default()
    };
    let mut pieces = client.get_trace(request).await?.into_inner();
    let mut found = Vec::new();
    while let Some(piece) = pieces.message().await? {
        found.extend(ids(&piece.resource_spans));
        if piece.coverage.is_some() {
            return Ok((found, piece));
        }
    }
    panic!("the answer broke off");
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_breaks_off_goes_on_at_a_replica_and_no_span_comes_twice() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    a.trace(vec![
        Ok(piece(&[1, 2])),
        Ok(piece(&[3])),
        Err(Status::unavailable("gone")),
    ]);
    b.trace(vec![
        Ok(piece(&[1])),
        Ok(piece(&[2, 3, 4])),
        Ok(last_piece(&[5])),
    ]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = trace(&mut client).await.unwrap();
    assert_eq!(found, [1, 2, 3, 4, 5]);
    assert!(is_whole(last.coverage.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_breaks_off_without_a_replica_says_so() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    // It ends as if that were all, and does not say what is covered.
    a.trace(vec![Ok(piece(&[1, 2]))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = trace(&mut client).await.unwrap();
    assert_eq!(found, [1, 2]);
    let coverage = last.coverage.unwrap();
    assert!(coverage.partial);
    assert_eq!(
        coverage.reasons,
        ["consumer a at http://f0: its answer broke off before its end"]
    );
}

#[tokio::test(start_paused = true)]
async fn spans_of_a_trace_on_two_consumers_come_by_start_and_equal_ones_once() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    a.trace(vec![Ok(piece(&[1, 3])), Ok(last_piece(&[5, 6]))]);
    b.trace(vec![Ok(piece(&[2, 3])), Ok(last_piece(&[4]))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = trace(&mut client).await.unwrap();
    assert_eq!(found, [1, 2, 3, 4, 5, 6]);
    assert_eq!(last.duplicate_spans, 1);
    assert!(is_whole(last.coverage.as_ref()));
    // The limit holds for the whole.
    let config = Config {
        trace_spans_max: 4,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let (found, last) = trace(&mut client).await.unwrap();
    assert_eq!(found, [1, 2, 3, 4]);
    assert_eq!(
        last.coverage.unwrap().reasons,
        ["the trace has 6 spans or more, of which the first 4 are answered"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_trace_is_not_found_only_when_all_say_so() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    assert_eq!(trace(&mut client).await.unwrap_err().code(), Code::NotFound);
    b.go_down();
    let unknown = trace(&mut client).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unavailable);
    assert!(unknown.message().contains("consumer b"), "{unknown}");
}

fn tail_of(partition: u32, offsets: &[u64]) -> v1::TailResponse {
    let hits = offsets.iter().map(|offset| v1::LogHit {
        key: Some(v1::RecordKey {
            time_unix_nano: *offset,
            partition,
            offset: *offset,
            index: 0,
        }),
        ..v1::LogHit::default()
    });
    v1::TailResponse {
        hits: hits.collect(),
        resources: vec![v1::ResourceEntry::default()],
        scopes: vec![v1::ScopeEntry::default()],
        ..v1::TailResponse::default()
    }
}

/// The offsets and what is said, until so many messages came that say or hold something.
async fn read_tail(
    tail: &mut tonic::Streaming<v1::TailResponse>,
    messages: usize,
) -> (Vec<u64>, Vec<String>, u64) {
    let (mut offsets, mut said, mut dropped) = (Vec::new(), Vec::new(), 0);
    for _ in 0..messages {
        let message = tail.message().await.unwrap().unwrap();
        offsets.extend(message.hits.iter().map(|hit| hit.key.unwrap().offset));
        said.extend(Some(message.interrupted).filter(|text| !text.is_empty()));
        dropped += message.dropped;
    }
    (offsets, said, dropped)
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_breaks_off_goes_on_at_a_replica_without_a_gap_or_a_repeat() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    let (at_a, at_b) = (a.tail(), b.tail());
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let request = v1::TailRequest {
        signal: v1::Signal::Logs.into(),
        ..v1::TailRequest::default()
    };
    let mut tail = client.tail(request).await.unwrap().into_inner();
    at_a.send(Ok(tail_of(0, &[5, 6]))).await.unwrap();
    let mut slow = tail_of(0, &[7]);
    slow.dropped = 3;
    at_a.send(Ok(slow)).await.unwrap();
    let (offsets, said, dropped) = read_tail(&mut tail, 2).await;
    assert_eq!((offsets, said.len(), dropped), (vec![5, 6, 7], 0, 3));

    // The replica is asked for what is kept: 8 was missed, 7 was not, and 8 comes again with what arrives.
    let mut missed = tail_of(0, &[6, 7, 8]);
    missed.backlog_done = true;
    at_b.send(Ok(missed)).await.unwrap();
    at_b.send(Ok(tail_of(0, &[8, 9]))).await.unwrap();
    a.go_down();
    at_a.send(Err(Status::unavailable("gone"))).await.unwrap();
    let (offsets, said, _) = read_tail(&mut tail, 4).await;
    assert_eq!(offsets, [8, 9]);
    assert_eq!(
        said,
        [
            "the tail of partitions 0 to 3 broke off: gone",
            "the tail of partitions 0 to 3 goes on at consumer b at http://f1: no record is missing"
        ]
    );
    assert_eq!(b.tails()[0].backlog, 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_cannot_close_its_gap_says_that_records_may_be_missing() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    let (at_a, at_b) = (a.tail(), b.tail());
    let config = Config {
        tail_backlog_max: 2,
        ..Config::default()
    };
    let (_fanout, mut client) = asked_as_one(&[&a, &b], config);
    let request = v1::TailRequest {
        signal: v1::Signal::Logs.into(),
        ..v1::TailRequest::default()
    };
    let mut tail = client.tail(request).await.unwrap().into_inner();
    let mut missed = tail_of(0, &[7, 8]);
    missed.backlog_done = true;
    at_b.send(Ok(missed)).await.unwrap();
    a.go_down();
    at_a.send(Err(Status::unavailable("gone"))).await.unwrap();
    let (offsets, said, _) = read_tail(&mut tail, 3).await;
    assert_eq!(offsets, [7, 8]);
    assert!(
        said[1].ends_with("older records may be missing"),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_came_while_a_consumer_was_away_reaches_a_tail_and_what_was_there_before_does_not() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    b.status(|status| status.partitions[0].applied_next = 5);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    services(&mut client).await.unwrap();
    b.go_down();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let request = v1::TailRequest {
        signal: v1::Signal::Logs.into(),
        ..v1::TailRequest::default()
    };
    let mut tail = client.tail(request).await.unwrap().into_inner();
    let (_, said, _) = read_tail(&mut tail, 1).await;
    assert!(
        said[0].starts_with("partitions 2, 3 are missing"),
        "{said:?}"
    );
    let at_b = b.tail();
    let mut kept = tail_of(2, &[3, 4, 5, 6]);
    kept.backlog_done = true;
    at_b.send(Ok(kept)).await.unwrap();
    b.come_back();
    let (offsets, said, _) = read_tail(&mut tail, 2).await;
    assert_eq!(offsets, [5, 6]);
    assert!(said[0].ends_with("goes on at consumer b at http://f1: no record is missing"));
}

fn page(times: &[u64]) -> v1::ExportResponse {
    let all = times.iter().map(|time| {
        let mut span = span(1, 1, 0, "op", 0, 1);
        span.start_time_unix_nano = *time;
        span
    });
    v1::ExportResponse {
        resource_spans: vec![spans("cart", all.collect())],
        records: times.len() as u32,
        last: times.last().map(|time| v1::RecordKey {
            time_unix_nano: *time,
            partition: 2,
            offset: 7,
            index: 1,
        }),
        coverage: Some(v1::Coverage::default()),
        ..v1::ExportResponse::default()
    }
}

async fn export(client: &mut Client) -> (Vec<u64>, v1::Coverage) {
    let request = v1::ExportRequest {
        signal: v1::Signal::Spans.into(),
        ..v1::ExportRequest::default()
    };
    let mut pages = client.export(request).await.unwrap().into_inner();
    let (mut times, mut coverage) = (Vec::new(), v1::Coverage::default());
    while let Some(page) = pages.message().await.unwrap() {
        let scopes = page.resource_spans.iter().flat_map(|it| &it.scope_spans);
        let spans = scopes.flat_map(|it| &it.spans);
        times.extend(spans.map(|span| span.start_time_unix_nano));
        coverage = page.coverage.unwrap();
    }
    (times, coverage)
}

#[tokio::test(start_paused = true)]
async fn an_export_that_breaks_off_goes_on_at_a_replica_after_its_last_record() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    a.export(vec![Ok(page(&[1, 2])), Err(Status::unavailable("gone"))]);
    b.export(vec![Ok(page(&[2, 9]))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (times, coverage) = export(&mut client).await;
    assert_eq!(times, [1, 2, 2, 9]);
    assert!(is_whole(Some(&coverage)));
    assert_eq!(b.exports()[0].after, page(&[2]).last);
}

#[tokio::test(start_paused = true)]
async fn an_export_that_cannot_go_on_is_partial_and_names_the_consumer() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    let gone = || Err(Status::unavailable("gone"));
    a.export(vec![Ok(page(&[1])), gone()]);
    for _ in 0..8 {
        a.export(vec![gone()]);
    }
    b.export(vec![Ok(page(&[2, 9]))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let begun = Instant::now();
    let (times, coverage) = export(&mut client).await;
    assert_eq!(times, [1, 2, 9]);
    assert_eq!(coverage.reasons, ["consumer a at http://f0: gone"]);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_by_those_who_know_it_and_unimplemented_when_none_does() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    let unknown = || Act::Fail(Status::unimplemented("unknown"));
    b.act("list_services", unknown());
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (names, coverage) = services(&mut client).await.unwrap();
    assert_eq!(names, ["cart"]);
    assert_eq!(
        coverage.reasons,
        ["partitions 2, 3 are missing: consumer b at http://f1: unknown"]
    );
    a.act("list_services", unknown());
    let refused = services(&mut client).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented, "{refused}");
}
